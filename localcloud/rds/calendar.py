"""Snapshots that AWS takes without a call: automated ones, those of AWS Backup, and those of days gone by."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud.rds.errors import RdsError, SnapshotAlreadyExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.rds.core import Core
    from localcloud.rds.instance_snapshots import InstanceSnapshots
    from localcloud.rds.model import Cluster, Region, Snapshot, SnapshotType
    from localcloud.rds.snapshots import Snapshots


class Calendar:
    """Admin operations that take snapshots.

    :param core: state.
    :param snapshots: takes those of clusters.
    :param of_instances: takes those of instances.
    """

    def __init__(self, core: Core, snapshots: Snapshots, of_instances: InstanceSnapshots) -> None:
        self.core = core
        self.snapshots = snapshots
        self.of_instances = of_instances

    def automated(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Take the snapshot that AWS takes once a day, ``rds:<cluster>-YYYY-MM-DD-HH-MM``.

        :param parameters: account, region, cluster (or instance); created: epoch seconds to pretend it was taken at, null is
            now.
        :raises ValueError: what RDS would answer, such as that there is one of this minute.
        """
        if parameters.get("instance"):
            return self.of_instances.automated(parameters, backup=False)
        return self._take(parameters, "automated", lambda cluster, moment: automated_name(cluster, moment))

    def backup(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Take a snapshot as AWS Backup does, ``awsbackup:job-<uuid>``.

        :param parameters: as of :meth:`automated`; job: id of the backup job, random by default.
        :raises ValueError: what RDS would answer.
        """
        if parameters.get("instance"):
            return self.of_instances.automated(parameters, backup=True)
        job = parameters.get("job") or str(uuid.uuid4())
        return self._take(parameters, "awsbackup", lambda _cluster, _moment: f"awsbackup:job-{job}")

    def past(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Let automated snapshots have been taken at moments gone by; there are no events of them, and they are available.

        They have the data of another snapshot, at no cost: what days gone by held is not known.

        :param parameters: account, region, cluster; moments: list of epoch seconds; like: identifier of the snapshot whose
            data they have.
        :raises ValueError: what RDS would answer, or moments is no list of numbers.
        """
        moments = parameters["moments"]
        if not isinstance(moments, list) or not all(isinstance(moment, int | float) for moment in moments):
            raise ValueError(f"moments={moments!r} is not a list of epoch seconds")
        core = self.core
        try:
            with core.lock:
                region = core.region(parameters["account"], parameters["region"])
                cluster = core.cluster(region, parameters["cluster"])
                source = core.own_snapshot(region, parameters["like"])
                core.require_complete(source)
                made = [self._of_past(region, cluster, source, moment) for moment in moments]
        except RdsError as error:
            raise ValueError(str(error)) from error
        core.cloud.store.save("rds")
        return {"DBClusterSnapshotIdentifiers": made}

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _take(
        self, parameters: dict[str, Any], kind: SnapshotType, name: Callable[[Cluster, float], str]
    ) -> dict[str, Any]:
        core = self.core
        try:
            with core.lock:
                region = core.region(parameters["account"], parameters["region"])
                cluster = core.cluster(region, parameters["cluster"])
                self.snapshots.check_can_snapshot(region, cluster)
                created = parameters.get("created")
                moment = time.time() if created is None else float(created)
                identifier = _free(region, name(cluster, moment))
                self.snapshots.take(region, cluster, identifier, kind, {}).created = moment
        except RdsError as error:
            raise ValueError(str(error)) from error
        return {"DBClusterSnapshotIdentifier": identifier}

    def _of_past(self, region: Region, cluster: Cluster, source: Snapshot, moment: float) -> str:
        identifier = _free(region, automated_name(cluster, moment))
        snapshot = self.snapshots.reserve(region, cluster, identifier, "automated", {}, told=False)
        self.core.engine.copy_snapshot(source.key, snapshot.key)
        snapshot.created, snapshot.allocated_gib, snapshot.status = moment, source.allocated_gib, "available"
        return identifier


def automated_name(cluster: Cluster, moment: float) -> str:
    """Return the identifier of the automated snapshot of a cluster at a moment, epoch seconds."""
    return f"rds:{cluster.identifier}-{datetime.fromtimestamp(moment, UTC):%Y-%m-%d-%H-%M}"


def _free(region: Region, identifier: str) -> str:
    if identifier in region.snapshots:
        raise SnapshotAlreadyExistsError(
            f"Cannot create the snapshot because a snapshot with the identifier {identifier} already exists."
        )
    return identifier
