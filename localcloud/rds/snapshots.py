"""Operations on cluster snapshots: create, describe, copy, delete; automated ones."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.faults import TERMINAL
from localcloud.rds import lifecycle, rules, views
from localcloud.rds.core import new_id
from localcloud.rds.errors import (
    InvalidClusterStateError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    InvalidSnapshotStateError,
    KmsKeyNotAccessibleError,
    SnapshotAlreadyExistsError,
    SnapshotNotFoundError,
    SnapshotQuotaExceededError,
)
from localcloud.rds.events import kinds
from localcloud.rds.model import Snapshot, SnapshotType

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params, Region

FILTERS = ("db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine")
TYPES = {"manual", "automated", "awsbackup", "shared", "public"}
GIB = 2**30


class Snapshots:
    """Operations on cluster snapshots."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def create(self, region: Region, params: Params) -> dict[str, Any]:
        """CreateDBClusterSnapshot: of an available cluster with an available instance."""
        rules.known_parameters(
            params, {"DBClusterIdentifier", "DBClusterSnapshotIdentifier", "Tags"}, "CreateDBClusterSnapshot"
        )
        core = self.core
        with core.lock:
            name = "DBClusterSnapshotIdentifier"
            identifier = self.check_new(region, params.get(name), name)
            tags = rules.tags(params.get("Tags"))
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            self.check_can_snapshot(region, cluster)
            snapshot = self.take(region, cluster, identifier, "manual", tags)
            return views.snapshot(snapshot, viewer=region.account)

    def check_new(self, region: Region, identifier: str | None, parameter: str) -> str:
        """Check the identifier of a new manual snapshot, and the quota.

        :return: the identifier, in lower case.
        :raises SnapshotAlreadyExistsError: it is taken.
        :raises SnapshotQuotaExceededError: too many manual snapshots.
        """
        lower = rules.snapshot_identifier(identifier, parameter)
        if lower in region.snapshots:
            raise SnapshotAlreadyExistsError(
                f"Cannot create the snapshot because a snapshot with the identifier {lower} already exists."
            )
        manual = sum(1 for snapshot in region.snapshots.values() if snapshot.snapshot_type == "manual")
        if manual >= self.core.quotas.manual_snapshots:
            raise SnapshotQuotaExceededError(
                f"Cannot create more than {self.core.quotas.manual_snapshots} manual snapshots; delete some."
            )
        return lower

    def take(
        self, region: Region, cluster: Cluster, identifier: str, kind: SnapshotType, tags: dict[str, str]
    ) -> Snapshot:
        """Start a snapshot of an available cluster, which is ``backing-up`` until it is complete."""
        snapshot = self.reserve(region, cluster, identifier, kind, tags)
        self.core.turn(cluster, "backing-up")
        release = partial(self.core.turn, cluster, "available")
        self.begin(cluster, snapshot, release, release)
        return snapshot

    def reserve(
        self,
        region: Region,
        cluster: Cluster,
        identifier: str,
        kind: SnapshotType,
        tags: dict[str, str],
        *,
        told: bool = True,
    ) -> Snapshot:
        """Enter a snapshot that is to be made, so that its name is taken.

        :param told: whether there is an event of it.
        """
        core = self.core
        with core.lock:
            snapshot = Snapshot(
                account=region.account,
                region=region.name,
                identifier=identifier,
                key=new_id("snapshot-"),
                snapshot_type=kind,
                created=time.time(),
                cluster=cluster.identifier,
                cluster_resource_id=cluster.resource_id,
                cluster_created=cluster.created,
                engine=cluster.engine,
                engine_version=cluster.engine_version,
                master_username=cluster.master_username,
                port=cluster.port,
                vpc_id=cluster.vpc_id,
                zones=list(cluster.zones),
                kms_key_id=cluster.kms_key_id,
                backup_retention=cluster.backup_retention,
                iam_authentication=cluster.iam_authentication,
                started=time.time(),
                expected_s=core.lifecycle.seconds(lifecycle.SNAPSHOT),
                tags={**(cluster.tags if cluster.copy_tags else {}), **tags},
            )
            region.snapshots[identifier] = snapshot
            if told:
                core.event(snapshot, kinds.CLUSTER_SNAPSHOT_CREATING[kind == "automated"])
        return snapshot

    def begin(self, cluster: Cluster, snapshot: Snapshot, done: Callable[[], None], failed: Callable[[], None]) -> None:
        """Make the data of a reserved snapshot.

        :param done: called when it is available.
        :param failed: called when it has failed.
        """
        core = self.core

        def complete() -> None:
            self._complete(snapshot)
            done()

        def fail() -> None:
            core.fail(snapshot)
            failed()

        core.lifecycle.run(
            f"snapshot {snapshot.identifier}",
            lifecycle.SNAPSHOT,
            partial(core.once, snapshot.key, partial(core.engine.snapshot, cluster.resource_id, snapshot.key)),
            complete,
            fail,
            snapshot,
        )

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeDBClusterSnapshots.

        Other accounts' snapshots appear only with SnapshotType shared or public, or IncludeShared or IncludePublic.

        :raises SnapshotNotFoundError: an identifier was given and nothing is found.
        """
        kind = params.get("SnapshotType")
        if kind is not None and kind not in TYPES:
            raise InvalidParameterValueError(f"Invalid snapshot type: {kind}. Known: {', '.join(sorted(TYPES))}.")
        with self.core.lock:
            wanted = rules.filters(params, FILTERS)
            found = [
                snapshot
                for snapshot in self._visible(region, kind, params)
                if self._selected(region, snapshot, params)
                and rules.matches(
                    wanted,
                    {
                        "db-cluster-id": snapshot.cluster,
                        "db-cluster-snapshot-id": snapshot.identifier,
                        "snapshot-type": views.snapshot_type(snapshot, region.account),
                        "engine": snapshot.engine,
                    },
                )
            ]
            if params.get("DBClusterSnapshotIdentifier") and not found:
                raise SnapshotNotFoundError(f"DBClusterSnapshot {params['DBClusterSnapshotIdentifier']} not found.")
            page, marker = rules.page(found, params, lambda snapshot: snapshot.arn)
            return {
                "DBClusterSnapshots": [views.snapshot(item, viewer=region.account) for item in page],
                "Marker": marker,
            }

    def copy(self, region: Region, params: Params) -> dict[str, Any]:
        """CopyDBClusterSnapshot: within the account, from another region, or of a snapshot shared with it by ARN.

        ``KmsKeyId`` decides the key of the copy; without it the copy keeps the source's, which only works within
        account and region.
        """
        rules.known_parameters(
            params,
            {
                "SourceDBClusterSnapshotIdentifier",
                "TargetDBClusterSnapshotIdentifier",
                "KmsKeyId",
                "CopyTags",
                "Tags",
                "PreSignedUrl",
                "SourceRegion",
            },
            "CopyDBClusterSnapshot",
        )
        core = self.core
        with core.lock:
            source = core.readable_snapshot(region, params.get("SourceDBClusterSnapshotIdentifier"))
            tags = rules.tags(params.get("Tags"))
            core.require_complete(source)
            key = self._copy_key(region, source, params.get("KmsKeyId"))
            copies = sum(1 for snapshot in region.snapshots.values() if snapshot.copying)
            identifier = self.check_new(
                region, params.get("TargetDBClusterSnapshotIdentifier"), "TargetDBClusterSnapshotIdentifier"
            )
            if copies >= core.quotas.copies:
                raise SnapshotQuotaExceededError(
                    f"Cannot copy more than {core.quotas.copies} snapshots to {region.name} at a time; wait for one."
                )
            if params.get("CopyTags") and source.account == region.account:
                tags = {**source.tags, **tags}
            snapshot = Snapshot(
                **{
                    **vars(source),
                    "account": region.account,
                    "region": region.name,
                    "identifier": identifier,
                    "key": new_id("snapshot-"),
                    "snapshot_type": "manual",
                    "created": time.time(),
                    "kms_key_id": key,
                    "status": "copying",
                    "copying": True,
                    "started": time.time(),
                    "expected_s": core.lifecycle.seconds(lifecycle.COPY),
                    "source_arn": source.arn,
                    "shared_with": [],
                    "tags": tags,
                    "zones": list(source.zones),
                }
            )
            region.snapshots[identifier] = snapshot
            core.event(snapshot, kinds.CLUSTER_SNAPSHOT_CREATING[False])
        core.lifecycle.run(
            f"copy {source.arn} to {identifier}",
            lifecycle.COPY,
            partial(core.once, snapshot.key, partial(core.engine.copy_snapshot, source.key, snapshot.key)),
            partial(self._complete, snapshot),
            partial(core.fail, snapshot),
            snapshot,
        )
        return views.snapshot(snapshot, viewer=region.account)

    def delete(self, region: Region, params: Params) -> dict[str, Any]:
        """DeleteDBClusterSnapshot: manual ones that are not in the making."""
        core = self.core
        with core.lock:
            snapshot = core.own_snapshot(region, params.get("DBClusterSnapshotIdentifier"))
            if snapshot.snapshot_type != "manual":
                raise InvalidSnapshotStateError(
                    f"Only manual snapshots may be deleted; {snapshot.identifier} is {snapshot.snapshot_type} and goes with"
                    " its cluster or its recovery point."
                )
            if snapshot.status not in {"available", *TERMINAL}:
                raise InvalidSnapshotStateError(f"Snapshot {snapshot.identifier} is {snapshot.status}; wait for it.")
            if self._being_read(snapshot):
                raise InvalidSnapshotStateError(
                    f"Snapshot {snapshot.identifier} is being copied or restored; wait until that is over."
                )
            self.remove(region, snapshot)
            return views.snapshot(snapshot, viewer=region.account)

    def remove(self, region: Region, snapshot: Snapshot) -> None:
        """Delete a snapshot and its data."""
        core = self.core
        snapshot.status = "deleting"

        def done() -> None:
            with core.lock:
                region.snapshots.pop(snapshot.identifier, None)
                core.event(snapshot, kinds.CLUSTER_SNAPSHOT_DELETED)

        core.lifecycle.run(
            f"delete snapshot {snapshot.identifier}",
            lifecycle.DELETE_SNAPSHOT,
            partial(core.engine.delete_snapshot, snapshot.key),
            done,
            partial(core.fail, snapshot),
            snapshot,
        )

    def check_can_snapshot(self, region: Region, cluster: Cluster) -> None:
        """Check that a cluster, and an instance of it, is available."""
        self.core.require_available(cluster, "create a snapshot")
        if not any(member.status == "available" for member in region.members(cluster)):
            raise InvalidClusterStateError(
                f"Cannot create a snapshot because the database cluster {cluster.identifier} has no available instance."
            )

    def _complete(self, snapshot: Snapshot) -> None:
        size = self.core.engine.size_bytes(snapshot.key)
        with self.core.lock:
            snapshot.allocated_gib = max(1, -(-size // GIB))
            snapshot.copying = False
            snapshot.status = "available"
            self.core.event(snapshot, kinds.CLUSTER_SNAPSHOT_CREATED[snapshot.snapshot_type == "automated"])

    def _copy_key(self, region: Region, source: Snapshot, key: str | None) -> str | None:
        """Key of a copy; checks that the account may read the source and use the target key."""
        if source.kms_key_id is None:
            if key:
                raise InvalidParameterCombinationError(
                    "KmsKeyId cannot be given for a copy of an unencrypted cluster snapshot: encrypt when restoring it."
                )
            return None
        self.core.check_source_key(region, source)
        if key:
            return self.core.key_for(region, key)
        if source.account != region.account:
            raise KmsKeyNotAccessibleError(
                "The target snapshot KMS key [null] does not exist, is not enabled or you do not have permissions to "
                "access it. A copy of an encrypted shared snapshot needs a KmsKeyId of the copying account."
            )
        if source.region != region.name:
            raise InvalidParameterValueError("Must specify new KMS key for cross region encrypted snapshot copy.")
        return source.kms_key_id

    def _being_read(self, snapshot: Snapshot) -> bool:
        return any(
            any(copy.copying and copy.source_arn == snapshot.arn for copy in region.snapshots.values())
            or any(cluster.restoring_from == snapshot.arn for cluster in region.clusters.values())
            for region in self.core.regions.values()
        )

    def _visible(self, region: Region, kind: str | None, params: Params) -> list[Snapshot]:
        """Snapshots that the call may show at all: own, and by wish other accounts' of this region."""
        found: list[Snapshot] = []
        if kind in {None, "manual", "automated", "awsbackup"}:
            found += [s for s in region.snapshots.values() if kind is None or s.snapshot_type == kind]
        shared = kind == "shared" or (kind in {None, "manual"} and bool(params.get("IncludeShared")))
        public = kind == "public" or (kind in {None, "manual"} and bool(params.get("IncludePublic")))
        wanted = {name for name, asked in ((region.account, shared), ("all", public)) if asked}
        for (account, name), other in self.core.regions.items():
            if name == region.name and account != region.account:
                found += [snapshot for snapshot in other.snapshots.values() if wanted & set(snapshot.shared_with)]
        return found

    def _selected(self, region: Region, snapshot: Snapshot, params: Params) -> bool:
        wanted = params.get("DBClusterSnapshotIdentifier")
        if wanted:
            own = snapshot.account == region.account
            if wanted.lower() != snapshot.arn.lower() and not (own and wanted.lower() == snapshot.identifier):
                return False
        cluster = params.get("DBClusterIdentifier")
        if cluster:
            arn = rules.parse_arn(cluster)
            if snapshot.cluster != (arn.name if arn else cluster.lower()):
                return False
        resource = params.get("DbClusterResourceId")
        return resource is None or resource == snapshot.cluster_resource_id
