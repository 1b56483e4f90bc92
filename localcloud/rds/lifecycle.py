"""Operations that take time: work in a pool of threads, the rest of the emulated time, then the status turns."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# Multiples of LOCALCLOUD_WAIT_S. AWS takes minutes to hours; only the order matters here.
CREATE_CLUSTER = 1.0
CREATE_INSTANCE = 2.0
CONFIGURE_INSTANCE = 0.3
SNAPSHOT = 1.5
COPY = 2.0
RESTORE = 2.0
RENAME = 1.0
PASSWORD = 0.5
MODIFY = 0.5
DELETE = 1.0
DELETE_SNAPSHOT = 0.2
START = 1.0
STOP = 1.0
REBOOT = 0.5
FAILOVER = 0.5
ROLE = 0.3
LAG = 0.25  # describe after a modify still says available for a moment


class Lifecycle:
    """Runs operations in the background.

    :param wait_s: seconds, unit of emulated time.
    :param workers: operations that work with the databases at the same time; the others queue, as in AWS.
    """

    def __init__(self, wait_s: float, workers: int = 4) -> None:
        self._wait_s = wait_s
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="rds-work")
        self._timers: set[threading.Timer] = set()
        self._guard = threading.Lock()
        self._closed = False

    def seconds(self, factor: float) -> float:
        """Emulated duration of an operation, in seconds."""
        return factor * self._wait_s

    def run(
        self,
        what: str,
        factor: float,
        work: Callable[[], None] | None,
        done: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        """Start an operation and return at once.

        :param what: for the log, such as ``restore of shop``.
        :param factor: emulated duration in units of ``wait_s``; the operation takes the longer of this and ``work``.
        :param work: engine work in a thread of the pool; None if there is none.
        :param done: turns the status when both are over.
        :param failed: turns the status when ``work`` raised; the traceback goes to the log.
        """
        end = time.monotonic() + self.seconds(factor)
        if work is None:
            self._at(end, done)
            return

        def worked(future: Future[None]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._at(end, done)
                return
            log.error("%s failed", what, exc_info=error)
            failed()

        self._pool.submit(work).add_done_callback(worked)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run ``action`` after so many seconds of real time."""
        self._at(time.monotonic() + seconds, action)

    def close(self) -> None:
        """Drop what is waiting and finish what is working."""
        with self._guard:
            self._closed = True
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _at(self, end: float, action: Callable[[], None]) -> None:
        def fire() -> None:
            with self._guard:
                self._timers.discard(timer)
                if self._closed:
                    return
            action()

        timer = threading.Timer(max(0.0, end - time.monotonic()), fire)
        timer.daemon = True
        with self._guard:
            if self._closed:
                return
            self._timers.add(timer)
        timer.start()
