"""The ledger of masking: what of each table is done, kept beside the data so that a killed try goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from aurora_ops.core.errors import BusyError, StateError
from aurora_ops.core.mask_plan import TablePlan
from aurora_ops.core.masking import SCRATCH
from aurora_ops.core.tables import Table, quoted
from aurora_ops.hooks.mysql import MySqlHook

_TABLES = f"{quoted(SCRATCH)}.mask_tables"
_CHUNKS = f"{quoted(SCRATCH)}.mask_chunks"
# A killed client's statement goes on in the server; the longest is building indexes.
_LOCK_WAIT_S = 3600
BEGUN, BUILT, DONE = "begun", "built", "done"


@dataclass(frozen=True)
class Entry:
    """A table in the ledger.

    :param number: names its copy.
    :param plan: how it is masked; once begun, technique and ranges stay, whatever the plan would be now.
    :param chunk_rows: rows of a range.
    :param indexes: definitions of the indexes that are built last.
    :param state: ``begun``, ``built`` (the copy is complete) or ``done``.
    :param chunks: number of each range that is done, to its rows.
    """

    number: int
    plan: TablePlan
    chunk_rows: int
    indexes: tuple[str, ...]
    state: str
    chunks: dict[int, int]

    @property
    def copy(self) -> Table:
        """The copy that will take the table's place."""
        return Table(SCRATCH, f"new_{self.number:05d}")

    @property
    def former(self) -> Table:
        """The table itself, once the copy has taken its place; dropped at once."""
        return Table(SCRATCH, f"old_{self.number:05d}")


def prepare(sql: MySqlHook) -> None:
    """Make the ledger's tables where they are not there."""
    names = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    sql.run(
        f"CREATE TABLE IF NOT EXISTS {_TABLES} (number INT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
        "table_schema VARCHAR(64) NOT NULL, table_name VARCHAR(64) NOT NULL, plan LONGTEXT NOT NULL, "
        f"state VARCHAR(10) NOT NULL, UNIQUE KEY (table_schema, table_name)) {names}",
        what="ledger",
    )
    sql.run(
        f"CREATE TABLE IF NOT EXISTS {_CHUNKS} (number INT NOT NULL, chunk INT NOT NULL, "
        "rows_done BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (number, chunk))",
        what="ledger",
    )


def enter(sql: MySqlHook, plan: TablePlan, chunk_rows: int, indexes: tuple[str, ...]) -> Entry:
    """Enter a table, or find what an earlier try has entered.

    :raises StateError: its rules are others than when it was begun.
    """
    rules = hashlib.sha256(repr(sorted(plan.masked)).encode()).hexdigest()
    content = {
        "technique": plan.technique,
        "key": plan.key,
        "walked": plan.walked,
        "chunk_rows": chunk_rows,
        "indexes": indexes,
        "rules": rules,
    }
    sql.run(
        f"INSERT IGNORE INTO {_TABLES} (table_schema, table_name, plan, state) VALUES (%s, %s, %s, %s)",  # noqa: S608
        (*plan.table, json.dumps(content), BEGUN),
        what="ledger",
    )
    number, text, state = sql.rows(
        f"SELECT number, plan, state FROM {_TABLES} WHERE table_schema = %s AND table_name = %s",  # noqa: S608
        plan.table,
        what="ledger",
    )[0]
    stored: dict[str, Any] = json.loads(text)
    if stored["rules"] != rules:
        raise StateError(
            f"the rules of {plan.table} were changed after its masking was begun; start a new run of the refresh"
        )
    chunks = sql.rows(f"SELECT chunk, rows_done FROM {_CHUNKS} WHERE number = %s", (number,), what="ledger")  # noqa: S608
    return Entry(
        number=int(number),
        plan=replace(plan, technique=stored["technique"], key=tuple(stored["key"]), walked=stored["walked"]),
        chunk_rows=int(stored["chunk_rows"]),
        indexes=tuple(stored["indexes"]),
        state=str(state),
        chunks={int(chunk): int(rows) for chunk, rows in chunks},
    )


def claim(sql: MySqlHook, entry: Entry, chunk: int) -> bool:
    """Note a range as done, first thing in the transaction that does it; whether it was not yet.

    A killed try may still be at it in the server: then this waits until that is undone, or finds it done.
    """
    note = f"INSERT IGNORE INTO {_CHUNKS} (number, chunk) VALUES (%s, %s)"  # noqa: S608
    return sql.run(note, (entry.number, chunk), what="ledger") == 1


def count(sql: MySqlHook, entry: Entry, chunk: int, rows: int) -> None:
    """Note how many rows a range had."""
    sql.run(
        f"UPDATE {_CHUNKS} SET rows_done = %s WHERE number = %s AND chunk = %s",  # noqa: S608
        (rows, entry.number, chunk),
        what="ledger",
    )


def state(sql: MySqlHook, entry: Entry) -> str:
    """Look up how far a table is."""
    return str(sql.rows(f"SELECT state FROM {_TABLES} WHERE number = %s", (entry.number,), what="ledger")[0][0])  # noqa: S608


def reach(sql: MySqlHook, entry: Entry, reached: str) -> None:
    """Note how far a table is."""
    sql.run(f"UPDATE {_TABLES} SET state = %s WHERE number = %s", (reached, entry.number), what="ledger")  # noqa: S608


def rows_done(sql: MySqlHook, entry: Entry) -> int:
    """Add up the rows of a table's ranges."""
    query = f"SELECT COALESCE(SUM(rows_done), 0) FROM {_CHUNKS} WHERE number = %s"  # noqa: S608
    return int(sql.rows(query, (entry.number,), what="ledger")[0][0])


@contextmanager
def alone(sql: MySqlHook, entry: Entry) -> Iterator[None]:
    """Keep others from a table's definition for the time of a block.

    A killed client's ``ALTER TABLE`` goes on in the server, and its lock with it; this waits for its end.

    :raises BusyError: it did not end within an hour.
    """
    name = f"aurora_ops_mask_{entry.number}"
    if sql.rows("SELECT GET_LOCK(%s, %s)", (name, _LOCK_WAIT_S), what="ledger")[0][0] != 1:
        raise BusyError(f"an earlier try still works on {entry.plan.table}; it is waited for on the next try")
    try:
        yield
    finally:
        sql.rows("SELECT RELEASE_LOCK(%s)", (name,), what="ledger")
