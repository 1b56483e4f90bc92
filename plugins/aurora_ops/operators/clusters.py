"""Aurora clusters: restored, given instances, changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.core.ownership import RUN_TAG
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.rds import Cluster, RdsHook
from aurora_ops.links.console import ClusterLink
from aurora_ops.operators.base import RefreshOperator, Result

# Parameter of Aurora MySQL 8.0 (version 3).
_S3_ROLE = "aws_default_s3_role"


class ClusterOperator(RefreshOperator[RdsHook]):
    """What the operators of one cluster share.

    :param cluster_id: DB cluster identifier (templated).
    :param within_s: seconds that each wait may take.
    """

    hook_class = RdsHook
    operator_extra_links: Collection[BaseOperatorLink] = (ClusterLink(),)
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "cluster_id")

    def __init__(self, *, cluster_id: str | None, within_s: int = 2 * 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id: str = cluster_id or ""
        self.within_s = within_s

    def wait_for(self, waiter: str, cluster_id: str, context: Context) -> Result:
        """Wait for a waiter of ``DescribeDBClusters``, then take the next pass."""
        return self.wait_on(
            context, waiter=waiter, args={"DBClusterIdentifier": cluster_id}, show="DBClusters[].Status"
        )

    def stop_step(self, cluster: Cluster, context: Context) -> Result:
        """Take one step towards a cluster being stopped, then the next pass; it has instances and is not stopped yet."""
        if cluster.status == "available":
            self.hook.stop_cluster(self.cluster_id)
        elif cluster.status != "stopping":
            return self.wait_for("cluster_available", self.cluster_id, context)
        return self.wait_for("cluster_stopped", self.cluster_id, context)

    def wait_on(self, context: Context, *, waiter: str, args: dict[str, Any], show: str, every_s: float = 15) -> Result:
        """Wait for any waiter, for as long as this operator may, then take the next pass; see ``core.wait.Wait``."""
        return self.wait_until(
            Wait(waiter=waiter, args=args, show=show, within_s=self.within_s, every_s=every_s), context
        )


class RestoreClusterOperator(ClusterOperator):
    """Restore a cluster from a snapshot, beside whatever exists, and wait until it is available.

    The AWS operation is ``RestoreDBClusterFromSnapshot``: the result has no instances, and until the first one is available
    nothing can connect. It carries the snapshot's master password, so it belongs into an isolated security group. Without
    ``KmsKeyId`` AWS would keep the source's key, so the result's key is compared with the one asked for.

    :param snapshot: identifier or ARN of the snapshot (templated).
    :param run_key: names the run; a cluster of that name made by another run is refused (templated).
    :param kms_key_arn: key of the new cluster (templated).
    :param subnet_group: DB subnet group (templated).
    :param security_groups: security group ids (templated).
    :param parameter_group: cluster parameter group (templated).
    :param serverless: ``{"min_acu", "max_acu"}`` for Serverless v2 (templated).
    :param backup_retention_days: days automated backups are kept (templated).
    :param log_exports: logs published to CloudWatch (templated).
    :param tags: tags of the new cluster; ``refresh=true``, owner and run are always among them (templated).
    :param expires_h: hours after which it may be removed if its run is dead; ``None`` is never (templated).
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
        "subnet_group",
        "security_groups",
        "parameter_group",
        "serverless",
        "backup_retention_days",
        "log_exports",
        "tags",
        "expires_h",
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
        expires_h: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.expires_h = expires_h
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
        origin = {
            "SnapshotIdentifier": self.snapshot,
            "Engine": "aurora-mysql",
            "EngineVersion": snapshot.engine_version or None,
        }
        self.hook.restore_cluster({**origin, **self._wanted()}, self._marks())

    def _wanted(self) -> dict[str, Any]:
        """Describe the new cluster, in the words that all ways of restoring share."""
        scaling = (
            {"MinCapacity": self.serverless["min_acu"], "MaxCapacity": self.serverless["max_acu"]}
            if self.serverless
            else None
        )
        return {
            "DBClusterIdentifier": self.cluster_id,
            "KmsKeyId": self.kms_key_arn,
            "DBSubnetGroupName": self.subnet_group,
            "VpcSecurityGroupIds": self.security_groups,
            "DBClusterParameterGroupName": self.parameter_group,
            "ServerlessV2ScalingConfiguration": scaling,
            "BackupRetentionPeriod": self.backup_retention_days,
            "EnableCloudwatchLogsExports": self.log_exports or None,
            "CopyTagsToSnapshot": True,
            "DeletionProtection": False,
        }

    def _marks(self) -> dict[str, str]:
        """Write the tags of the new cluster."""
        made = ownership.temporary(self.run_key, self.expires_h, datetime.now(UTC))
        return {**(self.tags or {}), "refresh": "true", **made}


