"""
Have a claim of the applications at a directory of an EFS file system, or delete it.

Create makes storage class, volume and claim, and waits until the claim is bound; where the claim shows another directory, a
volume is made for the new one, the claim is made anew, and the former volume goes last. With *Scale workloads*, those of
`eks.workloads` that use the claim are scaled to 0 meanwhile, and back whatever happens. Delete waits until claim and volumes
are gone. Files stay in either case. No refresh begins meanwhile.

**When.** By hand, from the trigger form in Airflow, after files were restored under a new directory.

**Safe to run again?** Yes. What is right is left as it is. Only objects labelled `app.kubernetes.io/managed-by=aurora-ops`
are replaced or deleted, only claims of `eks.claims`, and none that running pods use. What was scaled to 0 carries its former
count in the annotation `aurora-ops/replicas`, which a run that goes on, or the next one, goes by.

**Triage.** `check` red: field, value and what is allowed are named. `is used by`: ask for *Scale workloads*, or scale those
applications to 0, run this, scale them up. `start_workloads` red: its pods are not ready on what the claim shows; their
events say why. `is not labelled`: somebody else made it; the message has the command that hands it over.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.kubernetes_storage import ManageStorageOperator
from aurora_ops.task_groups.eks.scale_workloads import scale_workloads


@workflow(__doc__, locks=True)
def eks_manage_storage(job: Job) -> None:
    """Place its tasks."""
    inside = {"cluster_name": job["eks_cluster"], "namespace": job["namespace"], **job.at("target")}
    manage = ManageStorageOperator(
        task_id="manage_storage",
        action=job["action"],
        claim_name=job["claim"],
        storage_class_name=job["storage_class"],
        file_system_id=job["file_system_id"],
        path=job["path"],
        access_point_id=job["access_point_id"],
        **inside,
    )
    scale_workloads(inside, workloads=job["workloads"], claims=[job["claim"]], run_key=job["run_key"], work=[manage])
