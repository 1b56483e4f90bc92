"""Backing audit logs up: planned, read in batches, measured."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import TriggerRule

from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.operators.log_backup import BackUpLogsOperator
from aurora_ops.operators.log_plan import PlanLogBackupOperator
from aurora_ops.operators.log_record import RecordLogBackupOperator
from aurora_ops.task_groups.mapped import end_whole, listed
from aurora_ops.task_groups.typed import Outputs, at

# The next run begins in some minutes and goes on where this one is: waiting longer than that helps nobody.
_RETRIES: dict[str, Any] = {"retries": 3, "max_retry_delay": timedelta(minutes=1)}


def back_up_logs(settings: Environment, about: AuditLogs, environment_file: Path) -> None:
    """Plan; read and store; measure and announce, whatever happened.

    :param settings: settings of the environment.
    :param about: their section of audit logs.
    :param environment_file: where they stand; they are read again when the plan is made.
    """
    orchestrator = settings.orchestrator
    planned = PlanLogBackupOperator(task_id="plan_backup", path=str(environment_file), **at(orchestrator), **_RETRIES)
    batches = listed("list_batches", Outputs(planned)["batches"])
    stored = BackUpLogsOperator.partial(
        task_id="back_up_logs",
        map_index_template="{{ task.instances | length }} instances of {{ task.account_id }}",
        settings=about.model_dump(mode="json"),
        home_conn_id=orchestrator.aws_conn_id,
        home_region=orchestrator.region,
        pool=about.pool,
        **_RETRIES,
    ).expand_kwargs(batches)
    recorded = RecordLogBackupOperator(
        task_id="record_backup",
        environment=settings.environment,
        namespace=orchestrator.metrics_namespace,
        topic_arn=about.topic_arn or orchestrator.topic_arn,
        plan_task=planned.task_id,
        backup_task="back_up_logs",
        trigger_rule=TriggerRule.ALL_DONE,
        **at(orchestrator),
    )
    [planned, stored] >> recorded
    end_whole(stored, recorded)
