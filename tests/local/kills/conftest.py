"""A stack of its own in which things are killed: components, tasks, databases, the cloud; and a client that polls meanwhile."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from devstack import waiting
from devstack.errors import ApiError
from devstack.settings import REPO, StackConfig, free_port, isolate_this_process
from devstack.stack import Stack
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from tests.local.conftest import RunningStack
from tests.local.faults.poller import Poller, Seen
from tests.local.refresh.conftest import DAG_ID, STAGING, Estate

# Airflow finds out that something has died within seconds, where it takes minutes by default.
IMPATIENT = {
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
}
# Tasks of a tenth of a second would be over before they could be struck.
SLOW = {"service": "*", "action": "*", "effect": "slow", "delay_s": 0.3, "times": 0}
RUN_TIMEOUT_S = 1500
SQL_TASKS = (
    "mask.", "restore.enable_master_secret", "switch.move_secrets", "switch.verify_serving", "publish.",
)  # fmt: skip


@dataclass
class Story:
    """What happened to a run.

    :param victim: what was killed.
    :param struck: at which tasks.
    :param run_state: how the run ended.
    :param states: how its tasks ended.
    :param tries: tries that tasks took, where more than one.
    :param took_s: seconds.
    :param seen: what the client saw.
    :param changed: whether another cluster serves now.
    """

    victim: str
    struck: list[str] = field(default_factory=list)
    run_state: str = ""
    states: dict[str, str | None] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0
    seen: Seen = field(default_factory=Seen)
    changed: bool = False


class Killer:
    """Strikes a victim once at each task of a run, and lets the run end.

    :param running: the stack.
    """

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.estate = Estate(running)

    def play(self, victim: str) -> Story:
        """Run a refresh; strike ``victim`` at each of its tasks."""
        strike = getattr(self, f"_{victim}")
        before = self._serving()
        story = Story(victim)
        admin_operation("faults-clear", self.running.cloud)
        admin_operation("faults-add", self.running.cloud, **SLOW)
        began = time.time()
        with Poller(self.estate) as poller:
            run = self.running.trigger(DAG_ID)
            path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"

            def ended() -> bool:
                try:
                    tasks = self.running.api.request("GET", path, limit=100)["task_instances"]
                    done = self.running.api.run(run.dag_id, run.run_id).done
                except ApiError:
                    return False  # the API server is down: somebody killed it
                for task in tasks:
                    if task["task_id"] not in story.struck and strike(task):
                        story.struck.append(task["task_id"])
                        break
                return done

            waiting.until(ended, what=f"the run under {victim}", timeout_s=RUN_TIMEOUT_S, every_s=0.05)
        admin_operation("faults-clear", self.running.cloud)
        story.took_s = time.time() - began
        tries = self.running.api.task_instances(run)
        story.run_state = self.running.api.run(run.dag_id, run.run_id).state
        story.states = {task.name: task.state for task in tries}
        story.tries = {task.name: task.try_number for task in tries if task.try_number > 1}
        story.seen, story.changed = poller.seen, self._serving() != before
        return story

    def _serving(self) -> str:
        cluster = self.estate.cluster(STAGING, "staging-shop")
        assert cluster is not None
        return str(cluster["DbClusterResourceId"])

    # Each strikes if the task is where that hurts, and says whether it did. -------------------------------------------

    def _worker(self, task: dict[str, Any]) -> bool:
        """Kill the process of a task."""
        if task["state"] != "running" or not task["pid"]:
            return False
        try:
            psutil.Process(task["pid"]).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def _scheduler(self, task: dict[str, Any]) -> bool:
        return self._component("scheduler", task, {"running", "queued", "deferred"})

    def _triggerer(self, task: dict[str, Any]) -> bool:
        return self._component("triggerer", task, {"deferred"})

    def _api_server(self, task: dict[str, Any]) -> bool:
        return self._component("api-server", task, {"running", "deferred"})

    def _component(self, name: str, task: dict[str, Any], states: set[str]) -> bool:
        if task["state"] not in states:
            return False
        self.running.stack.bounce_component(name)
        return True

    def _database(self, task: dict[str, Any]) -> bool:
        """Kill the server of the temporary cluster, as a crashed instance."""
        if task["state"] != "running" or not task["task_id"].startswith(SQL_TASKS):
            return False
        name = "staging-shop-restore" if self.estate.cluster(STAGING, "staging-shop-restore") else "staging-shop"
        admin_operation("engine-kill", self.running.cloud, account=STAGING, cluster=name)
        return True

    def _localcloud(self, task: dict[str, Any]) -> bool:
        """Kill AWS itself; it comes back with its state."""
        if task["state"] not in {"running", "deferred"}:
            return False
        self.running.stack.bounce_cloud(kill=True)
        return True


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """A stack in which Airflow notices deaths soon."""
    isolate_this_process()
    config = StackConfig(
        home=REPO / ".local" / "test" / f"kills-{os.getpid()}",
        dags=REPO / "dags",
        plugins=REPO / "plugins",
        airflow_port=free_port(),
        cloud_port=free_port(),
        db_port=free_port(everywhere=True),
        wait_s=0.3,
        poll_s=0.3,
        seed_rows=2000,
        mariadb_prefix=StackConfig.from_env().mariadb_prefix,
        airflow_options=IMPATIENT,
    )
    stack = Stack(config)
    stack.claim()
    with stack.until_signal():
        stack.start_cloud()
        stack.start_postgres()
        stack.start_components()
        stack.seed()
        stack.wait_healthy()
        yield Killer(RunningStack(stack, CloudConfig.from_env(config.cloud_env())))
    stack.postgres.delete()
    shutil.rmtree(config.home, ignore_errors=True)


@pytest.fixture(scope="module")
def stories() -> Iterator[list[Story]]:
    """What happened; a table of it is written at the end."""
    told: list[Story] = []
    yield told
    (REPO / ".local" / "test" / "kills.md").write_text(table(told))


def table(stories: list[Story]) -> str:
    """Write the stories as a table."""
    lines = [
        "| killed | at tasks | run | serves | tasks tried again | most tries | longest gap of the client (s) | took (s) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for story in stories:
        serves = "new" if story.changed else "old"
        lines.append(
            f"| {story.victim} | {len(story.struck)} of {len(story.states)} | {story.run_state} | {serves} | {len(story.tries)} "
            f"| {max(story.tries.values(), default=1)} | {story.seen.longest_gap_s:.2f} | {story.took_s:.0f} |"
        )
    return "\n".join(lines) + "\n"
