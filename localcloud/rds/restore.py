"""RestoreDBClusterFromSnapshot and RestoreDBClusterToPointInTime."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.rds import catalog, lifecycle, rules, views
from localcloud.rds.backups import restorable
from localcloud.rds.clusters import COMMON, build, check_new
from localcloud.rds.core import new_id
from localcloud.rds.errors import (
    ClusterNotFoundError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    SnapshotNotFoundError,
)
from localcloud.rds.events import kinds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params, Region

FROM_SNAPSHOT = COMMON | {"Engine", "EngineVersion", "SnapshotIdentifier"}
POINT_IN_TIME = COMMON | {
    "RestoreToTime",
    "RestoreType",
    "SourceDBClusterIdentifier",
    "SourceDbClusterResourceId",
    "UseLatestRestorableTime",
}
CROSS_ACCOUNT_CLONES = 15


class Restore:
    """Ways to make a cluster from data: without instances, so nothing listens before the first one is available."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def from_snapshot(self, region: Region, params: Params) -> dict[str, Any]:
        """RestoreDBClusterFromSnapshot: of an own snapshot, or by ARN of one shared with the account.

        Without ``KmsKeyId`` the cluster keeps the snapshot's key, even a foreign one. The master user and password are
        the snapshot's; the call has no parameters for them.
        """
        rules.known_parameters(params, FROM_SNAPSHOT, "RestoreDBClusterFromSnapshot")
        core = self.core
        with core.lock:
            check_new(core, region, params)
            snapshot = core.readable_snapshot(region, params.get("SnapshotIdentifier"))
            if snapshot.region != region.name:
                raise SnapshotNotFoundError(
                    f"DBClusterSnapshot {params['SnapshotIdentifier']} not found in {region.name}."
                )
            core.require_complete(snapshot)
            if params.get("Engine") != snapshot.engine:
                raise InvalidParameterCombinationError(
                    f"The engine {params.get('Engine')} does not match the snapshot's, {snapshot.engine}."
                )
            version = catalog.not_older(
                catalog.version(params.get("EngineVersion") or snapshot.engine_version), snapshot.engine_version
            )
            core.check_source_key(region, snapshot)
            key = core.key_for(region, params["KmsKeyId"]) if params.get("KmsKeyId") else snapshot.kms_key_id
            cluster = build(
                core,
                region,
                params,
                engine_version=version,
                master=snapshot.master_username,
                key=key,
                retention=snapshot.backup_retention,
            )
            cluster.iam_authentication = params.get("EnableIAMDatabaseAuthentication", snapshot.iam_authentication)
            cluster.restoring_from = snapshot.arn
            region.clusters[cluster.identifier] = cluster
        self._run(cluster, partial(core.engine.restore, snapshot.key, cluster.resource_id))
        return views.cluster(region, cluster)

    def to_point_in_time(self, region: Region, params: Params) -> dict[str, Any]:
        """RestoreDBClusterToPointInTime: full-copy (default) of now or of a moment, or copy-on-write of now.

        By ARN, copy-on-write of another account's cluster that it shares through RAM.

        :raises InvalidParameterCombinationError: not exactly one of RestoreToTime and UseLatestRestorableTime, a moment
            for copy-on-write, or a rule of cloning across accounts is broken.
        :raises InvalidParameterValueError: the cluster cannot be restored to that moment.
        :raises ClusterNotFoundError: unknown source, or another account's that is not shared with this one.
        """
        rules.known_parameters(params, POINT_IN_TIME, "RestoreDBClusterToPointInTime")
        core = self.core
        with core.lock:
            check_new(core, region, params)
            kind = params.get("RestoreType", "full-copy")
            source = self._source(region, params)
            if kind not in {"full-copy", "copy-on-write"}:
                raise InvalidParameterValueError(f"Invalid RestoreType: {kind}. Known: full-copy, copy-on-write.")
            if source.resource_id not in core.retained:
                core.require_available(source, "restore to a point in time")
            if source.account != region.account:
                self._check_clone_from_abroad(region, source, kind, params)
            moment = self._moment(source, kind, params)
            key = core.key_for(region, params["KmsKeyId"]) if params.get("KmsKeyId") else source.kms_key_id
            cluster = build(
                core,
                region,
                params,
                engine_version=source.engine_version,
                master=source.master_username,
                key=key,
                retention=source.backup_retention,
            )
            cluster.pending_password = source.pending_password
            cluster.pending_database = source.pending_database
            if kind == "copy-on-write":
                source.clone_group = cluster.clone_group = source.clone_group or new_id("").lower()
                cluster.cross_account = source.account != region.account
            region.clusters[cluster.identifier] = cluster

        def work() -> None:
            key = new_id("clone-")
            if moment is None:
                # what would end the source's server waits until its data are read
                with core.working(source.resource_id):
                    core.engine.snapshot(source.resource_id, key)
            else:
                core.engine.snapshot_at(source.resource_id, key, moment)
            try:
                core.engine.restore(key, cluster.resource_id)
            finally:
                core.engine.delete_snapshot(key)

        self._run(cluster, work)
        return views.cluster(region, cluster)

    def _source(self, region: Region, params: Params) -> Cluster:
        resource = params.get("SourceDbClusterResourceId")
        if bool(resource) == bool(params.get("SourceDBClusterIdentifier")):
            raise InvalidParameterCombinationError(
                "Give one of SourceDBClusterIdentifier and SourceDbClusterResourceId."
            )
        if not resource:
            arn = rules.parse_arn(params["SourceDBClusterIdentifier"])
            ram = self.core.cloud.ram
            if (
                arn
                and ram
                and arn.region == region.name
                and ram.lets(region.account, params["SourceDBClusterIdentifier"])
            ):
                return self.core.cluster(self.core.region(arn.account, arn.region), arn.name)
            return self.core.cluster(region, params["SourceDBClusterIdentifier"])
        for cluster in [*region.clusters.values(), *self.core.retained_in(region)]:
            if cluster.resource_id == resource:
                return cluster
        raise ClusterNotFoundError(f"DBCluster {resource} not found.")

    def _moment(self, source: Cluster, kind: str, params: Params) -> float | None:
        """Return the moment to restore to, in epoch seconds; None is now, as the source's storage is."""
        latest, asked = bool(params.get("UseLatestRestorableTime")), params.get("RestoreToTime")
        if latest == bool(asked):
            raise InvalidParameterCombinationError("Specify one of UseLatestRestorableTime and RestoreToTime.")
        gone = source.resource_id in self.core.retained
        if kind == "copy-on-write" and (asked or gone):
            raise InvalidParameterCombinationError(
                "copy-on-write is of a cluster as it is now: it takes neither RestoreToTime nor a retained backup."
            )
        if asked:
            return _restorable_moment(source, asked)
        return source.restorable_until if gone else None

    def _check_clone_from_abroad(self, region: Region, source: Cluster, kind: str, params: Params) -> None:
        """Check what AWS asks of a clone across accounts (Aurora User Guide, "Cross-account cloning").

        :raises InvalidParameterCombinationError: a rule is broken; AWS's own codes for these are not documented.
        :raises KmsKeyNotAccessibleError: the account may not use the source's key.
        """
        if kind != "copy-on-write":
            raise InvalidParameterCombinationError("Another account's cluster can be restored as copy-on-write only.")
        if not self.core.region(source.account, source.region).members(source):
            raise InvalidParameterCombinationError(f"{source.arn} has no instances; it cannot be cloned.")
        if source.kms_key_id is None and params.get("KmsKeyId"):
            raise InvalidParameterCombinationError(f"{source.arn} is not encrypted, so its clone cannot be either.")
        clones = [
            cluster
            for (_, name), place in self.core.regions.items()
            if name == region.name
            for cluster in place.clusters.values()
            if cluster.cross_account and source.clone_group and cluster.clone_group == source.clone_group
        ]
        if any(cluster.account == region.account for cluster in clones):
            raise InvalidParameterCombinationError(
                f"Account {region.account} has a cross-account clone of {source.arn} already; there can be one."
            )
        if len(clones) >= CROSS_ACCOUNT_CLONES:
            raise InvalidParameterCombinationError(f"{source.arn} has {CROSS_ACCOUNT_CLONES} cross-account clones.")
        self.core.check_source_key(region, source)

    def _run(self, cluster: Cluster, work: Callable[[], None]) -> None:
        core = self.core

        def done() -> None:
            with core.lock:
                cluster.restoring_from = None
                core.turn(cluster, "available")
                core.event(cluster, kinds.CLUSTER_RESTORED)

        def failed() -> None:
            with core.lock:
                cluster.restoring_from = None
                core.fail(cluster)

        core.lifecycle.run(
            f"restore {cluster.identifier}",
            lifecycle.RESTORE,
            partial(core.once, cluster.resource_id, work),
            done,
            failed,
            cluster,
        )


def _restorable_moment(cluster: Cluster, asked: datetime) -> float:
    """Return RestoreToTime in full epoch seconds, if the cluster can be restored to it.

    The code is AWS's, and the words are nearly (they were seen for instances: "cannot be restored to a time earlier than
    2022-10-20T12:59:32Z because its backup retention period is set to 1 days", "... later than ...").

    :raises InvalidParameterValueError: before its backups begin, or after the latest restorable time.
    """
    window = restorable(cluster)
    if window is None:
        raise InvalidParameterValueError(
            f"The specified cluster {cluster.identifier} cannot be restored: it has no backups yet; see its "
            "LatestRestorableTime."
        )
    moment = float(int(asked.replace(tzinfo=UTC).timestamp()))
    first, last = (views.moment(at) for at in window)
    if moment < window[0]:
        raise InvalidParameterValueError(
            f"The specified cluster cannot be restored to a time earlier than {first:%Y-%m-%dT%H:%M:%SZ}, when its "
            f"backups begin; its backup retention period is set to {cluster.backup_retention} days."
        )
    if moment > window[1]:
        raise InvalidParameterValueError(
            f"The specified cluster cannot be restored to a time later than {last:%Y-%m-%dT%H:%M:%SZ}."
        )
    return moment
