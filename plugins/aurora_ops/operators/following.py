"""A task of an operation that is followed: its state is written while it goes on, and each change it makes goes into the trail.

A DAG is followed where the defaults of its tasks name the task that begins the operation (``operation_task``); that one leaves
where state and trail are. A DAG that does not name one pays nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from aurora_ops.core import operation as operations
from aurora_ops.core.errors import AuroraOpsError, StateError
from aurora_ops.core.operation import OPERATION_KEY, Operation, Progress
from aurora_ops.hooks import auditing
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import Trail, TrailHook

PERMISSIONS = ("dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:Query")
"""What each followed task needs in the orchestrator's account."""

log = logging.getLogger(__name__)


def operation_of(context: Context, operation_task: str) -> Operation:
    """Find where the operation that a task is part of keeps its state and its trail.

    :param context: Airflow's context.
    :param operation_task: task that began it.
    :raises StateError: that task has left nothing.
    """
    raw = context["ti"].xcom_pull(task_ids=operation_task, key=OPERATION_KEY)
    if not raw:
        raise StateError(
            f"{operation_task} has begun no operation, and without its trail nothing may be changed; clear {operation_task} too"
        )
    return Operation.of(raw)


def trail_of(operation: Operation, context: Context | None = None) -> Trail | None:
    """Open the trail of an operation; ``None`` where it has none.

    :param operation: the operation.
    :param context: of the task that writes; ``None`` for the run itself.
    """
    if operation.audit_table is None:
        return None
    ti: Any = context["ti"] if context else None
    return Trail(
        TrailHook(operation.aws_conn_id, operation.region_name),
        operation.audit_table,
        operation.name,
        task=operations.step_name(ti.task_id, ti.map_index) if ti else None,
        tries=int(ti.try_number) if ti else None,
        expires_at=operation.expires_at,
    )


class _NoTrail:
    """Refuses every change.

    :param reason: why there is no trail.
    """

    def __init__(self, reason: StateError) -> None:
        self.reason = reason

    def before(self, change: auditing.Change) -> Any:
        """Refuse it."""
        raise self.reason

    def after(
        self, token: Any, outcome: str, *, duration_ms: int, error: str | None, answer: Mapping[str, Any]
    ) -> None:
        """Never comes to pass."""


@contextmanager
def followed(operation_task: str, context: Context, waited: Callable[[], tuple[int, str | None]]) -> Iterator[None]:
    """Follow a pass: write the state of its task before and after it, and record every change that it makes.

    A state that cannot be written is a warning in the task's log, and in the record of the run at its end. A change whose event
    cannot be written is not made; where no operation was begun, none is.

    :param operation_task: task that began the operation.
    :param context: Airflow's context.
    :param waited: tells how often the task has waited so far, and what it waits for.
    :raises StateError: there is no operation.
    """
    try:
        operation = operation_of(context, operation_task)
    except StateError as unfollowed:
        # after a refused check clean-up tasks run, find nothing to do, and must not look broken
        with auditing.recorded_by(_NoTrail(unfollowed)):
            yield
        return
    trail = trail_of(operation, context)
    hook = OperationsHook(operation.aws_conn_id, operation.region_name)

    def tell(status: str) -> None:
        deferrals, waits_for = waited()
        progress = Progress(
            status=status,
            tries=int(context["ti"].try_number),
            deferrals=deferrals,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            waits_for=waits_for if status == operations.DEFERRED else None,
            head=trail.written if trail else None,
        )
        _tell(hook, operation, context["ti"], progress)

    tell(operations.RUNNING)
    try:
        with auditing.recorded_by(trail) if trail else nullcontext():
            yield
    except TaskDeferred:
        tell(operations.DEFERRED)
        raise
    except AirflowSkipException:
        tell(operations.SKIPPED)
        raise
    except BaseException:
        tell(operations.FAILED)
        raise
    tell(operations.SUCCEEDED)


def _tell(hook: OperationsHook, operation: Operation, ti: Any, progress: Progress) -> None:
    """Write how far the task has come; what it says is not worth failing for."""
    name = operations.step_name(ti.task_id, ti.map_index)
    try:
        if not hook.put_step(operation.runs_table, operation.name, name, progress):
            log.info("state of %s: a later word stands, %s is not written", name, progress.status)
    except AuroraOpsError as exc:
        log.warning("state of %s could not be written (%s): %s", name, progress.status, exc)
