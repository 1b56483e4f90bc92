"""
Keep an environment's snapshots by policy: daily, weekly, monthly, with copies in other regions; delete what is superseded.

One DAG for each file in `include/config/` that has a section `retention`: schedule, time zone and whether scheduled runs delete
belong to an environment, and so do the people who decide about them. The newest good snapshot of a day, a week and a month is kept
for as many days, weeks and months as the settings say; only such periods count as have a snapshot, so nothing goes because backups
have stopped. Copies that a region lacks are made first, then what is superseded is deleted.

Never deleted: the newest good snapshot of a place; automated ones and those of AWS Backup; what neither carries this package's tags
and name nor begins as `name_prefixes` says; what has an expiry (that is `reap_expired`'s); what is shared, copied or exported, or
what a running refresh may be using; in a protected account anything but this package's own, and even that only where the settings
say so.

**When.** By the file's `retention.schedule`; what scheduled runs do is `retention.dry_run`. By hand with *Trigger*: *Only show the
plan* is on.

**Safe to run again?** Yes, at any point: each snapshot is looked at again right before it goes, a copy that exists is adopted.

**Triage.** `plan_retention` red: the message names field and value, or the other file that rules over the same snapshots; nothing
was changed. `copy_snapshot` red: the key or its use; nothing is deleted then. `delete_snapshots` red: each snapshot is named with
AWS's reason, the others went. *to look at* in the announcement: `docs/how-to/snapshot-retention.md`.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.reap_params import retention_params
from aurora_ops.dagkit.schedules import of_environment
from aurora_ops.task_groups.restore.retention import retain_snapshots


def retention(environment: Configured, every: list[Configured]) -> None:
    """Build the DAG of an environment; none where its file has no policy, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.retention is None:
        return

    @dag(
        **defaults_of(environment.name),
        dag_id=f"snapshot_retention_{environment.name}",
        schedule=of_environment(settings.retention.schedule, settings),
        params=retention_params(),
        description=f"Keeps snapshots of {environment.name} by policy, copies them, deletes what is superseded",
        doc_md=__doc__,
        tags=["restore", "retention", environment.name],
    )
    def snapshot_retention() -> None:
        retain_snapshots(settings, environment.path, [one.settings for one in every if one.settings])

    snapshot_retention()


every_environment = list(configured())
for one_environment in every_environment:
    retention(one_environment, every_environment)
