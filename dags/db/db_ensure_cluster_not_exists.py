"""
Clear away what a refresh left under a temporary or retired name.

Deletes `<cluster>-restore` or `<cluster>-old` with its instances, without a final snapshot; never a cluster that serves.

**When.** By hand, from the trigger form in Airflow, after a refresh that was set to keep a failed cluster.

**Safe to run again?** Yes. An absent cluster is the goal.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `ensure_cluster_not_exists`
red: the message says at which step AWS refused.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_removal import DeleteClusterOperator


@workflow(__doc__, locks=True)
def db_ensure_cluster_not_exists(job: Job) -> None:
    """Place its tasks."""
    DeleteClusterOperator(task_id="ensure_cluster_not_exists", cluster_id=job["cluster"], **job.at("target"))
