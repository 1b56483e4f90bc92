"""A stack of its own in which things are killed: components, tasks, databases, the cloud; and a client that polls meanwhile."""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from devstack import waiting
from devstack.errors import ApiError, TimedOutError
from devstack.settings import REGION, REPO, StackConfig, free_port, isolate_this_process
from devstack.stack import Stack
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from localcloud.rds.endpoints import address
from tests.local.conftest import RunningStack
from tests.local.faults.poller import Poller, Seen
from tests.local.include import place_include
from tests.local.refresh.conftest import DAG_ID, STAGING, Estate

# Airflow finds out that something has died within seconds, where it takes minutes by default. With less than 10 s a scheduler on a
# busy machine takes itself for dead, and begins what is at work anew. Tasks ask an API server that is down for as long as it may
# take to come back; by default they give up after 10 s, and each time that costs a try.
IMPATIENT = {
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "180",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "WORKERS__EXECUTION_API_RETRIES": "40",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
}
# Tasks of a tenth of a second would be over before they could be struck.
SLOW = {"service": "*", "action": "*", "effect": "slow", "delay_s": 0.3, "times": 0}
RUN_TIMEOUT_S = 2400

Tasks = list[dict[str, Any]]


@dataclass
class Story:
    """What happened to a run.

    :param victim: what was killed.
    :param struck: at which tasks, and in what state each was.
    :param run_state: how the run ended.
    :param states: how its tasks ended.
    :param tries: tries that tasks took, where more than one.
    :param took_s: seconds.
    :param seen: what the client saw.
    :param changed: whether another cluster serves now.
    """

    victim: str
    struck: dict[str, str] = field(default_factory=dict)
    run_state: str = ""
    states: dict[str, str | None] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0
    seen: Seen = field(default_factory=Seen)
    changed: bool = False


class Killer:
    """Strikes a victim once at each task of a run, and lets the run end.

    What several tasks use is struck once for all that are under way: each is hit by that, and would run out of tries if it were
    struck once for each of the others too.

    :param running: the stack.
    """

    def __init__(self, running: RunningStack) -> None:
        self.running = running
        self.estate = Estate(running)
        self._bounced_at: dict[str, float] = {}
        self._clusters = {
            address(STAGING, REGION, "cluster", name): name for name in ("staging-shop", "staging-shop-restore")
        }

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
                self.running.stack.check()  # what has not come back would leave the run waiting to no end
                try:
                    tasks = self.running.api.request("GET", path, limit=100)["task_instances"]
                    done = self.running.api.run(run.dag_id, run.run_id).done
                except ApiError:
                    return False  # the API server is down: somebody killed it
                story.struck |= strike([task for task in tasks if task["task_id"] not in story.struck])
                return done

            waiting.until(ended, what=f"the run under {victim}", timeout_s=RUN_TIMEOUT_S, every_s=0.1)
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

    # Each is given the tasks that have not been struck yet, strikes if one is where that hurts, and returns task and state of
    # what it hit.

    def _worker(self, tasks: Tasks) -> dict[str, str]:
        """Kill the process of a task."""
        for task in under_way(tasks, "running"):
            if not task["pid"]:
                continue
            try:
                psutil.Process(task["pid"]).kill()
            except psutil.NoSuchProcess:
                continue
            return states([task])
        return {}

    def _scheduler(self, tasks: Tasks) -> dict[str, str]:
        """Kill the scheduler with its workers: every other task while it waits for a worker, the others while they are at work."""
        queued, rest = under_way(tasks, "queued"), under_way(tasks, "running", "deferred")
        aimed_at = [task for task in queued if early(task)] + [task for task in rest if not early(task)]
        return self._component("scheduler", queued + rest if aimed_at else [])

    def _triggerer(self, tasks: Tasks) -> dict[str, str]:
        return self._component("triggerer", under_way(tasks, "deferred"))

    def _api_server(self, tasks: Tasks) -> dict[str, str]:
        """Kill the API server, which takes longest to come back: at every other task, with all that are at work meanwhile."""
        hit = under_way(tasks, "running")
        return self._component("api-server", hit if any(early(task) for task in hit) else [])

    def _component(self, name: str, hit: Tasks) -> dict[str, str]:
        """Kill a component that is well; one that has not come back yet does nothing that a kill could disturb."""
        if not hit or not self.running.api.health(since=self._bounced_at.get(name, 0)).get(name, True):
            return {}
        self.running.stack.bounce_component(name)
        self._bounced_at[name] = time.time()
        return states(hit)

    def _database(self, tasks: Tasks) -> dict[str, str]:
        """Kill the server that a task is connected to, as a crashed instance."""
        at_work = [task for task in under_way(tasks, "running") if task["pid"]]
        if not at_work:
            return {}
        try:
            # a connection may last for some hundredths of a second only; new tasks are looked for in between
            task, cluster = waiting.until(
                lambda: self._connected(at_work), what="a connection", timeout_s=0.5, every_s=0.005
            )
        except TimedOutError:
            return {}
        admin_operation("engine-kill", self.running.cloud, account=STAGING, cluster=cluster)
        return states([task])

    def _connected(self, tasks: Tasks) -> tuple[dict[str, Any], str] | None:
        """Find a task that is connected to a cluster of staging, and the cluster."""
        for task in tasks:
            with suppress(psutil.NoSuchProcess):
                for connection in psutil.Process(task["pid"]).net_connections("tcp4"):
                    at = connection.raddr
                    if at and at.port == self.running.config.db_port and at.ip in self._clusters:
                        return task, self._clusters[at.ip]
        return None

    def _localcloud(self, tasks: Tasks) -> dict[str, str]:
        """Kill AWS itself; it comes back with its state."""
        hit = under_way(tasks, "running", "deferred")
        if hit:
            self.running.stack.bounce_cloud(kill=True)
        return states(hit)


def under_way(tasks: Tasks, *in_states: str) -> Tasks:
    """Select tasks by state."""
    return [task for task in tasks if task["state"] in in_states]


def states(tasks: Tasks) -> dict[str, str]:
    """Name tasks with their states."""
    return {task["task_id"]: task["state"] for task in tasks}


def early(task: dict[str, Any]) -> bool:
    """Tell the one half of the tasks from the other; the same in every run."""
    return bool(zlib.crc32(task["task_id"].encode()) % 2)


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    """A stack in which Airflow notices deaths soon."""
    isolate_this_process()
    home = REPO / ".local" / "test" / f"kills-{os.getpid()}"
    config = StackConfig(
        home=home,
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
        include=place_include(home / "include", along=False),
    )
    stack = Stack(config)
    stack.claim()
    with stack.until_signal():
        stack.start_seeded()
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
        moments = ", ".join(f"{count} {state}" for state, count in Counter(story.struck.values()).most_common())
        lines.append(
            f"| {story.victim} | {len(story.struck)} of {len(story.states)}: {moments} | {story.run_state} | {serves} "
            f"| {len(story.tries)} | {max(story.tries.values(), default=1)} | {story.seen.longest_gap_s:.2f} "
            f"| {story.took_s:.0f} |"
        )
    return "\n".join(lines) + "\n"
