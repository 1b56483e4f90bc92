"""Read MariaDB's binary log: where its transactions lie, and how far it reached at a moment.

An event tells the second in which its statement began, not when it was committed, and a session may set it (``SET
TIMESTAMP``). So localcloud notes once a second how long the log is. What lies before the last note up to a moment was
committed by then, what lies behind the first note after it was not; only in between do the events' own times decide.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MAGIC = b"\xfebin"
# Of every event: the second it began in, its type, the server, its length, where it ends, flags. Little-endian.
HEADER = struct.Struct("<IBIIIH")
GTID = 162
# What stands between transactions: rotate, stop, format, binlog checkpoint, list of GTIDs.
BETWEEN = {4, 3, 15, 161, 163}


@dataclass(frozen=True, order=True)
class Position:
    """A place in the log of a server.

    :param file: number of the file.
    :param offset: bytes from its beginning; 0 is before everything in it.
    """

    file: int
    offset: int


@dataclass(frozen=True)
class Mark:
    """How far the log reached.

    :param time: epoch seconds at which this was looked up.
    :param position: its end then.
    """

    time: float
    position: Position


@dataclass(frozen=True)
class Group:
    """A transaction, or a statement that is one by itself, in one file.

    :param start: offset of its first event.
    :param end: offset behind its last event.
    :param when: epoch second in which its last statement began, or what the session has set instead.
    """

    start: int
    end: int
    when: int


def groups(path: Path, offset: int = 0) -> Iterator[Group]:
    """Yield the transactions of a file in order; an event that is not written to its end yet ends the file.

    :param offset: where an event begins.
    """
    size = path.stat().st_size
    if size <= len(MAGIC):
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size = len(content)
        at = max(offset, len(MAGIC))
        begun: tuple[int, int] | None = None
        while at + HEADER.size <= size:
            when, kind, _, length, _, _ = HEADER.unpack_from(content, at)
            if length < HEADER.size or at + length > size:
                break
            if begun and (kind == GTID or kind in BETWEEN):
                yield Group(begun[0], at, begun[1])
                begun = None
            if kind == GTID:
                begun = at, when
            at += length
        if begun:
            yield Group(begun[0], at, begun[1])


def reach(logs: Mapping[int, Path], start: Position, marks: Sequence[Mark], moment: float) -> Position:
    """Tell where the log has to be read to for the state of a moment.

    :param logs: the files by number, without gaps.
    :param start: the end of a transaction that was committed before the moment.
    :param marks: in the order of their times.
    :param moment: epoch seconds.
    :return: the end of the last transaction that was committed by then; ``start`` if there is none.
    """
    certain = max((mark.position for mark in marks if mark.time <= moment), default=start)
    possible = next((mark.position for mark in marks if mark.time >= moment), None)
    first = max(start.file, certain.file)  # what is certain need not be read
    found = start if first == start.file else Position(first, 0)
    for number in sorted(number for number in logs if number >= first):
        for group in groups(logs[number], start.offset if number == start.file else 0):
            end = Position(number, group.end)
            if end > certain and (group.when >= moment or (possible is not None and end > possible)):
                return found
            found = end
    return found
