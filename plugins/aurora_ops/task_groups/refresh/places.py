"""Places in the graph of a refresh that are kept for what is to come."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator

from aurora_ops.task_groups.typed import group


@group("files")
def files() -> EmptyOperator:
    """Hold the place of the file systems, which are refreshed beside the database."""
    return EmptyOperator(task_id="restore_file_systems")
