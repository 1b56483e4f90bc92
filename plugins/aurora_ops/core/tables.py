"""Names of tables, columns and users, and how they stand in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from aurora_ops.core.errors import ConfigError

TABLE_PATTERN = r"^[0-9A-Za-z_$]{1,64}\.[0-9A-Za-z_$]{1,64}$"
USER_PATTERN = r"^[0-9A-Za-z_]{1,32}$"
COLUMN_PATTERN = r"^[0-9A-Za-z_$]{1,64}\.[0-9A-Za-z_$]{1,64}\.[0-9A-Za-z_$]{1,64}$"


def quoted(name: str) -> str:
    """Quote an identifier for MySQL, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def compared(key: Sequence[str], operands: Sequence[str], strict: str, last: str) -> str:
    """Compare a key with a bound, column by column: servers find no range of an index for ``(a, b) > (x, y)``.

    :param key: columns of the key.
    :param operands: SQL of the bound, one a column; each but the last stands in the result twice, one after the other.
    :param strict: comparison of every column but the last.
    :param last: comparison of the last column.
    """
    column, operand = quoted(key[0]), operands[0]
    if len(key) == 1:
        return f"{column} {last} {operand}"
    rest = compared(key[1:], operands[1:], strict, last)
    return f"({column} {strict} {operand} OR ({column} = {operand} AND {rest}))"


class Table(NamedTuple):
    """A table: schema and name."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str, field: str) -> Table:
        """Read ``schema.table``.

        :param text: the name.
        :param field: setting it stands in, for the error.
        :raises ConfigError: it is not of that form.
        """
        if not re.fullmatch(TABLE_PATTERN, text):
            raise ConfigError(field, text, "write schema.table, such as shop.feature_flags")
        schema, name = text.split(".")
        return cls(schema, name)

    @property
    def sql(self) -> str:
        """The name as it stands in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Column(NamedTuple):
    """A column of a table."""

    table: Table
    name: str

    @classmethod
    def parse(cls, text: str, field: str) -> Column:
        """Read ``schema.table.column``.

        :param text: the name.
        :param field: setting it stands in, for the error.
        :raises ConfigError: it is not of that form.
        """
        if not re.fullmatch(COLUMN_PATTERN, text):
            raise ConfigError(field, text, "write schema.table.column, such as shop.customers.email")
        schema, table, column = text.split(".")
        return cls(Table(schema, table), column)

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"
