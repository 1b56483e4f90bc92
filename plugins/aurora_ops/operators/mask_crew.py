"""Masking tables on several connections at once: ranges as transactions, copies swapped in, every step in the ledger."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from aurora_ops.core import mask_sql
from aurora_ops.core.errors import VerificationError
from aurora_ops.core.mask_plan import TablePlan
from aurora_ops.core.masking import SCRATCH
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.operators import mask_ledger
from aurora_ops.operators.mask_ledger import Entry
from aurora_ops.operators.sessions import lock_changed_rows_only, set_salt

_LOG_EVERY_S = 5
_LOCK_WAIT_S = 600
# Rows are copied as they are: zero dates stay, an id of 0 stays; a fake that does not fit is an error.
_SQL_MODE = "STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"
# Of MySQL 8: how much memory and how many threads build indexes.
_INDEX_BUILDING = {"innodb_ddl_buffer_size": 128 * 2**20, "innodb_ddl_threads": 4, "innodb_parallel_read_threads": 4}

Range = tuple[int, mask_sql.Bound, mask_sql.Bound]


@dataclass
class _Job:
    """A table at work."""

    entry: Entry
    rows_done: int
    chunks_done: int
    at_work: int = 0
    given_out: bool = False
    rows_now: int = 0
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Finished:
    """What was done to a table in this try."""

    plan: TablePlan
    rows: int
    seconds: float


def mask_session(sql: MySqlHook, salt: str) -> None:
    """Prepare a session for masking: the salt, no checks that cannot fail here, locks of the rows it changes only."""
    set_salt(sql, salt)
    # in another zone an hour comes twice in autumn, and a shared salt would make other fakes of the same TIMESTAMP
    sql.run(f"SET SESSION sql_mode = '{_SQL_MODE}', foreign_key_checks = 0, time_zone = '+00:00'", what="session")
    sql.run(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_WAIT_S}", what="session")
    lock_changed_rows_only(sql)
    names = ", ".join(f"'{name}'" for name in _INDEX_BUILDING)
    for name, _ in sql.rows(f"SHOW VARIABLES WHERE Variable_name IN ({names})", what="session"):
        sql.run(f"SET SESSION {name} = {_INDEX_BUILDING[name]}", what="session")


class Crew:
    """Connections that mask tables together.

    :param connect: opens a connection.
    :param salt: keys the fakes.
    :param connections: how many work at once; one more plans.
    :param chunk_rows: rows of a range.
    :param log: writes a line of progress: format and arguments.
    """

    def __init__(
        self,
        connect: Callable[[], MySqlHook],
        *,
        salt: str,
        connections: int,
        chunk_rows: int,
        log: Callable[..., Any],
    ) -> None:
        self._connect = connect
        self._salt = salt
        self._connections = connections
        self._chunk_rows = chunk_rows
        self._log = log
        self._idle: queue.SimpleQueue[MySqlHook] = queue.SimpleQueue()
        self._running: dict[Future[int], tuple[_Job, bool]] = {}
        self._finished: list[Finished] = []
        self._logged_at = time.monotonic()

    def mask(self, plans: Sequence[TablePlan]) -> list[Finished]:
        """Mask tables; those that an earlier try has finished are left as they are.

        :param plans: in the order in which they are begun.
        :return: what was finished now.
        :raises VerificationError: a copy has not as many rows as the table.
        """
        with ExitStack() as stack:
            sql = self._session(stack)  # reads the ledger and finds ranges
            mask_ledger.prepare(sql)
            for _ in range(self._connections):
                self._idle.put(self._session(stack))
            pool = ThreadPoolExecutor(self._connections, thread_name_prefix="mask")
            # entered last, so left first: connections are closed when nothing works on them any more
            stack.callback(pool.shutdown, cancel_futures=True)
            for plan in plans:
                if plan.technique != "skip":
                    self._begin(sql, pool, plan)
                    self._settle(pool, 0 if plan.fires else None)
            self._settle(pool, 0)
        return self._finished

    def _session(self, stack: ExitStack) -> MySqlHook:
        hook = stack.enter_context(self._connect())
        mask_session(hook, self._salt)
        return hook

    def _begin(self, sql: MySqlHook, pool: ThreadPoolExecutor, plan: TablePlan) -> None:
        """Give out what is left to do of a table."""
        indexes = _copy_of(sql, plan, plan.table.sql).indexes if plan.technique == "rebuild" else ()
        entry = mask_ledger.enter(sql, plan, self._chunk_rows, indexes)
        if entry.state == mask_ledger.DONE:
            return
        job = _Job(entry, rows_done=sum(entry.chunks.values()), chunks_done=len(entry.chunks))
        if entry.state == mask_ledger.BEGUN:
            if entry.plan.technique == "rebuild":
                create = _copy_of(sql, plan, entry.copy.sql).create
                sql.run(create, what=f"copy of {plan.table}")
            for chunk in _ranges(sql, entry):
                if chunk[0] not in entry.chunks:
                    self._start(pool, job, chunk)
                    self._settle(pool, 2 * self._connections)
        job.given_out = True
        self._finish_if_ready(pool, job)

    def _start(self, pool: ThreadPoolExecutor, job: _Job, chunk: Range) -> None:
        job.at_work += 1
        self._running[pool.submit(self._with_connection, _mask_range, job.entry, chunk)] = (job, False)

    def _finish_if_ready(self, pool: ThreadPoolExecutor, job: _Job) -> None:
        if job.given_out and not job.at_work:
            self._running[pool.submit(self._with_connection, _finish, job.entry, None)] = (job, True)

    def _with_connection(
        self, work: Callable[[MySqlHook, Entry, Range | None], int], entry: Entry, chunk: Range | None
    ) -> int:
        hook = self._idle.get()
        try:
            return work(hook, entry, chunk)
        finally:
            self._idle.put(hook)

    def _settle(self, pool: ThreadPoolExecutor, most: int | None) -> None:
        """Wait until at most so many pieces of work are left; raise what went wrong."""
        while self._running and (most is None or len(self._running) > most):
            done, _ = wait(self._running, timeout=0 if most is None else None, return_when=FIRST_COMPLETED)
            for future in done:
                job, last = self._running.pop(future)
                rows = future.result()
                if last:
                    self._note_finished(job)
                    continue
                job.at_work -= 1
                job.rows_now += rows
                job.chunks_done += 1
                self._progress(job)
                self._finish_if_ready(pool, job)
            if most is None:
                return

    def _note_finished(self, job: _Job) -> None:
        seconds = time.monotonic() - job.started
        self._finished.append(Finished(job.entry.plan, job.rows_now, seconds))
        self._log(
            "%s: done, %s, %s rows in %.1f s", job.entry.plan.table, job.entry.plan.technique, job.rows_now, seconds
        )

    def _progress(self, job: _Job) -> None:
        now = time.monotonic()
        if now - self._logged_at < _LOG_EVERY_S:
            return
        self._logged_at = now
        plan, done = job.entry.plan, job.rows_done + job.rows_now
        rate = job.rows_now / (now - job.started)
        left = max(0, plan.rows - done) / rate if rate else 0
        chunks = max(job.chunks_done, math.ceil(plan.rows / job.entry.chunk_rows)) if plan.key else 1
        self._log(
            "%s: chunk %d of %d, %s of %s rows, %s rows/s, %d s left",
            plan.table,
            job.chunks_done,
            chunks,
            f"{done:,}",
            f"{plan.rows:,}",
            f"{rate:,.0f}",
            left,
        )


def _copy_of(sql: MySqlHook, plan: TablePlan, name: str) -> mask_sql.Copy:
    shown = sql.rows(f"SHOW CREATE TABLE {plan.table.sql}", what=f"describe {plan.table}")[0][1]
    return mask_sql.empty_copy(shown, name)


def _ranges(sql: MySqlHook, entry: Entry) -> Iterator[Range]:
    """Cut a table into ranges of its key, the last one open: number, bound before, bound up to.

    The same on every try: a key is never changed while it is walked.
    """
    number = 0
    after: mask_sql.Bound = ()
    while entry.plan.key:
        query, args = mask_sql.next_bound(entry.plan, after, entry.chunk_rows)
        found = sql.rows(query, args or None, what=f"range of {entry.plan.table}")
        if not found:
            break
        yield number, after, found[0]
        number, after = number + 1, found[0]
    yield number, after, ()


def _mask_range(sql: MySqlHook, entry: Entry, chunk: Range | None) -> int:
    """Mask a range and note it, in one transaction."""
    assert chunk is not None  # noqa: S101 - see _with_connection
    number, after, until = chunk
    plan = entry.plan
    if plan.technique == "rebuild":
        statement, args = mask_sql.copy_rows(plan, entry.copy.sql, after, until)
    else:
        statement, args = mask_sql.update_rows(plan, after, until)
    with sql.transaction():
        if not mask_ledger.claim(sql, entry, number):
            return 0
        rows = sql.run(statement, args or None, what=f"mask {plan.table}")
        mask_ledger.count(sql, entry, number, rows)
    return rows


def _finish(sql: MySqlHook, entry: Entry, _: Range | None) -> int:
    """Build the indexes of a copy and let it take the table's place; note that the table is done."""
    if entry.plan.technique != "rebuild":
        mask_ledger.reach(sql, entry, mask_ledger.DONE)
        return 0
    with mask_ledger.alone(sql, entry):
        if mask_ledger.state(sql, entry) == mask_ledger.BEGUN:
            _build(sql, entry)
        if mask_ledger.state(sql, entry) == mask_ledger.BUILT:
            _swap(sql, entry)
    return 0


