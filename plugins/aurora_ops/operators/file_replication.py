"""Replication of a file system into another account: allowed on both sides, started, ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import StateError
from aurora_ops.core.files import end_policy, replication_policy
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.file_systems import FileSystemOperator

_UNUSABLE = ("ERROR", "DELETING", "PAUSED", "PAUSING")


class AllowReplicationOperator(FileSystemOperator):
    """Let another account replicate into a file system: its policy, and overwrite protection off.

    What is in the file system is lost when replication begins. Clients that may mount it now may still mount it afterwards: the
    first policy of a file system ends AWS's default, so it says that again (``PutFileSystemPolicy``,
    ``UpdateFileSystemProtection``).

    :param source_account_id: account that replicates (templated).
    :return: ``{"file_system_id", "arn", "region"}``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeFileSystemPolicy",
        "elasticfilesystem:PutFileSystemPolicy",
        "elasticfilesystem:UpdateFileSystemProtection",
    )
    template_fields: Sequence[str] = (*FileSystemOperator.template_fields, "source_account_id")

    def __init__(self, *, source_account_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_account_id = source_account_id

    def step(self, found: FileSystem, context: Context) -> Result:
        """Change what differs."""
        hook: EfsHook = self.hook
        policy = replication_policy(
            hook.find_policy(found.file_system_id),
            file_system_arn=found.arn,
            source_account=self.source_account_id,
        )
        if policy is not None:
            hook.set_policy(found.file_system_id, policy)
        if found.protection == "ENABLED":
            hook.allow_overwriting(found.file_system_id)
        return {
            "file_system_id": found.file_system_id,
            "arn": found.arn,
            "region": found.arn.split(":")[3],
        }


class AllowReplicationEndOperator(RefreshOperator[EfsHook]):
    """Let the destination's account end the replication of a source file system (``PutFileSystemPolicy``).

    Only this one statement is added to the source's policy; clients that may mount it now may still mount it afterwards.

    :param file_system_id: source file system (templated).
    :param destination_account_id: account of the destination (templated).
    :return: ``{"file_system_id", "arn"}``.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeFileSystemPolicy",
        "elasticfilesystem:PutFileSystemPolicy",
    )
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "file_system_id", "destination_account_id")

    def __init__(self, *, file_system_id: str, destination_account_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.destination_account_id = destination_account_id

    def take_pass(self, context: Context) -> Result:
        """Change what differs."""
        hook: EfsHook = self.hook
        found = hook.require_file_system(self.file_system_id)
        policy = end_policy(
            hook.find_policy(found.file_system_id),
            file_system_arn=found.arn,
            destination_account=self.destination_account_id,
        )
        if policy is not None:
            hook.set_policy(found.file_system_id, policy)
        return {"file_system_id": found.file_system_id, "arn": found.arn}


class ReplicateFileSystemOperator(RefreshOperator[EfsHook]):
    """Replicate a file system into an existing one of another account, and wait until replication is enabled.

    It is asked in the source's account (``CreateReplicationConfiguration``). A replication that is there already must lead to
    the same destination.

    :param file_system_id: source file system (templated).
    :param destination_arn: ARN of the destination (templated).
    :param destination_region: region of the destination (templated).
    :param role_arn: role of the source's account that EFS assumes (templated).
    :param within_s: seconds until replication must be enabled.
    :return: ``{"source_file_system_id", "destination_file_system_id", "status"}``.
    :raises StateError: it is replicated to another file system, or replication is in error, paused or ending.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeReplicationConfigurations",
        "elasticfilesystem:CreateReplicationConfiguration",
        "iam:PassRole",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "file_system_id",
        "destination_arn",
        "destination_region",
        "role_arn",
    )

    def __init__(
        self,
        *,
        file_system_id: str,
        destination_arn: str,
        destination_region: str,
        role_arn: str,
        within_s: int = 4 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.destination_arn = destination_arn
        self.destination_region = destination_region
        self.role_arn = role_arn
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look; start it; wait."""
        hook: EfsHook = self.hook
        found = hook.find_replication(self.file_system_id)
        wanted = self.destination_arn.rpartition("/")[2]
        if found is None:
            hook.create_replication(self.file_system_id, self.destination_arn, self.destination_region, self.role_arn)
        elif found.source_id != self.file_system_id or found.destination_id != wanted:
            raise StateError(
                f"{self.file_system_id} is already part of a replication from {found.source_id} to {found.destination_id}; end "
                f"it first: a file system is part of one only"
            )
        elif found.status in _UNUSABLE:
            raise StateError(
                f"replication of {self.file_system_id} is {found.status}: {found.message}; see the EFS console"
            )
        elif found.status == "ENABLED":
            return {
                "source_file_system_id": self.file_system_id,
                "destination_file_system_id": wanted,
                "status": found.status,
            }
        return self.wait_until(replication_enabled(self.file_system_id, self.within_s), context)


def replication_enabled(file_system_id: str, within_s: int, synced_to: str | None = None) -> Wait:
    """Wait until a replication is enabled.

    :param synced_to: and until it has brought over everything that was written before this moment (ISO 8601).
    """
    return Wait(
        waiter="replication_enabled",
        args={"FileSystemId": file_system_id},
        parameters={"synced_to": synced_to} if synced_to else {},
        show="Replications[].Destinations[].[Status, LastReplicatedTimestamp]",
        within_s=within_s,
        every_s=60,
    )
