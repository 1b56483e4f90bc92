"""
Start a cluster if need be, and wait until it and all its instances are available.

A cluster that is about to stop is waited for and then started. It is no longer kept stopped.

**When.** By hand, from the trigger form in Airflow, before somebody works on a stopped environment.

**Safe to run again?** Yes. An available cluster is the goal.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `ensure_cluster_available`
red: the message names the status from which nothing comes back; see the RDS console.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_power import EnsureClusterAvailableOperator


@workflow(__doc__)
def db_ensure_cluster_available(job: Job) -> None:
    """Place its tasks."""
    EnsureClusterAvailableOperator(task_id="ensure_cluster_available", cluster_id=job["cluster"], **job.at("target"))
