"""
Clear up after a refresh that was done by hand, or that ended half-way.

The old cluster is kept, stopped or deleted by policy, once the live one serves; shares of the source's snapshots that refreshes
of this environment left are taken back, and their snapshots and copies deleted; if asked for, the restored cluster is deleted
and the live one stopped. Each part is done whatever becomes of the others, and a part that fails makes the run fail.

**When.** By hand, from the trigger form in Airflow. After a refresh by its DAG there is nothing left to do.

**Safe to run again?** Yes. What is gone is gone; a second run changes nothing.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `retire_old_cluster` red with
*does not serve*: the old cluster may be what is needed to go back, and was left alone. `clear_*` red: the message names the
snapshot. `stop_live_cluster` red: it has no instances, or is in a status that AWS does not stop.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.task_groups.utils.cleanup import cleanup_and_stop


@workflow(__doc__, locks=True)
def utils_cleanup_and_stop(job: Job) -> None:
    """Place its tasks."""
    cleanup_and_stop(job.checked, job.at("source"), job.at("target"))
