"""
Delete the functions that looked into file systems, and their access points, where a dead run has left them.

Runs delete their own. What is ours is known by its name and its tags; what has not expired is left, unless the form says
otherwise. Both accounts are looked through.

**When.** By hand, from the trigger form in Airflow, after a run was killed or its clean-up has failed.

**Safe to run again?** Yes.

**Triage.** A task red with a name that is not ours: somebody made a function by such a name; rename or tag it.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.file_probe import RemoveProbesOperator


@workflow(__doc__)
def efs_cleanup_efs_lambdas(job: Job) -> None:
    """Place its tasks."""
    for place in ("source", "target"):
        RemoveProbesOperator(
            task_id=f"remove_{place}_probes",
            environment=job["environment"],
            also_running=job["also_running"],
            **job.at(place),
        )
