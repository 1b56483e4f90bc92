"""What tests of the refresh look at: the clusters, their data, the record, the announcements."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql
import pytest
from boto3.dynamodb.types import TypeDeserializer

from devstack import waiting
from devstack.settings import EXTERNAL_ID
from localcloud.client import admin_operation

SHARED, PRODUCTION, STAGING = "000000000000", "111111111111", "222222222222"
TARGET_KEY = f"refresh#{STAGING}#staging-shop"
DAG_ID = "refresh_staging"
ASKS = "approve.approve_switch"
KEPT = ("feature_flags", "api_endpoints")


@dataclass
class Estate:
    """The two databases and what a refresh leaves in AWS."""

    stack: Any

    def cluster(self, account: str, cluster_id: str) -> dict[str, Any] | None:
        """Describe a cluster; None where there is none."""
        clusters = self.stack.aws(account, "rds").describe_db_clusters()["DBClusters"]
        return next((found for found in clusters if found["DBClusterIdentifier"] == cluster_id), None)

    def clusters(self, account: str) -> set[str]:
        """Name the clusters of an account."""
        clusters = self.stack.aws(account, "rds").describe_db_clusters()["DBClusters"]
        return {found["DBClusterIdentifier"] for found in clusters}

    def snapshots(self, account: str) -> set[str]:
        """Name the manual cluster snapshots of an account."""
        rds = self.stack.aws(account, "rds")
        found = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
        return {snapshot["DBClusterSnapshotIdentifier"] for snapshot in found}

    def secret(self, account: str, secret_id: str) -> dict[str, Any]:
        """Read the current version of a secret."""
        raw = self.stack.aws(account, "secretsmanager").get_secret_value(SecretId=secret_id)
        return json.loads(raw["SecretString"])

    def connect(self, account: str, cluster_id: str, user: str | None = None, password: str | None = None) -> Any:
        """Connect to a cluster's endpoint, as its master user unless told otherwise."""
        cluster = self.cluster(account, cluster_id)
        assert cluster is not None, f"no cluster {cluster_id}"
        if user is None:
            master = self.secret(account, cluster["MasterUserSecret"]["SecretArn"])
            user, password = master["username"], master["password"]
        return pymysql.connect(
            host=cluster["Endpoint"], port=cluster["Port"], user=user, password=password or "", charset="utf8mb4"
        )

    def rows(self, account: str, cluster_id: str, sql: str) -> list[tuple[Any, ...]]:
        """Run a query as the master user."""
        connection = self.connect(account, cluster_id)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def record(self, run: Any) -> dict[str, Any]:
        """Read the record of a run."""
        found = self.find_record(run)
        assert found is not None, [item["sk"] for item in self.items()]
        return found

    def find_record(self, run: Any) -> dict[str, Any] | None:
        """Read the record of a run, if there is one."""
        return next((item for item in self.items() if item["sk"].endswith(f"#{run.run_id}")), None)

    def items(self) -> list[dict[str, Any]]:
        """Read the whole table of runs."""
        read = TypeDeserializer().deserialize
        items = self.stack.aws(SHARED, "dynamodb").scan(TableName="aurora-ops-runs")["Items"]
        return [{key: read(value) for key, value in item.items()} for item in items]

    def announcements(self) -> list[dict[str, Any]]:
        """Take what was announced since the last call."""
        sqs = self.stack.aws(SHARED, "sqs")
        url = sqs.get_queue_url(QueueName="aurora-ops-inbox")["QueueUrl"]
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def fail(self, **rule: Any) -> None:
        """Make matching AWS calls fail."""
        admin_operation("faults-add", self.stack.cloud, **rule)

    def kept(self) -> dict[str, list[tuple[Any, ...]]]:
        """Read the tables of staging that a refresh keeps."""
        return {name: self.rows(STAGING, "staging-shop", f"SELECT * FROM shop.{name} ORDER BY 1") for name in KEPT}

    def statistic(self, name: str, **dimensions: str) -> float:
        """Sum a metric of the last hour."""
        now = datetime.now(UTC)
        found = self.stack.aws(SHARED, "cloudwatch").get_metric_statistics(
            Namespace="AuroraOps", MetricName=name, StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=1), Period=7200, Statistics=["Sum"],
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        )  # fmt: skip
        return sum(point["Sum"] for point in found["Datapoints"])

    def mutations(self, since: float) -> list[dict[str, Any]]:
        """List the AWS calls that may have changed something."""
        return self.stack.calls(mutating=True, since=since)


