"""Workflows on clusters, in a real Airflow: what AWS has afterwards, a second run, and what is refused."""

from __future__ import annotations

import time

import pymysql
import pytest

from devstack import waiting
from tests.local.refresh.conftest import SHARED, STAGING, TARGET_KEY

pytestmark = [pytest.mark.local, pytest.mark.slow]

LIVE, RESTORED, OLD = "staging-shop", "staging-shop-restore", "staging-shop-old"
ROLE = "arn:aws:iam::222222222222:role/staging-shop-aurora-s3"


@pytest.fixture
def rds(workflows):
    return workflows.stack.aws(STAGING, "rds")


@pytest.fixture
def restored(workflows, rds):
    """A cluster beside the live one, without instances unless a test has given it some."""
    if workflows.estate.cluster(STAGING, RESTORED) is None:
        rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="for-tests", DBClusterIdentifier=LIVE)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier="for-tests", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier=RESTORED, SnapshotIdentifier="for-tests", Engine="aurora-mysql",
            DBSubnetGroupName="staging-db", Tags=[{"Key": "refresh", "Value": "true"}],
        )  # fmt: skip
        rds.get_waiter("db_cluster_available").wait(
            DBClusterIdentifier=RESTORED, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="for-tests")
    return workflows.estate.cluster(STAGING, RESTORED)


def members(workflows, name):
    return {one["DBInstanceIdentifier"] for one in workflows.estate.cluster(STAGING, name)["DBClusterMembers"]}


def settled(workflows, name):
    """Wait until a cluster and its instances are available, under the names that they shall have."""

    def look():
        cluster = workflows.estate.cluster(STAGING, name)
        found = workflows.stack.aws(STAGING, "rds").describe_db_instances()["DBInstances"]
        mine = [one for one in found if one["DBClusterIdentifier"] == name]
        states = {one["DBInstanceStatus"] for one in mine} | {cluster["Status"] if cluster else "absent"}
        return states == {"available"} and not any(
            "PendingModifiedValues" in one and one["PendingModifiedValues"] for one in mine
        )

    waiting.until(look, what=f"{name} to settle", timeout_s=120)


def again_is_harmless(workflows, dag_id, **conf):
    began = time.time()
    workflows.run(dag_id, **conf)
    assert workflows.mutations(began) == []


def test_create_instance(workflows, restored):
    workflows.run("db_create_instance", cluster=RESTORED, count=2)
    assert members(workflows, RESTORED) == {f"{RESTORED}-1", f"{RESTORED}-2"}
    again_is_harmless(workflows, "db_create_instance", cluster=RESTORED, count=2)


