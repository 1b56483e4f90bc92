"""File systems that have had their day, removed with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core import ownership
from aurora_ops.core.errors import SafetyError, StateError
from aurora_ops.core.files import require_changeable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.file_systems import REFRESH_TAGS, FileSystemOperator, available


class DeleteFileSystemOperator(FileSystemOperator):
    """Delete a file system with its replication, access points and mount targets, and wait until it is gone.

    An absent one is the goal. The AWS operations are ``DeleteReplicationConfiguration``, ``DeleteAccessPoint``,
    ``DeleteMountTarget`` and ``DeleteFileSystem``, in this order.

    :return: ``{"file_system_id", "status": "absent"}``.
    :raises SafetyError: it is not tagged ``refresh=true``, not on the allow-list, or the source of a replication.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeReplicationConfigurations",
        "elasticfilesystem:DeleteReplicationConfiguration",
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:DeleteAccessPoint",
        "elasticfilesystem:DescribeMountTargets",
        "elasticfilesystem:DeleteMountTarget",
        "ec2:DeleteNetworkInterface",
        "elasticfilesystem:DeleteFileSystem",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def take_pass(self, context: Context) -> Result:
        """Take one step towards its end."""
        hook: EfsHook = self.hook
        found = hook.find_file_system(self.file_system_id) if self.file_system_id else None
        if found is None or found.status == "deleted":
            return {"file_system_id": self.file_system_id, "status": "absent"}
        if found.status == "deleting":
            return self.step(found, context)
        require_changeable(found.file_system_id, found.tags, self.allowed_names)
        if found.status in ("creating", "updating"):
            return self.wait_until(available(found.file_system_id, self.within_s), context)
        return self.step(found, context)

    def step(self, found: FileSystem, context: Context) -> Result:
        """Remove what stands in the way, then the file system."""
        return self.wait_until(delete_step(self.hook, found, self.within_s), context)


def delete_step(hook: EfsHook, found: FileSystem, within_s: int) -> Wait:
    """Take one step towards the end of a file system: its replication, what belongs to it, itself; what to wait for then.

    :param found: the file system, as it has just been looked up.
    :param within_s: seconds that the step may take.
    :raises SafetyError: it is the source of a replication.
    """
    name = found.file_system_id
    gone = _until(name, within_s, waiter="file_system_gone", show="FileSystems[].LifeCycleState")
    if found.status == "deleting":
        return gone
    replication = hook.find_replication(name)
    if replication is not None:
        if replication.source_id == name:
            raise SafetyError(
                f"{name} is replicated to {replication.destination_id}; end that replication first, if {name} may go: "
                f"aws efs delete-replication-configuration --source-file-system-id {name}"
            )
        if replication.status != "DELETING":
            hook.delete_replication(replication.source_id)
        return _until(name, within_s, waiter="replication_gone", show="Replications[].Destinations[].Status")
    for point in hook.list_access_points(name):
        if point.status != "deleting":
            hook.delete_access_point(point.access_point_id)
    targets = hook.list_mount_targets(name)
    for target in targets:
        if target.status != "deleting":
            hook.delete_mount_target(target.mount_target_id)
    if targets:
        return _until(name, within_s, waiter="mount_targets_gone", show="MountTargets[].LifeCycleState")
    hook.delete_file_system(name)
    return gone


def _until(file_system_id: str, within_s: int, *, waiter: str, show: str) -> Wait:
    return Wait(waiter=waiter, args={"FileSystemId": file_system_id}, show=show, within_s=within_s, every_s=10)


def volumes_of(aws_conn_id: str, region: str | None, eks_cluster: str | None, file_system_id: str) -> list[str]:
    """Name the volumes of an EKS cluster that show a file system; none where there is no cluster."""
    if eks_cluster is None:
        return []
    volumes = KubernetesHook(aws_conn_id, region).api(eks_cluster).list(k8s.VOLUMES)
    return sorted(volume["metadata"]["name"] for volume in volumes if k8s.file_system_of(volume) == file_system_id)


