"""Clusters that are looked up, started and stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import ownership
from aurora_ops.core.errors import StateError
from aurora_ops.core.ownership import KEEP_STOPPED_TAG
from aurora_ops.core.safety import is_refreshable, require_refreshable
from aurora_ops.hooks.rds import Cluster, RdsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.clusters import ClusterOperator


class FindClusterOperator(ClusterOperator):
    """Look a cluster up that must exist. Changes nothing.

    The AWS operation is ``DescribeDBClusters``.

    :return: ``{"cluster_id", "resource_id", "endpoint", "status", "instance_ids", "security_groups"}``.
    :raises MissingError: there is no such cluster.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters",)

    def take_pass(self, context: Context) -> Result:
        """Look."""
        return _facts(self.hook.require_cluster(self.cluster_id))


def _facts(cluster: Cluster) -> Result:
    return {
        "cluster_id": cluster.cluster_id,
        "resource_id": cluster.resource_id,
        "endpoint": cluster.endpoint,
        "status": cluster.status,
        "instance_ids": cluster.instance_ids,
        "security_groups": cluster.security_groups,
    }


class EnsureClusterAvailableOperator(ClusterOperator):
    """Start a cluster if it is stopped, and wait until it and all its instances are available.

    The AWS operation is ``StartDBCluster``; a cluster that is about to stop is waited for first. Who starts it by hand wants it
    to run: it is no longer kept stopped.

    :return: ``{"cluster_id", "resource_id", "endpoint", "status", "instance_ids", "security_groups"}``.
    :raises MissingError: there is no such cluster.
    :raises SafetyError: it is stopped and not tagged ``refresh=true``.
    :raises WaitFailedError: it, or an instance, came to a status from which nothing comes back.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:StartDBCluster",
        "rds:RemoveTagsFromResource",
    )

    def take_pass(self, context: Context) -> Result:
        """Look; start what is stopped; wait for the cluster, then for its instances."""
        cluster = self.hook.require_cluster(self.cluster_id)
        if cluster.status == "stopping":
            return self.wait_for("cluster_stopped", self.cluster_id, context)
        if cluster.status == "stopped":
            require_refreshable(self.cluster_id, cluster.tags)
            if KEEP_STOPPED_TAG in cluster.tags:
                self.hook.remove_tags(cluster.arn, [KEEP_STOPPED_TAG])
            self.hook.start_cluster(self.cluster_id)
        if cluster.status != "available":
            return self.wait_for("cluster_available", self.cluster_id, context)
        if any(raw["DBInstanceStatus"] != "available" for raw in self.hook.list_instances(self.cluster_id)):
            return self.wait_on(
                context,
                waiter="instances_available",
                args={"Filters": [{"Name": "db-cluster-id", "Values": [self.cluster_id]}]},
                show="DBInstances[].[DBInstanceIdentifier, DBInstanceStatus]",
                every_s=30,
            )
        return _facts(cluster)


class StopClusterOperator(ClusterOperator):
    """Stop a cluster with its instances, and wait until it is stopped.

    The AWS operation is ``StopDBCluster``. RDS starts every stopped cluster again after seven days; with ``keep_stopped_days`` the
    cluster is tagged with the moment until which ``reap_expired``, which runs daily, stops it again.

    :param keep_stopped_days: days until which it is stopped again; ``None`` leaves it to RDS (templated).
    :return: ``{"cluster_id", "status", "keep_stopped_until"}``.
    :raises MissingError: there is no such cluster.
    :raises SafetyError: it is not tagged ``refresh=true``.
    :raises StateError: it has no instances, so that there is nothing to stop.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:StopDBCluster",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "keep_stopped_days")

    def __init__(self, *, keep_stopped_days: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_stopped_days = keep_stopped_days

    def take_pass(self, context: Context) -> Result:
        """Mark, stop, wait."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        if cluster.status == "available" and not cluster.members:
            raise StateError(
                f"cluster {self.cluster_id} has no instances, so nothing of it runs; AWS stops no such cluster"
            )
        until = self._mark(cluster)
        if cluster.status == "stopped":
            return {"cluster_id": self.cluster_id, "status": "stopped", "keep_stopped_until": until}
        return self.stop_step(cluster, context)

    def _mark(self, cluster: Cluster) -> str | None:
        """Write down until when it is to be kept stopped, once; what an earlier run has written counts no more."""
        if self.keep_stopped_days is None:
            if KEEP_STOPPED_TAG in cluster.tags:
                self.hook.remove_tags(cluster.arn, [KEEP_STOPPED_TAG])
            return None
        now = datetime.now(UTC)
        before, wanted = cluster.tags.get(KEEP_STOPPED_TAG), float(self.keep_stopped_days) * 24
        known = ownership.parse_expiry(before)
        if before and known and abs((known - now) - timedelta(hours=wanted)) < timedelta(hours=12):
            return before
        until = ownership.expiry(now, wanted)
        self.hook.set_tags(cluster.arn, {KEEP_STOPPED_TAG: until})
        return until


class StopAgainOperator(RefreshOperator[RdsHook]):
    """Stop again what RDS has started after seven days although it was to be kept stopped.

    Looks through all clusters of the account and region for the tag that ``StopClusterOperator`` leaves. Never touched: one whose
    time is over, one that is not tagged ``refresh=true``, and any in a protected account.

    :param served: names under which clusters serve; they are left alone, and warned of.
    :param report_only: only tell (templated).
    :return: ``{"stopped": [cluster ids], "would_stop": [cluster ids], "warnings"}``.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:StopDBCluster")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "report_only")

    def __init__(self, *, served: list[str], report_only: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.served = served
        self.report_only = report_only

    def take_pass(self, context: Context) -> Result:
        """Stop what runs and should not; all at once, and nothing is waited for."""
        now = datetime.now(UTC)
        running = [
            cluster
            for cluster in self.hook.list_all_clusters()
            if (until := ownership.parse_expiry(cluster.tags.get(KEEP_STOPPED_TAG))) is not None
            and until > now
            and cluster.status == "available"
            and cluster.members
            and is_refreshable(cluster.tags)
        ]
        if not running:
            raise AirflowSkipException("nothing that is to be kept stopped runs")
        spared = [cluster.cluster_id for cluster in running if cluster.cluster_id in self.served]
        names = [cluster.cluster_id for cluster in running if cluster.cluster_id not in self.served]
        if not self.report_only:
            for name in names:
                self.hook.stop_cluster(name)
        warnings = [f"{name} is tagged {KEEP_STOPPED_TAG}, but serves; it is left alone" for name in spared]
        return {
            "stopped": [] if self.report_only else names,
            "would_stop": names if self.report_only else [],
            "warnings": warnings,
        }


class StopIfAskedOperator(StopClusterOperator):
    """Stop a cluster as ``StopClusterOperator`` does, where one is named.

    :param cluster_id: DB cluster identifier; ``None`` is nothing to do (templated).
    :return: ``{"cluster_id", "status", "keep_stopped_until"}``.
    """

    def take_pass(self, context: Context) -> Result:
        """Stop what is named."""
        if not self.cluster_id:
            return {"cluster_id": None, "status": "left", "keep_stopped_until": None}
        return super().take_pass(context)
