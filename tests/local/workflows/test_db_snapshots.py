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


def test_share_list_and_revoke(workflows):
    rds, target = workflows.stack.aws(PRODUCTION, "rds"), workflows.stack.aws(STAGING, "rds")
    key = workflows.estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    kms = workflows.stack.aws(PRODUCTION, "kms")
    run = workflows.run("db_create_manual_snapshot")
    name = workflows.result(run, "create_manual_snapshot")["snapshot_id"]

    def shared():
        listed = workflows.result(
            workflows.run("db_list_shared_snapshots", source_account=PRODUCTION), "list_shared_snapshots"
        )
        return [one["snapshot_arn"] for one in listed["snapshots"]]

    assert shared() == []
    workflows.run("db_share_snapshot", snapshot=name)
    [arn] = shared()
    assert arn.endswith(f":cluster-snapshot:{name}")
    assert len(kms.list_grants(KeyId=key)["Grants"]) == 1
    assert target.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=arn, IncludeShared=True)[
        "DBClusterSnapshots"
    ]
    began = time.time()
    workflows.run("db_share_snapshot", snapshot=name)
    assert workflows.mutations(began) == []

    workflows.run("db_share_snapshot", snapshot=name, action="revoke")
    assert shared() == []
    assert kms.list_grants(KeyId=key)["Grants"] == []
    began = time.time()
    workflows.run("db_share_snapshot", snapshot=name, action="revoke")
    assert workflows.mutations(began) == []
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


def test_sharing_what_is_not_there_fails_and_shares_nothing(workflows):
    assert "no snapshot not-there" in workflows.fails("db_share_snapshot", snapshot="not-there")


REFUSED = [
    ("db_create_manual_snapshot", {"account": "both"}, "account"),
    ("db_create_manual_snapshot", {"keep_days": 0}, "keep_days"),
    ("db_create_manual_snapshot", {"keep_day": 3}, "known run parameters are"),
    ("db_create_manual_snapshot", {"environment": "production"}, "environment"),
    ("db_share_snapshot", {}, "snapshot"),
    ("db_share_snapshot", {"snapshot": "rds:prod-shop-2026"}, "snapshot"),
    ("db_share_snapshot", {"snapshot": "a", "action": "give"}, "action"),
    ("db_list_shared_snapshots", {"source_account": "12"}, "source_account"),
]


def test_refused(workflows):
    answers = workflows.all_refused([(dag_id, conf) for dag_id, conf, _ in REFUSED])
    wrong = [(case, answer) for case, answer in zip(REFUSED, answers, strict=True) if case[2] not in answer]
    assert wrong == []
