"""
Let RDS make a cluster's master password and keep it in Secrets Manager.

After a restore the snapshot's master password is valid until this is done. Waits until the secret is active.

**When.** By hand, from the trigger form in Airflow, after a restore by hand; the refresh does it by itself.

**Safe to run again?** Yes. A cluster whose master secret is managed is left at that.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `enable_master_secret` red:
the key of the secret is missing or may not be used.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.credentials import ManageMasterSecretOperator


@workflow(__doc__)
def db_enable_master_secret(job: Job) -> None:
    """Place its tasks."""
    ManageMasterSecretOperator(
        task_id="enable_master_secret", cluster_id=job["cluster"], kms_key_id=job["kms_key_id"], **job.at("target")
    )
