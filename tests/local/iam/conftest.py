"""A localcloud whose roles come from the CloudFormation templates, and refreshes recorded under their policies.

Every path that needs an action of its own is recorded: nightly (re-keyed automated snapshot), a fresh snapshot, a manual one,
the reaper, a lock that another run holds, a switch that is undone, and a target that does not exist yet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aurora_ops.core import naming, ownership

from devstack.settings import EXTERNAL_ID, ROLES, connection, isolate_this_process, spare_loopback
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from localcloud.names import AIRFLOW_USER, AIRFLOW_USER_ARN, PRODUCTION, SHARED, STAGING
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.driver import MARK

REPO = Path(__file__).resolve().parents[3]
POLICIES = REPO / "include" / "iam" / "staging"
TEMPLATES = REPO / "include" / "templates"
DAG_ID = "refresh_staging"
TARGET_KEY = f"refresh#{STAGING}#staging-shop"
PLACES = {"orchestrator": SHARED, "source": PRODUCTION, "destination": STAGING}
SEED_ROWS = 300
READY_S = 60


@dataclass
class Run:
    """A recorded run.

    :param decisions: what was asked of policies, see ``localcloud.iam.access``; each with the ``operator`` that made the call.
    """

    state: str
    tasks: dict[str, dict[str, Any]]
    decisions: list[dict[str, Any]]

    @property
    def errors(self) -> dict[str, str]:
        """Return why tasks failed."""
        return {name: task["error"] for name, task in self.tasks.items() if task["state"] == "failed"}

    def error(self, task_id: str) -> str:
        """Return why a task failed."""
        assert self.tasks[task_id]["state"] == "failed", self.tasks[task_id]
        return str(self.tasks[task_id]["error"])


@dataclass
class Lab:
    """The cloud, and one process that runs DAGs against it."""

    cloud: LocalCloud
    home: Path
    _driver: subprocess.Popen[str] | None = None
    runs: dict[str, Run] = field(default_factory=dict)

    def admin(self, account: str, service: str) -> Any:
        """Return a boto3 client as the root of an account."""
        return self.cloud.admin(account, service)

    def operation(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Run an admin operation of localcloud."""
        return admin_operation(name, self.cloud.config, **parameters)

    def run(self, conf: dict[str, Any] | None = None, dag_id: str = DAG_ID) -> Run:
        """Run a DAG to its end, and take what was asked of policies meanwhile."""
        began = time.time()
        found = self._ask({"dag_id": dag_id, "conf": conf or {}})
        decisions = self.operation("iam-decisions", since=began)["decisions"]
        for decision in decisions:
            decision["operator"] = operator_at(found["tasks"], decision["time"])
        return Run(found["state"], found["tasks"], decisions)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        driver = self._started()
        assert driver.stdin
        driver.stdin.write(json.dumps(question) + "\n")
        driver.stdin.flush()
        return self._answer(driver)

    def _started(self) -> subprocess.Popen[str]:
        if self._driver is None:
            env = airflow_environment(self.cloud.config, self.home)
            subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
            self._driver = subprocess.Popen(
                [sys.executable, str(Path(__file__).parents[1] / "driver.py")],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert self._answer(self._driver)["errors"] == {}
        return self._driver

    def _answer(self, driver: subprocess.Popen[str]) -> dict[str, Any]:
        assert driver.stdout
        with (self.home / "driver.log").open("a") as log:
            for line in driver.stdout:
                if line.startswith(MARK):
                    found: dict[str, Any] = json.loads(line.removeprefix(MARK))
                    return found
                log.write(line)
        raise AssertionError((self.home / "driver.log").read_text()[-4000:])

    def close(self) -> None:
        """End the process."""
        if self._driver is not None and self._driver.stdin:
            self._driver.stdin.close()
            self._driver.wait(120)


def operator_at(tasks: dict[str, dict[str, Any]], moment: float) -> str | None:
    """Name the operator of the task that ran at a moment; one runs at a time."""
    for task in tasks.values():
        if any(began <= moment <= ended for began, ended in task["spans"]):
            return str(task["operator"])
    return None


def airflow_environment(config: CloudConfig, home: Path) -> dict[str, str]:
    """Return the environment of a process that runs DAGs without Airflow's services."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "AWS_", "AURORA_"))}
    spare_loopback(kept)
    nowhere = str(home / "no-such-file")
    return (
        kept
        | {f"AIRFLOW_CONN_{name.upper()}": connection(role) for name, role in ROLES.items()}
        | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": f"{REPO / 'plugins'}:{REPO}",
            "AWS_ENDPOINT_URL": config.endpoint,
            "AWS_DEFAULT_REGION": config.region,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AURORA_OPS_POLL_S": "0.1",
            "AURORA_OPS_RETRY_S": "0.1",
        }
    )


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A seeded cloud that enforces the policies of the templates."""
    isolate_this_process()
    home = tmp_path_factory.mktemp("iam")
    environment = localcloud_environment(home / "cloud", free_port(), free_port()) | {
        "LOCALCLOUD_WAIT_S": "0.05",
        "LOCALCLOUD_IAM": "enforce",
        "SEED_ROWS": str(SEED_ROWS),
    }
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    found = Lab(LocalCloud(config, environment), home)
    try:
        seeded = run_localcloud(environment, "seed")
        assert seeded.returncode == 0, seeded.stdout + seeded.stderr
        for name, account in PLACES.items():
            deploy(found, name, account)
        found.admin(SHARED, "iam").put_user_policy(
            UserName=AIRFLOW_USER, PolicyName="aurora-ops", PolicyDocument=(POLICIES / "worker.json").read_text()
        )
        yield found
    finally:
        found.close()
        run_localcloud(environment, "down")


def deploy(lab: Lab, name: str, account: str) -> None:
    """Replace what the seed has made of an account's role, table and topic by what the template makes."""
    lab.admin(account, "iam").delete_role(RoleName=f"aurora-ops-{name}")
    if name == "orchestrator":
        lab.admin(account, "dynamodb").delete_table(TableName="aurora-ops-runs")
        lab.admin(account, "sns").delete_topic(TopicArn=f"arn:aws:sns:{lab.cloud.config.region}:{account}:aurora-ops")
    stacks = lab.admin(account, "cloudformation")
    stacks.create_stack(
        StackName=f"aurora-ops-{name}",
        TemplateBody=(TEMPLATES / f"iam-{name}.yaml").read_text(),
        Parameters=[
            {"ParameterKey": "TrustedPrincipalArn", "ParameterValue": AIRFLOW_USER_ARN},
            {"ParameterKey": "ExternalId", "ParameterValue": EXTERNAL_ID},
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    [stack] = stacks.describe_stacks(StackName=f"aurora-ops-{name}")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack


@pytest.fixture(scope="session")
def recorded(lab: Lab) -> dict[str, Run]:
    """Every path, recorded in this order; each leaves behind what the next one begins with."""
    record(lab, "nightly", {}, before=forget_endpoint)
    assert lab.runs["nightly"].state == "success", lab.runs["nightly"].errors
    record(lab, "fresh", {"snapshot": "fresh", "old_cluster": "delete"}, before=protect_live)
    record(lab, "manual", {"snapshot": "prod-shop-manual"}, before=manual_snapshot)
    record(lab, "reaper", {"dry_run": False}, before=leave_a_copy, dag_id="reap_expired")
    record(lab, "locked", {}, before=hold_lock)
    record(lab, "undone", {}, before=refuse_second_secret)
    record(lab, "first", {"keep_tables": []}, before=remove_target)
    return lab.runs


def record(lab: Lab, name: str, conf: dict[str, Any], *, before: Callable[[Lab], None], dag_id: str = DAG_ID) -> None:
    """Record a run after preparing what it shall meet."""
    lab.operation("faults-clear")
    before(lab)
    lab.runs[name] = lab.run(conf, dag_id)
    lab.operation("faults-clear")
    lab.admin(SHARED, "dynamodb").delete_item(TableName="aurora-ops-runs", Key=LOCK)


LOCK = {"pk": {"S": TARGET_KEY}, "sk": {"S": "lock"}}


def forget_endpoint(lab: Lab) -> None:
    """Nothing is published yet."""
    lab.admin(STAGING, "ssm").delete_parameter(Name="/staging/shop/database/endpoint")


def protect_live(lab: Lab) -> None:
    """The old cluster is stopped by the run before; the live one cannot simply be deleted."""
    rds = lab.admin(STAGING, "rds")
    rds.modify_db_cluster(DBClusterIdentifier="staging-shop", DeletionProtection=True, ApplyImmediately=True)
    wait_available(rds, "staging-shop")


def manual_snapshot(lab: Lab) -> None:
    """A snapshot that somebody took; and a user's secret under a customer key."""
    rds = lab.admin(PRODUCTION, "rds")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod-shop", DBClusterSnapshotIdentifier="prod-shop-manual")
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier="prod-shop-manual", WaiterConfig={"Delay": 1, "MaxAttempts": READY_S}
    )
    lab.admin(STAGING, "secretsmanager").update_secret(SecretId="staging/shop/app", KmsKeyId="alias/shop-staging")


def refuse_second_secret(lab: Lab) -> None:
    """The first secret has moved when the second one cannot."""
    lab.operation(
        "faults-add",
        service="secretsmanager",
        action="UpdateSecretVersionStage",
        match="staging/shop/readonly",
        code="InvalidParameterException",
        message="a planted refusal",
        times=1,
    )


def hold_lock(lab: Lab) -> None:
    """Another run refreshes the target."""
    item = {**LOCK, "holder": {"S": "refresh_other/run-1"}, "expires_at": {"N": "4000000000"}}
    lab.admin(SHARED, "dynamodb").put_item(TableName="aurora-ops-runs", Item=item)


def remove_target(lab: Lab) -> None:
    """Nothing serves yet."""
    rds = lab.admin(STAGING, "rds")
    for cluster in rds.describe_db_clusters()["DBClusters"]:
        name = cluster["DBClusterIdentifier"]
        for member in cluster["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"], SkipFinalSnapshot=True)
        for member in cluster["DBClusterMembers"]:
            rds.get_waiter("db_instance_deleted").wait(
                DBInstanceIdentifier=member["DBInstanceIdentifier"], WaiterConfig={"Delay": 1, "MaxAttempts": READY_S}
            )
        rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
        wait_available(rds, name)
        rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
        rds.get_waiter("db_cluster_deleted").wait(
            DBClusterIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": READY_S}
        )


def leave_a_copy(lab: Lab) -> None:
    """A copy that a dead run has left, past its expiry."""
    rds = lab.admin(STAGING, "rds")
    name = naming.snapshot("prod-shop", "staging", datetime(2026, 1, 1, tzinfo=UTC), "copy")
    tags = ownership.temporary("refresh_staging/dead", 1, datetime(2026, 1, 1, tzinfo=UTC))
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier="staging-shop",
        DBClusterSnapshotIdentifier=name,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": READY_S}
    )


def wait_available(rds: Any, cluster: str) -> None:
    """Wait until a cluster can be changed again."""
    rds.get_waiter("db_cluster_available").wait(
        DBClusterIdentifier=cluster, WaiterConfig={"Delay": 1, "MaxAttempts": READY_S}
    )
