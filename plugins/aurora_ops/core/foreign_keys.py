"""Foreign keys, and the query that counts rows which lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aurora_ops.core.tables import Table, quoted


class ForeignKey(NamedTuple):
    """A foreign key.

    :param name: its name in the schema of the child.
    :param child: table that refers.
    :param columns: columns that refer.
    :param parent: table that is referred to.
    :param referred: columns that are referred to, in the same order.
    """

    name: str
    child: Table
    columns: tuple[str, ...]
    parent: Table
    referred: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.child.schema}.{self.name}"

    def orphans_sql(self) -> str:
        """Query that counts rows without their parent; a row with NULL in one of the columns refers to nothing."""
        given = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column in self.columns)
        same = " AND ".join(
            f"p.{quoted(there)} = c.{quoted(here)}" for here, there in zip(self.columns, self.referred, strict=True)
        )
        return (
            f"SELECT COUNT(*) FROM {self.child.sql} AS c WHERE {given} "  # noqa: S608 - names are quoted
            f"AND NOT EXISTS (SELECT 1 FROM {self.parent.sql} AS p WHERE {same})"
        )


def assemble(rows: Iterable[tuple[str, str, str, str, str, str, str]]) -> list[ForeignKey]:
    """Put foreign keys together.

    :param rows: a row for each column: constraint; schema, table and column that refer; schema, table and column referred to;
        those of a constraint in the order of its columns.
    """
    found: dict[tuple[str, str, str], ForeignKey] = {}
    for name, schema, table, column, parent_schema, parent, referred in rows:
        key = (schema, table, name)
        known = found.get(key) or ForeignKey(name, Table(schema, table), (), Table(parent_schema, parent), ())
        found[key] = known._replace(columns=(*known.columns, column), referred=(*known.referred, referred))
    return list(found.values())
