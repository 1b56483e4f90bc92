"""Schedules from settings."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable

from aurora_ops.core.settings import Environment


def nightly(settings: Environment) -> CronTriggerTimetable | None:
    """Build the timetable of an environment: its cron times to come, none where it has no schedule.

    A DAG that is switched on begins at its next time. Airflow's default would start the last one that was missed, and
    ``run_immediately=False`` still does so within a tenth of the interval; a refresh must not start by surprise.

    :param settings: settings of the environment.
    """
    if settings.schedule is None:
        return None
    return CronTriggerTimetable(settings.schedule, timezone=settings.timezone, run_immediately=timedelta(0))


def daily_at(hour: int) -> CronTriggerTimetable:
    """Build the timetable of a DAG that belongs to no environment: once a day at an hour of UTC, times to come only.

    :param hour: 0 to 23.
    """
    return CronTriggerTimetable(f"0 {hour} * * *", timezone="UTC", run_immediately=timedelta(0))
