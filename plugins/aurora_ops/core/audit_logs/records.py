r"""Reading audit records out of a stream of bytes, so that every byte ends in a record or in what is kept aside.

Two formats of one plugin: Aurora MySQL writes microseconds since 1970, RDS for MySQL and MariaDB a local time to the second::

    1603439251360772,shop-1,app,10.0.0.1,30,966,QUERY,shop,'select \'it\', 1',0
    20261121 11:10:57,ip-10-0-0-5,app,10.0.0.1,30,966,READ,shop,orders,

The fields are not escaped but for an object that is a statement: that stands in quotes, in which a backslash escapes a quote,
itself, and ``n``, ``r``, ``t``. So a statement ends at the first quote that is not escaped, whatever lines and commas are in it;
anything else ends with its line. What is neither (a user's name with a comma, a statement whose quotes are not escaped) is read
from both ends, as far as the next line that begins as a record does. What cannot be read even so is rejected, line by line, with
the reason.

Whole lines are read by pyarrow, column by column (``columns``); only what is no line of its own is looked at one by one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from aurora_ops.core.audit_logs import columns
from aurora_ops.core.audit_logs.columns import Clock

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 32 * 2**20
"""Bytes a record may have; what has no end within them is rejected."""

NOT_A_RECORD = "it does not begin as a record does"
NO_END = "its fields or its end are missing"
NO_TIME = "there is no such time"
CUT = "the data ends inside it"
TOO_LONG = "it has no end"

_TIME = r"(\d{16}|\d{8} \d\d:\d\d:\d\d)"
_NUMBERS = r"(\d{1,18}),(\d{1,18}),([A-Z_]{1,64})"
_HEAD = rf"{_TIME},([^,\n]*),([^,\n]*),([^,\n]*),{_NUMBERS},([^,\n]*),"
# A line that is a record; for RE2, which reads bytes as Latin-1.
_LINE = rf"^{_HEAD.replace('(', '(?:')}(?:'(?:[^'\\]|\\.)*'|[^'].*|),\d{{0,9}}$"
_AT_HEAD = re.compile(_HEAD.encode())
_AT_TIME = re.compile(_TIME.encode() + b",")
_NEXT = re.compile(rb"\n(?=" + _TIME.encode() + rb",)")
_OPEN = re.compile(rb"'(?:[^'\\]++|\\.)*+", re.DOTALL)
_TAIL = re.compile(rb"',(\d{0,9})\n")
_TAIL_SO_FAR = re.compile(rb"'(?:,\d{0,9})?\Z")
# Only names may hold commas, and they are short.
_ODD_HEAD = re.compile(
    rf"{_TIME},([^,\n]{{0,512}}),([^\n]{{0,512}}?),([^,\n]{{0,512}}),{_NUMBERS},([^,\n]{{0,512}}),".encode()
)
_ODD_TAIL = re.compile(rb",(\d{0,9})\n\Z")
_LONGEST_TAIL = 11
_Odd = tuple[int, int, tuple[bytes, ...]]  # where a record begins and ends, its fields


class Reject(NamedTuple):
    """Bytes that are no record.

    :param offset: where they begin.
    :param raw: the bytes.
    :param reason: why they are none.
    """

    offset: int
    raw: bytes
    reason: str


@dataclass(frozen=True)
class Batch:
    """What was read.

    :param table: records, columns as ``columns.schema`` says.
    :param rejects: everything else.
    """

    table: pa.Table
    rejects: Sequence[Reject]


class Reader:
    """Reads a stream in pieces of any size.

    Kept in memory is what has no end yet: at most twice ``most_bytes`` and a piece.

    :param zone: time zone of local times: the server's ``time_zone``.
    :param offset: where in its file the stream begins.
    :param most_bytes: bytes a record may have.
    """

    def __init__(self, zone: str = "UTC", offset: int = 0, most_bytes: int = MOST_BYTES) -> None:
        self._clock = Clock(zone)
        self._offset = offset
        self._most = most_bytes
        self._pieces: list[bytes] = []
        self._held = self._enough = 0

    def feed(self, data: bytes) -> Batch | None:
        """Take the next piece; ``None`` where more is needed first."""
        self._pieces.append(data)
        self._held += len(data)
        return self._read(end=False) if self._held >= self._enough else None

    def finish(self) -> Batch:
        """Say that there is no more."""
        return self._read(end=True)

    def _read(self, *, end: bool) -> Batch:
        buffer = b"".join(self._pieces)
        batch, used = _Block(buffer, self._offset, self._clock, self._most, end=end).read()
        rest = buffer[used:]
        self._offset += used
        # What has no end yet is looked at again when there is twice as much: reading stays linear.
        self._pieces, self._held, self._enough = [rest], len(rest), 2 * len(rest)
        return batch


def read_all(data: bytes, zone: str = "UTC", piece: int = 2**20, most_bytes: int = MOST_BYTES) -> Iterator[Batch]:
    """Read data that is there, piece by piece.

    :param data: the data.
    :param zone: time zone of local times.
    :param piece: bytes that are read at a time.
    :param most_bytes: bytes a record may have.
    """
    reader = Reader(zone, most_bytes=most_bytes)
    for start in range(0, len(data), piece):
        if (batch := reader.feed(data[start : start + piece])) is not None:
            yield batch
    yield reader.finish()


class _Block:
    """One look at what is there of a stream.

    :param buffer: bytes that begin where a record does, or what is no record.
    :param offset: where in its file that is.
    :param end: nothing follows.
    """

    def __init__(self, buffer: bytes, offset: int, clock: Clock, most: int, *, end: bool) -> None:
        self._buffer, self._offset, self._clock, self._most, self._end = buffer, offset, clock, most, end
        self._rejects: list[Reject] = []
        self._others: list[_Odd] = []

    def read(self) -> tuple[Batch, int]:
        """Read as far as is certain; the second says how far."""
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = self._buffer.rfind(b"\n") + 1
        lines = pa.array(self._buffer[:whole].split(b"\n")[:-1], pa.binary())
        sizes = pc.add(pc.binary_length(lines), 1).cast(pa.int64())
        starts = pc.subtract(pc.cumulative_sum(sizes), sizes) if len(lines) else sizes
        good = pc.match_substring_regex(lines, _LINE)
        bad = pc.indices_nonzero(pc.invert(good)).to_pylist()
        used = whole
        if bad:
            kept, used = self._among(bad, starts, len(lines), whole)
            keep = pa.array(kept, pa.bool_())
            lines, sizes, starts = lines.filter(keep), sizes.filter(keep), starts.filter(keep)
        if used == whole:
            used = self._rest(whole)
        tables = [self._table(lines, starts, sizes)] if len(lines) else []
        if self._others:
            tables.append(self._of_others())
        table = pa.concat_tables(tables) if tables else columns.schema().empty_table()
        return Batch(table, sorted(self._rejects)), used

    def _among(self, bad: list[int], starts: Any, count: int, whole: int) -> tuple[list[bool], int]:
        """Look at the lines that are no records by themselves; tell which lines are, and how far all of it is certain."""
        kept, line, used = [False] * count, 0, whole
        while True:
            place = bisect_left(bad, line)
            there = bad[place] if place < len(bad) else count
            kept[line:there] = [True] * (there - line)
            if there == count:
                return kept, used
            begin = starts[there].as_py()
            after = self._odd(begin)
            if after is None:
                return kept, begin
            line = there + self._buffer.count(b"\n", begin, after)

    def _odd(self, begin: int) -> int | None:
        """Read what is no line of its own, or reject it; tell where it ends, ``None`` where that needs more data."""
        buffer = self._buffer
        certain, found = self._quoted(begin)
        if found is None and certain and _AT_TIME.match(buffer, begin):
            certain, found = self._unescaped(begin)
        if found is not None and found[1] - begin <= self._most:
            self._others.append(found)
            return found[1]
        if not certain and not self._end and len(buffer) - begin < self._most:
            return None
        after = buffer.index(b"\n", begin) + 1
        too_long = found is not None or not (certain or self._end)
        reason = TOO_LONG if too_long else NO_END if _AT_TIME.match(buffer, begin) else NOT_A_RECORD
        self._rejects.append(Reject(self._offset + begin, buffer[begin:after], reason))
        return after

    def _quoted(self, begin: int) -> tuple[bool, _Odd | None]:
        """Read a record whose statement is escaped as it should be; the first says whether more data would change nothing."""
        buffer = self._buffer
        head = _AT_HEAD.match(buffer, begin)
        opened = head and _OPEN.match(buffer, head.end())
        if not head or not opened:
            return True, None
        if tail := _TAIL.match(buffer, opened.end()):
            return True, (begin, tail.end(), (*head.groups(), buffer[head.end() : opened.end() + 1], tail[1]))
        left = buffer[opened.end() : opened.end() + _LONGEST_TAIL + 1]
        return bool(left) and left != b"\\" and not _TAIL_SO_FAR.match(left), None

    def _unescaped(self, begin: int) -> tuple[bool, _Odd | None]:
        """Read what reaches to the next line that begins as a record does; the first says whether that is certain."""
        buffer = self._buffer
        following = _NEXT.search(buffer, begin)
        if following is None and not self._end:
            return False, None
        after = following.end() if following else buffer.rfind(b"\n") + 1
        head = _ODD_HEAD.match(buffer, begin, after)
        tail = _ODD_TAIL.search(buffer, max(after - _LONGEST_TAIL, begin), after)
        if not head or not tail or head.end() > tail.start():
            return True, None
        return True, (begin, after, (*head.groups(), buffer[head.end() : tail.start()], tail[1]))

    def _rest(self, begin: int) -> int:
        """Deal with a line that has no end yet; tell how far all is certain."""
        rest = self._buffer[begin:]
        if not rest or (not self._end and len(rest) < self._most):
            return begin
        self._rejects.append(Reject(self._offset + begin, rest, CUT if self._end else TOO_LONG))
        return len(self._buffer)

    # ---- columns -------------------------------------------------------------------------------------------------------

    def _table(self, lines: Any, starts: Any, sizes: Any) -> pa.Table:
        import pyarrow.compute as pc

        parts = pc.split_pattern(lines, b",", max_splits=8)
        fields = [pc.list_element(parts, place) for place in range(9)]
        last = pc.split_pattern(fields.pop(), b",", max_splits=1, reverse=True)
        return self._typed([*fields, pc.list_element(last, 0), pc.list_element(last, 1)], starts, sizes, lines)

    def _of_others(self) -> pa.Table:
        import pyarrow as pa

        begins, ends, fields = zip(*self._others, strict=True)
        lines = pa.array([self._buffer[begin : end - 1] for begin, end in zip(begins, ends, strict=True)], pa.binary())
        sizes = pa.array([end - begin for begin, end in zip(begins, ends, strict=True)], pa.int64())
        typed = [pa.array(column, pa.binary()) for column in zip(*fields, strict=True)]
        return self._typed(typed, pa.array(begins, pa.int64()), sizes, lines)

    def _typed(self, fields: list[Any], starts: Any, sizes: Any, lines: Any) -> pa.Table:
        """Give columns their types; what has a time that there is not is rejected."""
        import pyarrow.compute as pc

        found = columns.typed(fields, pc.add(starts, self._offset), sizes, lines, self._clock)
        missing = pc.is_null(found["event_us"])
        if not pc.any(missing).as_py():
            return found
        without = found.filter(missing)
        for offset, size in zip(without["offset"].to_pylist(), without["length"].to_pylist(), strict=True):
            start = offset - self._offset
            self._rejects.append(Reject(offset, self._buffer[start : start + size], NO_TIME))
        return found.filter(pc.invert(missing))
