"""Restoring a cluster from the trigger form, in a real Airflow: from every type of source; what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from devstack import waiting
from tests.local.refresh.conftest import PRODUCTION, STAGING

pytestmark = [pytest.mark.local, pytest.mark.slow]

DAG, LIVE, RESTORED = "db_restore_cluster", "staging-shop", "staging-shop-restore"
CUSTOMERS = "SELECT COUNT(*) FROM shop.customers"


@pytest.fixture
def free(workflows):
    """The name is free before and after."""
    clear(workflows)
    yield
    clear(workflows)


def clear(workflows):
    if workflows.estate.cluster(STAGING, RESTORED) is not None:
        workflows.run("db_ensure_cluster_not_exists", cluster=RESTORED)


def rename(workflows, old, new):
    workflows.stack.aws(STAGING, "rds").modify_db_cluster(
        DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True
    )

    def renamed():
        found = workflows.estate.cluster(STAGING, new)
        return found is not None and found["Status"] == "available"

    waiting.until(renamed, what=f"{new}", timeout_s=60, every_s=0.3)


def tags(cluster):
    return {tag["Key"]: tag["Value"] for tag in cluster["TagList"]}


def shares(workflows):
    ram = workflows.stack.aws(PRODUCTION, "ram")
    return ram.get_resource_shares(resourceOwner="SELF", resourceShareStatus="ACTIVE")["resourceShares"]


def grants(workflows):
    kms = workflows.stack.aws(PRODUCTION, "kms")
    return [
        grant.get("Name") for grant in kms.list_grants(KeyId=key(workflows, PRODUCTION, "alias/shop-prod"))["Grants"]
    ]


def key(workflows, account, alias):
    return workflows.stack.aws(account, "kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"]


def test_from_the_newest_snapshot(workflows, free):
    rds = workflows.stack.aws(STAGING, "rds")
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="restore-me", DBClusterIdentifier=LIVE)
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier="restore-me", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    live = workflows.estate.cluster(STAGING, LIVE)
    rows = workflows.estate.rows(STAGING, LIVE, CUSTOMERS)
    run = workflows.run(DAG, cluster=LIVE, readers=1, keep_days=3)
    found = workflows.estate.cluster(STAGING, RESTORED)
    assert found["Status"] == "available"
    assert {member["DBInstanceIdentifier"] for member in found["DBClusterMembers"]} == {
        f"{RESTORED}-1",
        f"{RESTORED}-2",
    }
    assert found["KmsKeyId"] == key(workflows, STAGING, "alias/shop-staging")
    assert found["VpcSecurityGroups"] != live["VpcSecurityGroups"], "isolated"
    assert found["MasterUserSecret"]["SecretStatus"] == "active"
    assert found["DBClusterParameterGroup"] == "staging-shop"
    assert [role["Status"] for role in found["AssociatedRoles"]] == ["ACTIVE"]
    assert tags(found)["refresh"] == "true"
    expires = datetime.fromisoformat(tags(found)["aurora-ops:expires"]) - datetime.now(UTC)
    assert timedelta(days=2.9) < expires < timedelta(days=3.1)
    assert workflows.estate.rows(STAGING, RESTORED, CUSTOMERS) == rows
    assert workflows.estate.cluster(STAGING, LIVE)["DbClusterResourceId"] == live["DbClusterResourceId"]
    assert workflows.record(run)["outcome"] == "succeeded"

    began = time.time()
    workflows.stack.api.clear(run, only_failed=False)
    assert workflows.stack.wait(run).state == "success"
    assert workflows.mutations(began) == [], "it adopts what it has made"

    began = time.time()
    said = workflows.fails(DAG, cluster=LIVE)
    assert "exists already" in said
    assert "db_ensure_cluster_not_exists" in said
    assert workflows.mutations(began) == [], "nothing is restored over it"
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="restore-me")


@pytest.mark.parametrize(("restore_type", "shares_storage"), [("point_in_time", False), ("clone", True)])
def test_from_a_cluster_of_the_account(workflows, free, restore_type, shares_storage):
    rows = workflows.estate.rows(STAGING, LIVE, CUSTOMERS)
    workflows.run(
        DAG, cluster=LIVE, restore_type=restore_type, readers=0, instance_class="db.serverless", min_acu=0.5, max_acu=2
    )
    found = workflows.estate.cluster(STAGING, RESTORED)
    assert found["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 2
    assert [member["DBInstanceIdentifier"] for member in found["DBClusterMembers"]] == [f"{RESTORED}-1"]
    assert bool(found.get("CloneGroupId")) == shares_storage
    assert workflows.estate.rows(STAGING, RESTORED, CUSTOMERS) == rows


def test_to_a_moment(workflows, free):
    estate = workflows.estate
    connection = estate.connect(STAGING, LIVE)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE shop.moments (name VARCHAR(20))")
        cursor.execute("INSERT INTO shop.moments VALUES ('before')")
        connection.commit()
        moment = int(time.time()) + 1
        waiting.until(lambda: time.time() >= moment, what="a full second", timeout_s=5, every_s=0.01)
        cursor.execute("INSERT INTO shop.moments VALUES ('after')")
        cursor.execute("CREATE TABLE shop.after_it (id INT PRIMARY KEY)")
    asked = datetime.fromtimestamp(moment, UTC)
    try:
        waiting.until(
            lambda: estate.cluster(STAGING, LIVE)["LatestRestorableTime"] >= asked,
            what="the latest restorable time", timeout_s=30, every_s=0.3,
        )  # fmt: skip
        workflows.run(
            DAG, cluster=LIVE, restore_type="point_in_time", restore_to=asked.isoformat(), readers=0, keep_days=1
        )
        assert estate.rows(STAGING, RESTORED, "SELECT name FROM shop.moments") == [("before",)]
        assert estate.rows(STAGING, RESTORED, "SHOW TABLES FROM shop LIKE 'after_it'") == []
        assert estate.rows(STAGING, RESTORED, CUSTOMERS) == estate.rows(STAGING, LIVE, CUSTOMERS)
        assert len(estate.rows(STAGING, LIVE, "SELECT name FROM shop.moments")) == 2
    finally:
        estate.rows(STAGING, LIVE, "DROP TABLE shop.moments, shop.after_it")


def test_a_clone_of_the_source_through_ram(workflows, free):
    run = workflows.run(DAG, cluster=LIVE, restore_type="shared_clone", readers=0)
    found = workflows.estate.cluster(STAGING, RESTORED)
    assert found["CrossAccountClone"] is True
    assert found["KmsKeyId"] == key(workflows, STAGING, "alias/shop-staging")
    assert workflows.estate.rows(STAGING, RESTORED, CUSTOMERS) == workflows.estate.rows(
        PRODUCTION, "prod-shop", CUSTOMERS
    )
    assert shares(workflows) == []
    assert not any("clone-staging" in (name or "") for name in grants(workflows))

    # AWS allows one clone an account, whatever it is called
    rename(workflows, RESTORED, "aside")
    try:
        began = time.time()
        said = workflows.fails(DAG, cluster=LIVE, restore_type="shared_clone")
        assert "has a clone in this account already, aside" in said
        assert workflows.mutations(began) == []
    finally:
        rename(workflows, "aside", RESTORED)
    assert workflows.record(run)["outcome"] == "succeeded"


def test_a_clone_that_fails_leaves_nothing_shared(workflows, free):
    workflows.estate.fail(service="rds", action="RestoreDBClusterToPointInTime", code="InvalidParameterCombination",
                          message="a planted refusal", times=1)  # fmt: skip
    said = workflows.fails(DAG, cluster=LIVE, restore_type="shared_clone")
    assert "a planted refusal" in said
    assert shares(workflows) == []
    assert not any("clone-staging" in (name or "") for name in grants(workflows))
    assert workflows.estate.cluster(STAGING, RESTORED) is None


def test_refused(workflows):
    wrong = [
        ({}, "cluster"),
        ({"cluster": "prod-shop"}, "safety.allowed_clusters allows"),
        ({"cluster": RESTORED}, "live clusters are"),
        ({"cluster": LIVE, "restore_type": "backup"}, "restore_type"),
        ({"cluster": LIVE, "restore_type": "clone", "snapshot": "x"}, "only restore_type snapshot"),
        ({"cluster": LIVE, "restore_to": "2026-07-01T00:00:00Z"}, "only restore_type point_in_time"),
        ({"cluster": LIVE, "restore_type": "point_in_time", "restore_to": "2999-07-01T00:00:00Z"}, "in the past"),
        ({"cluster": LIVE, "restore_type": "point_in_time", "restore_to": "yesterday"}, "restore_to"),
        ({"cluster": LIVE, "restore_type": "clone", "source_cluster": "prod-shop"}, "allowed are"),
        ({"cluster": LIVE, "restore_type": "shared_clone", "source_cluster": "other"}, "source.cluster is"),
        ({"cluster": LIVE, "instance_class": "db.serverless"}, "needs min_acu and max_acu"),
        ({"cluster": LIVE, "min_acu": 1}, "only db.serverless takes a capacity"),
        ({"cluster": LIVE, "readers": 16}, "readers"),
        ({"cluster": LIVE, "snapshots": "x"}, "known run parameters are"),
    ]
    workflows.refuses(DAG, wrong)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"snapshot": "no-such"}, "no no-such behind"),
        ({"source_cluster": "prod-shop"}, "source.snapshot"),
        ({"restore_type": "point_in_time", "restore_to": "2020-01-01T00:00:00Z"}, "can be restored to moments from"),
        ({"instance_class": "db.r1.nothing"}, "cannot be ordered"),
    ],
)
def test_what_aws_has_not_is_found_before_anything_is_changed(workflows, free, conf, said):
    began = time.time()
    assert said in workflows.fails(DAG, cluster=LIVE, **conf)
    assert workflows.mutations(began) == []