def test_enable_master_secret(workflows, restored):
    workflows.run("db_create_instance", cluster=RESTORED)
    workflows.run("db_enable_master_secret", cluster=RESTORED)
    secret = workflows.estate.cluster(STAGING, RESTORED)["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    workflows.estate.connect(STAGING, RESTORED).close()
    again_is_harmless(workflows, "db_enable_master_secret", cluster=RESTORED)


def test_configure_s3_integration(workflows, restored):
    workflows.run("db_configure_s3_integration", cluster=RESTORED)
    [role] = workflows.estate.cluster(STAGING, RESTORED)["AssociatedRoles"]
    assert (role["RoleArn"], role["Status"]) == (ROLE, "ACTIVE")
    group = workflows.estate.cluster(STAGING, RESTORED)["DBClusterParameterGroup"]
    assert group.startswith("default."), "nobody may change that one, which the log says"
    workflows.run("db_configure_s3_integration", cluster=LIVE)
    parameters = workflows.stack.aws(STAGING, "rds").describe_db_cluster_parameters(
        DBClusterParameterGroupName="staging-shop", Source="user"
    )["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in parameters}["aws_default_s3_role"] == ROLE
    again_is_harmless(workflows, "db_configure_s3_integration", cluster=RESTORED)


def test_stop_and_start(workflows, restored):
    workflows.run("db_create_instance", cluster=RESTORED)
    stop = {"cluster": RESTORED, "confirm": RESTORED, "keep_stopped_days": 30}
    workflows.run("db_stop_cluster", **stop)
    assert workflows.estate.cluster(STAGING, RESTORED)["Status"] == "stopped"
    again_is_harmless(workflows, "db_stop_cluster", **stop)

    # RDS starts it after seven days: the daily reaper stops it again, and reports on a dry run only
    rds = workflows.stack.aws(STAGING, "rds")
    rds.start_db_cluster(DBClusterIdentifier=RESTORED)
    waiter = rds.get_waiter("db_cluster_available")
    waiter.wait(DBClusterIdentifier=RESTORED, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    reap = workflows.stack.wait(workflows.stack.trigger("reap_expired", {"dry_run": False}))
    assert reap.state == "success", workflows.stack.states(reap)
    assert workflows.estate.cluster(STAGING, RESTORED)["Status"] in ("stopping", "stopped")

    run = workflows.run("db_ensure_cluster_available", cluster=RESTORED)
    cluster = workflows.estate.cluster(STAGING, RESTORED)
    assert cluster["Status"] == "available"
    assert "aurora-ops:keep-stopped-until" not in {tag["Key"] for tag in cluster["TagList"]}
    assert workflows.result(run, "ensure_cluster_available")["endpoint"] == cluster["Endpoint"]
    again_is_harmless(workflows, "db_ensure_cluster_available", cluster=RESTORED)


def test_rename_cluster_swaps_and_puts_back(workflows, rds, restored):
    workflows.run("db_ensure_cluster_not_exists", cluster=OLD)
    workflows.run("db_create_instance", cluster=RESTORED)
    workflows.run("db_enable_master_secret", cluster=RESTORED)
    live, blue = workflows.estate.cluster(STAGING, LIVE), workflows.estate.cluster(STAGING, RESTORED)

    workflows.estate.fail(service="rds", action="ModifyDBCluster", match=f'"NewDBClusterIdentifier": "{LIVE}"',
                          code="InvalidParameterCombination", message="a planted refusal", times=1)  # fmt: skip
    assert "a planted refusal" in workflows.fails("db_rename_cluster", cluster=LIVE)
    assert workflows.estate.cluster(STAGING, LIVE)["DbClusterResourceId"] == live["DbClusterResourceId"]
    assert workflows.estate.cluster(STAGING, OLD) is None

    run = workflows.run("db_rename_cluster", cluster=LIVE)
    now = workflows.estate.cluster(STAGING, LIVE)
    assert now["DbClusterResourceId"] == blue["DbClusterResourceId"]
    assert now["Endpoint"] == live["Endpoint"]
    assert workflows.estate.cluster(STAGING, OLD)["DbClusterResourceId"] == live["DbClusterResourceId"]
    assert workflows.result(run, "find_serving")["resource_id"] == blue["DbClusterResourceId"]

    said = workflows.refused("db_rename_cluster", cluster=LIVE)
    assert "no cluster staging-shop-restore" in said
    assert "free it first" in said

    # back again, the same way: as if the former cluster had been restored, its instances' names too
    rds.modify_db_cluster(DBClusterIdentifier=OLD, NewDBClusterIdentifier=RESTORED, ApplyImmediately=True)
    settled(workflows, RESTORED)
    for name in members(workflows, RESTORED):
        rds.modify_db_instance(
            DBInstanceIdentifier=name, NewDBInstanceIdentifier=name.replace(OLD, RESTORED), ApplyImmediately=True
        )
    settled(workflows, RESTORED)
    workflows.run("db_rename_cluster", cluster=LIVE)
    assert workflows.estate.cluster(STAGING, LIVE)["DbClusterResourceId"] == live["DbClusterResourceId"]
    workflows.run("db_ensure_cluster_not_exists", cluster=OLD)


def test_rotate_secrets(workflows):
    before = workflows.estate.secret(STAGING, "staging/shop/app")
    other = workflows.estate.secret(STAGING, "staging/shop/readonly")
    run = workflows.run("db_rotate_secrets", cluster=LIVE, usernames=["shop_app"])
    after = workflows.estate.secret(STAGING, "staging/shop/app")
    assert after["password"] != before["password"]
    assert {**after, "password": ""} == {**before, "password": ""}
    workflows.estate.connect(STAGING, LIVE, "shop_app", after["password"]).close()
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        workflows.estate.connect(STAGING, LIVE, "shop_app", before["password"])
    assert workflows.estate.secret(STAGING, "staging/shop/readonly") == other
    assert after["password"] not in str(workflows.stack.api.all_xcoms(run))


def test_a_locked_target_is_left_alone(workflows):
    table, key = workflows.stack.aws(SHARED, "dynamodb"), {"pk": {"S": TARGET_KEY}, "sk": {"S": "lock"}}
    table.put_item(
        TableName="aurora-ops-runs",
        Item={**key, "holder": {"S": "refresh_staging/night"}, "expires_at": {"N": "4000000000"}},
    )
    try:
        said = workflows.refused("db_rotate_secrets", cluster=LIVE)
    finally:
        table.delete_item(TableName="aurora-ops-runs", Key=key)
    assert "refresh_staging/night" in said


def test_delete_cluster(workflows, restored):
    run = workflows.run("db_delete_cluster", cluster=RESTORED, confirm=RESTORED)
    assert workflows.estate.cluster(STAGING, RESTORED) is None
    [name] = workflows.estate.snapshots(STAGING)
    assert name.startswith(f"final-staging-{RESTORED}-")
    again_is_harmless(workflows, "db_delete_cluster", cluster=RESTORED, confirm=RESTORED, final_snapshot=False)
    workflows.stack.aws(STAGING, "rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    assert workflows.record(run)["conf"]["confirm"] == RESTORED


def test_ensure_cluster_not_exists(workflows, restored):
    workflows.run("db_ensure_cluster_not_exists", cluster=RESTORED)
    assert workflows.estate.cluster(STAGING, RESTORED) is None
    assert workflows.estate.snapshots(STAGING) == set()
    again_is_harmless(workflows, "db_ensure_cluster_not_exists", cluster=RESTORED)


REFUSED = [
    ("db_create_instance", {}, "cluster"),
    ("db_create_instance", {"cluster": "Prod_Shop"}, "cluster"),
    ("db_create_instance", {"cluster": "prod-shop"}, "safety.allowed_clusters allows"),
    ("db_create_instance", {"cluster": RESTORED}, "no cluster staging-shop-restore"),
    ("db_create_instance", {"cluster": LIVE, "first": 16, "count": 16}, "at most 16 instances"),
    ("db_create_instance", {"cluster": LIVE, "instance_class": "huge"}, "instance_class"),
    ("db_enable_master_secret", {"cluster": "prod-shop"}, "safety.allowed_clusters allows"),
    ("db_configure_s3_integration", {"cluster": LIVE, "role_arn": "arn:aws:iam::222222222222:role/admin"}, "role_arn"),
    ("db_configure_s3_integration", {"cluster": LIVE, "role_arn": "admin"}, "role_arn"),
    ("db_stop_cluster", {"cluster": LIVE, "confirm": "yes"}, "type the cluster's name"),
    ("db_stop_cluster", {"cluster": LIVE}, "confirm"),
    ("db_stop_cluster", {"cluster": LIVE, "confirm": LIVE, "keep_stopped_days": 0}, "keep_stopped_days"),
    ("db_ensure_cluster_available", {"cluster": "staging-shop2"}, "safety.allowed_clusters allows"),
    ("db_ensure_cluster_not_exists", {"cluster": LIVE}, "db_delete_cluster"),
    ("db_delete_cluster", {"cluster": LIVE, "confirm": "staging"}, "type the cluster's name"),
    ("db_delete_cluster", {"cluster": "prod-shop", "confirm": "prod-shop"}, "safety.allowed_clusters allows"),
    ("db_rename_cluster", {"cluster": RESTORED}, "live clusters are"),
    ("db_rename_cluster", {"cluster": LIVE, "restored": "x"}, "known run parameters are"),
    ("db_rotate_secrets", {"cluster": LIVE, "usernames": ["root"]}, "database.users of the environment are"),
]


def test_refused(workflows):
    answers = workflows.all_refused([(dag_id, conf) for dag_id, conf, _ in REFUSED])
    wrong = [(case, answer) for case, answer in zip(REFUSED, answers, strict=True) if case[2] not in answer]
    assert wrong == []
