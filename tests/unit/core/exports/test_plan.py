"""What a run exports: what is due, what was missed, what it was told, and never what is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core.exports import names
from aurora_ops.core.exports.plan import Asked, decide, interval
from aurora_ops.core.exports.snapshots import Snapshot
from aurora_ops.core.exports.states import Known, known, sort_key
from aurora_ops.core.exports.tasks import Task
from aurora_ops.core.settings_exports import ExportedDatabase
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 1, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)


def snapshot(day: float, **changes) -> Snapshot:
    arn = f"arn:aws:rds:eu-west-1:1:cluster-snapshot:rds:prod-{int(day * 24):05d}"
    about = {"database_id": "prod", "kind": "automated", "status": "available", "created": START + day * DAY}
    return Snapshot(arn=arn, **{**about, **changes})


def done(one: Snapshot, status: str = "exported") -> Known:
    return Known(one.arn, one.created, status, names.task(one.arn))


def task(one: Snapshot, status: str, attempt: int = 1, cause: str = "") -> Task:
    return Task(names.task(one.arn, attempt), one.arn, status, 0, 0, "b", "p", cause, "", None, None)


def decisions(found, known_=(), tasks=(), asked=None, most_attempts=3, **database):
    about = ExportedDatabase.model_validate({"name": "shop", "cluster": "prod", **database})
    asked = asked or Asked(START, START + DAY)
    return decide(about, found, known_, tasks, asked, zone=UTC, most_attempts=most_attempts)


def exported(*given_, **more) -> list[str]:
    return [one.snapshot.arn for one in decisions(*given_, **more) if one.what == "export"]


def test_the_snapshot_of_the_interval() -> None:
    days = [snapshot(n) for n in range(-2, 3)]
    assert exported(days) == [days[2].arn]


def test_none_in_the_interval_is_told() -> None:
    (only,) = decisions([snapshot(-1), snapshot(1)])
    assert only.what == "none"
    assert "2026-01-01" in only.why
    (empty,) = decisions([])
    assert empty.what == "none"


def test_what_is_done_is_not_done_again() -> None:
    one = snapshot(0)
    (only,) = decisions([one], [done(one)])
    assert (only.what, exported([one], [done(one, "failed")])) == ("done", [one.arn])


def test_a_scheduled_run_makes_up_for_what_was_missed() -> None:
    days = [snapshot(n) for n in range(-10, 1)]
    asked = Asked(START, START + DAY, START - 3 * DAY)
    assert exported(days, [done(days[-2])], asked=asked) == [days[-4].arn, days[-3].arn, days[-1].arn]


def test_a_snapshot_that_was_asked_for_is_exported_whatever_its_kind_and_day() -> None:
    one = snapshot(-300, kind="manual")
    assert exported([snapshot(0), one], asked=Asked(snapshot_arn=one.arn), snapshots=["automated"]) == [one.arn]


@pytest.mark.parametrize(("change", "why"), [({"status": "creating"}, "creating"), ({"created": None}, "available")])
def test_one_that_cannot_be_exported_yet_is_told(change, why) -> None:
    one = snapshot(0, **change)
    (only,) = decisions([one], asked=Asked(snapshot_arn=one.arn))
    assert (only.what, why in only.why) == ("none", True)


def test_one_that_is_gone_is_told() -> None:
    (only,) = decisions([snapshot(0)], asked=Asked(snapshot_arn=snapshot(5).arn))
    assert (only.what, "gone" in only.why) == ("none", True)


def test_by_hand_the_newest_that_is_due() -> None:
    days = [snapshot(n) for n in range(3)]
    assert exported(days, asked=Asked()) == [days[-1].arn]


@pytest.mark.parametrize("status", ["STARTING", "IN_PROGRESS", "CANCELING", "COMPLETE"])
def test_a_task_that_is_there_is_adopted(status) -> None:
    one = snapshot(0)
    (only,) = decisions([one], tasks=[task(one, status)])
    assert (only.what, only.attempt) == ("export", 1)


def test_after_a_failure_comes_the_next_attempt_until_there_are_too_many() -> None:
    one = snapshot(0)
    failed = [task(one, "FAILED", number, "the cause") for number in (1, 2, 3)]
    assert [decisions([one], tasks=failed[:n])[0].attempt for n in (1, 2)] == [2, 3]
    (only,) = decisions([one], tasks=failed)
    assert (only.what, "the cause" in only.why) == ("stopped", True)
    (again,) = decisions([one], tasks=failed, asked=Asked(START, START + DAY, again=True))
    assert (again.what, again.attempt) == ("export", 4)


def test_what_somebody_cancelled_is_left_to_them() -> None:
    one = snapshot(0)
    assert decisions([one], tasks=[task(one, "CANCELED")])[0].what == "stopped"
    assert (
        decisions([one], tasks=[task(one, "CANCELED")], asked=Asked(snapshot_arn=one.arn, again=True))[0].attempt == 2
    )


def test_tasks_of_others_do_not_count() -> None:
    one = snapshot(0)
    other = Task("by-hand", one.arn, "FAILED", 0, 0, "b", "p", "", "", None, None)
    assert decisions([one], tasks=[other, task(snapshot(1), "FAILED")])[0].attempt == 1


@pytest.mark.parametrize(
    ("start", "end", "scheduled", "days", "expected"),
    [
        (None, None, True, 7, (None, None, None)),
        (START, START, True, 7, (None, None, None)),
        (START, START + DAY, False, 7, (START, START + DAY, None)),
        (START, START + DAY, True, 0, (START, START + DAY, None)),
        (START, START + DAY, True, 1, (START, START + DAY, None)),
        (START, START + DAY, True, 7, (START, START + DAY, START - 6 * DAY)),
    ],
)
def test_intervals(start, end, scheduled, days, expected) -> None:
    assert interval(start, end, scheduled, days) == expected


@given(st.sets(st.integers(0, 89), max_size=40), st.randoms())
def test_a_backfill_in_any_order_exports_each_once(days, random) -> None:
    found = [snapshot(day + 0.01) for day in sorted(days)]
    intervals = [Asked(START + n * DAY, START + (n + 1) * DAY) for n in range(90)]
    random.shuffle(intervals)
    remembered: list[Known] = []
    for asked in [*intervals, *intervals[:20]]:
        remembered.extend(
            done(one.snapshot) for one in decisions(found, remembered, asked=asked) if one.what == "export"
        )
    assert sorted(one.arn for one in remembered) == sorted(one.arn for one in found)


def test_items_are_in_order_of_time() -> None:
    one, other = snapshot(0), snapshot(1)
    assert sort_key(one.created, one.arn) < sort_key(other.created, other.arn)
    item = {"snapshot_arn": one.arn, "snapshot_time": one.created.isoformat(), "status": "exported", "task_id": "t"}
    assert known(item) == Known(one.arn, one.created, "exported", "t")
