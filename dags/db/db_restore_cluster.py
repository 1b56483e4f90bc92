"""
Restore a cluster beside the one that serves, from a snapshot, to a moment, or as a clone.

The new cluster is always named after a cluster of the allow-list with `-restore`, never put over something that exists. It
stands in the isolated security group, under the target's key, with a writer, readers and master credentials of its own.
Data of production in it is **not masked**.

**Restore from.** `snapshot`: named, or the newest of a cluster within its age; copies of production's count.
`point_in_time`: a full copy, as a cluster of this account was. `clone`: copy-on-write of one of its clusters.
`shared_clone`: copy-on-write of the source's cluster through RAM. For that the source is shared, which AWS allows within a
region, under a customer key and for one clone in each account; it cannot be renamed meanwhile, and is not shared any more
when the clone is there.

**When.** By hand, from the trigger form in Airflow: to look at data of a moment, to try a change, before a repair.

**Safe to run again?** Yes. Clearing tasks adopts what this run has restored. A new run refuses while the name is taken; it is
cleared with `db_ensure_cluster_not_exists`, or by `reap_expired` after the days that the form says.

**Triage.** `check` or `plan_restore` red: the message names field, value and what is allowed; nothing was changed.
`share_cluster` red: nothing was cloned. `accept_share` red: the invitation was rejected or has expired. `restore_cluster` red
with `DBSubnetGroupDoesNotCoverEnoughAZs`: a clone needs subnets in the source's zones. `stop_sharing` red: the source is
still shared; clear that task.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.db.restore_database import restore_as_asked


@workflow(__doc__, locks=True)
def db_restore_cluster(job: Job) -> None:
    """Place its tasks."""
    restore_as_asked(job.checked, job.made, job.at("source"), job.at("target"))
