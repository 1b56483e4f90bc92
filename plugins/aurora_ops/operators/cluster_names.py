"""Clusters that change names, and change back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import naming
from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator


class RenameClusterOperator(ClusterOperator):
    """Give a cluster, known by its resource id, a name; its instances follow.

    The AWS operations are ``ModifyDBCluster`` and ``ModifyDBInstance``. The resource id is what a rename does not change:
    asking for "this cluster under that name" is the same request before, between and after the renames of a swap, so the task
    can be repeated at any moment. Nothing is ever deleted to make room.

    :param cluster_id: the name it shall have (templated).
    :param resource_id: ``DbClusterResourceId`` of the cluster; empty is nothing to do (templated).
    :return: ``{"cluster_id", "resource_id", "instance_ids"}``.
    :raises MissingError: there is no such cluster.
    :raises StateError: another cluster has the name.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:ModifyDBCluster",
        "rds:ModifyDBInstance",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "resource_id")

    def __init__(self, *, resource_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resource_id = resource_id

    def take_pass(self, context: Context) -> Result:
        """Rename the cluster, then each instance whose name is another; wait."""
        if not self.resource_id:
            return {"cluster_id": None, "resource_id": "", "instance_ids": []}
        return self.name_pass(self.resource_id, self.cluster_id, context)

    def name_pass(self, resource_id: str, name: str, context: Context) -> Result:
        """Take one step towards the cluster ``resource_id`` and its instances having the name ``name``."""
        cluster = self._require(resource_id)
        if cluster.cluster_id != name or cluster.status != "available":
            return self.cluster_pass(cluster, name, context)
        return self._instances_pass(cluster, context)

    def cluster_pass(self, cluster: Cluster, name: str, context: Context) -> Result:
        """Take one step towards a cluster being available under a name; its instances stay as they are."""
        if cluster.cluster_id == name or cluster.status != "available":
            return self._wait_by_resource_id(cluster.resource_id, context)
        self._require_free(name)
        self.hook.modify_cluster(cluster.cluster_id, NewDBClusterIdentifier=name)
        return self.wait_for("cluster_renamed", name, context)

    def _require(self, resource_id: str) -> Cluster:
        """Look a cluster up that may be renamed."""
        cluster = self.hook.find_cluster_by_resource_id(resource_id)
        if cluster is None:
            raise MissingError(f"no cluster with resource id {resource_id} behind {self.aws_conn_id}")
        require_refreshable(cluster.cluster_id, cluster.tags)
        return cluster

    def _wait_by_resource_id(self, resource_id: str, context: Context) -> Result:
        """Wait until a cluster is available, under whatever name it will then have."""
        filters = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
        return self.wait_on(
            context,
            waiter="cluster_available",
            args={"Filters": filters},
            show="DBClusters[].[DBClusterIdentifier, Status]",
        )

    def _require_free(self, name: str) -> None:
        holder = self.hook.find_cluster(name)
        if holder is not None:
            raise StateError(
                f"{name} is the name of cluster {holder.resource_id}; nothing is deleted to make room for a rename"
            )

    def wanted_instances(self, cluster: Cluster) -> list[str]:
        """Name the instances that a cluster shall have, the writer first."""
        return [naming.instance(cluster.cluster_id, number + 1) for number in range(len(cluster.instance_ids))]

    def _instances_pass(self, cluster: Cluster, context: Context) -> Result:
        """Rename the instances; those that already have a fitting name keep it."""
        wanted = self.wanted_instances(cluster)
        free = [name for name in wanted if name not in cluster.instance_ids]
        misnamed = [name for name in cluster.instance_ids if name not in wanted]
        for old, new in zip(misnamed, free, strict=True):
            status = (self.hook.find_instance(old) or {}).get("DBInstanceStatus")
            if status == "available":
                self.hook.rename_instance(old, new)
            elif status not in (None, "renaming"):
                return self._wait_for_instance("instances_available", old, context)
        for name in free or wanted:
            # a renamed instance is rebooted, and while it is, nobody can connect
            if (self.hook.find_instance(name) or {}).get("DBInstanceStatus") != "available":
                return self._wait_for_instance("instance_renamed", name, context)
        return {"cluster_id": cluster.cluster_id, "resource_id": cluster.resource_id, "instance_ids": wanted}

    def _wait_for_instance(self, waiter: str, instance_id: str, context: Context) -> Result:
        return self.wait_on(
            context,
            waiter=waiter,
            args={"DBInstanceIdentifier": instance_id},
            show="DBInstances[].DBInstanceStatus",
        )


class RecoverNamesOperator(RenameClusterOperator):
    """Give what served its own name back, from whatever state a swap of names ended in.

    The cluster that has taken the name steps aside first. Then what served has it back, and serves; only then follow the names
    of instances: each is a reboot, and may be refused.

    :param cluster_id: the name under which the live cluster served (templated).
    :param resource_id: ``DbClusterResourceId`` of the cluster that served; empty is nothing to do (templated).
    :param aside_id: the name that whatever has taken its place gets (templated).
    :param instance_ids: names of the instances of the cluster that served, which they get back (templated).
    :return: ``{"cluster_id", "resource_id", "instance_ids"}``.
    """

    template_fields: Sequence[str] = (*RenameClusterOperator.template_fields, "aside_id", "instance_ids")

    def __init__(self, *, aside_id: str, instance_ids: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aside_id = aside_id
        self.instance_ids = instance_ids

    def undisturbed(self) -> bool:
        """Tell whether what served has its name, and its instances have theirs."""
        cluster = self.hook.find_cluster(self.cluster_id) if self.resource_id else None
        return cluster is not None and cluster.resource_id == self.resource_id and self._settled(cluster)

    def take_pass(self, context: Context) -> Result:
        """Move the usurper aside, name the rightful cluster, then the instances of both."""
        if not self.resource_id or self.undisturbed():
            return super().take_pass(context)
        holder = self.hook.find_cluster(self.cluster_id)
        if holder is not None and holder.resource_id != self.resource_id:
            return self.cluster_pass(self._require(holder.resource_id), self.aside_id, context)
        rightful = self._require(self.resource_id)
        if rightful.cluster_id != self.cluster_id:
            return self.cluster_pass(rightful, self.cluster_id, context)
        aside = self.hook.find_cluster(self.aside_id)
        if aside is not None and not self._settled(aside):
            self.name_pass(aside.resource_id, self.aside_id, context)  # waits, or it has just been done
        return self.name_pass(self.resource_id, self.cluster_id, context)

    def wanted_instances(self, cluster: Cluster) -> list[str]:
        """Give the instances of the cluster that served their own names back."""
        if cluster.resource_id == self.resource_id and len(self.instance_ids) == len(cluster.instance_ids):
            return list(self.instance_ids)
        return super().wanted_instances(cluster)

    def _settled(self, cluster: Cluster) -> bool:
        """Tell whether a cluster is available and its instances have the names that they shall have."""
        return cluster.status == "available" and set(cluster.instance_ids) == set(self.wanted_instances(cluster))


class RestoreNamesOperator(RecoverNamesOperator):
    """Undo a swap of names: what served serves again, under its own name. Compensation, skipped where there is nothing to undo.

    Its parameters are those of ``RecoverNamesOperator``.

    :return: ``{"cluster_id", "resource_id", "instance_ids"}``.
    """

    def execute(self, context: Context) -> Any:
        """Skip where the failure came before the swap: the live cluster still has its name."""
        if not self.resource_id:
            raise AirflowSkipException("no cluster served before; there is nothing to go back to")
        if self.undisturbed():
            raise AirflowSkipException(f"{self.cluster_id} still serves under its own name; there is nothing to undo")
        return super().execute(context)
