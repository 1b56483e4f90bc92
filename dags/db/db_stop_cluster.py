"""
Stop a cluster of the target's account with its instances.

RDS starts a stopped cluster again after seven days. With *Days it is kept stopped* the cluster is tagged, and
`reap_expired`, which runs daily, stops it again until then.

**When.** By hand, from the trigger form in Airflow, for an environment that nobody needs for a while.

**Safe to run again?** Yes. A stopped cluster is the goal; the days count anew.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `stop_cluster` red: the
cluster has no instances, or is in a status that AWS does not stop.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_power import StopClusterOperator


@workflow(__doc__, locks=True)
def db_stop_cluster(job: Job) -> None:
    """Place its tasks."""
    StopClusterOperator(
        task_id="stop_cluster",
        cluster_id=job["cluster"],
        keep_stopped_days=job["keep_stopped_days"],
        **job.at("target"),
    )
