"""A model of the log APIs: a file, and the pages that RDS makes of it, with everything that is known to go wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from aurora_ops.core.audit_logs.chunks import Page, UnreadableError

NOTICE = b" [Your log message was truncated]\n"


class Model:
    """A log file, and its API.

    :param data: what the server wrote.
    :param page_bytes: most bytes of a page.
    :param at_the_cut: a page that was cut goes on there; otherwise behind all lines that were asked for.
    :param whims: how often an answer is empty, or says that there is no more; 0 to 1.
    """

    def __init__(
        self, data: bytes, *, page_bytes: int = 2**20, at_the_cut: bool = False, whims: float = 0, seed: int = 0
    ) -> None:
        self.data = data
        self.page_bytes = page_bytes
        self.at_the_cut = at_the_cut
        self.whims = whims
        self.random = random.Random(seed)
        self.asked: list[tuple[str, int]] = []
        self.served = 0

    def ask(self, marker: str, lines: int) -> Page:
        """DownloadDBLogFilePortion."""
        self.asked.append((marker, lines))
        assert 1 <= lines <= 10_000
        start = int(marker.rpartition(":")[2])
        if start > len(self.data):
            start = 0  # another file has this name now
        if self.random.random() < self.whims:
            return Page(b"", f"9:{start}", self.random.random() < 0.5)
        end = start
        for _ in range(lines):
            newline = self.data.find(b"\n", end)
            end = newline + 1 if newline >= 0 else len(self.data)
        page = self.data[start : min(end, start + self.page_bytes)]
        if b"\0" in page:
            raise UnreadableError("This file contains binary data and should be downloaded instead of viewed.")
        self.served += len(page)
        if end - start > self.page_bytes:
            end = start + len(page) if self.at_the_cut else end
            page += NOTICE
        pending = end < len(self.data) and self.random.random() >= self.whims
        return Page(page, f"9:{end}", pending)


def reference_boundaries(data: bytes) -> Iterator[int]:
    """Where records end, found byte by byte."""
    quoted = escaped = False
    for at, byte in enumerate(data):
        if escaped:
            escaped = False
        elif byte == ord("\\"):
            escaped = True
        elif byte == ord("'"):
            quoted = not quoted
        elif byte == ord("\n") and not quoted:
            yield at + 1


Asks = Callable[[str, int], Page]
