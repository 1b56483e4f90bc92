"""Schedules from settings."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import CronTriggerTimetable

from aurora_ops.core.settings import Environment


def nightly(settings: Environment) -> CronTriggerTimetable | None:
    """Build the timetable of an environment's refresh: its cron times to come, none where it has no schedule.

    :param settings: settings of the environment.
    """
    return of_environment(settings.schedule, settings)


def of_environment(schedule: str | None, settings: Environment) -> CronTriggerTimetable | None:
    """Build a timetable in an environment's time zone: cron times to come, none where there is no schedule.

    A DAG that is switched on begins at its next time. Airflow's default would start the last one that was missed, and
    ``run_immediately=False`` still does so within a tenth of the interval; a refresh must not start by surprise.

    :param schedule: five cron fields.
    :param settings: settings of the environment.
    """
    if schedule is None:
        return None
    return CronTriggerTimetable(schedule, timezone=settings.timezone, run_immediately=timedelta(0))


def beginning(day: date | None, settings: Environment) -> datetime | None:
    """Give the moment at which a day begins in an environment's time zone; none where there is none.

    :param day: the day.
    :param settings: settings of the environment.
    """
    return datetime.combine(day, time.min, ZoneInfo(settings.timezone)) if day else None


def often(minutes: int) -> CronTriggerTimetable:
    """Build the timetable of a DAG that looks whether there is something to do: times to come only.

    :param minutes: at most that many apart, 1 to 60.
    """
    expression = "0 * * * *" if minutes == 60 else f"*/{minutes} * * * *"
    return CronTriggerTimetable(expression, timezone="UTC", run_immediately=timedelta(0))


def daily_at(hour: int) -> CronTriggerTimetable:
    """Build the timetable of a DAG that belongs to no environment: once a day at an hour of UTC, times to come only.

    :param hour: 0 to 23.
    """
    return CronTriggerTimetable(f"0 {hour} * * *", timezone="UTC", run_immediately=timedelta(0))


def weekly_at(weekday: int, hour: int) -> CronTriggerTimetable:
    """Build the timetable of a DAG that belongs to no environment: once a week, times to come only.

    :param weekday: 0 is Sunday.
    :param hour: of UTC, 0 to 23.
    """
    return CronTriggerTimetable(f"0 {hour} * * {weekday}", timezone="UTC", run_immediately=timedelta(0))


def since_the_day_before(schedule: str | None, settings: Environment) -> CronTriggerTimetable | None:
    """Build the timetable of an environment's DAG whose runs are each for the day that ends with them.

    Cron timetables have no data interval unless they are given one; a backfill needs it.

    :param schedule: five cron fields, once a day.
    :param settings: settings of the environment.
    """
    if schedule is None:
        return None
    return CronTriggerTimetable(
        schedule, timezone=settings.timezone, interval=timedelta(days=1), run_immediately=timedelta(0)
    )


def day_before(hour: int | None) -> CronTriggerTimetable | None:
    """Build the timetable of a DAG whose runs are each for the day before, in UTC: its data interval begins on that day.

    :param hour: of UTC, 0 to 23; ``None``: by hand only.
    """
    if hour is None:
        return None
    return CronTriggerTimetable(
        f"0 {hour} * * *", timezone="UTC", interval=timedelta(days=1), run_immediately=timedelta(0)
    )
