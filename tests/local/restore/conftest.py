"""A lane on which backups are restored, and what tests of that look at."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest

from devstack.settings import REPO
from localcloud.client import admin_operation
from localcloud.recorder import read_calls
from tests.local.lane import Lane
from tests.local.refresh.conftest import PRODUCTION, SHARED, STAGING

LIVE, OLD = "staging-shop", "staging-shop-old"
RESTORE, DRILL = "aurora_restore", "aurora_restore_drill"
# The shop of staging has stood still for a year until its first refresh: nothing in it is fresh.
OWN_SUITE = "schemas: [shop]\nforeign_keys: true\nqueries: false\n"


class RestoreLane(Lane):
    """Restores for staging, and looks at what they leave."""

    def restore(self, **conf: Any) -> SimpleNamespace:
        """Run ``aurora_restore`` to its end; what is staging's own is verified by the suite ``own``."""
        suite = {} if conf.get("from_account") == "source" else {"suite": "own"}
        return self.play(RESTORE, {"environment": "staging", "cluster": LIVE, **suite, **conf})

    def play(self, dag_id: str, conf: dict[str, Any] | None = None, moment: str | None = None) -> SimpleNamespace:
        """Run a DAG to its end; ``states`` and ``errors`` are its tasks', ``mutations`` the calls that changed something.

        :param moment: when the run is for; the run of a moment that there was is run anew.
        """
        began = time.time()
        found = self.run(dag_id, conf or {}, **({"moment": moment} if moment else {}))
        tasks = found["tasks"]
        return SimpleNamespace(
            state=found["state"],
            run_id=found["run_id"],
            states={name: task["state"] for name, task in tasks.items()},
            errors={name: task["error"] for name, task in tasks.items() if task["error"]},
            mutations=self.mutations(began),
        )

    def mutations(self, since: float) -> list[str]:
        """Name the calls that may have changed something since a moment."""
        calls = read_calls(self.cloud.calls_file, since=since, mutating=True)
        return [f"{call['service']}:{call['action']}" for call in calls]

    def serving(self) -> str:
        """Resource id of what serves, which must be available."""
        cluster = self.estate.cluster(STAGING, LIVE)
        assert cluster is not None, "nothing serves"
        assert cluster["Status"] == "available"
        return str(cluster["DbClusterResourceId"])

    def tags(self, cluster_id: str) -> dict[str, str]:
        """Tags of a cluster of staging."""
        cluster = self.estate.cluster(STAGING, cluster_id)
        assert cluster is not None, cluster_id
        return {tag["Key"]: tag["Value"] for tag in cluster["TagList"]}

    def opens(self, cluster_id: str, user: str, password: str) -> bool:
        """Tell whether a login opens a cluster of staging."""
        try:
            self.estate.connect(STAGING, cluster_id, user, password).close()
        except pymysql.err.OperationalError as error:
            if error.args[0] != 1045:
                raise
            return False
        return True

    def clear_faults(self) -> None:
        """Let everything go well again."""
        admin_operation("faults-clear", self.cloud)

    def snapshot(self, name: str) -> None:
        """Take a snapshot of what serves, and wait for it."""
        rds = self.aws(STAGING, "rds")
        rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=LIVE)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

    def shares(self) -> list[str]:
        """Name the grants and shares that production has given."""
        cluster = self.estate.cluster(PRODUCTION, "prod-shop")
        assert cluster is not None
        found = [
            str(grant.get("Name"))
            for grant in self.aws(PRODUCTION, "kms").list_grants(KeyId=cluster["KmsKeyId"])["Grants"]
        ]
        rds = self.aws(PRODUCTION, "rds")
        for name in self.estate.snapshots(PRODUCTION):
            attributes = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
            for attribute in attributes["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]:
                found += [f"{name} with {account}" for account in attribute["AttributeValues"]]
        return found

    def locks(self) -> list[str]:
        """Name the locks that are held."""
        return [item["pk"] for item in self.estate.items() if item["sk"] == "lock"]

    def hold_lock(self, cluster_id: str) -> dict[str, Any]:
        """Let another run be at work on a cluster; returns the key of the item."""
        key = {"pk": {"S": f"refresh#{STAGING}#{cluster_id}"}, "sk": {"S": "lock"}}
        item = {**key, "holder": {"S": "aurora_restore/other"}, "expires_at": {"N": "4000000000"}}
        self.aws(SHARED, "dynamodb").put_item(TableName="aurora-ops-runs", Item=item)
        return key

    def release_lock(self, key: dict[str, Any]) -> None:
        """Take that back."""
        self.aws(SHARED, "dynamodb").delete_item(TableName="aurora-ops-runs", Key=key)

    def remove(self, cluster_id: str) -> None:
        """Delete a restored cluster, as its users would."""
        if self.estate.cluster(STAGING, cluster_id) is not None:
            removed = self.play("db_ensure_cluster_not_exists", {"environment": "staging", "cluster": cluster_id})
            assert removed.state == "success", removed.errors


@pytest.fixture(scope="package")
def running() -> Iterator[RestoreLane]:
    """One for all tests here; it ends with the last of them."""
    lane = RestoreLane(REPO / ".local" / "test" / f"restore-{os.getpid()}")
    (lane.config.include / "sql" / "validation" / "own.yaml").write_text(OWN_SUITE)
    try:
        lane.start()
        yield lane
    finally:
        lane.stop()


@pytest.fixture
def lane(running: RestoreLane) -> Iterator[RestoreLane]:
    """No fault rules, an empty inbox."""
    admin_operation("faults-clear", running.cloud)
    running.estate.announcements()
    yield running
    admin_operation("faults-clear", running.cloud)
