"""What exports need, made in the accounts of their databases."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import TriggerRule

from aurora_ops.core.exports import setup
from aurora_ops.core.settings import Environment
from aurora_ops.operators.export_setup import PlanExportSetupOperator
from aurora_ops.operators.stacks import EnsureStackOperator
from aurora_ops.task_groups.mapped import end_whole, listed
from aurora_ops.task_groups.typed import Outputs, at

_LABEL = "{{ task.stack_name }} in {{ task.account_id }}"


def set_exports_up(settings: Environment, environment_file: Path, templates: Path) -> None:
    """Plan; then a stack of events in each account and region, and one for each database; one that fails does not keep others.

    :param settings: settings of the environment.
    :param environment_file: where they stand; they are read again when the plan is made.
    :param templates: folder of the templates.
    """
    planned = PlanExportSetupOperator(
        task_id="plan_setup", path=str(environment_file), templates=str(templates), **at(settings.orchestrator)
    )
    events = EnsureStackOperator.partial(
        task_id="ensure_events",
        template_path=str(templates / setup.EVENTS_TEMPLATE),
        environment=settings.environment,
        map_index_template=_LABEL,
    ).expand_kwargs(listed("list_events", Outputs(planned)["events"]))
    databases = EnsureStackOperator.partial(
        task_id="ensure_databases",
        template_path=str(templates / setup.DATABASE_TEMPLATE),
        environment=settings.environment,
        map_index_template=_LABEL,
        trigger_rule=TriggerRule.NONE_FAILED,
    ).expand_kwargs(listed("list_databases", Outputs(planned)["databases"]))
    events >> databases
    end_whole(events, databases)