@dataclass(frozen=True)
class Refreshed:
    """A refresh that has ended, and what there was before it.

    :param run: the run.
    :param cluster: the cluster that served before.
    :param kept: rows of the tables that are kept.
    :param secret: the application's secret.
    :param succeeded: how many refreshes had succeeded.
    :param announced: what was announced meanwhile.
    :param clusters: status of each cluster of staging right afterwards; the next run clears the old one away.
    """

    run: Any
    cluster: dict[str, Any]
    kept: dict[str, list[tuple[Any, ...]]]
    secret: dict[str, Any]
    succeeded: float
    announced: list[dict[str, Any]]
    clusters: dict[str, str]


def planted_secrets(stack) -> set[str]:
    """Every secret text of both accounts, former versions too, and what lets roles be assumed."""
    found = {EXTERNAL_ID, "localcloud-secret-key"}
    for account in (PRODUCTION, STAGING):
        client = stack.aws(account, "secretsmanager")
        for secret in client.list_secrets()["SecretList"]:
            for version in secret.get("SecretVersionsToStages", {}):
                value = json.loads(client.get_secret_value(SecretId=secret["ARN"], VersionId=version)["SecretString"])
                found.add(value["password"])
    return found


def answer(stack, run, option: str, reason: str) -> dict[str, Any]:
    """Wait until a person is asked, answer, and return what they were asked.

    Airflow asks once more where an answer came before the end of the worker that asked was seen: the answer is repeated.
    """
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{ASKS}/-1/hitlDetails"
    asked: dict[str, Any] = {}

    def answered() -> bool:
        state = stack.states(run)[ASKS]
        if state == "awaiting_input":
            detail = stack.api.request("GET", path)
            if not detail["response_received"]:
                asked.update(detail)
                stack.api.request("PATCH", path, {"chosen_options": [option], "params_input": {"reason": reason}})
        return state in {"success", "failed"} or stack.api.run(run.dag_id, run.run_id).done

    waiting.until(answered, what="the answer", timeout_s=600, every_s=0.3)
    return asked


@pytest.fixture
def estate(stack):
    """The estate, with no fault rules and an empty inbox."""
    found = Estate(stack)
    admin_operation("faults-clear", stack.cloud)
    found.announcements()
    yield found
    admin_operation("faults-clear", stack.cloud)


@pytest.fixture
def run_to_end(stack):
    """Trigger a refresh and wait for its end."""

    def run(conf: dict[str, Any] | None = None) -> Any:
        return stack.wait(stack.trigger(DAG_ID, conf))

    return run


@pytest.fixture(scope="session")
def refreshed(stack):
    """A refresh that nothing disturbed, of a staging that lacked rows; tests that read what it left share it."""
    estate = Estate(stack)
    admin_operation("faults-clear", stack.cloud)
    estate.announcements()
    connection = estate.connect(STAGING, "staging-shop")  # an earlier test may have refreshed it
    with connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM shop.newsletter")
        connection.commit()
    before = {
        "cluster": estate.cluster(STAGING, "staging-shop"),
        "kept": estate.kept(),
        "secret": estate.secret(STAGING, "staging/shop/app"),
        "succeeded": estate.statistic("RefreshSucceeded", Environment="staging"),
    }
    run = stack.wait(stack.trigger(DAG_ID))
    assert run.state == "success", stack.states(run)
    found = stack.aws(STAGING, "rds").describe_db_clusters()["DBClusters"]
    clusters = {cluster["DBClusterIdentifier"]: cluster["Status"] for cluster in found}
    return Refreshed(run, announced=estate.announcements(), clusters=clusters, **before)
