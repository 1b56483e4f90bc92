"""The end of a Parquet file, which tells its rows and columns: all that is read of an export's files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

TAIL_BYTES = 64 * 1024
"""What is read of a file at first; footers of tables with some hundred columns are shorter."""

_MAGIC = b"PAR1"
_END_BYTES = 4 + len(_MAGIC)
_LARGEST_FOOTER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Leaf:
    """A column of a file.

    :param name: its name.
    :param physical: Parquet's type, such as ``INT64`` or ``BYTE_ARRAY``.
    :param logical: its annotation, such as ``STRING`` or ``DECIMAL``; ``NONE``.
    :param precision: digits of a decimal.
    :param scale: those of them behind the point.
    :param nested: it is a part of a list, a map or a struct.
    """

    name: str
    physical: str
    logical: str = "NONE"
    precision: int = 0
    scale: int = 0
    nested: bool = False


@dataclass(frozen=True)
class Footer:
    """What the end of a file tells.

    :param rows: its rows.
    :param leaves: its columns.
    """

    rows: int
    leaves: tuple[Leaf, ...]


def needed_bytes(tail: bytes, size: int) -> int:
    """Say how many bytes at the end of a file the footer takes.

    :param tail: the file's last bytes.
    :param size: the file's bytes.
    :raises ValueError: it is no Parquet file, or its end is missing.
    """
    if size < len(_MAGIC) + _END_BYTES or tail[-len(_MAGIC) :] != _MAGIC:
        raise ValueError(f"it is no Parquet, or was cut off: its {size} bytes do not end with {_MAGIC.decode()}")
    length: int = struct.unpack("<I", tail[-_END_BYTES : -len(_MAGIC)])[0]
    if length + _END_BYTES + len(_MAGIC) > size or length > _LARGEST_FOOTER_BYTES:
        raise ValueError(f"its footer would have {length} bytes, the file has {size}")
    return length + _END_BYTES


def read(tail: bytes, size: int) -> Footer:
    """Read a footer.

    :param tail: the file's last bytes, at least ``needed_bytes`` of them.
    :param size: the file's bytes.
    :raises ValueError: it cannot be read, or what it tells of does not fit into the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    needed = needed_bytes(tail, size)
    try:
        about = pq.read_metadata(pa.BufferReader(tail[-needed:]))
    except (pa.ArrowException, OSError) as exc:
        raise ValueError(f"its footer cannot be read: {str(exc)[:200]}") from None
    end = max((_end(about.row_group(number)) for number in range(about.num_row_groups)), default=0)
    if end > size - needed:
        raise ValueError(f"its columns would end at byte {end}, but its footer begins at {size - needed}")
    leaves = tuple(_leaf(about.schema.column(number)) for number in range(len(about.schema)))
    return Footer(about.num_rows, leaves)


def _end(group: Any) -> int:
    ends = [0]
    for number in range(group.num_columns):
        chunk = group.column(number)
        ends.append((chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size)
    return max(ends)


def _leaf(column: Any) -> Leaf:
    nested = column.name != column.path or column.max_repetition_level > 0
    return Leaf(
        name=column.path.split(".", 1)[0] if nested else column.name,
        physical=column.physical_type,
        logical=column.logical_type.type,
        precision=max(column.precision, 0),
        scale=max(column.scale, 0),
        nested=nested,
    )
