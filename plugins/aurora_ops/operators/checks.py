"""The checks of a database: each looks, changes nothing, and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from aurora_ops.core import checksums, foreign_keys, masking, scan, sql_script
from aurora_ops.core.baseline import Figures
from aurora_ops.core.checksums import Sum
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError
from aurora_ops.core.tables import Column, Table, quoted
from aurora_ops.core.verification import Finding, Freshness, Suite
from aurora_ops.hooks.mysql import Login, MySqlHook, can_log_in
from aurora_ops.operators.sql import user_tables

_MOMENTS = frozenset({"date", "datetime", "timestamp"})
_LONGEST_DETAIL = 300
_HOUR_S = 3600
Log = Callable[..., Any]


def check_tls(sql: MySqlHook, login: Login, suite: Suite) -> list[Finding]:
    """Prove that the session is encrypted, and that a server which demands it refuses a session that is not.

    :param sql: a connection.
    :param login: who made it.
    :param suite: whether TLS must be demanded.
    """
    if suite.tls == "off":
        return []
    said = dict(
        sql.rows("SHOW SESSION STATUS WHERE Variable_name IN ('Ssl_cipher', 'Ssl_version')", what="read the cipher")
    )
    cipher = str(said.get("Ssl_cipher") or "")
    known = "certificate checked" if login.tls_ca else "certificate not checked: no tls_ca is given"
    findings = [
        Finding(
            "tls",
            "session is encrypted",
            bool(cipher),
            f"{said.get('Ssl_version')}, {cipher}, {known}" if cipher else "it is not",
        )
    ]
    demanded = dict(sql.rows("SHOW VARIABLES LIKE 'require_secure_transport'", what="read variables"))
    demands = str(demanded.get("require_secure_transport", "OFF")).upper() in ("ON", "1")
    if demands or suite.tls == "demanded":
        refused = not can_log_in(replace(login, plain=True))
        detail = (
            "refused"
            if refused
            else f"{login.user} is let in; require_secure_transport is {'ON' if demands else 'OFF'}"
        )
        findings.append(Finding("tls", "session without TLS is refused", refused, detail))
    return findings


def check_tables(suite: Suite, counts: dict[Table, int]) -> list[Finding]:
    """See that each schema has a table, and each table that the suite names is there with the rows it must have.

    :param suite: names them.
    :param counts: tables of its schemas, with their rows.
    """
    findings = []
    for schema in suite.schemas:
        tables = sum(table.schema == schema for table in counts)
        findings.append(
            Finding("tables", f"tables of {schema}", bool(tables), f"{tables}" if tables else "there are none")
        )
    findings += [
        Finding("tables", f"table {table}", False, "is missing") for table in suite.tables if table not in counts
    ]
    for name, least in suite.rows.minimum.items():
        if (found := counts.get(Table.parse(name, "minimum"))) is not None:
            findings.append(Finding("rows", f"least rows of {name}", found >= least, f"{found} rows, {least} at least"))
    return findings


def check_freshness(sql: MySqlHook, wanted: Sequence[Freshness], moment: datetime) -> list[Finding]:
    """See how old the newest value of each column was at a moment.

    :param sql: a connection.
    :param wanted: columns with the age that is allowed.
    :param moment: when the data was copied.
    """
    findings = []
    for each in wanted:
        column = Column.parse(each.column, "freshness")
        name = f"newest {each.column}"
        kinds = dict(read_columns(sql, column.table))
        if kinds.get(column.name) not in _MOMENTS:
            said = f"its type is {kinds[column.name]}" if column.name in kinds else "there is no such column"
            findings.append(Finding("freshness", name, False, f"{said}; name one of date, datetime or timestamp"))
            continue
        newest = f"MAX({quoted(column.name)})"
        age_s = sql.rows(
            f"SELECT TIMESTAMPDIFF(SECOND, {newest}, %s) FROM {column.table.sql}",  # noqa: S608 - names are quoted
            (moment.strftime("%Y-%m-%d %H:%M:%S"),),
            what=f"freshness of {each.column}",
        )[0][0]
        if age_s is None:
            findings.append(Finding("freshness", name, False, "there is no value"))
        else:
            age_h = int(age_s) / _HOUR_S
            findings.append(
                Finding("freshness", name, age_h <= each.max_age_h, f"{age_h:.1f} h old, {each.max_age_h:g} h at most")
            )
    return findings


def check_foreign_keys(sql: MySqlHook, suite: Suite) -> list[Finding]:
    """See that no row of the suite's schemas refers to one that is not there; what refers to what is asked of the server."""
    if not suite.foreign_keys:
        return []
    there = set(user_tables(sql))
    findings = []
    for key in _foreign_keys(sql, suite.schemas):
        if str(key) in suite.ignore_foreign_keys:
            continue
        name = f"foreign key {key} of {key.child.name}"
        if key.parent not in there:
            findings.append(Finding("foreign key", name, False, f"table {key.parent} is missing"))
            continue
        orphans = int(sql.rows(key.orphans_sql(), what=f"foreign key {key}")[0][0])
        findings.append(Finding("foreign key", name, not orphans, f"{orphans} rows without {key.parent}"))
    if not findings:
        findings.append(
            Finding(
                "foreign key", "foreign keys", False, "there are none, so nothing was checked; say foreign_keys: false"
            )
        )
    return findings


