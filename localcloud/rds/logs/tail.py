"""Follows the file that the audit plugin of an Aurora cluster's server writes, and keeps it short."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

from localcloud.rds.logs.audit import RAW_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

BLOCK = 4 * 2**20


class Tail:
    """Reads each line once, also over restarts. Not thread-safe: hold ``lock``.

    How far it is, is noted after the lines were used: what dies in between has them again.

    :param folder: for the plugin's file and the note; made if need be.
    :param longest_bytes: size at which the plugin's file should be changed for another.
    """

    def __init__(self, folder: Path, longest_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self._path = folder / RAW_FILE
        self._rotated = folder / f"{RAW_FILE}.1"
        self._note = folder / "position.json"
        self._longest_bytes = longest_bytes
        self._file: FileIO | None = None
        self._offset = 0
        self._rest = b""

    def lines(self) -> Iterator[list[bytes]]:
        """Yield what has been written up to now, in blocks of whole lines; notes its position behind each."""
        file = self._open()
        if file is None:
            return
        # the plugin renames and writes under one lock: a file that has lost its name is complete
        renamed = not self._is(self._path, file)
        size = os.fstat(file.fileno()).st_size
        while (read := self._offset + len(self._rest)) < size:
            block = os.pread(file.fileno(), min(BLOCK, size - read), read)
            whole, feed, rest = block.rpartition(b"\n")
            if not feed:
                self._rest += block
                continue
            whole = self._rest + whole
            yield whole.split(b"\n")
            self._offset, self._rest = self._offset + len(whole) + 1, rest
            self._remember(file)
        if renamed:
            self.close()
            self._rotated.unlink(missing_ok=True)
            yield from self.lines()

    @property
    def is_long(self) -> bool:
        """Whether the file should be changed for another."""
        return self._offset > self._longest_bytes

    def close(self) -> None:
        """Close the file; the next call goes on where this one ended."""
        if self._file:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> FileIO | None:
        if self._file is None and self._path.exists():
            note = json.loads(self._note.read_text()) if self._note.exists() else {}
            for path in (self._rotated, self._path):
                if path.exists() and path.stat().st_ino == note.get("file"):
                    self._file, self._offset = path.open("rb", buffering=0), note["offset"]
                    return self._file
            self._file, self._offset = self._path.open("rb", buffering=0), 0
        return self._file

    def _is(self, path: Path, file: FileIO) -> bool:
        return path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino

    def _remember(self, file: FileIO) -> None:
        new = self._note.with_suffix(".new")
        new.write_text(json.dumps({"file": os.fstat(file.fileno()).st_ino, "offset": self._offset}))
        new.replace(self._note)
