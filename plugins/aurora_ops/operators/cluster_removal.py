"""Clusters that have had their day: deleted, or retired by policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import PUBLISHED_TAG, RUN_TAG, ClusterOperator


class DeleteClusterOperator(ClusterOperator):
    """Delete a cluster with its instances, and wait until it is gone.

    The AWS operations are ``DeleteDBInstance`` and ``DeleteDBCluster``; a stopped cluster is started first, because AWS
    deletes none that is stopped, and deletion protection is taken off. An absent cluster is the goal.

    :param final_snapshot_id: take a last snapshot of this name; ``None`` takes none (templated).
    :param only_run: delete only what this run restored; another run's is left alone (templated).
    :param spare_run: delete only what this run did not restore: makes room for it (templated).
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
        if self.only_run not in (None, made_by) or (self.spare_run is not None and self.spare_run == made_by):
            return {"cluster_id": self.cluster_id, "status": "left"}
        if cluster.status == "deleting":
            return self.wait_for("cluster_deleted", self.cluster_id, context)
        require_refreshable(self.cluster_id, cluster.tags)
        if cluster.status == "stopped":
            self.hook.start_cluster(self.cluster_id)
        if cluster.status in (
            "stopped",
            "starting",
            "stopping",
            "renaming",
            "modifying",
            "resetting-master-credentials",
        ):
            until = "cluster_stopped" if cluster.status == "stopping" else "cluster_available"
            return self.wait_for(until, self.cluster_id, context)
        if cluster.deletion_protection:
            self.hook.modify_cluster(self.cluster_id, DeletionProtection=False)
            return self.wait_for("cluster_available", self.cluster_id, context)
        instances = self.hook.list_instances(self.cluster_id)
        for instance in instances:
            if instance["DBInstanceStatus"] != "deleting":
                self.hook.delete_instance(instance["DBInstanceIdentifier"])
        if instances:
            return self._wait_for_no_instances(context)
        self.hook.delete_cluster(self.cluster_id, self.final_snapshot_id)
        return self.wait_for("cluster_deleted", self.cluster_id, context)

    def _wait_for_no_instances(self, context: Context) -> Result:
        filters = [{"Name": "db-cluster-id", "Values": [self.cluster_id]}]
        return self.wait_on(
            context,
            waiter="instances_gone",
            args={"Filters": filters},
            show="DBInstances[].DBInstanceStatus",
            every_s=30,
        )


class RetireClusterOperator(DeleteClusterOperator):
    """Do with a cluster that no longer serves what the policy says: keep, stop or delete it.

    RDS starts a stopped cluster again after seven days; the next refresh deletes it before that.

    :param policy: ``keep``, ``stop`` or ``delete`` (templated).
    :param successor_id: the cluster that has taken its place; unless it exists and carries the mark that
        ``published_run`` left when it had finished, nothing is done: what may be needed to go back is never retired (templated).
    :param published_run: names the run (templated).
    :return: ``{"cluster_id", "status": "absent" | "stopped" | "kept" | "left"}``.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (*DeleteClusterOperator.permissions, "rds:StopDBCluster")
    template_fields: Sequence[str] = (
        *DeleteClusterOperator.template_fields,
        "policy",
        "successor_id",
        "published_run",
    )

    def __init__(self, *, policy: str, successor_id: str, published_run: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.successor_id = successor_id
        self.published_run = published_run

    def take_pass(self, context: Context) -> Result:
        """Take one step of the policy, if the successor is there."""
        successor = self.hook.find_cluster(self.successor_id) if self.successor_id else None
        if successor is None or successor.tags.get(PUBLISHED_TAG) != self.published_run:
            return {"cluster_id": self.cluster_id, "status": "left"}
        if self.policy == "delete":
            return self.delete_pass(context)
        if self.policy == "stop":
            return self._stop_pass(context)
        if self.policy == "keep":
            return {"cluster_id": self.cluster_id, "status": "kept"}
        raise ConfigError("policy", self.policy, "keep, stop or delete")

    def _stop_pass(self, context: Context) -> Result:
        cluster = self.hook.find_cluster(self.cluster_id) if self.cluster_id else None
        if cluster is None:
            return {"cluster_id": self.cluster_id, "status": "absent"}
        if cluster.status == "stopped":
            return {"cluster_id": self.cluster_id, "status": "stopped"}
        require_refreshable(self.cluster_id, cluster.tags)
        if cluster.status == "available" and not cluster.members:
            return {"cluster_id": self.cluster_id, "status": "kept"}
        if cluster.status == "available":
            self.hook.stop_cluster(self.cluster_id)
        elif cluster.status != "stopping":
            return self.wait_for("cluster_available", self.cluster_id, context)
        return self.wait_for("cluster_stopped", self.cluster_id, context)
