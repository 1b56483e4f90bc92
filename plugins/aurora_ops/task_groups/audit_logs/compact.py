"""Making a day's audit logs useful: planned, compacted in batches, found by Athena, announced."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import TriggerRule

from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_audit_compaction import Compaction
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.operators.log_compaction import (
    AnnounceLogCompactionOperator,
    CompactLogsOperator,
    PlanLogCompactionOperator,
    PublishLogTableOperator,
)
from aurora_ops.task_groups.mapped import end_whole, listed
from aurora_ops.task_groups.typed import Outputs, at


def compact_logs(settings: Environment, about: AuditLogs, options: Compaction, environment_file: Path) -> None:
    """Plan; compact; let Athena find it; announce what is to be looked at, whatever happened.

    :param settings: settings of the environment.
    :param about: their section of audit logs.
    :param options: its section of compaction.
    :param environment_file: where they stand; they are read again when the plan is made.
    """
    home = at(settings.orchestrator)
    planned = PlanLogCompactionOperator(task_id="plan_compaction", path=str(environment_file), **home)
    compacted = CompactLogsOperator.partial(
        task_id="compact_logs", settings=about.model_dump(mode="json"), **home
    ).expand_kwargs(listed("list_instances_of_day", Outputs(planned)["batches"]))
    announced = AnnounceLogCompactionOperator(
        task_id="announce_compaction",
        environment=settings.environment,
        topic_arn=about.topic_arn or settings.orchestrator.topic_arn,
        compact_task="compact_logs",
        trigger_rule=TriggerRule.ALL_DONE,
        **home,
    )
    compacted >> announced
    all_done = end_whole(compacted, announced)
    if options.database is None:
        return
    published = PublishLogTableOperator(
        task_id="publish_table",
        database=options.database,
        table=options.table,
        bucket=about.bucket,
        prefix=options.prefix,
        compact_task="compact_logs",
        trigger_rule=TriggerRule.ALL_DONE,  # what was written is found, though other instances may have failed
        **home,
    )
    compacted >> published >> all_done
