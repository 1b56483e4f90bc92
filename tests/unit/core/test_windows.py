"""Maintenance windows: read, open, closed, over midnight and over the nights in which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from aurora_ops.core import windows
from aurora_ops.core.errors import StateError
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

WEEKEND = "Sat,Sun 01:00-05:00 Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_open(window: str, moment: str) -> bool:
    return windows.parse(window).open_until(at(moment)) is not None


clock = st.builds(lambda hour, minute: f"{hour:02d}:{minute:02d}", st.integers(0, 23), st.integers(0, 59))
day_sets = st.sets(st.sampled_from(windows.DAYS), min_size=1).map(",".join)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
)
texts = st.builds(lambda days, begin, end, zone: f"{days} {begin}-{end} {zone}", day_sets, clock, clock, zones)
moments = st.floats(1.7e9, 1.9e9).map(lambda seconds: datetime.fromtimestamp(round(seconds), UTC))


@given(texts, moments)
def test_closed_until_the_next_opening_and_open_at_it(text, now) -> None:
    window = windows.parse(text)
    opening = window.next_opening(now)
    assert now < opening <= now + timedelta(days=15)
    assert window.open_until(opening) is not None
    until = window.open_until(now)
    between = until or now
    if between < opening - timedelta(seconds=1):
        middle = between + (opening - between) / 2
        assert window.open_until(middle) is None
    if until is not None:
        assert until > now
        assert window.open_until(until - timedelta(seconds=1)) is not None


@given(texts, moments)
def test_what_is_told_is_what_is_refused(text, now) -> None:
    opened = windows.parse(text).open_until(now)
    if opened is None:
        with pytest.raises(StateError, match=windows.parse(text).next_opening(now).strftime(r"%Y-%m-%d %H:%M UTC")):
            windows.require_open([text], now)
    else:
        windows.require_open([text], now)


@given(texts, moments)
def test_opens_on_its_days_only(text, start) -> None:
    window = windows.parse(text)
    assume(window.begin < window.end)
    day = start.astimezone(window.zone).date()
    for opens, closes in window.spans(day, day + timedelta(days=7)):
        assert opens.astimezone(window.zone).weekday() in window.days
        assert timedelta(0) < closes - opens <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        (WEEKEND, "2026-07-04T00:30+02:00", False),  # Saturday
        (WEEKEND, "2026-07-04T01:00+02:00", True),
        (WEEKEND, "2026-07-04T04:59:59+02:00", True),
        (WEEKEND, "2026-07-04T05:00+02:00", False),
        (WEEKEND, "2026-07-06T02:00+02:00", False),  # Monday
        (WEEKEND, "2026-07-03T23:30+00:00", True),  # another day in UTC
        ("Fri 22:00-04:00 UTC", "2026-07-03T21:59+00:00", False),
        ("Fri 22:00-04:00 UTC", "2026-07-04T03:59+00:00", True),  # Saturday, of Friday's
        ("Fri 22:00-04:00 UTC", "2026-07-04T22:00+00:00", False),
        ("Sun 22:00-04:00 UTC", "2026-07-06T03:00+00:00", True),  # over the week's end
        ("Mon-Fri 22:00-04:00 UTC", "2026-07-05T23:00+00:00", False),
        ("Sat-Mon 01:00-02:00 UTC", "2026-07-06T01:30+00:00", True),
        ("Sat-Mon 01:00-02:00 UTC", "2026-07-07T01:30+00:00", False),
        ("daily 03:00-03:00 UTC", "2026-07-07T12:00+00:00", True),  # a day long
        ("Tue 03:00-03:00 UTC", "2026-07-08T03:00+00:00", False),
        # clocks go forward at 02:00 on 2026-03-29: 02:30 is not, and three hours are two
        ("Sun 01:00-04:00 Europe/Berlin", "2026-03-29T01:59+00:00", True),
        ("Sun 01:00-04:00 Europe/Berlin", "2026-03-29T02:00+00:00", False),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-03-29T00:59:59+00:00", False),
        ("Sun 02:30-04:00 Europe/Berlin", "2026-03-29T01:00+00:00", True),
        ("Sun 01:30-02:30 Europe/Berlin", "2026-03-29T00:59:59+00:00", True),
        ("Sun 01:30-02:30 Europe/Berlin", "2026-03-29T01:00+00:00", False),
        # clocks go back at 03:00 on 2026-10-25: from two to three happens twice
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:00+00:00", True),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:59+00:00", True),
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T02:00+00:00", False),
        ("Sun 01:00-02:30 Europe/Berlin", "2026-10-25T01:29+00:00", True),
    ],
)
def test_open_or_closed(window, moment, expected) -> None:
    assert is_open(window, moment) is expected


@pytest.mark.parametrize("window", ["Sun 02:00-03:00 Europe/Berlin", "Sun 02:15-02:45 Europe/Berlin"])
def test_a_window_in_the_hour_that_is_skipped_is_skipped(window) -> None:
    assert windows.parse(window).spans(date(2026, 3, 29), date(2026, 3, 29)) == []
    assert windows.parse(window).next_opening(at("2026-03-29T00:00+00:00")).date() == date(2026, 4, 5)


@pytest.mark.parametrize(
    "text",
    [
        "", "Sat 01:00-05:00", "sat 01:00-05:00 UTC", "Sat 1:00-5:00 UTC", "Sat 01:00-25:00 UTC", "Sat 01:00-05:60 UTC",
        "Sat 01:00-05:00 Europe", "Sat 01:00-05:00 Mars/Base", "Sat 01:00-05:00 ../UTC", "Sat,,Sun 01:00-05:00 UTC",
        "Sat- 01:00-05:00 UTC", "Sat 01:00 - 05:00 UTC", " Sat 01:00-05:00 UTC", "Sat 01:00-05:00 UTC\n",
    ],
)  # fmt: skip
def test_what_is_no_window_is_told_what_is(text) -> None:
    with pytest.raises(
        ValueError, match="write weekdays, from-to and a time zone, such as Sat,Sun 01:00-05:00 Europe/Berlin"
    ):
        windows.parse(text)
    with pytest.raises(ValidationError, match="such as"):
        TypeAdapter(windows.WindowText).validate_python(text)


@given(texts)
def test_settings_keep_the_text(text) -> None:
    assert TypeAdapter(windows.WindowText).validate_python(text) == text


class TestGate:
    """What a run's first task asks."""

    MONDAY = at("2026-07-06T12:00+00:00")

    def test_outside_the_next_opening_is_named(self) -> None:
        later = "Thu 01:00-02:00 UTC"
        with pytest.raises(StateError) as raised:
            windows.require_open([WEEKEND, later], self.MONDAY)
        assert "the next opens Thu 2026-07-09 01:00 UTC (2026-07-09 01:00 UTC, Thu 01:00-02:00 UTC)" in str(
            raised.value
        )
        assert "ignore_window" in str(raised.value)

    def test_the_opening_is_told_in_the_windows_own_time(self) -> None:
        with pytest.raises(StateError, match=r"the next opens Sat 2026-07-11 01:00 CEST \(2026-07-10 23:00 UTC"):
            windows.require_open([WEEKEND], self.MONDAY)

    def test_one_that_is_open_will_do(self) -> None:
        windows.require_open([WEEKEND, "Mon 11:30-20:00 UTC"], self.MONDAY)

    def test_without_windows_any_time_will_do(self) -> None:
        windows.require_open([], self.MONDAY)