def _build(sql: MySqlHook, entry: Entry) -> None:
    table = entry.plan.table
    rows = int(sql.rows(f"SELECT COUNT(*) FROM {table.sql}", what=f"count {table}")[0][0])  # noqa: S608
    copied = mask_ledger.rows_done(sql, entry)
    if rows != copied:
        raise VerificationError(f"{table} has {rows} rows and {copied} were copied; something else writes into it")
    present = sql.rows(f"SHOW INDEX FROM {entry.copy.sql} WHERE Key_name <> 'PRIMARY'", what=f"indexes of {table}")
    names = {f"`{row[2].replace('`', '``')}`" for row in present}
    if missing := [index for index in entry.indexes if not any(f"KEY {name} " in index for name in names)]:
        sql.run(mask_sql.add_indexes(entry.copy.sql, missing), what=f"indexes of {table}")
    mask_ledger.reach(sql, entry, mask_ledger.BUILT)


def _swap(sql: MySqlHook, entry: Entry) -> None:
    """Exchange table and copy, which is one atomic act: while there is a copy, it has not happened."""
    table, copy, former = entry.plan.table, entry.copy, entry.former
    there = {
        name
        for (name,) in sql.rows(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", (SCRATCH,), what=f"swap {table}"
        )
    }
    if copy.name in there:
        sql.run(f"RENAME TABLE {table.sql} TO {former.sql}, {copy.sql} TO {table.sql}", what=f"swap {table}")
    sql.run(f"DROP TABLE IF EXISTS {former.sql}", what=f"drop former {table}")
    mask_ledger.reach(sql, entry, mask_ledger.DONE)
