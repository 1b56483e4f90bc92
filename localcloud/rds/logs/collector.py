"""Keeps the audit logs of all instances: settings follow the groups, records become the files of their instance.

What the plugin of a cluster's server writes is one file; Aurora has four of every instance. By which instance a statement
came is known from the address that its connection came by. RDS for MariaDB and MySQL has the plugin's own files.
"""

from __future__ import annotations

import logging
import shutil
import threading
from typing import TYPE_CHECKING

import pymysql

from localcloud.mariadb.errors import EngineError
from localcloud.rds.endpoints import address
from localcloud.rds.logs import audit
from localcloud.rds.logs.records import Converter, Place
from localcloud.rds.logs.shelf import AUDIT, ERROR, AuroraFiles
from localcloud.rds.logs.tail import Tail
from localcloud.rds.standalone import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from moto.rds.models import DBInstance

    from localcloud.rds.core import Core
    from localcloud.rds.logs.audit import Audit
    from localcloud.rds.model import Cluster, Instance

log = logging.getLogger(__name__)

PERIOD_S = 0.2
TEND_EVERY = 5
LONGEST_RAW = 64 * 2**20
LOOPBACK = b"127.0.0.1"


class Collector:
    """The logs of one localcloud.

    :param core: state and engine.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._config = core.cloud.config.logs
        self._folder = core.cloud.config.logs_folder
        self._guard = threading.Lock()
        self._tails: dict[str, tuple[Tail, Converter]] = {}
        self._files: dict[str, AuroraFiles] = {}
        self._applied: dict[str, tuple[int | None, Audit]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-logs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, with what the servers wrote so far."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for cluster in self._clusters():
            self.collect(cluster)
        for tail, _ in self._tails.values():
            tail.close()
        for files in self._files.values():
            files.close()

    # ---- settings of servers -----------------------------------------------------------------------------------------

    def options(self, cluster: Cluster) -> tuple[str, ...]:
        """Return the options to start the server of a cluster with, so that it is audited from its first statement on."""
        settings = audit.of_cluster(cluster, always=self._config.always)
        folder = self._folder / cluster.resource_id
        folder.mkdir(parents=True, exist_ok=True)
        self._applied[cluster.resource_id] = (None, settings)
        return settings.options(folder / audit.RAW_FILE)

    def options_of_instance(self, database: DBInstance) -> tuple[str, ...]:
        """Return the same for an RDS instance, whose plugin writes the very files that the API serves."""
        settings = audit.of_instance(database, always=self._config.always)
        folder = self.folder(database.dbi_resource_id)
        (folder / AUDIT).mkdir(parents=True, exist_ok=True)
        self._link_errors(database.dbi_resource_id, database.dbi_resource_id)
        self._applied[database.dbi_resource_id] = (None, settings)
        return settings.options(folder / AUDIT / audit.RAW_FILE)

    def _apply(self, key: str, settings: Audit) -> None:
        """Set what has changed on a running server."""
        pid = self.core.engine.pid(key)
        if pid is None or self._applied.get(key) == (pid, settings):
            return
        if self._applied.get(key) == (None, settings):  # it was started with them
            self._applied[key] = (pid, settings)
            return
        with self.core.engine.admin(key) as connection, connection.cursor() as cursor:
            # users are taken out of one list before they are put into the other
            for name in ("server_audit_incl_users", "server_audit_excl_users"):
                cursor.execute(f"SET GLOBAL {name} = ''")
            for name, value in settings.variables().items():
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))
        self._applied[key] = (pid, settings)

    # ---- files -------------------------------------------------------------------------------------------------------

    def folder(self, resource_id: str) -> Path:
        """Folder of an instance's log files."""
        return self._folder / resource_id

    def files(self, resource_id: str) -> AuroraFiles:
        """Return the audit files of an Aurora instance."""
        with self._guard:
            if resource_id not in self._files:
                self._files[resource_id] = AuroraFiles(self.folder(resource_id), self._config)
            return self._files[resource_id]

    def collect(self, cluster: Cluster) -> None:
        """Bring what a cluster's plugin has written up to now into the files of its instances."""
        if cluster.idle:
            return
        with self._guard:
            if cluster.resource_id not in self._tails:
                tail = Tail(self._folder / cluster.resource_id, min(LONGEST_RAW, 10 * self._config.rotate_bytes))
                self._tails[cluster.resource_id] = tail, Converter(self._config.breaks)
            tail, converter = self._tails[cluster.resource_id]
        with tail.lock:
            place = self._places(cluster)
            for lines in tail.lines():
                sorted_: dict[tuple[str, int], list[bytes]] = {}
                for resource_id, slot, record in converter.convert(lines, place):
                    sorted_.setdefault((resource_id, slot), []).append(record)
                for (resource_id, slot), records in sorted_.items():
                    self.files(resource_id).append(slot, records)

    def _places(self, cluster: Cluster) -> Callable[[int], Place | None]:
        """Tell by the number of a connection to a cluster's server whose it is: what localcloud does itself, the writer's."""
        core = self.core
        with core.lock:
            members = core.region(cluster.account, cluster.region).members(cluster)
        where = (cluster.account, cluster.region)
        by_address = {address(*where, "instance", member.identifier): [member] for member in members}
        by_address[address(*where, "reader", cluster.identifier)] = members[1:] or members
        known: dict[int, Place | None] = {}

        def place(connection: int) -> Place | None:
            if connection not in known:
                origin = core.engine.origin(cluster.resource_id, connection)
                among = by_address.get(origin or "", members[:1])
                chosen = among[connection % len(among)] if among else None
                known[connection] = _place(chosen, LOOPBACK if origin else None) if chosen else None
            return known[connection]

        return place

    # ---- in the background -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        rounds = 0
        while not self._stop.wait(PERIOD_S):
            rounds += 1
            for cluster in self._clusters():
                try:
                    self._keep(cluster, tend=rounds % TEND_EVERY == 0)
                except (EngineError, OSError, pymysql.err.MySQLError):
                    log.info("the audit log of %s has to wait", cluster.identifier, exc_info=True)
            for database in served():
                try:
                    self._apply(database.dbi_resource_id, audit.of_instance(database, always=self._config.always))
                except (EngineError, OSError, pymysql.err.MySQLError):
                    log.info("the audit log of %s has to wait", database.db_instance_identifier, exc_info=True)
            if rounds % TEND_EVERY == 0:
                self._remove_unknown()

    def _keep(self, cluster: Cluster, *, tend: bool) -> None:
        key = cluster.resource_id
        self._apply(key, audit.of_cluster(cluster, always=self._config.always))
        self.collect(cluster)
        tail, _ = self._tails[key]
        if tail.is_long and self.core.engine.running(key):
            with self.core.engine.admin(key) as connection, connection.cursor() as cursor:
                cursor.execute("SET GLOBAL server_audit_file_rotate_now = ON")
            self.collect(cluster)
        if tend:
            for member in self._members(cluster):
                self.files(member.resource_id).tend()
                self._link_errors(member.resource_id, key)

    def _link_errors(self, resource_id: str, key: str) -> None:
        """Let the error log of a server be one of its instance's log files."""
        link = self.folder(resource_id) / ERROR / "mysql-error-running.log"
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.core.engine.error_log(key))

    def _remove_unknown(self) -> None:
        """Remove the logs of instances and clusters that are gone."""
        paths = list(self._folder.iterdir()) if self._folder.exists() else []  # before the look at what there is
        with self.core.lock:
            known = {database.dbi_resource_id for database in served()}
            for region in self.core.regions.values():
                known |= {cluster.resource_id for cluster in region.clusters.values()}
                known |= {instance.resource_id for instance in region.instances.values()}
        for path in paths:
            if path.name not in known:
                with self._guard:
                    if files := self._files.pop(path.name, None):
                        files.close()
                    if tail := self._tails.pop(path.name, None):
                        tail[0].close()
                    self._applied.pop(path.name, None)
                shutil.rmtree(path, ignore_errors=True)

    def _clusters(self) -> Iterator[Cluster]:
        """Yield the clusters that have, or had, a server."""
        for region in list(self.core.regions.values()):
            yield from [cluster for cluster in list(region.clusters.values()) if not cluster.idle]

    def _members(self, cluster: Cluster) -> list[Instance]:
        with self.core.lock:
            return self.core.region(cluster.account, cluster.region).members(cluster)


def _place(member: Instance, host: bytes | None) -> Place:
    return Place(member.resource_id, member.identifier.encode(), host)
