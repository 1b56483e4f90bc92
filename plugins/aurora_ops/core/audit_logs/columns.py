r"""Columns of audit records: raw bytes made numbers, times and text, a whole column at a time.

Text that is not UTF-8 is shown with its bytes as ``\xe9``; the record is then kept as it was in ``raw``, so that nothing is lost.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import pyarrow as pa

_MICROSECONDS = 16  # digits
_MOST_TIMES = 100_000
_ESCAPE = re.compile(rb"\\[ntr'\"\\]")
_MEANT = {b"\\n": b"\n", b"\\t": b"\t", b"\\r": b"\r", b"\\'": b"'", b'\\"': b'"'}
_NOWHERE = b"\x00\xff\x00"  # stands for a backslash meanwhile, unless it is somewhere


def schema() -> pa.Schema:
    """Name the columns of a batch: where a record is, its fields, and ``raw`` where it is not UTF-8 (else null)."""
    import pyarrow as pa

    number, text = pa.int64(), pa.string()
    return pa.schema(
        [
            ("offset", number),
            ("length", pa.int32()),
            ("event_us", number),
            ("server_host", text),
            ("user_name", text),
            ("client_host", text),
            ("connection_id", number),
            ("query_id", number),
            ("operation", text),
            ("database_name", text),
            ("object", text),
            ("return_code", pa.int32()),
            ("raw", pa.binary()),
        ]
    )


class Clock:
    """Reads times of records as microseconds since 1970.

    :param zone: time zone of local times.
    """

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._known: dict[bytes, int | None] = {}

    def local(self, text: bytes) -> int | None:
        """Read a local time; of an hour that comes twice it is the first. ``None``: there is no such time."""
        if text not in self._known:
            if len(self._known) >= _MOST_TIMES:
                self._known.clear()
            try:
                moment = datetime.strptime(text.decode(), "%Y%m%d %H:%M:%S").replace(tzinfo=self._zone)
                self._known[text] = int(moment.timestamp()) * 1_000_000
            except (ValueError, OverflowError):
                self._known[text] = None
        return self._known[text]

    def column(self, times: Any) -> Any:
        """Read a column of times."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pc.max(pc.binary_length(times)).as_py() == _MICROSECONDS:
            return times.cast(pa.string()).cast(pa.int64())
        several = times.dictionary_encode()
        values = [
            int(text) if len(text) == _MICROSECONDS else self.local(text) for text in several.dictionary.to_pylist()
        ]
        return pa.array(values, pa.int64()).take(several.indices)


def typed(fields: list[Any], offsets: Any, sizes: Any, lines: Any, clock: Clock) -> pa.Table:
    """Make a table of fields.

    :param fields: columns of bytes, in the order of a record.
    :param offsets: where each record is in its file.
    :param sizes: bytes of each, its newline included.
    :param lines: the records, without their newlines.
    :param clock: reads their times; one that there is not is null.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    times, server, user, client, connection, query, operation, database, subject, code = fields
    text, number = pa.string(), pa.int64()
    return pa.table(
        [
            offsets,
            sizes.cast(pa.int32()),
            clock.column(times),
            _text(server),
            _text(user),
            _text(client),
            connection.cast(text).cast(number),
            query.cast(text).cast(number),
            operation.cast(text),
            _text(database),
            _text(_plain(subject)),
            pc.if_else(pc.equal(code, b""), pa.scalar(None, pa.binary()), code).cast(text).cast(pa.int32()),
            _where_not_text(lines),
        ],
        schema=schema(),
    )


def _plain(subject: Any) -> Any:
    """Take quotes and escapes off statements."""
    import pyarrow.compute as pc

    quoted = pc.and_(pc.starts_with(subject, b"'"), pc.greater(pc.binary_length(subject), 1))
    found = pc.if_else(quoted, pc.binary_slice(subject, 1, -1), subject)
    if not pc.any(pc.match_substring(found, b"\\")).as_py():
        return found
    return pc.if_else(quoted, _unescape(found), subject)


def _unescape(column: Any) -> Any:
    """Take escapes away: pairs of backslashes first, so that none of what is left was escaped itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(pc.match_substring(column, _NOWHERE)).as_py():
        plain = [_ESCAPE.sub(_meant, value) for value in column.to_pylist()]
        return pa.array(plain, pa.binary())
    for written, meant in ((b"\\\\", _NOWHERE), *_MEANT.items(), (_NOWHERE, b"\\")):
        column = pc.replace_substring(column, written, meant)
    return column


def _meant(escape: re.Match[bytes]) -> bytes:
    return _MEANT.get(escape[0], b"\\")


def _text(column: Any) -> Any:
    """Make text of bytes; those that are not UTF-8 are shown by their numbers."""
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode("utf-8", "backslashreplace") for value in column.to_pylist()], pa.string())


def _where_not_text(lines: Any) -> Any:
    """Keep the records that are not UTF-8 as they are."""
    import pyarrow as pa

    try:
        lines.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value if _is_not_text(value) else None for value in lines.to_pylist()], pa.binary())
    return pa.nulls(len(lines), pa.binary())


def _is_not_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return True
    return False
