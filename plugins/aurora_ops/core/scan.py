"""The scan for personal data that nobody declared: which columns can hold it, and the SQL that counts it on the server.

A table is read once for all its columns and all kinds. Only where something looks suspicious is a column read again, text by
text, to count each kind and to verify check digits. No value leaves the server: answers are counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aurora_ops.core.shapes import Shape, literal, suspect_sql
from aurora_ops.core.tables import Column, Table, compared, quoted

_CHARACTERS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_MAY_BE_LONG = frozenset({"mediumtext", "longtext", "json", "mediumblob", "longblob"})
_SHORTEST = 6  # a@b.io; every other shape is longer
# Longer texts are searched piece by piece: regular expressions are given a limit of steps by both servers. Pieces overlap by
# more than the longest shape.
_PIECE, _OVERLAP = 16_384, 400
_MOST_FOUND_IN_A_PIECE = 900
_CONTROL = "[\x01-\x08\x0b\x0e-\x1f\x7f]"
# Keys by whose order a table can be walked with the border kept in a variable of the session.
_WALKABLE = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "char", "varchar", "binary", "varbinary"})


class ColumnFacts(NamedTuple):
    """What the server says about a column.

    :param column: its name.
    :param data_type: type without length, lower case.
    :param longest: most characters (bytes, for binary types) it can hold; ``None`` for types without.
    """

    column: Column
    data_type: str
    longest: int | None

    @property
    def holds(self) -> str:
        """What it can hold that a scan can look into: ``text``, ``bytes`` or ``nothing``."""
        if self.data_type in _CHARACTERS | _BYTES and (self.longest is None or self.longest >= _SHORTEST):
            return "bytes" if self.data_type in _BYTES else "text"
        return "nothing"

    @property
    def may_be_long(self) -> bool:
        """Whether a value can be longer than what is searched at once."""
        return self.data_type in _MAY_BE_LONG or (self.longest or 0) > _PIECE

    @property
    def text_sql(self) -> str:
        """SQL of its text: bytes are read as latin1, which finds ASCII in every encoding but UTF-16."""
        name = quoted(self.column.name)
        if self.holds != "bytes":
            return f"CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin"
        return f"IF({self.no_text_sql}, NULL, {self._bytes_sql})"

    @property
    def no_text_sql(self) -> str:
        """SQL that tells whether its bytes are no text: they hold control characters."""
        name = quoted(self.column.name)
        return f"(INSTR(TRIM(TRAILING x'00' FROM {name}), x'00') > 0 OR {self._bytes_sql} REGEXP {literal(_CONTROL)})"

    @property
    def _bytes_sql(self) -> str:
        latin = f"CONVERT(TRIM(TRAILING x'00' FROM {quoted(self.column.name)}) USING latin1)"
        return f"CONVERT({latin} USING utf8mb4) COLLATE utf8mb4_bin"


class Counted(NamedTuple):
    """What one pass over some rows says about a column.

    :param suspects: texts that match a shape, or are too long to have been searched.
    :param longest: characters of the longest text, where texts may be long.
    :param no_text: values that are no text.
    """

    suspects: int
    longest: int
    no_text: int


class Walk(NamedTuple):
    """How a table is walked in chunks: by its primary key, with borders in variables of the session.

    No key leaves the server, since a key may be somebody's e-mail.

    :param table: the table.
    :param keys: columns of its primary key; none: it is read in one go.
    """

    table: Table
    keys: Sequence[str]

    def start_sql(self, rows: int) -> str:
        """Statement that sets the lower border behind that many rows."""
        return self._border_sql("scan_low", "", rows)

    def next_sql(self, rows: int, *, first: bool) -> str:
        """Statement that sets the upper border that many rows on; it sets none, and affects no row, in the last chunk.

        :param rows: rows of a chunk.
        :param first: there is no lower border yet.
        """
        return self._border_sql("scan_high", "" if first else f" WHERE {self._beyond('scan_low')}", rows)

    def advance_sql(self) -> str:
        """Statement that makes the upper border the lower one."""
        return "SET " + ", ".join(f"@scan_low_{n} = @scan_high_{n}" for n in range(len(self.keys)))

    def range_sql(self, *, first: bool, last: bool) -> str:
        """Condition that holds the rows of the present chunk.

        :param first: there is no lower border.
        :param last: there is no upper border.
        """
        low = [] if first else [self._beyond("scan_low")]
        high = [] if last else [self._up_to("scan_high")]
        return " AND ".join([*low, *high]) or "TRUE"

    def _border_sql(self, name: str, where: str, rows: int) -> str:
        keys = ", ".join(map(quoted, self.keys))
        into = ", ".join(f"@{name}_{n}" for n in range(len(self.keys)))
        return f"SELECT {keys} INTO {into} FROM {self.table.sql}{where} ORDER BY {keys} LIMIT 1 OFFSET {rows - 1}"  # noqa: S608

    def _beyond(self, name: str) -> str:
        return self._compared(name, ">", ">")

    def _up_to(self, name: str) -> str:
        return self._compared(name, "<", "<=")

    def _compared(self, name: str, before_last: str, at_last: str) -> str:
        return compared(self.keys, [f"@{name}_{n}" for n in range(len(self.keys))], before_last, at_last)


def walk(table: Table, keys: Sequence[tuple[str, str]]) -> Walk:
    """Decide how a table is walked.

    :param table: the table.
    :param keys: columns of its primary key with their types, in order.
    """
    usable = bool(keys) and all(data_type in _WALKABLE for _, data_type in keys)
    return Walk(table, [name for name, _ in keys] if usable else [])


def count_sql(table: Table, columns: Sequence[tuple[ColumnFacts, Sequence[Shape]]], rows: str) -> str:
    """Query of one pass: the number of rows, then suspects, longest and no_text of each column.

    :param table: the table.
    :param columns: what to look at, and what to look for in each.
    :param rows: condition that the rows fulfil.
    """
    wanted = ["COUNT(*)"]
    for facts, shapes in columns:
        suspect = suspect_sql(facts.text_sql, shapes)
        longest = "0"
        if facts.may_be_long:
            length = f"CHAR_LENGTH({facts.text_sql})"
            suspect, longest = f"IF({length} > {_PIECE}, 1, {suspect})", f"MAX({length})"
        no_text = f"SUM({facts.no_text_sql})" if facts.holds == "bytes" else "0"
        wanted += [f"SUM({suspect})", longest, no_text]
    return f"SELECT {', '.join(wanted)} FROM {table.sql} WHERE {rows}"  # noqa: S608 - names are quoted


def read_counts(row: Sequence[object]) -> list[Counted]:
    """Read the answer of ``count_sql``, its first column aside."""
    numbers = [int(str(value or 0)) for value in row[1:]]
    return [Counted(*numbers[n : n + 3]) for n in range(0, len(numbers), 3)]


def details_sql(facts: ColumnFacts, shapes: Sequence[Shape], rows: str, longest: int) -> str:
    """Query that counts the values of a column which match each shape; one number a shape, check digits not looked at.

    :param facts: the column.
    :param shapes: what to look for.
    :param rows: condition that the rows fulfil.
    :param longest: characters of its longest text.
    """
    found = ", ".join(f"COUNT(DISTINCT IF(piece REGEXP {literal(shape.pattern)}, id, NULL))" for shape in shapes)
    return f"WITH {_pieces(facts, shapes, rows, longest)} SELECT {found} FROM pieces"  # noqa: S608


def verified_sql(facts: ColumnFacts, shape: Shape, rows: str, longest: int) -> str:
    """Query that counts the values of a column which hold something of a shape with right check digits.

    :param facts: the column.
    :param shape: one with a check.
    :param rows: condition that the rows fulfil.
    :param longest: characters of its longest text.
    """
    if shape.check is None:
        raise ValueError(f"{shape.name} has no check digits")
    pattern = literal(shape.pattern)
    first = f"REGEXP_SUBSTR(rest, {pattern})"
    return (
        f"WITH RECURSIVE {_pieces(facts, [shape], rows, longest)}, "  # noqa: S608 - names are quoted
        # one match after the other is cut off the front of what is left
        "hits (id, n, candidate, rest) AS ("
        f"SELECT id, 0, CAST('' AS CHAR(64) CHARACTER SET utf8mb4) COLLATE utf8mb4_bin, piece FROM pieces "
        f"WHERE piece REGEXP {pattern} UNION ALL "
        f"SELECT id, n + 1, {first}, SUBSTR(rest, LOCATE({first}, rest) + CHAR_LENGTH({first})) FROM hits "
        f"WHERE n < {_MOST_FOUND_IN_A_PIECE} AND rest REGEXP {pattern}), "
        "candidates AS (SELECT id, REGEXP_REPLACE(candidate, '[^0-9A-Z]', '') AS c FROM hits WHERE n > 0) "
        f"SELECT COUNT(DISTINCT id) FROM candidates WHERE {shape.check('c')}"
    )


def _pieces(facts: ColumnFacts, shapes: Sequence[Shape], rows: str, longest: int) -> str:
    """Write the tables ``suspects`` (numbered texts) and ``pieces`` (what is searched at once)."""
    suspect = suspect_sql(facts.text_sql, shapes)
    if facts.may_be_long:
        suspect = f"IF(CHAR_LENGTH({facts.text_sql}) > {_PIECE}, 1, {suspect})"
    places = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(max(1, -(-longest // _PIECE))))
    return (
        f"suspects AS (SELECT ROW_NUMBER() OVER (ORDER BY NULL) AS id, {facts.text_sql} AS value "  # noqa: S608
        f"FROM {facts.column.table.sql} WHERE {rows} AND {suspect}), "
        f"places AS ({places}), "
        f"pieces AS (SELECT id, SUBSTR(value, 1 + n * {_PIECE}, {_PIECE + _OVERLAP}) AS piece "
        f"FROM suspects JOIN places ON n * {_PIECE} < CHAR_LENGTH(value))"
    )
