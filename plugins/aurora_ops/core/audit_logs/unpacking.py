"""Stored parts of log files, read piece by piece: decompressed, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from aurora_ops.core.errors import VerificationError

PIECE_BYTES = 2**20
_GZIP = 16 + zlib.MAX_WBITS


def unpacked(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give the bytes of an object, uncompressed, in pieces of 1 MiB or a little more.

    :param key: its key, whose end tells how it is compressed.
    :param pieces: its bytes, in small pieces: what one of them becomes is in memory at once.
    :raises VerificationError: it cannot be decompressed, or ends before its end.
    """
    held: list[bytes] = []
    size = 0
    for piece in _plain(key, pieces):
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


def _plain(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    if key.endswith(".gz"):
        yield from _decompressed(key, pieces, lambda: zlib.decompressobj(_GZIP), zlib.error)
    elif key.endswith(".zst"):
        import zstandard

        yield from _decompressed(key, pieces, zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError)
    else:
        yield from pieces


def _decompressed(key: str, pieces: Iterable[bytes], make: Any, broken: type[Exception]) -> Iterator[bytes]:
    """Decompress one stream after the other."""
    stream: Any = None
    try:
        for piece in pieces:
            rest = piece
            while rest:
                stream = stream or make()
                yield stream.decompress(rest)
                if not stream.eof:
                    break
                rest, stream = stream.unused_data, None
    except broken as exc:
        raise VerificationError(f"{key} cannot be decompressed: {exc}; it is not as it was written") from exc
    if stream is not None:
        raise VerificationError(f"{key} ends before its end; it is not as it was written")
