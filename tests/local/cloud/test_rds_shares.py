"""Snapshots across accounts: who may be given one, who sees it, who may copy and restore it, with which keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local
ATTRIBUTE = {"DBClusterSnapshotIdentifier": "rds-base", "AttributeName": "restore"}


@pytest.fixture
def base(cloud: LocalCloud) -> h.Base:
    return h.base(cloud)


@pytest.fixture
def production(cloud: LocalCloud, base: h.Base) -> Any:
    return cloud.client(h.PRODUCTION, "rds")


@pytest.fixture
def staging(cloud: LocalCloud) -> Any:
    return cloud.client(h.STAGING, "rds")


def accounts(rds: Any) -> list[str]:
    found = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="rds-base")
    return list(found["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"][0]["AttributeValues"])


def test_the_share_list_is_a_set(production: Any) -> None:
    for _ in range(2):
        production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToAdd=[h.STAGING, h.STAGING, h.DEV])
        assert accounts(production) == [h.STAGING, h.DEV]
    production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToRemove=[h.STAGING, h.DEV, "999999999999"])
    assert accounts(production) == []


@pytest.mark.parametrize("value", ["12345", "staging", "arn:aws:iam::222222222222:root", "2222-2222-2222"])
def test_only_account_ids(production: Any, value: str) -> None:
    with h.refused("InvalidParameterValue", value):
        production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToAdd=[value])
    assert accounts(production) == []


def test_no_other_attribute_and_no_empty_change(production: Any) -> None:
    with h.refused("InvalidParameterValue", "attribute name"):
        production.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier="rds-base", AttributeName="copy", ValuesToAdd=[h.STAGING]
        )
    with h.refused("InvalidParameterValue"):
        production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE)


def test_encrypted_snapshots_are_never_public(production: Any) -> None:
    with h.refused("InvalidParameterValue", "public"):
        production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToAdd=["all"])


def test_twenty_accounts_at_most(production: Any) -> None:
    twenty = [f"{number:012d}" for number in range(700, 720)]
    production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToAdd=twenty)
    with h.refused("SharedSnapshotQuotaExceeded"):
        production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToAdd=[h.STAGING])
    assert accounts(production) == twenty
    production.modify_db_cluster_snapshot_attribute(**ATTRIBUTE, ValuesToRemove=twenty)


def test_the_default_key_cannot_be_shared(production: Any) -> None:
    h.create_cluster(production, "rds-default-key", StorageEncrypted=True)
    h.create_instance(production, "rds-default-key-1", "rds-default-key")
    name = "rds-default-key"
    production.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=name)
    h.wait_snapshot(production, name)
    with h.refused("InvalidDBClusterSnapshotStateFault", "default service key"):
        production.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[h.STAGING]
        )
    h.delete_cluster(production, name)
    h.delete_snapshots(production, name)


def test_what_the_other_account_sees(cloud: LocalCloud, production: Any, staging: Any, base: h.Base) -> None:
    listing = {"SnapshotType": "shared", "DBClusterIdentifier": "rds-base"}
    assert staging.describe_db_cluster_snapshots(**listing)["DBClusterSnapshots"] == []
    with h.shared(cloud, h.STAGING):
        found = staging.describe_db_cluster_snapshots(**listing)["DBClusterSnapshots"]
        assert [item["DBClusterSnapshotIdentifier"] for item in found] == [base.arn]
        assert (found[0]["SnapshotType"], found[0]["KmsKeyId"]) == ("shared", base.key)
        assert found[0]["TagList"] == []
        # not among the account's own, not by its short name, and by ARN only when shared ones are asked for
        assert base.arn not in _names(staging.describe_db_cluster_snapshots())
        assert base.arn in _names(staging.describe_db_cluster_snapshots(IncludeShared=True))
        assert (
            h.code_of(lambda: h.snapshot(staging, "rds-base", IncludeShared=True)) == "DBClusterSnapshotNotFoundFault"
        )
        assert h.code_of(lambda: h.snapshot(staging, base.arn)) == "DBClusterSnapshotNotFoundFault"
        assert h.snapshot(staging, base.arn, SnapshotType="shared")["Status"] == "available"
        assert h.snapshot(staging, base.arn, IncludeShared=True)["Status"] == "available"
        # dev was not given it; other regions do not show it
        dev = cloud.client(h.DEV, "rds")
        assert base.arn not in _names(dev.describe_db_cluster_snapshots(IncludeShared=True, IncludePublic=True))
        far = h.in_region(cloud, staging, "us-east-1")
        assert far.describe_db_cluster_snapshots(SnapshotType="shared")["DBClusterSnapshots"] == []
        with h.refused("AccessDenied"):
            staging.list_tags_for_resource(ResourceName=base.arn)
        # a share gives no right over the snapshot
        for call in (
            lambda: staging.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=base.arn),
            lambda: staging.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=base.arn),
            lambda: staging.modify_db_cluster_snapshot_attribute(
                DBClusterSnapshotIdentifier=base.arn, AttributeName="restore", ValuesToAdd=[h.DEV]
            ),
        ):
            assert h.code_of(call) == "DBClusterSnapshotNotFoundFault"
    assert staging.describe_db_cluster_snapshots(**listing)["DBClusterSnapshots"] == []
    assert h.snapshot(production, "rds-base")["SnapshotType"] == "manual"


def test_unshared_cannot_be_copied_or_restored(staging: Any, base: h.Base) -> None:
    with h.refused("DBClusterSnapshotNotFoundFault"):
        staging.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=base.arn,
            TargetDBClusterSnapshotIdentifier="rds-never",
            KmsKeyId=base.staging_key,
        )
    with h.refused("DBClusterSnapshotNotFoundFault"):
        staging.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rds-never", SnapshotIdentifier=base.arn, Engine=h.ENGINE, KmsKeyId=base.staging_key
        )


def test_a_shared_copy_gets_the_own_key(cloud: LocalCloud, staging: Any, base: h.Base) -> None:
    copy = {"SourceDBClusterSnapshotIdentifier": base.arn, "TargetDBClusterSnapshotIdentifier": "rds-shared-copy"}
    with h.shared(cloud, h.STAGING):
        with h.refused("KMSKeyNotAccessibleFault", "needs a KmsKeyId"):
            staging.copy_db_cluster_snapshot(**copy)
        made = staging.copy_db_cluster_snapshot(**copy, KmsKeyId=base.staging_key, CopyTags=True)["DBClusterSnapshot"]
        assert (made["KmsKeyId"], made["SourceDBClusterSnapshotArn"]) == (base.staging_key, base.arn)
        assert (made["Status"], made["TagList"]) == ("copying", [])
        h.wait_snapshot(staging, "rds-shared-copy")
    # independent of the source and of the share
    found = h.snapshot(staging, "rds-shared-copy")
    assert (found["SnapshotType"], found["DBClusterIdentifier"]) == ("manual", "rds-base")
    h.delete_snapshots(staging, "rds-shared-copy")


def test_a_share_without_the_key_is_useless(cloud: LocalCloud, production: Any, staging: Any, base: h.Base) -> None:
    private = h.shareable_key(cloud, h.PRODUCTION)
    production.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier="rds-base",
        TargetDBClusterSnapshotIdentifier="rds-private",
        KmsKeyId=private,
    )
    h.wait_snapshot(production, "rds-private")
    arn = h.snapshot(production, "rds-private")["DBClusterSnapshotArn"]
    copy = {
        "SourceDBClusterSnapshotIdentifier": arn,
        "TargetDBClusterSnapshotIdentifier": "rds-granted",
        "KmsKeyId": base.staging_key,
    }
    restore = {"DBClusterIdentifier": "rds-never", "SnapshotIdentifier": arn, "Engine": h.ENGINE}
    with h.shared(cloud, h.STAGING, name="rds-private"):
        with h.refused("KMSKeyNotAccessibleFault", "source snapshot KMS key", private):
            staging.copy_db_cluster_snapshot(**copy)
        with h.refused("KMSKeyNotAccessibleFault", private):
            staging.restore_db_cluster_from_snapshot(**restore, KmsKeyId=base.staging_key)
        # a grant does as well as the key policy, if it lets RDS make grants of its own
        kms = cloud.admin(h.PRODUCTION, "kms")
        grantee = f"arn:aws:iam::{h.STAGING}:root"
        weak = kms.create_grant(KeyId=private, GranteePrincipal=grantee, Operations=["Decrypt", "DescribeKey"])
        with h.refused("KMSKeyNotAccessibleFault", "kms:CreateGrant"):
            staging.copy_db_cluster_snapshot(**copy)
        kms.revoke_grant(KeyId=private, GrantId=weak["GrantId"])
        kms.create_grant(KeyId=private, GranteePrincipal=grantee, Operations=["Decrypt", "DescribeKey", "CreateGrant"])
        staging.copy_db_cluster_snapshot(**copy)
        h.wait_snapshot(staging, "rds-granted")
    h.delete_snapshots(staging, "rds-granted")
    h.delete_snapshots(production, "rds-private")


def test_restore_of_a_shared_snapshot_by_arn(cloud: LocalCloud, staging: Any, base: h.Base) -> None:
    restore = {"SnapshotIdentifier": base.arn, "Engine": h.ENGINE}
    with h.shared(cloud, h.STAGING):
        kept = staging.restore_db_cluster_from_snapshot(DBClusterIdentifier="rds-kept", **restore)["DBCluster"]
        # the trap: without KmsKeyId the cluster stays under the source account's key
        assert kept["KmsKeyId"] == base.key
        own = staging.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rds-own", **restore, KmsKeyId=base.staging_key
        )["DBCluster"]
        assert own["KmsKeyId"] == base.staging_key
        assert own["TagList"] == []
        with h.refused("KMSKeyNotAccessibleFault", "alias/nope"):
            staging.restore_db_cluster_from_snapshot(DBClusterIdentifier="rds-never", **restore, KmsKeyId="alias/nope")
        h.wait_cluster(staging, "rds-kept")
        h.wait_cluster(staging, "rds-own")
    for name in ("rds-kept", "rds-own"):
        h.delete_cluster(staging, name)


def test_copy_in_one_step_from_another_account_and_region(cloud: LocalCloud, staging: Any, base: h.Base) -> None:
    """Allowed since 2025-09; before, it took two copies."""
    far = h.in_region(cloud, staging, "us-east-1")
    key = h.in_region(cloud, cloud.admin(h.STAGING, "kms"), "us-east-1").create_key()["KeyMetadata"]["Arn"]
    with h.shared(cloud, h.STAGING):
        far.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier=base.arn, TargetDBClusterSnapshotIdentifier="rds-one-step", KmsKeyId=key
        )
        h.wait_snapshot(far, "rds-one-step")
    h.delete_snapshots(far, "rds-one-step")


def _names(answer: dict[str, Any]) -> list[str]:
    return [item["DBClusterSnapshotIdentifier"] for item in answer["DBClusterSnapshots"]]
