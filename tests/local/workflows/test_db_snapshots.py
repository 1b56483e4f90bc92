"""Workflows on snapshots, in a real Airflow: what AWS has afterwards, a second run, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.local.refresh.conftest import PRODUCTION, STAGING

pytestmark = pytest.mark.local


def snapshot(workflows, account, snapshot_id):
    rds = workflows.stack.aws(account, "rds")
    [found] = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot_id)["DBClusterSnapshots"]
    return found


@pytest.mark.parametrize(("account", "where", "cluster"), [
    ("source", PRODUCTION, "prod-shop"), ("target", STAGING, "staging-shop"),
])  # fmt: skip
def test_create_manual_snapshot(workflows, account, where, cluster):
    run = workflows.run("db_create_manual_snapshot", account=account, keep_days=3)
    made = workflows.result(run, "create_manual_snapshot")
    found = snapshot(workflows, where, made["snapshot_id"])
    assert (found["Status"], found["DBClusterIdentifier"], found["SnapshotType"]) == ("available", cluster, "manual")
    tags = {tag["Key"]: tag["Value"] for tag in found["TagList"]}
    expires = datetime.fromisoformat(tags["aurora-ops:expires"]) - datetime.now(UTC)
    assert timedelta(days=2.9) < expires < timedelta(days=3.1)
    assert workflows.record(run)["outcome"] == "succeeded"

    began = time.time()
    workflows.stack.api.clear(run, only_failed=False)
    assert workflows.stack.wait(run).state == "success"
    assert workflows.mutations(began) == [], "it adopts what it has made"
    workflows.stack.aws(where, "rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=made["snapshot_id"])


@pytest.mark.parametrize(("conf", "said"), [
    ({"account": "both"}, ["account", "both"]),
    ({"keep_days": 0}, ["keep_days", "minimum"]),
    ({"keep_day": 3}, ["keep_day", "known run parameters are"]),
    ({"environment": "production"}, ["environment", "production"]),
])  # fmt: skip
def test_create_manual_snapshot_refuses(workflows, conf, said):
    text = workflows.refused("db_create_manual_snapshot", **conf)
    for word in said:
        assert word in text
