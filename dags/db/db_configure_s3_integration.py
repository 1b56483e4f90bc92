"""
Attach the environment's S3 role to a cluster.

With it `LOAD DATA FROM S3` and `SELECT INTO OUTFILE S3` work. Only the role that the environment names may be attached.

**When.** By hand, from the trigger form in Airflow, after a restore by hand; the refresh does it by itself.

**Safe to run again?** Yes. A role that is attached is left at that.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `configure_s3_integration`
red with *INVALID*: the role's trust policy does not name rds.amazonaws.com.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.clusters import AttachRoleOperator


@workflow(__doc__)
def db_configure_s3_integration(job: Job) -> None:
    """Place its tasks."""
    AttachRoleOperator(
        task_id="configure_s3_integration", cluster_id=job["cluster"], role_arn=job["role_arn"], **job.at("target")
    )
