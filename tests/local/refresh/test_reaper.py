"""The reaper in a real Airflow, on what a refresh left that could not clean up after itself."""

from __future__ import annotations

import json
import time

import pytest

from localcloud.client import admin_operation
from tests.local.refresh.conftest import PRODUCTION, SHARED, STAGING, TARGET_KEY

pytestmark = [pytest.mark.local, pytest.mark.slow]

PAST = "2020-01-01T00:00:00+00:00"
LOCK = {"pk": {"S": TARGET_KEY}, "sk": {"S": "lock"}}
# What would clean up fails for good, the lock included: as if the run had been killed.
KILLED = [
    {"service": "rds", "action": "DeleteDBInstance", "match": "staging-shop-restore"},
    {"service": "rds", "action": "ModifyDBClusterSnapshotAttribute", "match": "ValuesToRemove"},
    {"service": "rds", "action": "DeleteDBClusterSnapshot"},
    {"service": "dynamodb", "action": "DeleteItem"},
]


def reap(stack, **conf):
    run = stack.wait(stack.trigger("reap_expired", conf))
    assert run.state == "success", (stack.states(run), [stack.log(run, "check")])
    return {name: value for name, key, value in stack.api.all_xcoms(run) if key == "report"}


def total(reports, what):
    return sum(report["counts"][what] for report in reports.values())


def elsewhere(estate, since):
    """Calls that may have changed something, the record of the run aside."""
    return [call["action"] for call in estate.mutations(since) if call["account"] != SHARED]


def age(stack, account):
    """Let what the run made have expired long ago."""
    rds = stack.aws(account, "rds")
    found = [
        (item[arn], item["TagList"])
        for items, arn in (
            (rds.describe_db_clusters()["DBClusters"], "DBClusterArn"),
            (rds.describe_db_instances()["DBInstances"], "DBInstanceArn"),
            (rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"], "DBClusterSnapshotArn"),
        )
        for item in items
    ]
    marked = [arn for arn, tags in found if "aurora-ops:expires" in {tag["Key"] for tag in tags}]
    for arn in marked:
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "aurora-ops:expires", "Value": PAST}])
    return sorted(arn.split(":", 5)[5] for arn in marked)


@pytest.fixture
def others(stack, estate):
    """Snapshots and a grant that are not ours, or look as if they were, and a serving cluster tagged as if it were expired."""
    rds, kms = stack.aws(STAGING, "rds"), stack.aws(PRODUCTION, "kms")
    ours = [{"Key": "aurora-ops:owner", "Value": "aurora-ops"}, {"Key": "aurora-ops:run", "Value": "dag/dead"}]
    ours.append({"Key": "aurora-ops:expires", "Value": PAST})
    snapshots = {"before-migration": ours, "annes": [], "refresh-staging-x-20260701t020000": []}
    for name, tags in snapshots.items():
        rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier="staging-shop", Tags=tags)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    serving = estate.cluster(STAGING, "staging-shop")["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=serving, Tags=ours)
    key = estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    grant = kms.create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{STAGING}:role/aurora-ops-destination", Operations=["Decrypt"],
        Name="somebody-elses",
    )  # fmt: skip
    yield set(snapshots)
    kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    rds.remove_tags_from_resource(ResourceName=serving, TagKeys=[tag["Key"] for tag in ours])
    for name in snapshots:
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


def test_what_a_dead_run_left_is_found_spared_while_it_may_live_and_removed(stack, estate, run_to_end, others):
    serving = estate.cluster(STAGING, "staging-shop")
    for rule in KILLED:
        estate.fail(**rule, code="InvalidParameterValue", message="killed", times=0)
    dead = run_to_end({"sensitive_columns": ["shop.products.name"]})  # a column that no rule masks
    assert dead.state == "failed"
    assert stack.states(dead)["mask.prove_mask"] == "failed"
    assert stack.states(dead)["switch.rename_live"] == "upstream_failed"
    admin_operation("faults-clear", stack.cloud)

    # all of it is marked
    in_source, in_target = age(stack, PRODUCTION), age(stack, STAGING)
    assert [name.rsplit("-", 1)[0] for name in in_source] == ["cluster-snapshot:rekeyed-staging-prod-shop"]
    assert [name for name in in_target if "copy-staging" not in name] == [
        "cluster-snapshot:before-migration",
        "cluster:staging-shop",
        "cluster:staging-shop-restore",
        "db:staging-shop-restore-1",
        "db:staging-shop-restore-2",
    ]
    assert len(in_target) == 6
    key = estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    kms = stack.aws(PRODUCTION, "kms")
    assert len(kms.list_grants(KeyId=key)["Grants"]) == 2

    # its lock is not over: nothing is touched
    begun = time.time()
    reports = reap(stack, dry_run=False)
    assert elsewhere(estate, begun) == []
    assert (total(reports, "removed"), total(reports, "expired"), total(reports, "failed")) == (0, 0, 0)
    assert total(reports, "kept") >= 3

    # its lock is over: a dry run tells, and changes nothing anywhere
    stack.aws(SHARED, "dynamodb").update_item(
        TableName="aurora-ops-runs", Key=LOCK, UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": "1600000000"}},
    )  # fmt: skip
    begun = time.time()
    reports = reap(stack)
    assert estate.mutations(begun) == []
    assert total(reports, "expired") == 4, reports
    assert total(reports, "removed") == 0
    expired = json.dumps([report["expired"] for report in reports.values()])
    for name in ("cluster staging-shop-restore", "snapshot rekeyed-staging", "snapshot copy-staging", "lock refresh#"):
        assert name in expired

    # for real
    estate.announcements()
    reports = reap(stack, dry_run=False)
    assert total(reports, "removed") == 4, reports
    assert total(reports, "failed") == 0
    assert "staging-shop-restore" not in estate.clusters(STAGING)
    assert estate.snapshots(PRODUCTION) == set()
    assert estate.snapshots(STAGING) == others
    assert [grant["Name"] for grant in kms.list_grants(KeyId=key)["Grants"]] == ["somebody-elses"]
    after = estate.cluster(STAGING, "staging-shop")
    assert after["DbClusterResourceId"] == serving["DbClusterResourceId"], "what serves stays, whatever its tags say"
    assert after["Status"] == "available"
    assert [item for item in estate.items() if item["sk"] == "lock"] == []
    [announced] = estate.announcements()
    assert announced["Subject"].startswith("reaper: 4 removed")
    written = [item for item in estate.items() if item["pk"] == f"reap#{STAGING}#eu-west-1"]
    assert any("cluster staging-shop-restore" in json.dumps(item, default=str) for item in written)

    # a second time there is nothing to do
    begun = time.time()
    reports = reap(stack, dry_run=False)
    assert elsewhere(estate, begun) == []
    assert total(reports, "removed") == total(reports, "expired") == 0


def test_unknown_parameter_is_refused_before_anything_is_looked_at(stack, estate, since):
    run = stack.wait(stack.trigger("reap_expired", {"dryrun": False}))
    assert run.state == "failed"
    assert stack.states(run)["check"] == "failed"
    assert "known run parameters are" in stack.log(run, "check")
    assert estate.mutations(since) == []
