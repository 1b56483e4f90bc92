"""
Dump tables of an Aurora cluster to a file system, by a job on EKS.

The job runs in the environment's cluster and namespace with its pinned image. Its login is a file from a Kubernetes secret
that exists for the run only; the tables of a database are read in one transaction; a former dump of the same name is
replaced once the new one is whole, with check sums. The node group gets a node if it has none, and its former size
afterwards.

**When.** By hand, from the trigger form in Airflow, before something that may spoil tables, or to keep tables over a
refresh without the S3 bucket.

**Safe to run again?** Yes. A cleared task adopts its job; a new run replaces the dump.

**Triage.** `check` red: field, value and what is allowed are named. `eks.scale_nodegroup` red: no node group fits the
selector, or its bounds are too narrow. `eks.run_job` red: the pod's log is in the task's log; `cannot start` names image,
secret or mount. Right denied: `include/templates/kubernetes-access.yaml`.
"""

from __future__ import annotations

from functools import partial

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.table_jobs import DumpTablesJobOperator
from aurora_ops.task_groups.eks.run_job import run_job


@workflow(__doc__, locks=True)
def db_run_mysqldump_on_eks(job: Job) -> None:
    """Place its tasks."""
    run_job(partial(DumpTablesJobOperator, tables=job["tables"]), job, job["cluster"], job.at("target"), writes=False)
