"""Files of production kept equal in another account, and the proof that they are."""

from __future__ import annotations

from typing import Any

from aurora_ops.operators.file_probe import (
    ReadFlagOperator,
    RemoveFlagOperator,
    RemoveProbesOperator,
    WriteFlagOperator,
)
from aurora_ops.operators.file_replication import (
    AllowReplicationEndOperator,
    AllowReplicationOperator,
    ReplicateFileSystemOperator,
)
from aurora_ops.operators.file_systems import FindFileSystemOperator
from aurora_ops.sensors.replications import ReplicationSyncedSensor
from aurora_ops.task_groups.typed import Outputs, Plan, group


@group("replication")
def replicate_files(source: dict[str, Any], target: dict[str, Any], files: Plan) -> ReplicateFileSystemOperator:
    """Replicate a file system into an existing one of the target's account: allowed on both sides, started, enabled.

    :param source: connection and region of the account that has the files.
    :param target: connection and region of the account that gets them.
    :param files: ``source_file_system``, ``destination_file_system_id``, ``allowed_names``, ``source_account_id``,
        ``target_account_id``, ``replication_role_arn``.
    """
    find = FindFileSystemOperator(task_id="find_source", file_system=files["source_file_system"], **source)
    allow = AllowReplicationOperator(
        task_id="allow_replication",
        file_system_id=files["destination_file_system_id"],
        allowed_names=files["allowed_names"],
        source_account_id=files["source_account_id"],
        **target,
    )
    allow_end = AllowReplicationEndOperator(
        task_id="allow_end",
        file_system_id=Outputs(find)["file_system_id"],
        destination_account_id=files["target_account_id"],
        **source,
    )
    replicate = ReplicateFileSystemOperator(
        task_id="replicate",
        file_system_id=Outputs(find)["file_system_id"],
        destination_arn=Outputs(allow)["arn"],
        destination_region=Outputs(allow)["region"],
        role_arn=files["replication_role_arn"],
        **source,
    )
    find >> allow >> allow_end >> replicate
    return replicate


@group("sync")
def check_sync(
    source: dict[str, Any], target: dict[str, Any], files: Plan, *, waits: bool, code_folder: str
) -> ReplicationSyncedSensor:
    """See that a replication has brought over everything up to a moment; where asked for, prove it by a file of our own.

    :param source: connection and region of the account that has the files.
    :param target: connection and region of the account that gets them.
    :param files: ``source_file_system``, ``since``, ``flag_proof``, ``environment``, ``run_key``, ``expires_h``,
        ``source_function_role_arn``, ``function_role_arn``.
    :param waits: wait for it; otherwise what is not synchronised is an error, unless a flag was written, which takes its time.
    :param code_folder: ``include/functions/efs_probe``.
    """
    find = FindFileSystemOperator(task_id="find_source", file_system=files["source_file_system"], **source)
    asked: dict[str, Any] = {
        "environment": files["environment"],
        "run_key": files["run_key"],
        "asks": files["flag_proof"],
    }
    probe: dict[str, Any] = {**asked, "expires_h": files["expires_h"], "code_folder": code_folder}
    at_source = {**probe, "role_arn": files["source_function_role_arn"], **source}
    write = WriteFlagOperator(task_id="write_flag", file_system_id=Outputs(find)["file_system_id"], **at_source)
    synced = ReplicationSyncedSensor(
        task_id="see_synced",
        file_system_id=Outputs(find)["file_system_id"],
        since=[files["since"], Outputs(write)["written_at"]],
        waits=waits or files["flag_proof"],
        **source,
    )
    read = ReadFlagOperator(
        task_id="read_flag",
        file_system_id=Outputs(synced)["destination_file_system_id"],
        role_arn=files["function_role_arn"],
        **probe,
        **target,
    )
    # Teardowns all: a task that runs whatever happens would otherwise decide that the run has succeeded.
    remove_flag = RemoveFlagOperator(
        task_id="remove_flag", file_system_id=Outputs(find)["file_system_id"], **at_source
    ).as_teardown()
    remove_here = RemoveProbesOperator(task_id="remove_source_probe", **asked, **source).as_teardown()
    remove_there = RemoveProbesOperator(task_id="remove_target_probe", **asked, **target).as_teardown()
    find >> write >> synced >> read >> remove_flag >> remove_here
    read >> remove_there
    return synced
