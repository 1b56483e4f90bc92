"""Airflow without its services: a lane that looks, to a test, like the running stack, and needs less time.

What DAGs, operators, triggers, hooks and localcloud do is the same; scheduler, workers, triggerer and API server are those of the
tests that use the running stack (``tests/local/refresh``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from devstack.airflow_api import Run
from devstack.errors import ApiError
from devstack.settings import REPO, isolate_this_process
from localcloud.recorder import read_calls
from tests.local.lane import Lane


class QuickApi:
    """What tests ask of Airflow's API.

    :param stack: where runs are kept.
    """

    def __init__(self, stack: QuickStack) -> None:
        self.stack = stack

    def xcoms(self, run: Run, key: str = "return_value") -> dict[str, Any]:
        """Return the values that a run's tasks pushed under a key, by task name."""
        return {name: value for name, of, value in self.all_xcoms(run) if of == key}

    def all_xcoms(self, run: Run) -> list[tuple[str, str, Any]]:
        """Return task name, key and value of everything a run's tasks pushed."""
        return [(name, key, value) for name, key, value in self.stack.answers[run.run_id]["xcoms"]]

    def clear(self, run: Run, *, only_failed: bool = True) -> None:
        """Have all tasks of a run run again, when somebody waits for it."""
        assert not only_failed
        self.stack.cleared.add(run.run_id)


class QuickStack(Lane):
    """A lane with the methods of ``tests.local.conftest.RunningStack``."""

    def start(self) -> None:
        """Start everything and seed it."""
        super().start()
        self.api = QuickApi(self)
        self.answers: dict[str, dict[str, Any]] = {}
        self.cleared: set[str] = set()
        self._asked: dict[str, dict[str, Any]] = {}
        self._logs: dict[str, str] = {}

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> Run:
        """Run a DAG to its end.

        :raises ApiError: 400 if a Param refuses ``conf``.
        """
        moment = datetime.now(UTC).isoformat()
        return self._run({"dag_id": dag_id, "conf": dict(conf or {}), "moment": moment, "xcoms": True})

    def wait(self, run: Run) -> Run:
        """Return a run as it has ended; one that was cleared runs first."""
        if run.run_id not in self.cleared:
            return run
        self.cleared.remove(run.run_id)
        return self._run(self._asked[run.run_id])

    def states(self, run: Run) -> dict[str, str]:
        """Return the state of each task of a run."""
        return {name: task["state"] for name, task in self.answers[run.run_id]["tasks"].items()}

    def log(self, run: Run, _task_name: str) -> str:
        """Return what all tasks of a run have logged."""
        return self._logs[run.run_id]

    def calls(self, *, mutating: bool = False, since: float = 0) -> list[dict[str, Any]]:
        """Return the AWS calls that localcloud saw, oldest first."""
        return list(read_calls(self.cloud.calls_file, since=since, mutating=mutating))

    def _run(self, asked: dict[str, Any]) -> Run:
        begun = self.log_file.stat().st_size
        answer = self.run(**asked)
        if "refused" in answer:
            raise ApiError(400, answer["refused"])
        run_id = answer["run_id"]
        self.answers[run_id], self._asked[run_id] = answer, asked
        with self.log_file.open("rb") as log:
            log.seek(begun)
            self._logs[run_id] = log.read().decode()
        return Run(asked["dag_id"], run_id, answer["state"], None, None, None)

    def _env(self, database: str) -> dict[str, str]:
        return super()._env(database) | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO"}


@contextmanager
def quick_stack(name: str, *, along: bool) -> Iterator[QuickStack]:
    """Run one of one's own.

    :param name: of its folder.
    :param along: whether its refresh takes files and jobs along.
    """
    isolate_this_process()
    stack = QuickStack(REPO / ".local" / "test" / f"{name}-{os.getpid()}", along=along)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(stack.config.home, ignore_errors=True)
