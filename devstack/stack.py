"""Starts and stops one stack: localcloud, PostgreSQL, and Airflow's four components."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from devstack import process, waiting
from devstack.airflow_api import AirflowApi
from devstack.errors import StackError, TimedOutError
from devstack.postgres import Postgres
from devstack.settings import REPO, StackConfig

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Commands of Airflow. Logs lie on this machine, so nothing needs to serve them."""

Say = Callable[[str], None]


def quiet(_message: str) -> None:
    """Say nothing."""


class Stack:
    """One stack; ``start`` and ``stop`` are called from the main thread.

    :param config: where it lies and how it runs.
    :param say: takes each line of progress.
    """

    def __init__(self, config: StackConfig, say: Say = quiet) -> None:
        self.config = config
        self.say = say
        self.api = AirflowApi(config.airflow_url)
        self.stopping = threading.Event()
        self.children: list[process.Child] = []
        self.postgres = Postgres(config.home, logs=config.logs, pids=config.pids)
        self._lock: int | None = None
        self._cloud: process.Child | None = None
        self._seeded = False
        self._guard: socket.socket | None = None

    # Starting ---------------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Make this process the only one that runs this stack, and clean up after one that died.

        :raises StackError: another process runs it.
        """
        self.config.pids.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.config.pids / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StackError(
                f"a stack already runs in {self.config.home} ({describe(self.config)}); end it with `make down`"
            ) from None
        self._lock = lock
        self._guard = self._hold_db_port()
        if ended := process.sweep(self.config.pids, self.config.home):
            self.say(f"ended what an earlier stack left behind: {', '.join(ended)}")
        process.record("stack", os.getpid(), self.config.pids)
        (self.config.pids / "ready.json").unlink(missing_ok=True)

    def _hold_db_port(self) -> socket.socket | None:
        """Listen on 127.0.0.1 at the databases' port, which no endpoint uses, so that another stack chooses another.

        Two stacks give a cluster's endpoint the same address; only the port keeps them apart.

        :raises StackError: the port was taken since it was chosen.
        """
        if not self.config.localcloud:
            return None
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind(("127.0.0.1", self.config.db_port))
            guard.listen(1)
        except OSError as error:
            guard.close()
            raise StackError(
                f"port {self.config.db_port} has just been taken by another stack; run this again"
            ) from error
        return guard

    def start_cloud(self, *, keep: bool = False) -> None:
        """Start localcloud and wait until it answers.

        :param keep: with the state that it left, rather than empty.
        """
        self._cloud = process.spawn(
            "localcloud",
            [sys.executable, "-m", "localcloud", "up", "--foreground", *(["--keep"] if keep else [])],
            env=self.config.cloud_env(),
            cwd=REPO,
            log=self.config.logs / "localcloud.log",
            pid_dir=self.config.pids,
        )
        self.children.append(self._cloud)
        self._wait(self._cloud_answers, "localcloud", 60)

    def bounce_cloud(self, *, kill: bool) -> None:
        """End localcloud and start it again with its state; what is under way in it goes on.

        :param kill: by SIGKILL, as in a crash; else in an orderly way.
        """
        if kill and self._cloud is not None:
            self._cloud.popen.kill()
            self._cloud.popen.wait()
        self._end_cloud()
        self.start_cloud(keep=True)

    def restart_cloud(self) -> None:
        """Put accounts and databases back to the seeded state; the first time it is seeded anew, and then copied."""
        self._end_cloud()
        if self._seeded:
            shutil.rmtree(self.config.cloud_home)
            _copy(self._seeded_copy, self.config.cloud_home)
        else:
            self.start_cloud()
            self.seed()
            self._end_cloud()
            shutil.rmtree(self._seeded_copy, ignore_errors=True)
            _copy(self.config.cloud_home, self._seeded_copy)
            self._seeded = True
        self.start_cloud(keep=True)

    @property
    def _seeded_copy(self) -> Path:
        return self.config.cloud_home.with_name("localcloud-seeded")

    def _end_cloud(self) -> None:
        if self._cloud is not None:
            self.children.remove(self._cloud)
            process.stop([self._cloud], grace_s=30)
            self._cloud = None

    def seed(self) -> None:
        """Fill the accounts and databases; what is there already is left alone.

        :raises StackError: a seed step failed.
        """
        self.cloud_command("seed")

    def cloud_command(self, *arguments: str) -> str:
        """Run ``python -m localcloud <arguments>`` against this stack and return its output.

        :raises StackError: it failed; its output is in the message.
        """
        done = subprocess.run(
            [sys.executable, "-m", "localcloud", *arguments],
            env=self.config.cloud_env(),
            cwd=REPO,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise StackError(f"python -m localcloud {' '.join(arguments)}: {done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def start_seeded(self) -> None:
        """Start localcloud and Airflow, fill the accounts meanwhile, and wait until every component is well."""
        self.start_cloud()
        self.start_postgres()
        self.start_components()
        self.seed()
        self.wait_healthy()

    def start_airflow(self) -> None:
        """Start PostgreSQL and Airflow, and wait until every component is well."""
        self.start_postgres()
        self.start_components()
        self.wait_healthy()

    def start_postgres(self) -> None:
        """Start the metadata database and bring its tables up to date."""
        if self.config.airflow_home.joinpath("logs").exists():
            self._trim_logs()
        self.postgres.start()
        if self.postgres.child is not None:
            self.children.append(self.postgres.child)
        self._migrate()

    def start_components(self) -> None:
        """Start Airflow's processes, all at once."""
        self.started = time.time()
        for name in COMPONENTS:
            self._start_component(name)

    def _start_component(self, name: str) -> None:
        child = process.spawn(
            name,
            [sys.executable, "-m", "airflow", *COMPONENTS[name]],
            env=self.config.airflow_env(self.postgres.url()),
            cwd=self.config.airflow_home,
            log=self.config.logs / f"{name}.log",
            pid_dir=self.config.pids,
        )
        self.children.append(child)

    def bounce_component(self, name: str) -> None:
        """Kill a component with SIGKILL, and all that it had started, as the end of a container does; start it again.

        :param name: one of ``COMPONENTS``.
        """
        child = next(child for child in self.children if child.name == name)
        self.children.remove(child)
        process.kill_session(child.recorded.pid)
        child.popen.wait()
        self._start_component(name)

    def wait_healthy(self) -> None:
        """Wait until the API says that every component is well, then write ``ready.json``."""
        self._wait(self.api.warm_up, "Airflow's API server", 180)
        self._wait(lambda: all(self.api.health(since=self.started).values()), "Airflow", 180)
        ready = {"pid": os.getpid(), "airflow": self.config.airflow_url, "localcloud": self.config.cloud_url}
        (self.config.pids / "ready.json").write_text(json.dumps(ready))

    def _migrate(self) -> None:
        """Run ``airflow db migrate`` unless this data has been migrated by this very version."""
        stamp = self.config.airflow_home / "migrated"
        version = f"{importlib.metadata.version('apache-airflow')} {_identity(self.postgres.data)}"
        if stamp.exists() and stamp.read_text() == version:
            return
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=self.config.airflow_env(self.postgres.url()),
            cwd=self.config.airflow_home,
            check=False,
            capture_output=True,
            text=True,
        )
        log = self.config.logs / "migrate.log"
        log.write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise StackError(f"airflow db migrate failed; log {log}:\n{tail}")
        stamp.write_text(version)

    def _trim_logs(self) -> None:
        """Start component logs anew: an error of an earlier start must not be taken for one of this."""
        for log in self.config.logs.glob("*.log"):
            if log.name != "localcloud.log":
                log.unlink()

    def _cloud_answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.config.cloud_url}/localcloud/health", timeout=2) as answer:
                return bool(json.load(answer)["home"] == str(self.config.cloud_home))
        except (OSError, ValueError, KeyError):
            return False

    def _wait(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        def met() -> bool:
            self.check()
            return condition()

        try:
            waiting.until(met, what=what, timeout_s=timeout_s, every_s=0.2, stop=self.stopping)
        except TimedOutError as error:
            raise StackError(f"{error}; logs in {self.config.logs}") from error

    # Running ----------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise if a component has ended.

        :raises StackError: names it, its exit code, its log and the end of that.
        """
        for child in self.children:
            if child.exit_code is not None:
                tail = "\n".join(child.log.read_text(errors="replace").splitlines()[-15:])
                raise StackError(f"{child.name} ended with code {child.exit_code}; log {child.log}:\n{tail}")

    def stay(self) -> None:
        """Stay up until told to stop.

        :raises StackError: a component ended.
        """
        while not self.stopping.wait(1):
            self.check()

    # Stopping ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End everything: Airflow first, then what it uses. No process is left, whatever state it was in."""
        base = [child for child in self.children if child is self._cloud or child is self.postgres.child]
        process.stop([child for child in self.children if child not in base], grace_s=6)
        process.stop(base, grace_s=30)
        self.children = []
        process.sweep(self.config.pids, self.config.home, grace_s=3)
        (self.config.pids / "ready.json").unlink(missing_ok=True)
        (self.config.pids / "stack.json").unlink(missing_ok=True)
        shutil.rmtree(self._seeded_copy, ignore_errors=True)
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def until_signal(self) -> Iterator[None]:
        """Turn Ctrl-C, SIGTERM and SIGHUP into an orderly end; everything is stopped on the way out."""

        def end(_number: int, _frame: FrameType | None) -> None:
            if not self.stopping.is_set():
                self.stopping.set()
                raise KeyboardInterrupt

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            # A second Ctrl-C must not leave processes behind.
            for number in before:
                signal.signal(number, signal.SIG_IGN)
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder of data; at no cost on file systems that share blocks."""
    options = ["--reflink=auto", "--sparse=always"] if sys.platform == "linux" else []
    subprocess.run(["cp", "-a", *options, str(source), str(target)], check=True, capture_output=True)


def _identity(folder: Path) -> str:
    """Return what changes when a data folder is made anew."""
    seen = (folder / "PG_VERSION").stat()
    return f"{seen.st_ino}-{seen.st_mtime_ns}"


def ready_file(config: StackConfig) -> dict[str, Any]:
    """Return what a stack wrote when it was ready; empty before."""
    try:
        ready: dict[str, Any] = json.loads((config.pids / "ready.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return ready


def describe(config: StackConfig) -> str:
    """Return one line on the stack that runs in ``config.home``."""
    recorded = process.read(config.pids / "stack.json")
    if recorded is None or recorded.process is None:
        return "no process"
    ready = ready_file(config)
    if ready.get("pid") != recorded.pid:
        return f"pid {recorded.pid}, starting"
    return f"pid {recorded.pid}, Airflow {ready['airflow']}, AWS {ready['localcloud']}"


def down(config: StackConfig, say: Say, *, timeout_s: float = 60) -> None:
    """End the stack of ``config.home``, or what is left of it; nothing to end is fine."""
    recorded = process.read(config.pids / "stack.json")
    if recorded is not None and recorded.process is not None:
        say(f"stopping {describe(config)}")
        os.kill(recorded.pid, signal.SIGTERM)
        try:
            waiting.until(lambda: recorded.process is None, what="the stack to end", timeout_s=timeout_s)
        except TimedOutError:
            say("it does not end; killing it")
            os.kill(recorded.pid, signal.SIGKILL)
    if ended := process.sweep(config.pids, config.home):
        say(f"ended what was left behind: {', '.join(ended)}")


def clean(config: StackConfig) -> None:
    """Remove the data of a stack that has been stopped; the installation stays."""
    Postgres(config.home, logs=config.logs, pids=config.pids).delete()
    for folder in (config.airflow_home, config.cloud_home, config.pids, config.home / "reports"):
        shutil.rmtree(folder, ignore_errors=True)
