"""What a Parquet file says of its columns, in the types of Glue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

# How Glue describes tables of Parquet.
SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
STORAGE = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "Compressed": False,
    "NumberOfBuckets": -1,
    "SortColumns": [],
    "StoredAsSubDirectories": False,
}
MAGIC = b"PAR1"
# Physical types of Parquet as Athena names them.
NAMES = {"BYTE_ARRAY": "BINARY"}
INTEGERS = {8: "tinyint", 16: "smallint", 32: "int", 64: "bigint"}
ANNOTATED = {"TIMESTAMP": "timestamp", "DATE": "date", "STRING": "string", "JSON": "string", "ENUM": "string"}
PRIMITIVES = {
    "BOOLEAN": "boolean",
    "INT32": "int",
    "INT64": "bigint",
    "INT96": "timestamp",
    "FLOAT": "float",
    "DOUBLE": "double",
}


class NotParquetError(ValueError):
    """The file is no Parquet; the message tells its last bytes."""


@dataclass(frozen=True)
class Column:
    """A top-level column of a file.

    :param name: as it is in the file.
    :param physical: Athena's name of the physical type, such as ``BINARY``; ``GROUP`` of a nested column.
    :param logical: annotation as pyarrow names it, such as ``STRING``, ``DECIMAL``, ``NONE``.
    :param glue: type that a crawler gives it.
    :param utc: a timestamp that means a moment rather than what a clock on the wall shows.
    """

    name: str
    physical: str
    logical: str
    glue: str
    utc: bool = False


@dataclass(frozen=True)
class Footer:
    """What the end of a file tells.

    :param rows: number of rows.
    :param sizes: compressed bytes of each column, by its name in small letters.
    """

    columns: tuple[Column, ...]
    rows: int
    sizes: dict[str, int]


def read_footer(path: Path) -> Footer:
    """Read columns and rows of a file.

    :raises NotParquetError: it is none.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(MAGIC), 0))
        end = file.read()
    if end != MAGIC:
        raise NotParquetError(f"expected magic number: {list(MAGIC)} got: {list(end)}")
    try:
        metadata = pq.read_metadata(path)
        leaves = {metadata.schema.column(n).path: metadata.schema.column(n) for n in range(metadata.num_columns)}
        fields = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise NotParquetError(str(error)) from None
    sizes: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            name = chunk.path_in_schema.split(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + int(chunk.total_compressed_size)
    return Footer(tuple(_column(field, leaves.get(field.name)) for field in fields), metadata.num_rows, sizes)


def _column(field: Any, leaf: Any) -> Column:
    if leaf is None:
        return Column(field.name, "GROUP", "NONE", glue_type(field.type))
    logical = str(leaf.logical_type.type)
    utc = bool(json.loads(leaf.logical_type.to_json()).get("isAdjustedToUTC"))
    return Column(
        field.name, NAMES.get(leaf.physical_type, leaf.physical_type), logical, _leaf_type(leaf, logical), utc
    )


def _leaf_type(leaf: Any, logical: str) -> str:
    """Type that a crawler gives a column that is not nested."""
    if logical == "DECIMAL":
        return f"decimal({leaf.precision},{leaf.scale})"
    if logical == "INT":
        return INTEGERS[json.loads(leaf.logical_type.to_json())["bitWidth"]]
    if logical in ANNOTATED:
        return ANNOTATED[logical]
    return PRIMITIVES.get(leaf.physical_type, "binary")


def glue_type(kind: Any) -> str:
    """Glue's type of an Arrow type.

    :raises ValueError: Glue has none for it.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{glue_type(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{glue_type(kind.key_type)},{glue_type(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{one.name}:{glue_type(one.type)}" for one in kind) + ">"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    simple = {
        "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint", "uint8": "smallint",
        "uint16": "int", "uint32": "bigint", "uint64": "bigint", "float": "float", "double": "double", "string": "string",
        "large_string": "string", "binary": "binary", "date32[day]": "date",
    }  # fmt: skip
    if str(kind) not in simple:
        raise ValueError(f"Glue has no type for {kind}")
    return simple[str(kind)]
