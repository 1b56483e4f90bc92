"""
Restore a snapshot or a moment beside what serves, verify it, and let it serve if that is asked for.

The backup is copied where account, region or key ask for it, and restored as `<live cluster>-restored` (or
`-restored-<label>`) in the isolated security groups, with instances, role, and a master password of its own. The
environment's users get the passwords of their secrets, others are dropped. Then the verification suite decides. Nothing that
serves is touched before that. With *Let it serve* the new cluster takes the live one's name; the old one is kept as
`<live cluster>-old`, and on any failure the names go back.

Data of production that is restored here is **not masked**: it stays in the isolated groups, and may not serve unless the
environment says `restore.allow_unmasked`. Masked data for an environment is what its refresh is for.

**When.** By hand, from the trigger form in Airflow. *Dry run* shows the whole plan and changes nothing. The restore drill does
the same every week.

**Safe to run again?** Yes. Clearing tasks goes on where the run stopped. A new run clears away what a failed one left,
adopts a copy of the same snapshot, and never touches a cluster that was verified: give another label, or clear the name with
`db_ensure_cluster_not_exists`.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `source.*` red: the message
names the key or the share that is missing. `restore.*` red: nothing serves differently; the cluster is removed by
`clean_up.delete_unverified_cluster`. `verify.*` red: the report names each check that failed. `switch.*` red:
`switch.undo_rename` tells what serves now. The record and the announcement say what is left.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.recovery import CheckRestoreOperator
from aurora_ops.task_groups.restore.pipeline import restore_pipeline


@workflow(
    __doc__,
    locks=True,
    announces=True,
    audits=True,
    measures=True,
    check=CheckRestoreOperator,
    facts_task="clean_up.look_at_outcome",
    tag="restore",
)
def aurora_restore(job: Job) -> None:
    """Place its tasks."""
    restore_pipeline(job.checked, job.made, job.at("source"), job.at("target"))
