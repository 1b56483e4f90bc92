"""Dispatch: operations of EFS and AWS Backup that localcloud answers itself; of AWS Backup, plans stay moto's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from moto.backup.responses import BackupResponse
from moto.core.responses import BaseResponse

from localcloud.rds.response import Plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from moto.core.responses import ActionResult

    from localcloud.efs.core import Core
    from localcloud.efs.model import Params, Region

    Operation = Callable[[Region, Params], dict[str, Any]]

REPLICATION = (
    "create_replication_configuration",
    "describe_replication_configurations",
    "delete_replication_configuration",
)
FILE_SYSTEMS = (
    "create_file_system",
    "describe_file_systems",
    "update_file_system",
    "update_file_system_protection",
    "delete_file_system",
    "put_lifecycle_configuration",
    "describe_lifecycle_configuration",
    "put_backup_policy",
    "describe_backup_policy",
    "put_file_system_policy",
    "describe_file_system_policy",
    "delete_file_system_policy",
    "create_mount_target",
    "describe_mount_targets",
    "delete_mount_target",
    "describe_mount_target_security_groups",
    "create_access_point",
    "describe_access_points",
    "delete_access_point",
    "list_tags_for_resource",
    "tag_resource",
    "untag_resource",
)
BACKUP = (
    "create_backup_vault",
    "describe_backup_vault",
    "list_backup_vaults",
    "delete_backup_vault",
    "put_backup_vault_access_policy",
    "get_backup_vault_access_policy",
    "delete_backup_vault_access_policy",
    "list_recovery_points_by_backup_vault",
    "list_recovery_points_by_resource",
    "describe_recovery_point",
    "get_recovery_point_restore_metadata",
    "delete_recovery_point",
    "start_backup_job",
    "describe_backup_job",
    "start_copy_job",
    "describe_copy_job",
    "list_copy_jobs",
    "start_restore_job",
    "describe_restore_job",
    "list_restore_jobs",
)


class _Own:
    """What both services share: the caller's place, the parameters, and time."""

    core: ClassVar[Core]
    operations: ClassVar[dict[str, Operation]]

    def answer(self: Any, name: str) -> ActionResult:
        """Answer an operation.

        :param name: in snake case.
        """
        with self.core.lock:
            self.core.settle()
            here = self.core.region(self.current_account, self.region)
            return Plain(self.operations[name](here, dict(self.params)))


class EfsResponse(_Own, BaseResponse):
    """EFS. moto finds the method named after the operation."""

    def __init__(self) -> None:
        super().__init__(service_name="efs")
        self.automated_parameter_parsing = True


class LocalBackupResponse(_Own, BackupResponse):
    """AWS Backup."""

    def parse_own(self: Any) -> None:
        """Read the parameters; moto's own operations read theirs themselves."""
        self.parse_parameters(self.normalized_request)


def _answering(name: str) -> Callable[[Any], ActionResult]:
    def answer(self: Any) -> ActionResult:
        if isinstance(self, LocalBackupResponse):
            self.parse_own()
        result: ActionResult = self.answer(name)
        return result

    answer.__name__ = name
    answer.__doc__ = f"Answer {name}."
    return answer


for _name in (*FILE_SYSTEMS, *REPLICATION):
    setattr(EfsResponse, _name, _answering(_name))
for _name in BACKUP:
    setattr(LocalBackupResponse, _name, _answering(_name))
