"""The two ends of an operation that is followed: its first event, with what was asked for, and its last, with the export."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

import aurora_ops
from aurora_ops.core import operation as operations
from aurora_ops.core import run_record, workflow_record
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import AuroraOpsError, StateError, TransientError
from aurora_ops.core.operation import Operation
from aurora_ops.core.settings import Environment
from aurora_ops.core.trail import Event
from aurora_ops.hooks.buckets import BucketsHook, Stored
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import TrailHook
from aurora_ops.operators.base import RefreshOperator
from aurora_ops.operators.following import trail_of
from aurora_ops.operators.runs import run_by, run_moment, run_name, run_type

PERMISSIONS = (
    "dynamodb:PutItem",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "s3:PutObject",
    "s3:PutObjectRetention",
    "s3:GetObject",
)
"""What ending an operation needs in the orchestrator's account."""

_TRAIL, _MANIFEST = "application/x-ndjson", "application/json"


def begin(
    context: Context,
    settings: Environment,
    *,
    request: Mapping[str, Any],
    part: str = "",
    hidden: Sequence[str] = (),
) -> dict[str, Any]:
    """Begin an operation: the first event of its trail, then its state. Each time it is begun again is an event too.

    :param context: Airflow's context.
    :param settings: settings of the run.
    :param request: what was asked for, with the defaults filled in; only its hash is written.
    :param part: of a run with several operations, which one this is.
    :param hidden: parameters of the run that may hold data, and are not written down.
    :return: where state and trail are, for the XCom ``operation``.
    :raises AuroraOpsError: one of them could not be written; nothing was changed yet.
    """
    dag_run, home = context["dag_run"], settings.orchestrator
    kept = home.audit_kept_days
    operation = Operation(
        name=f"{run_name(dag_run)}#{part}" if part else run_name(dag_run),
        aws_conn_id=home.aws_conn_id,
        region_name=home.region,
        runs_table=home.runs_table,
        audit_table=home.audit_table,
        audit_bucket=home.audit_bucket,
        lock_days=home.audit_lock_days,
        lock_mode=home.audit_lock_mode,
        expires_at=int((datetime.now(UTC) + timedelta(days=kept)).timestamp()) if kept else None,
    )
    about = {
        "operation": operation.name,
        "dag_id": dag_run.dag_id,
        "run_id": dag_run.run_id,
        "environment": settings.environment,
        "moment": run_moment(dag_run).isoformat(),
        "triggered_by": run_by(dag_run),
        "run_type": run_type(dag_run),
        "config_sha256": trails.digest({"settings": settings.model_dump(mode="json"), "request": dict(request)}),
    }
    if (trail := trail_of(operation)) is not None:
        account, caller = OperationsHook(home.aws_conn_id, home.region).caller()
        conf = workflow_record.shown(dict(dag_run.conf or {}), hidden)
        trail.append(
            trails.BEGUN,
            {
                **about,
                "conf": json.dumps(conf, sort_keys=True, default=str),
                "version": aurora_ops.__version__,
                "account": account,
                "caller": caller,
            },
        )
    started = (dag_run.start_date or datetime.now(UTC)).isoformat()
    hook = OperationsHook(home.aws_conn_id, home.region)
    hook.begin(home.runs_table, operation.name, {**about, "started_at": started, "audit_table": home.audit_table})
    return operation.as_json()


@dataclass(frozen=True)
class Closed:
    """How the end of an operation was written.

    :param trail: where its trail is and where it ends; ``None`` where there is none.
    :param warnings: what is to be known of it.
    :param error: what could not be written, to be raised when everything else is done.
    """

    trail: dict[str, Any] | None
    warnings: list[str]
    error: AuroraOpsError | None

    def may_pass(self, context: Context) -> bool:
        """Tell whether the task is tried again because of the error, which may have passed by then."""
        ti: Any = context.get("ti")
        return isinstance(self.error, TransientError) and ti.try_number <= ti.max_tries


