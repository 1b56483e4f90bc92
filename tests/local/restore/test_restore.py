"""Restores on real data: what stands afterwards, what serves, what is left; what is refused before anything is changed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.local.faults.poller import Poller
from tests.local.refresh.conftest import PRODUCTION, STAGING
from tests.local.restore.conftest import LIVE, OLD, RESTORE

pytestmark = pytest.mark.local

RESTORED = "staging-shop-restored"


@pytest.fixture
def friday(lane) -> None:
    """A snapshot of what serves; the first test that wants one makes it."""
    if "friday" not in lane.estate.snapshots(STAGING):
        lane.snapshot("friday")


def test_a_backup_of_production_becomes_a_verified_database_beside_what_serves(lane) -> None:
    before, grants = lane.serving(), lane.shares()
    stale = lane.estate.cluster(PRODUCTION, "prod-shop")["MasterUserSecret"]["SecretArn"]
    masters = lane.estate.secret(PRODUCTION, stale)
    run = lane.restore(from_account="source", readers=2)
    assert run.state == "success", run.errors

    cluster = lane.estate.cluster(STAGING, RESTORED)
    assert cluster["Status"] == "available"
    assert len(cluster["DBClusterMembers"]) == 3
    assert lane.tags(RESTORED)["aurora-ops:verified"] == f"{RESTORE}/{run.run_id}"
    theirs, ours = (
        lane.estate.rows(account, name, "SELECT id, email FROM shop.customers ORDER BY id")
        for account, name in ((PRODUCTION, "prod-shop"), (STAGING, RESTORED))
    )
    assert theirs == ours
    assert len(ours) > 40

    assert not lane.opens(RESTORED, masters["username"], masters["password"])
    for user in ("app", "readonly"):
        secret = lane.estate.secret(STAGING, f"staging/shop/{user}")
        assert lane.opens(RESTORED, secret["username"], secret["password"]), user
    assert lane.serving() == before
    assert lane.shares() == grants
    assert lane.estate.snapshots(STAGING) == set()
    assert lane.locks() == []

    record = lane.estate.record(SimpleNamespace(run_id=run.run_id))
    assert record["outcome"] == "succeeded"
    assert record["facts"]["rpo_s"] >= 0
    assert record["facts"]["rto_s"] > 0
    assert "instance hours, about USD" in record["facts"]["cost"]
    assert any(RESTORED in text for text in record["facts"]["left"])
    [announced] = lane.estate.announcements()
    assert f"{RESTORE} staging succeeded" in announced["Subject"]

    again = lane.restore(from_account="source")
    assert "give another label" in again.errors["check"]
    assert again.mutations == []


@pytest.mark.usefixtures("friday")
def test_a_verified_backup_of_its_own_takes_the_place_of_what_serves(lane) -> None:
    [(kept,)] = lane.estate.rows(STAGING, LIVE, "SELECT COUNT(*) FROM shop.feature_flags")
    live = lane.estate.connect(STAGING, LIVE)
    with live.cursor() as cursor:
        cursor.execute("DELETE FROM shop.feature_flags")
    live.commit()
    live.close()
    before, counted = lane.serving(), lane.estate.statistic("RestoreSucceeded", Environment="staging")
    with Poller(lane.estate) as poller:
        run = lane.restore(snapshot="friday", label="friday", swap=True, confirm=LIVE)
    assert run.state == "success", run.errors
    assert lane.estate.statistic("RestoreSucceeded", Environment="staging") == counted + 1
    unmasked = "unmasked data on a new server"  # it is staging's own, which no refresh has made yet
    assert [text for text in poller.seen.wrong() if unmasked not in text] == []
    assert lane.serving() != before
    assert lane.estate.cluster(STAGING, OLD)["DbClusterResourceId"] == before
    assert lane.estate.cluster(STAGING, "staging-shop-restored-friday") is None
    assert lane.estate.rows(STAGING, LIVE, "SELECT COUNT(*) FROM shop.feature_flags") == [(kept,)]
    for user in ("app", "readonly"):
        secret = lane.estate.secret(STAGING, f"staging/shop/{user}")
        assert lane.opens(LIVE, secret["username"], secret["password"]), user
    assert "aurora-ops:expires" not in lane.tags(LIVE)
    assert "friday" in lane.estate.snapshots(STAGING), "it was not made by the restore"

    again = lane.restore(snapshot="friday", label="again", swap=True, confirm=LIVE)
    assert "free it first" in again.errors["check"]
    assert again.mutations == []
    lane.remove(OLD)


@pytest.mark.usefixtures("friday")
@pytest.mark.slow
def test_an_old_cluster_is_deleted_with_a_last_snapshot(lane) -> None:
    run = lane.restore(snapshot="friday", label="saturday", swap=True, confirm=LIVE, old_cluster="delete")
    assert run.state == "success", run.errors
    assert lane.estate.cluster(STAGING, OLD) is None
    [final] = [name for name in lane.estate.snapshots(STAGING) if name.startswith("final-staging-staging-shop-")]
    lane.aws(STAGING, "rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final)


@pytest.mark.usefixtures("friday")
def test_a_dry_run_shows_the_plan_and_changes_nothing(lane) -> None:
    run = lane.restore(snapshot="friday", label="dry", dry_run=True)
    assert run.states["check"] == "skipped"
    assert set(run.states.values()) == {"skipped", "success"}
    assert run.mutations == []


REFUSED = [
    ({"cluster": "prod-shop"}, "live clusters are"),
    ({"snapshot": "nobody-has-this"}, "available ones of staging-shop are"),
    ({"newest_before": "2020-01-01T00:00:00Z"}, "the oldest snapshot of staging-shop is of"),
    ({"restore_to": "2020-01-01T00:00:00Z"}, "can be restored to moments from"),
    ({"from_account": "source", "swap": True, "confirm": LIVE}, "restore.allow_unmasked"),
    ({"snapshot": "friday", "swap": True, "confirm": "yes"}, "type the live cluster's name"),
    ({"snapshot": "friday", "instance_class": "db.r1.tiny"}, "it cannot be ordered"),
    ({"snapshot": "friday", "app_secret": "prod/shop/app"}, "restore.secrets allows"),
    ({"snapshot": "friday", "suite": "none"}, "suites in include/sql/validation are ['own', 'shop']"),
    ({"snapshot": "friday", "colour": "red"}, "known run parameters are"),
]


@pytest.mark.usefixtures("friday")
@pytest.mark.parametrize(("conf", "said"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_is_wrong_is_said_before_anything_is_changed(lane, conf, said) -> None:
    run = lane.restore(**conf)
    assert run.state == "failed"
    assert said in run.errors["check"]
    assert run.mutations == []


def test_a_copy_of_production_may_not_serve_either(lane) -> None:
    """It lies in the target's own account, but its data is not."""
    rds = lane.aws(STAGING, "rds")
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="of-a-restore", DBClusterIdentifier=RESTORED)
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier="of-a-restore", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    run = lane.restore(snapshot="of-a-restore", label="sly", swap=True, confirm=LIVE)
    assert f"the backup is one of {RESTORED}, not of {LIVE}" in run.errors["check"]
    assert run.mutations == []
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="of-a-restore")


