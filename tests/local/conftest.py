"""One running stack for all tests of this folder: localcloud with a real MariaDB, and every process of Airflow.

Started at the first test that asks for it, in a folder and on ports of its own, so that it never meets a running demo.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devstack import waiting
from devstack.airflow_api import AirflowApi, Run
from devstack.errors import StackError, TimedOutError
from devstack.settings import REPO, StackConfig, free_port, isolate_this_process
from devstack.stack import Stack
from localcloud.client import admin_client
from localcloud.config import CloudConfig
from localcloud.recorder import read_calls
from tests.local.include import place_include

SEED_ROWS = 3000
WAIT_S = 0.2
POLL_S = 0.2
RUN_TIMEOUT_S = 420  # a run takes one minute; a busy machine must not fail a test


@dataclass(frozen=True)
class RunningStack:
    """What tests do with the stack."""

    stack: Stack
    cloud: CloudConfig

    @property
    def config(self) -> StackConfig:
        """Folders, ports and URLs."""
        return self.stack.config

    @property
    def api(self) -> AirflowApi:
        """Airflow's REST API."""
        return self.stack.api

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> Run:
        """Start a run of a DAG, which is unpaused by it."""
        self.api.wait_for_dag(dag_id)
        run = self.api.trigger(dag_id, dict(conf or {}))
        # Unpaused second: a nightly run that Airflow thinks is due must not get in before this one.
        self.api.set_paused(dag_id, paused=False)
        return run

    def wait(self, run: Run, *, timeout_s: float = RUN_TIMEOUT_S) -> Run:
        """Wait until a run has ended; a component that breaks down meanwhile fails the test."""

        def ended() -> Run | None:
            self.stack.check()
            now = self.api.run(run.dag_id, run.run_id)
            return now if now.done else None

        what = f"run {run.run_id} of {run.dag_id}"
        try:
            return waiting.until(ended, what=what, timeout_s=timeout_s, every_s=0.2)
        except TimedOutError as exc:
            unfinished = {
                name: state for name, state in self.states(run).items() if state not in ("success", "skipped")
            }
            raise AssertionError(f"{exc}; {self.api.run(run.dag_id, run.run_id)}: {unfinished}") from exc

    def states(self, run: Run) -> dict[str, str | None]:
        """Return the state of each task of a run."""
        return {task.name: task.state for task in self.api.task_instances(run)}

    def log(self, run: Run, task_name: str) -> str:
        """Return the log of the last try of a task."""
        task = next(task for task in self.api.task_instances(run) if task.name == task_name)
        return self.api.log(run, task)

    def aws(self, account: str, service: str) -> Any:
        """Return a boto3 client with all rights in an account (``111111111111`` is production)."""
        return admin_client(account, service, self.cloud)

    def calls(self, *, mutating: bool = False, since: float = 0) -> list[dict[str, Any]]:
        """Return the AWS calls that localcloud saw, oldest first.

        :param mutating: only those that may change something.
        :param since: epoch seconds.
        """
        return list(read_calls(self.cloud.calls_file, since=since, mutating=mutating))

    def reset_data(self) -> None:
        """Put accounts and databases back to where they were at the start."""
        self.stack.restart_cloud()


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The running stack, whose refresh has no files; it ends with the session, and no process of it is left."""
    with running_stack(along=False) as found:
        yield found


@contextmanager
def running_stack(
    *, along: bool, settle: Callable[[Path], None] | None = None, poll_s: float = POLL_S
) -> Iterator[RunningStack]:
    """Run a stack of one's own.

    :param along: whether its refresh takes files and jobs along.
    :param settle: changes its copy of ``include`` before anything is started.
    :param poll_s: how often waits look. Where processors are busy, Airflow takes a task that goes on before its worker's end was
        noticed for a lost one, and tries it again.
    """
    isolate_this_process()
    running = claim_stack(along=along, poll_s=poll_s)
    if settle is not None:
        settle(running.config.include)
    shutil.rmtree(running.config.airflow_home, ignore_errors=True)
    running.postgres.delete()
    with running.until_signal():
        running.start_seeded()
        yield RunningStack(running, CloudConfig.from_env(running.config.cloud_env()))
    running.postgres.delete()


def claim_stack(*, along: bool, poll_s: float = POLL_S) -> Stack:
    """Return a stack that is ours: the first whose folder no other test session holds."""
    base = StackConfig.from_env()
    config = StackConfig(
        home=REPO / ".local" / "test" / "stack1",
        dags=REPO / ".local" / "test" / "stack1" / "dags",
        plugins=REPO / "plugins",
        airflow_port=free_port(),
        cloud_port=free_port(),
        db_port=free_port(everywhere=True),
        wait_s=WAIT_S,
        poll_s=poll_s,
        seed_rows=SEED_ROWS,
        mariadb_prefix=base.mariadb_prefix,
    )
    for number in range(1, 5):
        home = config.home.with_name(f"stack{number}")
        stack = Stack(dataclasses.replace(config, home=home, dags=home / "dags", include=home / "include"))
        try:
            stack.claim()
        except StackError:
            continue
        place_dags(stack.config.dags)
        place_include(stack.config.include, along=along)
        return stack
    raise StackError("four test sessions run in this clone already; wait for one to end")


def place_dags(folder: Path) -> None:
    """Make the stack's folder of DAG files: this repository's, and those in ``tests/local/dags`` that only tests need."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "repository").symlink_to(REPO / "dags")
    (folder / "tests").symlink_to(REPO / "tests" / "local" / "dags")


@pytest.fixture
def since() -> float:
    """Epoch seconds at the start of the test, for ``stack.calls(since=...)``."""
    return time.time()
