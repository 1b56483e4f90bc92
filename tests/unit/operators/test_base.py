"""How every operator waits, resumes, accounts for its time and tells why it failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import StateError, TransientError, WaitFailedError, WaitTimeoutError
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.operators import base
from aurora_ops.operators.snapshots import DeleteSnapshotOperator, EnsureSnapshotOperator
from structlog.contextvars import get_contextvars

from devstack.settings import REPO
from tests.unit.operators.driver import context, drive, once

AT = {"aws_conn_id": "aws_source", "region_name": "eu-west-1"}


def take(**changes):
    given = {"task_id": "take", "cluster_id": "prod", "snapshot_id": "s", "within_s": 120, **AT, **changes}
    return EnsureSnapshotOperator(**given)


@pytest.fixture
def prod(rds):
    rds.cluster("prod", instances=1, refresh=False)
    return rds


def test_deferral_is_bounded_and_leads_to_resume(prod) -> None:
    deferred = once(take)
    assert isinstance(deferred, TaskDeferred)
    assert deferred.method_name == "resume"
    assert not deferred.kwargs
    assert deferred.timeout == timedelta(seconds=120 + 600)
    assert deferred.trigger.until["within_s"] == 120
    assert (deferred.trigger.aws_conn_id, deferred.trigger.region_name) == ("aws_source", "eu-west-1")


def test_nothing_is_deferred_if_one_look_shows_the_goal(prod) -> None:
    prod.lag = 0
    assert once(take)["snapshot_id"] == "s"


def test_a_task_keeps_its_own_params_and_is_given_those_of_its_dag() -> None:
    with DAG("d", schedule=None, params={"a": Param(1, type="integer"), "b": 2}) as dag:
        plain, own = take(), take(task_id="own", params={"b": 3})
    assert dict(plain.params) == {}
    assert dict(own.params) == {"b": 3}
    for task, b in ((plain, 2), (own, 3)):
        assert process_params(dag, task, {"a": 5}, suppress_exception=False) == {"a": 5, "b": b}


def test_timeout_is_transient_and_terminal_state_is_not(prod) -> None:
    for status, kind in (("timeout", WaitTimeoutError), ("failed", WaitFailedError), ("odd", WaitFailedError)):
        ctx = context()
        with pytest.raises(kind, match="it took long"):
            take().resume(ctx, {"status": status, "message": "it took long", "at": 1.0})
        assert ctx["ti"].xcoms["task", "error"] == "it took long"
    assert issubclass(WaitTimeoutError, TransientError)


def test_failure_leaves_its_message_and_its_time(prod) -> None:
    ctx = context()
    with pytest.raises(StateError):
        take(cluster_id="other").execute(ctx | {"x": prod.snapshot("s", cluster="prod")})
    assert "is one of prod, not of other" in ctx["ti"].xcoms["task", "error"]
    assert ctx["ti"].xcoms["task", "timing"]["spans"][0]["kind"] == "api"


def test_message_in_the_xcom_is_short(prod, monkeypatch) -> None:
    ctx = context()
    monkeypatch.setattr(EnsureSnapshotOperator, "take_pass", lambda *_: (_ for _ in ()).throw(StateError("x" * 9000)))
    with pytest.raises(StateError):
        take().execute(ctx)
    assert len(ctx["ti"].xcoms["task", "error"]) == 2000


def test_time_of_a_wait_is_accounted_over_processes(prod) -> None:
    ctx = context()
    drive(take, ctx)
    timing = ctx["ti"].xcoms["take", "timing"]
    kinds = [span["kind"] for span in timing["spans"]]
    assert "aws_wait" in kinds
    assert kinds.count("api") >= 1
    (wait,) = [span for span in timing["spans"] if span["kind"] == "aws_wait"]
    assert wait["what"] == "snapshot_available"


def test_result_and_xcoms_hold_no_more_than_identifiers(prod) -> None:
    ctx = context()
    result = drive(take, ctx)
    assert set(result) == {"snapshot_id", "snapshot_arn", "kms_key_arn", "created_at"}
    assert {key for _, key in ctx["ti"].xcoms} <= {"timing", "error"}


class TestLogFields:
    """What marks the lines that a task logs."""

    RUN = "refresh_staging/manual__1"

    def seen(self, monkeypatch, task, ctx) -> dict:
        """The fields while a pass is taken; they must be gone afterwards."""
        found: list[dict] = []
        monkeypatch.setattr(EnsureSnapshotOperator, "take_pass", lambda *_: found.append(get_contextvars()) or {})
        task.execute(ctx)
        assert get_contextvars() == {}
        return found[0]

    def in_dag(self, **given):
        with DAG("refresh_staging", schedule=None, **given):
            return take()

    def test_run_step_and_the_environment_of_the_dag(self, monkeypatch) -> None:
        task = self.in_dag(user_defined_macros=defaults_of("staging")["user_defined_macros"])
        assert self.seen(monkeypatch, task, context()) == {
            "operation_id": self.RUN, "step": "take", "environment": "staging",
        }  # fmt: skip

    def test_the_environment_that_a_run_is_for(self, monkeypatch) -> None:
        ctx = context(params={"environment": "dev"})
        assert self.seen(monkeypatch, self.in_dag(), ctx)["environment"] == "dev"

    def test_of_every_environment_is_of_none(self, monkeypatch) -> None:
        assert self.seen(monkeypatch, self.in_dag(), context()) == {"operation_id": self.RUN, "step": "take"}

    def test_without_a_run_there_is_the_step(self, monkeypatch) -> None:
        assert self.seen(monkeypatch, take(), {}) == {"step": "take"}

    def test_they_go_with_a_failure(self, prod) -> None:
        with pytest.raises(StateError):
            take(cluster_id="other").execute(context() | {"x": prod.snapshot("s", cluster="prod")})
        assert get_contextvars() == {}

    def test_after_a_wait_they_are_there_again(self, monkeypatch) -> None:
        found: list[dict] = []
        monkeypatch.setattr(EnsureSnapshotOperator, "take_pass", lambda *_: found.append(get_contextvars()) or {})
        take().resume(context(), {"status": "success", "message": "done", "at": 1.0})
        assert found[0]["operation_id"] == self.RUN

    def test_airflows_own_logging_writes_them(self, tmp_path) -> None:
        """In a process of its own: logging is set up once."""
        script = tmp_path / "log.py"
        script.write_text(LOGGING_PROCESS)
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=os.environ | {
            "PYTHONPATH": f"{REPO / 'plugins'}:{REPO}", "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        })  # fmt: skip
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        for event in ("from the task", "from a module"):
            [line] = [line for line in lines if line["event"] == event]
            assert (line["operation_id"], line["step"], line["environment"]) == (self.RUN, "take", "dev")


LOGGING_PROCESS = """
import logging, sys
from airflow.sdk.log import configure_logging
configure_logging(json_output=True, output=sys.stdout.buffer)
from aurora_ops.operators.snapshots import EnsureSnapshotOperator
from devstack.settings import REPO
from tests.unit.operators.driver import context

