"""Running an operator as Airflow does, without Airflow: deferred, its trigger run, resumed in a process that knows nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.registry import HOOKS
from aurora_ops.operators.base import RefreshOperator
from aurora_ops.triggers.wait import WaitTrigger

_MOST_DEFERRALS = 60


class FakeTaskInstance:
    """XComs and task states of one run."""

    map_index = -1
    try_number = 1

    def __init__(self, states: dict[str, Any] | None = None) -> None:
        self.task_id = "task"
        self.durations: dict[str, float | None] = {}
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.states = states or {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str, key: str = "return_value", map_indexes: int | None = None) -> Any:
        return self.xcoms.get((task_ids, key))

    def get_task_states(self, *, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None) -> dict[str, Any]:
        return {run_ids[0]: {name: s for name, s in self.states.items() if task_ids is None or name in task_ids}}

    def get_task_breadcrumbs(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": name, "map_index": -1, "duration": seconds} for name, seconds in self.durations.items()]


def context(**changes: Any) -> Any:
    """What operators of this package use of Airflow's context."""
    dag_run = SimpleNamespace(
        dag_id="refresh_staging",
        run_id="manual__1",
        run_type="manual",
        logical_date=datetime(2026, 7, 1, 2, 0, tzinfo=UTC),
        run_after=datetime(2026, 7, 1, 2, 0, tzinfo=UTC),
        start_date=datetime(2026, 7, 1, 2, 0, tzinfo=UTC),
        conf={},
        triggering_user_name="ann",
    )
    return {"ti": FakeTaskInstance(), "dag_run": dag_run, "params": {}, **changes}


def drive(make: Callable[[], RefreshOperator[Any]], ctx: Any | None = None) -> Any:
    """Run a task to its end; each resumption is a new operator, as in another process.

    :param make: builds the operator.
    :return: its result.
    """
    ctx = ctx or context()
    task = make()
    ctx["ti"].task_id = task.task_id
    step: Callable[[], Any] = lambda: task.execute(ctx)  # noqa: E731
    for _ in range(_MOST_DEFERRALS):
        try:
            return step()
        except TaskDeferred as deferred:
            event = fire(deferred)
            task, method = make(), deferred.method_name
            step = lambda task=task, method=method, event=event: getattr(task, method)(ctx, event=event)  # noqa: E731
    raise AssertionError(f"{_MOST_DEFERRALS} deferrals did not end")


def once(make: Callable[[], RefreshOperator[Any]], ctx: Any | None = None) -> TaskDeferred | Any:
    """Take the first pass only, as if the worker were killed then: the deferral, or the result."""
    try:
        return make().execute(ctx or context())
    except TaskDeferred as deferred:
        return deferred


def fire(deferred: TaskDeferred) -> dict[str, Any]:
    """Carry out a deferral as the triggerer does, from what was serialised; its event."""
    path, kwargs = deferred.trigger.serialize()
    assert path == "aurora_ops.triggers.wait.WaitTrigger"
    trigger = WaitTrigger(**json.loads(json.dumps(kwargs)))
    until = Wait(**trigger.until)
    hook = HOOKS[trigger.service](trigger.aws_conn_id, trigger.region_name, fresh=True)
    for _ in range(min(until.attempts, 200)):  # as the trigger looks; the trigger's own tests are beside it
        try:
            if hook.look(until) is Look.REACHED:
                return {"status": "success", "message": until.waiter, "at": 0.0}
        except Exception as exc:  # noqa: BLE001 - any error of a look is a failed event
            return {"status": "failed", "message": str(exc), "at": 0.0}
    return {"status": "timeout", "message": until.waiter, "at": 0.0}


def run_trigger(trigger: WaitTrigger) -> list[Any]:
    """Every event of a trigger."""

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return asyncio.run(events())
