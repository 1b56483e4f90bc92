"""
Give a cluster of the target's account instances.

The first instance of a cluster becomes its writer; without one nothing can connect. Names follow from the cluster's.

**When.** By hand, from the trigger form in Airflow, after a restore by hand, or to add readers.

**Safe to run again?** Yes. Instances that are there are left at that; what is being created is waited for.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `create_instance` red with
a class that cannot be ordered: choose another one.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.clusters import CreateInstancesOperator


@workflow(__doc__)
def db_create_instance(job: Job) -> None:
    """Place its tasks."""
    CreateInstancesOperator(
        task_id="create_instance",
        cluster_id=job["cluster"],
        instance_class=job["instance_class"],
        first=job["first"],
        count=job["count"],
        **job.made,
        **job.at("target"),
    )
