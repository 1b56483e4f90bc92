"""Runs of the audit-log backup without Airflow's services: while files grow, and over many instances."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from aurora_ops.core import environments
from aurora_ops.core.audit_logs.chunks import Page
from aurora_ops.core.settings import Environment
from aurora_ops.dagkit.paths import include
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.operators.log_backup import BackUpLogsOperator
from aurora_ops.operators.log_plan import PlanLogBackupOperator

from devstack.settings import REGION

SLOTS = 4


class Runs:
    """Runs of the environment ``staging``, its tasks one after the other in this process."""

    def __init__(self) -> None:
        self._path = include() / "config" / "staging.yaml"
        settings: Environment = environments.resolve(environments.read(self._path)).settings
        if settings.audit_logs is None:
            raise ValueError("the environment has no audit_logs")
        self.logs = settings.audit_logs
        self._home = settings.orchestrator
        run = SimpleNamespace(dag_id="d", run_id="r", run_type="scheduled", conf={}, logical_date=None, run_after=None)
        self._context: Any = {"ti": _Xcoms(), "dag_run": run, "params": {}}

    def plan(self) -> dict[str, Any]:
        """Plan a run."""
        where = {"aws_conn_id": self._home.aws_conn_id, "region_name": self._home.region}
        found: dict[str, Any] = PlanLogBackupOperator(task_id="plan", path=str(self._path), **where).execute(
            self._context
        )
        return found

    def back_up(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Run a task of it."""
        task = BackUpLogsOperator(
            task_id="back_up",
            settings=self.logs.model_dump(mode="json"),
            home_conn_id=str(self._home.aws_conn_id),
            home_region=str(self._home.region),
            **batch,
        )
        found: dict[str, Any] = task.execute(self._context)
        return found


class _Xcoms:
    """Of a task, kept by nobody."""

    task_id, map_index, try_number = "t", -1, 1

    def xcom_push(self, **_: Any) -> None:
        """Forget it."""

    def xcom_pull(self, **_: Any) -> None:
        """Know nothing."""


@dataclass
class Came:
    """Bytes of logs that AWS has sent."""

    size: int = 0


@contextmanager
def counted() -> Iterator[Came]:
    """Count what answers carry, whatever becomes of it."""
    came = Came()
    read_page, stream = LogFilesHook.read_page, LogFilesHook.stream

    def counted_page(hook: LogFilesHook, *asked: Any) -> Page:
        page = read_page(hook, *asked)
        came.size += len(page.data)
        return page

    def counted_stream(hook: LogFilesHook, *asked: Any) -> Generator[bytes, None, None]:
        for data in stream(hook, *asked):
            came.size += len(data)
            yield data

    with patch.object(LogFilesHook, "read_page", counted_page), patch.object(LogFilesHook, "stream", counted_stream):
        yield came


@dataclass
class Growing:
    """Four files of an instance that grow by a real log's records, and are rotated once.

    :param folder: where they lie.
    :param content: of the real log.
    :param torn: whether each look finds a record that is still being written.
    """

    folder: Path
    content: bytes
    torn: bool
    minute: int = 0
    written: int = 0
    came: int = 0
    _at: int = 0
    _rest: list[bytes] = field(default_factory=lambda: [b""] * SLOTS)

    def grow(self, size: int) -> None:
        """Write records to each file."""
        for slot in range(SLOTS):
            end = self.content.index(b"\n", self._at + size) + 1
            data = self._rest[slot] + self.content[self._at : end]
            self._at = 0 if end + 2 * size > len(self.content) else end
            keep = data.rindex(b"\n", 0, -1) + 10 if self.torn else len(data)
            self._rest[slot] = data[keep:]
            self._append(slot, data[:keep])

    def finish(self) -> None:
        """Write the ends of records that were begun."""
        for slot in range(SLOTS):
            self._append(slot, self._rest[slot])
            self._rest[slot] = b""

    def rotate(self) -> None:
        """Begin other files."""
        self.finish()
        self.minute += 1

    def names(self) -> list[str]:
        """Names of the files that are written now."""
        return [f"audit/{self._name(slot)}" for slot in range(SLOTS)]

    def _append(self, slot: int, data: bytes) -> None:
        with (self.folder / self._name(slot)).open("ab") as file:
            self.written += file.write(data)

    def _name(self, slot: int) -> str:
        return f"audit.log.{slot}.2026-01-01-00-{self.minute:02d}.0"


def grow(*, folder: str, real: str, instance: str, rounds: int, round_bytes: int, torn: bool) -> dict[str, Any]:
    """Back up growing files round by round, and download what the predecessor would: each changed file from its beginning.

    :param folder: of the instance's audit files; empty.
    :param real: path of a real log.
    :param rounds: runs of the backup.
    :param round_bytes: bytes by which each file grows from one run to the next.
    :param torn: whether each run finds records that are still being written.
    """
    files = Growing(Path(folder), Path(real).read_bytes(), torn)
    runs, source, stored, whole = Runs(), LogFilesHook("aws_source", REGION, downloads_per_s=10**6), 0, 0
    for number in range(1, rounds + 2):
        if number == rounds // 2 + 1:
            files.rotate()
        if number <= rounds:
            files.grow(round_bytes)
            whole += sum(sum(map(len, source.stream(instance, name))) for name in files.names())
        else:
            files.finish()
        with counted() as came:
            stored += sum(runs.back_up(batch)["stored_bytes"] for batch in runs.plan()["batches"])
        files.came += came.size
    return {"written": files.written, "came": files.came, "whole": whole, "stored": stored}


def many() -> dict[str, Any]:
    """Plan a run and make it; seconds of each, and what was done."""
    runs = Runs()
    began, cpu = time.monotonic(), time.process_time()
    planned = runs.plan()
    at_plan = time.monotonic()
    done = [runs.back_up(batch) for batch in planned["batches"]]
    ended = time.monotonic()
    return {
        "plan_s": at_plan - began,
        "backup_s": ended - at_plan,
        "cpu_s": time.process_time() - cpu,
        "instances": planned["instances"],
        "changed": planned["changed"],
        "batches": len(planned["batches"]),
        "lists_per_s": runs.logs.list_calls_per_s,
        **{key: sum(one[key] for one in done) for key in ("files", "objects", "stored_bytes", "failed", "deferred")},
    }
