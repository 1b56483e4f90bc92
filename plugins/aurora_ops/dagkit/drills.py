"""Restore drills as groups of one DAG."""

from __future__ import annotations

from typing import Any, cast

from airflow.sdk import task_group

from aurora_ops.core.requests.aurora import RestoreDrill
from aurora_ops.core.settings import Drill, Environment
from aurora_ops.dagkit.followed import dag_defaults
from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.workflows import CHECK, Job, place
from aurora_ops.operators.recovery import CheckRestoreOperator
from aurora_ops.task_groups.restore.drill import drill_group, drill_request, restore_and_measure


def drilled(settings: Environment, drill: Drill) -> None:
    """Place the tasks of a drill: checked, locked, restored, measured, recorded.

    :param settings: settings of its environment.
    :param drill: which cluster, and its targets.
    """
    group_id = drill_group(settings, drill)

    def tasks() -> None:
        check = CheckRestoreOperator(
            task_id=CHECK,
            request=RestoreDrill,
            config_folder=str(include() / "config"),
            given=drill_request(settings, drill),
            audits=True,
            aws_conn_id=settings.orchestrator.aws_conn_id,
        )

        def restore(job: Job) -> None:
            restore_and_measure(settings, drill, job.checked, job.made, job.at("source"), job.at("target"))

        facts = f"{group_id}.clean_up.look_at_outcome"
        place(check, restore, locks=True, records=True, announces=False, facts_task=facts)

    followed = dag_defaults(f"{group_id}.{CHECK}")["default_args"]
    cast("Any", task_group(group_id=group_id, default_args=followed)(tasks))()
