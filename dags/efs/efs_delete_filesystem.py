"""
Delete a file system of the target's account: its replication, access points, mount targets, and then itself.

Its files are gone. It must carry the tag `refresh=true`, its name must be in `safety.allowed_file_systems`, and its id is typed
twice. A file system that is the source of a replication is refused.

**When.** By hand, from the trigger form in Airflow, after applications have moved to another one, or to clear
away what a failed restore has left.

**Safe to run again?** Yes. One that is already gone is the goal.

**Triage.** `delete_file_system` red with `FileSystemInUse`: another mount target or replication has appeared; clear the task.
Red at `replication_gone`: the policy of the source must let this account end the replication;
efs_setup_cross_account_replication sees to that.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.file_system_removal import DeleteFileSystemOperator


@workflow(__doc__)
def efs_delete_filesystem(job: Job) -> None:
    """Place its task."""
    DeleteFileSystemOperator(
        task_id="delete_file_system",
        file_system_id=job["file_system_id"],
        allowed_names=job["allowed_names"],
        **job.at("target"),
    )
