"""The refresh of staging in a real Airflow, against AWS's rules and real databases."""

from __future__ import annotations

import json

import pymysql
import pytest

from tests.local.refresh.conftest import ASKS, DAG_ID, PRODUCTION, SHARED, STAGING, TARGET_KEY, answer

pytestmark = pytest.mark.local

TABLES = ("customers", "addresses", "payment_methods", "products", "orders", "order_items", "sessions", "newsletter")


def counts(estate, account, cluster_id):
    return {name: estate.rows(account, cluster_id, f"SELECT COUNT(*) FROM shop.{name}")[0][0] for name in TABLES}


def test_production_arrives_masked_and_nothing_is_left_behind(stack, estate, refreshed):
    run, before, secret = refreshed.run, refreshed.cluster, refreshed.secret
    production = counts(estate, PRODUCTION, "prod-shop")
    after = estate.cluster(STAGING, "staging-shop")
    assert after["Endpoint"] == before["Endpoint"]
    assert after["DbClusterResourceId"] != before["DbClusterResourceId"]
    assert after["KmsKeyId"] == before["KmsKeyId"] != estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    assert after["VpcSecurityGroups"] == before["VpcSecurityGroups"]
    assert [member["DBInstanceIdentifier"] for member in after["DBClusterMembers"]] == [
        "staging-shop-1",
        "staging-shop-2",
    ]

    # the data: all of it, with every e-mail another one and joins intact
    assert counts(estate, STAGING, "staging-shop") == production
    joined = "SELECT COUNT(*) FROM shop.customers c JOIN shop.sessions s ON s.email = c.email"
    assert estate.rows(STAGING, "staging-shop", joined) == estate.rows(PRODUCTION, "prod-shop", joined)
    emails = "SELECT email FROM shop.customers WHERE email <> ''"
    real = {email.lower() for (email,) in estate.rows(PRODUCTION, "prod-shop", emails)}
    fake = {email.lower() for (email,) in estate.rows(STAGING, "staging-shop", emails)}
    assert real
    assert len(fake) == len(real)
    assert not real & fake
    assert estate.kept() == refreshed.kept
    assert all(refreshed.kept.values())

    # users: the new password works, neither the former one nor production's user does
    fresh = estate.secret(STAGING, "staging/shop/app")
    assert fresh["password"] != secret["password"]
    assert {**fresh, "password": ""} == {**secret, "password": ""}, "nothing else of a secret changes"
    estate.connect(STAGING, "staging-shop", "shop_app", fresh["password"]).close()
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        estate.connect(STAGING, "staging-shop", "shop_app", secret["password"])
    users = {name for (name,) in estate.rows(STAGING, "staging-shop", "SELECT User FROM mysql.user")}
    assert "shop_app" in users
    assert "shop_prod_batch" not in users

    # nothing is left: no temporary cluster, no copies, no share, no grant, no dumps, no scratch schema, no lock
    assert refreshed.clusters == {"staging-shop": "available", "staging-shop-old": "stopped"}
    assert estate.snapshots(PRODUCTION) == estate.snapshots(STAGING) == set()
    shared = stack.aws(STAGING, "rds").describe_db_cluster_snapshots(IncludeShared=True)["DBClusterSnapshots"]
    assert [snapshot for snapshot in shared if snapshot["SnapshotType"] == "shared"] == []
    key = estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    assert stack.aws(PRODUCTION, "kms").list_grants(KeyId=key)["Grants"] == []
    objects = stack.aws(STAGING, "s3").list_objects_v2(Bucket="aurora-ops-222222222222", Prefix="aurora-ops/")
    assert objects["KeyCount"] == 0
    schemas = {name for (name,) in estate.rows(STAGING, "staging-shop", "SHOW DATABASES")}
    assert "aurora_ops_scratch" not in schemas
    assert [item for item in estate.items() if item["sk"] == "lock"] == []

    # what was said about it
    record = estate.record(run)
    assert (record["outcome"], record["serving"], record["warnings"]) == ("succeeded", "new cluster", [])
    assert record["pk"] == TARGET_KEY
    assert record["steps"]["mask.prove_mask"]["state"] == "success"
    [announced] = refreshed.announced
    assert "refresh staging succeeded" in announced["Subject"]
    parameter = stack.aws(STAGING, "ssm").get_parameter(Name="/staging/shop/database/endpoint")["Parameter"]["Value"]
    assert parameter == after["Endpoint"]
    xcoms = {task_id: value for task_id, key, value in stack.api.all_xcoms(run) if key == "return_value"}
    assert xcoms["source.copy_snapshot"]["snapshot_id"].startswith("copy-staging-prod-shop-")
    assert xcoms["restore.restore_cluster"]["cluster_id"] == "staging-shop-restore"
    assert fresh["password"] not in json.dumps(stack.api.all_xcoms(run), default=str)

    # no worker waited
    spans = [span for _, key, value in stack.api.all_xcoms(run) if key == "timing" for span in value["spans"]]
    assert {span["kind"] for span in spans} == {"api", "aws_wait", "sql"}