class Task(EnsureSnapshotOperator):
    def take_pass(self, context):
        self.log.info("from the task")
        logging.getLogger("aurora_ops.core").warning("from a module")
        return {}

Task(task_id="take", cluster_id="c", snapshot_id="s", aws_conn_id="a").execute(context(params={"environment": "dev"}))
"""


class TestInTheWorker:
    """``deferrable=False``."""

    @pytest.fixture
    def slept(self, monkeypatch):
        slept: list[float] = []
        monkeypatch.setattr(base.time, "sleep", slept.append)
        return slept

    def test_waits_between_looks(self, prod, slept) -> None:
        prod.lag = 5
        ctx = context()
        ctx["ti"].task_id = "take"
        assert take(deferrable=False).execute(ctx)["snapshot_id"] == "s"
        assert slept
        assert set(slept) == {0.001}
        kinds = {span["kind"] for span in ctx["ti"].xcoms["take", "timing"]["spans"]}
        assert kinds == {"api", "aws_wait_in_worker"}

    def test_ends(self, prod, slept, monkeypatch) -> None:
        monkeypatch.setenv("AURORA_OPS_POLL_S", "30")
        prod.lag = 10**6
        with pytest.raises(WaitTimeoutError, match="not within 120 s"):
            take(deferrable=False).execute(context())
        assert slept == [30.0] * 4

    def test_a_waiter_that_disagrees_with_the_goal_does_not_run_for_ever(self, prod, slept, monkeypatch) -> None:
        prod.snapshot("s")
        monkeypatch.setattr(EnsureSnapshotOperator, "_available", lambda self, s, c: self._wait_for("s", c))
        with pytest.raises(StateError, match="40 passes did not reach the goal"):
            take(deferrable=False).execute(context())
        assert slept == []


def test_context_without_a_task_instance_is_enough(prod) -> None:
    prod.lag = 0
    assert take().execute({})["snapshot_id"] == "s"


def test_multiple_outputs_are_pushed_one_by_one() -> None:
    assert take().multiple_outputs is True
    assert DeleteSnapshotOperator(task_id="d", snapshot_id=None, **AT).multiple_outputs is True
