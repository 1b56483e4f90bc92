"""
List the snapshots that other accounts share with the target's.

All pages, newest first, in the task's log and result. Changes nothing.

**When.** By hand, from the trigger form in Airflow, to see whether a share has arrived.

**Safe to run again?** Yes. It only reads.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. An empty list: the source
has shared nothing, or with another account or region.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.snapshots import ListSharedSnapshotsOperator


@workflow(__doc__, records=False)
def db_list_shared_snapshots(job: Job) -> None:
    """Place its tasks."""
    ListSharedSnapshotsOperator(
        task_id="list_shared_snapshots", source_account=job["source_account"], **job.at("target")
    )
