"""The run itself: its lock, its record, its announcement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import run_record
from aurora_ops.core.errors import PermanentError
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import ERROR_KEY, TIMING_KEY, RefreshOperator, Result


class RunOperator(RefreshOperator[RunsHook]):
    """What the operators of a run share.

    :param table: table of runs.
    :param target_key: the target, ``refresh#<account>#<cluster>`` (templated).
    """

    hook_class = RunsHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "target_key")

    def __init__(self, *, table: str, target_key: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.target_key = target_key

    @staticmethod
    def holder(context: Context) -> str:
        """Name the run, as lock and record do."""
        dag_run = context["dag_run"]
        return f"{dag_run.dag_id}/{dag_run.run_id}"


class TakeLockOperator(RunOperator):
    """Take the lock of a target, so that one refresh of it runs at a time.

    A conditional ``PutItem`` with a lease: a run that died does not lock its target for ever, and the same run finds its own lock.

    :param lease_h: hours after which the lock is void.
    :return: ``{"target_key", "holder"}``.
    :raises BusyError: another run has it, which is waited for by retrying, then given up; nothing was changed.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "dynamodb:GetItem")

    def __init__(self, *, lease_h: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lease_h = lease_h

    def take_pass(self, context: Context) -> Result:
        """Take it or refuse."""
        if not self.target_key:
            raise PermanentError("there is no target to lock; the check before the run has not named one")
        now = datetime.now(UTC).timestamp()
        holder = self.holder(context)
        self.hook.take_lock(self.table, self.target_key, holder=holder, now=now, expires_at=now + self.lease_h * 3600)
        return {"target_key": self.target_key, "holder": holder}


class ReleaseLockOperator(RunOperator):
    """Give the lock of a target back; the lock of another run is left alone.

    :return: ``{"released": bool}``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:DeleteItem",)

    def take_pass(self, context: Context) -> Result:
        """Release what is this run's."""
        released = bool(self.target_key) and self.hook.release_lock(
            self.table, str(self.target_key), self.holder(context)
        )
        return {"released": released}


class RecordRunOperator(RunOperator):
    """Write down how a run went and announce it, whatever happened.

    The record (DynamoDB ``PutItem``) has who, what, when, each step with its state and time, warnings, cause of failure,
    RPO and RTO; the announcement (SNS ``Publish``) has the outcome, the step that failed, its cause and the duration. A step
    that belongs to cleaning up is best effort: its failure is a warning. Both are tried even if one of them fails.

    :param topic_arn: topic to announce to; ``None`` announces nothing.
    :param environment: environment of the run.
    :param plan_task: task whose result is the plan.
    :param snapshot_task: task that took or adopted the source snapshot.
    :param best_effort: prefixes of task ids whose failure is a warning.
    :param compensation: task ids whose success means that a failed switch was undone.
    :param keep_days: days until the record expires.
    :return: ``{"outcome", "pk", "sk", "warnings"}``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "sns:Publish")

    def __init__(
        self,
        *,
        environment: str,
        plan_task: str,
        snapshot_task: str,
        topic_arn: str | None,
        best_effort: Sequence[str],
        compensation: Sequence[str],
        keep_days: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.plan_task = plan_task
        self.snapshot_task = snapshot_task
        self.topic_arn = topic_arn
        self.best_effort = tuple(best_effort)
        self.compensation = tuple(compensation)
        self.keep_days = keep_days

    def take_pass(self, context: Context) -> Result:
        """Collect, write, announce."""
        dag_run = context["dag_run"]
        all_states = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
        states = all_states.get(dag_run.run_id, {})
        checked = str(states.get(self.plan_task))
        if checked == "skipped" or (checked == "failed" and _run_type(dag_run) == "manual"):
            # a dry run, or the check refused what a person typed: then AWS is not touched at all
            raise AirflowSkipException("nothing was changed, and whoever asked sees why; nothing to record")
        record = self._collect(context, states)
        try:
            self.hook.put(self.table, record)
        finally:
            if self.topic_arn:
                topics = TopicsHook(self.aws_conn_id, self.region_name)
                message = json.dumps(record, indent=2, default=str)
                topics.publish(self.topic_arn, run_record.subject(record), message)
        return {key: record[key] for key in ("outcome", "pk", "sk", "warnings")}

    def _collect(self, context: Context, states: dict[str, Any]) -> dict[str, Any]:
        ti, dag_run = context["ti"], context["dag_run"]
        mine = {task_id: state for task_id, state in states.items() if task_id != self.task_id}
        timings = self._pulled(context, mine, TIMING_KEY)
        failed = {task_id: state for task_id, state in mine.items() if str(state) == "failed"}
        causes = self._pulled(context, failed, ERROR_KEY)
        plan = dict(ti.xcom_pull(task_ids=self.plan_task) or {})
        taken = ti.xcom_pull(task_ids=self.snapshot_task) or {}
        plan["snapshot_created_at"] = taken.get("created_at") or plan.get("snapshot_created_at")
        moment = dag_run.logical_date or dag_run.run_after
        return run_record.build(
            run=self.holder(context),
            environment=self.environment,
            target_key=self.target_key or f"refresh#{self.environment}",
            moment=moment,
            started=dag_run.start_date or moment,
            ended=datetime.now(UTC),
            triggered_by=str(getattr(dag_run, "triggering_user_name", None) or _run_type(dag_run)),
            conf=dict(dag_run.conf or {}),
            plan=plan,
            states=mine,
            timings=timings,
            causes=causes,
            best_effort=self.best_effort,
            compensation=self.compensation,
            keep_days=self.keep_days,
        )

    @staticmethod
    def _pulled(context: Context, states: dict[str, Any], key: str) -> dict[str, Any]:
        """Pull an XCom of every task that has one."""
        ran = [
            task_id for task_id, state in states.items() if state not in (None, "skipped", "upstream_failed", "removed")
        ]
        found = {task_id: context["ti"].xcom_pull(task_ids=task_id, key=key) for task_id in ran}
        return {task_id: value for task_id, value in found.items() if value is not None}


def _run_type(dag_run: Any) -> str:
    """Name the kind of run; Airflow's enumerations differ in what ``str`` makes of them."""
    return str(getattr(dag_run.run_type, "value", dag_run.run_type))
