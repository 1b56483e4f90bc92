"""What stands around mapped tasks: the list of what they are given, and an end that knows whether all of it was done."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TriggerRule, task


@task
def _listed(planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """List what mapped tasks are given: only a task's whole result can be mapped over."""
    return planned


def listed(task_id: str, planned: Any) -> Any:
    """Make a part of a plan the whole result of a task, so that it can be mapped over.

    :param task_id: of the task.
    :param planned: list of dictionaries, an output of another task.
    """
    return _listed.override(task_id=task_id)(planned)


def end_whole(*tasks: Any) -> BaseOperator:
    """End with a task that fails the run where one of these has failed, though others ran after it whatever happened.

    :param tasks: what a run that has succeeded has done.
    """
    all_done = EmptyOperator(task_id="all_done", trigger_rule=TriggerRule.NONE_FAILED)
    list(tasks) >> all_done
    return all_done
