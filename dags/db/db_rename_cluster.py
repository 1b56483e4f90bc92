"""
Let a restored cluster serve under the live one's name: blue and green change places.

`<cluster>` becomes `<cluster>-old`, `<cluster>-restore` becomes `<cluster>`; instances follow. Nothing is deleted to make
room: a cluster that already has the name `-old` is a refusal. On any failure the names go back.

**When.** By hand, from the trigger form in Airflow, after a restore by hand.

**Safe to run again?** No: a second run finds no restored cluster and says so. A failed one has put the names back, and may
be run again.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `switch.*` red:
`switch.undo_rename` tells what serves now.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_power import FindClusterOperator
from aurora_ops.task_groups.db.swap_cluster import swap_cluster
from aurora_ops.task_groups.typed import Outputs


@workflow(__doc__, locks=True)
def db_rename_cluster(job: Job) -> None:
    """Place its tasks."""
    at_target = job.at("target")
    live = FindClusterOperator(task_id="find_live", cluster_id=job["cluster"], **at_target)
    restored = FindClusterOperator(task_id="find_restored", cluster_id=job["temporary_cluster"], **at_target)
    found = Outputs(live)
    swapped = swap_cluster(
        at_target,
        {
            "target_cluster": job["cluster"],
            "temporary_cluster": job["temporary_cluster"],
            "old_cluster": job["old_cluster"],
            "security_groups": found["security_groups"],
            "live_resource_id": found["resource_id"],
            "live_instance_ids": found["instance_ids"],
        },
        Outputs(restored)["resource_id"],
        {},
        users=job["users"],
        tls_ca=job["tls_ca"],
        deletion_protection=job["deletion_protection"],
    )
    serving = FindClusterOperator(task_id="find_serving", cluster_id=job["cluster"], **at_target)
    [live, restored] >> swapped.first
    swapped.verified >> serving  # a swap that was undone must not end green
