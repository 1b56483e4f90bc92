"""Keeping snapshots by policy: planned, missing copies made, then what is superseded deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import TriggerRule

from aurora_ops.core import retention_plan
from aurora_ops.core.settings import Environment
from aurora_ops.operators.retention import (
    CopyRetainedOperator,
    PlanRetentionOperator,
    RecordRetentionOperator,
    RetireSnapshotsOperator,
)
from aurora_ops.task_groups.mapped import listed
from aurora_ops.task_groups.typed import Outputs
from aurora_ops.task_groups.utils.reap import locks_of

_COPIES_WITHIN_S = 12 * 3600


def retain_snapshots(settings: Environment, environment_file: Path, environments: Sequence[Environment]) -> None:
    """Plan; copy; delete; write down what was done.

    Nothing is deleted while a copy has failed: what it was to be made of might go.

    :param settings: settings of the environment.
    :param environment_file: where they stand; they are read again when the plan is made.
    :param environments: settings of every environment: whose refresh could be using a snapshot.
    """
    orchestrator = settings.orchestrator
    home: dict[str, Any] = {"aws_conn_id": orchestrator.aws_conn_id, "region_name": orchestrator.region}
    accounts = {where.account_id for of_cluster in retention_plan.places(settings) for where in of_cluster}
    concerned = [e for e in environments if {e.source.account_id, e.target.account_id} & accounts]

    planned = PlanRetentionOperator(task_id="plan_retention", path=str(environment_file), **home)
    plan = Outputs(planned)
    copied = CopyRetainedOperator.partial(
        task_id="copy_snapshot", run_key=plan["run_key"], within_s=_COPIES_WITHIN_S
    ).expand_kwargs(listed("list_copies", plan["copies"]))
    deletions = listed("list_deletions", plan["deletions"])
    deleted = RetireSnapshotsOperator.partial(
        task_id="delete_snapshots",
        map_index_template="{{ task.cluster_id }}",
        policy="remove",
        environments=[settings.environment],
        locks=locks_of(concerned),
        timezone=settings.timezone,
        trigger_rule=TriggerRule.NONE_FAILED,
    ).expand_kwargs(deletions)
    recorded = RecordRetentionOperator(
        task_id="record_retention",
        table=orchestrator.runs_table,
        topic_arn=orchestrator.topic_arn,
        keep_days=orchestrator.records_kept_days,
        tasks={f"retention#{settings.environment}": [planned.task_id, "delete_snapshots"]},
        copies="copy_snapshot",
        report_only=plan["silent"],
        **home,
    )
    [copied, deletions] >> deleted >> recorded
    recorded.as_teardown()
