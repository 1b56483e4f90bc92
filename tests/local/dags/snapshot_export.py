"""Stands for ``snapshot_export_<environment>``: runs that remember what they were to export."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(dag_id="snapshot_export_staging", schedule=None, max_active_runs=16):
    EmptyOperator(task_id="export")
