"""What DownloadDBLogFilePortion takes out of a file.

The limits are documented; what becomes of a page that exceeds them is as users report it: aws/aws-cli#2268, #3079 and
fpietka/rds-pgbadger#10, #93.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

LARGEST_PAGE = 1024 * 1024
MOST_LINES = 10_000
NOTICE = b" [Your log message was truncated]\n"
_BLOCK = 256 * 1024
_MARKER = re.compile(r"(?:.*:)?(\d{1,18})")


@dataclass(frozen=True)
class Portion:
    """A page.

    :param data: as it is in the file, and the notice if it was cut.
    :param offset: where the next page begins.
    :param pending: there is more.
    """

    data: bytes
    offset: int
    pending: bool


def offset_of(marker: str) -> int | None:
    """Offset that a marker stands for, None if it is none; its beginning is not looked at."""
    match = _MARKER.fullmatch(marker)
    return int(match[1]) if match else None


def marker_of(offset: int, written_s: float) -> str:
    """Marker of an offset; it begins with the hour after that of the file's last record, as in all samples."""
    return f"{time.gmtime(written_s).tm_hour + 1}:{offset}"


def portion(file: BinaryIO, size: int, start: int | None, lines: int | None) -> Portion:
    """Read a page.

    Lines of more than 1 MiB together are cut there, and a notice says so. Where the number of lines was asked for, the next
    page begins after all of them, so that what was cut off is had by asking again for fewer; else it begins at the cut.
    A single line of more than 1 MiB cannot be had whole.

    :param size: of the file, bytes; what has been written since is not looked at.
    :param start: offset; None is the end of the file, from which so many lines are counted back.
    :param lines: at most; None is 10,000.
    """
    most = min(lines or MOST_LINES, MOST_LINES)
    if start is None:
        start = _back(file, size, most)
    elif start > size:  # another file has this name now
        start = 0
    end = _forward(file, start, size, most)
    file.seek(start)
    data = file.read(min(end - start, LARGEST_PAGE))
    if end - start > LARGEST_PAGE:
        data = _whole_characters(data)
        if lines is None:
            end = start + len(data)
        data += NOTICE
    return Portion(data, end, end < size)


def _back(file: BinaryIO, size: int, lines: int) -> int:
    """Offset at which the last lines begin."""
    position, needed = size, lines + 1
    if size:
        file.seek(size - 1)
        needed -= file.read(1) != b"\n"
    while position:
        length = min(_BLOCK, position)
        position -= length
        file.seek(position)
        block = file.read(length)
        found = block.count(b"\n")
        if found >= needed:
            at = len(block)
            for _ in range(needed):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1
        needed -= found
    return 0


def _forward(file: BinaryIO, start: int, size: int, lines: int) -> int:
    """Offset behind so many lines, or the end of the file."""
    file.seek(start)
    position, needed = start, lines
    while position < size:
        block = file.read(min(_BLOCK, size - position))
        found = block.count(b"\n")
        if found >= needed:
            at = -1
            for _ in range(needed):
                at = block.index(b"\n", at + 1)
            return position + at + 1
        if not block:  # it was made shorter
            return position
        needed -= found
        position += len(block)
    return size


def _whole_characters(data: bytes) -> bytes:
    """Take off a character of UTF-8 that was cut."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if needed > back else data
    return data
