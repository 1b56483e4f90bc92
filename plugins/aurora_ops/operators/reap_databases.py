"""Clusters, instances and snapshots that dead runs left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from aurora_ops.core import naming, ownership
from aurora_ops.core.ownership import EXPIRES_TAG, PUBLISHED_TAG, RETIRED_TAG, RUN_TAG
from aurora_ops.core.reaping import Leftover
from aurora_ops.core.safety import REFRESH_TAG, is_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.hooks.rds import Cluster, Instance, RdsHook, Snapshot
from aurora_ops.operators import cluster_removal, snapshots
from aurora_ops.operators.reaping import ReapOperator

FindCluster = Callable[[str], Cluster | None]


class ReapClustersOperator(ReapOperator[RdsHook]):
    """Remove expired temporary clusters with their instances, and retired clusters that have been kept long enough.

    Never removed: a cluster under a name that serves, one whose endpoint is published, one that was published and not retired, a
    retired one while its successor is not proven (available, and published by the run that retired this one) or while its
    deletion protection is on, one that is not tagged ``refresh=true``, and any in a protected account.

    :param served: names under which clusters serve here.
    :param protected: nothing may be removed in this account.
    :param endpoint_parameters: SSM parameters in which endpoints are published.
    :param within_s: seconds that each wait may take.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = (
        *cluster_removal.DeleteClusterOperator.permissions,
        "ssm:GetParameter",
    )
    # nothing of a source is removed here but snapshots, shares and grants
    permissions_in: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": ("rds:DescribeDBClusters", "rds:DescribeDBInstances")
    }

    def __init__(
        self,
        *,
        served: list[str],
        protected: bool,
        endpoint_parameters: list[str] | None = None,
        within_s: int = 2 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.served = served
        self.protected = protected
        self.endpoint_parameters = endpoint_parameters or []
        self.within_s = within_s

    def find(self) -> list[Leftover]:
        """Read all clusters and instances; those of a cluster that is there go with it."""
        clusters = {cluster.cluster_id: cluster for cluster in self.hook.list_all_clusters()}
        found = [self._cluster(cluster, clusters.get) for cluster in clusters.values() if _is_leftover(cluster)]
        for instance in self.hook.list_all_instances():
            home = clusters.get(instance.cluster_id)
            of_a_leftover = home is not None and _is_leftover(home)
            if ownership.is_ours(instance.tags) and EXPIRES_TAG in instance.tags and not of_a_leftover:
                found.append(self._instance(instance, home))
        return found

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look it up alone; a cluster of the same name that is another one is not it."""
        if isinstance(item.subject, Instance):
            raw = self.hook.find_instance(item.name)
            if raw is None or not ownership.is_ours(Instance.of(raw).tags):
                return None
            return self._instance(Instance.of(raw), self.hook.find_cluster(item.subject.cluster_id))
        cluster = self.hook.find_cluster(item.name)
        if cluster is None or cluster.resource_id != item.subject.resource_id or not _is_leftover(cluster):
            return None
        return self._cluster(cluster, self.hook.find_cluster)

    def remove(self, item: Leftover) -> Wait:
        """Delete an instance whose cluster is gone, or take a step towards the end of a cluster."""
        if isinstance(item.subject, Cluster):
            return cluster_removal.delete_step(self.hook, item.subject, self.within_s)
        if item.subject.status != "deleting":
            self.hook.delete_instance(item.name)
        return Wait(
            waiter="instances_gone",
            args={"Filters": [{"Name": "db-cluster-id", "Values": [item.subject.cluster_id]}]},
            show="DBInstances[].DBInstanceStatus",
            within_s=self.within_s,
        )

    def _instance(self, instance: Instance, home: Cluster | None) -> Leftover:
        barred = f"its cluster {home.cluster_id} is no leftover" if home else ""
        return Leftover(
            "instance",
            instance.instance_id,
            instance.tags.get(RUN_TAG, ""),
            instance.tags.get(EXPIRES_TAG, ""),
            instance.created,
            barred=barred or self._account_bars(instance.tags),
            subject=instance,
        )

    def _cluster(self, cluster: Cluster, find: FindCluster) -> Leftover:
        tags = cluster.tags
        return Leftover(
            "cluster",
            cluster.cluster_id,
            tags.get(RETIRED_TAG) or tags.get(RUN_TAG, ""),
            tags.get(EXPIRES_TAG, ""),
            cluster.created,
            barred=self._account_bars(tags) or self._serves(cluster) or _retired_too_soon(cluster, find, self.served),
            subject=cluster,
        )

    def _account_bars(self, tags: dict[str, str]) -> str:
        if self.protected:
            return "the account is a source or protected; nothing but snapshots, shares and grants is removed there"
        return "" if is_refreshable(tags) else f"it is not tagged {REFRESH_TAG}=true"

    def _serves(self, cluster: Cluster) -> str:
        if cluster.cluster_id in self.served:
            return "it has a name under which a cluster serves"
        parameters = ParametersHook(self.aws_conn_id, self.region_name)
        for name in self.endpoint_parameters:
            if cluster.endpoint and parameters.find(name) == cluster.endpoint:
                return f"its endpoint is published in {name}"
        return ""


def _is_leftover(cluster: Cluster) -> bool:
    """Tell whether a cluster is temporary: one that serves, or is kept for good, is ours and has no expiry."""
    settled = PUBLISHED_TAG in cluster.tags or RETIRED_TAG in cluster.tags
    return ownership.is_ours(cluster.tags) and (EXPIRES_TAG in cluster.tags or not settled)


def _retired_too_soon(cluster: Cluster, find: FindCluster, served: list[str]) -> str:
    """Say why a cluster that has served must stay."""
    retired_by = cluster.tags.get(RETIRED_TAG)
    successors = [name for name in served if naming.old_cluster(name) == cluster.cluster_id]
    if retired_by is None:
        served_once = PUBLISHED_TAG in cluster.tags or successors  # only what has served is ever moved aside
        return "it has served and has not been retired" if served_once else ""
    successor = find(successors[0]) if successors else None
    if successor is None:
        return "the cluster that took its place is not there"
    if successor.status != "available" or successor.tags.get(PUBLISHED_TAG) != retired_by:
        return f"{successor.cluster_id}, which took its place, is {successor.status} and not proven by {retired_by}"
    return "its deletion protection is on" if cluster.deletion_protection else ""


class ReapSnapshotsOperator(ReapOperator[RdsHook]):
    """Remove expired snapshots and copies that runs made, and shares that they gave on snapshots of others.

    In this order: the share, the grant, the snapshot. A snapshot counts as ours if it has our tags and a name that a run makes:
    a snapshot that a person takes of a refreshed cluster inherits the cluster's tags.

    :param account_ids: accounts that snapshots here are shared with.
    :param within_s: seconds that each deletion may take.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = (
        *snapshots.RevokeShareOperator.permissions,
        "rds:DeleteDBClusterSnapshot",
    )
    # copies are shared with nobody
    permissions_in: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "target": (
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBClusterSnapshotAttributes",
            "rds:DeleteDBClusterSnapshot",
        )
    }

    def __init__(self, *, account_ids: Sequence[str] = (), within_s: int = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.account_ids = list(account_ids)
        self.within_s = within_s

    def find(self) -> list[Leftover]:
        """Read all manual snapshots of the account."""
        return [item for snapshot in self.hook.list_manual_snapshots() for item in self._items(snapshot)]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look the snapshot up alone; one that somebody else has shared as well is in use."""
        snapshot = self.hook.find_snapshot(item.subject[0].snapshot_id)
        fresh = {one.key: one for one in self._items(snapshot)} if snapshot else {}
        found = fresh.get(item.key)
        if found is None or snapshot is None or found.kind == "share":
            return found
        others = sorted(self.hook.list_shared_with(snapshot.snapshot_id) - set(self.account_ids))
        return self._snapshot(snapshot, f"somebody shares it with {', '.join(others)}") if others else found

    def remove(self, item: Leftover) -> Wait | None:
        """Take back the shares with their grants; then, if the snapshot is ours, delete it."""
        snapshot, account_ids = item.subject
        for account_id in account_ids:
            snapshots.revoke_share(self.hook, snapshot, account_id)
        return None if item.kind == "share" else snapshots.delete_step(self.hook, snapshot, self.within_s)

    def _items(self, snapshot: Snapshot) -> list[Leftover]:
        if snapshot.type != "manual":
            return []
        if ownership.is_ours(snapshot.tags):
            return [self._snapshot(snapshot)] if naming.is_snapshot_of_a_run(snapshot.snapshot_id) else []
        found = []
        for account_id in self.account_ids:
            run, expires = (snapshot.tags.get(key, "") for key in ownership.share_tags(account_id))
            if run or expires:
                name = f"{snapshot.snapshot_id} with {account_id}"
                found.append(Leftover("share", name, run, expires, subject=(snapshot, [account_id])))
        return found

    def _snapshot(self, snapshot: Snapshot, barred: str = "") -> Leftover:
        return Leftover(
            "snapshot",
            snapshot.snapshot_id,
            snapshot.tags.get(RUN_TAG, ""),
            snapshot.tags.get(EXPIRES_TAG, ""),
            snapshot.created,
            barred=barred,
            subject=(snapshot, self.account_ids),
        )
