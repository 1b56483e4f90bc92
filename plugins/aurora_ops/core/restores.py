"""What a cluster may be restored from, and what AWS does not clone across accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from aurora_ops.core.errors import ConfigError, PermanentError, StateError

RESTORE_TYPES = ("snapshot", "point_in_time", "clone", "shared_clone")
MOST_CLONES = 15


class ClusterFacts(Protocol):
    """What the rules need to know of a cluster."""

    @property
    def cluster_id(self) -> str:
        """Its identifier."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def instance_ids(self) -> list[str]:
        """Identifiers of its instances."""

    @property
    def kms_key_arn(self) -> str:
        """Key it is encrypted with; empty if it is not."""

    @property
    def clone_group(self) -> str:
        """Group of clusters that share storage; empty before the first clone."""

    @property
    def is_clone_from_abroad(self) -> bool:
        """Whether it was cloned from another account's cluster."""

    @property
    def restorable_from(self) -> datetime | None:
        """Earliest moment it can be restored to."""

    @property
    def restorable_until(self) -> datetime | None:
        """Latest moment it can be restored to."""


def clone_refusals(
    source: ClusterFacts, *, default_key_arn: str | None, here: Sequence[ClusterFacts]
) -> list[PermanentError]:
    """Say why AWS would not clone a cluster into another account (Aurora User Guide, "Cross-account cloning").

    :param source: cluster of the other account.
    :param default_key_arn: the source account's key ``aws/rds``.
    :param here: clusters of the account that it is to be cloned into.
    :return: the reasons; an empty list is consent.
    """
    found: list[PermanentError] = []
    name = f"source.cluster: {source.cluster_id}"
    if source.status != "available":
        found.append(StateError(f"{name} is {source.status}; only an available cluster can be shared"))
    if not source.instance_ids:
        found.append(StateError(f"{name} has no instances; a cluster is cloned only while it has one"))
    if source.is_clone_from_abroad:
        found.append(StateError(f"{name} is itself a clone from another account; share the cluster it was cloned from"))
    if not source.kms_key_arn:
        found.append(
            StateError(f"{name} is not encrypted, and its clone would not be either; use restore_type snapshot")
        )
    if default_key_arn and source.kms_key_arn == default_key_arn:
        found.append(
            StateError(
                f"{name} is under the default key, which other accounts cannot use; use restore_type snapshot, whose copy "
                "is re-keyed"
            )
        )
    present = [
        cluster.cluster_id
        for cluster in here
        if cluster.is_clone_from_abroad and source.clone_group and cluster.clone_group == source.clone_group
    ]
    if present:
        found.append(
            StateError(
                f"{name} has a clone in this account already, {present[0]}; AWS allows one for each account, so delete that "
                "one first (db_delete_cluster)"
            )
        )
    return found


def clone_group_refusal(source: ClusterFacts, beside: Sequence[ClusterFacts]) -> PermanentError | None:
    """Say whether a cluster has as many copy-on-write clones as AWS makes; the next one would be a full copy.

    :param source: cluster about to be cloned within its account.
    :param beside: clusters of that account.
    """
    same = [
        cluster
        for cluster in beside
        if source.clone_group and cluster.clone_group == source.clone_group and cluster.cluster_id != source.cluster_id
    ]
    if len(same) < MOST_CLONES:
        return None
    return StateError(
        f"source_cluster: {source.cluster_id} has {len(same)} clones, and AWS makes no more than {MOST_CLONES} that share "
        "storage; delete one, or use restore_type point_in_time"
    )


def moment_refusal(source: ClusterFacts, moment: datetime) -> PermanentError | None:
    """Say whether a cluster cannot be restored to a moment.

    :param source: cluster whose backups are read.
    :param moment: with its zone.
    """
    first, last = source.restorable_from, source.restorable_until
    if (first and moment < first) or (last and moment > last):
        return ConfigError(
            "restore_to",
            moment.isoformat(),
            f"{source.cluster_id} can be restored to moments from {first and first.isoformat()} to "
            f"{last and last.isoformat()}",
        )
    return None


class SnapshotFacts(Protocol):
    """What choosing a snapshot needs to know of it."""

    @property
    def snapshot_id(self) -> str:
        """Its identifier."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def created(self) -> datetime | None:
        """When it was taken."""


SnapshotT = TypeVar("SnapshotT", bound=SnapshotFacts)


def chosen_snapshot(
    snapshots: Sequence[SnapshotT], *, cluster_id: str, named: str | None, before: datetime | None
) -> SnapshotT:
    """Choose the snapshot to restore: the one named, or the newest available one, taken before a moment where one is given.

    :param snapshots: the cluster's, in any order and state.
    :param cluster_id: the cluster.
    :param named: identifier; ``None`` is the newest.
    :param before: with its zone; ``None`` is now.
    :raises ConfigError: there is none such, or the one named is not available.
    """
    usable = sorted(
        ((snapshot.created, snapshot) for snapshot in snapshots if snapshot.status == "available" and snapshot.created),
        key=lambda pair: (pair[0], pair[1].snapshot_id),
    )
    known = [snapshot.snapshot_id for _, snapshot in usable[-5:]]
    if named:
        found = [snapshot for snapshot in snapshots if snapshot.snapshot_id == named]
        if not found:
            raise ConfigError("snapshot", named, f"available ones of {cluster_id} are {known}")
        if found[0].status != "available":
            raise ConfigError("snapshot", named, f"it is {found[0].status}; available ones of {cluster_id} are {known}")
        return found[0]
    early = [snapshot for created, snapshot in usable if before is None or created < before]
    if not early:
        if not usable or before is None:
            raise ConfigError(
                "source_cluster", cluster_id, "it has no available snapshot; take one, or name another cluster"
            )
        oldest = usable[0][0].isoformat()
        raise ConfigError("newest_before", before.isoformat(), f"the oldest snapshot of {cluster_id} is of {oldest}")
    return early[-1]
