"""The utilities, in a real Airflow: what AWS has afterwards, a second run, and what is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.local.refresh.conftest import PRODUCTION, SHARED, STAGING

pytestmark = pytest.mark.local

LIVE, OLD, RESTORED = "staging-shop", "staging-shop-old", "staging-shop-restore"
ARN = f"arn:aws:rds:eu-west-1:{STAGING}:"


def tags(workflows, cluster_id):
    return {tag["Key"]: tag["Value"] for tag in workflows.estate.cluster(STAGING, cluster_id)["TagList"]}


def wait(rds, name, what="db_cluster_available"):
    rds.get_waiter(what).wait(DBClusterIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


@pytest.fixture
def leftovers(workflows):
    """An old cluster with an instance, and the snapshots that a dead refresh shared and copied."""
    staging, production = workflows.stack.aws(STAGING, "rds"), workflows.stack.aws(PRODUCTION, "rds")
    refreshable = [{"Key": "refresh", "Value": "true"}]
    if workflows.estate.cluster(STAGING, OLD) is None:
        staging.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier=OLD, SourceDBClusterIdentifier=LIVE, UseLatestRestorableTime=True,
            DBSubnetGroupName="staging-db", Tags=refreshable,
        )  # fmt: skip
        wait(staging, OLD)
        staging.create_db_instance(DBInstanceIdentifier=f"{OLD}-1", DBClusterIdentifier=OLD, Engine="aurora-mysql",
                                   DBInstanceClass="db.r6g.large", Tags=refreshable)  # fmt: skip
        staging.get_waiter("db_instance_available").wait(
            DBInstanceIdentifier=f"{OLD}-1", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ours = [
        {"Key": "aurora-ops:owner", "Value": "aurora-ops"},
        {"Key": "aurora-ops:run", "Value": "refresh_staging/manual__dead"},
        {"Key": "aurora-ops:expires", "Value": expires},
    ]
    shared, copied, foreign = (
        "refresh-staging-prod-shop-20260101t000000", "copy-staging-prod-shop-20260101t000000", "somebodys"
    )  # fmt: skip
    for rds, cluster, name, marks in (
        (production, "prod-shop", shared, ours),
        (staging, LIVE, copied, ours),
        (production, "prod-shop", foreign, []),
    ):
        rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster, Tags=marks)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    for name in (shared, foreign):
        production.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[STAGING]
        )
    yield
    production.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=foreign)
    if workflows.estate.cluster(STAGING, OLD) is not None:
        workflows.run("db_ensure_cluster_not_exists", cluster=OLD)


def test_cleanup_and_stop(workflows, leftovers):
    foreign = workflows.stack.aws(PRODUCTION, "rds").describe_db_cluster_snapshot_attributes
    run = workflows.run("utils_cleanup_and_stop", cluster=LIVE)
    assert workflows.estate.cluster(STAGING, OLD)["Status"] == "stopped"
    assert workflows.estate.snapshots(PRODUCTION) == {"somebodys"}
    assert workflows.estate.snapshots(STAGING) == set()
    [attribute] = foreign(DBClusterSnapshotIdentifier="somebodys")["DBClusterSnapshotAttributesResult"][
        "DBClusterSnapshotAttributes"
    ]
    assert attribute["AttributeValues"] == [STAGING], "somebody else's share stays"
    assert workflows.estate.cluster(STAGING, LIVE)["Status"] == "available"
    assert workflows.result(run, "clear_copied_snapshots")["deleted"] == ["copy-staging-prod-shop-20260101t000000"]

    began = time.time()
    workflows.run("utils_cleanup_and_stop", cluster=LIVE)
    assert workflows.mutations(began) == []

    workflows.run("utils_cleanup_and_stop", cluster=LIVE, old_cluster="delete", confirm=LIVE)
    assert workflows.estate.cluster(STAGING, OLD) is None
    assert workflows.record(run)["outcome"] == "succeeded"


def test_cleanup_refused(workflows):
    wrong = [
        ({}, "cluster"),
        ({"cluster": OLD}, "live clusters are"),
        ({"cluster": "prod-shop"}, "safety.allowed_clusters allows"),
        ({"cluster": LIVE, "old_cluster": "burn"}, "old_cluster"),
        ({"cluster": LIVE, "old_cluster": "delete"}, "type the cluster's name"),
        ({"cluster": LIVE, "stop_live": True, "confirm": "yes"}, "type the cluster's name"),
        ({"cluster": LIVE, "keep_stopped_days": 3}, "only with stop_live"),
    ]
    workflows.refuses("utils_cleanup_and_stop", wrong)


def test_notify_writes_and_announces(workflows):
    said = {
        "subject": "staging is closed",
        "message": "until noon",
        "outcome": "warning",
        "cause": "a test",
        "duration_s": 12.5,
    }
    run = workflows.run("utils_notify", **said)
    item = workflows.estate.find_record(run)
    assert (item["pk"], item["subject"], item["outcome"], item["cause"]) == (
        "notice#staging", "staging is closed", "warning", "a test",
    )  # fmt: skip
    [heard] = workflows.estate.announcements()
    assert heard["Subject"] == "staging is closed"
    assert "until noon" in heard["Message"]
    assert "Duration: 12.5 s" in heard["Message"]
    assert heard["MessageAttributes"]["outcome"]["Value"] == "warning"
    workflows.stack.api.clear(run, only_failed=False)
    assert workflows.stack.wait(run).state == "success"
    assert len([one for one in workflows.estate.items() if one["pk"] == "notice#staging"]) == 1


def test_notify_always_fires(workflows):
    workflows.estate.fail(
        service="dynamodb", action="PutItem", code="ValidationException", message="a planted refusal", times=1
    )
    assert "a planted refusal" in workflows.fails("utils_notify", subject="still heard", message="x")
    assert [heard["Subject"] for heard in workflows.estate.announcements()] == ["still heard"]


def test_notify_refused(workflows):
    wrong = [
        ({"message": "x"}, "subject"),
        ({"subject": "two\nlines", "message": "x"}, "subject"),
        ({"subject": "x" * 100, "message": "x"}, "subject"),
        ({"subject": "x", "message": "x", "outcome": "fine"}, "outcome"),
    ]
    workflows.refuses("utils_notify", wrong)


def test_prepare_refresh_shows_the_plan_and_changes_nothing(workflows):
    began = time.time()
    run = workflows.run("utils_prepare_refresh", readers=2)
    plan = workflows.result(run, "plan_refresh")
    assert (plan["target_cluster"], plan["temporary_cluster"], plan["readers"]) == (LIVE, RESTORED, 2)
    text = {key: value for name, key, value in workflows.stack.api.all_xcoms(run) if name == "plan_refresh"}["plan"]
    assert "prod-shop" in text
    assert [call["action"] for call in workflows.estate.mutations(began)] == []
    assert workflows.estate.find_record(run) is None


def test_prepare_refresh_refused(workflows):
    wrong = [
        ({"readers": 16}, "readers"),
        ({"environment": "production"}, "environment"),
        ({"snapshot": "new est"}, "snapshot"),
        ({"dry_run": True}, "known run parameters are"),
    ]
    workflows.refuses("utils_prepare_refresh", wrong)


def test_prepare_refresh_says_what_the_refresh_would(workflows):
    began = time.time()
    assert "is not in safety.allowed_clusters" in workflows.fails("utils_prepare_refresh", target_cluster="other")
    said = workflows.fails("utils_prepare_refresh", keep_tables=["shop.nothing"], instance_class="db.r1.nothing")
    assert "database.keep_tables" in said
    assert "target.instances.class" in said
    assert workflows.mutations(began) == []


def test_tag_resources(workflows):
    instance = workflows.estate.cluster(STAGING, LIVE)["DBClusterMembers"][0]["DBInstanceIdentifier"]
    asked = {
        "resource_arns": [f"{ARN}cluster:{LIVE}", f"{ARN}db:{instance}"],
        "tags": {"cost-centre": "4711", "aws:mine": "no"},
    }
    before = tags(workflows, LIVE)
    run = workflows.run("utils_tag_resources", **asked)
    assert tags(workflows, LIVE) == {**before, "cost-centre": "4711"}
    rds = workflows.stack.aws(STAGING, "rds")
    found = rds.list_tags_for_resource(ResourceName=f"{ARN}db:{instance}")["TagList"]
    assert {"Key": "cost-centre", "Value": "4711"} in found
    assert workflows.result(run, "tag_resources")["tags"] == {"cost-centre": "4711"}
    began = time.time()
    again = workflows.run("utils_tag_resources", **asked)
    assert workflows.mutations(began) == []
    assert workflows.result(again, "tag_resources")["tagged"] == []


def test_a_resource_that_aws_does_not_tag_is_named(workflows):
    said = workflows.fails(
        "utils_tag_resources", resource_arns=[f"{ARN}cluster:{LIVE}", f"{ARN}db:{LIVE}-16"], tags={"a": "b"}
    )
    assert f"1 of 2 resources are not tagged: {ARN}db:{LIVE}-16" in said
    assert tags(workflows, LIVE)["a"] == "b"


def test_tag_resources_refused(workflows):
    wrong = [
        ({"tags": {"a": "b"}}, "resource_arns"),
        ({"resource_arns": [f"{ARN}cluster:{LIVE}"]}, "tags"),
        ({"resource_arns": ["staging-shop"], "tags": {"a": "b"}}, "write the ARN"),
        ({"resource_arns": [f"{ARN}cluster:other"], "tags": {"a": "b"}}, "safety.allowed_clusters allows"),
        (
            {"resource_arns": [f"arn:aws:rds:eu-west-1:{PRODUCTION}:cluster:{LIVE}"], "tags": {"a": "b"}},
            "is not of account",
        ),
        ({"resource_arns": [f"{ARN}db:other-1"], "tags": {"a": "b"}}, "no instance of a cluster"),
        ({"resource_arns": [f"arn:aws:sqs:eu-west-1:{SHARED}:q"], "tags": {"a": "b"}}, "write the ARN"),
        ({"resource_arns": [f"{ARN}cluster:{LIVE}"], "tags": {"refresh": "true"}}, "decides what may be overwritten"),
        (
            {"resource_arns": [f"{ARN}cluster:{LIVE}"], "tags": {"aurora-ops:expires": "x"}},
            "decides what may be overwritten",
        ),
        ({"resource_arns": [f"{ARN}cluster:{LIVE}"], "tags": {"aws:a": "b"}}, "does not begin with aws:"),
    ]
    workflows.refuses("utils_tag_resources", wrong)
