"""Where the restored files are, found and published."""

from __future__ import annotations

from typing import Any

from aurora_ops.operators.file_probe import FindRestoreDirectoryOperator, RemoveProbesOperator
from aurora_ops.operators.file_publish import PublishFilesOperator
from aurora_ops.task_groups.typed import Outputs, group


@group("subpath")
def publish_subpath(target: dict[str, Any], files: dict[str, Any], *, code_folder: str) -> PublishFilesOperator:
    """Find the newest directory that AWS Backup has restored into, and write it and the file system's id where applications look.

    :param target: connection and region of the file system's account.
    :param files: ``file_system_id``, ``environment``, ``function_role_arn``, ``id_parameter``, ``subpath_parameter``,
        ``run_key``, ``expires_h``.
    :param code_folder: ``include/functions/efs_probe``.
    """
    find = FindRestoreDirectoryOperator(
        task_id="find_restore_directory",
        file_system_id=files["file_system_id"],
        environment=files["environment"],
        role_arn=files["function_role_arn"],
        code_folder=code_folder,
        run_key=files["run_key"],
        expires_h=files["expires_h"],
        **target,
    )
    publish = PublishFilesOperator(
        task_id="publish",
        file_system_id=Outputs(find)["file_system_id"],
        subpath=Outputs(find)["subpath"],
        id_parameter=files["id_parameter"],
        subpath_parameter=files["subpath_parameter"],
        **target,
    )
    remove = RemoveProbesOperator(
        task_id="remove_probe", environment=files["environment"], run_key=files["run_key"], **target
    ).as_teardown()
    find >> [publish, remove]
    return publish
