"""Child processes that do not outlive us: own session, signal on our death, pid files checked before use."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from devstack import waiting
from devstack.errors import TimedOutError

PR_SET_PDEATHSIG = 1
MARKER = "AURORA_OPS_STACK"
"""Environment variable that every process of a stack carries; its value is the stack's folder."""


@dataclass(frozen=True)
class Recorded:
    """What a pid file says; the start time tells a process from another that got its number later."""

    name: str
    pid: int
    started: float
    signal: int

    @property
    def process(self) -> psutil.Process | None:
        """Return the process if it still runs and is the one that was recorded."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


@dataclass(frozen=True)
class Child:
    """A started process, its log and its pid file."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    pid_file: Path
    recorded: Recorded

    @property
    def exit_code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self.popen.poll()


def _die_with_parent(death_signal: int) -> Callable[[], None] | None:
    """Build what a child runs before its program: ask Linux for ``death_signal`` when the parent dies."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    pid_dir: Path,
    stop_signal: int = signal.SIGTERM,
    as_user: int | None = None,
) -> Child:
    """Start a program in a session of its own; to be called from the main thread only.

    Linux signals a child when the *thread* that started it ends, hence the main thread.

    :param name: name of the pid file.
    :param env: whole environment of the child.
    :param log: file that takes its output, appended to.
    :param stop_signal: what ends it in an orderly way.
    :param as_user: uid and gid to run as; only root may set it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_dir.mkdir(parents=True, exist_ok=True)
    identity: dict[str, Any] = {}
    if as_user is not None:
        identity = {"user": as_user, "group": as_user, "extra_groups": []}
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [str(part) for part in argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(stop_signal),
            **identity,
        )
    recorded = record(name, popen.pid, pid_dir, stop_signal)
    return Child(name, popen, log, pid_dir / f"{name}.json", recorded)


def record(name: str, pid: int, pid_dir: Path, stop_signal: int = signal.SIGTERM) -> Recorded:
    """Write the pid file of a running process."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        started = 0.0
    recorded = Recorded(name, pid, started, int(stop_signal))
    pid_dir.mkdir(parents=True, exist_ok=True)
    (pid_dir / f"{name}.json").write_text(json.dumps(asdict(recorded)))
    return recorded


def read(pid_file: Path) -> Recorded | None:
    """Read a pid file; None if it is gone or half written."""
    try:
        return Recorded(**json.loads(pid_file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def stop(children: Sequence[Child], *, grace_s: float) -> None:
    """End children together: their own stop signal first, then SIGKILL for what is left of their sessions."""
    for child in children:
        if child.exit_code is None:
            child.popen.send_signal(child.recorded.signal)
    _wait_all(lambda: all(child.exit_code is not None for child in children), grace_s)
    for child in children:
        kill_session(child.recorded.pid)
        child.popen.wait()
        child.pid_file.unlink(missing_ok=True)


def _wait_all(condition: Callable[[], bool], timeout_s: float) -> bool:
    try:
        return waiting.until(condition, what="processes to end", timeout_s=timeout_s, every_s=0.05)
    except TimedOutError:
        return False


def kill_session(leader: int) -> None:
    """SIGKILL every process of the session that ``leader`` opened, itself included."""
    for pid in session_members(leader):
        _signal(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not yet asked for its exit code does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def session_members(leader: int) -> list[int]:
    """Return the processes of a session; the number is not given to anyone else while one of them lives."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                members.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def marked(stack_home: Path) -> list[int]:
    """Return the processes, other than this one and its parents, that carry the marker of a stack."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in mine and process.environ().get(MARKER) == str(stack_home):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def sweep(pid_dir: Path, stack_home: Path, *, grace_s: float = 10) -> list[str]:
    """End what a stack left behind when it died: by pid file, by session, by marker.

    :return: names of the pid files whose process was still there, and ``pid N`` for strays.
    """
    ended: list[str] = []
    sessions: list[Recorded] = []
    for pid_file in sorted(pid_dir.glob("*.json")):
        recorded = read(pid_file)
        if recorded is None or recorded.pid == os.getpid():
            continue
        running = recorded.process is not None  # asked once: the signal may end it at once
        if running:
            _signal(recorded.pid, recorded.signal)
            ended.append(recorded.name)
        if running or not psutil.pid_exists(recorded.pid):
            sessions.append(recorded)
    _wait_all(lambda: all(recorded.process is None for recorded in sessions), grace_s)
    for recorded in sessions:
        kill_session(recorded.pid)
        (pid_dir / f"{recorded.name}.json").unlink(missing_ok=True)
    ending = {recorded.pid for recorded in sessions}  # one of these may be seen for a moment after it was killed
    strays = [pid for pid in marked(stack_home) if pid not in ending]
    for pid in strays:
        _signal(pid, signal.SIGTERM)
        ended.append(f"pid {pid}")
    if strays and not _wait_all(lambda: not any(alive(pid) for pid in strays), grace_s):
        for pid in strays:
            _signal(pid, signal.SIGKILL)
    return ended


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
