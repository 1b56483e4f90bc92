"""Calls spread over time, so that no more of them are made in a second than AWS's quota leaves for this."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Pace:
    """Gives callers their turn; threads share one.

    :param per_s: calls a second.
    :param clock: seconds that only go forward.
    """

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._every_s = 1 / per_s
        self._clock = clock
        self._next_s = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next turn.

        :return: seconds until it comes.
        """
        with self._lock:
            now = self._clock()
            turn = max(now, self._next_s)
            self._next_s = turn + self._every_s
            return turn - now
