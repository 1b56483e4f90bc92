"""Clusters that have had their day: deleted, or retired by policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import ownership
from aurora_ops.core.errors import ConfigError, StateError
from aurora_ops.core.ownership import EXPIRES_TAG, PUBLISHED_TAG, RETIRED_TAG, RUN_TAG, VERIFIED_TAG
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.rds import Cluster, RdsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator


class DeleteClusterOperator(ClusterOperator):
    """Delete a cluster with its instances, and wait until it is gone.

    The AWS operations are ``DeleteDBInstance`` and ``DeleteDBCluster``; a stopped cluster is started first, because AWS
    deletes none that is stopped, and deletion protection is taken off. An absent cluster is the goal.

    :param final_snapshot_id: take a last snapshot of this name; ``None`` takes none (templated).
    :param only_run: delete only what this run restored; another run's is left alone (templated).
    :param spare_run: delete only what this run did not restore: makes room for it (templated).
    :param spare_verified: leave a cluster alone that a restore has verified.
    :return: ``{"cluster_id", "status": "absent" | "left"}``.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:StartDBCluster",
        "rds:ModifyDBCluster",
        "rds:DeleteDBInstance",
        "rds:DeleteDBCluster",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "final_snapshot_id", "only_run", "spare_run")

    def __init__(
        self,
        *,
        final_snapshot_id: str | None = None,
        only_run: str | None = None,
        spare_run: str | None = None,
        spare_verified: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spare_verified = spare_verified
        self.final_snapshot_id = final_snapshot_id
        self.only_run = only_run
        self.spare_run = spare_run

    def take_pass(self, context: Context) -> Result:
        """Take one step towards the end of the cluster."""
        return self.delete_pass(context)

    def delete_pass(self, context: Context) -> Result:
        """Look; start what is stopped, delete the instances, then the cluster; wait."""
        cluster = self.hook.find_cluster(self.cluster_id) if self.cluster_id else None
        if cluster is None:
            return {"cluster_id": self.cluster_id, "status": "absent"}
        made_by = cluster.tags.get(RUN_TAG)
        spared = self.spare_verified and VERIFIED_TAG in cluster.tags
        spared = spared or (self.spare_run is not None and self.spare_run == made_by)
        if spared or self.only_run not in (None, made_by):
            return {"cluster_id": self.cluster_id, "status": "left"}
        return self.wait_until(delete_step(self.hook, cluster, self.within_s, self.final_snapshot_id), context)


def delete_step(hook: RdsHook, cluster: Cluster, within_s: int, final_snapshot_id: str | None = None) -> Wait:
    """Take one step towards the end of a cluster.

    :param hook: account of the cluster.
    :param cluster: as it has just been looked up.
    :param within_s: seconds that the step may take.
    :param final_snapshot_id: take a last snapshot of this name.
    :return: what to wait for before the next step.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """
    name = cluster.cluster_id
    if cluster.status == "deleting":
        return _wait_for("cluster_deleted", name, within_s)
    require_refreshable(name, cluster.tags)
    if cluster.status == "stopped":
        hook.start_cluster(name)
    if cluster.status in (
        "stopped",
        "starting",
        "stopping",
        "renaming",
        "modifying",
        "resetting-master-credentials",
    ):
        until = "cluster_stopped" if cluster.status == "stopping" else "cluster_available"
        return _wait_for(until, name, within_s)
    if cluster.deletion_protection:
        hook.modify_cluster(name, DeletionProtection=False)
        return _wait_for("cluster_available", name, within_s)
    instances = hook.list_instances(name)
    for instance in instances:
        if instance["DBInstanceStatus"] != "deleting":
            hook.delete_instance(instance["DBInstanceIdentifier"])
    if instances:
        return Wait(
            waiter="instances_gone",
            args={"Filters": [{"Name": "db-cluster-id", "Values": [name]}]},
            show="DBInstances[].DBInstanceStatus",
            within_s=within_s,
            every_s=30,
        )
    hook.delete_cluster(name, final_snapshot_id)
    return _wait_for("cluster_deleted", name, within_s)


def _wait_for(waiter: str, cluster_id: str, within_s: int) -> Wait:
    return Wait(
        waiter=waiter,
        args={"DBClusterIdentifier": cluster_id},
        show="DBClusters[].Status",
        within_s=within_s,
        every_s=15,
    )


class RetireClusterOperator(DeleteClusterOperator):
    """Do with a cluster that no longer serves what the policy says: keep, stop or delete it.

    RDS starts a stopped cluster again after seven days; the next refresh deletes it before that. With ``kept_days``, one that
    is not deleted here is tagged with the run that retired it and the moment from which ``reap_expired`` may delete it.

    :param policy: ``keep``, ``stop`` or ``delete`` (templated).
    :param successor_id: the cluster that has taken its place; unless it exists and carries the mark that
        ``published_run`` left when it had finished, nothing is done: what may be needed to go back is never retired (templated).
    :param published_run: names the run (templated).
    :param kept_days: days that a stopped or kept cluster stays; ``None`` is until the next refresh (templated).
    :return: ``{"cluster_id", "status": "absent" | "stopped" | "kept" | "left"}``.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *DeleteClusterOperator.permissions,
        "rds:StopDBCluster",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
    )
    template_fields: Sequence[str] = (
        *DeleteClusterOperator.template_fields,
        "policy",
        "successor_id",
        "published_run",
        "kept_days",
    )

    def __init__(
        self, *, policy: str, successor_id: str, published_run: str, kept_days: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kept_days = kept_days
        self.policy = policy
        self.successor_id = successor_id
        self.published_run = published_run

    def take_pass(self, context: Context) -> Result:
        """Take one step of the policy, if the successor is there."""
        successor = self.hook.find_cluster(self.successor_id) if self.successor_id else None
        if successor is None or not self._has_succeeded(successor):
            return {"cluster_id": self.cluster_id, "status": "left"}
        if self.policy == "delete":
            return self.delete_pass(context)
        if self.policy not in ("keep", "stop"):
            raise ConfigError("policy", self.policy, "keep, stop or delete")
        cluster = self.hook.find_cluster(self.cluster_id) if self.cluster_id else None
        if cluster is not None:
            self._mark(cluster)
        if self.policy == "stop":
            return self._stop_pass(context)
        return {"cluster_id": self.cluster_id, "status": "kept" if cluster else "absent"}

    def _has_succeeded(self, successor: Cluster) -> bool:
        """Tell whether the successor is there to stay."""
        return successor.tags.get(PUBLISHED_TAG) == self.published_run

    def _mark(self, cluster: Cluster) -> None:
        """Write on the cluster who retired it and until when it stays; an expiry of earlier days does not count."""
        require_refreshable(cluster.cluster_id, cluster.tags)
        if self.kept_days is None:
            if EXPIRES_TAG in cluster.tags:
                self.hook.remove_tags(cluster.arn, [EXPIRES_TAG])
        elif cluster.tags.get(RETIRED_TAG) != self.published_run or EXPIRES_TAG not in cluster.tags:
            expires = ownership.expiry(datetime.now(UTC), self.kept_days * 24)
            tags = {ownership.OWNER_TAG: ownership.OWNER, RETIRED_TAG: self.published_run, EXPIRES_TAG: expires}
            self.hook.set_tags(cluster.arn, tags)

    def _stop_pass(self, context: Context) -> Result:
        cluster = self.hook.find_cluster(self.cluster_id) if self.cluster_id else None
        if cluster is None:
            return {"cluster_id": self.cluster_id, "status": "absent"}
        if cluster.status == "stopped":
            return {"cluster_id": self.cluster_id, "status": "stopped"}
        require_refreshable(self.cluster_id, cluster.tags)
        if cluster.status == "available" and not cluster.members:
            return {"cluster_id": self.cluster_id, "status": "kept"}
        return self.stop_step(cluster, context)


class RetireByHandOperator(RetireClusterOperator):
    """Do with a cluster that no longer serves what a person says: keep, stop or delete it.

    Where the refresh was done by hand, no mark says that it has finished: the successor must be available and have instances.

    :param policy: ``keep``, ``stop`` or ``delete`` (templated).
    :param successor_id: the cluster that has taken its place (templated).
    :param published_run: names the run that retires it (templated).
    :param kept_days: days that a stopped or kept cluster stays; ``None`` is until the next refresh (templated).
    :return: ``{"cluster_id", "status": "absent" | "stopped" | "kept" | "left"}``.
    :raises StateError: the successor does not serve, so that the cluster may be what is needed to go back.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    def take_pass(self, context: Context) -> Result:
        """Refuse while nothing has taken its place; then as the refresh does."""
        if self.hook.find_cluster(self.cluster_id) is None:
            return {"cluster_id": self.cluster_id, "status": "absent"}
        found = super().take_pass(context)
        if found["status"] == "left":
            raise StateError(
                f"{self.successor_id} does not serve (it must be available, with an instance); {self.cluster_id} is left alone"
            )
        return found

    def _has_succeeded(self, successor: Cluster) -> bool:
        return successor.status in ("available", "backing-up") and bool(successor.members)
