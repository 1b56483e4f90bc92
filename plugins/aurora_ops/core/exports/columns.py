"""Columns of an exported table as AWS Glue has them, and how they change from snapshot to snapshot.

The types are those that RDS writes for MySQL (Aurora User Guide, "MySQL and MariaDB data type mapping to Parquet"). Only of a byte
array without annotation the file does not tell what it is: text of ``CHAR``, or bytes of ``BINARY``, ``BLOB``, ``BIT``; there the
manifest's original type does. Columns keep their names, but for the case: Athena finds a column of Parquet by its name, whatever
the case.

A table in Glue has all columns that any of its snapshots had; each partition has those of its own files. Athena compares the two
by name when a query begins, reads a column that a partition does not have as NULL, and casts where a partition has a narrower type
("Update tables with partitions" and "Change a column data type", Athena User Guide: ``int`` to ``bigint``, ``float`` to ``double``;
decimals as Trino's Hive connector does). Where a type changed in another way it would refuse every query over both
(``HIVE_PARTITION_SCHEMA_MISMATCH``), so such partitions go to a table of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aurora_ops.core.exports.footers import Leaf
from aurora_ops.core.exports.manifest import Original

PARTITION = "snapshot_date"

_MOST_DIGITS = 38
_LONGEST_NAME_BYTES = 255
_ANNOTATED = {"STRING": "string", "ENUM": "string", "JSON": "string", "TIMESTAMP": "timestamp", "DATE": "date"}
_PLAIN = {
    "BOOLEAN": "boolean",
    "INT32": "int",
    "INT64": "bigint",
    "INT96": "timestamp",
    "FLOAT": "float",
    "DOUBLE": "double",
}
_BYTES = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_TEXTS = re.compile(r"(char|varchar|(tiny|medium|long)?text|enum|set|json|date|time|decimal|numeric)\b")
_RAW = re.compile(r"(var)?binary\b|(tiny|medium|long)?blob\b|bit\b|geometry|point|linestring|polygon|multi|geom")
_DECIMAL = re.compile(r"decimal\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.IGNORECASE)
_WIDER = (("int", "bigint"), ("float", "double"))
_NUMBERS = {
    "tinyint": "int",
    "smallint": "int",
    "mediumint": "int",
    "int": "int",
    "integer": "int",
    "year": "int",
    "bigint": "bigint",
    "float": "double",
    "double": "double",
    "datetime": "timestamp",
    "timestamp": "timestamp",
}
_WIDE_IF_UNSIGNED = ("mediumint", "int", "integer")


class Column(NamedTuple):
    """A column in Glue.

    :param name: in lower case.
    :param kind: type of Glue, such as ``bigint``.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Fit:
    """How the columns of a snapshot's table fit into those of the table in Glue.

    :param columns: what the table must have, for both to be read.
    :param added: those that it did not have.
    :param widened: those whose type gets wider: name, type so far, type from now on.
    :param absent: names that the snapshot does not have.
    :param clashes: name, type in the table, type in the snapshot: what no type can be read as. Nothing is changed then.
    """

    columns: tuple[Column, ...]
    added: tuple[Column, ...] = ()
    widened: tuple[tuple[str, str, str], ...] = ()
    absent: tuple[str, ...] = ()
    clashes: tuple[tuple[str, str, str], ...] = ()


def of_file(leaves: Sequence[Leaf], originals: Sequence[Original]) -> tuple[list[Column], list[str]]:
    """Give the columns of a file.

    :param leaves: its columns.
    :param originals: those of the table in the manifest.
    :return: columns for Glue in the file's order, and for each that is left out why.
    """
    kinds = {one.name: one.kind for one in originals}
    return _named((leaf.name, _kind(leaf, kinds.get(leaf.name, "")), _words(leaf)) for leaf in leaves)


def of_manifest(originals: Sequence[Original]) -> tuple[list[Column], list[str]]:
    """Give the columns of a table without rows, of which there is no file; as far as the manifest shows their types."""
    return _named((one.name, _meant(one), f"{one.kind} as {one.exported}") for one in originals)


def of_glue(table: Mapping[str, Any]) -> list[Column]:
    """Give the columns of a table as Glue has it (``Table``)."""
    return [Column(one["Name"], one["Type"]) for one in table.get("StorageDescriptor", {}).get("Columns", [])]


