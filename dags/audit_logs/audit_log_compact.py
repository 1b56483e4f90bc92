"""
Make the stored audit logs of a day useful: records as Parquet, a table for Athena, a manifest that proves the day whole.

One Airflow DAG for each file in `include/config/` that has `audit_logs.compaction`. Every object that was stored on the day is
read and checked against its hash; the records of an instance's files, several of which are written at once, are sorted into one
order and written by the day on which they happened; lines that are no records are kept beside, with the reason. Then the day's
manifest: bytes offered and stored, gaps, duplicates, records by operation, files by status, the chain of hashes. Queries are in
`include/sql/athena/`.

**When.** Daily at `audit_logs.compaction.hour` UTC, for the day before; a backfill makes earlier days. By hand with *Trigger*:
for one day.

**Safe to run again?** Yes, at any point: keys follow from instance and day, so a run writes the same again, and takes away what
an earlier one wrote beyond it. Run a day again when `audit_log_verify` says that objects were stored after its manifest.

**Triage.** `plan_compaction` red: settings, the parameter, or the table of states. `compact_logs` red: each instance is named,
the others are done; *not as it was stored* is for `audit_log_verify`. `publish_table` red: AWS Glue refused; the files are
there. An announcement of gaps, lost files, broken chains or rejected lines: `docs/how-to/audit-logs.md`.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.schedules import day_before
from aurora_ops.dagkit.stored_log_params import compaction_params
from aurora_ops.task_groups.audit_logs.compact import compact_logs


def compaction(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.audit_logs is None or settings.audit_logs.compaction is None:
        return
    about, options = settings.audit_logs, settings.audit_logs.compaction

    @dag(
        **defaults_of(environment.name),
        dag_id=f"audit_log_compact_{environment.name}",
        schedule=day_before(options.hour),
        params=compaction_params(),
        description=f"Makes the stored audit logs of {environment.name} Parquet, a table and a manifest, day by day",
        doc_md=__doc__,
        tags=["audit_logs", environment.name],
    )
    def audit_log_compact() -> None:
        compact_logs(settings, about, options, environment.path)

    audit_log_compact()


for one_environment in configured():
    compaction(one_environment)
