"""The plan before anything is changed, and a person's word before the switch, in a real Airflow."""

from __future__ import annotations

import pytest

from tests.local.refresh.conftest import ASKS, DAG_ID, STAGING, answer

pytestmark = [pytest.mark.local, pytest.mark.slow]


def test_a_dry_run_shows_the_plan_and_changes_nothing(stack, estate, run_to_end, since):
    run = run_to_end({"dry_run": True})
    assert run.state == "success"
    assert stack.calls(mutating=True, since=since) == []
    states = stack.states(run)
    assert states["prepare.check"] == states["prepare.take_lock"] == states["record.record_run"] == "skipped"
    text = stack.api.xcoms(run, "plan")["prepare.check"]
    for said in (
        "`prod-shop` in 111111111111 eu-west-1",
        "`staging-shop` is renamed `staging-shop-old`",
        "`staging-shop-restore`",
        "snapshot `copy-staging-prod-shop-",
        "## Estimate",
    ):
        assert said in text
    log = stack.log(run, "prepare.check")
    assert "What is deleted" in log
    assert [item for item in estate.items() if item["sk"].endswith(run.run_id)] == []


def test_a_no_leaves_everything_as_it_was(stack, estate):
    before = estate.cluster(STAGING, "staging-shop")
    run = stack.trigger(DAG_ID, {"approval": True})
    asked = answer(stack, run, "Reject", "too few orders")
    run = stack.wait(run)
    assert "Let staging-shop-restore serve as staging-shop?" in asked["subject"]
    assert "0 original values left" in asked["body"]
    assert "rows in 12 tables" in asked["body"]
    assert run.state == "failed"
    record = estate.record(run)
    assert record["failed_step"] == ASKS
    assert "rejected the switch: too few orders" in record["cause"]
    assert record["serving"] == "old cluster: it was never touched"
    assert estate.cluster(STAGING, "staging-shop")["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert estate.clusters(STAGING) == {"staging-shop"}
    subjects = [announced["Subject"] for announced in estate.announcements()]
    assert "approval asked" in subjects[0]
    assert "failed" in subjects[-1]
