"""Where the restored files are, found, proven and published."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.operators.file_probe import FindRestoreDirectoryOperator, RemoveProbesOperator, VerifyFilesOperator
from aurora_ops.operators.file_publish import PublishFilesOperator
from aurora_ops.task_groups.typed import Outputs, Plan, group


class Proven(NamedTuple):
    """Tasks that look into a restored file system."""

    find: FindRestoreDirectoryOperator
    verify: VerifyFilesOperator
    remove: RemoveProbesOperator


@group("proof")
def prove_files(target: dict[str, Any], files: Plan, *, code_folder: str) -> Proven:
    """Find the newest directory that AWS Backup has restored into, and see that there are files in it.

    :param target: connection and region of the file system's account.
    :param files: ``file_system_id``, ``environment``, ``function_role_arn``, ``run_key``, ``expires_h``.
    :param code_folder: ``include/functions/efs_probe``.
    """
    probe: dict[str, Any] = {
        "file_system_id": files["file_system_id"],
        "environment": files["environment"],
        "role_arn": files["function_role_arn"],
        "code_folder": code_folder,
        "run_key": files["run_key"],
        "expires_h": files["expires_h"],
        **target,
    }
    find = FindRestoreDirectoryOperator(task_id="find_restore_directory", **probe)
    verify = VerifyFilesOperator(task_id="verify_files", subpath=Outputs(find)["subpath"], **probe)
    remove = RemoveProbesOperator(
        task_id="remove_probe", environment=files["environment"], run_key=files["run_key"], **target
    )
    remove.as_teardown()
    find >> verify >> remove
    return Proven(find, verify, remove)


def publish_subpath(
    target: dict[str, Any], files: Plan, found: FindRestoreDirectoryOperator, *, former_expires_h: float | None = None
) -> PublishFilesOperator:
    """Write the directory that was found, and the file system's id, where applications look.

    :param target: connection and region of the file system's account.
    :param files: ``id_parameter``, ``subpath_parameter``.
    :param found: the task that found it.
    :param former_expires_h: hours after which the file system that it replaces may be removed; ``None``: it is kept.
    """
    return PublishFilesOperator(
        task_id="publish_files",
        file_system_id=Outputs(found)["file_system_id"],
        subpath=Outputs(found)["subpath"],
        id_parameter=files["id_parameter"],
        subpath_parameter=files["subpath_parameter"],
        former_expires_h=former_expires_h,
        **target,
    )
