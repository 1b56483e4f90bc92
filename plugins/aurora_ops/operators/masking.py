"""Proof of masking: originals remembered as digests before, none of them found again after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from aurora_ops.core import masking
from aurora_ops.core.errors import ConfigError, VerificationError, report
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.tables import Column, quoted
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.sql import SqlOperator, count_rows, user_tables

_SCRATCH = quoted(masking.SCRATCH)


class MaskingOperator(SqlOperator):
    """What the steps of masking share: the salt in the session, and the scratch schema.

    :param run_key: names the run; part of the salt (templated).
    """

    template_fields: Sequence[str] = (*SqlOperator.template_fields, "run_key")

    def __init__(self, *, run_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Refuse a cluster that is not for refreshing, prepare the session, do the step."""
        require_refreshable(self.cluster_id, cluster.tags)
        login = self.master(cluster)
        with self.connect(login) as sql:
            self._prepare(sql, login)
            return self.step(sql)

    def step(self, sql: MySqlHook) -> Result:
        """Do the step in a prepared session."""
        raise NotImplementedError

    def _prepare(self, sql: MySqlHook, login: Login) -> None:
        sql.run(f"SET {masking.SALT_VARIABLE} = %s", (masking.salt(login.password, self.run_key),), what="salt")
        sql.run(f"CREATE DATABASE IF NOT EXISTS {_SCRATCH}", what="scratch schema")
        sql.run(
            f"CREATE TABLE IF NOT EXISTS {_SCRATCH}.progress "
            "(step VARCHAR(255) CHARACTER SET ascii NOT NULL PRIMARY KEY, done_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
            what="scratch schema",
        )

    @staticmethod
    def done(sql: MySqlHook) -> set[str]:
        """List the steps that an earlier try has finished."""
        return {name for (name,) in sql.rows(f"SELECT step FROM {_SCRATCH}.progress", what="progress")}  # noqa: S608

    @staticmethod
    def mark(sql: MySqlHook, step: str) -> None:
        """Note a step as finished."""
        sql.run(f"INSERT IGNORE INTO {_SCRATCH}.progress (step) VALUES (%s)", (step,), what="progress")  # noqa: S608


class FingerprintColumnsOperator(MaskingOperator):
    """Remember the originals of sensitive columns as salted digests, and how many rows each table has.

    Runs before masking. What an earlier try has finished is left as it is: after masking has begun it could not be made again.

    :param columns: ``schema.table.column`` names (templated).
    :return: ``{"columns": count, "tables": count, "rows": count}``.
    :raises PermanentError: columns that do not exist, all named.
    :raises VerificationError: the cluster has no tables at all.
    """

    template_fields: Sequence[str] = (*MaskingOperator.template_fields, "columns")

    def __init__(self, *, columns: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    def step(self, sql: MySqlHook) -> Result:
        """Store digests and row counts."""
        columns = [Column.parse(name, "columns") for name in self.columns]
        report([*missing_columns(sql, columns, "columns")])
        tables = user_tables(sql)
        if not tables:
            raise VerificationError(f"cluster {self.cluster_id} has no tables; the snapshot is empty or the wrong one")
        done = self.done(sql)
        for number, column in enumerate(columns):
            if (step := f"original:{number:04d}") in done:
                continue
            for statement in masking.fingerprint_sql(column, number):
                sql.run(statement, what=f"fingerprint {column}")
            self.mark(sql, step)
        if "row_counts" not in done:
            self._count(sql, tables)
        total = sql.rows(f"SELECT COALESCE(SUM(row_count), 0) FROM {_SCRATCH}.row_counts", what="row counts")[0][0]  # noqa: S608
        return {"columns": len(columns), "tables": len(tables), "rows": int(total)}

    def _count(self, sql: MySqlHook, tables: list[tuple[str, str]]) -> None:
        sql.run(f"DROP TABLE IF EXISTS {_SCRATCH}.row_counts", what="row counts")
        sql.run(
            f"CREATE TABLE {_SCRATCH}.row_counts (table_schema VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, "
            "row_count BIGINT NOT NULL, PRIMARY KEY (table_schema, table_name)) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            what="row counts",
        )
        rows = [(schema, name, count) for (schema, name), count in count_rows(sql, tables).items()]
        sql.run_many(f"INSERT INTO {_SCRATCH}.row_counts VALUES (%s, %s, %s)", rows, what="row counts")  # noqa: S608
        self.mark(sql, "row_counts")


class ProveMaskOperator(MaskingOperator):
    """Prove that no original value of a sensitive column is left in it.

    Compares digests on the server, so that no value leaves it, then drops them. Fails before anything serves users.

    :param columns: ``schema.table.column`` names, as they were remembered (templated).
    :return: ``{"columns": {name: distinct originals}, "survivors": 0}``.
    :raises VerificationError: values survived; each column is named with their number, never with a value.
    """

    template_fields: Sequence[str] = (*MaskingOperator.template_fields, "columns")

    def __init__(self, *, columns: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns = columns

    def step(self, sql: MySqlHook) -> Result:
        """Compare; fail or clear away."""
        if "proved" in self.done(sql):
            return {"columns": {}, "survivors": 0}
        originals: dict[str, int] = {}
        survivors: dict[str, int] = {}
        for number, name in enumerate(self.columns):
            column = Column.parse(name, "columns")
            total, left = sql.rows(masking.survivors_sql(column, number), what=f"prove {column}")[0]
            originals[name] = int(total)
            if left:
                survivors[name] = int(left)
        if survivors:
            found = ", ".join(f"{name} ({count} of {originals[name]})" for name, count in sorted(survivors.items()))
            raise VerificationError(
                f"original values survived masking: {found}; mend include/sql/masking and run again"
            )
        for number in range(len(self.columns)):
            sql.run(f"DROP TABLE {_SCRATCH}.{quoted(f'original_{number:04d}')}", what="clear digests")
        self.mark(sql, "proved")
        return {"columns": originals, "survivors": 0}


def missing_columns(sql: MySqlHook, columns: list[Column], field: str) -> list[ConfigError]:
    """Find which columns do not exist, and say which ones their tables have."""
    problems = []
    for table in sorted({column.table for column in columns}):
        known = {
            name
            for (name,) in sql.rows(
                "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                (table.schema, table.name),
                what=f"describe {table}",
            )
        }
        for column in columns:
            if column.table == table and column.name not in known:
                allowed = f"columns of {table} are {sorted(known)}" if known else f"there is no table {table}"
                problems.append(ConfigError(field, str(column), allowed))
    return problems
