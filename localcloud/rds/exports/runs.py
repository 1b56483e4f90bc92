"""What happens to a task after it was started: it restores, extracts, ends, and tells of it."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

import pymysql

from localcloud.mariadb.errors import EngineError
from localcloud.rds import lifecycle
from localcloud.rds.events import kinds
from localcloud.rds.exports import access, manifest
from localcloud.rds.exports.bucket import BucketGoneError, put
from localcloud.rds.exports.extract import Extraction, ExtractionError, Wishes

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, ExportTask, Snapshot

log = logging.getLogger(__name__)

RUNNING = ("STARTING", "IN_PROGRESS", "CANCELING")
ENDED = ("COMPLETE", "FAILED", "CANCELED")


class EndedError(Exception):
    """The task is being canceled, or has ended otherwise: nothing more is written."""


class Runs:
    """Tasks under way. They go on after a restart: what was written is written again under the same names.

    :param core: state, engine, operations under way.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    def begin(self, task: ExportTask) -> None:
        """Restore the data, as the status STARTING says."""
        self.core.lifecycle.run(
            f"export {task.identifier}: restore",
            lifecycle.EXPORT_START,
            partial(self._restore, task),
            partial(self._restored, task),
            partial(self._broken, task),
            task,
        )

    def cancel(self, task: ExportTask) -> None:
        """End a task that runs; what it has written stays."""
        task.status = "CANCELING"
        self.core.lifecycle.run(
            f"export {task.identifier}: cancel",
            lifecycle.EXPORT_CANCEL,
            None,
            partial(self._end_as, task, "CANCELED"),
            partial(self._broken, task),
            task,
        )

    def end(self, task: ExportTask, status: str) -> None:
        """Put a task that runs into a status at once, in which it stays."""
        if task.status not in RUNNING:
            return
        if status == "FAILED":
            task.failure = task.failure or access.UNKNOWN
            self._end(task, status, time.time())
        else:
            task.sticks = task.status = status

    # ---- stages ------------------------------------------------------------------------------------------------------

    def _restore(self, task: ExportTask) -> None:
        engine = self.core.engine
        if task.status != "STARTING" or engine.has(task.key):
            return
        if task.source_kind == "cluster":
            # what would end the source's server waits until its data are read
            with self.core.working(task.source_key):
                engine.snapshot(task.source_key, task.key)
        else:
            engine.copy_snapshot(task.source_key, task.key)

    def _restored(self, task: ExportTask) -> None:
        core = self.core
        with core.lock:
            if task.status != "STARTING" or task.sticks == "STARTING":
                return
            task.status = "IN_PROGRESS"
            task.extracting, task.expected_s = time.time(), core.lifecycle.seconds(lifecycle.EXPORT)
        core.lifecycle.run(
            f"export {task.identifier}",
            lifecycle.EXPORT,
            partial(self._extract, task),
            partial(self._extracted, task),
            partial(self._broken, task),
            task,
        )

    def _extract(self, task: ExportTask) -> None:
        task.extracted_bytes, task.done = 0, 0.0
        task.failure = self._obstacle(task)
        if task.failure:
            return
        try:
            with self.core.engine.reading(task.key) as connect:
                extraction = Extraction(connect, task.key, partial(self._put, task), partial(_count, task))
                task.tables, task.warnings = extraction.run(Wishes(tuple(task.export_only)))
        except EndedError:
            return
        except BucketGoneError:
            task.failure = access.NO_BUCKET.format(bucket=task.bucket)
        except ExtractionError as error:
            task.failure = str(error)
        except (EngineError, pymysql.err.MySQLError, ValueError):  # a value that pyarrow does not take is a ValueError
            log.exception("the export %s fails", task.identifier)
            task.failure = access.UNKNOWN

    def _obstacle(self, task: ExportTask) -> str | None:
        """Failure cause of a task that cannot write; None if it can."""
        if task.prefix.endswith("/"):
            # https://github.com/apache/airflow/issues/46555
            return access.UNKNOWN_METADATA.format(bucket=task.bucket)
        found = access.problem(task, self.core.cloud.kms)
        return found.message if found else None

    def _put(self, task: ExportTask, key: str, content: bytes) -> None:
        if task.status != "IN_PROGRESS":
            raise EndedError(task.identifier)
        put(task, key, content)

    def _extracted(self, task: ExportTask) -> None:
        if task.status == "IN_PROGRESS" and task.sticks != "IN_PROGRESS":
            if task.fails:
                task.failure = task.fails
            self._end_as(task, "FAILED" if task.failure else "COMPLETE")

    def _broken(self, task: ExportTask) -> None:
        """End a task for which the engine could not do its part; the traceback is in the log."""
        task.failure = access.UNKNOWN
        self._end_as(task, "FAILED")

    def _end_as(self, task: ExportTask, status: str) -> None:
        if task.status not in RUNNING or task.sticks == task.status:
            return
        ended = time.time()
        # Not under the lock: the bucket may tell a queue or a function of the objects.
        if status == "COMPLETE":
            self._manifest(task, ended)
        with self.core.lock:
            if status != "COMPLETE" or task.status == "IN_PROGRESS":  # else canceled just now
                self._end(task, "FAILED" if status == "COMPLETE" and task.failure else status, ended)

    def _manifest(self, task: ExportTask, ended: float) -> None:
        try:
            put(task, *manifest.tables(task))
            put(task, *manifest.info(task, "COMPLETE", ended))
        except BucketGoneError:
            task.failure = access.NO_BUCKET.format(bucket=task.bucket)

    def _end(self, task: ExportTask, status: str, ended: float) -> None:
        core = self.core
        with core.lock:
            task.status, task.ended = status, ended
            self._note(task, status)
        core.engine.delete_snapshot(task.key)
        core.cloud.store.later("s3")

    def _note(self, task: ExportTask, status: str) -> None:
        """Tell of a task's end: as an event of its source, which may be gone."""
        name = task.source_arn.split(":", 6)[6]
        region = self.core.region(task.account, task.region)
        source: Cluster | Snapshot | None = None
        if task.source_kind == "cluster":
            source = region.clusters.get(name)
        elif task.source_kind == "cluster-snapshot":
            source = region.snapshots.get(name)
        place = kinds.SOURCE_TYPE[task.source_kind], name, task.source_arn
        kind = kinds.EXPORTS[task.source_kind][status]
        self.core.note(task.account, task.region, place, kind, source.tags if source else {})


def _count(task: ExportTask, tables_done: float, tables: int, read_bytes: int) -> None:
    task.done = tables_done / tables
    task.extracted_bytes += read_bytes
