"""
Create a file system in the target's account, encrypted, with a mount target in each zone and its access points.

Name, key, subnets, security groups and access points are those of the environment's section `files`, unless the form says
otherwise. It is tagged `refresh=true`: a later workflow may overwrite or delete it.

**When.** By hand, from the trigger form in Airflow, before a first replication, or to have an empty file system to try
something with.

**Safe to run again?** Yes. The creation token follows from environment and name, so that a second run finds the first one's
file system and adds only what is missing.

**Triage.** `create_file_system` red with `FileSystemLimitExceeded`: raise the quota. `ensure_mount_targets` red: the message names
the subnet or security group; a mount target in `error` is deleted by hand in the console, then the task is cleared.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.efs.create_filesystem import create_filesystem


@workflow(__doc__)
def efs_create_filesystem(job: Job) -> None:
    """Place its tasks."""
    create_filesystem(job.at("target"), job)
