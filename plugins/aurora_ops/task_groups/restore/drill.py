"""A restore drill: the pipeline, beside everything, to be torn down; and its evidence."""

from __future__ import annotations

from typing import Any

from airflow.sdk import TriggerRule

from aurora_ops.core.requests.aurora import DRILL
from aurora_ops.core.settings import Drill, Environment
from aurora_ops.operators.cluster_removal import DeleteClusterOperator
from aurora_ops.operators.drill import FileDrillOperator
from aurora_ops.task_groups.restore.pipeline import restore_pipeline
from aurora_ops.task_groups.typed import Outputs, Plan, at


def drill_request(settings: Environment, drill: Drill) -> dict[str, Any]:
    """Say what a drill asks of the pipeline.

    :param settings: settings of the environment.
    :param drill: which cluster, from whose backup.
    """
    return {
        "environment": settings.environment,
        "cluster": drill.cluster,
        "label": DRILL,
        "from_account": drill.from_account,
        "baseline": "source" if drill.from_account == "source" and settings.source.schema_secret else None,
        "keep_days": 1,
    }


def drill_group(settings: Environment, drill: Drill) -> str:
    """Name the group of a drill's tasks."""
    return f"{settings.environment}-{drill.cluster}"


def restore_and_measure(
    settings: Environment,
    drill: Drill,
    plan: Plan,
    made: dict[str, Any],
    at_source: dict[str, Any],
    at_target: dict[str, Any],
) -> None:
    """Restore, verify, measure, file the evidence, and tear everything down.

    :param settings: settings of the environment.
    :param drill: its targets.
    :param plan: what ``CheckRestoreOperator`` decided.
    :param made: how new resources are marked.
    :param at_source: connection and region of the backup.
    :param at_target: connection and region of the new cluster.
    """
    home = settings.orchestrator
    restored = restore_pipeline(plan, made, at_source, at_target, prefix=f"{drill_group(settings, drill)}.")
    file = FileDrillOperator(
        task_id="file_evidence",
        environment=settings.environment,
        cluster=drill.cluster,
        outcome=Outputs(restored.outcome).all,
        verification=Outputs(restored.verification).all,
        rpo_h=drill.rpo_h,
        rto_h=drill.rto_h,
        bucket=home.report_bucket,
        namespace=home.metrics_namespace,
        topic_arn=home.topic_arn,
        **at(home),
        trigger_rule=TriggerRule.ALL_DONE,
    )
    delete = DeleteClusterOperator(
        task_id="delete_restored", cluster_id=plan["restored_cluster"], only_run=plan["run_key"], **at_target
    )
    restored.outcome >> file
    restored.outcome >> delete.as_teardown(on_failure_fail_dagrun=True)
