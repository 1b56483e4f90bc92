"""
Delete a cluster of the target's account with its instances.

Only what the allow-list names and is tagged `refresh=true` can be deleted; deletion protection is taken off, a stopped
cluster is started first, because AWS deletes none that is stopped. By default a final snapshot is taken.

**When.** By hand, from the trigger form in Airflow. The name is typed twice.

**Safe to run again?** Yes. An absent cluster is the goal.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `delete_cluster` red: the
message says at which step AWS refused; run it again once that is mended.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_removal import DeleteClusterOperator


@workflow(__doc__, locks=True)
def db_delete_cluster(job: Job) -> None:
    """Place its tasks."""
    DeleteClusterOperator(
        task_id="delete_cluster",
        cluster_id=job["cluster"],
        final_snapshot_id=job["final_snapshot_id"],
        **job.at("target"),
    )
