"""A lane on which snapshots of production are exported, and what tests of that look at."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from devstack import waiting
from devstack.settings import PRODUCTION, REPO, SHARED, isolate_this_process
from devstack.snapshot_events import TABLE
from devstack.snapshot_exports import BUCKET, NAME, provide
from localcloud.client import admin_operation
from tests.local.iam.lab import attach
from tests.local.lane import Lane

EXPORT = "snapshot_export_staging"
REGION, CLUSTER = "eu-west-1", "prod-shop"


class ExportLane(Lane):
    """Exports for staging's environment, and looks at what they leave."""

    def settle(self, **changes: Any) -> None:
        """Change the section of exports; ``databases`` is a list of changes of the first one."""
        file = self.config.include / "config" / "staging.yaml"
        content = yaml.safe_load((REPO / "include" / "config" / "staging.yaml").read_text())["exports"]
        first = content["databases"][0]
        databases = [{**first, **one} for one in changes.pop("databases", [{}])]
        whole = yaml.safe_load(file.read_text())
        whole["exports"] = {**content, **changes, "databases": databases}
        file.write_text(yaml.safe_dump(whole))
        self.reread()

    def play(self, **conf: Any) -> SimpleNamespace:
        """Run the DAG to its end."""
        found = self.run(EXPORT, conf, xcoms=True)
        return SimpleNamespace(
            state=found["state"],
            run_id=found["run_id"],
            states={name: task["state"] for name, task in found["tasks"].items()},
            labels={name: task["label"] for name, task in found["tasks"].items()},
            errors={name: task["error"] for name, task in found["tasks"].items() if task["error"]},
            plan=next(
                (value for name, key, value in found["xcoms"] if (name, key) == ("plan_exports", "return_value")), None
            ),
            xcoms=found["xcoms"],
        )

    def snapshot(self, name: str, cluster: str = CLUSTER) -> str:
        """Take a manual snapshot; its ARN."""
        rds = self.aws(PRODUCTION, "rds")
        made = rds.create_db_cluster_snapshot(DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=name)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        return str(made["DBClusterSnapshot"]["DBClusterSnapshotArn"])

    def automated(self, created: float | None = None, cluster: str = CLUSTER) -> str:
        """Take an automated snapshot; its ARN."""
        made = admin_operation(
            "rds-automated-snapshot", self.cloud, account=PRODUCTION, region=REGION, cluster=cluster, created=created
        )
        return f"arn:aws:rds:{REGION}:{PRODUCTION}:cluster-snapshot:{made['DBClusterSnapshotIdentifier']}"

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Export tasks of production, by identifier."""
        found = self.aws(PRODUCTION, "rds").get_paginator("describe_export_tasks").paginate()
        return {task["ExportTaskIdentifier"]: task for page in found for task in page["ExportTasks"]}

    def items(self, prefix: str = "export#") -> list[dict[str, Any]]:
        """What is remembered, as plain values."""
        from boto3.dynamodb.types import TypeDeserializer

        read = TypeDeserializer().deserialize
        pages = self.aws(SHARED, "dynamodb").get_paginator("scan").paginate(TableName=TABLE)
        found = [{key: read(value) for key, value in item.items()} for page in pages for item in page["Items"]]
        return [item for item in found if item["pk"].startswith(prefix)]

    def table(self, path: str, name: str) -> pa.Table:
        """Rows of an exported table, from all its parts."""
        s3 = self.aws(PRODUCTION, "s3")
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{path}{name.partition('.')[0]}/{name}/"
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", ()) if item["Key"].endswith(".parquet")]
        return pa.concat_tables(
            pq.read_table(io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())) for key in sorted(keys)
        )

    def item(self, arn: str) -> dict[str, Any]:
        """What is remembered of a snapshot."""
        (found,) = [item for item in self.items() if item["snapshot_arn"] == arn]
        return found

    def ask(self, sql: str) -> list[tuple[str | None, ...]]:
        """Ask Athena, as a person would; rows as text."""
        athena = self.aws(PRODUCTION, "athena")
        query = athena.start_query_execution(
            QueryString=sql, QueryExecutionContext={"Database": "shop"}, WorkGroup=NAME
        )["QueryExecutionId"]

        def status() -> dict[str, Any]:
            found: dict[str, Any] = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            return found

        self.until(lambda: status()["State"] not in ("QUEUED", "RUNNING"))
        assert status()["State"] == "SUCCEEDED", status()
        _, *rows = athena.get_query_results(QueryExecutionId=query)["ResultSet"]["Rows"]
        return [tuple(field.get("VarCharValue") for field in row["Data"]) for row in rows]

    def attach(self) -> None:
        """Give each role what operators and the settings as they are now need."""
        attach(SimpleNamespace(include=self.config.include, admin=self.aws))

    @staticmethod
    def until(reached: Callable[[], bool]) -> None:
        """Wait for something."""
        waiting.until(reached, what="what a test waits for", timeout_s=60, every_s=0.2)

    def fault(self, **rule: Any) -> None:
        """Let calls in production's account go wrong."""
        admin_operation("faults-add", self.cloud, **{"service": "rds", "account": PRODUCTION, **rule})

    def mend(self) -> None:
        """Let calls go well again."""
        admin_operation("faults-clear", self.cloud)


@pytest.fixture(scope="session")
def lane() -> Iterator[ExportLane]:
    """The lane, with production's database and a place for its exports."""
    isolate_this_process()
    found = ExportLane(REPO / ".local" / "test" / f"exporting-{os.getpid()}")
    try:
        found.start()
        provide(found.aws)
        yield found
    finally:
        found.stop()
        shutil.rmtree(found.config.home, ignore_errors=True)
