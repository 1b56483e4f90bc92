"""Starting and ending a whole stack: Airflow alone, with a DAG of one task and one deferral."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack import process, waiting
from devstack.airflow_api import AirflowApi
from devstack.settings import REPO, StackConfig, free_port
from devstack.stack import ready_file

pytestmark = [pytest.mark.local, pytest.mark.slow]

DAG = """
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag, task


@dag(schedule=None)
def probe():
    @task
    def environment():
        import os

        return {key: os.environ.get(key) for key in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "PYTHONDONTWRITEBYTECODE")}

    TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=0.1), deferrable=True) >> environment()


probe()
"""


class Command:
    """``python -m devstack`` on a folder of its own."""

    def __init__(self, home: Path, dags: Path) -> None:
        self.home = home
        self.port = free_port()
        self.arguments = ["--home", str(home), "--dags", str(dags), "--no-localcloud"]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "devstack", *self.arguments, command],
            cwd=REPO,
            env={**os.environ, "AIRFLOW_PORT": str(self.port), "AWS_PROFILE": "no-such-profile"},
            check=False,
            capture_output=True,
            text=True,
        )

    def ready(self) -> dict[str, Any]:
        config = dataclasses.replace(StackConfig.from_env({}), home=self.home)
        return ready_file(config)

    def processes(self) -> list[int]:
        """Every process of the stack: by the sessions of its pid files, and by its marker."""
        found = set(process.marked(self.home))
        for pid_file in (self.home / "run").glob("*.json"):
            if recorded := process.read(pid_file):
                found |= set(process.session_members(recorded.pid))
        return sorted(pid for pid in found if process.alive(pid))


@pytest.fixture
def devstack():
    home = REPO / ".local" / "test" / "lifecycle"
    shutil.rmtree(home, ignore_errors=True)
    dags = home / "dags"
    dags.mkdir(parents=True)
    (dags / "probe.py").write_text(DAG)
    command = Command(home, dags)
    yield command
    assert command.run("clean").returncode == 0


def test_up_run_crash_down_up_down(devstack):
    started = devstack.run("up")
    assert started.returncode == 0, started.stdout + started.stderr
    url = devstack.ready()["airflow"]
    assert url == f"http://127.0.0.1:{devstack.port}"

    # It runs a DAG, in an environment that cannot reach AWS.
    api = AirflowApi(url)
    api.wait_for_dag("probe")
    api.set_paused("probe", paused=False)
    run = api.wait_for_run(api.trigger("probe"), timeout_s=60)
    assert run.state == "success", [api.log(run, task) for task in api.task_instances(run)]
    seen = api.xcoms(run)["environment"]
    assert seen["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert (seen["AWS_PROFILE"], seen["PYTHONDONTWRITEBYTECODE"]) == (None, None)
    assert api.plugin_errors() == {}

    # Nothing listens beyond loopback.
    mine = devstack.processes()
    assert len(mine) > 10
    addresses = {
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.pid in mine and connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}

    # A second one in the same folder is refused.
    second = devstack.run("up")
    assert second.returncode == 1
    assert "make down" in second.stdout
    assert devstack.run("status").returncode == 0

    # The supervisor is killed: `down` ends whatever did not end with it.
    supervisor = process.read(devstack.home / "run" / "stack.json")
    os.kill(supervisor.pid, signal.SIGKILL)
    assert devstack.run("down").returncode == 0
    waiting.until(lambda: not any(map(process.alive, mine)), what="every process to end", timeout_s=10)
    assert devstack.processes() == []
    assert devstack.run("status").returncode == 1

    # It starts again on the same data, and an orderly end leaves nothing, even when asked for twice.
    assert devstack.run("up").returncode == 0
    mine = devstack.processes()
    assert devstack.run("down").returncode == 0
    assert not [pid for pid in mine if process.alive(pid)]
    assert not list((devstack.home / "run").glob("*.json"))
    assert devstack.run("down").returncode == 0
