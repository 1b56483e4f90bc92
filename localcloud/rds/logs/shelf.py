"""The log files of one instance: listing, and for Aurora the four that are written at a time, their rotation and their end."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.rds.logs.records import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from localcloud.config import LogConfig

AUDIT, ERROR = "audit", "error"
_AURORA = re.compile(r"audit\.log\.(\d)\.(\d{4}-\d\d-\d\d-\d\d-\d\d)\.(\d+)")


@dataclass(frozen=True)
class LogFile:
    """A log file as DescribeDBLogFiles tells it.

    :param name: such as ``audit/audit.log.0.2026-04-13-12-00.0``.
    :param size: bytes.
    :param written_ms: epoch milliseconds of the last record.
    """

    name: str
    size: int
    written_ms: int


def log_files(folder: Path) -> list[LogFile]:
    """List the log files in an instance's folder, by name."""
    found = []
    for kind in (AUDIT, ERROR):
        with suppress(FileNotFoundError), os.scandir(folder / kind) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # rotated away meanwhile
                    stat = entry.stat()
                    found.append(LogFile(f"{kind}/{entry.name}", stat.st_size, stat.st_mtime_ns // 1_000_000))
    return sorted(found, key=lambda file: file.name)


@dataclass
class _Slot:
    """One of the four.

    :param minute: in its name, UTC.
    :param number: behind that, so that no name is used again.
    :param began: epoch seconds.
    """

    minute: str
    number: int
    size: int
    began: float
    descriptor: int


class AuroraFiles:
    """Audit files of an Aurora instance. Thread-safe.

    Each of the four is closed at a size or an age, and another of a new name begins. A record is never cut.

    :param folder: of the instance.
    :param config: sizes and ages.
    :param now: tells epoch seconds.
    """

    def __init__(self, folder: Path, config: LogConfig, now: Callable[[], float] = time.time) -> None:
        self._folder = folder / AUDIT
        self._config = config
        self._now = now
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []

    def append(self, slot: int, records: Iterable[bytes]) -> None:
        """Write records into one of the four files."""
        with self._lock:
            slots = self._open()
            waiting: list[bytes] = []
            for record in records:
                one = slots[slot]
                if one.size and one.size + len(record) > self._config.rotate_bytes:
                    _write(one.descriptor, waiting)
                    self._rotate(slot)
                    one = slots[slot]
                waiting.append(record)
                one.size += len(record)
            _write(slots[slot].descriptor, waiting)

    def tend(self) -> None:
        """Begin files where the old ones have the age for it, and remove those that are too old or too many."""
        with self._lock:
            if not self._slots and not self._folder.exists():
                return
            now = self._now()
            for number, slot in enumerate(self._open()):
                if slot.size and now - slot.began >= self._config.rotate_s:
                    self._rotate(number)
            self._expire(now)

    def names(self) -> list[str]:
        """Names of the four files that are written now."""
        with self._lock:
            return [f"{AUDIT}/{_name(number, slot)}" for number, slot in enumerate(self._open())]

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for slot in self._slots:
                os.close(slot.descriptor)
            self._slots = []

    def _open(self) -> list[_Slot]:
        """Go on with the newest files, or begin the first four."""
        if not self._slots:
            self._folder.mkdir(parents=True, exist_ok=True)
            newest: dict[int, tuple[str, int]] = {}
            for slot, minute, number, _ in self._files():
                newest[slot] = max(newest.get(slot, ("", 0)), (minute, number))
            minute = self._minute()
            self._slots = [self._begin(slot, *newest.get(slot, (minute, 0))) for slot in range(SLOTS)]
        return self._slots

    def _begin(self, slot: int, minute: str, number: int) -> _Slot:
        path = self._folder / f"audit.log.{slot}.{minute}.{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        return _Slot(minute, number, os.fstat(descriptor).st_size, self._now(), descriptor)

    def _rotate(self, slot: int) -> None:
        old, minute = self._slots[slot], self._minute()
        os.close(old.descriptor)
        # a clock that goes back must not bring an old name back
        number = old.number + 1 if minute <= old.minute else 0
        self._slots[slot] = self._begin(slot, max(minute, old.minute), number)

    def _expire(self, now: float) -> None:
        written = {(slot, one.minute, one.number) for slot, one in enumerate(self._slots)}
        closed = []
        for slot, minute, number, path in self._files():
            if (slot, minute, number) not in written:
                stat = path.stat()
                closed.append((stat.st_mtime, stat.st_size, path))
        space = self._config.space_mib * 2**20 - sum(one.size for one in self._slots)
        for modified, size, path in sorted(closed, reverse=True):
            space -= size
            if space < 0 or now - modified > self._config.retention_s:
                path.unlink()

    def _files(self) -> Iterator[tuple[int, str, int, Path]]:
        for path in self._folder.iterdir():
            if match := _AURORA.fullmatch(path.name):
                yield int(match[1]), match[2], int(match[3]), path

    def _minute(self) -> str:
        return time.strftime("%Y-%m-%d-%H-%M", time.gmtime(self._now()))


def _name(number: int, slot: _Slot) -> str:
    return f"audit.log.{number}.{slot.minute}.{slot.number}"


def _write(descriptor: int, waiting: list[bytes]) -> None:
    data = memoryview(b"".join(waiting))
    waiting.clear()
    while data:
        data = data[os.write(descriptor, data) :]
