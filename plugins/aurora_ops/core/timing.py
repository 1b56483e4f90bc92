"""Where the time of a task goes: SQL, waits for AWS, calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_JOIN_S = 0.05
_MOST_SPANS = 60


class Timing:
    """Spans of wall-clock time, small enough for an XCom.

    Neighbouring spans of one kind are joined, and past 60 spans the last one grows, so that ten thousand statements cost a
    few lines.
    """

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    @contextmanager
    def span(self, kind: str, what: str) -> Iterator[None]:
        """Record the time of a block, also when it fails.

        :param kind: ``sql``, ``aws_wait``, ``aws_wait_in_worker`` or ``api``.
        :param what: the thing done or waited for; never data.
        """
        start = time.time()
        try:
            yield
        finally:
            self.add(kind, what, start, time.time())

    def add(self, kind: str, what: str, start: float, end: float) -> None:
        """Record a span.

        :param kind: see ``span``.
        :param what: see ``span``.
        :param start: epoch seconds.
        :param end: epoch seconds.
        """
        last = next((span for span in reversed(self.spans) if span["kind"] == kind), None)
        if last and (start - last["end"] < _JOIN_S or len(self.spans) >= _MOST_SPANS):
            last["end"] = max(last["end"], round(end, 3))
            return
        self.spans.append({"kind": kind, "what": what, "start": round(start, 3), "end": round(end, 3)})
