"""What is in a database: its tables, their columns, and how a table is read in pieces."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymysql.cursors import SSCursor

from localcloud.rds.exports.types import BAD_IN_COLUMN, BAD_IN_TABLE, Column, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.connections import Connection

SYSTEM = ("mysql", "information_schema", "performance_schema", "sys", "innodb")
_KEYS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
_COLUMNS = """
SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.NUMERIC_PRECISION, c.NUMERIC_SCALE,
       c.CHARACTER_MAXIMUM_LENGTH, c.DATETIME_PRECISION, c.COLUMN_KEY
FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
WHERE t.TABLE_TYPE = 'BASE TABLE' AND c.TABLE_SCHEMA NOT IN %s
ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION
"""
# MariaDB keeps JSON as a text that is checked
_JSON = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
WHERE LEVEL = 'Column' AND CHECK_CLAUSE LIKE 'json_valid(%'
"""


@dataclass
class Table:
    """A table.

    :param key: name of its primary key, if that is one whole number, by which it can be divided; else empty.
    """

    database: str
    name: str
    columns: list[Column] = field(default_factory=list)
    key: str = ""

    @property
    def target(self) -> str:
        """Name in manifests, warnings and ExportOnly."""
        return f"{self.database}.{self.name}"

    @property
    def problem(self) -> str:
        """Why AWS leaves the table out; empty if it does not."""
        if BAD_IN_TABLE & set(self.name):
            return "UNSUPPORTED_TABLE_NAME"
        if any(BAD_IN_COLUMN & set(column.name) for column in self.columns):
            return "UNSUPPORTED_COLUMN_NAME"
        return ""


@dataclass(frozen=True)
class Piece:
    """A part of a table: all of it, or the rows whose key lies between two numbers, both included.

    :param number: of the part.
    """

    number: int
    low: int | None = None
    high: int | None = None


def tables(connection: Connection[Any]) -> list[Table]:
    """List the tables of users' databases, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_JSON)
        checked = set(cursor.fetchall())
        cursor.execute(_COLUMNS, (SYSTEM,))
        rows = cursor.fetchall()
    found: dict[tuple[str, str], Table] = {}
    keys: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for database, name, column, data_type, column_type, precision, scale, length, fraction, key in rows:
        place = (database, name)
        table = found.setdefault(place, Table(database, name))
        kind = "json" if (database, name, column) in checked else data_type
        table.columns.append(
            Column(column, kind, "unsigned" in column_type, *map(_number, (precision, scale, length, fraction)))
        )
        if key == "PRI":
            keys[place].append(column if data_type in _KEYS else "")
    for place, names in keys.items():
        found[place].key = names[0] if len(names) == 1 else ""
    return list(found.values())


def pieces(connection: Connection[Any], table: Table, rows_per_piece: int) -> list[Piece]:
    """Divide a table by its key as AWS does: stretches of equal length, of which some may be without rows."""
    name = f"{quoted(table.database)}.{quoted(table.name)}"
    key = quoted(table.key) if table.key else "1"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*), MIN({key}), MAX({key}) FROM {name}")  # noqa: S608 - quoted
        rows, low, high = cursor.fetchone() or (0, None, None)
    count = int(rows or 0)
    if count == 0:
        return []
    if not table.key or count <= rows_per_piece:
        return [Piece(0)]
    return stretches(count, int(low or 0), int(high or 0), rows_per_piece)


def stretches(count: int, first: int, last: int, rows_per_piece: int) -> list[Piece]:
    """Divide keys from ``first`` to ``last`` into pieces of equal length, as many as so many rows need if they lie evenly."""
    wanted = -(-count // rows_per_piece)
    length = -(-(last - first + 1) // wanted)
    starts = range(first, last + 1, length)
    return [Piece(number, start, min(last, start + length - 1)) for number, start in enumerate(starts)]


def read(
    connection: Connection[Any], table: Table, piece: Piece, rows_at_a_time: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Read a piece of a table in batches of rows: each value a text, bytes, or None.

    :param connection: used for nothing else meanwhile.
    """
    connection.decoders = {}
    columns = ", ".join(column.select for column in table.columns)
    where = "" if piece.low is None else f" WHERE {quoted(table.key)} BETWEEN {piece.low} AND {piece.high}"
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(f"SELECT {columns} FROM {quoted(table.database)}.{quoted(table.name)}{where}")  # noqa: S608 - quoted
        while batch := cursor.fetchmany(rows_at_a_time):
            yield list(batch)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
