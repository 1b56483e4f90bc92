"""Maintenance windows: when something that people notice may be done, such as ``Sat,Sun 01:00-05:00 Europe/Berlin``.

A window is weekdays, two times of the day and a time zone. One that ends at or before its beginning ends the next day. Times are
those of the clock on the wall: a time that clocks skip when they go forward is the moment at which they do, and of an hour that
happens twice a window takes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from aurora_ops.core.errors import StateError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = (
    "write weekdays, from-to and a time zone, such as Sat,Sun 01:00-05:00 Europe/Berlin, Mon-Fri 22:00-04:00 UTC or "
    "daily 01:00-03:00 UTC"
)
_WINDOW = re.compile(r"(?P<days>\S+) (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d) (?P<zone>\S+)")


@dataclass(frozen=True)
class Window:
    """A maintenance window.

    :param days: weekdays on which it begins, Monday is 0.
    :param begin: time at which it begins.
    :param end: time at which it ends, the next day where that is not after its beginning.
    :param zone: whose clock.
    """

    days: frozenset[int]
    begin: time
    end: time
    zone: ZoneInfo

    def spans(self, first: date, last: date) -> list[tuple[datetime, datetime]]:
        """List when it is open: those that begin from one day to another, both included.

        :return: beginning and end of each, in UTC, the earliest first.
        """
        found = []
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            if day.weekday() in self.days:
                after = timedelta(days=1) if self.end <= self.begin else timedelta()
                opens = _moment(datetime.combine(day, self.begin, self.zone), fold=0)
                closes = _moment(datetime.combine(day + after, self.end, self.zone), fold=1)
                if closes > opens:  # clocks may skip all of it
                    found.append((opens, closes))
        return found

    def open_until(self, now: datetime) -> datetime | None:
        """Tell until when it is open; ``None`` where it is closed.

        :param now: present moment.
        """
        today = now.astimezone(self.zone).date()
        spans = self.spans(today - timedelta(days=2), today + timedelta(days=1))
        return max((closes for opens, closes in spans if opens <= now < closes), default=None)

    def next_opening(self, now: datetime) -> datetime:
        """Tell when it opens next, in UTC.

        :param now: present moment.
        """
        today = now.astimezone(self.zone).date()
        return min(
            opens for opens, _ in self.spans(today - timedelta(days=1), today + timedelta(days=15)) if opens > now
        )


def _moment(local: datetime, *, fold: int) -> datetime:
    """Turn what a clock shows into a moment, in UTC.

    :param local: time in a zone.
    :param fold: which one of a time that happens twice.
    """
    found = local.replace(fold=fold).astimezone(UTC)
    if found.astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    # The clock skips it: look for the moment at which it does.
    early, late = sorted(local.replace(fold=either).astimezone(UTC) for either in (0, 1))
    before = early.astimezone(local.tzinfo).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(local.tzinfo).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def parse(text: str) -> Window:
    """Read a window.

    :param text: such as ``Sat,Sun 01:00-05:00 Europe/Berlin``; days may be ranges (``Mon-Fri``) or ``daily``.
    :raises ValueError: it is none; the message says what is.
    """
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(_FORM)
    try:
        begin, end = time.fromisoformat(found["begin"]), time.fromisoformat(found["end"])
        return Window(_days(found["days"]), begin, end, ZoneInfo(found["zone"]))
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:  # OSError: a folder of zones, such as Europe
        raise ValueError(_FORM) from exc


def _days(text: str) -> frozenset[int]:
    """Read weekdays.

    :raises ValueError: a day is none, or a range ends before it begins on a week's circle of its own.
    """
    if text == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = DAYS.index(first)
        end = DAYS.index(last) if dash else begin
        found |= {day % 7 for day in range(begin, end + (7 if end < begin else 0) + 1)}
    return frozenset(found)


def _checked(text: str) -> str:
    parse(text)
    return text


WindowText = Annotated[str, AfterValidator(_checked)]
"""A window in settings; ``parse`` reads it."""


def require_open(windows: Sequence[str], now: datetime) -> None:
    """Refuse to go on outside every window.

    :param windows: windows as ``parse`` reads them; none means any time.
    :param now: present moment.
    :raises StateError: none is open; the next opening is named.
    """
    if not windows or any(parse(text).open_until(now) for text in windows):
        return
    opening, text = _soonest(windows, now)
    local = opening.astimezone(parse(text).zone)
    raise StateError(
        f"no maintenance window is open: the next opens {local:%a %Y-%m-%d %H:%M %Z} ({opening:%Y-%m-%d %H:%M} UTC, {text}). Start "
        f"the run then, or with ignore_window"
    )


def within(windows: Sequence[str]) -> str:
    """Say, in a sentence, when something may be done.

    :param windows: windows as ``parse`` reads them; none means any time, of which nothing is said.
    """
    return f", if one of these windows is open ({', '.join(windows)})," if windows else ""


def _soonest(windows: Iterable[str], now: datetime) -> tuple[datetime, str]:
    """Find the window that opens next."""
    return min((parse(text).next_opening(now), text) for text in windows)
