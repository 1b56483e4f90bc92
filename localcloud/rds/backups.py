"""What keeps clusters restorable to a moment: notes how far their logs are, and base copies when those have grown."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pymysql

from localcloud.mariadb.errors import EngineError

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster

log = logging.getLogger(__name__)

DAY_S = 86_400
RETRY_S = 10


class Backups:
    """Follows the logs of all clusters.

    :param core: state and engine.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._limit_bytes = core.cloud.config.binlog_mib * 2**20
        self._renewing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._following, name="backups", daemon=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="backup")

    def start(self) -> None:
        """Begin to follow."""
        self._follow_all()
        self._thread.start()

    def close(self) -> None:
        """End it; a base that is being copied is finished."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _following(self) -> None:
        # just after each full second, as these are the moments that are asked for
        while not self._stop.wait(1 - time.time() % 1):
            self._follow_all()

    def _follow_all(self) -> None:
        for region in list(self.core.regions.values()):
            for cluster in [one for one in list(region.clusters.values()) if not one.idle]:
                try:
                    self._follow(cluster)
                except OSError:  # such as: it is being deleted
                    log.info("the log of %s cannot be followed", cluster.identifier, exc_info=True)
        for cluster in list(self.core.retained.values()):
            if restorable(cluster) is None:
                self.core.drop_retained(cluster)

    def _follow(self, cluster: Cluster) -> None:
        engine, key = self.core.engine, cluster.resource_id
        now = time.time()
        engine.follow(key)
        earliest = engine.earliest(key)
        cluster.restorable_from = None if earliest is None else max(earliest, cluster.restorable_from or 0)
        cluster.restorable_until = float(int(now))
        if key not in self._renewing and engine.backup_due(key, self._limit_bytes):
            self._renewing.add(key)
            self._pool.submit(self._renew, cluster)

    def _renew(self, cluster: Cluster) -> None:
        key = cluster.resource_id
        try:
            with self.core.working(key):  # what would end its server waits
                if self.core.engine.backup_due(key, self._limit_bytes):
                    self.core.engine.renew_backup(key, self._limit_bytes)
        except (EngineError, OSError, pymysql.err.MySQLError):
            log.exception("no backup of %s could be taken; it is tried again", cluster.identifier)
            self._stop.wait(RETRY_S)
        finally:
            self._renewing.discard(key)


def restorable(cluster: Cluster) -> tuple[float, float] | None:
    """Return the first and the last moment that a cluster can be restored to, epoch seconds; None if there is none yet."""
    if cluster.restorable_from is None:
        return None
    first = max(math.ceil(cluster.restorable_from), time.time() - cluster.backup_retention * DAY_S)
    return (first, cluster.restorable_until) if first <= cluster.restorable_until else None
