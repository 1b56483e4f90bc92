"""
Back up the audit logs of every instance to S3: every byte once, provably, before the database deletes it.

One Airflow DAG for each file in `include/config/` that has a section `audit_logs`. Each run lists the instances of the configured
accounts and regions and their log files, compares them with what is stored (DynamoDB), and reads what is new: a growing file is
followed by chunks, a whole one is streamed, in at most `audit_logs.most_batches` mapped tasks with threads inside. Objects are
compressed, end where records do, and are put under keys made of file and byte range, never over anything. A position moves only
after its object is durable, and never past a gap; hashes tie the objects of a file to a chain, which `audit_log_verify` proves.

**When.** Every five minutes, or by the file's `audit_logs.schedule`; Aurora keeps logs for a day, or until they take 15% of the
instance's storage, and what is late is lost: watch the metric `AuditLogLag`. The first run takes everything that is still there.
By hand with *Trigger*: for one instance, or only to show the plan.

**Safe to run again?** Yes, at any point: a try that was killed leaves at most an object that the next one adopts.

**Triage.** `plan_backup` red: settings, a connection, or the list of instances. `back_up_logs` red: each file is named with the
reason, all others were stored, and the next run goes on where this one is. An announcement of *lost* or *truncated*: bytes went
before they could be read; run more often. *partial*: with `audit_logs.reader: chunks`, what chunks could not carry is marked in the
objects' `marks`. Tasks that stay scheduled: the pool of `audit_logs.pool` does not exist.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.audit_log_params import backup_params
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.schedules import of_environment
from aurora_ops.task_groups.audit_logs.back_up import back_up_logs


def backup(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.audit_logs is None:
        return
    about = settings.audit_logs

    @dag(
        **defaults_of(environment.name),
        dag_id=f"audit_log_backup_{environment.name}",
        schedule=of_environment(about.schedule, settings),
        params=backup_params(),
        description=f"Backs up the audit logs of {environment.name} to S3, every byte once",
        doc_md=__doc__,
        tags=["audit_logs", environment.name],
    )
    def audit_log_backup() -> None:
        back_up_logs(settings, about, environment.path)

    audit_log_backup()


for one_environment in configured():
    backup(one_environment)
