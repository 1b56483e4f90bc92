"""File systems that have had their day, removed with everything that belongs to them."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import SafetyError
from aurora_ops.core.files import require_changeable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.operators.base import Result
from aurora_ops.operators.file_systems import FileSystemOperator, available


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
            return self.wait_until(self._gone(), context)
        require_changeable(found.file_system_id, found.tags, self.allowed_names)
        if found.status in ("creating", "updating"):
            return self.wait_until(available(found.file_system_id, self.within_s), context)
        return self.step(found, context)

    def step(self, found: FileSystem, context: Context) -> Result:
        """Remove what stands in the way, then the file system."""
        hook: EfsHook = self.hook
        name = found.file_system_id
        replication = hook.find_replication(name)
        if replication is not None:
            if replication.source_id == name:
                raise SafetyError(
                    f"{name} is replicated to {replication.destination_id}; end that replication first, if {name} may go: "
                    f"aws efs delete-replication-configuration --source-file-system-id {name}"
                )
            if replication.status != "DELETING":
                hook.delete_replication(replication.source_id)
            return self.wait_until(self._wait_for("replication_gone", "Replications[].Destinations[].Status"), context)
        for point in hook.list_access_points(name):
            if point.status != "deleting":
                hook.delete_access_point(point.access_point_id)
        targets = hook.list_mount_targets(name)
        for target in targets:
            if target.status != "deleting":
                hook.delete_mount_target(target.mount_target_id)
        if targets:
            return self.wait_until(self._wait_for("mount_targets_gone", "MountTargets[].LifeCycleState"), context)
        hook.delete_file_system(name)
        return self.wait_until(self._gone(), context)

    def _gone(self) -> Wait:
        return self._wait_for("file_system_gone", "FileSystems[].LifeCycleState")

    def _wait_for(self, name: str, show: str) -> Wait:
        return Wait(
            waiter=name, args={"FileSystemId": self.file_system_id}, show=show, within_s=self.within_s, every_s=10
        )
