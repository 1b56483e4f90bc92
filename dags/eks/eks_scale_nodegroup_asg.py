"""
Give a managed node group of the environment's EKS cluster so many nodes, or its former size again.

The node group is the named one, or the only one whose labels and taints let the environment's jobs in. Its own API is used,
not its Auto Scaling group's, so nothing drifts; the nodes are waited for until they take pods. The size from before is
noted on a tag, and `restore` goes back to it.

**When.** By hand, from the trigger form in Airflow, before work that needs nodes, and `restore` after it.

**Safe to run again?** Yes. Enough nodes are left as they are; fewer only where that is asked for; a size without a note is
not changed.

**Triage.** `check` red: field, value and what is allowed are named. `none fits`: the message lists labels and taints of
every node group. `outside the bounds`: change the node group where it is defined. `DEGRADED`: EKS's own reason is in the
message.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.nodegroups import ManageNodegroupOperator


@workflow(__doc__, locks=True)
def eks_scale_nodegroup_asg(job: Job) -> None:
    """Place its task."""
    ManageNodegroupOperator(
        task_id="scale_nodegroup",
        action=job["action"],
        cluster_name=job["eks_cluster"],
        allowed_nodegroups=job["allowed_nodegroups"],
        nodegroup=job["nodegroup"],
        node_selector=job["node_selector"],
        tolerations=job["tolerations"],
        count=job["nodes"],
        shrink=job["shrink"],
        run_key=job["run_key"],
        **job.at("target"),
    )
