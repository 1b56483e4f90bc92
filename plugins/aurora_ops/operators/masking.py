"""Proof of masking: originals remembered as digests before, none of them found again after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from aurora_ops.core import mask_rules, masking, proof
from aurora_ops.core.errors import ConfigError, VerificationError, report
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.tables import Column, Table, quoted
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.sessions import lock_changed_rows_only, set_salt, spread
from aurora_ops.operators.sql import SqlOperator, count_rows, read_columns, read_keys, user_tables

_SCRATCH = quoted(masking.SCRATCH)
_TARGETS = f"{_SCRATCH}.proof_targets"


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
        set_salt(sql, masking.salt(login.password, self.run_key))
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


class ProofOperator(MaskingOperator):
    """What remembering and proving share: connections with the salt, and the list of what is proven.

    :param connections: how many connections work at the same time.
    """

    def __init__(self, *, connections: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connections = connections

    def master(self, cluster: Cluster) -> Login:
        """Find the login once, and keep it for further connections."""
        self._login = super().master(cluster)
        return self._login

    def connection(self) -> MySqlHook:
        """Open one more connection, prepared for proof."""
        sql = MySqlHook(self._login)
        set_salt(sql, masking.salt(self._login.password, self.run_key))
        # for the scratch tables only: nothing is referred to in them, and nothing in them is unique
        sql.run("SET SESSION unique_checks = 0, foreign_key_checks = 0", what="session")
        lock_changed_rows_only(sql)
        return sql

    @staticmethod
    def targets(sql: MySqlHook) -> list[proof.Target]:
        """Read what is to be proven, as it was noted before masking."""
        rows = sql.rows(
            f"SELECT label, table_schema, table_name, value, digest, how FROM {_TARGETS} ORDER BY number",  # noqa: S608
            what="targets",
        )
        return [
            proof.Target(label, Table(schema, table), value, digest, how)
            for label, schema, table, value, digest, how in rows
        ]


class FingerprintColumnsOperator(ProofOperator):
    """Remember the originals of sensitive columns as salted digests, and how many rows each table has.

    Runs before masking. What an earlier try has finished is left as it is: after masking has begun it could not be made again.
    What is to be proven is noted beside the digests, so that the proof proves what was remembered, whatever the files say then.

    :param folders: folders of masking rules; the name of each is its schema.
    :param columns: ``schema.table.column`` names that are proven beside the rules (templated).
    :return: ``{"columns": count of what is proven, "tables": count, "rows": count}``.
    :raises PermanentError: columns that do not exist, all named.
    :raises VerificationError: the cluster has no tables at all.
    """

    template_fields: Sequence[str] = (*ProofOperator.template_fields, "columns")

    def __init__(self, *, folders: list[str], columns: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folders = folders
        self.columns = columns

    def step(self, sql: MySqlHook) -> Result:
        """Store digests and row counts."""
        done = self.done(sql)
        if "targets" not in done:
            self._note_targets(sql)
        tables = user_tables(sql)
        if not tables:
            raise VerificationError(f"cluster {self.cluster_id} has no tables; the snapshot is empty or the wrong one")
        targets = self.targets(sql)
        missing = [n for n in range(len(targets)) if f"original:{n:05d}" not in done]
        with self.timing.span("sql", "remember originals"):
            spread(self.connection, self.connections, missing, lambda hook, n: self._remember(hook, targets[n], n))
        if "row_counts" not in done:
            self._count(sql, tables)
        total = sql.rows(f"SELECT COALESCE(SUM(row_count), 0) FROM {_SCRATCH}.row_counts", what="row counts")[0][0]  # noqa: S608
        return {"columns": len(targets), "tables": len(tables), "rows": int(total)}

    def _note_targets(self, sql: MySqlHook) -> None:
        rules = [rule for folder in self.folders for rule in mask_rules.read_rules(Path(folder))]
        columns = [Column.parse(name, "columns") for name in self.columns]
        report([*missing_columns(sql, list(dict.fromkeys([*(rule.column for rule in rules), *columns])), "columns")])
        types = {facts.column: facts.data_type for facts, _ in read_columns(sql)}
        keys = {table: key for table, (_, key) in read_keys(sql).items()}
        found = proof.targets(rules, columns, types, keys)
        sql.run(f"DROP TABLE IF EXISTS {_TARGETS}", what="targets")
        sql.run(
            f"CREATE TABLE {_TARGETS} (number INT NOT NULL PRIMARY KEY, label TEXT NOT NULL, table_schema VARCHAR(64) NOT NULL, "
            "table_name VARCHAR(64) NOT NULL, value TEXT NOT NULL, digest TEXT NOT NULL, how VARCHAR(10) NOT NULL, "
            "remembered BIGINT NOT NULL DEFAULT 0) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            what="targets",
        )
        rows = [(n, t.label, *t.table, t.value, t.digest, t.how) for n, t in enumerate(found)]
        names = "number, label, table_schema, table_name, value, digest, how"
        sql.run_many(f"INSERT INTO {_TARGETS} ({names}) VALUES (%s, %s, %s, %s, %s, %s, %s)", rows, what="targets")  # noqa: S608
        self.mark(sql, "targets")

    def _remember(self, sql: MySqlHook, target: proof.Target, number: int) -> None:
        drop, create, fill, index = proof.remember_sql(target, number)
        what = f"remember {target.label}"
        sql.run(drop, what=what)
        sql.run(create, what=what)
        count = sql.run(fill, what=what)
        sql.run(index, what=what)
        sql.run(f"UPDATE {_TARGETS} SET remembered = %s WHERE number = %s", (count, number), what=what)  # noqa: S608
        self.mark(sql, f"original:{number:05d}")
        self.log.info("%s: %s values remembered, by %s", target.label, f"{count:,}", target.how)

    def _count(self, sql: MySqlHook, tables: list[Table]) -> None:
        sql.run(f"DROP TABLE IF EXISTS {_SCRATCH}.row_counts", what="row counts")
        sql.run(
            f"CREATE TABLE {_SCRATCH}.row_counts (table_schema VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, "
            "row_count BIGINT NOT NULL, PRIMARY KEY (table_schema, table_name)) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            what="row counts",
        )
        rows = [(schema, name, count) for (schema, name), count in count_rows(sql, tables).items()]
        sql.run_many(f"INSERT INTO {_SCRATCH}.row_counts VALUES (%s, %s, %s)", rows, what="row counts")  # noqa: S608
        self.mark(sql, "row_counts")


class ProveMaskOperator(ProofOperator):
    """Prove that no original value of a sensitive column is left in it, or, where rows are proven, that no row keeps its own.

    Compares digests on the server, so that no value leaves it, then drops them. Fails before anything serves users.

    :return: ``{"columns": {name: values remembered}, "survivors": 0}``.
    :raises VerificationError: values survived; each column is named with their number, never with a value.
    """

    def step(self, sql: MySqlHook) -> Result:
        """Compare; fail or clear away."""
        done = self.done(sql)
        rows = sql.rows(f"SELECT label, remembered FROM {_TARGETS} ORDER BY number", what="targets")  # noqa: S608
        remembered = {label: int(count) for label, count in rows}
        if "proved" in done:
            return {"columns": remembered, "survivors": 0}
        targets = self.targets(sql)
        missing = [n for n in range(len(targets)) if f"proved:{n:05d}" not in done]
        with self.timing.span("sql", "prove mask"):
            answers = spread(
                self.connection, self.connections, missing, lambda hook, n: self._left(hook, targets[n], n)
            )
        if survivors := [answer for answer in answers if answer]:
            raise VerificationError(
                f"original values survived masking: {', '.join(sorted(survivors))}; mend include/sql/masking and run again"
            )
        for number in range(len(targets)):
            sql.run(f"DROP TABLE IF EXISTS {proof.originals(number)}", what="clear digests")
        self.mark(sql, "proved")
        return {"columns": remembered, "survivors": 0}

    def _left(self, sql: MySqlHook, target: proof.Target, number: int) -> str | None:
        """Say what is left of a target's originals; ``None`` if nothing is."""
        what = f"prove {target.label}"
        if not sql.rows(proof.any_left_sql(target, number), what=what):
            self.mark(sql, f"proved:{number:05d}")
            self.log.info("%s: no original is left", target.label)
            return None
        total, left = sql.rows(proof.survivors_sql(target, number), what=what)[0]
        return f"{target.label} ({left} of {total}{' rows' if target.how == 'rows' else ''})"


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
