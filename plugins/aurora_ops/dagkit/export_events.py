"""What wakes the DAG of snapshots' events: the queue in each account and region whose snapshots are exported."""

from __future__ import annotations

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher

from aurora_ops.core.exports import names
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportEvents, Exports
from aurora_ops.dagkit.schedules import often
from aurora_ops.triggers.queue_messages import QueueMessagesTrigger


def snapshot_events(settings: Environment, about: Exports, heard: ExportEvents) -> Asset:
    """Make the asset that has an event for each message: one watcher for each account and region.

    :param settings: settings of the environment.
    :param about: their section of exports.
    :param heard: its section of events.
    """
    places = {
        (place.account_id, place.region): place for place in (getattr(settings, one.account) for one in about.databases)
    }
    return Asset(
        name=f"snapshot_events_{settings.environment}",
        watchers=[
            AssetWatcher(
                name=f"{account_id}_{region}",
                trigger=QueueMessagesTrigger(
                    queue=heard.queue or names.queue(settings.environment),
                    account_id=account_id,
                    aws_conn_id=place.aws_conn_id,
                    region_name=region,
                ),
            )
            for (account_id, region), place in places.items()
        ],
    )


def by_events(asset: Asset, heard: ExportEvents) -> AssetOrTimeSchedule:
    """Build the schedule: whenever something is heard, and every some minutes, since some events start no run.

    :param asset: as ``snapshot_events`` makes it.
    :param heard: the section of events.
    """
    return AssetOrTimeSchedule(timetable=often(heard.fallback_min), assets=[asset])