@pytest.mark.slow
def test_a_yes_goes_on_to_the_switch_and_replaces_what_an_earlier_run_left(stack, estate):
    before = estate.cluster(STAGING, "staging-shop")
    conf = {"approval": True, "snapshot": "fresh", "old_cluster": "delete"}
    run = stack.trigger(DAG_ID, conf)
    answer(stack, run, "Approve", "")
    run = stack.wait(run)
    assert run.state == "success", stack.states(run)
    assert stack.api.xcoms(run)[ASKS]["approved"] is True
    assert estate.clusters(STAGING) == {"staging-shop"}
    assert estate.cluster(STAGING, "staging-shop")["DbClusterResourceId"] != before["DbClusterResourceId"]
    assert estate.snapshots(PRODUCTION) == set(), "the fresh snapshot was the run's own, so the run deletes it"
    record = estate.record(run)
    assert record["conf"] == conf
    assert record["plan"]["snapshot_is_fresh"] is True


def test_a_failed_rename_ends_with_the_old_cluster_serving(stack, estate, run_to_end):
    before = estate.cluster(STAGING, "staging-shop")
    marker = estate.rows(STAGING, "staging-shop", "SELECT MAX(id), COUNT(*) FROM shop.orders")
    secret = estate.secret(STAGING, "staging/shop/app")
    # the restored cluster never gets the live name; the live one has already given it up
    estate.fail(
        service="rds",
        action="ModifyDBCluster",
        match='"NewDBClusterIdentifier": "staging-shop"',
        code="InvalidParameterCombination",
        message="a planted refusal",
        times=1,
    )

    run = run_to_end()

    assert run.state == "failed"
    states = stack.states(run)
    assert (states["switch.rename_live"], states["switch.rename_restored"]) == ("success", "failed")
    assert (states["switch.undo_rename"], states["switch.undo_secrets"]) == ("success", "success")
    after = estate.cluster(STAGING, "staging-shop")
    assert after["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert after["Endpoint"] == before["Endpoint"]
    assert {m["DBInstanceIdentifier"] for m in after["DBClusterMembers"]} == {
        m["DBInstanceIdentifier"] for m in before["DBClusterMembers"]
    }
    assert estate.rows(STAGING, "staging-shop", "SELECT MAX(id), COUNT(*) FROM shop.orders") == marker
    estate.connect(STAGING, "staging-shop", "shop_app", secret["password"]).close()
    assert estate.secret(STAGING, "staging/shop/app") == secret
    assert estate.clusters(STAGING) == {"staging-shop"}, "the refreshed cluster is cleared away"
    record = estate.record(run)
    assert record["outcome"] == "failed"
    assert record["failed_step"] == "switch.rename_restored"
    assert "a planted refusal" in record["cause"]
    assert record["serving"] == "old cluster: the switch was undone"
    assert [item for item in estate.items() if item["sk"] == "lock"] == []
    [announced] = estate.announcements()
    assert "refresh staging failed: switch.rename_restored" in announced["Subject"]


@pytest.mark.slow
def test_secrets_move_back_when_what_serves_fails_its_check(stack, estate, run_to_end):
    before = estate.cluster(STAGING, "staging-shop")
    secret = estate.secret(STAGING, "staging/shop/app")
    # the last secret cannot be moved: the first has moved already
    estate.fail(
        service="secretsmanager",
        action="UpdateSecretVersionStage",
        match="staging/shop/readonly",
        code="InvalidParameterException",
        message="a planted refusal",
        times=1,
    )

    run = run_to_end()

    assert run.state == "failed"
    assert stack.states(run)["switch.move_secrets"] == "failed"
    assert estate.cluster(STAGING, "staging-shop")["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert estate.secret(STAGING, "staging/shop/app") == secret
    estate.connect(STAGING, "staging-shop", "shop_app", secret["password"]).close()


def test_two_at_once_one_refuses_and_nothing_is_created(stack, estate, run_to_end, since):
    table = stack.aws(SHARED, "dynamodb")
    key = {"pk": {"S": TARGET_KEY}, "sk": {"S": "lock"}}
    table.put_item(
        TableName="aurora-ops-runs",
        Item={**key, "holder": {"S": "refresh_other/run-1"}, "expires_at": {"N": "4000000000"}},
    )
    try:
        run = run_to_end()
    finally:
        table.delete_item(TableName="aurora-ops-runs", Key=key)
    assert run.state == "failed"
    assert stack.states(run)["prepare.take_lock"] == "failed"
    record = estate.record(run)
    assert "refresh_other/run-1" in record["cause"]
    changed = {call["action"] for call in estate.mutations(since) if call["account"] != SHARED}
    assert changed == set()