def fit(table: Sequence[Column], snapshot: Sequence[Column]) -> Fit:
    """Fit the columns of a snapshot into those of a table.

    :param table: what the table has.
    :param snapshot: what the snapshot has.
    """
    wanted = dict(snapshot)
    columns: list[Column] = []
    widened, clashes = [], []
    for name, kind in table:
        both = common(kind, wanted.get(name, kind))
        if both is None:
            clashes.append((name, kind, wanted[name]))
        elif both != kind:
            widened.append((name, kind, both))
        columns.append(Column(name, both or kind))
    if clashes:
        return Fit(tuple(Column(*one) for one in table), clashes=tuple(clashes))
    there = {name for name, _ in table}
    added = tuple(Column(*one) for one in snapshot if one[0] not in there)
    absent = tuple(name for name, _ in table if name not in wanted)
    return Fit((*columns, *added), added, tuple(widened), absent)


def common(one: str, other: str) -> str | None:
    """Give the type that columns of both types are read as, ``None`` where there is none.

    :param one: type of Glue.
    :param other: type of Glue.
    """
    if one == other:
        return one
    for narrow, wide in _WIDER:
        if {one, other} == {narrow, wide}:
            return wide
    decimals = _DECIMAL.fullmatch(one), _DECIMAL.fullmatch(other)
    if decimals[0] is None or decimals[1] is None:
        return None
    digits = [(int(found[1]) - int(found[2]), int(found[2])) for found in decimals if found]
    whole, scale = max(before for before, _ in digits), max(behind for _, behind in digits)
    return f"decimal({whole + scale},{scale})" if whole + scale <= _MOST_DIGITS else None


def _named(found: Iterable[tuple[str, str | None, str]]) -> tuple[list[Column], list[str]]:
    columns: dict[str, str] = {}
    left_out: list[str] = []
    for name, kind, words in found:
        lower = name.lower()
        if lower == PARTITION:
            left_out.append(f"column {name} is left out: that is what partitions are named by")
        elif lower in columns:
            left_out.append(f"column {name} is left out: another one differs from it by case only")
        elif len(lower.encode()) > _LONGEST_NAME_BYTES:
            left_out.append(f"column {name[:40]}... is left out: its name is longer than Glue accepts")
        elif kind is None:
            left_out.append(f"column {name} is left out: its type, {words}, is not known here")
        else:
            columns[lower] = kind
    return [Column(*one) for one in columns.items()], left_out


def _kind(leaf: Leaf, original: str) -> str | None:
    if leaf.nested:
        return None
    if leaf.logical == "DECIMAL":
        return f"decimal({leaf.precision},{leaf.scale})" if leaf.precision <= _MOST_DIGITS else None
    if leaf.logical in _ANNOTATED:
        return _ANNOTATED[leaf.logical]
    if leaf.logical not in ("NONE", "INT"):
        return None
    if leaf.physical in _BYTES:
        return "string" if _TEXTS.match(original) else "binary"
    return _PLAIN.get(leaf.physical)


def _meant(one: Original) -> str | None:
    """Tell the type that RDS would have written, had there been rows."""
    if found := _DECIMAL.search(one.exported):
        return f"decimal({found[1]},{found[2]})"
    word, unsigned = re.split(r"[\s(]", one.kind, maxsplit=1)[0], "unsigned" in one.kind
    if word == "bigint" and unsigned:
        return "decimal(20,0)"
    if word in _NUMBERS:
        return "bigint" if unsigned and word in _WIDE_IF_UNSIGNED else _NUMBERS[word]
    if word in ("decimal", "numeric"):
        found = _DECIMAL.search(one.kind.replace("numeric", "decimal"))
        return f"decimal({found[1]},{found[2]})" if found and int(found[1]) <= _MOST_DIGITS else None
    if _TEXTS.match(word):
        return "string"
    return "binary" if _RAW.match(word) else None


def _words(leaf: Leaf) -> str:
    shown = leaf.physical if leaf.logical == "NONE" else f"{leaf.physical} {leaf.logical}"
    return f"a part of a nested {shown}" if leaf.nested else shown
