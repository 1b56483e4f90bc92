"""Sessions for masking and proof, and work on several of them at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TypeVar

from aurora_ops.core.masking import SALT_VARIABLE
from aurora_ops.hooks.mysql import MySqlHook


def set_salt(sql: MySqlHook, salt: str) -> None:
    """Give a session the salt that masks and digests are keyed by."""
    sql.run(f"SET {SALT_VARIABLE} = %s", (salt,), what="salt")


def lock_changed_rows_only(sql: MySqlHook) -> None:
    """Let a session lock the rows that it changes and no others (``READ COMMITTED``), where the binary log allows that."""
    logged, style = sql.rows("SELECT @@log_bin, @@binlog_format", what="session")[0]
    if not (int(logged) and str(style).upper() == "STATEMENT"):  # which needs the stricter level
        sql.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", what="session")


Job = TypeVar("Job")
Done = TypeVar("Done")


def spread(
    connect: Callable[[], MySqlHook], connections: int, jobs: Sequence[Job], work: Callable[[MySqlHook, Job], Done]
) -> list[Done]:
    """Do jobs on several connections; the results stand in the order of the jobs.

    The first job that fails ends it: what has not begun is not begun any more, what runs is waited for, connections are closed.

    :param connect: opens a connection, with its session prepared.
    :param connections: how many, at most.
    :param jobs: what is to be done.
    :param work: does a job on a connection.
    """
    if not jobs:
        return []
    idle: queue.SimpleQueue[MySqlHook] = queue.SimpleQueue()

    over = threading.Event()

    def do(job: Job) -> Done:
        if over.is_set():
            raise CancelledError
        sql = idle.get()
        try:
            return work(sql, job)
        except BaseException:
            over.set()
            raise
        finally:
            idle.put(sql)

    with ExitStack() as stack:
        count = min(connections, len(jobs))
        for _ in range(count):
            idle.put(stack.enter_context(connect()))
        pool = ThreadPoolExecutor(count, thread_name_prefix="sql")
        # entered last, so left first: connections are closed when nothing works on them any more
        stack.callback(pool.shutdown, cancel_futures=True)
        futures = [pool.submit(do, job) for job in jobs]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future in done:  # what was cancelled stands behind what failed
                future.result()
        return [future.result() for future in futures]
