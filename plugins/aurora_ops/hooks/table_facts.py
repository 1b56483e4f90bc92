"""What a server knows of its tables, as the plan of masking wants it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aurora_ops.core.mask_plan import ColumnFacts, IndexFacts, KeyPart, TableFacts
from aurora_ops.core.tables import Table
from aurora_ops.hooks.mysql import MySqlHook

_STATISTICS_EXPIRY = "information_schema_stats_expiry"


def read_table_facts(
    sql: MySqlHook, schemas: Sequence[str], counts: Mapping[Table, int] | None = None
) -> list[TableFacts]:
    """Look up the tables and views of schemas. Changes nothing.

    :param sql: a connection.
    :param schemas: names.
    :param counts: exact numbers of rows where they are known; else the server's estimates.
    :return: one for each table and view, in order of name.
    """
    if sql.rows(f"SHOW VARIABLES LIKE '{_STATISTICS_EXPIRY}'", what="table facts"):
        # MySQL shows sizes that are up to a day old unless it is told not to
        sql.run(f"SET SESSION {_STATISTICS_EXPIRY} = 0", what="table facts")
    return [fact for schema in schemas for fact in _Reader(sql, schema, counts or {}).facts()]


class _Reader:
    """Reads one schema: a query for each kind of fact, none for each table."""

    def __init__(self, sql: MySqlHook, schema: str, counts: Mapping[Table, int]) -> None:
        self.sql = sql
        self.schema = schema
        self.counts = counts

    def facts(self) -> list[TableFacts]:
        """Put together what there is."""
        columns, indexes = self._columns(), self._indexes()
        owned, pointing, triggers = self._foreign_keys(), self._references(), self._triggers()
        found = []
        for name, kind, engine, rows, data, index in self._rows(
            "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH FROM information_schema.TABLES "
            "WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME"
        ):
            table = Table(self.schema, name)
            found.append(
                TableFacts(
                    table=table,
                    rows=self.counts.get(table, int(rows or 0)),
                    columns=tuple(columns[name]),
                    indexes=tuple(indexes[name]),
                    data_bytes=int(data or 0),
                    index_bytes=int(index or 0),
                    engine=engine or "",
                    foreign_keys=tuple(owned[name]),
                    referenced_by=tuple(pointing[name]),
                    triggers=tuple(triggers[name]),
                    is_view=kind.endswith("VIEW"),
                )
            )
        return found

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.sql.rows(query, (self.schema,), what=f"table facts of {self.schema}")

    def _columns(self) -> dict[str, list[ColumnFacts]]:
        found: dict[str, list[ColumnFacts]] = defaultdict(list)
        for table, name, kind, full, length, precision, scale, nullable, extra, expression in self._rows(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, "
            "NUMERIC_SCALE, IS_NULLABLE, EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME, ORDINAL_POSITION"
        ):
            found[table].append(
                ColumnFacts(
                    name=name,
                    type=_text(kind).lower(),
                    length=None if length is None else int(length),
                    precision=None if precision is None else int(precision),
                    scale=int(scale or 0),
                    unsigned="unsigned" in _text(full).lower(),
                    nullable=nullable == "YES",
                    generated=bool(expression),
                    touched="on update" in extra.lower(),
                )
            )
        return found

    def _indexes(self) -> dict[str, list[IndexFacts]]:
        parts: dict[tuple[str, str, bool, str], list[KeyPart]] = defaultdict(list)
        for table, name, non_unique, kind, column, prefix, order in self._rows(
            "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, SUB_PART, COLLATION "
            "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        ):
            parts[table, name, not int(non_unique), kind].append(KeyPart(column, prefix is None and order != "D"))
        found: dict[str, list[IndexFacts]] = defaultdict(list)
        for (table, name, unique, kind), of_index in parts.items():
            found[table].append(IndexFacts(name, unique, tuple(of_index), kind))
        return found

    def _foreign_keys(self) -> dict[str, list[str]]:
        return self._by_table(
            "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS "
            "WHERE TABLE_SCHEMA = %s AND CONSTRAINT_TYPE = 'FOREIGN KEY' ORDER BY 1, 2"
        )

    def _references(self) -> dict[str, list[str]]:
        return self._by_table(
            "SELECT DISTINCT REFERENCED_TABLE_NAME, CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) "
            "FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = %s ORDER BY 1, 2"
        )

    def _triggers(self) -> dict[str, list[str]]:
        return self._by_table(
            "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS "
            "WHERE EVENT_OBJECT_SCHEMA = %s ORDER BY 1, 2"
        )

    def _by_table(self, query: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for table, name in self._rows(query):
            found[table].append(name)
        return found


def _text(value: str | bytes) -> str:
    # MySQL 8 answers some columns of information_schema as bytes
    return value.decode() if isinstance(value, bytes) else value
