"""Proving that stored audit logs are as they were stored: planned, read again in batches, reported."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import TriggerRule

from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.operators.log_verification import (
    PlanLogVerificationOperator,
    ReportLogVerificationOperator,
    VerifyLogsOperator,
)
from aurora_ops.task_groups.mapped import end_whole, listed
from aurora_ops.task_groups.typed import Outputs, at


def verify_logs(settings: Environment, about: AuditLogs, environment_file: Path) -> None:
    """Plan; read again; report, whatever happened.

    :param settings: settings of the environment.
    :param about: their section of audit logs.
    :param environment_file: where they stand; they are read again when the plan is made.
    """
    home = at(settings.orchestrator)
    planned = PlanLogVerificationOperator(task_id="plan_verification", path=str(environment_file), **home)
    verified = VerifyLogsOperator.partial(
        task_id="verify_logs", settings=about.model_dump(mode="json"), **home
    ).expand_kwargs(listed("list_stored", Outputs(planned)["batches"]))
    reported = ReportLogVerificationOperator(
        task_id="report_verification",
        environment=settings.environment,
        bucket=about.bucket,
        prefix=about.compacting.prefix,
        plan_task=planned.task_id,
        verify_task="verify_logs",
        trigger_rule=TriggerRule.ALL_DONE,
        **home,
    )
    verified >> reported
    end_whole(verified, reported)
