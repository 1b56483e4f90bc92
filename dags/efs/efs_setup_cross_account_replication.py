"""
Replicate production's file system into one of the target's account.

What AWS asks for is set up on both sides: the destination's policy and overwrite protection, the source's policy so that the
destination's account may end the replication, and the role that EFS assumes (`files.replication_role_arn`). Clients that may
mount either file system now may do so afterwards; but the destination can only be read while it is replicated to, and what was
in it is lost.

**When.** Once, by hand, from the trigger form in Airflow. efs_wait_replication_complete then says when everything is there.

**Safe to run again?** Yes. A replication that leads to this destination is left as it is; one that leads elsewhere is refused.

**Triage.** `replicate` red with BadRequest: the role needs ReplicationRead on the source and ReplicationWrite on the
destination. Red with another destination: end that replication first. ERROR or PAUSED: the EFS console says why.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.efs.replicate_files import replicate_files


@workflow(__doc__)
def efs_setup_cross_account_replication(job: Job) -> None:
    """Place its tasks."""
    replicate_files(job.at("source"), job.at("target"), job)
