r"""Where records of an audit log end: at a newline outside quotes.

A backslash takes the character after it along, as MariaDB's plugin writes quotes inside a query. Only the last boundary of what is
fed is looked for, and from behind. Newlines inside a query may stand there as they are (MariaDB's plugin writes them as ``\n``,
what Aurora's does is not documented), so whether one is within quotes depends on all quotes before it. They need not be counted
from the beginning, though: a query begins with the one quote that is not escaped and ends with the next, and between the end of
one and the beginning of the next there is a newline. So two such quotes in one line are a query's beginning and its end, in this
order, and what follows is outside. From the last line that has both, and begins and ends as a record does, only what comes after
is counted; where there is no such line near the end, everything is, at the speed of memory.

A quote in the name of a table or user stands alone; where many lines that look like records follow within quotes, it is taken for
one of those.
"""

from __future__ import annotations

import re

LOST_AFTER = 16 * 2**20
LOOKS_LIKE_RECORDS = 64
LINES = 64
"""Lines with quotes that are looked at, from behind, before all quotes are counted."""
_START = rb"(?:\d{16}|\d{8} \d\d:\d\d:\d\d),"
_RECORD = re.compile(rb",\d*\r?\n(?=" + _START + rb")")
_WITH_QUERY = re.compile(_START + rb"[^'\n]*+(?<=,)'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+',\d*\r?\n")


class Boundaries:
    """Follows one file from a boundary on.

    :param lost_after: bytes without a boundary after which quotes are taken for unbalanced; then a newline between a return code
        and a timestamp is one.
    """

    def __init__(self, lost_after: int = LOST_AFTER) -> None:
        self._lost_after = lost_after
        self._quoted = False
        self._escaped = False
        self._since = 0

    def feed(self, data: bytes) -> int:
        """Take the next bytes.

        :return: how many of them come before the last boundary, its newline included; 0 where there is none in them.
        """
        escaped = self._escaped
        body = data[1:] if escaped and data else data
        skipped = len(data) - len(body)
        self._escaped = _ends_escaped(body) if data else escaped
        if known := _end_of_query(body):
            self._quoted = _odd(body[known:])
        else:
            self._quoted ^= _odd(body)
        end = _last_boundary(body, quoted_at_end=self._quoted)
        if end:
            self._since = len(body) - end
            return end + skipped
        self._since += len(data)
        return self._resynchronized(data)

    def restart(self) -> None:
        """Begin anew: the next byte is the first of a record."""
        self._quoted = self._escaped = False
        self._since = 0

    def _resynchronized(self, data: bytes) -> int:
        found = [match.end() for match in _RECORD.finditer(data)]
        if not found or (len(found) < LOOKS_LIKE_RECORDS and self._since <= self._lost_after):
            return 0
        rest = data[found[-1] :]
        self._quoted, self._since = _odd(rest), len(rest)
        return found[-1]


def _end_of_query(data: bytes) -> int:
    """Find the end of the last line that is a record with a query; 0 where none is near the end."""
    end = len(data)
    for _ in range(LINES):
        quote = data.rfind(b"'", 0, end)
        if quote < 0:
            return 0
        begin, newline = data.rfind(b"\n", 0, quote) + 1, data.find(b"\n", quote)
        if newline >= 0 and _WITH_QUERY.fullmatch(data, begin, newline + 1):
            return newline + 1
        end = begin
    return 0


def _odd(data: bytes) -> bool:
    """Tell whether data has an odd number of quotes, those after a backslash left out."""
    if b"\\" not in data:
        return data.count(b"'") % 2 == 1
    if b"\\\\" in data:
        data = data.replace(b"\\\\", b"")
    return (data.count(b"'") - data.count(b"\\'")) % 2 == 1


def _ends_escaped(data: bytes) -> bool:
    """Tell whether data ends in a backslash that takes the next byte along."""
    return (len(data) - len(data.rstrip(b"\\"))) % 2 == 1


def _last_boundary(data: bytes, *, quoted_at_end: bool) -> int:
    quoted, end = quoted_at_end, len(data)
    while (newline := data.rfind(b"\n", 0, end)) >= 0:
        quoted ^= _odd(data[newline + 1 : end])
        if not quoted and not _ends_escaped(data[max(0, newline - 64) : newline]):
            return newline + 1
        end = newline
    return 0
