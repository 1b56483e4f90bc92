"""How far the events of an asset have been handled: exactly, however many there are, in whatever order they are stored.

Events are read by their moments, and one may be stored a little later than another with a later moment. So what is read again each
time begins a minute before the newest that was handled, or with the oldest that was left, and what of it has been handled is known
by its number.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

OVERLAP = timedelta(seconds=60)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Position:
    """What has been handled.

    :param after: events before this moment are done with.
    :param handled: numbers of those from then on that are, too.
    :param left: how many have been looked at since then, and are not.
    """

    after: datetime = _BEGINNING
    handled: frozenset[int] = frozenset()
    left: int = 0

    @classmethod
    def read(cls, stored: Any) -> Position:
        """Read what ``as_json`` wrote; ``None``: from the beginning."""
        if stored is None:
            return cls()
        return cls(datetime.fromisoformat(stored["after"]), frozenset(stored["handled"]), int(stored["left"]))

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"after": self.after.isoformat(), "handled": sorted(self.handled), "left": self.left}

    def moved(self, done: Collection[tuple[int, datetime]], left: Collection[tuple[int, datetime]]) -> Position:
        """Tell the position after a run.

        :param done: number and moment of each event at or after the position that is handled, those of earlier runs too.
        :param left: of each that was looked at or seen, and is not.
        """
        if not done:
            return Position(self.after, self.handled, len(left))
        newest = max(moment for _, moment in done) - OVERLAP
        after = max(self.after, min([newest, *(moment for _, moment in left)]))
        return Position(after, frozenset(number for number, moment in done if moment >= after), len(left))
