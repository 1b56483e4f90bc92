"""Records of MariaDB's audit plugin as Aurora writes them: bytes in, bytes out.

Both have the same ten fields. MariaDB: local time in whole seconds, the machine's name, line breaks and tabs of a statement
escaped. Aurora: microseconds since the epoch, the instance's identifier.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SLOTS = 4  # files that Aurora writes at a time
_START = re.compile(rb"\d{8} \d\d:\d\d:\d\d,")
# tables of MariaDB's own that its optimizer looks into; Aurora has none of them
_OF_MARIADB = re.compile(rb"(?:READ|WRITE),mysql,(?:table_stats|column_stats|index_stats|transaction_registry),")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_BREAKS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LAST_MICROSECOND = 999_999


@dataclass(frozen=True)
class Place:
    """Where a connection's records go.

    :param resource_id: of the instance.
    :param name: its identifier.
    :param host: of the client, where it is known better than to the server.
    """

    resource_id: str
    name: bytes
    host: bytes | None = None


class Converter:
    """Makes Aurora's records of the lines of one server.

    :param breaks: what line breaks and tabs in statements become: ``raw``, ``blank`` or ``escaped``.
    """

    def __init__(self, breaks: str) -> None:
        self._breaks = breaks
        self._second = b""
        self._base = self._count = 0
        self._last: tuple[str, int] | None = None

    def convert(self, lines: Iterable[bytes], place: Callable[[int], Place | None]) -> Iterator[tuple[str, int, bytes]]:
        """Yield resource id of the instance, number of the file, and the record, which ends in a line feed.

        A line that is no record's beginning goes on with the one before: names of tables may have line breaks.

        :param lines: without their line feeds.
        :param place: tells by the number of a connection whose records these are; None if there is no instance any more.
        """
        for line in lines:
            if not _START.match(line):
                if self._last:
                    yield *self._last, line + b"\n"
                continue
            self._last = None
            _, user, host, connection, query, rest = line[18:].split(b",", 5)
            if _OF_MARIADB.match(rest):
                continue
            where = place(int(connection))
            if where is None:
                continue
            self._last = where.resource_id, (int(connection) + int(query)) % SLOTS
            yield (
                *self._last,
                b"%d,%s,%s,%s,%s,%s,%s\n"
                % (
                    self._microseconds(line[:17]),
                    where.name,
                    user,
                    where.host or host,
                    connection,
                    query,
                    self._text(rest),
                ),
            )

    def _microseconds(self, second: bytes) -> int:
        """Spread the records of a second over its microseconds, since their order is all that the plugin tells."""
        if second != self._second:
            self._second, self._count = second, 0
            self._base = calendar.timegm(time.strptime(second.decode(), "%Y%m%d %H:%M:%S")) * 1_000_000
        moment = self._base + min(self._count, _LAST_MICROSECOND)
        self._count += 1
        return moment

    def _text(self, rest: bytes) -> bytes:
        if self._breaks == "escaped" or not any(mark in rest for mark in (b"\\n", b"\\r", b"\\t")):
            return rest
        if self._breaks == "blank":
            return _ESCAPE.sub(lambda found: b" " if found[1] in _BREAKS else found[0], rest)
        return _ESCAPE.sub(lambda found: _BREAKS.get(found[1], found[0]), rest)
