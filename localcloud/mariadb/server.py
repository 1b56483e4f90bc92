"""One mariadbd on one data directory, reachable through its unix socket only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pymysql

from localcloud.mariadb.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymysql.connections import Connection

    from localcloud.mariadb.binaries import Binaries

ADMIN = "rdsadmin"
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 60
_POLL_S = 0.01

# Small enough for a dozen side by side; the redo log is large enough for mariadb-backup to follow heavy writing (with
# 16M it gave up under load). A buffer pool costs memory only as far as it is used.
SETTINGS = {
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "128M",
    "innodb-log-buffer-size": "8M",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-dump-at-shutdown": "0",
    "innodb-buffer-pool-load-at-startup": "0",
    "performance-schema": "0",
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "8M",
    "query-cache-size": "0",
    "max-connections": "200",
    "table-open-cache": "400",
    "table-definition-cache": "600",
    "max-allowed-packet": "64M",
    "event-scheduler": "OFF",
    # as in MySQL 8: INSERT ... SELECT of one connection does not keep another out of a table with AUTO_INCREMENT
    "innodb-autoinc-lock-mode": "2",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_unicode_ci",
    "default-time-zone": "+00:00",
    # MySQL 8.0's own, so that SQL which Aurora refuses is refused here
    "sql-mode": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION",
    "proxy-protocol-networks": "localhost",
}

# PR_SET_PDEATHSIG = 1: the server ends itself if we die. It is set in between, by a small program that then becomes the
# server, because code between fork and exec in a process with threads may deadlock.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server:
    """One mariadbd.

    :param binaries: the programs.
    :param folder: holds ``data/`` and gets the log, the pid file and temporary files.
    :param socket: the unix socket, below 100 characters.
    :param admin_password: of rdsadmin.
    :param options: more options for this server, such as its certificate.
    :param spawn: runs a function in a thread that lives as long as the servers may; the kernel's "parent died" is about
        the thread that started them.
    """

    def __init__(
        self,
        binaries: Binaries,
        folder: Path,
        socket: Path,
        *,
        admin_password: str,
        options: tuple[str, ...] = (),
        spawn: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]] = lambda start: start(),
    ) -> None:
        self.folder = folder
        self.socket = socket
        self._binaries = binaries
        self._admin_password = admin_password
        self._options = options
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def crashed(self) -> bool:
        """Whether the process has ended without :meth:`stop`."""
        return self._process is not None and self._process.poll() is not None

    @property
    def pid(self) -> int | None:
        """The process id, if it lives."""
        return self._process.pid if self._process and self.running else None

    def start(self, *, user: str = ADMIN, extra: tuple[str, ...] = ()) -> None:
        """Start the server and return when it answers; nothing happens if it runs.

        :param user: who asks for an answer.
        :param extra: options for this start only.
        :raises EngineError: it ended or did not answer in time; the message ends with its log.
        """
        if self.running:
            return
        command = [str(self._binaries.server), *self._arguments(), *extra]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        (self.folder / "tmp").mkdir(exist_ok=True)
        self._process = process = self._spawn(
            lambda: subprocess.Popen(
                command,
                env=self._binaries.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        pid_file(self.folder).write_text(f"{process.pid}\n")
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                raise EngineError(f"mariadbd ended at once with code {process.returncode}: {self._log_tail()}")
            with contextlib.suppress(pymysql.err.OperationalError):
                self.connect(user).close()
                return
            if time.monotonic() > deadline:
                self.stop(kill=True)
                raise EngineError(f"mariadbd did not answer within {_START_TIMEOUT_S} s: {self._log_tail()}")

    def stop(self, *, kill: bool = False) -> None:
        """End the server and return when it is gone; cleanly, or at once with `kill`."""
        process, self._process = self._process, None
        if process and process.poll() is None:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        pid_file(self.folder).unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def connect(self, user: str = ADMIN) -> Connection:
        """Return a connection over the unix socket, committing each statement."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=user,
            password=self._admin_password if user == ADMIN else "",
            charset="utf8mb4",
            autocommit=True,
        )

    def _arguments(self) -> list[str]:
        arguments = [
            "--no-defaults",
            *self._binaries.layout,
            f"--datadir={data(self.folder)}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'server.pid'}",
            f"--log-error={self.folder / 'error.log'}",
            f"--tmpdir={self.folder / 'tmp'}",
            "--skip-networking",
            "--skip-name-resolve",
            *as_root(),
        ]
        return [*arguments, *(f"--{name}={value}" for name, value in SETTINGS.items()), *self._options]

    def _log_tail(self) -> str:
        log = self.folder / "error.log"
        return log.read_text(errors="replace")[-2000:].strip() if log.exists() else "it wrote no log"


def data(folder: Path) -> Path:
    """Return the data directory in a server's folder."""
    return folder / "data"


def pid_file(folder: Path) -> Path:
    """Return the file that names the process serving `folder`; written by us as soon as there is a process."""
    return folder / "mariadbd.pid"


def as_root() -> tuple[str, ...]:
    """Return the option mariadbd wants from root; staying root, since other users may not enter the folders."""
    return ("--user=root",) if os.geteuid() == 0 else ()


def end_orphan(folder: Path) -> bool:
    """End the mariadbd that a crashed localcloud left on `folder`; return whether there was one."""
    try:
        pid = int(pid_file(folder).read_text())
    except (FileNotFoundError, ValueError):
        return False
    found = _serves(pid, folder)
    if found:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        pause = threading.Event()
        while _serves(pid, folder):  # not our child any more, so there is nothing to wait on
            pause.wait(_POLL_S)
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
    pid_file(folder).unlink(missing_ok=True)
    return found


def _serves(pid: int, folder: Path) -> bool:
    """Whether `pid` is (still) a mariadbd on `folder`; a number alone may have been given to another program."""
    command = ["ps", "-ww", "-o", "stat=", "-o", "args=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, arguments = listing.stdout.strip().partition(" ")
    return not state.startswith("Z") and f"--datadir={data(folder)}" in arguments
