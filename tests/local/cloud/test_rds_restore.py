"""Restoring clusters: from snapshots and as they are now, and what does not come with the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local
ITEMS = "SELECT COUNT(*) FROM shop.items"


@pytest.fixture
def base(cloud: LocalCloud) -> h.Base:
    return h.base(cloud)


@pytest.fixture
def production(cloud: LocalCloud, base: h.Base) -> Any:
    return cloud.client(h.PRODUCTION, "rds")


def test_a_restored_cluster_has_the_data_and_the_password_but_no_instance(
    cloud: LocalCloud, production: Any, base: h.Base
) -> None:
    with h.held(cloud):
        made = production.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="RDS-Restored",
            SnapshotIdentifier="rds-base",
            Engine=h.ENGINE,
            Tags=[{"Key": "a", "Value": "b"}],
        )["DBCluster"]
        assert (made["Status"], made["DBClusterIdentifier"]) == ("creating", "rds-restored")
        with h.refused("DBClusterAlreadyExistsFault"):
            production.restore_db_cluster_from_snapshot(
                DBClusterIdentifier="rds-restored", SnapshotIdentifier="rds-base", Engine=h.ENGINE
            )
        with h.refused("InvalidDBClusterStateFault", "creating"):
            h.create_instance(production, "rds-restored-1", "rds-restored", wait=False)
        with h.refused("InvalidDBClusterStateFault", "creating"):
            production.modify_db_cluster(DBClusterIdentifier="rds-restored", MasterUserPassword="another-one-2")
        with h.refused("InvalidDBClusterSnapshotStateFault", "restored"):
            production.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="rds-base")
        assert h.cluster(production, "rds-restored")["Status"] == "creating"
    h.wait_cluster(production, "rds-restored")
    found = h.cluster(production, "rds-restored")
    assert found["DBClusterMembers"] == []
    assert found["KmsKeyId"] == base.key
    assert found["MasterUsername"] == h.MASTER
    assert found["DbClusterResourceId"] != base.cluster["DbClusterResourceId"]
    assert found["TagList"] == [{"Key": "a", "Value": "b"}]
    assert found["DeletionProtection"] is False
    assert not h.listens(found["Endpoint"], found["Port"])
    h.create_instance(production, "rds-restored-1", "rds-restored")
    # the trap: production's master password is valid until it is changed
    assert h.query(found["Endpoint"], found["Port"], ITEMS) == ((3,),)
    h.query(found["Endpoint"], found["Port"], "DELETE FROM shop.items")
    assert h.query(base.cluster["Endpoint"], base.cluster["Port"], ITEMS) == ((3,),)
    h.delete_cluster(production, "rds-restored")


def test_a_password_changed_before_the_first_instance_is_the_only_one_ever(cloud: LocalCloud, production: Any) -> None:
    production.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="rds-early", SnapshotIdentifier="rds-base", Engine=h.ENGINE
    )
    h.wait_cluster(production, "rds-early")
    other = {"MasterUserPassword": "another-one-2"}
    h.change_cluster(cloud, production, "rds-early", "resetting-master-credentials", **other)
    h.create_instance(production, "rds-early-1", "rds-early")
    endpoint, port = (h.cluster(production, "rds-early")[name] for name in ("Endpoint", "Port"))
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        h.connect(endpoint, port)
    assert h.query(endpoint, port, ITEMS, "another-one-2") == ((3,),)
    h.delete_cluster(production, "rds-early")


def test_groups_and_protection_are_defaults_unless_given(production: Any, cloud: LocalCloud) -> None:
    ec2 = cloud.client(h.PRODUCTION, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.66.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    production.create_db_subnet_group(DBSubnetGroupName="rds-restore", DBSubnetGroupDescription="x", SubnetIds=subnets)
    production.create_db_subnet_group(
        DBSubnetGroupName="rds-one-zone", DBSubnetGroupDescription="x", SubnetIds=subnets[:1]
    )
    group = ec2.create_security_group(GroupName="rds-restore", Description="x", VpcId=vpc)["GroupId"]
    restore = {"DBClusterIdentifier": "rds-placed", "SnapshotIdentifier": "rds-base", "Engine": h.ENGINE}
    with h.refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        production.restore_db_cluster_from_snapshot(**restore, DBSubnetGroupName="rds-one-zone")
    with h.refused("InvalidParameterCombination", "different VPCs"):
        production.restore_db_cluster_from_snapshot(**restore, VpcSecurityGroupIds=[group])
    made = production.restore_db_cluster_from_snapshot(**restore, DBSubnetGroupName="rds-restore")["DBCluster"]
    assert made["DBSubnetGroup"] == "rds-restore"
    default = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"][0]["GroupId"]
    # the trap: not the source's groups
    assert [item["VpcSecurityGroupId"] for item in made["VpcSecurityGroups"]] == [default]
    assert made["DBClusterParameterGroup"] == "default.aurora-mysql8.0"
    given = production.restore_db_cluster_from_snapshot(
        **{**restore, "DBClusterIdentifier": "rds-given"},
        DBSubnetGroupName="rds-restore",
        VpcSecurityGroupIds=[group],
        DeletionProtection=True,
        EnableCloudwatchLogsExports=["audit"],
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
    )["DBCluster"]
    assert [item["VpcSecurityGroupId"] for item in given["VpcSecurityGroups"]] == [group]
    assert given["DeletionProtection"] is True
    assert given["EnabledCloudwatchLogsExports"] == ["audit"]
    h.wait_cluster(production, "rds-placed")
    h.wait_cluster(production, "rds-given")
    member = h.create_instance(production, "rds-given-1", "rds-given", DBInstanceClass="db.serverless", wait=False)
    assert member["DBSubnetGroup"]["DBSubnetGroupName"] == "rds-restore"
    h.wait_instance(production, "rds-given-1")
    production.modify_db_cluster(DBClusterIdentifier="rds-given", DeletionProtection=False)
    for name in ("rds-placed", "rds-given"):
        h.delete_cluster(production, name)


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("DBClusterSnapshotNotFoundFault", {"SnapshotIdentifier": "nope"}),
        ("InvalidParameterCombination", {"Engine": "aurora-postgresql"}),
        ("InvalidParameterCombination", {"EngineVersion": "8.0.mysql_aurora.3.04.4"}),
        ("InvalidParameterCombination", {"EngineVersion": "9.9"}),
        ("InvalidParameterValue", {"DBClusterIdentifier": "x--y"}),
        ("KMSKeyNotAccessibleFault", {"KmsKeyId": "alias/nope"}),
        ("DBSubnetGroupNotFoundFault", {"DBSubnetGroupName": "nope"}),
        ("DBClusterParameterGroupNotFound", {"DBClusterParameterGroupName": "nope"}),
        ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidParameterCombination", {"BacktrackWindow": 5}),
    ],
)
def test_refused_restores(production: Any, code: str, parameters: dict[str, Any]) -> None:
    right = {"DBClusterIdentifier": "rds-never", "SnapshotIdentifier": "rds-base", "Engine": h.ENGINE}
    with h.refused(code):
        production.restore_db_cluster_from_snapshot(**{**right, **parameters})
    assert h.code_of(lambda: h.cluster(production, "rds-never")) == "DBClusterNotFoundFault"


@pytest.mark.parametrize("kind", ["copy-on-write", "full-copy"])
def test_to_the_latest_moment(production: Any, base: h.Base, kind: str) -> None:
    name = f"rds-{kind}"
    made = production.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=name,
        SourceDBClusterIdentifier="rds-base",
        RestoreType=kind,
        UseLatestRestorableTime=True,
    )["DBCluster"]
    assert (made["Status"], made["KmsKeyId"]) == ("creating", base.key)
    group = h.cluster(production, "rds-base").get("CloneGroupId")
    assert made.get("CloneGroupId") == (group if kind == "copy-on-write" else None)
    h.wait_cluster(production, name)
    h.create_instance(production, f"{name}-1", name)
    assert h.query(made["Endpoint"], made["Port"], ITEMS) == ((3,),)
    h.delete_cluster(production, name)


def test_refused_points_in_time(cloud: LocalCloud, production: Any, base: h.Base) -> None:
    latest = {"DBClusterIdentifier": "rds-never", "UseLatestRestorableTime": True}
    source = {"SourceDBClusterIdentifier": "rds-base"}
    for code, parameters in (
        ("InvalidParameterCombination", {"DBClusterIdentifier": "rds-never", **source}),
        ("InvalidParameterCombination", latest),
        ("DBClusterNotFoundFault", {**latest, "SourceDBClusterIdentifier": "nope"}),
        ("DBClusterNotFoundFault", {**latest, "SourceDbClusterResourceId": "cluster-NOPE"}),
        ("InvalidParameterValue", {**latest, **source, "RestoreType": "magic"}),
        ("DBClusterAlreadyExistsFault", {**latest, **source, "DBClusterIdentifier": "rds-base"}),
    ):
        with h.refused(code):
            production.restore_db_cluster_to_point_in_time(**parameters)
    with h.refused("DBClusterNotFoundFault"):
        cloud.client(h.STAGING, "rds").restore_db_cluster_to_point_in_time(
            **latest, SourceDBClusterIdentifier=base.cluster["DBClusterArn"]
        )
