"""Starting, finding and ending the server process of a home. Free of moto, which takes a second to import."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from localcloud.config import REPOSITORY
from localcloud.mariadb.engine import end_orphans

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.config import CloudConfig

HOST = "127.0.0.1"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60
EXIT_TIMEOUT_S = 10
POLL_S = 0.05


class AlreadyRunningError(RuntimeError):
    """Another process holds this home's lock."""


class PortInUseError(RuntimeError):
    """Something else listens on the API's port."""


class StartError(RuntimeError):
    """The server did not start; the message carries the end of its log."""


@dataclass(frozen=True)
class Stopped:
    """How a server was ended.

    :param pid: its process id, None if none ran.
    :param killed: it did not end within :data:`STOP_TIMEOUT_S` and was killed.
    :param orphans: database servers left by a crash, ended now.
    """

    pid: int | None
    killed: bool
    orphans: int


def bind(port: int) -> socket.socket:
    """Return a listening socket on loopback.

    :raises PortInUseError: something else listens there.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUseError(
            f"port {port} on {HOST} cannot be used ({error.strerror}); stop the program that listens there,"
            " or set LOCALCLOUD_PORT to a free port"
        ) from None
    return listener


def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition of another process; False if it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)  # noqa: TID251 - a command line waits for a process; there is nothing to defer to
    return True


def lock_home(config: CloudConfig) -> int:
    """Take the home for this process, and write its id into the pid file.

    The lock ends with the process and not before, so that whoever waits for it waits for the end of the process. The
    file is never removed: two processes could then each lock a file of this name.

    :return: descriptor of the locked file.
    :raises AlreadyRunningError: another process holds it.
    """
    config.home.mkdir(parents=True, exist_ok=True)
    # A descriptor, not a file object: that would be closed with its last reference.
    descriptor = os.open(config.pid_file, os.O_RDWR | os.O_CREAT, 0o644)

    def locked() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    # Commands that look whether a server runs hold the lock for an instant.
    if not until(locked, 1):
        os.close(descriptor)
        raise AlreadyRunningError(f"localcloud already runs in {config.home}; python -m localcloud down ends it")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def running_pid(config: CloudConfig) -> int | None:
    """Process id of the server of this home, None if none runs.

    Whoever runs holds a lock on the pid file, so a file that a crash left, or a process id used again, misleads nobody.
    """
    try:
        file = config.pid_file.open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text else None
        return None


def answers(config: CloudConfig) -> bool:
    """Whether the server of this home answers (not that of another home on the same port)."""
    try:
        with urlopen(f"{config.endpoint}/localcloud/health", timeout=2) as answer:  # noqa: S310 - http on loopback
            return bool(json.load(answer).get("home") == str(config.home))
    except (URLError, ValueError, ConnectionError, TimeoutError):
        return False


def start(config: CloudConfig, *, keep: bool = False) -> int:
    """Start the server detached from this terminal, wait until it answers, return its process id.

    :raises PortInUseError: something listens on the port.
    :raises StartError: it ended, or did not answer within :data:`START_TIMEOUT_S`.
    """
    bind(config.port).close()
    config.home.mkdir(parents=True, exist_ok=True)
    with config.log_file.open("ab") as log:
        log_start = log.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "localcloud", "up", "--foreground", *(["--keep"] if keep else [])],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if not until(lambda: child.poll() is not None or answers(config), START_TIMEOUT_S):
        os.kill(child.pid, signal.SIGTERM)
        child.wait(STOP_TIMEOUT_S)
        raise StartError(
            f"localcloud did not answer on {config.endpoint} within {START_TIMEOUT_S} s; see {config.log_file}"
        )
    if child.poll() is not None:
        with config.log_file.open("rb") as log:
            log.seek(log_start)
            tail = log.read()[-2000:].decode("utf-8", "replace").strip()
        raise StartError(f"localcloud ended while starting:\n{tail}\n(the whole log is {config.log_file})")
    return child.pid


def stop(config: CloudConfig) -> Stopped:
    """End the server of this home and every database server; also those that a crash left."""
    pid = running_pid(config)
    killed = False
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not until(lambda: running_pid(config) is None, STOP_TIMEOUT_S):
            os.kill(pid, signal.SIGKILL)
            killed = True
            until(lambda: running_pid(config) is None, STOP_TIMEOUT_S)
        # The lock goes a moment before the process does.
        until(lambda: not is_alive(pid), EXIT_TIMEOUT_S)
    return Stopped(pid, killed, end_orphans(config.home))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        # Ended meanwhile; or there is no /proc on this system, and the signal told the truth.
        return not Path("/proc/self").exists()


def wipe(config: CloudConfig) -> None:
    """Remove the home. Only while no server runs."""
    if config.home.exists():
        shutil.rmtree(config.home)
