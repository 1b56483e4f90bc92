"""What a run exports: the snapshots that are due in its interval, those that were missed, or the one that it was told to.

Nothing here looks at AWS or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from aurora_ops.core.exports import snapshots
from aurora_ops.core.exports.snapshots import Snapshot
from aurora_ops.core.exports.states import EXPORTED, Known
from aurora_ops.core.exports.tasks import CANCELED, FAILED, Task, attempts
from aurora_ops.core.settings_exports import ExportedDatabase

What = Literal["export", "done", "none", "stopped"]


@dataclass(frozen=True)
class Asked:
    """What a run is asked for.

    :param start: beginning of its interval; ``None``: it has none.
    :param end: its end, excluded.
    :param missed_since: moment from which on snapshots that nobody has exported are made up for; ``None``: none are.
    :param snapshot_arn: the one snapshot to export.
    :param again: export also what has failed too often or was cancelled.
    """

    start: datetime | None = None
    end: datetime | None = None
    missed_since: datetime | None = None
    snapshot_arn: str | None = None
    again: bool = False


@dataclass(frozen=True)
class Decision:
    """What becomes of a snapshot, or of a database without one.

    :param what: ``export``; ``done``: it has been exported; ``none``: there is none; ``stopped``: a person is to look at it.
    :param why: in words.
    :param snapshot: the snapshot.
    :param attempt: number of its export task.
    """

    what: What
    why: str
    snapshot: Snapshot | None = None
    attempt: int = 0


def decide(
    about: ExportedDatabase,
    found: Sequence[Snapshot],
    known: Iterable[Known],
    tasks: Sequence[Task],
    asked: Asked,
    *,
    zone: tzinfo,
    most_attempts: int,
) -> list[Decision]:
    """Decide what is exported of a database; at least one decision.

    :param about: the database.
    :param found: all of its snapshots, in any state.
    :param known: what is remembered of its exports.
    :param tasks: export tasks of its account and region.
    :param asked: what the run is asked for.
    :param zone: whose days count.
    :param most_attempts: tasks that are started for a snapshot unasked.
    """
    remembered = {one.arn: one for one in known}
    done = {arn: one for arn, one in remembered.items() if one.status == EXPORTED}
    chosen, nothing = _chosen(about, found, done, asked, zone)
    decisions = [_of(one, done, tasks, asked, most_attempts) for one in chosen]
    return decisions or [Decision("none", nothing)]


def _chosen(
    about: ExportedDatabase, found: Sequence[Snapshot], done: Mapping[str, Known], asked: Asked, zone: tzinfo
) -> tuple[list[Snapshot], str]:
    """Choose snapshots, and say why there is none."""
    if asked.snapshot_arn is not None:
        one = next((one for one in found if one.arn == asked.snapshot_arn), None)
        if one is None:
            return [], f"{asked.snapshot_arn} is no snapshot of {about.database_id}, or it is gone"
        if one.status != "available" or one.created is None:
            return [], f"{one.snapshot_id} is {one.status or 'not there yet'}"
        return [one], ""
    due = snapshots.due(
        found, about.snapshots, about.frequency, zone, [(one.arn, one.created) for one in done.values()]
    )
    if asked.start is None or asked.end is None:
        return due[-1:], f"{about.database_id} has no snapshot that is due"
    chosen = snapshots.within(due, asked.start, asked.end)
    if asked.missed_since is not None:
        missed = snapshots.within(due, asked.missed_since, asked.start)
        chosen = [one for one in missed if one.arn not in done] + chosen
    return (
        chosen,
        f"no snapshot of {about.database_id} is due between {asked.start.isoformat()} and {asked.end.isoformat()}",
    )


def _of(one: Snapshot, done: Mapping[str, Known], tasks: Sequence[Task], asked: Asked, most_attempts: int) -> Decision:
    if one.arn in done:
        return Decision("done", f"{one.snapshot_id} was exported by {done[one.arn].task_id}", one)
    tried = attempts(tasks, one.arn)
    last = max(tried, default=0)
    if last == 0:
        return Decision("export", f"{one.snapshot_id} is due", one, 1)
    task = tried[last]
    if task.status not in (FAILED, CANCELED):
        return Decision("export", f"{task.task_id} is {task.status}, and is adopted", one, last)
    if asked.again:
        return Decision("export", f"{task.task_id} is {task.status}; asked for again", one, last + 1)
    if task.status == CANCELED:
        return Decision("stopped", f"{task.task_id} was cancelled; trigger it with again, if it is wanted", one, last)
    if last >= most_attempts:
        return Decision("stopped", f"{last} tasks have failed, {task.task_id} by: {task.cause}", one, last)
    return Decision("export", f"{task.task_id} has failed; attempt {last + 1}", one, last + 1)


def interval(
    start: datetime | None, end: datetime | None, scheduled: bool, reconcile_days: int
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Say what a run's interval covers, and from when on a scheduled one makes up for what was missed.

    :param start: beginning of the run's data interval.
    :param end: its end.
    :param scheduled: whether the schedule made the run, not a backfill or a person.
    :param reconcile_days: of the settings.
    :return: start, end, and the moment from which on what was missed counts; a run without an interval has none of them.
    """
    if start is None or end is None or start >= end:
        return None, None, None
    missed = end - timedelta(days=reconcile_days) if scheduled and reconcile_days else None
    return start, end, missed if missed is not None and missed < start else None
