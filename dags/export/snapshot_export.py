"""
Export snapshots of databases to S3, as Parquet that Athena reads: each snapshot once, proven, and in the catalogue.

One Airflow DAG for each file in `include/config/` that has a section `exports`. A run decides which snapshots are due, and
exports each in a chain of its own: its turn is waited for (RDS has five export tasks in an account, whoever starts them), the
task started or adopted, its end waited for; objects and row counts are proven against the export's own files; tables and a
partition for the day are entered in Glue; Athena counts once more. No worker is held while it waits.

**When.** Nightly by the file's `exports.schedule`; each run is for the day before, and makes up for what events and earlier runs
have missed (`exports.reconcile_days`). By event: `snapshot_export_events`. By hand with *Trigger*: a database, a snapshot, or the
newest. **Backfill** from the UI or `airflow backfill create --dag-id snapshot_export_<environment> --from-date ... --to-date
...`: each day exports the snapshot that belongs to it, or reports that there is none.

**Safe to run again?** Yes, at any point: a task that runs or has ended is adopted, what was exported is not exported again.

**Triage.** `plan_exports` red: settings, a connection, or a snapshot that is none of the database. `export_snapshot` red: bucket,
role, key or tables are not as RDS wants them, with the remedy; or the export failed, with RDS's cause; clear the task and it
tries again. Long in *deferred*: the log says how many run and how many wait. `verify_export` red: objects are missing or not
whole: named; a new attempt by *Trigger* with *Try again*. A note on the run and an announcement name what was skipped, given up
or failed.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.export_params import export_params
from aurora_ops.dagkit.schedules import beginning, since_the_day_before
from aurora_ops.task_groups.export.snapshots import export_snapshots


def exporting(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.exports is None:
        return
    about = settings.exports

    @dag(
        **{
            **defaults_of(environment.name),
            "catchup": about.catchup_from is not None,
            "max_active_runs": about.most_runs,
        },
        dag_id=f"snapshot_export_{environment.name}",
        schedule=since_the_day_before(about.schedule, settings),
        start_date=beginning(about.catchup_from, settings),
        params=export_params([database.name for database in about.databases]),
        description=f"Exports snapshots of {environment.name} to S3, for Athena",
        doc_md=__doc__,
        tags=["export", environment.name],
    )
    def snapshot_export() -> None:
        export_snapshots(settings, about, environment.path)

    snapshot_export()


for one_environment in configured():
    exporting(one_environment)