class CreateInstancesOperator(ClusterOperator):
    """Give a cluster its instances, and wait until they are available.

    The AWS operation is ``CreateDBInstance``; the first instance of a cluster becomes its writer. Names follow from the
    cluster's: ``<cluster>-1``, ``<cluster>-2``, ...

    :param instance_class: class of the instances, ``db.serverless`` for Serverless v2 (templated).
    :param first: number of the first one; 1 is the writer (templated).
    :param count: how many (templated); 0 is nothing to do.
    :param run_key: names the run, for the tags (templated).
    :param tags: tags of the instances; ``refresh=true``, owner and run are always among them (templated).
    :param expires_h: hours after which they may be removed if their run is dead; ``None`` is never (templated).
    :return: ``{"cluster_id", "instance_ids"}``.
    :raises MissingError: there is no such cluster.
    :raises StateError: an instance of this name belongs to another cluster.
    :raises SafetyError: the cluster is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:CreateDBInstance",
        "rds:AddTagsToResource",
    )
    template_fields: Sequence[str] = (
        *ClusterOperator.template_fields,
        "instance_class",
        "first",
        "count",
        "run_key",
        "tags",
        "expires_h",
    )

    def __init__(
        self,
        *,
        instance_class: str,
        first: int | str = 1,
        count: int | str = 1,
        run_key: str | None = None,
        tags: dict[str, str] | None = None,
        expires_h: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.instance_class = instance_class
        self.first = first
        self.count = count
        self.run_key = run_key
        self.tags = tags
        self.expires_h = expires_h

    def take_pass(self, context: Context) -> Result:
        """Ask for those that are missing; wait for the first that is not available."""
        wanted = [naming.instance(self.cluster_id, int(self.first) + n) for n in range(int(self.count))]
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        if wanted and cluster.status != "available":
            return self.wait_for("cluster_available", self.cluster_id, context)
        pending = [instance_id for instance_id in wanted if not self._is_available(instance_id)]
        if not pending:
            return {"cluster_id": self.cluster_id, "instance_ids": wanted}
        return self.wait_on(
            context,
            waiter="instances_available",
            args={"DBInstanceIdentifier": pending[0]},
            show="DBInstances[].DBInstanceStatus",
            every_s=30,
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
                {
                    **(self.tags or {}),
                    "refresh": "true",
                    **ownership.temporary(self.run_key, self.expires_h, datetime.now(UTC)),
                },
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
    :param deletion_protection: whether AWS shall refuse to delete it (templated).
    :return: ``{"cluster_id", "security_groups"}``.
    :raises MissingError: there is no such cluster.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:ModifyDBCluster")
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "security_groups", "deletion_protection")

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
    """Attach a role to a cluster, for ``LOAD DATA FROM S3``, wait until it is active, and make it the server's default.

    The AWS operations are ``AddRoleToDBCluster`` and, where the cluster's parameter group names another role or none in
    ``aws_default_s3_role``, ``ModifyDBClusterParameterGroup``. A default group cannot be changed: a warning says what is missing.

    :param role_arn: the role; ``None`` is nothing to do (templated).
    :return: ``{"cluster_id", "role_arn"}``.
    :raises WaitFailedError: AWS finds the role invalid.
    :raises SafetyError: the cluster is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:AddRoleToDBCluster",
        "rds:DescribeDBClusterParameters",
        "rds:ModifyDBClusterParameterGroup",
        "iam:PassRole",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "role_arn")

    def __init__(self, *, role_arn: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role_arn = role_arn

    def take_pass(self, context: Context) -> Result:
        """Look; attach; wait."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        if self.role_arn and cluster.roles.get(self.role_arn) != "ACTIVE":
            if self.role_arn not in cluster.roles:
                self.hook.add_role(self.cluster_id, self.role_arn)
            return self.wait_for("roles_active", self.cluster_id, context)
        if self.role_arn:
            self._make_default(cluster.parameter_group, self.role_arn)
        return {"cluster_id": self.cluster_id, "role_arn": self.role_arn}

    def _make_default(self, group: str, role_arn: str) -> None:
        if group.startswith("default."):
            self.log.warning(
                "%s cannot be changed; LOAD DATA FROM S3 needs %s = %s in a group of the cluster's own",
                group,
                _S3_ROLE,
                role_arn,
            )
        elif self.hook.cluster_parameters(group).get(_S3_ROLE) != role_arn:
            self.hook.set_cluster_parameter(group, _S3_ROLE, role_arn)
