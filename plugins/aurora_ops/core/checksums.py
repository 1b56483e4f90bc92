"""Checksums of tables, made on the server: the same for the same rows in whatever order; no value leaves it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from aurora_ops.core.errors import StateError
from aurora_ops.core.tables import Table, quoted

_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_TEXT = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_AS_HEX = frozenset(
    {"bit", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}
    | {"geometrycollection", "geomcollection"}
)
_DIGITS = 15  # of a digest, as a number: 60 bits
# What stands for a row that the server could not read: more than the sum of ten thousand million digests.
_UNREADABLE = 10**30


class Sum(NamedTuple):
    """What some rows of a table add up to.

    :param rows: how many there are.
    :param total: sum of their digests.
    """

    rows: int = 0
    total: int = 0

    def plus(self, rows: int, total: int) -> Sum:
        """Add other rows."""
        return Sum(self.rows + rows, self.total + total)


def sum_sql(table: Table, columns: Sequence[tuple[str, str]], rows: str) -> str:
    """Query that adds up the digests of some rows: their number, and the sum.

    A value's digest does not depend on its length, so that no row is too long; NULL is not ''.

    :param table: the table.
    :param columns: each with its type, lower case, in order.
    :param rows: condition that the rows fulfil.
    """
    values = ", ".join(_digest(quoted(name), kind) for name, kind in columns)
    digest = f"CAST(CONV(LEFT(SHA2(CONCAT({values}), 256), {_DIGITS}), 16, 10) AS DECIMAL(20, 0))"
    return f"SELECT COUNT(*), SUM(IFNULL({digest}, {_UNREADABLE})) FROM {table.sql} WHERE {rows}"  # noqa: S608


def checksum(table: Table, found: Sum) -> str:
    """Write the checksum of a table.

    :param table: for the error.
    :param found: all its rows.
    :raises StateError: the server could not read a row.
    """
    if found.total >= _UNREADABLE:
        raise StateError(f"{table}: a value is too long for the server's max_allowed_packet; leave the table out")
    return hashlib.sha256(f"{found.rows}:{found.total}".encode()).hexdigest()[:32]


def _digest(name: str, kind: str) -> str:
    if kind in _AS_HEX:
        value = f"HEX({name})"
    elif kind in _BYTES:
        value = name
    else:
        value = f"CONVERT({name} USING utf8mb4)" if kind in _TEXT else f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
    return f"IF({name} IS NULL, 'N', SHA2({value}, 256))"
