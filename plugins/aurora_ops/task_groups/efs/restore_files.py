"""Files of production out of their backup, in a file system of their own, mounted."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.operators.file_restore import (
    ChooseRecoveryPointOperator,
    CopyRecoveryPointOperator,
    RestoreFileSystemOperator,
)
from aurora_ops.operators.file_systems import EnsureAccessPointsOperator
from aurora_ops.task_groups.efs.create_filesystem import mounted
from aurora_ops.task_groups.typed import Outputs, Plan, group


class Restored(NamedTuple):
    """Tasks of the group that others refer to."""

    first: ChooseRecoveryPointOperator
    restore: RestoreFileSystemOperator
    last: EnsureAccessPointsOperator


@group("restore")
def restore_files(
    source: dict[str, Any], target: dict[str, Any], files: Plan, *, expires_h: float | None = None
) -> Restored:
    """Choose the newest completed recovery point, copy it into the target's account, restore it, and mount what was restored.

    :param source: connection and region of the account that has the backup.
    :param target: connection and region of the account that restores.
    :param files: ``source_file_system``, ``source_vault``, ``max_age_h``, ``source_role_arn``, ``vault``, ``target_account_id``,
        ``target_region``, ``created_as``, ``name``, ``role_arn``, ``kms_key_id``, ``items``, ``run_key``, and what
        :func:`~aurora_ops.task_groups.efs.create_filesystem.mounted` takes.
    :param expires_h: hours after which what was restored may be removed unless it is published; ``None``: never unasked.
    """
    choose = ChooseRecoveryPointOperator(
        task_id="choose_recovery_point",
        file_system=files["source_file_system"],
        vault=files["source_vault"],
        max_age_h=files["max_age_h"],
        **source,
    )
    copy = CopyRecoveryPointOperator(
        task_id="copy_recovery_point",
        recovery_point_arn=Outputs(choose)["recovery_point_arn"],
        vault=Outputs(choose)["vault"],
        to_vault=files["vault"],
        to_account_id=files["target_account_id"],
        to_region=files["target_region"],
        role_arn=files["source_role_arn"],
        **source,
    )
    restore = RestoreFileSystemOperator(
        task_id="restore_file_system",
        recovery_point_arn=Outputs(copy)["recovery_point_arn"],
        source_file_system_id=Outputs(choose)["file_system_id"],
        created_as=files["created_as"],
        name=files["name"],
        allowed_names=files["allowed_names"],
        role_arn=files["role_arn"],
        kms_key_id=files["kms_key_id"],
        items=files["items"],
        run_key=files["run_key"],
        expires_h=expires_h,
        **target,
    )
    mounts = mounted(target, Outputs(restore)["file_system_id"], files)
    choose >> copy >> restore >> mounts.first
    return Restored(choose, restore, mounts.last)
