"""
Start the export of a snapshot as soon as RDS says that it is there.

One Airflow DAG for each file in `include/config/` whose section `exports` has `events`. RDS tells an SNS topic of each snapshot,
the topic a queue in the same account and region, and the triggerer stores each message of the queue as an event of the asset
`snapshot_events_<environment>` before the message is deleted. Each run reads the events that no run has handled yet, asks RDS what
each is about, writes down what is decided and why (items `events#<day>` of `exports.state_table`, kept for 90 days), and starts
`snapshot_export_<environment>` once for each snapshot, under a run id made of its ARN: whatever comes twice starts nothing new.

**When.** Whenever a message came, and every `exports.events.fallback_min` minutes, since an event that is stored while a run is
being made may start none. Not by hand: to export a certain snapshot trigger `snapshot_export_<environment>`.

**Safe to run again?** Yes, at any point: events are moved past only after their runs are there, and are decided once.

**Triage.** `decide_exports` red: settings, the orchestrator's connection, or the state table. `start_exports` red: there is no DAG
`snapshot_export_<environment>`, or Airflow's database. `keep_position` red: RDS could not be asked for the events it names; they
are looked at again for a day, all others are done with. No runs although snapshots are made: the log of the triggerer says whether
the queue can be read; then the subscription and the topic; then whether this DAG is switched on: nobody listens while it is off,
and messages wait in the queue for as long as that keeps them. (Airflow begins to listen when it parses the file of a DAG that is
on.) What no event told of is found by the nightly `snapshot_export_<environment>`. Messages among the dead letters: too long, or
Airflow's database did not store them in time; move them back with a redrive.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.export_events import by_events, snapshot_events
from aurora_ops.task_groups.export.on_events import export_on_events


def on_events(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.exports is None or settings.exports.events is None:
        return
    asset = snapshot_events(settings, settings.exports, settings.exports.events)

    @dag(
        **defaults_of(environment.name),
        dag_id=f"snapshot_export_events_{environment.name}",
        schedule=by_events(asset, settings.exports.events),
        description=f"Starts the export of each new snapshot of {environment.name}'s databases",
        doc_md=__doc__,
        tags=["export", environment.name],
    )
    def snapshot_export_events() -> None:
        export_on_events(settings, asset, environment.path)

    snapshot_export_events()


for one_environment in configured():
    on_events(one_environment)
