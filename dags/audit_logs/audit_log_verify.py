"""
Prove that stored audit logs are as they were stored: every object of some days read again, hashes, chain and gaps compared.

One Airflow DAG for each file in `include/config/` that has a section `audit_logs`. Each object that was stored on the days is
read; its length and SHA-256 must be those that the table of states has, its place in its file's chain of hashes too, and the
manifests, which Object Lock keeps, must agree with the states. A changed, shortened, deleted or swapped object is named, and so
is a state that was made to fit one. A report as page and JSON goes into the bucket.

**When.** By hand with *Trigger*: days and, if wanted, one instance. Empty: yesterday. It reads all of it: S3 has its price for
that.

**Safe to run again?** Yes, at any point: it only reads, and writes its report.

**Triage.** `report_verification` red: the message names what is not as it was stored, and where the report is;
`docs/how-to/audit-logs.md` says how to bring a first version back. `verify_logs` red: the bucket or the table could not be
read; nothing is said about the logs of that batch.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.stored_log_params import verification_params
from aurora_ops.task_groups.audit_logs.verify import verify_logs


def verification(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.audit_logs is None:
        return
    about = settings.audit_logs

    @dag(
        **defaults_of(environment.name),
        dag_id=f"audit_log_verify_{environment.name}",
        schedule=None,
        params=verification_params(),
        description=f"Proves that the stored audit logs of {environment.name} are as they were stored",
        doc_md=__doc__,
        tags=["audit_logs", environment.name],
    )
    def audit_log_verify() -> None:
        verify_logs(settings, about, environment.path)

    audit_log_verify()


for one_environment in configured():
    verification(one_environment)
