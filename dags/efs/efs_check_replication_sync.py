"""
See whether a replication has brought over everything that was written before a moment; fail if not.

`LastReplicatedTimestamp` is compared with the moment. Where a proof by file is asked for, a small function writes a file at the
source, in `/.aurora-ops` as a user that is not root and can write nowhere else, and another one reads it at the destination.
File and functions are removed afterwards.

**When.** At any time, from the trigger form in Airflow. With a proof by file it
waits for that file, which takes as long as replication does.

**Safe to run again?** Yes. It changes nothing that lasts.

**Triage.** `see_synced` red: the message says up to which moment it has come; efs_wait_replication_complete waits for more.
`read_flag` red: the timestamp promises what the files do not hold; do not use the destination. Functions of a dead run are
removed by efs_cleanup_efs_lambdas.
"""

from __future__ import annotations

from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.efs.replicate_files import check_sync


@workflow(__doc__)
def efs_check_replication_sync(job: Job) -> None:
    """Place its tasks."""
    check_sync(
        job.at("source"),
        job.at("target"),
        job,
        waits=False,
        code_folder=str(include() / "functions" / "efs_probe"),
    )
