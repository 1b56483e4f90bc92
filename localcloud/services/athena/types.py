"""Types: as Glue writes them, as DuckDB has them, and as Athena tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from localcloud.services.athena.parquet import Column

DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
PARAMETERS = re.compile(r"\(.*\)$")

# Which physical types of Parquet, with which annotations, Athena reads as a type of Glue.
READS: dict[str, tuple[set[str], set[str]]] = {
    "string": ({"BINARY", "FIXED_LEN_BYTE_ARRAY"}, {"STRING", "JSON", "ENUM", "NONE"}),
    "binary": ({"BINARY", "FIXED_LEN_BYTE_ARRAY"}, {"STRING", "JSON", "ENUM", "NONE", "BSON", "UUID"}),
    "boolean": ({"BOOLEAN"}, {"NONE"}),
    "tinyint": ({"INT32"}, {"NONE", "INT"}),
    "smallint": ({"INT32"}, {"NONE", "INT"}),
    "int": ({"INT32"}, {"NONE", "INT"}),
    "bigint": ({"INT32", "INT64"}, {"NONE", "INT"}),
    "float": ({"FLOAT"}, {"NONE"}),
    "double": ({"DOUBLE", "FLOAT"}, {"NONE"}),
    "decimal": ({"INT32", "INT64", "BINARY", "FIXED_LEN_BYTE_ARRAY"}, {"DECIMAL"}),
    "timestamp": ({"INT64", "INT96"}, {"TIMESTAMP", "NONE"}),
    "date": ({"INT32"}, {"DATE"}),
}
NESTED = {"array", "map", "struct"}
# DuckDB's name of a type of a result, Athena's, and the precision that Athena tells.
TOLD = {
    "VARCHAR": ("varchar", 2147483647),
    "BIGINT": ("bigint", 19),
    "HUGEINT": ("bigint", 19),
    "UBIGINT": ("bigint", 19),
    "UINTEGER": ("bigint", 19),
    "INTEGER": ("integer", 10),
    "SMALLINT": ("smallint", 5),
    "TINYINT": ("tinyint", 3),
    "DOUBLE": ("double", 17),
    "FLOAT": ("float", 17),
    "BOOLEAN": ("boolean", 0),
    "DATE": ("date", 0),
    "TIMESTAMP": ("timestamp", 3),
    "TIMESTAMP WITH TIME ZONE": ("timestamp with time zone", 3),
    "BLOB": ("varbinary", 1073741824),
    '"NULL"': ("unknown", 0),
}


@dataclass(frozen=True)
class Told:
    """A column of a result as ``ResultSetMetadata`` tells it."""

    name: str
    kind: str
    precision: int
    scale: int = 0


def base(kind: str) -> str:
    """Name of a type of Glue without its parameters; what Hive calls otherwise by its usual name."""
    name = re.split(r"[(<]", kind.strip().lower())[0].strip()
    return {"varchar": "string", "char": "string", "integer": "int", "real": "float"}.get(name, name)


def is_known(kind: str) -> bool:
    """Whether Athena has a type of Glue."""
    return base(kind) in READS or base(kind) in NESTED


def duckdb_type(kind: str) -> str:
    """DuckDB's type for a type of Glue.

    :raises ValueError: there is none.
    """
    try:
        return PARAMETERS.sub("", text) if (text := _parsed(kind).sql("duckdb")).startswith("TEXT") else text
    except SqlglotError:
        raise ValueError(f"{kind} is no type that Athena has") from None


def trino_type(kind: str) -> str:
    """Athena's name of a type of Glue, such as ``varchar`` for ``string``."""
    return str(_parsed(kind).sql("trino")).lower().replace(", ", ",")


def _parsed(kind: str) -> exp.DataType:
    return exp.DataType.build(kind.replace("integer", "int"), dialect="hive")


def fits(column: Column, kind: str) -> bool:
    """Whether Athena reads a column of a file as a type of Glue."""
    name = base(kind)
    if name in NESTED or column.physical == "GROUP":
        return name in NESTED and column.physical == "GROUP" and base(column.glue) == name
    physical, logical = READS[name]
    if column.physical not in physical or column.logical not in logical:
        return False
    if name == "timestamp":
        return (column.physical == "INT96") == (column.logical == "NONE")
    return True


def read(column: Column, kind: str, reference: str) -> str:
    """DuckDB's expression that reads a column of a file as a type of Glue.

    :param reference: the column, quoted and qualified.
    """
    name, target = base(kind), duckdb_type(kind)
    if name == "string":
        text = f"decode({reference})" if column.logical == "NONE" else reference
        limit = re.search(r"\((\d+)\)", kind)
        return f"left({text}, {limit[1]})" if limit else text
    if name == "binary":
        return reference if column.logical == "NONE" else f"encode({reference}::VARCHAR)"
    if name == "timestamp":
        # Athena's timestamps have milliseconds; what files have beyond is rounded.
        wall = f"timezone('UTC', {reference})" if column.utc else f"{reference}::TIMESTAMP"
        return f"date_trunc('millisecond', {wall} + INTERVAL 500 MICROSECOND)"
    return f"CAST({reference} AS {target})"


def told(name: str, duckdb: str) -> Told:
    """Tell a column of a result.

    :param duckdb: DuckDB's name of its type.
    :raises LookupError: it is none that Athena has.
    """
    if duckdb in TOLD:
        kind, precision = TOLD[duckdb]
        return Told(name, kind, precision, 3 if kind.startswith("timestamp") else 0)
    decimal = DECIMAL.fullmatch(duckdb.lower())
    if decimal:
        return Told(name, "decimal", int(decimal[1]), int(decimal[2]))
    if duckdb.endswith("[]"):
        return Told(name, "array", 0)
    nested = {"MAP": "map", "STRUCT": "row"}.get(duckdb.partition("(")[0])
    if nested is None:
        raise LookupError(duckdb)
    return Told(name, nested, 0)


def family(kind: exp.DataType | None) -> str:
    """Which values a type can be compared with; empty for what is not known."""
    if kind is None:
        return ""
    for name, kinds in FAMILIES.items():
        if kind.this in kinds:
            return name
    return ""


FAMILIES = {
    "number": exp.DataType.NUMERIC_TYPES,
    "text": exp.DataType.TEXT_TYPES,
    "time": exp.DataType.TEMPORAL_TYPES,
    "boolean": {exp.DataType.Type.BOOLEAN},
    "bytes": {exp.DataType.Type.VARBINARY, exp.DataType.Type.BINARY},
}
