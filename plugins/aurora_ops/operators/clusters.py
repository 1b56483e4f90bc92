"""Aurora clusters: restored, renamed, stopped, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, MissingError, StateError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.rds import Cluster, RdsHook
from aurora_ops.operators.base import RefreshOperator, Result

RUN_TAG, PUBLISHED_TAG = "aurora-ops:run", "aurora-ops:published"


class ClusterOperator(RefreshOperator[RdsHook]):
    """What the operators of one cluster share.

    :param cluster_id: DB cluster identifier (templated).
    :param within_s: seconds that each wait may take.
    """

    hook_class = RdsHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "cluster_id")

    def __init__(self, *, cluster_id: str | None, within_s: int = 2 * 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id: str = cluster_id or ""
        self.within_s = within_s

    def wait_for(self, waiter: str, cluster_id: str, context: Context) -> Result:
        """Wait for a waiter of ``DescribeDBClusters``, then take the next pass."""
        return self.wait_until(
            Wait(
                waiter=waiter,
                args={"DBClusterIdentifier": cluster_id},
                show="DBClusters[].Status",
                within_s=self.within_s,
                every_s=15,
            ),
            context,
        )


class RestoreClusterOperator(ClusterOperator):
    """Restore a cluster from a snapshot, beside whatever exists, and wait until it is available.

    The AWS operation is ``RestoreDBClusterFromSnapshot``: the result has no instances, and until the first one is available
    nothing can connect. It carries the snapshot's master password, so it belongs into an isolated security group. Without
    ``KmsKeyId`` AWS would keep the source's key, so the result's key is compared with the one asked for.

    :param snapshot: identifier or ARN of the snapshot (templated).
    :param run_key: names the run; a cluster of that name made by another run is refused (templated).
    :param kms_key_arn: key of the new cluster (templated).
    :param subnet_group: DB subnet group.
    :param security_groups: security group ids (templated).
    :param parameter_group: cluster parameter group (templated).
    :param serverless: ``{"min_acu", "max_acu"}`` for Serverless v2.
    :param backup_retention_days: days automated backups are kept.
    :param log_exports: logs published to CloudWatch.
    :param tags: tags of the new cluster; ``refresh=true`` is always among them (templated).
    :return: ``{"cluster_id", "cluster_arn", "resource_id", "endpoint"}``.
    :raises MissingError: there is no such snapshot.
    :raises StateError: a cluster of this name was not made by this run, or ended up under another key.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBClusterSnapshots",
        "rds:RestoreDBClusterFromSnapshot",
        "rds:AddTagsToResource",
        "kms:DescribeKey",
        "kms:CreateGrant",
    )
    template_fields: Sequence[str] = (
        *ClusterOperator.template_fields,
        "snapshot",
        "run_key",
        "kms_key_arn",
        "security_groups",
        "parameter_group",
        "tags",
    )

    def __init__(
        self,
        *,
        snapshot: str,
        run_key: str,
        kms_key_arn: str,
        subnet_group: str,
        security_groups: list[str],
        parameter_group: str | None = None,
        serverless: dict[str, float] | None = None,
        backup_retention_days: int | None = None,
        log_exports: list[str] | None = None,
        tags: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot = snapshot
        self.run_key = run_key
        self.kms_key_arn = kms_key_arn
        self.subnet_group = subnet_group
        self.security_groups = security_groups
        self.parameter_group = parameter_group
        self.serverless = serverless
        self.backup_retention_days = backup_retention_days
        self.log_exports = log_exports
        self.tags = tags

    def take_pass(self, context: Context) -> Result:
        """Adopt what this run has restored, or ask for the restore; wait."""
        cluster = self.hook.find_cluster(self.cluster_id)
        if cluster is None:
            self._ask()
            return self.wait_for("cluster_available", self.cluster_id, context)
        if cluster.tags.get(RUN_TAG) != self.run_key:
            raise StateError(
                f"cluster {self.cluster_id} was made by {cluster.tags.get(RUN_TAG, 'somebody else')}, not by this run; "
                f"delete it, or run the task that clears the name"
            )
        if cluster.status != "available":
            return self.wait_for("cluster_available", self.cluster_id, context)
        if cluster.kms_key_arn != self.kms_key_arn:
            raise StateError(f"cluster {self.cluster_id} is under key {cluster.kms_key_arn}, not {self.kms_key_arn}")
        return {
            "cluster_id": cluster.cluster_id,
            "cluster_arn": cluster.arn,
            "resource_id": cluster.resource_id,
            "endpoint": cluster.endpoint,
        }

    def _ask(self) -> None:
        snapshot = self.hook.find_snapshot(self.snapshot)
        if snapshot is None:
            raise MissingError(f"no snapshot {self.snapshot} behind {self.aws_conn_id}")
        scaling = (
            {"MinCapacity": self.serverless["min_acu"], "MaxCapacity": self.serverless["max_acu"]}
            if self.serverless
            else None
        )
        self.hook.restore_cluster(
            {
                "DBClusterIdentifier": self.cluster_id,
                "SnapshotIdentifier": self.snapshot,
                "Engine": "aurora-mysql",
                "EngineVersion": snapshot.engine_version or None,
                "KmsKeyId": self.kms_key_arn,
                "DBSubnetGroupName": self.subnet_group,
                "VpcSecurityGroupIds": self.security_groups,
                "DBClusterParameterGroupName": self.parameter_group,
                "ServerlessV2ScalingConfiguration": scaling,
                "BackupRetentionPeriod": self.backup_retention_days,
                "EnableCloudwatchLogsExports": self.log_exports or None,
                "CopyTagsToSnapshot": True,
                "DeletionProtection": False,
            },
            {**(self.tags or {}), "refresh": "true", RUN_TAG: self.run_key},
        )


class CreateInstancesOperator(ClusterOperator):
    """Give a cluster its instances, and wait until they are available.

    The AWS operation is ``CreateDBInstance``; the first instance of a cluster becomes its writer. Names follow from the
    cluster's: ``<cluster>-1``, ``<cluster>-2``, ...

    :param instance_class: class of the instances, ``db.serverless`` for Serverless v2 (templated).
    :param first: number of the first one; 1 is the writer.
    :param count: how many (templated); 0 is nothing to do.
    :param tags: tags of the instances (templated).
    :return: ``{"cluster_id", "instance_ids"}``.
    :raises MissingError: there is no such cluster.
    :raises StateError: an instance of this name belongs to another cluster.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:CreateDBInstance",
        "rds:AddTagsToResource",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "instance_class", "count", "tags")

    def __init__(
        self,
        *,
        instance_class: str,
        first: int = 1,
        count: int | str = 1,
        tags: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_class = instance_class
        self.first = first
        self.count = count
        self.tags = tags

    def take_pass(self, context: Context) -> Result:
        """Ask for those that are missing; wait for the first that is not available."""
        wanted = [naming.instance(self.cluster_id, self.first + n) for n in range(int(self.count))]
        cluster = self.hook.require_cluster(self.cluster_id)
        if wanted and cluster.status != "available":
            return self.wait_for("cluster_available", self.cluster_id, context)
        pending = [instance_id for instance_id in wanted if not self._is_available(instance_id)]
        if not pending:
            return {"cluster_id": self.cluster_id, "instance_ids": wanted}
        return self.wait_until(
            Wait(
                waiter="instances_available",
                args={"DBInstanceIdentifier": pending[0]},
                show="DBInstances[].DBInstanceStatus",
                within_s=self.within_s,
            ),
            context,
        )

    def _is_available(self, instance_id: str) -> bool:
        found = self.hook.find_instance(instance_id)
        if found is None:
            self.hook.create_instance(
                {
                    "DBInstanceIdentifier": instance_id,
                    "DBClusterIdentifier": self.cluster_id,
                    "Engine": "aurora-mysql",
                    "DBInstanceClass": self.instance_class,
                    "PubliclyAccessible": False,
                    "AutoMinorVersionUpgrade": False,
                    "CopyTagsToSnapshot": True,
                },
                {**(self.tags or {}), "refresh": "true"},
            )
            return False
        if found.get("DBClusterIdentifier") != self.cluster_id:
            raise StateError(
                f"instance {instance_id} belongs to {found.get('DBClusterIdentifier')}, not {self.cluster_id}"
            )
        return bool(found["DBInstanceStatus"] == "available")


class ModifyClusterOperator(ClusterOperator):
    """Bring settings of a cluster to what they shall be, and wait until it is available.

    The AWS operation is ``ModifyDBCluster``, which is called only if something differs.

    :param security_groups: security group ids (templated).
    :param deletion_protection: whether AWS shall refuse to delete it.
    :return: ``{"cluster_id", "security_groups"}``.
    :raises MissingError: there is no such cluster.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:ModifyDBCluster")
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "security_groups")

    def __init__(
        self, *, security_groups: list[str] | None = None, deletion_protection: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.security_groups = security_groups
        self.deletion_protection = deletion_protection

    def take_pass(self, context: Context) -> Result:
        """Compare; change what differs; wait."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        if cluster.status != "available":
            return self.wait_for("cluster_available", self.cluster_id, context)
        changes: dict[str, Any] = {}
        if self.security_groups and set(self.security_groups) != set(cluster.security_groups):
            changes["VpcSecurityGroupIds"] = self.security_groups
        if self.deletion_protection not in (None, cluster.deletion_protection):
            changes["DeletionProtection"] = self.deletion_protection
        if changes:
            self.hook.modify_cluster(self.cluster_id, **changes)
            return self.wait_for("cluster_available", self.cluster_id, context)
        return {"cluster_id": self.cluster_id, "security_groups": cluster.security_groups}


class AttachRoleOperator(ClusterOperator):
    """Attach a role to a cluster, for ``LOAD DATA FROM S3``, and wait until it is active.

    The AWS operation is ``AddRoleToDBCluster``.

    :param role_arn: the role; ``None`` is nothing to do (templated).
    :return: ``{"cluster_id", "role_arn"}``.
    :raises WaitFailedError: AWS finds the role invalid.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:AddRoleToDBCluster", "iam:PassRole")
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "role_arn")

    def __init__(self, *, role_arn: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role_arn = role_arn

    def take_pass(self, context: Context) -> Result:
        """Look; attach; wait."""
        cluster = self.hook.require_cluster(self.cluster_id)
        if self.role_arn and cluster.roles.get(self.role_arn) != "ACTIVE":
            if self.role_arn not in cluster.roles:
                self.hook.add_role(self.cluster_id, self.role_arn)
            return self.wait_for("roles_active", self.cluster_id, context)
        return {"cluster_id": self.cluster_id, "role_arn": self.role_arn}


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
        return self.wait_until(
            Wait(
                waiter="instances_gone",
                args={"Filters": [{"Name": "db-cluster-id", "Values": [self.cluster_id]}]},
                show="DBInstances[].DBInstanceStatus",
                within_s=self.within_s,
            ),
            context,
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
        """Take one step towards the cluster ``resource_id`` having the name ``name``."""
        cluster = self.hook.find_cluster_by_resource_id(resource_id)
        if cluster is None:
            raise MissingError(f"no cluster with resource id {resource_id} behind {self.aws_conn_id}")
        require_refreshable(cluster.cluster_id, cluster.tags)
        if cluster.cluster_id != name:
            if cluster.status != "available":
                return self._wait_by_resource_id(resource_id, context)
            self._require_free(name)
            self.hook.modify_cluster(cluster.cluster_id, NewDBClusterIdentifier=name)
            return self.wait_for("cluster_renamed", name, context)
        if cluster.status != "available":
            return self._wait_by_resource_id(resource_id, context)
        return self._instances_pass(cluster, context)

    def _wait_by_resource_id(self, resource_id: str, context: Context) -> Result:
        """Wait until a cluster is available, under whatever name it will then have."""
        return self.wait_until(
            Wait(
                waiter="cluster_available",
                args={"Filters": [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]},
                show="DBClusters[].[DBClusterIdentifier, Status]",
                within_s=self.within_s,
                every_s=15,
            ),
            context,
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
        return self.wait_until(
            Wait(
                waiter=waiter,
                args={"DBInstanceIdentifier": instance_id},
                show="DBInstances[].DBInstanceStatus",
                within_s=self.within_s,
                every_s=15,
            ),
            context,
        )


class RestoreNamesOperator(RenameClusterOperator):
    """Undo a swap of names: what served serves again, under its own name.

    Run as compensation, whatever state the swap ended in. The cluster that has taken the name steps aside first.

    :param cluster_id: the name under which the live cluster served (templated).
    :param resource_id: ``DbClusterResourceId`` of the cluster that served before the swap (templated).
    :param aside_id: the name that whatever has taken its place gets (templated).
    :param instance_ids: names of the instances of the cluster that served, which they get back (templated).
    :return: ``{"cluster_id", "resource_id", "instance_ids"}``.
    """

    template_fields: Sequence[str] = (*RenameClusterOperator.template_fields, "aside_id", "instance_ids")

    def __init__(self, *, aside_id: str, instance_ids: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aside_id = aside_id
        self.instance_ids = instance_ids

    def execute(self, context: Context) -> Result:
        """Skip where the failure came before the swap: the live cluster still has its name."""
        cluster = self.hook.find_cluster(self.cluster_id) if self.resource_id else None
        if cluster is not None and cluster.resource_id == self.resource_id and self._settled(cluster):
            raise AirflowSkipException(f"{self.cluster_id} still serves under its own name; there is nothing to undo")
        return super().execute(context)

    def take_pass(self, context: Context) -> Result:
        """Move the usurper aside with its instances, whose names are needed, then name the rightful cluster."""
        if not self.resource_id:
            raise AirflowSkipException("no cluster served before; there is nothing to go back to")
        holder = self.hook.find_cluster(self.cluster_id)
        if holder is None or holder.resource_id == self.resource_id:
            holder = self.hook.find_cluster(self.aside_id)
        if holder is not None and not (holder.cluster_id == self.aside_id and self._settled(holder)):
            return self.name_pass(holder.resource_id, self.aside_id, context)
        return self.name_pass(self.resource_id, self.cluster_id, context)

    def wanted_instances(self, cluster: Cluster) -> list[str]:
        """Give the instances of the cluster that served their own names back."""
        if cluster.resource_id == self.resource_id and len(self.instance_ids) == len(cluster.instance_ids):
            return list(self.instance_ids)
        return super().wanted_instances(cluster)

    def _settled(self, cluster: Cluster) -> bool:
        """Tell whether a cluster is available and its instances have the names that they shall have."""
        return cluster.status == "available" and set(cluster.instance_ids) == set(self.wanted_instances(cluster))
