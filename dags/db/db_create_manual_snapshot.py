"""
Take a manual snapshot of an environment's source or target cluster.

The cluster goes on serving. The snapshot is named after environment, cluster and the run's moment, tagged with its owner and
the day until which it is kept.

**When.** By hand, from the trigger form in Airflow, before a migration or anything that may have to be taken back.

**Safe to run again?** Yes. Clearing the task adopts the snapshot that it has taken; a new run takes a new one.

**Triage.** `check` red: the message names field, value and what is allowed. `create_manual_snapshot` red with
`SnapshotQuotaExceeded`: delete manual snapshots of the account, or have the quota raised.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.snapshots import EnsureSnapshotOperator


@workflow(__doc__)
def db_create_manual_snapshot(job: Job) -> None:
    """Place its task."""
    EnsureSnapshotOperator(
        task_id="create_manual_snapshot",
        cluster_id=job["cluster"],
        snapshot_id=job["snapshot_id"],
        **job.made,
        **job.at("chosen"),
    )
