"""
Restore the files of production from AWS Backup into a new file system of the target's account.

The newest completed recovery point that is young enough is chosen by its time, copied into the target's vault if that is in another
account, and restored into a new file system, which gets its mount targets and access points. AWS Backup writes into a
directory `aws-backup-restore_<datetime>`; efs_get_subpath_and_store_in_ssm finds and publishes it.

**When.** By hand, from the trigger form in Airflow; the nightly refresh does the same.

**Safe to run again?** Yes. Clearing tasks adopts copy, job and file system of the run; a new run makes a new file system.

**Triage.** `choose_recovery_point` red: no backup is young enough, the message says what there is. `copy_recovery_point` red with
Access Denied: the access policy of `files.vault` must allow `backup:CopyIntoBackupVault` to the source's account.
`restore_file_system` red: the message has the job's own; delete what it has made, and start a new run.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.efs.restore_files import restore_files


@workflow(__doc__)
def efs_restore_from_backup(job: Job) -> None:
    """Place its tasks."""
    restore_files(job.at("source"), job.at("target"), job)
