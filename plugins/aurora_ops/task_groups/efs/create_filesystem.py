"""A file system with mount targets and access points."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.operators.file_systems import (
    CreateFileSystemOperator,
    EnsureAccessPointsOperator,
    EnsureMountTargetsOperator,
)
from aurora_ops.task_groups.typed import Outputs, Plan, group


class Mounted(NamedTuple):
    """Tasks that mount a file system."""

    first: EnsureMountTargetsOperator
    last: EnsureAccessPointsOperator


def mounted(at: dict[str, Any], file_system_id: Any, files: Plan) -> Mounted:
    """Give a file system its mount targets, then its access points.

    :param at: connection and region of its account.
    :param file_system_id: file system.
    :param files: ``allowed_names``, ``subnet_ids``, ``subnet_group``, ``security_groups``, ``access_points``.
    """
    which = {**at, "file_system_id": file_system_id, "allowed_names": files["allowed_names"]}
    targets = EnsureMountTargetsOperator(
        task_id="ensure_mount_targets",
        subnet_ids=files["subnet_ids"],
        subnet_group=files["subnet_group"],
        security_groups=files["security_groups"],
        **which,
    )
    points = EnsureAccessPointsOperator(task_id="ensure_access_points", access_points=files["access_points"], **which)
    targets >> points
    return Mounted(targets, points)


@group("filesystem")
def create_filesystem(at: dict[str, Any], files: Plan) -> EnsureAccessPointsOperator:
    """Create a file system, encrypted, with mount targets in the zone of each subnet and its access points, all ready.

    :param at: connection and region of its account.
    :param files: ``created_as``, ``name``, ``kms_key_id``, ``performance_mode``, ``throughput_mode``, ``transition_to_ia``,
        ``run_key``, and what :func:`mounted` takes.
    """
    create = CreateFileSystemOperator(
        task_id="create_file_system",
        created_as=files["created_as"],
        name=files["name"],
        allowed_names=files["allowed_names"],
        kms_key_id=files["kms_key_id"],
        performance_mode=files["performance_mode"],
        throughput_mode=files["throughput_mode"],
        transition_to_ia=files["transition_to_ia"],
        run_key=files["run_key"],
        **at,
    )
    points = mounted(at, Outputs(create)["file_system_id"], files)
    create >> points.first
    return points.last
