"""A run that is late is announced with what it waits for; one that has ended is not."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from aurora_ops.callbacks import late
from aurora_ops.core.errors import AuroraOpsError, PermanentError
from aurora_ops.dagkit.lateness import late_alert
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.topics import TopicsHook

from tests.unit.core import samples

STATES = {
    "prepare.check": "success",
    "restore.create_writer": "deferred",
    "mask.dump_kept_tables": "running",
    "clean_up.x": None,
}
TIMING = {"waits_for": "instance_available of x-1", "deferred_at": 1782871805.0}


@pytest.fixture
def said(monkeypatch):
    """What is published and counted."""
    found: list = []
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    monkeypatch.setattr(TopicsHook, "publish", lambda self, *given: found.append(("topic", *given)))
    monkeypatch.setattr(MetricsHook, "put", lambda self, *given: found.append(("metrics", *given)))
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda dag_id, run_ids: {run_ids[0]: dict(STATES)})
    monkeypatch.setattr(
        XCom, "get_one", lambda **given: TIMING if given["task_id"] == "restore.create_writer" else None
    )
    return found


def announce(state: str = "running", **changes) -> str:
    alert = late_alert(samples.settings({"late_after_h": 2, "orchestrator.topic_arn": "arn:t"}))
    run = {"dag_id": "refresh_staging", "dag_run_id": "r", "state": state, "queued_at": "2026-07-01T02:00:00Z"}
    return asyncio.run(late.announce_late(context={"dag_run": run}, **{**alert.callback.kwargs, **changes}))


def test_is_announced_and_counted(said) -> None:
    done = announce()
    (_, topic, subject, message, attributes), (_, namespace, data) = said
    assert topic == "arn:t"
    waiting = "restore.create_writer (deferred): instance_available of x-1, since 02:10:05 UTC"
    assert subject == "refresh staging late: mask.dump_kept_tables (running)"
    assert f"- {waiting}" in message["default"]
    assert "https://airflow.example/dags/refresh_staging/runs/r" in message["default"]
    assert json.loads(message["sqs"])["waiting_for"] == ["mask.dump_kept_tables (running)", waiting]
    assert attributes == {"environment": "staging", "outcome": "late"}
    assert (namespace, data[0]["MetricName"]) == ("AuroraOps", "RefreshLate")
    assert waiting in done


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_has_ended_is_not_late(said, state) -> None:
    """Airflow drops the deadlines of runs that succeeded in time only; those of failed ones pass later."""
    assert "its end was announced" in announce(state)
    assert said == []


def test_a_run_that_is_still_queued_is_late(said, monkeypatch) -> None:
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {})
    announce("queued")
    assert "nothing is known to run" in said[0][3]["default"]


def test_is_announced_even_if_airflow_does_not_say_what_it_waits_for(said, monkeypatch) -> None:
    def refuse(**_):
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", refuse)
    announce()
    assert [kind for kind, *_ in said] == ["topic", "metrics"]


def test_failed_metric_does_not_hide_the_announcement_and_a_failed_announcement_is_an_error(said, monkeypatch) -> None:
    def refuse(*_):
        raise PermanentError("denied")

    monkeypatch.setattr(MetricsHook, "put", refuse)
    announce()
    assert [kind for kind, *_ in said] == ["topic"]
    monkeypatch.setattr(TopicsHook, "publish", refuse)
    with pytest.raises(AuroraOpsError, match="denied"):
        announce()


def test_neither_topic_nor_metrics(said) -> None:
    announce(topic_arn=None, metrics_namespace=None)
    assert said == []


def test_no_deadline_unless_it_is_set() -> None:
    assert late_alert(samples.settings()) is None


def test_deadline_can_be_written_down_and_found_again() -> None:
    alert = late_alert(samples.settings({"late_after_h": 0.5}))
    assert alert.interval.total_seconds() == 1800
    assert alert.callback.path == "aurora_ops.callbacks.late.announce_late"
    assert json.loads(json.dumps(alert.callback.serialize())) == alert.callback.serialize()
    takes = set(inspect.signature(late.announce_late).parameters)
    assert set(alert.callback.kwargs) | {"context"} == takes
