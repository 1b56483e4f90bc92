"""The databases of localcloud: a real MariaDB for every Aurora cluster, physical snapshots, movable endpoints.

Everything lies below ``<home>/mariadb`` and is addressed by keys that never change (a cluster's resource id, a
snapshot's id): names are the business of the API in front.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.mariadb import binaries as programs
from localcloud.mariadb import copies, files, template
from localcloud.mariadb.backups import Backups, describe
from localcloud.mariadb.errors import EngineError
from localcloud.mariadb.relay import Relay
from localcloud.mariadb.server import ADMIN, Server, data, end_orphan
from localcloud.mariadb.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.connections import Connection

_EMULATION = Path(__file__).with_name("emulate.sql")
_TEMPLATE = "0 template"

# What Aurora's master user has, in MariaDB's words; never SUPER, FILE or SHUTDOWN. SET USER lets it create triggers,
# views and procedures for other definers (Aurora: SET_USER_ID). CONNECTION ADMIN is left out: here it would also allow
# SET GLOBAL, which Aurora refuses; other sessions are ended with mysql.rds_kill.
MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, "
    "CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, SET USER"
)
MASTER_ROLES = ("rds_superuser_role", "AWS_LOAD_S3_ACCESS", "AWS_SELECT_S3_ACCESS", "AWS_LAMBDA_ACCESS")


class Engine:
    """All database servers of one localcloud. Thread-safe; operations on one key wait for each other.

    :param home: localcloud's folder; data goes to ``mariadb/``, the certificate authority to ``tls/``.
    :param db_port: the port of every endpoint.
    :param prefix: where an unpacked MariaDB lies; see :func:`localcloud.mariadb.binaries.find`.
    :raises EngineError: another process uses this home.
    :raises MariaDBNotFoundError: there is no MariaDB.
    """

    def __init__(self, home: Path, *, db_port: int, prefix: Path | None = None) -> None:
        self._root = home.resolve() / "mariadb"
        self._root.mkdir(parents=True, exist_ok=True)
        self._binaries = programs.find(prefix)
        self._lock_file = (self._root / "lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock_file.close()
            raise EngineError(f"another localcloud uses {home}: run `python -m localcloud down` first") from error
        end_orphans(home)
        self._sockets = files.short_folder()
        (self._root / "sockets").write_text(str(self._sockets))
        self._authority = Authority(home.resolve() / "tls")
        self._password = files.admin_password(self._root / "rdsadmin.secret")
        self._login = files.login(self._root / "rdsadmin.cnf", ADMIN, self._password)
        self._guard = threading.RLock()
        self._locks: dict[str, threading.RLock] = {}
        self._servers: dict[str, Server] = {}
        self._backups: dict[str, Backups] = {}
        self._options: dict[str, tuple[str, ...]] = {}
        self._routes_lock = threading.RLock()
        self._addresses: dict[str, set[str]] = {}
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="mariadbd-parent")
        self._relay = Relay(db_port)

    @property
    def ca_file(self) -> Path:
        """The certificate that clients verify endpoints with."""
        return self._authority.ca_file

    # --- clusters

    def create(self, key: str) -> None:
        """Make an empty cluster; not started.

        :raises EngineError: there is one.
        """
        with self._locked(_TEMPLATE):
            template.ensure(
                self._binaries,
                self._root / "template",
                self._sockets / "template.sock",
                admin_password=self._password,
                emulation=_EMULATION,
            )
        with self._locked(_cluster(key)):
            self._fill(key, data(self._root / "template"))

    def restore(self, snapshot_key: str, key: str) -> None:
        """Make a cluster out of a snapshot; not started, and independent of the snapshot.

        :raises EngineError: no such snapshot, or there is such a cluster.
        """
        with self._locked(_snapshot(snapshot_key), _cluster(key)):
            self._fill(key, self._existing_snapshot(snapshot_key))

    def start(self, key: str, options: tuple[str, ...] = ()) -> None:
        """Start the cluster's server, and its endpoints with it.

        :param options: more options of mariadbd, in force until it is started with others.
        """
        with self._locked(_cluster(key)):
            server = self._server(key)
            if not server.running:
                self._certify(key)
                self._options[key] = options or self._options.get(key, ())
                self._relay.forget(server.socket)
                server.start(extra=self._options[key])
            self._route(key)

    def stop(self, key: str) -> None:
        """Stop the cluster's server; its endpoints refuse connections until it is started again."""
        with self._locked(_cluster(key)):
            with self._routes_lock:
                for address in self._addresses.get(key, ()):
                    self._relay.withdraw(address)
            if key in self._servers:
                self._servers[key].stop()

    def running(self, key: str) -> bool:
        """Whether the cluster's server runs."""
        server = self._servers.get(key)
        return server is not None and server.running

    def delete(self, key: str, *, keep_backups: bool = False) -> None:
        """Remove the cluster and its endpoints; snapshots of it stay.

        :param keep_backups: what it can be restored to a moment from stays too, until it is deleted without.
        """
        with self._locked(_cluster(key)):
            self.expose(key, set())
            if server := self._servers.pop(key, None):
                server.stop(kill=True)
            if keep_backups:
                files.remove(data(self._cluster_folder(key)))
                return
            self._backups.pop(key, None)
            files.remove(self._cluster_folder(key))

    def has(self, key_or_snapshot: str) -> bool:
        """Whether there is a cluster or a snapshot of this key, complete."""
        return self._cluster_folder(key_or_snapshot).exists() or self._snapshot_folder(key_or_snapshot).exists()

    def crashed(self) -> list[str]:
        """List the clusters whose server has ended without being told to."""
        return [key for key, server in list(self._servers.items()) if server.crashed]

    def kill(self, key: str) -> int:
        """Let the cluster's server die at once, as in a crash.

        :return: its process id.
        :raises EngineError: it does not run.
        """
        pid = self.pid(key)
        if pid is None:
            raise EngineError(f"the server of {key} does not run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def prune(self, keys: set[str]) -> None:
        """Remove clusters and snapshots that nobody knows, such as those that a killed localcloud was making."""
        known = {files.file_name(key) for key in keys}
        for folder in [*(self._root / "clusters").glob("*"), *(self._root / "snapshots").glob("*")]:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        for name in ("replays", "readings"):
            shutil.rmtree(self._root / name, ignore_errors=True)

    def pid(self, key: str) -> int | None:
        """Return the process id of the cluster's server, None if it does not run."""
        server = self._servers.get(key)
        return server.pid if server else None

    def origin(self, key: str, connection: int) -> str | None:
        """Return the address by which a connection to the cluster came, by its number; None if by none, or long ago."""
        server = self._servers.get(key)
        return self._relay.origin(server.socket, connection) if server else None

    def error_log(self, key: str) -> Path:
        """Return the file that the cluster's server writes its errors to."""
        return self._cluster_folder(key) / "error.log"

    def admin(self, key: str) -> Connection:
        """Return a connection as rdsadmin, over the unix socket; each statement commits."""
        return self._server(key).connect()

    def set_master(self, key: str, username: str, password: str) -> None:
        """Create the master user, or give it this password, with what Aurora's master user may do.

        :raises EngineError: the cluster does not run, or the name is the administrator's.
        """
        if username == ADMIN:
            raise EngineError(f"{ADMIN} is reserved by the engine: choose another master user name")
        if not self.running(key):
            raise EngineError(f"the server of {key} does not run: start it before setting its master user")
        with self._locked(_cluster(key)), self.admin(key) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (username, password))
            cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK", (username, password))
            cursor.execute(f"GRANT {MASTER_PRIVILEGES} ON *.* TO %s@'%%' WITH GRANT OPTION", (username,))
            for role in MASTER_ROLES:
                cursor.execute(f"GRANT {role} TO %s@'%%' WITH ADMIN OPTION", (username,))

    # --- endpoints

    def expose(self, key: str, addresses: set[str]) -> None:
        """Let these loopback addresses, and only these, lead to the cluster while its server runs.

        An address that led to another cluster leads here now. Connections through addresses that changed are dropped.

        :raises EngineError: an address cannot be listened on.
        """
        with self._locked(_cluster(key)), self._routes_lock:
            for other in self._addresses.values():
                other -= addresses
            gone = self._addresses.get(key, set()) - addresses
            before = self._addresses.get(key)
            self._addresses[key] = set(addresses)
            for address in gone:
                self._relay.withdraw(address)
            if self.running(key):
                if before != addresses and addresses:
                    self._certify(key)
                self._route(key)
            else:
                for address in addresses:
                    self._relay.withdraw(address)

    # --- snapshots

    def snapshot(self, key: str, snapshot_key: str) -> None:
        """Take a consistent physical copy of the cluster, while it runs and is written to.

        :raises EngineError: no such cluster, there is such a snapshot, or the copy failed (the message says why).
        """
        with self._locked(_snapshot(snapshot_key)), self._building(snapshot_key) as target:
            source = self._cluster_folder(key)
            if not data(source).exists():
                raise EngineError(f"there is no cluster {key} to take a snapshot of")
            with self._locked(_cluster(key)):
                server = self._servers.get(key)
                if server and server.crashed:  # only with its log can it tell what was committed when it died
                    self.start(key)
                if server is None or not server.running:
                    files.copy(data(source), target)
                    return
            # without the cluster's lock: while this takes its time, the cluster may be renamed and exposed elsewhere
            copies.hot_copy(self._binaries, self._login, server, target)

    def snapshot_at(self, key: str, snapshot_key: str, moment: float) -> None:
        """Make a copy of the cluster as it was at a moment: the newest base before it, and the log replayed on that.

        The cluster itself goes on meanwhile, whatever happens to it.

        :param moment: epoch seconds.
        :raises EngineError: no such cluster, none of its backups is so old, there is such a snapshot, or the replay failed.
        """
        with self._locked(_snapshot(snapshot_key)), self._building(snapshot_key) as target:
            work = self._root / "replays" / files.file_name(snapshot_key)
            try:
                borrowed = work / "borrowed"
                with self._locked(_cluster(key)):
                    stretch = self._backups_of(key).lend(moment, time.time(), borrowed)
                files.copy(data(borrowed), data(work))
                if stretch:
                    server = self._new_server(work, f"replay {snapshot_key}")
                    self._authority.write_server_certificate(work / "server-cert.pem", ())
                    server.start(extra=copies.REPLAY_OPTIONS)
                    try:
                        copies.replay(self._binaries, self._login, server, stretch)
                    finally:
                        server.stop()
                data(work).rename(target)
            finally:
                files.remove(work)

    def copy_snapshot(self, source_key: str, target_key: str) -> None:
        """Copy a snapshot; source and copy are independent.

        :raises EngineError: no such source, or there is such a target.
        """
        with self._locked(_snapshot(source_key), _snapshot(target_key)):
            source = self._existing_snapshot(source_key)
            with self._building(target_key) as target:
                files.link(source, target)

    def delete_snapshot(self, snapshot_key: str) -> None:
        """Remove a snapshot; clusters and copies made from it stay."""
        with self._locked(_snapshot(snapshot_key)):
            files.remove(self._snapshot_folder(snapshot_key))

    @contextlib.contextmanager
    def reading(self, snapshot_key: str) -> Iterator[Callable[[], Connection]]:
        """Run a server on a copy of a snapshot for the time of the block: about half a second, 0.3 s of processor time.

        :return: makes connections as rdsadmin. What they write is thrown away.
        :raises EngineError: no such snapshot, or its server does not start.
        """
        work = self._root / "readings" / files.file_name(snapshot_key)
        files.remove(work)
        work.mkdir(parents=True)
        with self._locked(_snapshot(snapshot_key)):
            files.copy(self._existing_snapshot(snapshot_key), data(work))
        server = self._server_in(work, f"reading {snapshot_key}", copies.READ_OPTIONS)
        try:
            server.start()
            yield server.connect
        finally:
            server.stop(kill=True)
            files.remove(work)

    # --- backups

    def follow(self, key: str) -> None:
        """Note how far the cluster's log is; to be called about once a second, whether its server runs or not."""
        self._backups_of(key).follow(time.time())

    def earliest(self, key: str) -> float | None:
        """Return the first moment that the cluster can be restored to, epoch seconds; None if there is none (yet)."""
        return self._backups_of(key).earliest()

    def backup_due(self, key: str, limit_bytes: int) -> bool:
        """Whether the cluster needs a new base, so that no more than so much log has to be kept."""
        return self.running(key) and self._backups_of(key).due(limit_bytes)

    def renew_backup(self, key: str, limit_bytes: int) -> None:
        """Take a new base of a running cluster, and drop the oldest ones and the log that exceeds the limit.

        :raises EngineError: the copy failed.
        """
        backups, server = self._backups_of(key), self._server(key)
        with backups.adding() as folder:
            describe(folder, *copies.hot_copy(self._binaries, self._login, server, data(folder)))
        if needed := backups.trim(limit_bytes):
            with self.admin(key) as connection, connection.cursor() as cursor:
                cursor.execute("PURGE BINARY LOGS TO %s", (needed,))

    def size_bytes(self, key_or_snapshot: str) -> int:
        """Return the size of a cluster's or snapshot's files without redo logs; 0 if there is neither."""
        for folder in (data(self._cluster_folder(key_or_snapshot)), self._snapshot_folder(key_or_snapshot)):
            if folder.exists():
                return sum(files.sizes(folder))
        return 0

    def close(self) -> None:
        """Stop all servers and the endpoints; data stays."""
        for key in list(self._servers):
            self.stop(key)
        self._relay.close()
        self._spawner.shutdown()
        shutil.rmtree(self._sockets, ignore_errors=True)
        (self._root / "sockets").unlink(missing_ok=True)
        self._lock_file.close()

    # --- inside

    @contextlib.contextmanager
    def _locked(self, *names: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name in sorted(set(names)):  # always in the same order, so that two threads cannot wait for each other
                with self._guard:
                    lock = self._locks.setdefault(name, threading.RLock())
                stack.enter_context(lock)
            yield

    def _cluster_folder(self, key: str) -> Path:
        return self._root / "clusters" / files.file_name(key)

    def _snapshot_folder(self, snapshot_key: str) -> Path:
        return self._root / "snapshots" / files.file_name(snapshot_key)

    def _existing_snapshot(self, snapshot_key: str) -> Path:
        folder = self._snapshot_folder(snapshot_key)
        if not folder.exists():
            raise EngineError(f"there is no snapshot {snapshot_key}")
        return folder

    def _fill(self, key: str, source: Path) -> None:
        folder = self._cluster_folder(key)
        if folder.exists():
            raise EngineError(f"there is a cluster {key} already: delete it first")
        making = folder.with_name(f"{folder.name}.making")
        files.remove(making)
        making.mkdir(parents=True)
        files.copy(source, data(making))
        _backups_in(making).begin(source, time.time())
        making.rename(folder)

    @contextlib.contextmanager
    def _building(self, snapshot_key: str) -> Iterator[Path]:
        folder = self._snapshot_folder(snapshot_key)
        if folder.exists():
            raise EngineError(f"there is a snapshot {snapshot_key} already")
        making = folder.with_name(f"{folder.name}.making")
        files.remove(making)
        making.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield making
            making.rename(folder)
        finally:
            files.remove(making)

    def _server(self, key: str) -> Server:
        with self._guard:
            server = self._servers.get(key)
            if server is None:
                folder = self._cluster_folder(key)
                if not data(folder).exists():
                    raise EngineError(f"there is no cluster {key}")
                server = self._new_server(folder, key, *self._backups_of(key).options())
                self._servers[key] = server
            return server

    def _new_server(self, folder: Path, key: str, *options: str) -> Server:
        tls = (
            f"--ssl-ca={self._authority.ca_file}",
            f"--ssl-cert={folder / 'server-cert.pem'}",
            f"--ssl-key={self._authority.server_key_file}",
        )
        return self._server_in(folder, key, (*tls, *options))

    def _server_in(self, folder: Path, key: str, options: tuple[str, ...]) -> Server:
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        return Server(
            self._binaries,
            folder,
            self._sockets / f"{digest}.sock",
            admin_password=self._password,
            options=options,
            spawn=lambda start: self._spawner.submit(start).result(),
        )

    def _backups_of(self, key: str) -> Backups:
        with self._guard:
            if key not in self._backups:
                self._backups[key] = _backups_in(self._cluster_folder(key))
            return self._backups[key]

    def _certify(self, key: str) -> None:
        """Give the cluster a certificate with the addresses it answers on."""
        folder = self._cluster_folder(key)
        self._authority.write_server_certificate(folder / "server-cert.pem", self._addresses.get(key, set()))
        if self.running(key):
            with self.admin(key) as connection, connection.cursor() as cursor:
                cursor.execute("FLUSH LOCAL SSL")  # else it would stand in the log

    def _route(self, key: str) -> None:
        with self._routes_lock:
            for address in self._addresses.get(key, set()):
                self._relay.point(address, self._server(key).socket)


def end_orphans(home: Path) -> int:
    """End what a crashed localcloud left in `home`: servers and the folder of their sockets.

    :return: how many servers there were.
    """
    root = home.resolve() / "mariadb"
    folders = [folder for name in ("clusters", "replays", "readings") for folder in (root / name).glob("*")]
    folders.append(root / "template.making")
    ended = sum(end_orphan(folder) for folder in folders)
    sockets = root / "sockets"
    if sockets.exists():
        shutil.rmtree(sockets.read_text(), ignore_errors=True)
        sockets.unlink()
    return ended


def _snapshot(snapshot_key: str) -> str:
    """Return the name of a snapshot's lock; taken before any cluster's."""
    return f"1 snapshot {snapshot_key}"


def _cluster(key: str) -> str:
    """Return the name of a cluster's lock."""
    return f"2 cluster {key}"


def _backups_in(cluster_folder: Path) -> Backups:
    return Backups(cluster_folder / "backups")
