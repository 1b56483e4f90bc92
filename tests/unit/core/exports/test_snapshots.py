"""Which snapshots are exported: the first of each period, whatever is made, deleted or asked later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from aurora_ops.core.exports.snapshots import Snapshot, due, kind_of, period, within
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
ALL = ("automated", "manual", "backup")


def snapshot(hours: float, name: str | None = None, **given_) -> Snapshot:
    about = {"database_id": "prod-shop", "kind": "automated", "status": "available", **given_}
    return Snapshot(
        arn=f"arn:aws:rds:eu-west-1:1:cluster-snapshot:{name or f's{hours:g}'.replace('.', '-')}",
        created=START + timedelta(hours=hours),
        **about,
    )


def chosen(found, frequency="daily", kinds=ALL, zone=UTC, exported=()) -> list[str]:
    return [one.snapshot_id for one in due(found, kinds, frequency, zone, exported)]


@pytest.mark.parametrize(
    ("snapshot_id", "of_type", "kind"),
    [
        ("rds:prod-2026-01-01-02-03", "automated", "automated"),
        ("before-release", "manual", "manual"),
        ("awsbackup:job-1", "manual", "backup"),
        ("awsbackup:job-1", "awsbackup", "backup"),
        ("any", "awsbackup", "backup"),
        ("arn:aws:rds:eu-west-1:2:cluster-snapshot:x", "shared", None),
        ("awsbackup:job-1", "shared", None),
        ("x", "public", None),
        ("x", "", None),
    ],
)
def test_kinds_of_snapshots(snapshot_id, of_type, kind) -> None:
    assert kind_of(snapshot_id, of_type) == kind


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [("every", None), ("daily", "2027-01-01"), ("weekly", "2026-W53"), ("monthly", "2027-01")],
)
def test_periods(frequency, expected) -> None:
    assert period(datetime(2026, 12, 31, 23, 30, tzinfo=UTC), frequency, ZoneInfo("Europe/Paris")) == expected


def test_the_first_of_a_day_stands_for_it() -> None:
    found = [snapshot(5, "later"), snapshot(0, "first"), snapshot(25, "tomorrow")]
    assert chosen(found) == ["first", "tomorrow"]
    assert chosen(found, "every") == ["first", "later", "tomorrow"]
    assert chosen(found, "monthly") == ["first"]


@pytest.mark.parametrize("other", [{"status": "creating"}, {"status": "failed"}, {"kind": None}, {"kind": "manual"}])
def test_others_do_not_count(other) -> None:
    found = [snapshot(0, "not", **other), snapshot(1, "good")]
    assert chosen(found, kinds=("automated",)) == ["good"]


def test_without_a_moment_it_is_not_there_yet() -> None:
    nothing = Snapshot("arn:aws:rds:eu-west-1:1:cluster-snapshot:x", "prod-shop", "manual", "available", None)
    assert chosen([nothing, snapshot(0, "good")]) == ["good"]


def test_a_period_that_was_exported_is_done_although_its_snapshot_is_gone() -> None:
    gone = snapshot(0, "gone")
    found = [snapshot(30, "second"), snapshot(31 * 24, "next-month")]
    assert chosen(found, "monthly", exported=[(gone.arn, gone.created)]) == ["next-month"]
    assert chosen(found, "monthly") == ["second", "next-month"]


def test_what_was_exported_stays_due() -> None:
    one = snapshot(3, "by-hand")
    assert chosen([one, snapshot(0, "earlier")], exported=[(one.arn, one.created)]) == ["by-hand"]


snapshots = st.lists(st.integers(0, 24 * 90).map(snapshot), max_size=30, unique_by=lambda one: one.arn)
frequencies = st.sampled_from(["every", "daily", "weekly", "monthly"])


@given(snapshots, frequencies, st.randoms())
def test_order_does_not_matter(found, frequency, random) -> None:
    mixed = list(found)
    random.shuffle(mixed)
    assert chosen(mixed, frequency) == chosen(found, frequency)


@given(snapshots, frequencies, st.integers(0, 24 * 90))
def test_what_is_made_later_changes_nothing_of_what_was_due(found, frequency, moment) -> None:
    earlier = [one for one in found if one.created <= START + timedelta(hours=moment)]
    assert chosen(found, frequency)[: len(chosen(earlier, frequency))] == chosen(earlier, frequency)


@given(snapshots, frequencies)
def test_days_of_a_backfill_together_are_all_and_each_once(found, frequency) -> None:
    days = [START + timedelta(days=day) for day in range(92)]
    parts = [one.arn for start, end in pairwise(days) for one in within(due(found, ALL, frequency, UTC), start, end)]
    assert parts == [one.arn for one in due(found, ALL, frequency, UTC)]
