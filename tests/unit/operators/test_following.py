"""A step of an operation: its state, its changes, and what becomes of both where something fails."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import PermanentError, StateError, TransientError
from aurora_ops.hooks import auditing
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.operators.following import operation_of
from aurora_ops.operators.runs import ReleaseLockOperator
from botocore.endpoint import Endpoint

from tests.unit.operators.driver import context
from tests.unit.operators.following import HOME, NAME, RUNS, TRAILS, Home, SetParameterOperator, task


@pytest.fixture
def home(aws_session) -> Home:
    return Home(aws_session)


@pytest.fixture
def ctx(home) -> Any:
    """A context in which an operation has begun."""
    ctx = context()
    ctx["ti"].task_id = "put"
    home.begin(ctx)
    return ctx


def test_state_and_changes_of_a_step(home, ctx) -> None:
    assert task().execute(ctx) == {"set": "/a"}
    step = home.step()
    assert (step["status"], step["tries"]) == ("succeeded", 1)
    assert step["first_start"] <= step["ended_at"]
    _, before, after = home.events()
    assert before["what"] == "ssm:PutParameter /a"
    assert (before["phase"], after["phase"], after["of"], after["outcome"]) == ("before", "after", 2, "done")
    assert (before["task"], before["try"], before["account"]) == ("put", 1, "123456789012")
    assert step["trail"] == {"events": 3, "head": after["hash"]}
    assert "hunter2" not in trails.as_jsonl(home.events()).decode()
    assert not auditing.is_recorded()


@pytest.mark.parametrize(
    ("then", "kind", "status"),
    [
        ("skip", AirflowSkipException, "skipped"),
        ("fail", StateError, "failed"),
        ("busy", TransientError, "failed"),
        ("killed", SystemExit, "failed"),
    ],
)
def test_however_a_step_ends(home, ctx, then, kind, status) -> None:
    with pytest.raises(kind):
        task(then=then).execute(ctx)
    assert home.step()["status"] == status
    assert not auditing.is_recorded()


def test_a_wait_is_told_and_what_it_is_for(home, ctx, monkeypatch) -> None:
    looks = [Look.PENDING]
    monkeypatch.setattr(ParametersHook, "look", lambda *_: looks.pop())
    with pytest.raises(TaskDeferred):
        task(then="wait").execute(ctx)
    step = home.step()
    assert (step["status"], step["waits_for"]) == ("deferred", "cluster_available of app")
    assert home.told() == [("mutation", "before", "put"), ("mutation", "after", "put")]
    event = {"status": "success", "message": "cluster_available", "at": 0.0}
    assert task(then="wait").resume(ctx, event) == {"set": "/a"}
    assert home.step()["status"] == "succeeded"
    assert "waits_for" not in home.step()


def test_a_wait_that_failed_fails_the_step(home, ctx) -> None:
    with pytest.raises(PermanentError):
        task().resume(ctx, {"status": "failed", "message": "it was deleted", "at": 0.0})
    assert home.step()["status"] == "failed"
    assert home.told() == []


def test_an_instance_of_a_mapped_task_has_a_name_of_its_own(home, ctx) -> None:
    ctx["ti"].map_index = 3
    task().execute(ctx)
    assert home.step("put_3")["status"] == "succeeded"
    assert home.events()[-1]["task"] == "put_3"


def test_without_an_operation_nothing_is_changed(home, ctx) -> None:
    del ctx["ti"].xcoms["check", "operation"]
    with pytest.raises(StateError, match="clear check too"):
        task().execute(ctx)
    assert home.parameter() is None
    assert "clear check too" in ctx["ti"].xcoms["put", "error"]


def test_without_a_trail_that_can_be_written_nothing_is_changed(home, ctx, aws_session) -> None:
    aws_session.client("dynamodb").delete_table(TableName=TRAILS)
    with pytest.raises(PermanentError, match="ResourceNotFound"):
        task().execute(ctx)
    assert home.parameter() is None
    assert home.step()["status"] == "failed"


def test_a_state_that_cannot_be_written_stops_nothing(home, ctx, aws_session, caplog) -> None:
    aws_session.client("dynamodb").delete_table(TableName=RUNS)
    with caplog.at_level(logging.WARNING):
        assert task().execute(ctx) == {"set": "/a"}
    assert "state of put could not be written (succeeded)" in caplog.text
    assert home.told() == [("mutation", "before", "put"), ("mutation", "after", "put")]


def test_where_the_environment_has_no_table_of_trails_there_is_the_state(home, ctx) -> None:
    home.begin(ctx, audit_table=None, audit_bucket=None)
    assert task().execute(ctx) == {"set": "/a"}
    assert home.step()["status"] == "succeeded"
    assert home.told() == []


def test_a_task_that_is_not_followed_asks_for_nothing(home, ctx, monkeypatch) -> None:
    monkeypatch.setattr(ctx["ti"], "xcom_pull", lambda *_, **__: pytest.fail("pulled"), raising=False)
    monkeypatch.setattr(OperationsHook, "call", lambda *_, **__: pytest.fail("called"))
    assert task(operation_task=None).execute(ctx) == {"set": "/a"}


def test_what_ends_an_operation_is_no_step_of_it() -> None:
    made = ReleaseLockOperator(task_id="r", table=RUNS, target_key="k", operation_task="check", **HOME)
    assert made.operation_task is None


def test_the_defaults_of_a_dag_make_its_tasks_steps() -> None:
    with DAG("d", schedule=None, default_args={"operation_task": "check"}):
        assert task(operation_task="other").operation_task == "other"
        by_default = SetParameterOperator(task_id="by_default", **HOME)
        mapped = SetParameterOperator.partial(task_id="mapped", **HOME).expand(then=["", "skip"])
    assert by_default.operation_task == "check"
    assert mapped.unmap({"then": ""}).operation_task == "check"


def test_killed_between_before_and_after_the_next_try_goes_on(home, ctx, monkeypatch) -> None:
    """The worker dies while AWS is asked: nothing of it can be written any more."""

    class Killed(BaseException):
        pass

    ask = Endpoint.make_request

    def die(self: Endpoint, model: Any, request: Any) -> Any:
        if model.name == "PutParameter":
            raise Killed
        return ask(self, model, request)

    with monkeypatch.context() as patch:
        patch.setattr(Endpoint, "make_request", die)
        patch.setattr(OperationsHook, "put_step", lambda *_: True)
        with pytest.raises(Killed):
            task().execute(ctx)
    assert home.told() == [("mutation", "before", "put")]
    ctx["ti"].try_number = 2
    task().execute(ctx)
    assert home.told() == [("mutation", phase, "put") for phase in ("before", "before", "after")]
    assert home.events()[2]["try"] == 2
    verdict = trails.verify(home.events())
    assert [remark[:8] for remark in verdict.remarks if "no end" in remark] == ["event 2:"]
    assert home.step()["tries"] == 2


def test_an_operation_is_read_as_it_was_left(home, ctx) -> None:
    operation = home.begin(ctx, lock_days=7, expires_at=5)
    ctx["ti"].xcoms["check", "operation"]["of a later version"] = 1
    assert operation_of(ctx, "check") == operation
    assert operation.name == NAME
