"""
Archive databases and files of an environment, by a job on EKS whose command the environment names.

`eks.archive` has image, command, databases, claim of files, and where archives go; the job finds all of it in its
environment, and its login in a file. Each run has a folder of its own below `eks.archive.url`. For S3 the job's service
account needs a role (IRSA or Pod Identity).

**When.** By hand, from the trigger form in Airflow, before a cluster is deleted for good.

**Safe to run again?** Yes. A cleared task adopts its job; a new run archives into another folder.

**Triage.** `check` red: the environment has no `eks.archive`, or a field is wrong; it is named. `eks.run_job` red: the
command's own output is in the task's log. A denied upload: the role of `eks.service_account`.
"""

from __future__ import annotations

from functools import partial

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.kubernetes_jobs import RunJobOperator
from aurora_ops.task_groups.eks.run_job import run_job


@workflow(__doc__, locks=True)
def utils_run_archive_job(job: Job) -> None:
    """Place its tasks."""
    run_job(partial(RunJobOperator, command=job["command"]), job, job["cluster"], job.at("target"), writes=False)
