"""
Find the directory that AWS Backup has restored into, and write it and the file system's id where applications look.

A small function mounts the file system in its own network, through an access point whose user is not root, and lists the
directories `aws-backup-restore_<datetime>`. The newest, if there are files in it, is written to `files.subpath_parameter`, the
id to `files.id_parameter`: both, or neither.

**When.** From the trigger form in Airflow, after efs_restore_from_backup, when applications shall use what was restored.

**Safe to run again?** Yes. What is right already is not written.

**Triage.** `find_restore_directory` red, no directory: was it restored by AWS Backup? Red with EFSMountFailureException or a
timeout: the function's role needs ClientMount, and the security group of the mount targets must let NFS in from itself.
`verify_files` red: the directory is empty, look at the restore job. `publish_files` red: neither parameter has changed.
"""

from __future__ import annotations

from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.efs.publish_subpath import prove_files, publish_subpath


@workflow(__doc__)
def efs_get_subpath_and_store_in_ssm(job: Job) -> None:
    """Place its tasks."""
    target = job.at("target")
    proven = prove_files(target, job, code_folder=str(include() / "functions" / "efs_probe"))
    proven.verify >> publish_subpath(target, job, proven.find)