class DiscardFileSystemOperator(DeleteFileSystemOperator):
    """Delete the file system that this run has made, unless it has been published or is still to be.

    It is found by its creation token, so also where the restore that makes it was cut short. AWS Backup makes it without tags; what
    lets it be deleted is then set here, since nobody else knows the token.

    :param created_as: creation token, from ``core.naming``; ``None`` is nothing to do (templated).
    :param name: tag ``Name`` that it has, or would have been given.
    :param run_key: the run that makes it (templated).
    :param id_parameter: SSM parameter that says which file system is published.
    :param serving: set once the database that it belongs to serves: then it is kept, for publishing to be tried again (templated).
    :return: ``{"file_system_id", "status": "absent" or "kept"}``.
    :raises SafetyError: it is another run's, or not on the allow-list.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *DeleteFileSystemOperator.permissions,
        "elasticfilesystem:TagResource",
        "ssm:GetParameter",
    )
    template_fields: Sequence[str] = (*DeleteFileSystemOperator.template_fields, "created_as", "run_key", "serving")

    def __init__(
        self,
        *,
        created_as: str | None,
        name: str,
        run_key: str,
        id_parameter: str,
        serving: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"file_system_id": "", **kwargs})
        self.created_as = created_as
        self.name = name
        self.run_key = run_key
        self.id_parameter = id_parameter
        self.serving = serving

    def take_pass(self, context: Context) -> Result:
        """Find it; leave it if it is published; else take one step towards its end."""
        hook: EfsHook = self.hook
        found = hook.find_file_system_by_token(self.created_as) if self.created_as else None
        if found is None:
            return {"file_system_id": None, "status": "absent"}
        self.file_system_id = found.file_system_id
        published = ParametersHook(self.aws_conn_id, self.region_name).find(self.id_parameter)
        if self.serving or published == found.file_system_id:
            return {"file_system_id": found.file_system_id, "status": "kept"}
        if found.tags.get(ownership.RUN_TAG, self.run_key) != self.run_key:
            raise SafetyError(f"{found.file_system_id} was made by {found.tags[ownership.RUN_TAG]}; it stays")
        if not found.tags.keys() & REFRESH_TAGS.keys() and found.status != "deleting":
            marks = ownership.temporary(self.run_key, None, datetime.now(UTC))
            hook.set_tags(found.file_system_id, {"Name": self.name, **REFRESH_TAGS, **marks})
        return super().take_pass(context)


class RetireFileSystemOperator(DeleteFileSystemOperator):
    """Delete the file system that was published before, or keep it, by policy. Nothing may show it any more.

    :param policy: ``keep`` or ``delete``.
    :param id_parameter: SSM parameter that says which file system is published: that one is never deleted.
    :param eks_cluster: EKS cluster whose volumes must show it no more; ``None``: there is none.
    :return: ``{"file_system_id", "status": "absent" or "kept"}``.
    :raises SafetyError: it is not tagged ``refresh=true``, not on the allow-list, or published.
    :raises StateError: a volume of the EKS cluster still shows it.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *DeleteFileSystemOperator.permissions,
        "eks:DescribeCluster",
        "ssm:GetParameter",
    )

    def __init__(self, *, policy: str, id_parameter: str, eks_cluster: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.id_parameter = id_parameter
        self.eks_cluster = eks_cluster

    def take_pass(self, context: Context) -> Result:
        """Look who shows it, then take one step towards its end."""
        name = self.file_system_id
        if self.policy == "keep" or not name:
            return {"file_system_id": name, "status": "kept" if name else "absent"}
        if ParametersHook(self.aws_conn_id, self.region_name).find(self.id_parameter) == name:
            raise SafetyError(f"{name} is what {self.id_parameter} names; it stays")
        if users := volumes_of(self.aws_conn_id, self.region_name, self.eks_cluster, name):
            raise StateError(
                f"{name} stays: volumes {users} of EKS cluster {self.eks_cluster} show it; point their claims elsewhere with "
                f"eks_manage_storage, then delete it with efs_delete_filesystem"
            )
        return super().take_pass(context)