def close(
    context: Context,
    operation: Operation,
    *,
    outcome: str,
    failed_step: str | None,
    cause: str | None,
    states: Mapping[str, Any],
    steps: Sequence[str],
    keep_days: int,
) -> Closed:
    """End an operation: the last event of its trail, the export, the end of its state; each is tried even if another fails.

    :param context: Airflow's context.
    :param operation: the operation.
    :param outcome: ``succeeded`` or ``failed``.
    :param failed_step: task that failed first.
    :param cause: its message.
    :param states: task to Airflow's state.
    :param steps: tasks that tell their state themselves.
    :param keep_days: days until the state expires.
    """
    warnings: list[str] = []
    ended = {"outcome": outcome, "failed_step": failed_step, "cause": cause}
    errors: list[AuroraOpsError | None] = []
    events, error = _tried(warnings, "audit trail", lambda: _last_event(operation, ended))
    errors.append(error)
    found: dict[str, Any] | None = None
    if events:
        head = trails.head_of(operation.name, events)
        found = {"table": operation.audit_table, "events": head.sequence, "head": head.hash}
        errors.append(_tried(warnings, "audit trail", lambda: _require_unbroken(operation, events))[1])
    if found is not None and (bucket := operation.audit_bucket) is not None:
        exported, error = _tried(warnings, "export", lambda: _exported(context, operation, bucket, events))
        errors.append(error)
        found |= exported or {}
        if exported and "version_id" not in exported:
            warnings.append(f"bucket {bucket} keeps no versions of audit trails; switch versioning on")

    def end_state() -> list[str]:
        now = datetime.now(UTC)
        return OperationsHook(operation.aws_conn_id, operation.region_name).finish(
            operation.runs_table,
            operation.name,
            {**ended, "ended_at": now.isoformat(), **({"trail": found} if found else {})},
            ends=operations.ends(states),
            expires_at=int((now + timedelta(days=keep_days)).timestamp()),
        )

    corrected, error = _tried(warnings, "state", end_state)
    errors.append(error)
    untold = [step for step in corrected or () if step in steps and str(states.get(step)) == "success"]
    warnings += [f"{step}: its state was not written while it ran, see its log" for step in untold]
    return Closed(found, warnings, next((error for error in errors if error is not None), None))


def followed_steps(task: RefreshOperator[Any], begun_by: str) -> list[str]:
    """List the tasks of a DAG that tell their state themselves.

    :param task: one of its tasks.
    :param begun_by: task that begins their operation.
    """
    dag = task.get_dag()
    return [other.task_id for other in dag.tasks if getattr(other, "operation_task", None) == begun_by] if dag else []


def _tried(warnings: list[str], what: str, write: Callable[[], Any]) -> tuple[Any, AuroraOpsError | None]:
    try:
        return write(), None
    except AuroraOpsError as exc:
        warnings.append(f"{what}: {exc}")
        return None, exc


def _last_event(operation: Operation, ended: Mapping[str, Any]) -> list[Event]:
    """Add the last event where it is not there yet; the whole trail."""
    if (trail := trail_of(operation)) is None or operation.audit_table is None:
        return []
    hook = TrailHook(operation.aws_conn_id, operation.region_name)
    events = hook.list_events(operation.audit_table, operation.name)
    last = events[-1] if events else {}
    if last.get("kind") != trails.FINISHED or {key: last[key] for key in ended if key in last} != trails.tidy(ended):
        trail.append(trails.FINISHED, ended)
        events = hook.list_events(operation.audit_table, operation.name)
    return events


def _require_unbroken(operation: Operation, events: Sequence[Event]) -> None:
    """Make sure that the trail is whole, also where a step saw it end.

    :raises StateError: it is broken.
    """
    state = OperationsHook(operation.aws_conn_id, operation.region_name).find_state(
        operation.runs_table, operation.name
    )
    if broken := trails.verify(events, seen=operations.seen_heads(state or {})).broken:
        raise StateError(
            f"trail of {operation.name} in {operation.audit_table} is broken: {broken}; find out who wrote there"
        )


def _exported(context: Context, operation: Operation, bucket: str, events: Sequence[Event]) -> dict[str, Any]:
    """Write a trail to S3, and its manifest beside it; what is there is never replaced."""
    dag_run, body, head = context["dag_run"], trails.as_jsonl(events), trails.head_of(operation.name, events)
    hook = BucketsHook(operation.aws_conn_id, operation.region_name)
    lock: dict[str, Any] = {"lock_mode": operation.lock_mode}
    if operation.lock_days is not None:
        lock["locked_until"] = datetime.now(UTC) + timedelta(days=operation.lock_days)
    name = run_record.file_name(operation.name.split("/", 1)[1])
    for count in (None, head.sequence):
        key = trails.export_key(dag_run.dag_id, run_moment(dag_run), name, events=count)
        stored = _stored(hook, bucket, key, body, _TRAIL, lock)
        if stored is not None:
            break
    else:
        raise StateError(
            f"s3://{bucket}/{key} holds something else than the audit trail of {operation.name}; look who wrote it"
        )
    about = trails.manifest(operation.name, head, bucket=bucket, key=key, version_id=stored.version_id)
    beside = trails.manifest_key(key)
    if _stored(hook, bucket, beside, trails.canonical(about).encode(), _MANIFEST, lock) is None:
        raise StateError(f"s3://{bucket}/{beside} does not describe {key}; look who wrote it")
    return about


def _stored(
    hook: BucketsHook, bucket: str, key: str, body: bytes, content_type: str, lock: Mapping[str, Any]
) -> Stored | None:
    """Write an object, or find that it is there already; ``None`` where another one is."""
    if (written := hook.put_new(bucket, key, body, content_type, **lock)) is not None:
        return written
    there = hook.find(bucket, key)
    return there if there is not None and there.content == body else None
