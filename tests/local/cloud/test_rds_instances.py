"""Cluster members: writer and readers, names, classes, deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local
TRIO = ("rds-trio-1", "rds-trio-2", "rds-trio-3")


@pytest.fixture
def staging(cloud: LocalCloud) -> Any:
    return cloud.client(h.STAGING, "rds")


@pytest.fixture(scope="module")
def trio(cloud: LocalCloud) -> Iterator[dict[str, Any]]:
    """A cluster with writer and two readers."""
    rds = cloud.client(h.STAGING, "rds")
    h.create_cluster(rds, "rds-trio")
    for number, name in enumerate(TRIO):
        h.create_instance(rds, name, "rds-trio", wait=False, PromotionTier=3 - number)
    for name in TRIO:
        h.wait_instance(rds, name)
    yield h.cluster(rds, "rds-trio")
    h.delete_cluster(rds, "rds-trio")


def writer(rds: Any) -> str:
    members = h.cluster(rds, "rds-trio")["DBClusterMembers"]
    found = [member["DBInstanceIdentifier"] for member in members if member["IsClusterWriter"]]
    assert len(found) == 1, members
    return str(found[0])


def test_the_first_is_the_writer_and_all_serve_the_same_data(staging: Any, trio: dict[str, Any]) -> None:
    assert writer(staging) == "rds-trio-1"
    members = [h.instance(staging, name) for name in TRIO]
    assert len({member["DbiResourceId"] for member in members}) == 3
    assert len({member["AvailabilityZone"] for member in members}) == 3
    addresses = {member["Endpoint"]["Address"] for member in members}
    assert len(addresses) == 3
    h.query(trio["Endpoint"], trio["Port"], "CREATE DATABASE IF NOT EXISTS everywhere")
    for address in addresses | {trio["ReaderEndpoint"]}:
        assert h.query(
            address, trio["Port"], "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'everywhere'"
        ) == ((1,),)


def test_failover_and_promotion(cloud: LocalCloud, staging: Any, trio: dict[str, Any]) -> None:
    with h.held(cloud):
        staging.failover_db_cluster(DBClusterIdentifier="rds-trio", TargetDBInstanceIdentifier="rds-trio-2")
        assert h.cluster(staging, "rds-trio")["Status"] == "failing-over"
    h.wait_cluster(staging, "rds-trio")
    assert writer(staging) == "rds-trio-2"
    with h.refused("InvalidDBClusterStateFault", "no available reader"):
        staging.failover_db_cluster(DBClusterIdentifier="rds-trio", TargetDBInstanceIdentifier="rds-trio-2")
    # the reader with the lowest tier takes over from a deleted writer
    gone = h.instance(staging, "rds-trio-2")
    with h.held(cloud):
        staging.delete_db_instance(DBInstanceIdentifier="rds-trio-2", SkipFinalSnapshot=True)
        assert h.instance(staging, "rds-trio-2")["DBInstanceStatus"] == "deleting"
    h.wait_instance(staging, "rds-trio-2", "gone")
    assert writer(staging) == "rds-trio-3"
    assert not h.listens(gone["Endpoint"]["Address"], trio["Port"])
    assert h.query(trio["Endpoint"], trio["Port"], "SELECT 1") == ((1,),)
    h.create_instance(staging, "rds-trio-2", "rds-trio")
    assert h.instance(staging, "rds-trio-2")["DbiResourceId"] != gone["DbiResourceId"]
    assert writer(staging) == "rds-trio-3"


def test_a_reader_in_the_making_takes_over_from_a_deleted_writer(cloud: LocalCloud, staging: Any) -> None:
    h.create_cluster(staging, "rds-heir")
    h.create_instance(staging, "rds-heir-1", "rds-heir")
    with h.held(cloud):
        h.create_instance(staging, "rds-heir-2", "rds-heir", wait=False)
        staging.delete_db_instance(DBInstanceIdentifier="rds-heir-1")
        with h.refused("InvalidDBInstanceState", "creating"):
            staging.delete_db_instance(DBInstanceIdentifier="rds-heir-2")
    h.wait_instance(staging, "rds-heir-1", "gone")
    h.wait_instance(staging, "rds-heir-2")
    member = h.cluster(staging, "rds-heir")["DBClusterMembers"][0]
    assert (member["DBInstanceIdentifier"], member["IsClusterWriter"]) == ("rds-heir-2", True)
    h.delete_cluster(staging, "rds-heir")


def test_after_the_last_member_nothing_listens_and_the_data_stay(staging: Any) -> None:
    made = h.create_cluster(staging, "rds-last", DatabaseName="kept")
    h.create_instance(staging, "rds-last-1", "rds-last")
    staging.delete_db_instance(DBInstanceIdentifier="rds-last-1")
    h.wait_instance(staging, "rds-last-1", "gone")
    assert h.cluster(staging, "rds-last")["Status"] == "available"
    assert not h.listens(made["Endpoint"], made["Port"])
    h.create_instance(staging, "rds-last-2", "rds-last")
    assert h.query(made["Endpoint"], made["Port"], "SHOW DATABASES LIKE 'kept'") == (("kept",),)
    h.delete_cluster(staging, "rds-last")


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("DBClusterNotFoundFault", {"DBClusterIdentifier": "nope"}),
        ("DBInstanceAlreadyExists", {"DBInstanceIdentifier": "RDS-trio-1"}),
        ("InvalidParameterValue", {"DBInstanceIdentifier": "1st"}),
        ("InvalidParameterValue", {"DBInstanceClass": "bogus"}),
        ("InvalidParameterCombination", {"DBInstanceClass": "db.m1.small"}),
        ("InvalidParameterCombination", {"DBInstanceClass": "db.serverless"}),
        ("InvalidParameterCombination", {"Engine": "aurora-postgresql"}),
        ("InvalidParameterCombination", {"EngineVersion": "8.0.mysql_aurora.3.04.4"}),
        ("InvalidParameterCombination", {"MasterUserPassword": h.PASSWORD}),
        ("InvalidParameterCombination", {"VpcSecurityGroupIds": ["sg-1"]}),
        ("InvalidParameterValue", {"AvailabilityZone": "us-east-1a"}),
        ("InvalidParameterValue", {"PromotionTier": 16}),
        ("DBParameterGroupNotFound", {"DBParameterGroupName": "nope"}),
    ],
)
def test_refused_members(staging: Any, trio: dict[str, Any], code: str, parameters: dict[str, Any]) -> None:
    name = {"DBInstanceIdentifier": "rds-never", "DBClusterIdentifier": "rds-trio"}
    with h.refused(code):
        staging.create_db_instance(**{**name, "Engine": h.ENGINE, "DBInstanceClass": h.CLASS, **parameters})
    assert len(h.cluster(staging, "rds-trio")["DBClusterMembers"]) == 3


def test_rename_and_class_of_a_member(cloud: LocalCloud, staging: Any, trio: dict[str, Any]) -> None:
    before = h.instance(staging, "rds-trio-1")
    change = {"DBInstanceIdentifier": "rds-trio-1"}
    for code, wrong in (
        ("InvalidParameterCombination", {"VpcSecurityGroupIds": ["sg-1"]}),
        ("InvalidParameterCombination", {"BackupRetentionPeriod": 3}),
        ("InvalidParameterCombination", {"MasterUserPassword": h.PASSWORD}),
        ("InvalidParameterCombination", {"NewDBInstanceIdentifier": "rds-x"}),
        ("DBInstanceAlreadyExists", {"NewDBInstanceIdentifier": "rds-trio-3", "ApplyImmediately": True}),
        ("InvalidParameterValue", {"NewDBInstanceIdentifier": "x--y", "ApplyImmediately": True}),
        ("InvalidParameterValue", {"DBInstanceClass": "bogus", "ApplyImmediately": True}),
    ):
        with h.refused(code):
            staging.modify_db_instance(**change, **wrong)
    with h.held(cloud):
        staging.modify_db_instance(**change, NewDBInstanceIdentifier="rds-uno", ApplyImmediately=True)
        with h.refused("DBInstanceNotFound"):
            h.instance(staging, "rds-uno")
        with h.refused("DBInstanceAlreadyExists"):
            staging.modify_db_instance(
                DBInstanceIdentifier="rds-trio-2", NewDBInstanceIdentifier="rds-uno", ApplyImmediately=True
            )
        h.wait_instance(staging, "rds-trio-1", "renaming")
    h.wait_instance(staging, "rds-uno")
    with h.refused("DBInstanceNotFound"):
        h.instance(staging, "rds-trio-1")
    after = h.instance(staging, "rds-uno")
    assert after["DbiResourceId"] == before["DbiResourceId"]
    bigger = {"DBInstanceIdentifier": "rds-uno", "DBInstanceClass": "db.r6g.large"}
    with h.held(cloud):
        staging.modify_db_instance(**bigger, ApplyImmediately=True)
        h.wait_instance(staging, "rds-uno", "modifying")
    h.wait_instance(staging, "rds-uno")
    assert h.instance(staging, "rds-uno")["DBInstanceClass"] == "db.r6g.large"
    assert h.query(after["Endpoint"]["Address"], trio["Port"], "SELECT 1") == ((1,),)
    assert not h.listens(before["Endpoint"]["Address"], trio["Port"])
    back = {"DBInstanceIdentifier": "rds-uno", "NewDBInstanceIdentifier": "rds-trio-1"}
    staging.modify_db_instance(**back, ApplyImmediately=True)
    h.wait_instance(staging, "rds-trio-1")


def test_find_members(staging: Any, trio: dict[str, Any]) -> None:
    def names(**how: Any) -> list[str]:
        return [item["DBInstanceIdentifier"] for item in staging.describe_db_instances(**how)["DBInstances"]]

    for value in ("rds-trio", trio["DBClusterArn"]):
        assert names(Filters=[{"Name": "db-cluster-id", "Values": [value]}]) == list(TRIO)
    resource = h.instance(staging, "rds-trio-2")["DbiResourceId"]
    assert names(Filters=[{"Name": "dbi-resource-id", "Values": [resource]}]) == ["rds-trio-2"]
    assert names(Filters=[{"Name": "db-cluster-id", "Values": ["nope"]}]) == []
    with h.refused("InvalidParameterValue", "Unrecognized filter name"):
        names(Filters=[{"Name": "engine-version", "Values": ["x"]}])
    with h.refused("DBInstanceNotFound"):
        names(DBInstanceIdentifier="nope")


def test_instances_of_moto_live_beside_the_members(staging: Any, trio: dict[str, Any]) -> None:
    staging.create_db_instance(
        DBInstanceIdentifier="rds-alone",
        DBInstanceClass="db.m5.large",
        Engine="mysql",
        AllocatedStorage=20,
        MasterUsername="admin",
        MasterUserPassword=h.PASSWORD,
    )
    every = [item["DBInstanceIdentifier"] for item in staging.describe_db_instances()["DBInstances"]]
    assert {"rds-alone", *TRIO} <= set(every)
    arn = h.instance(staging, "rds-alone")["DBInstanceArn"]
    staging.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert staging.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "b"}]
    with h.refused("DBInstanceAlreadyExists"):
        h.create_instance(staging, "rds-alone", "rds-trio", wait=False)
    staging.delete_db_instance(DBInstanceIdentifier="rds-alone", SkipFinalSnapshot=True)
    with h.refused("InvalidParameterCombination", "DBClusterIdentifier"):
        staging.create_db_instance(DBInstanceIdentifier="rds-never", DBInstanceClass=h.CLASS, Engine=h.ENGINE)


def test_enhanced_monitoring_is_configured_before_the_instance_is_available(staging: Any, trio: dict[str, Any]) -> None:
    h.create_instance(staging, "rds-trio-4", "rds-trio", wait=False, MonitoringInterval=60)
    seen = h.wait_instance(staging, "rds-trio-4")
    assert seen == ["creating", "configuring-enhanced-monitoring", "available"]
    with h.refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier"):
        staging.delete_db_instance(DBInstanceIdentifier="rds-trio-4", FinalDBSnapshotIdentifier="x")
    staging.delete_db_instance(DBInstanceIdentifier="rds-trio-4")
    h.wait_instance(staging, "rds-trio-4", "gone")
