"""The chain of hashes that ties the objects of a file together: none can be changed, left out or put elsewhere unseen."""

from __future__ import annotations

import hashlib

FIRST = "0" * 64
"""What stands for the chain before a file's first object."""


def link(previous: str, begin: int, end: int, sha256: str) -> str:
    """Give the chain of an object.

    :param previous: chain of the object before it in the file; ``FIRST`` for the first.
    :param begin: offset in the file of its first byte.
    :param end: offset after its last byte.
    :param sha256: of its bytes, uncompressed, in hexadecimal.
    """
    return hashlib.sha256(f"{previous}:{begin}:{end}:{sha256}".encode()).hexdigest()
