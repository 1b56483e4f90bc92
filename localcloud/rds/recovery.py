"""What comes back by itself: clusters after a restart of localcloud, and a server that has died."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pymysql

from localcloud.mariadb.errors import EngineError
from localcloud.rds import instance_snapshots, standalone
from localcloud.rds.errors import RdsError
from localcloud.rds.events import kinds
from localcloud.rds.lifecycle import REBOOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.rds.models import DBInstance

    from localcloud.rds.core import Core
    from localcloud.rds.lifecycle import Operation
    from localcloud.rds.model import Cluster, Region

log = logging.getLogger(__name__)

WATCH_S = 0.1
# A cluster in one of these has no server; a member in one of those does not need one.
WITHOUT_SERVER = {"stopped", "stopping"}
NOT_SERVED = {"creating", "deleting", "failed", "stopped", "stopping"}


class Recovery:
    """Saves and brings back the state of RDS, and watches the servers.

    :param core: state, engine, operations under way.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._restarts: Counter[str] = Counter()
        self._unfinished: list[Operation] = []
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._watching, name="database-watch", daemon=True)

    def dump(self) -> dict[str, Any]:
        """Return the state, with the operations under way; the caller holds the lock."""
        core = self.core
        return {"regions": core.regions, "retained": core.retained, "operations": core.lifecycle.operations()}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`dump` gave; :meth:`start` goes on from there."""
        self.core.regions.update(state["regions"])
        self.core.retained.update(state.get("retained", {}))
        self._unfinished = state["operations"]

    def start(self) -> None:
        """Start the servers of clusters that had one, go on with the operations, and begin to watch."""
        core = self.core
        for _, cluster in self._clusters():
            cluster.port = core.cloud.config.db_port
        core.engine.prune(
            {cluster.resource_id for _, cluster in self._clusters()}
            | set(core.retained)
            | {database.dbi_resource_id for database in standalone.served()}
            | {snapshot.key for region in core.regions.values() for snapshot in region.snapshots.values()}
            | set(instance_snapshots.keys())
            | {task.key for region in core.regions.values() for task in region.exports.values() if task.ended is None}
        )
        for region, cluster in self._clusters():
            if _had_server(region, cluster):
                self._boot(region, cluster)
        for database in standalone.served():
            self._serve(database)
        unfinished, self._unfinished = self._unfinished, []
        core.lifecycle.resume(unfinished)
        self._watch.start()

    def close(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._watch.is_alive():
            self._watch.join()

    def kill(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Let the server of a cluster die at once; it is started again as RDS does, on the same data.

        :param parameters: account, cluster; region, if it is not that of the settings.
        :raises ValueError: no such cluster, or it has no server now.
        """
        core = self.core
        with core.lock:
            region = core.region(parameters["account"], parameters.get("region", core.cloud.config.region))
            try:
                cluster = core.cluster(region, parameters["cluster"])
                return {"pid": core.engine.kill(cluster.resource_id)}
            except (RdsError, EngineError) as error:
                raise ValueError(str(error)) from error

    def servers(self, _: dict[str, Any]) -> dict[str, Any]:
        """List the clusters with the process id of their server, null if none runs, and how often it was restarted."""
        with self.core.lock:
            return {
                "engines": [
                    {
                        "account": cluster.account,
                        "region": cluster.region,
                        "cluster": cluster.identifier,
                        "pid": self.core.engine.pid(cluster.resource_id),
                        "restarts": self._restarts[cluster.resource_id],
                    }
                    for _, cluster in self._clusters()
                ]
            }

    def _clusters(self) -> Iterator[tuple[Region, Cluster]]:
        for region in list(self.core.regions.values()):
            for cluster in list(region.clusters.values()):
                yield region, cluster

    def _watching(self) -> None:
        core = self.core
        while not self._stop.wait(WATCH_S):
            crashed = core.engine.crashed()
            if not crashed or self._stop.wait(core.lifecycle.seconds(REBOOT)):
                continue
            for region, cluster in self._clusters():
                if cluster.resource_id in crashed:
                    self._revive(region, cluster)
            for database in standalone.served():
                if database.dbi_resource_id in crashed:
                    self._serve(database)

    def _serve(self, database: DBInstance) -> None:
        """Start the server of an instance without a cluster."""
        try:
            standalone.boot(self.core, database)
        except (EngineError, pymysql.err.MySQLError):
            log.exception("the server of %s does not start", database.db_instance_identifier)
            self.core.engine.stop(database.dbi_resource_id)
            database.status = "failed"

    def _revive(self, region: Region, cluster: Cluster) -> None:
        """Start a server that has died; the statuses stay, as AWS shows the restart as an event only."""
        core = self.core
        with core.working(cluster.resource_id):
            if cluster.resource_id not in core.engine.crashed():
                return
            log.warning("the server of %s has died, and is started again", cluster.identifier)
            self._boot(region, cluster)
            self._restarts[cluster.resource_id] += 1
        with core.lock:
            for member in region.members(cluster)[:1]:
                core.event(member, kinds.INSTANCE_RESTARTED)

    def _boot(self, region: Region, cluster: Cluster) -> None:
        core = self.core
        try:
            core.boot(cluster)
            core.expose(cluster)
        except (EngineError, pymysql.err.MySQLError):
            log.exception("the server of %s does not start", cluster.identifier)
            core.engine.stop(cluster.resource_id)
            with core.lock:
                for member in region.members(cluster):
                    member.listening = False
                    core.fail(member)


def _had_server(region: Region, cluster: Cluster) -> bool:
    """Whether a server belongs to a cluster as its state is; an operation under way starts or ends it then."""
    members = region.members(cluster)
    return (
        not cluster.idle
        and cluster.status not in WITHOUT_SERVER
        and any(member.listening or member.status not in NOT_SERVED for member in members)
    )