def run_queries(sql: MySqlHook, folders: Sequence[str]) -> list[Finding]:
    """Run the validation queries, which return rows of name, ok, detail.

    :param sql: a connection.
    :param folders: folders of SQL files; the name of each is its schema.
    :raises ConfigError: a folder has no query, or one returns something else.
    """
    findings = []
    for folder in map(Path, folders):
        for path in masking.scripts(folder):
            where = f"{folder.name}/{path.name}"
            for statement in sql_script.load(path):
                try:
                    sql.run(f"USE {quoted(folder.name)}", what=f"schema {folder.name}")
                    rows = sql.rows(statement.text, what=f"{where}:{statement.line}")
                except PermanentError as exc:
                    findings.append(Finding("query", where, False, str(exc)))
                    continue
                findings += [_answered(row, f"{where}:{statement.line}") for row in rows]
                if not rows:
                    findings.append(Finding("query", where, False, "the query returned no row: nothing was checked"))
    return findings


def _answered(row: Sequence[Any], where: str) -> Finding:
    try:
        name, passed, detail = row
    except ValueError:
        raise ConfigError(where, len(row), "a row has three columns: name, ok, detail") from None
    return Finding("query", str(name), bool(passed), str(detail or "")[:_LONGEST_DETAIL])


def sum_table(
    sql: MySqlHook, table: Table, keys: Mapping[Table, tuple[int, list[str]]], chunk_rows: int, log: Log
) -> Figures:
    """Make the checksum of a table on the server, chunk by chunk along its primary key where it has one to walk by.

    :param sql: a connection, prepared by ``prepare_session``.
    :param table: the table.
    :param keys: of the server's tables, from ``read_keys``.
    :param chunk_rows: rows that are read at once.
    :param log: writes a line of progress: format and arguments.
    :raises MissingError: there is no such table.
    """
    columns = read_columns(sql, table)
    if not columns or table not in keys:
        raise MissingError(
            f"there is no table {table}; take it out of the suite's checksums, or look why it is missing"
        )
    kinds, (rows, key) = dict(columns), keys[table]
    walk = scan.walk(table, [(name, kinds[name]) for name in key])
    chunked, what = bool(walk.keys) and rows > chunk_rows // 2, f"checksum of {table}"
    found, first, last = Sum(), True, False
    while not last:
        last = not chunked or sql.run(walk.next_sql(chunk_rows, first=first), what=what) == 0
        part = sql.rows(checksums.sum_sql(table, columns, walk.range_sql(first=first, last=last)), what=what)[0]
        found, first = found.plus(int(part[0]), int(part[1] or 0)), False
        if not last:
            sql.run(walk.advance_sql(), what=what)
            log("%s: %s of about %s rows", what, f"{found.rows:,}", f"{rows:,}")
    return Figures(rows=found.rows, checksum=checksums.checksum(table, found), columns=[name for name, _ in columns])


def prepare_session(sql: MySqlHook) -> None:
    """Make times read the same everywhere: moments are stored as UTC and shown in the session's zone."""
    sql.run("SET SESSION time_zone = '+00:00'", what="session")


def read_columns(sql: MySqlHook, table: Table) -> list[tuple[str, str]]:
    """List the columns of a table with their types, in order; nothing where there is no such table."""
    return [
        (name, str(kind).lower())
        for name, kind in sql.rows(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
            "ORDER BY ORDINAL_POSITION",
            table,
            what=f"columns of {table}",
        )
    ]


def _foreign_keys(sql: MySqlHook, schemas: Sequence[str]) -> list[foreign_keys.ForeignKey]:
    marks = ", ".join(["%s"] * len(schemas))
    return foreign_keys.assemble(
        sql.rows(
            "SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, "  # noqa: S608
            "REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE "
            f"WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA IN ({marks}) "
            "ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
            list(schemas),
            what="list foreign keys",
        )
    )
