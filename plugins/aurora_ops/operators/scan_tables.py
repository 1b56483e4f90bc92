"""Scanning tables: chunk by chunk, with what was counted kept beside the data so that a killed try goes on where it was."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aurora_ops.core import scan
from aurora_ops.core.masking import SCRATCH
from aurora_ops.core.scan import ColumnFacts
from aurora_ops.core.shapes import Shape
from aurora_ops.core.tables import Column, Table, quoted
from aurora_ops.hooks.mysql import MySqlHook

_LEDGER = f"{quoted(SCRATCH)}.scan_progress"
_COLUMNS_A_PASS = 200  # a statement stays well below the servers' packet size
_LOG_EVERY_S = 5.0


@dataclass(frozen=True)
class Job:
    """A table to scan.

    :param walk: the table and how it is walked.
    :param rows: about how many it has.
    :param columns: what to look at, and what to look for in each.
    """

    walk: scan.Walk
    rows: int
    columns: Sequence[tuple[ColumnFacts, Sequence[Shape]]]

    @property
    def asked(self) -> str:
        """What is asked, as a short text: counts of another question are of no use."""
        question = [(facts, [shape.name for shape in shapes]) for facts, shapes in self.columns]
        return hashlib.sha256(repr((question, self.walk.keys)).encode()).hexdigest()[:16]


@dataclass
class Found:
    """What was found in a column.

    :param counts: values that match, by shape.
    :param no_text: values that are no text, which nothing can be found in.
    """

    counts: dict[str, int]
    no_text: int = 0


def prepare(sql: MySqlHook) -> None:
    """Make the ledger where it is not there."""
    sql.run(
        f"CREATE TABLE IF NOT EXISTS {_LEDGER} (table_schema VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, "
        "state LONGTEXT NOT NULL, PRIMARY KEY (table_schema, table_name)) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        what="scan ledger",
    )


def forget(sql: MySqlHook) -> None:
    """Drop the ledger, so that the next try looks anew."""
    sql.run(f"DROP TABLE IF EXISTS {_LEDGER}", what="scan ledger")


def scan_table(sql: MySqlHook, job: Job, chunk_rows: int, log: Callable[..., Any]) -> dict[Column, Found]:
    """Count what looks like personal data in the columns of a table.

    :param sql: a connection.
    :param job: the table.
    :param chunk_rows: rows that are counted at once, where the table has a key to walk by.
    :param log: writes a line of progress: format and arguments.
    :return: each column, with what was found.
    """
    table, walk = job.walk.table, job.walk
    chunked = bool(walk.keys) and job.rows > chunk_rows // 2
    state = _recalled(sql, job)
    found = {facts.column: Found(*state["columns"].get(facts.column.name, ({}, 0))) for facts, _ in job.columns}
    logged_at = time.monotonic()
    if chunked and state["chunks"] and not state["done"]:
        sql.run(walk.start_sql(state["chunks"] * chunk_rows), what=f"scan {table}")
    while not state["done"]:
        first = not state["chunks"]
        last = not chunked or sql.run(walk.next_sql(chunk_rows, first=first), what=f"scan {table}") == 0
        _scan_rows(sql, job, walk.range_sql(first=first, last=last), found)
        state = {"asked": job.asked, "chunks": state["chunks"] + 1, "done": last}
        _remember(sql, table, {**state, "columns": {c.name: (f.counts, f.no_text) for c, f in found.items()}})
        if not last:
            sql.run(walk.advance_sql(), what=f"scan {table}")
            if time.monotonic() - logged_at > _LOG_EVERY_S:
                logged_at = time.monotonic()
                log("%s: %s of about %s rows", table, f"{state['chunks'] * chunk_rows:,}", f"{job.rows:,}")
    return found


def _scan_rows(sql: MySqlHook, job: Job, rows: str, found: dict[Column, Found]) -> None:
    """Count in some rows of a table: one pass for all columns, then a closer look at those with suspects."""
    table = job.walk.table
    for start in range(0, len(job.columns), _COLUMNS_A_PASS):
        part = job.columns[start : start + _COLUMNS_A_PASS]
        answer = sql.rows(scan.count_sql(table, part, rows), what=f"scan {table}")[0]
        for (facts, shapes), counted in zip(part, scan.read_counts(answer), strict=True):
            found[facts.column].no_text += counted.no_text
            if counted.suspects:
                for name, count in _details(sql, facts, shapes, rows, counted.longest).items():
                    counts = found[facts.column].counts
                    counts[name] = counts.get(name, 0) + count


def _details(sql: MySqlHook, facts: ColumnFacts, shapes: Sequence[Shape], rows: str, longest: int) -> dict[str, int]:
    what = f"scan {facts.column}"
    numbers = sql.rows(scan.details_sql(facts, shapes, rows, longest), what=what)[0]
    counts = {shape.name: int(number) for shape, number in zip(shapes, numbers, strict=True)}
    for shape in shapes:
        if counts[shape.name] and shape.check is not None:
            counts[shape.name] = int(sql.rows(scan.verified_sql(facts, shape, rows, longest), what=what)[0][0])
    return {name: count for name, count in counts.items() if count}


def _recalled(sql: MySqlHook, job: Job) -> dict[str, Any]:
    rows = sql.rows(
        f"SELECT state FROM {_LEDGER} WHERE table_schema = %s AND table_name = %s",  # noqa: S608
        job.walk.table,
        what="scan ledger",
    )
    state: dict[str, Any] = json.loads(rows[0][0]) if rows else {}
    if state.get("asked") != job.asked:
        return {"asked": job.asked, "chunks": 0, "done": False, "columns": {}}
    return state


def _remember(sql: MySqlHook, table: Table, state: dict[str, Any]) -> None:
    sql.run(
        f"REPLACE INTO {_LEDGER} (table_schema, table_name, state) VALUES (%s, %s, %s)",  # noqa: S608
        (*table, json.dumps(state)),
        what="scan ledger",
    )
