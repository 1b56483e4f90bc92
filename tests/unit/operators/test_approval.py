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
from tests.unit.operators.following import TRAILS, Home

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
        "required": True, "resource_id": "cluster-A", "plan": PLAN, "results": RESULTS, "windows": [],
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


def answer(option="Approve", windows=(), **event):
    given = {
        "chosen_options": [option], "params_input": {"reason": "looks good "}, "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "1", "name": "ann"}, **event,
    }  # fmt: skip
    return context_and_result(given, windows=list(windows))


def context_and_result(event, **changes):
    operator = task(**changes)
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


class TestWindow:
    """Whoever is asked, what serves changes inside a window only."""

    CLOSED = "Sat 01:00-01:01 Europe/Berlin"

    @pytest.fixture(autouse=True)
    def _monday(self, monkeypatch) -> None:
        class Monday(approval.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2026, 7, 6, 12, tzinfo=tz)

        monkeypatch.setattr(approval, "datetime", Monday)

    def test_nobody_is_asked_and_none_is_open(self, asked) -> None:
        operator = task(required=False, windows=[self.CLOSED])
        there = ctx(operator)
        with pytest.raises(PermanentError, match="the next opens Sat 2026-07-11 01:00 CEST"):
            operator.execute(there)
        assert "nothing was switched" in there["ti"].xcoms["approve", "error"]

    def test_a_yes_comes_when_none_is_open_any_more(self, asked) -> None:
        there, result, error = answer(windows=[self.CLOSED])
        assert result is None
        assert "no maintenance window is open" in str(error)
        assert "nothing was switched" in there["ti"].xcoms["approve", "error"]

    def test_one_is_open(self, asked) -> None:
        both = [self.CLOSED, "Mon 11:00-13:00 UTC"]
        operator = task(required=False, windows=both)
        assert operator.execute(ctx(operator))["approved"] is True
        assert answer(windows=both)[1]["approved"] is True


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


class TestAudited:
    """Who said what stands in the trail, or it was not said."""

    @pytest.fixture
    def home(self, aws_session):
        return Home(aws_session)

    @staticmethod
    def answered(home, **changes):
        operator = task(operation_task="check", resource_id="cluster-A")
        there = {**ctx(operator), "task_state_store": Store()}
        home.begin(there, **changes)
        event = {
            "chosen_options": ["Approve"], "params_input": {"reason": "looks good"}, "responded_at": datetime.now(UTC),
            "responded_by_user": {"id": "1", "name": "ann"},
        }  # fmt: skip
        return operator, there, event

    def test_a_yes(self, asked, home) -> None:
        operator, there, event = self.answered(home)
        operator.execute_complete(there, event)
        said = home.events()[-1]
        assert (said["kind"], said["task"]) == ("approval", "approve")
        assert {key: said[key] for key in ("approved", "by", "reason", "about")} == {
            "approved": True, "by": "ann", "reason": "looks good", "about": "cluster-A",
        }  # fmt: skip

    def test_a_no_and_no_answer(self, asked, home) -> None:
        operator, there, event = self.answered(home)
        for given in ({**event, "chosen_options": ["Reject"]}, {"error": "timeout", "error_type": "timeout"}):
            with pytest.raises(PermanentError):
                operator.execute_complete(there, given)
        assert [said["approved"] for said in home.events()[1:]] == [False, False]
        assert home.events()[-1]["reason"] == "nobody answered in time"

    def test_one_that_cannot_be_written_lets_nothing_happen(self, asked, home, aws_session) -> None:
        operator, there, event = self.answered(home, audit_table="none")
        with pytest.raises(PermanentError, match="ResourceNotFound"):
            operator.execute_complete(there, event)

    def test_one_that_an_earlier_try_was_given_is_written_by_the_next(self, asked, home) -> None:
        operator, there, event = self.answered(home, audit_table="none")
        with pytest.raises(PermanentError):
            operator.execute_complete(there, event)
        there["ti"].xcoms["check", "operation"]["audit_table"] = TRAILS
        assert operator.execute(there)["by"] == "ann"
        assert home.told() == [("approval", None, "approve")]
