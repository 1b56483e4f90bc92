"""ModifyDBCluster: rename and swap, master password, settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = [pytest.mark.local, pytest.mark.slow]

RESETTING = "resetting-master-credentials"


@pytest.fixture
def staging(cloud: LocalCloud) -> Any:
    return cloud.client(h.STAGING, "rds")


@pytest.fixture(scope="module")
def live(cloud: LocalCloud) -> Iterator[str]:
    """A cluster with one instance; tests leave its name and password as they were."""
    rds = cloud.client(h.STAGING, "rds")
    h.create_cluster(rds, "rds-live", Tags=[{"Key": "refresh", "Value": "true"}])
    h.create_instance(rds, "rds-live-1", "rds-live")
    yield "rds-live"
    h.delete_cluster(rds, "rds-live")


def rename(rds: Any, old: str, new: str) -> list[str]:
    """Rename and wait; return the statuses seen under the old name."""
    rds.modify_db_cluster(DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True)
    seen = h.wait_cluster(rds, old, "gone")
    h.wait_cluster(rds, new)
    return seen


def test_rename_takes_time_and_keeps_everything_but_the_name(cloud: LocalCloud, staging: Any, live: str) -> None:
    before = h.cluster(staging, live)
    with h.held(cloud):
        answer = staging.modify_db_cluster(
            DBClusterIdentifier=live, NewDBClusterIdentifier="RDS-Renamed", ApplyImmediately=True
        )["DBCluster"]
        # the trap: the answer still says available, and so may the first describe after it
        assert answer["Status"] == "available"
        with h.refused("DBClusterAlreadyExistsFault"):
            h.create_cluster(staging, "rds-renamed", wait=False)
        with h.refused("DBClusterAlreadyExistsFault"):
            h.create_cluster(staging, live, wait=False)
        with h.refused("InvalidDBClusterStateFault", "renaming"):
            staging.modify_db_cluster(DBClusterIdentifier=live, DeletionProtection=True)
        h.wait_cluster(staging, live, "renaming")

        def old_endpoint() -> str:
            return "answers" if h.listens(before["Endpoint"], before["Port"]) else "silent"

        h.watch(old_endpoint, "silent")
    h.wait_cluster(staging, live, "gone")
    h.wait_cluster(staging, "rds-renamed")
    after = h.cluster(staging, "rds-renamed")
    for same in ("DbClusterResourceId", "DBClusterMembers", "TagList", "ClusterCreateTime"):
        assert after[same] == before[same], same
    assert h.instance(staging, "rds-live-1")["DBClusterIdentifier"] == "rds-renamed"
    assert after["DBClusterArn"].endswith(":cluster:rds-renamed")
    assert after["Endpoint"] != before["Endpoint"]
    assert not h.listens(before["Endpoint"], before["Port"])
    assert h.query(after["Endpoint"], after["Port"], "SELECT 1") == ((1,),)
    with h.refused("DBClusterNotFoundFault"):
        staging.modify_db_cluster(DBClusterIdentifier=live, DeletionProtection=True)
    with h.refused("DBClusterNotFoundFault"):
        staging.list_tags_for_resource(ResourceName=before["DBClusterArn"])
    rename(staging, "rds-renamed", live)


def test_a_rename_swap_moves_the_data_behind_the_endpoint(staging: Any, live: str) -> None:
    endpoint, port = (h.cluster(staging, live)[name] for name in ("Endpoint", "Port"))
    h.query(endpoint, port, "CREATE DATABASE IF NOT EXISTS old_data")
    h.create_cluster(staging, "rds-fresh", DatabaseName="new_data")
    h.create_instance(staging, "rds-fresh-1", "rds-fresh")
    with h.refused("DBClusterAlreadyExistsFault"):
        staging.modify_db_cluster(DBClusterIdentifier="rds-fresh", NewDBClusterIdentifier=live, ApplyImmediately=True)
    through_the_old_name = h.connect(endpoint, port)
    rename(staging, live, "rds-live-old")
    rename(staging, "rds-fresh", live)
    with pytest.raises(pymysql.err.MySQLError):
        through_the_old_name.ping(reconnect=False)
    assert h.cluster(staging, live)["Endpoint"] == endpoint
    databases = "SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ('old_data', 'new_data')"
    assert h.query(endpoint, port, databases) == (("new_data",),)
    old = h.cluster(staging, "rds-live-old")
    assert h.query(old["Endpoint"], port, databases) == (("old_data",),)
    # and back
    rename(staging, live, "rds-fresh")
    rename(staging, "rds-live-old", live)
    assert h.query(endpoint, port, databases) == (("old_data",),)
    h.delete_cluster(staging, "rds-fresh")


def test_a_rename_without_apply_immediately_waits_for_ever(staging: Any) -> None:
    h.create_cluster(staging, "rds-later")
    staging.modify_db_cluster(DBClusterIdentifier="rds-later", NewDBClusterIdentifier="rds-sooner")
    found = h.cluster(staging, "rds-later")
    assert found["PendingModifiedValues"] == {"DBClusterIdentifier": "rds-sooner"}
    assert found["Status"] == "available"
    staging.modify_db_cluster(DBClusterIdentifier="rds-later", ApplyImmediately=True)
    h.wait_cluster(staging, "rds-later", "gone")
    h.wait_cluster(staging, "rds-sooner")
    h.delete_cluster(staging, "rds-sooner")


@pytest.mark.parametrize("name", ["9x", "x--y", "x-", "x" * 64])
def test_illegal_new_names(staging: Any, live: str, name: str) -> None:
    with h.refused("InvalidParameterValue", "NewDBClusterIdentifier"):
        staging.modify_db_cluster(DBClusterIdentifier=live, NewDBClusterIdentifier=name, ApplyImmediately=True)


def test_a_new_master_password(cloud: LocalCloud, staging: Any, live: str) -> None:
    endpoint, port = (h.cluster(staging, live)[name] for name in ("Endpoint", "Port"))
    with h.refused("InvalidParameterValue", "shorter than 8"):
        staging.modify_db_cluster(DBClusterIdentifier=live, MasterUserPassword="seven77")
    h.change_cluster(cloud, staging, live, RESETTING, MasterUserPassword="another-one-2")
    assert h.query(endpoint, port, "SELECT 1", "another-one-2") == ((1,),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        h.connect(endpoint, port)
    h.change_cluster(cloud, staging, live, RESETTING, MasterUserPassword=h.PASSWORD)
    assert h.query(endpoint, port, "SELECT 1") == ((1,),)


def managed_password(cloud: LocalCloud, rds: Any, name: str) -> tuple[str, dict[str, str]]:
    """Password in the managed secret, and MasterUserSecret."""
    secret = h.cluster(rds, name)["MasterUserSecret"]
    value = cloud.client(h.STAGING, "secretsmanager").get_secret_value(SecretId=secret["SecretArn"])["SecretString"]
    content = json.loads(value)
    assert content["username"] == h.MASTER
    return content["password"], secret


def test_a_managed_master_password(cloud: LocalCloud, staging: Any) -> None:
    h.create_cluster(staging, "rds-managed")
    manage = {"DBClusterIdentifier": "rds-managed", "ManageMasterUserPassword": True}
    with h.refused("InvalidParameterCombination", "RotateMasterUserPassword needs"):
        staging.modify_db_cluster(
            DBClusterIdentifier="rds-managed", RotateMasterUserPassword=True, ApplyImmediately=True
        )
    with h.refused("InvalidParameterCombination", "can't specify MasterUserPassword"):
        staging.modify_db_cluster(**manage, MasterUserPassword=h.PASSWORD)
    with h.refused("KMSKeyNotAccessibleFault", "alias/nope"):
        staging.modify_db_cluster(**manage, MasterUserSecretKmsKeyId="alias/nope")
    assert "MasterUserSecret" not in h.cluster(staging, "rds-managed")

    # no server runs yet: the password is set when the first instance starts one
    key = h.base(cloud).staging_key
    answer = staging.modify_db_cluster(**manage, MasterUserSecretKmsKeyId=key)["DBCluster"]
    assert answer["MasterUserSecret"]["SecretStatus"] == "creating"
    h.watch(lambda: str(h.cluster(staging, "rds-managed")["MasterUserSecret"]["SecretStatus"]), "active")
    h.wait_cluster(staging, "rds-managed")
    password, secret = managed_password(cloud, staging, "rds-managed")
    assert secret["KmsKeyId"] == key
    h.create_instance(staging, "rds-managed-1", "rds-managed")
    endpoint, port = (h.cluster(staging, "rds-managed")[name] for name in ("Endpoint", "Port"))
    assert h.query(endpoint, port, "SELECT 1", password) == ((1,),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        h.connect(endpoint, port)

    with h.refused("InvalidParameterCombination", "managed"):
        staging.modify_db_cluster(DBClusterIdentifier="rds-managed", MasterUserPassword=h.PASSWORD)
    with h.refused("InvalidParameterCombination", "immediately"):
        staging.modify_db_cluster(DBClusterIdentifier="rds-managed", RotateMasterUserPassword=True)
    rotation = {"RotateMasterUserPassword": True, "ApplyImmediately": True}
    h.change_cluster(cloud, staging, "rds-managed", RESETTING, **rotation)
    rotated, same = managed_password(cloud, staging, "rds-managed")
    assert rotated != password
    assert same == secret
    assert h.query(endpoint, port, "SELECT 1", rotated) == ((1,),)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        h.connect(endpoint, port, password)

    # the secret goes with the cluster
    h.delete_cluster(staging, "rds-managed")
    secrets = cloud.client(h.STAGING, "secretsmanager")
    with h.refused("ResourceNotFoundException"):
        secrets.get_secret_value(SecretId=secret["SecretArn"])


def test_management_can_be_turned_off_with_a_password(cloud: LocalCloud, staging: Any) -> None:
    h.create_cluster(staging, "rds-unmanaged", ManageMasterUserPassword=True)
    arn = h.cluster(staging, "rds-unmanaged")["MasterUserSecret"]["SecretArn"]
    with h.refused("InvalidParameterCombination", "MasterUserPassword is required"):
        staging.modify_db_cluster(DBClusterIdentifier="rds-unmanaged", ManageMasterUserPassword=False)
    off = {"ManageMasterUserPassword": False, "MasterUserPassword": h.PASSWORD}
    h.change_cluster(cloud, staging, "rds-unmanaged", RESETTING, **off)
    assert "MasterUserSecret" not in h.cluster(staging, "rds-unmanaged")
    with h.refused("ResourceNotFoundException"):
        cloud.client(h.STAGING, "secretsmanager").describe_secret(SecretId=arn)
    h.delete_cluster(staging, "rds-unmanaged")


def test_rename_and_password_in_one_call(staging: Any) -> None:
    h.create_cluster(staging, "rds-both")
    staging.modify_db_cluster(
        DBClusterIdentifier="rds-both",
        NewDBClusterIdentifier="rds-both-new",
        MasterUserPassword="another-one-2",
        ApplyImmediately=True,
    )
    h.wait_cluster(staging, "rds-both", "gone")
    h.wait_cluster(staging, "rds-both-new")
    h.create_instance(staging, "rds-both-1", "rds-both-new")
    made = h.cluster(staging, "rds-both-new")
    assert h.query(made["Endpoint"], made["Port"], "SELECT 1", "another-one-2") == ((1,),)
    h.delete_cluster(staging, "rds-both-new")


def test_settings(cloud: LocalCloud, staging: Any, live: str) -> None:
    staging.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="rds-live", DBParameterGroupFamily="aurora-mysql8.0", Description="x"
    )
    staging.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="rds-live-old", DBParameterGroupFamily="aurora-mysql5.7", Description="x"
    )
    ec2 = cloud.client(h.STAGING, "ec2")
    vpc = h.instance(staging, "rds-live-1")["DBSubnetGroup"]["VpcId"]
    group = ec2.create_security_group(GroupName="rds-live", Description="x", VpcId=vpc)["GroupId"]
    other_vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    elsewhere = ec2.create_security_group(GroupName="rds-else", Description="x", VpcId=other_vpc)["GroupId"]
    for code, wrong in (
        ("DBClusterParameterGroupNotFound", {"DBClusterParameterGroupName": "nope"}),
        ("InvalidParameterCombination", {"DBClusterParameterGroupName": "rds-live-old"}),
        ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidParameterCombination", {"VpcSecurityGroupIds": [elsewhere]}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 99}),
        ("InvalidParameterCombination", {"CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["nope"]}}),
        ("InvalidParameterCombination", {"BacktrackWindow": 1}),
    ):
        with h.refused(code):
            # a refused call changes nothing, not even the part that is right
            staging.modify_db_cluster(DBClusterIdentifier=live, CopyTagsToSnapshot=True, **wrong)
    assert h.cluster(staging, live)["CopyTagsToSnapshot"] is False
    h.change_cluster(
        cloud,
        staging,
        live,
        "modifying",
        DBClusterParameterGroupName="rds-live",
        VpcSecurityGroupIds=[group],
        BackupRetentionPeriod=5,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["audit", "error"]},
        ApplyImmediately=True,
    )
    found = h.cluster(staging, live)
    assert found["DBClusterParameterGroup"] == "rds-live"
    assert found["VpcSecurityGroups"] == [{"VpcSecurityGroupId": group, "Status": "active"}]
    assert found["BackupRetentionPeriod"] == 5
    assert found["EnabledCloudwatchLogsExports"] == ["audit", "error"]
    assert found["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "pending-reboot"
    with h.held(cloud):
        staging.reboot_db_instance(DBInstanceIdentifier="rds-live-1")
        assert h.instance(staging, "rds-live-1")["DBInstanceStatus"] == "rebooting"
    h.wait_instance(staging, "rds-live-1")
    assert h.cluster(staging, live)["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"
    without = {"DisableLogTypes": ["error"]}
    h.change_cluster(cloud, staging, live, "modifying", CloudwatchLogsExportConfiguration=without)
    assert h.cluster(staging, live)["EnabledCloudwatchLogsExports"] == ["audit"]
    # the same again changes nothing, so there is no status to wait for
    staging.modify_db_cluster(DBClusterIdentifier=live, BackupRetentionPeriod=5, ApplyImmediately=True)
    staging.modify_db_cluster(DBClusterIdentifier=live, BackupRetentionPeriod=5, ApplyImmediately=True)
