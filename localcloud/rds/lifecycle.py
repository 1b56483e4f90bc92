"""Operations that take time: work in a pool of threads, the rest of the emulated time, then the status turns."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.rds.model import ExportTask, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from localcloud.rds.model import Cluster, Instance

    Resource: TypeAlias = Cluster | Instance | Snapshot

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
EXPORT_START = 1.0
EXPORT = 2.0
EXPORT_CANCEL = 0.5
LAG = 0.25  # describe after a modify still says available for a moment


@dataclass(eq=False)
class Operation:
    """An operation that is not over. It is saved with the state and begins anew after a restart of the server.

    So each of its functions may run twice: what is done already, it leaves.

    :param what: for the log.
    :param end: epoch seconds before which it is not over.
    :param resource: what it is about; an export task sees itself to how it ends.
    :param ends_in: status of failure that ``resource`` shall end in, whatever the work comes to; None without.
    """

    what: str
    end: float
    work: Callable[[], None] | None
    done: Callable[[], None]
    failed: Callable[[], None]
    resource: Resource | ExportTask | None = None
    ends_in: str | None = None


class Lifecycle:
    """Runs operations in the background.

    :param wait_s: seconds, unit of emulated time.
    :param workers: operations that work with the databases at the same time; the others queue, as in AWS.
    :param ends_in: tells the status of failure that an operation started now shall end in, if any.
    :param lock: held while a resource is put into such a status.
    :param changed: called after each step that may have changed the state.
    """

    def __init__(
        self,
        wait_s: float,
        workers: int = 4,
        *,
        ends_in: Callable[[], str | None] = lambda: None,
        lock: AbstractContextManager[Any] | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._wait_s = wait_s
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="rds-work")
        self._timers: set[threading.Timer] = set()
        self._guard = threading.Lock()
        self._closed = False
        self._ends_in = ends_in
        self._lock = lock or nullcontext()
        self._changed = changed
        self._operations: dict[int, Operation] = {}
        self._held: list[Callable[[], None]] | None = None

    def hold(self) -> None:
        """Let no operation be over until :meth:`release`: what is under way stays so while somebody looks at it."""
        with self._guard:
            self._held = self._held or []

    def release(self) -> None:
        """End what would be over by now, in the order in which it would have been."""
        with self._guard:
            held, self._held = self._held or [], None
        for end in held:
            end()

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
        resource: Resource | ExportTask | None = None,
    ) -> None:
        """Start an operation and return at once.

        :param what: for the log, such as ``restore of shop``.
        :param factor: emulated duration in units of ``wait_s``; the operation takes the longer of this and ``work``.
        :param work: engine work in a thread of the pool; None if there is none.
        :param done: turns the status when both are over.
        :param failed: turns the status when ``work`` raised; the traceback goes to the log.
        :param resource: what a fault rule lets fail; None if nothing can.
        """
        end = time.time() + self.seconds(factor)
        fails = resource is not None and not isinstance(resource, ExportTask)
        self._begin(Operation(what, end, work, done, failed, resource, self._ends_in() if fails else None))

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run ``action`` after so many seconds of real time."""
        self._begin(Operation("wait", time.time() + seconds, None, action, action))

    def end(self, resource: Resource, status: str) -> None:
        """Let a resource be in a status of failure from now on, and what is under way for it end in it."""
        with self._guard:
            for operation in self._operations.values():
                if operation.resource is resource:
                    operation.ends_in = status
        self._turn(resource, status)

    def operations(self) -> list[Operation]:
        """List what is not over, oldest first."""
        with self._guard:
            return list(self._operations.values())

    def resume(self, operations: list[Operation]) -> None:
        """Begin operations anew that an earlier server did not finish."""
        for operation in operations:
            log.info("goes on: %s", operation.what)
            self._begin(operation)

    def close(self) -> None:
        """Drop what is waiting and finish what is working; neither is over, see :meth:`operations`."""
        with self._guard:
            self._closed = True
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, operation: Operation) -> None:
        with self._guard:
            if self._closed:
                return
            self._operations[id(operation)] = operation
        if operation.work is None:
            self._at(operation)
            return

        def worked(future: Future[None]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._changed()
                self._at(operation)
                return
            log.error("%s failed", operation.what, exc_info=error)
            self._over(operation, operation.failed)

        self._pool.submit(operation.work).add_done_callback(worked)

    def _at(self, operation: Operation) -> None:
        def fire() -> None:
            with self._guard:
                self._timers.discard(timer)
                if self._closed:
                    return
                if self._held is not None and operation.resource:
                    self._held.append(fire)
                    return
            self._over(operation, operation.failed if operation.ends_in else operation.done)

        timer = threading.Timer(max(0.0, operation.end - time.time()), fire)
        timer.daemon = True
        with self._guard:
            if self._closed:
                return
            self._timers.add(timer)
        timer.start()

    def _over(self, operation: Operation, turn: Callable[[], None]) -> None:
        if operation.ends_in and operation.resource and not isinstance(operation.resource, ExportTask):
            with self._lock:
                turn()
                self._turn(operation.resource, operation.ends_in)
        else:
            turn()
        with self._guard:
            self._operations.pop(id(operation), None)
        self._changed()

    def _turn(self, resource: Resource, status: str) -> None:
        with self._lock:
            if not isinstance(resource, Snapshot):
                resource.lag_until = 0.0
            resource.status = status
