"""The DAG of snapshot retention against localcloud, under its own policies: copies in another region, deletions, refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aurora_ops.core import naming, ownership

from localcloud.names import DEV, SHARED, STAGING
from tests.local.cloud import rds_helpers as h
from tests.local.iam.lab import Lab, Run
from tests.local.upkeep.conftest import FAR

pytestmark = [pytest.mark.local, pytest.mark.slow]
DAG_ID = "snapshot_retention_staging"
NOW = datetime.now(UTC).replace(microsecond=0)
AGES = {"yesterday": 1, "before": 2, "long ago": 70, "shared": 80}
OLD = {
    what: naming.snapshot("staging-shop", "staging", NOW - timedelta(days=age), "kept") for what, age in AGES.items()
}


@pytest.fixture(scope="module")
def snapshots(lab: Lab) -> Any:
    """What is there at the start: four of earlier days, three of today, one automated."""
    rds = lab.admin(STAGING, "rds")
    for what, name in OLD.items():
        moment = NOW - timedelta(days=AGES[what])
        tags = {ownership.OWNER_TAG: ownership.OWNER, **ownership.kept_copy(moment, "arn:aws:rds:eu-west-1:1:x")}
        take(rds, name, tags)
    for name in ("nightly-1", "nightly-2", "by-hand"):
        take(rds, name, {})
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=OLD["shared"], AttributeName="restore", ValuesToAdd=[DEV]
    )
    made = lab.operation(
        "rds-automated-snapshot", account=STAGING, region="eu-west-1", cluster="staging-shop", created=None
    )
    h.wait_snapshot(rds, made["DBClusterSnapshotIdentifier"])
    return rds


def take(rds: Any, name: str, tags: dict[str, str]) -> None:
    h.wait_cluster(rds, "staging-shop")
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier="staging-shop",
        DBClusterSnapshotIdentifier=name,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    h.wait_snapshot(rds, name)


def names(rds: Any, kind: str = "manual") -> set[str]:
    return {
        one["DBClusterSnapshotIdentifier"]
        for one in rds.describe_db_cluster_snapshots(SnapshotType=kind)["DBClusterSnapshots"]
    }


def run(lab: Lab, **conf: Any) -> Run:
    return lab.run(DAG_ID, conf)


def far(lab: Lab, service: str = "rds") -> Any:
    return h.in_region(lab.cloud, lab.admin(STAGING, service), FAR)


def record(lab: Lab) -> dict[str, Any]:
    """The newest record of retention."""
    found = lab.admin(SHARED, "dynamodb").query(
        TableName="aurora-ops-runs",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "retention#staging"}},
        ScanIndexForward=False,
    )["Items"]
    return found[0] if found else {}


def test_dry_run_changes_nothing(lab: Lab, snapshots: Any) -> None:
    before = names(snapshots)
    done = run(lab)
    assert done.state == "success", done.errors
    assert done.refused == []
    assert {name: task["state"] for name, task in done.tasks.items()} == {
        "plan_retention": "success",
        "list_copies": "success",
        "copy_snapshot": "skipped",
        "list_deletions": "success",
        "delete_snapshots": "skipped",
        "record_retention": "success",
    }
    assert names(snapshots) == before
    assert names(far(lab)) == set()
    assert record(lab) == {}, "a dry run by hand leaves no trace"


def test_nothing_is_deleted_while_a_copy_fails(lab: Lab, snapshots: Any) -> None:
    before, kms = names(snapshots), far(lab, "kms")
    key = kms.describe_key(KeyId="alias/shop-staging")["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    try:
        done = run(lab, dry_run=False)
    finally:
        kms.enable_key(KeyId=key)
    assert done.state == "failed"
    assert {task["state"] for name, task in done.tasks.items() if name.startswith("copy_snapshot")} == {"failed"}
    assert done.tasks["delete_snapshots"]["state"] == "upstream_failed"
    assert names(snapshots) == before
    assert "KMSKeyNotAccessibleFault" in json.dumps(record(lab))


def test_copies_are_made_then_what_is_superseded_goes(lab: Lab, snapshots: Any) -> None:
    done = run(lab, dry_run=False)
    assert done.state == "success", done.errors
    assert done.refused == []
    assert names(snapshots) == {"nightly-2", "by-hand", OLD["yesterday"], OLD["shared"]}
    assert len(names(snapshots, "automated")) == 1
    assert {task["label"] for name, task in done.tasks.items() if name.startswith("delete_snapshots[")} == {
        "staging-shop"
    }

    copies = far(lab).describe_db_cluster_snapshots()["DBClusterSnapshots"]
    assert len(copies) == 2
    assert OLD["yesterday"] in {copy["DBClusterSnapshotIdentifier"] for copy in copies}
    for copy in copies:
        tags = {tag["Key"]: tag["Value"] for tag in copy["TagList"]}
        assert copy["Status"] == "available"
        assert copy["KmsKeyId"].startswith(f"arn:aws:kms:{FAR}:")
        assert tags[ownership.OWNER_TAG] == ownership.OWNER
        assert tags[ownership.RUN_TAG].startswith(DAG_ID)
        assert ownership.EXPIRES_TAG not in tags
        assert tags[ownership.COPY_OF_TAG].startswith(f"arn:aws:rds:eu-west-1:{STAGING}:cluster-snapshot:")
    told = json.dumps(record(lab))
    assert all(name in told for name in ("nightly-1", OLD["before"], OLD["long ago"]))


def test_a_second_run_has_nothing_to_do(lab: Lab, snapshots: Any) -> None:
    before = names(snapshots), names(far(lab))
    began = lab.cloud.now()
    done = run(lab, dry_run=False)
    assert done.state == "success", done.errors
    assert (names(snapshots), names(far(lab))) == before
    changed = [call["action"] for call in lab.cloud.calls(began, mutating=True) if call["service"] == "rds"]
    assert changed == []
