"""What a cluster can be restored to a moment from: base copies of its data, and its binary log since the oldest of them.

The first base is what the cluster was made of, which costs no copy: a snapshot's files, or the template's, under a second
name. Another is taken when the log has grown; then the oldest goes, and the log up to the next with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from localcloud.mariadb import binlog, files
from localcloud.mariadb.binlog import Mark, Position
from localcloud.mariadb.errors import EngineError
from localcloud.mariadb.server import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOG = "binlog"
_FILE_MIB = 64  # a file is removed as a whole
# Rows, so that replaying finds what was there; of a changed row its key and the columns that changed, a quarter of the
# whole. Not synced, as the redo log is not. A user without SUPER, as Aurora's master is, may create functions all the same.
SETTINGS = {
    "binlog-format": "ROW",
    "binlog-row-image": "MINIMAL",
    "binlog-annotate-row-events": "0",
    "binlog-cache-size": "1M",
    "sync-binlog": "0",
    "max-binlog-size": f"{_FILE_MIB}M",
    "log-bin-trust-function-creators": "1",
}


@dataclass(frozen=True)
class Base:
    """A consistent copy of a cluster's data.

    :param folder: holds ``data/`` and ``at.json``.
    :param time: epoch seconds; all that is in it was committed by then.
    :param position: where the log goes on from it.
    """

    folder: Path
    time: float
    position: Position


@dataclass(frozen=True)
class Stretch:
    """A piece of the log.

    :param logs: files, in order.
    :param first: offset in the first of them to begin at.
    :param last: offset in the last of them to end at.
    """

    logs: list[Path]
    first: int
    last: int


class Backups:
    """Base copies and log of one cluster. Thread-safe.

    :param folder: for all of it; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bases = folder / "bases"
        self._log = folder / "log"
        self._marks_file = folder / "marks"
        self._guard = threading.RLock()
        self._last: Mark | None = None
        self._last_is_noted = False

    def options(self) -> tuple[str, ...]:
        """Return the options by which a server writes the log; makes its folder."""
        self._folder.mkdir(mode=0o700, exist_ok=True)  # the log has passwords, as they were given to CREATE USER
        self._log.mkdir(exist_ok=True)
        return (f"--log-bin={self._log / _LOG}", *(f"--{name}={value}" for name, value in SETTINGS.items()))

    def begin(self, source: Path, now: float) -> None:
        """Let the files that the cluster is made of be the first base; nothing may change them any more.

        :param now: epoch seconds.
        """
        self._folder.mkdir(mode=0o700)
        with self.adding() as folder:
            files.link(source, data(folder))
            describe(folder, now, Position(0, 0))

    def follow(self, now: float) -> None:
        """Note how far the log is. To be called about once a second.

        :param now: epoch seconds, read before the call.
        """
        with self._guard:
            logs = self._logs()
            if not logs:
                return
            newest = max(logs)
            mark = Mark(now, Position(newest, logs[newest].stat().st_size))
            if self._last is None and (marks := self._marks()):  # of an earlier localcloud
                self._note_all(marks)
                self._last, self._last_is_noted = marks[-1], True
            if self._last and mark.position < self._last.position:  # RESET MASTER: the log begins anew
                self._forget()
            changed = self._last is None or mark.position != self._last.position
            if changed:
                # the last look at the old end too: in between, the log has grown
                before = [] if self._last is None or self._last_is_noted else [self._last]
                with self._marks_file.open("a") as file:
                    file.writelines(map(_line, [*before, mark]))
            self._last, self._last_is_noted = mark, changed

    def earliest(self) -> float | None:
        """Return the first moment that the cluster can be restored to, in epoch seconds; None without a base."""
        with self._guard:
            return next((base.time for base in self._all_bases()), None)

    def due(self, limit_bytes: int) -> bool:
        """Whether a new base is wanted, so that no more than so much log has to be kept."""
        with self._guard:
            bases = self._all_bases()
            return not bases or self._bytes_since(bases[-1].position) > limit_bytes / 2

    @contextlib.contextmanager
    def adding(self) -> Iterator[Path]:
        """Add a base: give a new folder, to be filled and described (:func:`describe`)."""
        with self._guard:
            number = max((int(base.folder.name) for base in self._all_bases()), default=0) + 1
        making = self._bases / f"{number}.making"
        files.remove(making)
        making.mkdir(parents=True)
        try:
            yield making
            making.rename(self._bases / str(number))
        finally:
            files.remove(making)

    def trim(self, limit_bytes: int) -> str | None:
        """Drop the oldest bases, until no more than so much log is needed; the newest stays.

        :return: name of the first file of the log that is still needed; None if none can go.
        """
        with self._guard:
            bases = self._all_bases()
            while len(bases) > 1 and self._bytes_since(bases[0].position) > limit_bytes:
                files.remove(bases.pop(0).folder)
            if not bases:
                return None
            kept = [mark for mark in self._marks() if mark.time >= bases[0].time]
            self._note_all(kept)
            needed = bases[0].position.file
            return f"{_LOG}.{needed:06}" if needed > min(self._logs(), default=needed) else None

    def lend(self, moment: float, now: float, folder: Path) -> Stretch | None:
        """Put what a moment is restored from into a folder: ``data/`` of a base and the log; read only.

        :param moment: epoch seconds.
        :param now: epoch seconds, read before the call.
        :return: what is to be replayed; None if nothing was written since the base.
        :raises EngineError: there is no base so early.
        """
        with self._guard:
            self.follow(now)
            base = next((base for base in reversed(self._all_bases()) if base.time <= moment), None)
            if base is None:
                raise EngineError(f"there is no backup from before {moment:.0f}, or it has been dropped meanwhile")
            files.link(data(base.folder), data(folder))
            logs = self._logs()
            end = binlog.reach(logs, base.position, self._marks(), moment)
            wanted = [logs[number] for number in sorted(logs) if base.position.file <= number <= end.file]
            if end.offset <= len(binlog.MAGIC):
                wanted = wanted[:-1]
            if not wanted or end == base.position:
                return None
            for log in wanted:
                os.link(log, folder / log.name)
            last = end.offset if logs[end.file] == wanted[-1] else wanted[-1].stat().st_size
            first = base.position.offset if logs.get(base.position.file) == wanted[0] else 0
            return Stretch([folder / log.name for log in wanted], first, last)

    # --- inside

    def _logs(self) -> dict[int, Path]:
        return {int(path.suffix[1:]): path for path in self._log.glob(f"{_LOG}.[0-9]*")}

    def _bytes_since(self, position: Position) -> int:
        logs = {number: log for number, log in self._logs().items() if number >= position.file}
        return sum(log.stat().st_size for log in logs.values()) - (position.offset if position.file in logs else 0)

    def _all_bases(self) -> list[Base]:
        """Return the bases, oldest first."""
        if not self._bases.exists():
            return []
        folders = sorted((path for path in self._bases.iterdir() if path.name.isdecimal()), key=lambda p: int(p.name))
        return [_read(folder) for folder in folders]

    def _marks(self) -> list[Mark]:
        if not self._marks_file.exists():
            return []
        lines = self._marks_file.read_text().splitlines(keepends=True)
        return [_mark(line) for line in lines if line.endswith("\n")]  # a crash may have cut the last one off

    def _note_all(self, marks: list[Mark]) -> None:
        making = self._marks_file.with_name("marks.making")
        making.write_text("".join(map(_line, marks)))
        making.replace(self._marks_file)

    def _forget(self) -> None:
        for base in self._all_bases():
            files.remove(base.folder)
        self._marks_file.unlink(missing_ok=True)
        self._last = None


def describe(folder: Path, now: float, position: Position) -> None:
    """Say what the data in a base's folder are.

    :param now: epoch seconds; all that is in them was committed by then.
    :param position: where the log goes on from them.
    """
    (folder / "at.json").write_text(json.dumps({"time": now, **asdict(position)}))


def _read(folder: Path) -> Base:
    at = json.loads((folder / "at.json").read_text())
    return Base(folder, at["time"], Position(at["file"], at["offset"]))


def _line(mark: Mark) -> str:
    return f"{mark.time:.3f} {mark.position.file} {mark.position.offset}\n"


def _mark(line: str) -> Mark:
    time, file, offset = line.split()
    return Mark(float(time), Position(int(file), int(offset)))
