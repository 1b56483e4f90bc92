"""Clusters: creating, finding, stopping, deleting, and what RDS refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

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


def test_a_cluster_is_created_step_by_step(cloud: LocalCloud, staging: Any) -> None:
    with h.held(cloud):
        made = h.create_cluster(staging, "RDS-Steps", wait=False, BackupRetentionPeriod=3, DatabaseName="first")
        assert (made["Status"], made["DBClusterIdentifier"]) == ("creating", "rds-steps")
        with h.refused("InvalidDBClusterStateFault", "creating"):
            h.create_instance(staging, "rds-steps-1", "rds-steps", wait=False)
        assert h.cluster(staging, "rds-steps")["Status"] == "creating"
    h.wait_cluster(staging, "rds-steps")
    empty = h.cluster(staging, "rds-steps")
    assert empty["DBClusterMembers"] == []
    assert not h.listens(empty["Endpoint"], empty["Port"]), "a cluster without instances must not listen"
    with h.held(cloud):
        first = h.create_instance(staging, "rds-steps-1", "rds-steps", wait=False)
        assert first["DBInstanceStatus"] == "creating"
        assert "Endpoint" not in first
        assert h.instance(staging, "rds-steps-1")["DBInstanceStatus"] == "creating"
    h.wait_instance(staging, "rds-steps-1")
    assert h.query(
        empty["Endpoint"],
        empty["Port"],
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'first'",
    ) == (("first",),)
    h.delete_cluster(staging, "rds-steps")


def test_the_fields_that_clients_read(staging: Any, production: Any, base: h.Base) -> None:
    found = base.cluster
    assert found["DBClusterArn"] == "arn:aws:rds:eu-west-1:111111111111:cluster:rds-base"
    assert found["DbClusterResourceId"].startswith("cluster-")
    assert found["EngineVersion"] == "8.0.mysql_aurora.3.08.2"
    assert found["DBClusterParameterGroup"] == "default.aurora-mysql8.0"
    assert found["VpcSecurityGroups"][0]["Status"] == "active"
    assert len(found["AvailabilityZones"]) >= 2
    assert found["HostedZoneId"]
    assert found["DatabaseName"] == "shop"
    assert found["AssociatedRoles"] == []
    assert "MasterUserSecret" not in found
    assert found["DBClusterMembers"] == [
        {
            "DBInstanceIdentifier": "rds-base-1",
            "IsClusterWriter": True,
            "DBClusterParameterGroupStatus": "in-sync",
            "PromotionTier": 1,
        }
    ]
    member = h.instance(production, "rds-base-1")
    assert member["DBClusterIdentifier"] == "rds-base"
    assert member["DBSubnetGroup"]["VpcId"]
    assert member["Endpoint"]["Port"] == found["Port"]
    assert len({found["Endpoint"], found["ReaderEndpoint"], member["Endpoint"]["Address"]}) == 3
    with h.refused("DBClusterNotFoundFault"):
        h.cluster(staging, "rds-base")
    with h.refused("DBClusterNotFoundFault"):
        h.cluster(staging, found["DBClusterArn"])


def test_find_clusters(production: Any, base: h.Base) -> None:
    for name, value in (
        ("db-cluster-id", "rds-base"),
        ("db-cluster-id", base.cluster["DBClusterArn"]),
        ("db-cluster-resource-id", base.cluster["DbClusterResourceId"]),
    ):
        found = production.describe_db_clusters(Filters=[{"Name": name, "Values": [value]}])["DBClusters"]
        assert [item["DBClusterIdentifier"] for item in found] == ["rds-base"], name
    assert h.cluster(production, base.cluster["DBClusterArn"])["DBClusterIdentifier"] == "rds-base"
    none = production.describe_db_clusters(Filters=[{"Name": "clone-group-id", "Values": ["x"]}])
    assert none["DBClusters"] == []
    with h.refused("InvalidParameterValue", "Unrecognized filter name: status"):
        production.describe_db_clusters(Filters=[{"Name": "status", "Values": ["available"]}])
    for size in (19, 101):
        with h.refused("InvalidParameterValue", "MaxRecords"):
            production.describe_db_clusters(MaxRecords=size)


@pytest.mark.parametrize("name", ["9lives", "-x", "x-", "x--y", "x_y", "x" * 64, "ümlaut"])
def test_illegal_names(staging: Any, name: str) -> None:
    with h.refused("InvalidParameterValue", "DBClusterIdentifier"):
        h.create_cluster(staging, name, wait=False)


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("InvalidParameterValue", {"MasterUserPassword": "seven77"}),
        ("InvalidParameterValue", {"MasterUserPassword": "with/slash1"}),
        ("InvalidParameterValue", {"MasterUserPassword": "x" * 42}),
        ("InvalidParameterValue", {"MasterUsername": "rdsadmin"}),
        ("InvalidParameterValue", {"MasterUsername": "1st"}),
        ("InvalidParameterValue", {"Engine": "mysql"}),
        ("InvalidParameterCombination", {"EngineVersion": "8.0.mysql_aurora.9.99.9"}),
        ("InvalidParameterCombination", {"KmsKeyId": "alias/aws/rds"}),
        ("KMSKeyNotAccessibleFault", {"StorageEncrypted": True, "KmsKeyId": "alias/nope"}),
        ("DBSubnetGroupNotFoundFault", {"DBSubnetGroupName": "nope"}),
        ("DBClusterParameterGroupNotFound", {"DBClusterParameterGroupName": "nope"}),
        ("InvalidParameterValue", {"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 0}),
        ("InvalidParameterValue", {"BackupRetentionPeriod": 36}),
        ("InvalidParameterValue", {"Tags": [{"Key": "aws:x", "Value": "y"}]}),
        ("InvalidParameterCombination", {"MasterUserPassword": h.PASSWORD, "ManageMasterUserPassword": True}),
        ("InvalidParameterCombination", {"MasterUserSecretKmsKeyId": "alias/x"}),
        ("InvalidParameterCombination", {"BacktrackWindow": 3600}),
    ],
)
def test_refused_parameters(staging: Any, code: str, parameters: dict[str, Any]) -> None:
    with h.refused(code):
        staging.create_db_cluster(
            **{
                "DBClusterIdentifier": "rds-never",
                "Engine": h.ENGINE,
                "MasterUsername": h.MASTER,
                "MasterUserPassword": h.PASSWORD,
                **parameters,
            }
        )
    assert h.code_of(lambda: h.cluster(staging, "rds-never")) == "DBClusterNotFoundFault"


def test_a_password_is_needed(staging: Any) -> None:
    with h.refused("InvalidParameterValue", "MasterUserPassword must be provided"):
        staging.create_db_cluster(DBClusterIdentifier="rds-never", Engine=h.ENGINE, MasterUsername="admin")


def test_nothing_is_overwritten(production: Any, base: h.Base) -> None:
    with h.refused("DBClusterAlreadyExistsFault"):
        h.create_cluster(production, "RDS-BASE", wait=False)
    with h.refused("DBClusterAlreadyExistsFault"):
        production.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rds-base", SnapshotIdentifier="rds-base", Engine=h.ENGINE
        )
    assert h.cluster(production, "rds-base")["DbClusterResourceId"] == base.cluster["DbClusterResourceId"]


def test_delete_is_refused_while_members_or_protection(cloud: LocalCloud, staging: Any) -> None:
    h.create_cluster(staging, "rds-guarded", DeletionProtection=True)
    with h.refused("InvalidParameterCombination", "protect"):
        staging.delete_db_cluster(DBClusterIdentifier="rds-guarded", SkipFinalSnapshot=True)
    staging.modify_db_cluster(DBClusterIdentifier="rds-guarded", DeletionProtection=False)
    h.create_instance(staging, "rds-guarded-1", "rds-guarded", wait=False)
    with h.refused("InvalidDBClusterStateFault", "still contains DB instances"):
        staging.delete_db_cluster(DBClusterIdentifier="rds-guarded", SkipFinalSnapshot=True)
    h.wait_instance(staging, "rds-guarded-1")
    for wrong in ({}, {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "rds-final"}):
        with h.refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier"):
            staging.delete_db_cluster(DBClusterIdentifier="rds-guarded", **wrong)
    with h.held(cloud):
        last = staging.delete_db_instance(DBInstanceIdentifier="rds-guarded-1")["DBInstance"]
        assert last["DBInstanceStatus"] == "deleting"
        gone = staging.delete_db_cluster(DBClusterIdentifier="rds-guarded", FinalDBSnapshotIdentifier="rds-final")
        assert gone["DBCluster"]["Status"] == "deleting"
        with h.refused("DBClusterAlreadyExistsFault"):
            h.create_cluster(staging, "rds-guarded", wait=False)
        assert h.cluster(staging, "rds-guarded")["Status"] == "deleting"
    h.wait_cluster(staging, "rds-guarded", "gone")
    assert h.snapshot(staging, "rds-final")["Status"] == "available"
    assert h.code_of(lambda: h.instance(staging, "rds-guarded-1")) == "DBInstanceNotFound"
    h.delete_snapshots(staging, "rds-final")
    h.create_cluster(staging, "rds-guarded")
    h.delete_cluster(staging, "rds-guarded")


def test_stop_and_start(cloud: LocalCloud, staging: Any) -> None:
    made = h.create_cluster(staging, "rds-stopped")
    h.create_instance(staging, "rds-stopped-1", "rds-stopped")
    with h.refused("InvalidDBClusterStateFault", "available"):
        staging.start_db_cluster(DBClusterIdentifier="rds-stopped")
    open_connection = h.connect(made["Endpoint"], made["Port"])
    with h.held(cloud):
        assert staging.stop_db_cluster(DBClusterIdentifier="rds-stopped")["DBCluster"]["Status"] == "stopping"
        assert h.cluster(staging, "rds-stopped")["Status"] == "stopping"
    h.wait_cluster(staging, "rds-stopped", "stopped")
    assert h.instance(staging, "rds-stopped-1")["DBInstanceStatus"] == "stopped"
    assert not h.listens(made["Endpoint"], made["Port"])
    with pytest.raises(pymysql.err.MySQLError):
        open_connection.ping(reconnect=False)
    for call in (
        lambda: staging.modify_db_cluster(DBClusterIdentifier="rds-stopped", DeletionProtection=True),
        lambda: staging.modify_db_cluster(
            DBClusterIdentifier="rds-stopped", NewDBClusterIdentifier="rds-x", ApplyImmediately=True
        ),
        lambda: staging.delete_db_cluster(DBClusterIdentifier="rds-stopped", SkipFinalSnapshot=True),
        lambda: staging.stop_db_cluster(DBClusterIdentifier="rds-stopped"),
        lambda: staging.failover_db_cluster(DBClusterIdentifier="rds-stopped"),
        lambda: h.create_instance(staging, "rds-stopped-2", "rds-stopped", wait=False),
        lambda: staging.create_db_cluster_snapshot(
            DBClusterIdentifier="rds-stopped", DBClusterSnapshotIdentifier="rds-never"
        ),
        lambda: staging.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="rds-never", SourceDBClusterIdentifier="rds-stopped", UseLatestRestorableTime=True
        ),
    ):
        assert h.code_of(call) == "InvalidDBClusterStateFault"
    assert (
        h.code_of(lambda: staging.delete_db_instance(DBInstanceIdentifier="rds-stopped-1")) == "InvalidDBInstanceState"
    )
    with h.held(cloud):
        staging.start_db_cluster(DBClusterIdentifier="rds-stopped")
        assert h.cluster(staging, "rds-stopped")["Status"] == "starting"
    h.wait_cluster(staging, "rds-stopped")
    assert h.query(made["Endpoint"], made["Port"], "SELECT 1") == ((1,),)
    h.delete_cluster(staging, "rds-stopped")


def test_roles(cloud: LocalCloud, staging: Any) -> None:
    iam = cloud.admin(h.STAGING, "iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    arns = [
        iam.create_role(RoleName=f"rds-role-{number}", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        for number in range(2)
    ]
    h.create_cluster(staging, "rds-roles")
    with h.refused("InvalidParameterValue", "role"):
        staging.add_role_to_db_cluster(DBClusterIdentifier="rds-roles", RoleArn=f"{arns[0]}-nope")
    for arn in arns:
        staging.add_role_to_db_cluster(DBClusterIdentifier="rds-roles", RoleArn=arn)
    with h.refused("DBClusterRoleAlreadyExists"):
        staging.add_role_to_db_cluster(DBClusterIdentifier="rds-roles", RoleArn=arns[0])

    def status() -> str:
        return "+".join(role["Status"] for role in h.cluster(staging, "rds-roles")["AssociatedRoles"])

    h.watch(status, "ACTIVE+ACTIVE")
    staging.remove_role_from_db_cluster(DBClusterIdentifier="rds-roles", RoleArn=arns[0])
    with h.refused("DBClusterRoleNotFound"):
        staging.remove_role_from_db_cluster(DBClusterIdentifier="rds-roles", RoleArn=arns[0])
    assert [role["RoleArn"] for role in h.cluster(staging, "rds-roles")["AssociatedRoles"]] == [arns[1]]
    h.delete_cluster(staging, "rds-roles")


def test_tags(staging: Any, production: Any, base: h.Base) -> None:
    made = h.create_cluster(staging, "rds-tags", Tags=[{"Key": "refresh", "Value": "true"}])
    arn = made["DBClusterArn"]
    staging.add_tags_to_resource(
        ResourceName=arn, Tags=[{"Key": "owner", "Value": "a"}, {"Key": "refresh", "Value": "no"}]
    )
    staging.remove_tags_from_resource(ResourceName=arn, TagKeys=["owner", "absent"])
    assert staging.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "refresh", "Value": "no"}]
    assert h.cluster(staging, "rds-tags")["TagList"] == [{"Key": "refresh", "Value": "no"}]
    with h.refused("InvalidParameterValue", "aws:"):
        staging.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "aws:owner", "Value": "a"}])
    for unknown, code in (
        ("cluster:nope", "DBClusterNotFoundFault"),
        ("db:nope", "DBInstanceNotFound"),
        ("cluster-snapshot:nope", "DBClusterSnapshotNotFoundFault"),
    ):
        with h.refused(code):
            staging.list_tags_for_resource(ResourceName=f"arn:aws:rds:eu-west-1:{h.STAGING}:{unknown}")
    with h.refused("AccessDenied"):
        staging.add_tags_to_resource(ResourceName=base.cluster["DBClusterArn"], Tags=[{"Key": "a", "Value": "b"}])
    assert production.list_tags_for_resource(ResourceName=base.arn)["TagList"] == [{"Key": "made-by", "Value": "tests"}]
    h.delete_cluster(staging, "rds-tags")


def test_catalogue(staging: Any) -> None:
    versions = staging.describe_db_engine_versions(Engine=h.ENGINE, EngineVersion="8.0.mysql_aurora.3.08.2")
    assert versions["DBEngineVersions"][0]["DBParameterGroupFamily"] == "aurora-mysql8.0"
    assert staging.describe_db_engine_versions(Engine="oracle-ee")["DBEngineVersions"] == []
    classes = staging.describe_orderable_db_instance_options(Engine=h.ENGINE, EngineVersion="8.0.mysql_aurora.3.08.2")[
        "OrderableDBInstanceOptions"
    ]
    assert {"db.t4g.medium", "db.r6g.large", "db.r6g.xlarge", "db.serverless"} <= {
        item["DBInstanceClass"] for item in classes
    }
    groups = staging.describe_db_cluster_parameter_groups(DBClusterParameterGroupName="default.aurora-mysql8.0")
    assert groups["DBClusterParameterGroups"][0]["DBParameterGroupFamily"] == "aurora-mysql8.0"


def test_events(production: Any, base: h.Base) -> None:
    events = production.describe_events(SourceType="db-cluster-snapshot", SourceIdentifier="rds-base")["Events"]
    assert [event["Message"] for event in events[:2]] == [  # other tests may have exported it since
        "Creating manual cluster snapshot",
        "Manual cluster snapshot created",
    ]
    assert production.describe_events(SourceType="db-cluster", SourceIdentifier="nope")["Events"] == []
    assert events[0]["SourceArn"] == base.arn
