"""Bytes of log files made objects: hashed and compressed as they come, cut where records end, in bounded memory."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from aurora_ops.core.audit_logs.boundaries import Boundaries

_IN_MEMORY = 2**20  # four threads have one each
_GZIP = 16 + zlib.MAX_WBITS
LEVELS = {"zstd": 1, "gzip": 1, "none": 0}
"""Of compression: fast, since an hour's log must not take longer than that to read."""


@dataclass(frozen=True)
class Mark:
    """Bytes of a file that chunks could not carry, where nothing else may be asked; question marks stand for them.

    :param kind: ``binary`` (not text), or ``truncated`` (the end of a line over 1 MiB).
    :param begin: offset of the first one.
    :param size: how many.
    """

    kind: str
    begin: int
    size: int

    def as_json(self) -> dict[str, Any]:
        """Write it as state and metadata hold it."""
        return {"kind": self.kind, "begin": self.begin, "bytes": self.size}


@dataclass(frozen=True)
class Piece:
    """Bytes of a file, in order and without gaps.

    :param data: the bytes.
    :param marker: where AWS goes on after them; ``None``: unknown.
    :param marks: what of them is not as the server wrote it.
    """

    data: bytes
    marker: str | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Packed:
    """The content of an object.

    :param begin: offset in the file of its first byte.
    :param end: offset after its last byte.
    :param sha256: of its bytes, uncompressed.
    :param body: the compressed bytes, from the beginning.
    :param stored_bytes: how many these are.
    :param marks: what of it is not as the server wrote it.
    :param marker: AWS's marker at ``marker_at``, or ``None``.
    :param marker_at: offset, at most ``end``, at which the marker goes on.
    """

    begin: int
    end: int
    sha256: str
    body: BinaryIO
    stored_bytes: int
    marks: tuple[Mark, ...] = ()
    marker: str | None = None
    marker_at: int = 0


class Packer:
    """Hashes and compresses what one object is made of; beyond 1 MiB it waits on disk.

    :param compression: ``zstd``, ``gzip`` or ``none``.
    """

    def __init__(self, compression: str) -> None:
        self.size = 0
        self._sha = hashlib.sha256()
        self._spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by whoever stores it
        self._compressor = _compressor(compression)

    def add(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        self.size += len(data)
        self._sha.update(data)
        self._spool.write(self._compressor.compress(data) if self._compressor else data)

    def finish(self) -> tuple[str, BinaryIO, int]:
        """End the object: hash, compressed bytes from their beginning, and how many they are."""
        if self._compressor:
            self._spool.write(self._compressor.flush())
        stored = self._spool.tell()
        self._spool.seek(0)
        return self._sha.hexdigest(), cast("BinaryIO", self._spool), stored


@dataclass
class Assembly:
    """Makes objects of a file's pieces.

    :param begin: offset at which it goes on: a boundary of records.
    :param compression: see ``Packer``.
    :param most_bytes: bytes after which an object ends at the next boundary.
    :param cut_at: where the first object has to end, because an earlier try has begun to store one that does.
    """

    begin: int
    compression: str
    most_bytes: int
    cut_at: int | None = None
    _held: list[bytes] = field(default_factory=list)
    _marks: list[Mark] = field(default_factory=list)
    _markers: list[tuple[int, str]] = field(default_factory=list)
    _packer: Packer | None = None
    _boundaries: Boundaries = field(default_factory=Boundaries)

    def __post_init__(self) -> None:
        """Begin at a boundary."""
        self._fed = self.begin

    @property
    def at(self) -> int:
        """Offset after the last byte taken."""
        return self._fed

    def know(self, marker: str | None, at: int) -> None:
        """Take note of a marker.

        :param marker: AWS's.
        :param at: offset at which it goes on.
        """
        if marker is not None:
            self._markers.append((at, marker))

    def feed(self, piece: Piece) -> Iterator[Packed]:
        """Take a piece; gives each object that it completes."""
        self._marks += piece.marks
        data = piece.data
        if self.cut_at is not None and self._fed < self.cut_at <= self._fed + len(data):
            here = self.cut_at - self._fed
            self._take(data[:here], here)
            self.cut_at = None
            yield self._cut()
            self._boundaries.restart()
            data = data[here:]
        self._take(data, self._boundaries.feed(data))
        self.know(piece.marker, self._fed)
        if self.cut_at is None and self._packer is not None and self._packer.size >= self.most_bytes:
            yield self._cut()

    def finish(self, *, whole: bool) -> Packed | None:
        """Give the last object; ``None`` where there is nothing for one.

        :param whole: the file ends here: what comes after the last boundary belongs to it too.
        """
        if whole and self._held:
            self._take(b"", 0, everything=True)
        if self._packer is None or self._packer.size == 0 or self.cut_at is not None:
            return None
        return self._cut()

    def _take(self, data: bytes, until: int, *, everything: bool = False) -> None:
        """Pack what comes before a boundary, hold the rest."""
        self._fed += len(data)
        if until or everything:
            self._packer = self._packer or Packer(self.compression)
            for held in self._held:
                self._packer.add(held)
            self._held.clear()
            self._packer.add(memoryview(data)[:until])
            data = data[until:] if until < len(data) else b""
        if data:
            self._held.append(data)

    def _cut(self) -> Packed:
        packer, self._packer = self._packer, None
        if packer is None:
            raise ValueError("there is nothing to cut")
        sha256, body, stored = packer.finish()
        begin, self.begin = self.begin, self.begin + packer.size
        inside = tuple(mark for mark in self._marks if mark.begin < self.begin)
        self._marks = [mark for mark in self._marks if mark.begin >= self.begin]
        known = [one for one in self._markers if one[0] <= self.begin][-1:]
        self._markers = [*known, *(one for one in self._markers if one[0] > self.begin)]
        at, marker = known[0] if known else (0, None)
        return Packed(begin, self.begin, sha256, body, stored, inside, marker, at)


def _compressor(compression: str) -> Any:
    if compression == "gzip":
        return zlib.compressobj(LEVELS[compression], zlib.DEFLATED, _GZIP)
    if compression == "zstd":
        import zstandard  # only where it is used: DAG files must parse fast

        return zstandard.ZstdCompressor(level=LEVELS[compression]).compressobj()
    return None