@pytest.mark.usefixtures("friday")
@pytest.mark.parametrize(("swap", "locked"), [(True, LIVE), (False, "staging-shop-restored-lock")])
def test_two_runs_cannot_interleave(lane, swap, locked) -> None:
    key = lane.hold_lock(locked)
    try:
        run = lane.restore(snapshot="friday", label="lock", swap=swap, confirm=LIVE)
    finally:
        lane.release_lock(key)
    assert "being worked on by aurora_restore/other" in run.errors["check"]
    assert run.mutations == []


@pytest.mark.usefixtures("friday")
@pytest.mark.slow
def test_a_failed_swap_leaves_what_served_and_says_what_is_left(lane) -> None:
    before = lane.serving()
    lane.estate.fail(
        service="rds", action="ModifyDBCluster", match=f'"NewDBClusterIdentifier": "{LIVE}"',
        code="InvalidParameterCombination", message="a planted refusal", times=1,
    )  # fmt: skip
    run = lane.restore(snapshot="friday", label="swap", swap=True, confirm=LIVE)
    assert run.state == "failed"
    assert "a planted refusal" in run.errors["switch.rename_restored"]
    assert lane.serving() == before
    assert lane.estate.cluster(STAGING, OLD) is None
    restored, live = (lane.estate.cluster(STAGING, name) for name in ("staging-shop-restored-swap", LIVE))
    assert restored["VpcSecurityGroups"] != live["VpcSecurityGroups"], "what does not serve is isolated again"
    assert lane.locks() == []
    record = lane.estate.record(SimpleNamespace(run_id=run.run_id))
    assert record["failed_step"] == "switch.rename_restored"
    assert any("staging-shop-restored-swap" in text for text in record["facts"]["left"]), "verified, so it was kept"
    [announced] = lane.estate.announcements()
    assert "failed at switch.rename_restored" in announced["Subject"]
    assert "a planted refusal" in announced["Message"]
    lane.remove("staging-shop-restored-swap")


@pytest.mark.usefixtures("friday")
@pytest.mark.slow
def test_what_a_dead_run_left_is_cleared_away_by_the_next(lane) -> None:
    """The clean-up of the first one fails too: as if it had been killed."""
    lane.estate.fail(
        service="rds", action="CreateDBInstance", match="staging-shop-restored-dead", code="InvalidSubnet", times=0
    )
    lane.estate.fail(
        service="rds", action="DeleteDBCluster", match="staging-shop-restored-dead", code="InternalFailure", times=0
    )
    before = lane.serving()
    run = lane.restore(snapshot="friday", label="dead")
    assert run.state == "failed"
    assert "InvalidSubnet" in run.errors["restore.create_writer"]
    left = lane.estate.cluster(STAGING, "staging-shop-restored-dead")
    assert left is not None
    record = lane.estate.record(SimpleNamespace(run_id=run.run_id))
    assert any("staging-shop-restored-dead" in text for text in record["facts"]["left"])

    lane.clear_faults()
    run = lane.restore(snapshot="friday", label="dead")
    assert run.state == "success", run.errors
    assert (
        lane.estate.cluster(STAGING, "staging-shop-restored-dead")["DbClusterResourceId"] != left["DbClusterResourceId"]
    )
    assert lane.serving() == before
    lane.remove("staging-shop-restored-dead")


def test_the_plan_holds_no_secret(lane) -> None:
    """Passwords of secrets that a restore reads appear in no record."""
    items = json.dumps(lane.estate.items(), default=str)
    for account, secret_id in ((STAGING, "staging/shop/app"), (STAGING, "staging/shop/readonly")):
        assert lane.estate.secret(account, secret_id)["password"] not in items
