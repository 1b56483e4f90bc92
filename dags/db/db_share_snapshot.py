"""
Share a manual snapshot of the source with the target's account, or take the share back.

Sharing is a grant on the snapshot's key and an entry on its list, proven from the other side. Automated snapshots and those
under the default key cannot be shared: copy them under a customer key first.

**When.** By hand, from the trigger form in Airflow.

**Safe to run again?** Yes. What is shared stays shared; what is revoked stays revoked.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `share.share_snapshot` red:
the snapshot is missing, or is none that can be shared. `share.see_shared_snapshot` red: the role of the target may not use
the snapshot's key.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.db.share_snapshot import share_or_revoke


@workflow(__doc__)
def db_share_snapshot(job: Job) -> None:
    """Place its tasks."""
    share_or_revoke(
        job["action"],
        job["snapshot"],
        account_id=job["target_account_id"],
        grantee_arn=job["grantee_arn"],
        at_source=job.at("source"),
        at_target=job.at("target"),
        **job.made,
    )
