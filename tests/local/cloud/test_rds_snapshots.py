"""Cluster snapshots: taking, listing, copying, deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.client import AdminError, admin_operation
from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local


@pytest.fixture
def base(cloud: LocalCloud) -> h.Base:
    return h.base(cloud)


@pytest.fixture
def production(cloud: LocalCloud, base: h.Base) -> Any:
    return cloud.client(h.PRODUCTION, "rds")


@pytest.fixture
def staging(cloud: LocalCloud) -> Any:
    return cloud.client(h.STAGING, "rds")


def test_a_snapshot_takes_time_and_keeps_the_cluster_busy(cloud: LocalCloud, production: Any, base: h.Base) -> None:
    with h.held(cloud):
        made = production.create_db_cluster_snapshot(
            DBClusterIdentifier="rds-base", DBClusterSnapshotIdentifier="RDS-Slow", Tags=[{"Key": "a", "Value": "b"}]
        )["DBClusterSnapshot"]
        assert (made["Status"], made["DBClusterSnapshotIdentifier"]) == ("creating", "rds-slow")
        assert made["PercentProgress"] < 100
        assert h.cluster(production, "rds-base")["Status"] == "backing-up"
        second = {"DBClusterIdentifier": "rds-base", "DBClusterSnapshotIdentifier": "rds-second"}
        with h.refused("InvalidDBClusterStateFault", "backing-up"):
            production.create_db_cluster_snapshot(**second)
        assert h.snapshot(production, "rds-slow")["Status"] == "creating"
    h.wait_snapshot(production, "rds-slow")
    done = h.snapshot(production, "rds-slow")
    assert done["PercentProgress"] == 100
    assert done["SnapshotType"] == "manual"
    assert done["KmsKeyId"] == base.key
    assert done["StorageEncrypted"] is True
    assert done["DbClusterResourceId"] == base.cluster["DbClusterResourceId"]
    assert done["TagList"] == [{"Key": "a", "Value": "b"}]
    assert done["SnapshotCreateTime"] >= base.cluster["ClusterCreateTime"]
    h.wait_cluster(production, "rds-base")
    h.delete_snapshots(production, "rds-slow")


def test_a_snapshot_needs_an_available_instance(production: Any) -> None:
    h.create_cluster(production, "rds-no-instance")
    with h.refused("InvalidDBClusterStateFault", "no available instance"):
        production.create_db_cluster_snapshot(
            DBClusterIdentifier="rds-no-instance", DBClusterSnapshotIdentifier="rds-never"
        )
    h.delete_cluster(production, "rds-no-instance")


@pytest.mark.parametrize("name", ["rds:mine", "-x", "9x", "x-", "x--y", "x_y", "x.y", "a" * 256])
def test_illegal_snapshot_names(production: Any, name: str) -> None:
    with h.refused("InvalidParameterValue", "DBClusterSnapshotIdentifier"):
        production.create_db_cluster_snapshot(DBClusterIdentifier="rds-base", DBClusterSnapshotIdentifier=name)
    with h.refused("InvalidParameterValue", "TargetDBClusterSnapshotIdentifier"):
        production.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="rds-base", TargetDBClusterSnapshotIdentifier=name
        )


def test_no_overwrite(production: Any) -> None:
    with h.refused("DBClusterSnapshotAlreadyExistsFault"):
        production.create_db_cluster_snapshot(DBClusterIdentifier="rds-base", DBClusterSnapshotIdentifier="rds-BASE")
    with h.refused("DBClusterSnapshotAlreadyExistsFault"):
        production.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="rds-base", TargetDBClusterSnapshotIdentifier="rds-base"
        )


def test_unknown_names(production: Any) -> None:
    assert h.code_of(lambda: h.snapshot(production, "nope")) == "DBClusterSnapshotNotFoundFault"
    with h.refused("DBClusterNotFoundFault"):
        production.create_db_cluster_snapshot(DBClusterIdentifier="nope", DBClusterSnapshotIdentifier="never")
    with h.refused("DBClusterSnapshotNotFoundFault"):
        production.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="nope")
    with h.refused("InvalidParameterValue", "Unrecognized filter name"):
        production.describe_db_cluster_snapshots(Filters=[{"Name": "state", "Values": ["x"]}])
    with h.refused("InvalidParameterValue", "Invalid snapshot type"):
        production.describe_db_cluster_snapshots(SnapshotType="awsbackup2")


def test_find_by_name_arn_cluster_and_filter(production: Any, base: h.Base) -> None:
    for how in (
        {"DBClusterSnapshotIdentifier": "RDS-base"},
        {"DBClusterSnapshotIdentifier": base.arn},
        {"DBClusterIdentifier": "rds-base"},
        {"DBClusterIdentifier": base.cluster["DBClusterArn"]},
        {"DbClusterResourceId": base.cluster["DbClusterResourceId"]},
        {"Filters": [{"Name": "db-cluster-id", "Values": ["rds-base"]}], "SnapshotType": "manual"},
    ):
        found = production.describe_db_cluster_snapshots(**how)["DBClusterSnapshots"]
        names = [item["DBClusterSnapshotIdentifier"] for item in found]
        # the tests of exports have others made of this cluster, automated and by AWS Backup
        assert [name for name in names if not name.startswith(("rds:", "awsbackup:"))] == ["rds-base"], how
    assert production.describe_db_cluster_snapshots(DBClusterIdentifier="nope")["DBClusterSnapshots"] == []


def test_a_copy_within_the_account_keeps_or_changes_the_key(cloud: LocalCloud, production: Any, base: h.Base) -> None:
    with h.held(cloud):
        made = production.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="rds-base", TargetDBClusterSnapshotIdentifier="rds-copy", CopyTags=True
        )["DBClusterSnapshot"]
        assert (made["Status"], made["KmsKeyId"]) == ("copying", base.key)
        assert made["PercentProgress"] < 100
        assert made["TagList"] == [{"Key": "made-by", "Value": "tests"}]
        with h.refused("InvalidDBClusterSnapshotStateFault", "copied or restored"):
            production.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="rds-base")
        with h.refused("InvalidDBClusterSnapshotStateFault", "copying"):
            production.modify_db_cluster_snapshot_attribute(
                DBClusterSnapshotIdentifier="rds-copy", AttributeName="restore", ValuesToAdd=[h.STAGING]
            )
    other = h.shareable_key(cloud, h.PRODUCTION)
    rekeyed = production.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=base.arn,
        TargetDBClusterSnapshotIdentifier="rds-rekeyed",
        KmsKeyId=other,
    )["DBClusterSnapshot"]
    assert rekeyed["KmsKeyId"] == other
    assert rekeyed["TagList"] == []
    h.wait_snapshot(production, "rds-copy")
    h.wait_snapshot(production, "rds-rekeyed")
    assert h.snapshot(production, "rds-rekeyed")["SourceDBClusterSnapshotArn"] == base.arn
    h.delete_snapshots(production, "rds-copy", "rds-rekeyed")


def test_a_copy_refuses_keys_that_cannot_be_used(cloud: LocalCloud, production: Any) -> None:
    copy = {"SourceDBClusterSnapshotIdentifier": "rds-base", "TargetDBClusterSnapshotIdentifier": "rds-never"}
    for key in ("alias/nope", "arn:aws:kms:eu-west-1:111111111111:key/nope", h.shareable_key(cloud, h.STAGING)):
        with h.refused("KMSKeyNotAccessibleFault", key):
            production.copy_db_cluster_snapshot(**copy, KmsKeyId=key)
    disabled = h.shareable_key(cloud, h.PRODUCTION)
    cloud.admin(h.PRODUCTION, "kms").disable_key(KeyId=disabled)
    with h.refused("KMSKeyNotAccessibleFault"):
        production.copy_db_cluster_snapshot(**copy, KmsKeyId=disabled)
    assert h.code_of(lambda: h.snapshot(production, "rds-never")) == "DBClusterSnapshotNotFoundFault"


def test_an_unencrypted_snapshot_takes_no_key(cloud: LocalCloud, production: Any, staging: Any, base: h.Base) -> None:
    h.create_cluster(production, "rds-plain")
    h.create_instance(production, "rds-plain-1", "rds-plain")
    production.create_db_cluster_snapshot(DBClusterIdentifier="rds-plain", DBClusterSnapshotIdentifier="rds-plain")
    h.wait_snapshot(production, "rds-plain")
    arn = h.snapshot(production, "rds-plain")["DBClusterSnapshotArn"]
    copy = {"SourceDBClusterSnapshotIdentifier": "rds-plain", "TargetDBClusterSnapshotIdentifier": "rds-never"}
    with h.refused("InvalidParameterCombination", "unencrypted"):
        production.copy_db_cluster_snapshot(**copy, KmsKeyId=base.key)
    # public: visible to everybody who asks for public ones, and to nobody else
    with h.shared(cloud, "all", name="rds-plain"):
        public = staging.describe_db_cluster_snapshots(SnapshotType="public")["DBClusterSnapshots"]
        assert [(item["DBClusterSnapshotIdentifier"], item["SnapshotType"]) for item in public] == [(arn, "public")]
        assert h.snapshot(staging, arn, IncludePublic=True)["DBClusterSnapshotArn"] == arn
        assert staging.describe_db_cluster_snapshots(SnapshotType="shared")["DBClusterSnapshots"] == []
        # encrypted on the way to the restored cluster
        restored = staging.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rds-encrypted", SnapshotIdentifier=arn, Engine=h.ENGINE, KmsKeyId=base.staging_key
        )["DBCluster"]
        assert (restored["StorageEncrypted"], restored["KmsKeyId"]) == (True, base.staging_key)
        h.wait_cluster(staging, "rds-encrypted")
    h.delete_cluster(staging, "rds-encrypted")
    h.delete_cluster(production, "rds-plain")
    h.delete_snapshots(production, "rds-plain")


def test_automated_snapshots_belong_to_rds_and_go_with_the_cluster(cloud: LocalCloud, production: Any) -> None:
    h.create_cluster(
        production,
        "rds-auto",
        StorageEncrypted=True,
        KmsKeyId=h.base(cloud).key,
        CopyTagsToSnapshot=True,
        Tags=[{"Key": "team", "Value": "x"}],
    )
    h.create_instance(production, "rds-auto-1", "rds-auto")
    where = {"account": h.PRODUCTION, "region": "eu-west-1", "cluster": "rds-auto"}
    made = admin_operation("rds-automated-snapshot", cloud.config, **where, created=1_700_000_000)
    name = made["DBClusterSnapshotIdentifier"]
    assert name == "rds:rds-auto-2023-11-14-22-13"
    h.wait_snapshot(production, name)
    found = h.snapshot(production, name, SnapshotType="automated")
    assert found["SnapshotType"] == "automated"
    assert found["SnapshotCreateTime"].timestamp() == 1_700_000_000
    assert found["TagList"] == [{"Key": "team", "Value": "x"}]
    with pytest.raises(AdminError, match="already exists"):
        admin_operation("rds-automated-snapshot", cloud.config, **where, created=1_700_000_000)
    with h.refused("InvalidDBClusterSnapshotStateFault", "automated"):
        production.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    with h.refused("InvalidDBClusterSnapshotStateFault", "copy it to a manual one"):
        production.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[h.STAGING]
        )
    production.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=name, TargetDBClusterSnapshotIdentifier="rds-auto-manual"
    )
    h.wait_snapshot(production, "rds-auto-manual")
    assert h.snapshot(production, "rds-auto-manual")["SnapshotType"] == "manual"
    h.delete_cluster(production, "rds-auto")
    h.wait_snapshot(production, name, "gone")
    assert h.snapshot(production, "rds-auto-manual")["Status"] == "available"
    h.delete_snapshots(production, "rds-auto-manual")


def test_copy_from_another_region_needs_a_key_of_this_region(cloud: LocalCloud, production: Any, base: h.Base) -> None:
    virginia = h.in_region(cloud, production, "us-east-1")
    copy = {"SourceDBClusterSnapshotIdentifier": base.arn, "TargetDBClusterSnapshotIdentifier": "rds-far"}
    with h.refused("DBClusterSnapshotNotFoundFault"):
        virginia.copy_db_cluster_snapshot(**{**copy, "SourceDBClusterSnapshotIdentifier": "rds-base"})
    with h.refused("InvalidParameterValue", "cross region"):
        virginia.copy_db_cluster_snapshot(**copy)
    with h.refused("KMSKeyNotAccessibleFault"):
        virginia.copy_db_cluster_snapshot(**copy, KmsKeyId=base.key)
    key = h.in_region(cloud, cloud.admin(h.PRODUCTION, "kms"), "us-east-1").create_key()["KeyMetadata"]["Arn"]
    made = virginia.copy_db_cluster_snapshot(**copy, KmsKeyId=key)["DBClusterSnapshot"]
    assert made["DBClusterSnapshotArn"] == "arn:aws:rds:us-east-1:111111111111:cluster-snapshot:rds-far"
    assert made["KmsKeyId"] == key
    h.wait_snapshot(virginia, "rds-far")
    h.delete_snapshots(virginia, "rds-far")
