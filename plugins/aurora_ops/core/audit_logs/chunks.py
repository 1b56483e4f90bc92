"""Reading a log file chunk by chunk, as ``DownloadDBLogFilePortion`` demands: a state machine that asks and judges.

The first call has the marker ``0``, since none means the end of the file. A page is at most 1 MiB and 10,000 lines; one that was
cut in mid-line says so in its text, and is asked for again with fewer lines. ``AdditionalDataPending`` may end too early and data
may be missing from an answer, so what is listed as the file's size decides. A marker is kept as it came; that it ends in a byte
offset is used to prove that each page is as long as it should be, and nothing is believed that does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aurora_ops.core.audit_logs.packing import Mark, Piece
from aurora_ops.core.errors import PermanentError

START = "0"
PAGE_BYTES = 2**20
MOST_LINES = 10_000
FILLER = b"?"
_ROOM = 7 * 2**17  # of a page, so that lines a little longer than those before still fit
_NOTICE = re.compile(rb" ?\[Your log message was truncated\]\n?\Z")
_MARKER = re.compile(r"([^:]*):(\d+)")
_LONGEST_NOTICE = 64
_EMPTY_PAGES = 3
_LONG_LINE = 256
"""Bytes; more than most lines have, so that what is asked for before one has been seen fits a page."""
_TAIL = 2**17
"""Bytes of a growing file that may be asked for twice, because its last record is still being written."""


@dataclass(frozen=True)
class Page:
    """An answer.

    :param data: bytes of the log.
    :param marker: where the next one goes on, as AWS says.
    :param pending: whether AWS says that there is more.
    """

    data: bytes
    marker: str | None
    pending: bool


class UnreadableError(PermanentError):
    """A page of a log cannot be carried by the API: it is not text."""


class NotCarriedError(PermanentError):
    """Chunks cannot carry what comes next in a file; the whole file's stream can.

    :param kind: ``binary``, ``truncated``, ``length``, ``empty`` or ``marker``.
    :param at: offset in the file at which it begins.
    """

    def __init__(self, kind: str, at: int = 0) -> None:
        self.kind, self.at = kind, at
        super().__init__(f"chunks cannot carry what is at byte {at} of the file ({kind}); read the whole file by REST")


Ask = Callable[[str, int], Page]
"""Asks for a page: marker, number of lines."""


class Chunks:
    """The pieces of a file from a marker on, until as much is read as the file is listed with.

    :param ask: how a page is asked for; it raises ``UnreadableError`` for one that is not text.
    :param marker: where to begin.
    :param at: the offset that this is.
    :param size: bytes of the file as it is listed.
    :param fills: put question marks, and a mark, in place of what cannot be carried, instead of raising ``NotCarriedError``.
    :param final: the file is not written to any more.
    """

    def __init__(self, ask: Ask, *, marker: str, at: int, size: int, fills: bool, final: bool) -> None:
        self._ask = ask
        self._marker = marker
        self._hour = _hour(marker) or START
        self.at = at
        self._size = size
        self._fills = fills
        self._final = final
        self._lines = self._wanted(_LONG_LINE)
        self._empty = 0
        self.asked = 0

    def __iter__(self) -> Iterator[Piece]:
        """Give piece after piece.

        :raises NotCarriedError: chunks cannot carry what comes next.
        """
        while self.at < self._size:
            try:
                page = self._page(self._marker, self._lines)
            except UnreadableError:
                if not self._fills:
                    raise NotCarriedError("binary", self.at) from None
                if self._fewer(4):
                    continue
                yield self._around()
                continue
            if not page.data:
                if self._moved_without_data(page):
                    raise NotCarriedError("empty", self.at)
                self._empty += 1
                if self._empty > _EMPTY_PAGES:
                    return  # an early end: the next run asks again
                continue
            self._empty = 0
            if not (self._final or page.data.endswith(b"\n") or _notice(page.data)):
                # the last record is still being written: a page without it has the marker that goes on there
                lines = page.data.count(b"\n")
                if not lines:
                    return
                page, self._size = self._page(self._marker, lines), self.at
            piece = self._judged(page)
            if piece is not None:
                yield piece
                if piece.marker is None:
                    raise NotCarriedError("marker", self.at)

    def _page(self, marker: str, lines: int) -> Page:
        self.asked += 1
        return self._ask(marker, lines)

    def _fewer(self, by: int) -> bool:
        """Ask for fewer lines from now on; says whether that is possible."""
        if self._lines == 1:
            return False
        self._lines = max(1, self._lines // by)
        return True

    def _moved_without_data(self, page: Page) -> bool:
        offset = offset_of(page.marker)
        return offset is not None and offset > self.at

    def _judged(self, page: Page) -> Piece | None:
        """Accept a page, cut it right, or ask for it again with fewer lines (``None``)."""
        offset, data = offset_of(page.marker), page.data
        notice = _notice(data)
        if offset is None:
            exact: bytes | None = None if notice else data
        elif offset == self.at + len(data):
            exact = data
        elif notice and offset == self.at + notice.start():
            exact = data[: notice.start()]
        else:
            exact = None
        if exact:
            usable = offset is not None or page.marker not in (None, "", START, self._marker)
            return self._accepted(exact, page.marker if usable else None)
        if self._fewer(2):
            return None
        if notice is None:
            raise NotCarriedError("length", self.at)
        return self._filled(data[: notice.start()], offset, page)

    def _filled(self, text: bytes, offset: int | None, page: Page) -> Piece:
        """Give a line whose end is missing the length that it has in the file; all but a file's last one end in a newline."""
        missing = -1 if offset is None else offset - self.at - len(text)
        last = offset is not None and offset >= self._size
        if not self._fills or missing < 1 or (last and not self._final):
            raise NotCarriedError("truncated", self.at)
        filled = FILLER * missing if last else FILLER * (missing - 1) + b"\n"
        mark = Mark("truncated", self.at + len(text), missing if last else missing - 1)
        return self._accepted(text + filled, page.marker, (mark,))

    def _accepted(self, data: bytes, marker: str | None, marks: tuple[Mark, ...] = ()) -> Piece:
        self.at += len(data)
        if marker is not None:
            self._marker = marker
            self._hour = _hour(marker) or self._hour
        lines = data.count(b"\n") or 1
        wanted = self._wanted(len(data) / lines)
        self._lines = min(wanted, self._lines * 4) if self._size - self.at > _ROOM else wanted
        if marks:
            self._lines = 1
        return Piece(data, marker, marks)

    def _wanted(self, line_bytes: float) -> int:
        """Say how many lines are asked for next, where one has so many bytes."""
        left = self._size - self.at
        if left > _ROOM:
            size = _ROOM
        elif self._final or left <= _TAIL:
            return MOST_LINES
        else:
            size = left * 7 // 8
        return min(MOST_LINES, max(1, int(size / line_bytes)))

    def _around(self) -> Piece:
        """Find where text goes on behind bytes that are not text, by markers made for the purpose."""
        readable, blocked = 1, 0
        while not self._reads(readable):
            blocked, readable = readable, readable * 2
            if self.at + readable > self._size + PAGE_BYTES:
                raise NotCarriedError("binary", self.at)
        while readable - blocked > 1:
            middle = (readable + blocked) // 2
            if self._reads(middle):
                readable = middle
            else:
                blocked = middle
        readable = min(readable, self._size - self.at)
        mark = Mark("binary", self.at, readable)
        return self._accepted(FILLER * readable, f"{self._hour}:{self.at + readable}", (mark,))

    def _reads(self, further: int) -> bool:
        if self.at + further >= self._size:
            return True
        try:
            self._page(f"{self._hour}:{self.at + further}", 1)
        except UnreadableError:
            return False
        return True


def _notice(data: bytes) -> re.Match[bytes] | None:
    """Find the notice that a page was cut, which is at its end; nothing else of it is looked at."""
    return _NOTICE.search(data, max(0, len(data) - _LONGEST_NOTICE))


def offset_of(marker: str | None) -> int | None:
    """Read the byte offset of a marker; ``None`` where it has none."""
    found = _MARKER.fullmatch(marker or "")
    return int(found[2]) if found else None


def _hour(marker: str) -> str | None:
    """Read what is before the offset of a marker."""
    found = _MARKER.fullmatch(marker)
    return found[1] if found else None
