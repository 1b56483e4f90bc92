"""The DAG file that ``benchmarks.overhead`` runs."""

from __future__ import annotations

from pathlib import Path

TASKS, DEFERRALS = 15, 5
"""Tasks of a chain; of one whose tasks defer."""
CHAINS = {
    "empty": "EmptyOperator",
    "bare": "bare operator",
    "ours": "ours, one look",
    "deferral": "bare deferral",
    "ours_deferral": "ours, one deferral",
}

SOURCE = f'''"""Chains of tasks, each waiting for the one before."""
from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import chain
from aurora_ops.operators.snapshots import DeleteSnapshotOperator, EnsureSnapshotOperator


class BareOperator(BaseOperator):
    """Do nothing."""

    def execute(self, context):
        """Return."""


class BareDeferralOperator(BaseOperator):
    """Defer for no time."""

    def execute(self, context):
        """Wait for a moment that has passed."""
        self.defer(trigger=DateTimeTrigger(datetime(2026, 1, 1, tzinfo=timezone.utc)), method_name="resume")

    def resume(self, context, event=None):
        """Return."""


def make(name, number):
    """Make one task of a chain."""
    task_id = f"task_{{number}}"
    snapshot_id = f"bench-{{{{{{{{ params.turn }}}}}}}}-{{number}}"
    match name:
        case "empty":
            return EmptyOperator(task_id=task_id)
        case "bare":
            return BareOperator(task_id=task_id)
        case "ours":
            return DeleteSnapshotOperator(task_id=task_id, aws_conn_id="aws_destination", snapshot_id=f"absent-{{number}}")
        case "deferral":
            return BareDeferralOperator(task_id=task_id)
        case _:
            return EnsureSnapshotOperator(
                task_id=task_id, aws_conn_id="aws_destination", cluster_id="staging-shop", snapshot_id=snapshot_id
            )


for name in {tuple(CHAINS)}:
    with DAG(dag_id=f"bench_{{name}}", schedule=None, params={{"turn": 0}}):
        chain(*(make(name, number) for number in range({DEFERRALS} if name.endswith("deferral") else {TASKS})))
'''


def write(folder: Path) -> None:
    """Write the DAG file.

    :param folder: where Airflow looks for DAG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chains.py").write_text(SOURCE)
