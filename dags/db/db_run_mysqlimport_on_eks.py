"""
Load dumped tables into an Aurora cluster from a file system, by a job on EKS.

What db_run_mysqldump_on_eks has left: each table comes back as it was dumped, in place of the one of its name. Check sums
are compared before anything is loaded. The cluster must be on the allow-list and tagged `refresh=true`.

**When.** By hand, from the trigger form in Airflow, after something has spoiled the tables, or after a refresh that was to
keep them.

**Safe to run again?** Yes. A cleared task adopts its job; a new run loads the same rows again.

**Triage.** `check` red: field, value and what is allowed are named. `eks.run_job` red with `FAILED` in its log: the dump is
broken, dump again. `no dump of`: the dump has another name or database. Red in between: clear it, the load begins anew.
"""

from __future__ import annotations

from functools import partial

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.table_jobs import LoadTablesJobOperator
from aurora_ops.task_groups.eks.run_job import run_job


@workflow(__doc__, locks=True)
def db_run_mysqlimport_on_eks(job: Job) -> None:
    """Place its tasks."""
    run_job(
        partial(LoadTablesJobOperator, schemas=job["databases"]), job, job["cluster"], job.at("target"), writes=True
    )
