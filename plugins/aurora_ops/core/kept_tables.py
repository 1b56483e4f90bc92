"""Tables that are kept across a refresh: how a table is written to a stream and read back.

Format, gzip: first line a JSON header ``{"table", "columns", "create", "triggers"}``, then one JSON list per row. Values are
the text that the server sent; bytes that are not UTF-8 text stand as ``{"b64": ...}``; NULL is null. Rows hold data, not SQL.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO


def _encoded(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"b64": base64.b64encode(bytes(value)).decode("ascii")}
    return value


def _decoded(value: Any) -> Any:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def write(stream: BinaryIO, header: dict[str, Any], rows: Iterable[tuple[Any, ...]]) -> int:
    """Write a table; memory stays at one row.

    :param stream: where to.
    :param header: what describes the table.
    :param rows: its rows: text, bytes or ``None``.
    :return: rows written.
    """
    count = 0
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed:
        packed.write(json.dumps(header).encode() + b"\n")
        for row in rows:
            packed.write(json.dumps([_encoded(value) for value in row], ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def read(stream: BinaryIO) -> Iterator[Any]:
    """Read a table back: the header first, then each row as a tuple; memory stays at one row."""
    with gzip.GzipFile(fileobj=stream, mode="rb") as packed:
        yield json.loads(packed.readline())
        for line in packed:
            yield tuple(_decoded(value) for value in json.loads(line))


def batches(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Group rows into lists of at most ``size``."""
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
