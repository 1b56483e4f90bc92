"""Asking a person: not unless asked for, with what was verified, and a no or no answer fails the run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from aurora_ops.core.errors import PermanentError
from aurora_ops.operators import approval
from aurora_ops.operators.approval import ApproveSwitchOperator

from tests.unit.operators.driver import context

PLAN = {
    "temporary_cluster": "staging-shop-restore", "target_cluster": "staging-shop", "old_cluster": "staging-shop-old",
    "old_cluster_policy": "stop", "source_snapshot_id": "newest", "snapshot_created_at": None,
}  # fmt: skip
RESULTS = {
    "verified": {"checks": 12, "tables": 9, "rows": 200_000},
    "proved": {"columns": {"a.b.c": 10, "a.b.d": 5}, "survivors": 0, "warnings": ["a.b.e is new"]},
}


@pytest.fixture
def asked(monkeypatch):
    """What Airflow and SNS are told."""
    told = SimpleNamespace(details=[], published=[])
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **detail: told.details.append(detail)
    )

    class Topics:
        def __init__(self, *account):
            self.account = account

        def publish(self, *message):
            told.published.append((*self.account, *message))

    monkeypatch.setattr(approval, "TopicsHook", Topics)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    return told


def task(**changes) -> ApproveSwitchOperator:
    given = {
        "required": True, "resource_id": "cluster-A", "plan": PLAN, "results": RESULTS,
        "within_h": 8, "approvers": ["ann"], "topic_arn": "arn:topic",
        "aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1", **changes,
    }  # fmt: skip
    return ApproveSwitchOperator(task_id="approve", **given)


def ctx(operator):
    ti = context()["ti"]
    ti.task_id, ti.id, ti.dag_id, ti.run_id = "approve", "uuid", "refresh_staging", "manual__1"
    return {**context(), "ti": ti, "task_instance": ti, "task": operator}


class Store(dict):
    """What outlives a try."""

    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))


def ask(**changes):
    operator = task(**changes)
    with pytest.raises(TaskAwaitingInput) as parked:
        operator.execute(ctx(operator))
    return operator, parked.value


def answer(option="Approve", **event):
    given = {
        "chosen_options": [option], "params_input": {"reason": "looks good "}, "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "1", "name": "ann"}, **event,
    }  # fmt: skip
    return context_and_result(given)


def context_and_result(event):
    operator = task()
    there = {**ctx(operator), "task_state_store": Store()}
    there["ti"].xcom_push("asked_at", 100.0)
    try:
        return there, operator.execute_complete(there, event), None
    except PermanentError as exc:
        return there, None, exc


def test_nobody_is_asked_unless_it_is_wanted(asked) -> None:
    operator = task(required=False)
    assert operator.execute(ctx(operator))["approved"] is True
    assert asked.details == asked.published == []


def test_body_says_what_was_verified_and_what_an_answer_means(asked) -> None:
    ask()
    (detail,) = asked.details
    assert detail["subject"] == "Let staging-shop-restore serve as staging-shop?"
    assert detail["options"] == ["Approve", "Reject"]
    assert detail["assigned_users"] == [{"id": "ann", "name": "ann"}]
    assert list(detail["params"]) == ["reason"]
    for said in (
        "200,000 rows in 9 tables",
        "12",
        "2 columns proven, 0 original values left",
        "- a.b.e is new",
        "**Reject**",
    ):
        assert said in detail["body"]


def test_body_counts_what_the_scan_found(asked) -> None:
    scanned = {"columns": 90, "scanned": 41, "found": {"a.b.note": {"email": 3}}, "warnings": ["a.b.note (email 3)"]}
    ask(results={**RESULTS, "scanned": scanned})
    assert "41 columns scanned, 1 with findings" in asked.details[0]["body"]
    assert "- a.b.note (email 3)" in asked.details[0]["body"]


def test_warnings_stay_readable(asked) -> None:
    ask(results={**RESULTS, "proved": {**RESULTS["proved"], "warnings": [f"w{n}" for n in range(25)]}})
    assert "- w19\n- ... and 5 more" in asked.details[0]["body"]


def test_waits_no_longer_than_allowed(asked) -> None:
    _, parked = ask(within_h=0.5)
    assert parked.timeout.total_seconds() == 1800


def test_people_are_told_where_to_answer(asked) -> None:
    ask()
    ((conn, region, topic, subject, message),) = asked.published
    assert (conn, region, topic) == ("aws_orchestrator", "eu-west-1", "arn:topic")
    assert "staging-shop" in subject
    assert "https://airflow.example.com/dags/refresh_staging/runs/manual__1/tasks/approve/required_actions" in message
    assert "within 8.0 h" in message


def test_people_are_told_even_where_airflow_does_not_know_its_address(asked, monkeypatch) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    ask()
    assert "in Airflow, under Required actions" in asked.published[0][-1]


def test_no_topic_tells_nobody(asked) -> None:
    ask(topic_arn=None)
    assert asked.published == []
    assert len(asked.details) == 1


def test_nothing_verified_is_said(asked) -> None:
    ask(results={"verified": None, "proved": None})
    assert "not verified" in asked.details[0]["body"]


def test_yes_goes_on(asked) -> None:
    there, result, _ = answer()
    assert result == {"approved": True, "by": "ann", "reason": "looks good"}
    (span,) = there["ti"].xcoms["approve", "timing"]["spans"]
    assert (span["kind"], span["start"]) == ("approval", 100.0)
    json.dumps(result)


def test_a_yes_outlives_the_try_but_only_for_the_same_cluster(asked) -> None:
    there, result, _ = answer()
    operator = task()
    assert operator.execute({**ctx(operator), "task_state_store": there["task_state_store"]}) == result
    assert asked.details == []
    other = task(resource_id="cluster-B")
    with pytest.raises(TaskAwaitingInput):
        other.execute({**ctx(other), "task_state_store": there["task_state_store"]})


def test_a_no_outlives_the_try_too(asked) -> None:
    there, _, error = answer("Reject")
    operator = task()
    with pytest.raises(PermanentError) as again:
        operator.execute({**ctx(operator), "task_state_store": there["task_state_store"]})
    assert str(again.value) == str(error)
    assert asked.details == []


def test_silence_is_not_kept(asked) -> None:
    there, _, _ = context_and_result({"error": "timeout", "error_type": "timeout"})
    assert there["task_state_store"] == {}


def test_no_fails_the_run_and_says_who_and_why(asked) -> None:
    there, _, error = answer("Reject", params_input={"reason": "too few orders"})
    assert "ann rejected the switch: too few orders; nothing was switched" in str(error)
    assert there["ti"].xcoms["approve", "error"] == str(error)


def test_no_answer_in_time_fails_the_run(asked) -> None:
    there, _, error = context_and_result({"error": "timeout", "error_type": "timeout"})
    assert "nobody answered within 8.0 h" in str(error)
    assert there["ti"].xcoms["approve", "error"] == str(error)


def test_an_option_that_was_not_offered_is_refused(asked) -> None:
    with pytest.raises(ValueError, match="Maybe"):
        answer("Maybe")
