"""File systems: found, created, mounted in every subnet, with their access points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import ConfigError, MissingError, StateError
from aurora_ops.core.files import require_changeable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.hooks.network import NetworkHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.operators.base import RefreshOperator, Result

REFRESH_TAGS = {"refresh": "true"}


class FindFileSystemOperator(RefreshOperator[EfsHook]):
    """Look a file system up by id or by its tag ``Name`` (``DescribeFileSystems``, all pages).

    :param file_system: id (``fs-...``) or value of the tag ``Name`` (templated).
    :return: ``{"file_system_id", "arn", "name", "encrypted", "kms_key_arn", "size_bytes"}``.
    :raises MissingError: there is none.
    :raises ConfigError: several have the name; each is named.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = ("elasticfilesystem:DescribeFileSystems",)
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "file_system")

    def __init__(self, *, file_system: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_system = file_system

    def take_pass(self, context: Context) -> Result:
        """Look."""
        found = find_file_system(self.hook, self.file_system)
        return {
            "file_system_id": found.file_system_id,
            "arn": found.arn,
            "name": found.name,
            "encrypted": found.encrypted,
            "kms_key_arn": found.kms_key_arn,
            "size_bytes": found.size_bytes,
        }


def find_file_system(hook: EfsHook, name: str) -> FileSystem:
    """Find the one file system of an id or a name.

    :raises MissingError: there is none.
    :raises ConfigError: several have the name.
    """
    if name.startswith("fs-"):
        return hook.require_file_system(name)
    found = [one for one in hook.list_file_systems() if one.name == name and one.status != "deleting"]
    if not found:
        raise MissingError(f"no file system has the tag Name={name} behind {hook.aws_conn_id}; give its id or tag it")
    if len(found) > 1:
        ids = sorted(one.file_system_id for one in found)
        raise ConfigError("file_system", name, f"several have this name, {ids}: give the id of one")
    return found[0]


class FileSystemOperator(RefreshOperator[EfsHook]):
    """Base of what changes one file system.

    :param file_system_id: file system (templated).
    :param allowed_names: values of the tag ``Name`` in ``safety.allowed_file_systems`` (templated).
    :param within_s: seconds that each wait may take.
    """

    hook_class = EfsHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "file_system_id", "allowed_names")

    def __init__(
        self, *, file_system_id: str, allowed_names: Sequence[str], within_s: int = 1800, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.allowed_names = allowed_names
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Make sure that it may be changed, and take one step."""
        found: FileSystem = self.hook.require_file_system(self.file_system_id)
        require_changeable(found.file_system_id, found.tags, self.allowed_names)
        if found.status in ("creating", "updating"):
            return self.wait_until(available(found.file_system_id, self.within_s), context)
        if found.status != "available":
            raise StateError(f"{found.file_system_id} is {found.status}; only an available file system can be used")
        return self.step(found, context)

    def step(self, found: FileSystem, context: Context) -> Result:
        """Take one step towards the goal.

        :param found: the file system, available and free to be changed.
        :param context: Airflow's context.
        """
        raise NotImplementedError


def available(file_system_id: str, within_s: int) -> Wait:
    """Wait until a file system is available."""
    return Wait(
        waiter="file_system_available",
        args={"FileSystemId": file_system_id},
        show="FileSystems[].LifeCycleState",
        within_s=within_s,
        every_s=5,
    )


class CreateFileSystemOperator(RefreshOperator[EfsHook]):
    """Create a file system, encrypted, with its lifecycle policy, and wait until it is available.

    The creation token decides: the same token adopts what an earlier try or run has made (``CreateFileSystem``,
    ``PutLifecycleConfiguration``).

    :param created_as: creation token, from ``core.naming`` (templated).
    :param name: its tag ``Name``, which must be on the allow-list (templated).
    :param allowed_names: values of the tag ``Name`` in ``safety.allowed_file_systems`` (templated).
    :param kms_key_id: key, alias or ARN that encrypts it; ``None`` is AWS's own of the account (templated).
    :param performance_mode: ``generalPurpose`` or ``maxIO`` (templated).
    :param throughput_mode: ``elastic`` or ``bursting`` (templated).
    :param transition_to_ia: lifecycle rule such as ``AFTER_30_DAYS``; ``None`` sets none (templated).
    :param run_key: the run that makes it (templated).
    :param within_s: seconds until it must be available.
    :return: ``{"file_system_id", "arn", "name", "created"}``.
    :raises SafetyError: the name is not on the allow-list, or the token belongs to a file system that is not ours to change.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:CreateFileSystem",
        "elasticfilesystem:TagResource",
        "elasticfilesystem:DescribeLifecycleConfiguration",
        "elasticfilesystem:PutLifecycleConfiguration",
        "kms:DescribeKey",
        "kms:CreateGrant",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "created_as",
        "name",
        "allowed_names",
        "kms_key_id",
        "performance_mode",
        "throughput_mode",
        "transition_to_ia",
        "run_key",
    )

    def __init__(
        self,
        *,
        created_as: str,
        name: str,
        allowed_names: Sequence[str],
        kms_key_id: str | None = None,
        performance_mode: str = "generalPurpose",
        throughput_mode: str = "elastic",
        transition_to_ia: str | None = None,
        run_key: str | None = None,
        within_s: int = 1800,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.created_as = created_as
        self.name = name
        self.allowed_names = allowed_names
        self.kms_key_id = kms_key_id
        self.performance_mode = performance_mode
        self.throughput_mode = throughput_mode
        self.transition_to_ia = transition_to_ia
        self.run_key = run_key
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look by token; create, wait, set the lifecycle."""
        hook: EfsHook = self.hook
        found = hook.find_file_system_by_token(self.created_as)
        if found is None:
            tags = {
                "Name": self.name,
                **REFRESH_TAGS,
                **ownership.temporary(self.run_key, None, datetime.now(UTC)),
            }
            require_changeable("the new file system", tags, self.allowed_names)
            found = hook.create_file_system(
                self.created_as,
                tags,
                Encrypted=True,
                KmsKeyId=self.kms_key_id,
                PerformanceMode=self.performance_mode,
                ThroughputMode=self.throughput_mode,
            )
        require_changeable(found.file_system_id, found.tags, self.allowed_names)
        if found.status in ("creating", "updating"):
            return self.wait_until(available(found.file_system_id, self.within_s), context)
        if found.status != "available":
            raise StateError(
                f"{found.file_system_id} is {found.status}; delete it with efs_delete_filesystem and run this again"
            )
        wanted = [{"TransitionToIA": self.transition_to_ia}] if self.transition_to_ia else []
        if wanted and hook.find_lifecycle(found.file_system_id) != wanted:
            hook.set_lifecycle(found.file_system_id, wanted)
        return {
            "file_system_id": found.file_system_id,
            "arn": found.arn,
            "name": found.name,
            "created": found.tags.get(ownership.RUN_TAG) == self.run_key,
        }


class EnsureMountTargetsOperator(FileSystemOperator):
    """Give a file system a mount target in the zone of each subnet, and wait until all of them are available.

    A zone has one mount target: of several subnets in a zone the first counts, and a target that is there already stays
    (``CreateMountTarget``).

    :param subnet_ids: subnets; ``None`` takes those of ``subnet_group`` (templated).
    :param subnet_group: DB subnet group (templated).
    :param security_groups: names or ids of the groups that let NFS in (templated).
    :return: ``{"file_system_id", "mount_targets": {zone: id}}``.
    :raises ConfigError: no subnets, or subnets of several networks, or an unknown security group.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeMountTargets",
        "elasticfilesystem:CreateMountTarget",
        "rds:DescribeDBSubnetGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeNetworkInterfaces",
        "ec2:CreateNetworkInterface",
    )
    template_fields: Sequence[str] = (
        *FileSystemOperator.template_fields,
        "subnet_ids",
        "subnet_group",
        "security_groups",
    )

    def __init__(
        self,
        *,
        security_groups: Sequence[str],
        subnet_ids: Sequence[str] | None = None,
        subnet_group: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.security_groups = security_groups
        self.subnet_ids = subnet_ids
        self.subnet_group = subnet_group

    def step(self, found: FileSystem, context: Context) -> Result:
        """Create what is missing, wait for what is not ready."""
        hook: EfsHook = self.hook
        targets = hook.list_mount_targets(found.file_system_id)
        network = NetworkHook(self.aws_conn_id, self.region_name)
        subnets = network.list_subnets(self._subnets())
        networks = sorted({vpc for _, _, vpc in subnets})
        if len(networks) != 1:
            raise ConfigError("subnets", networks, "all mount targets of a file system are in one network")
        first = {zone: subnet for subnet, zone, _ in reversed(subnets)}
        missing = sorted(set(first) - {target.zone for target in targets})
        if missing:
            groups = network.security_group_ids(list(self.security_groups), networks[0], "security_groups")
            for zone in missing:
                hook.create_mount_target(found.file_system_id, first[zone], groups)
        if missing or any(target.status != "available" for target in targets):
            return self.wait_until(
                Wait(
                    waiter="mount_targets_available",
                    args={"FileSystemId": found.file_system_id},
                    show="MountTargets[].LifeCycleState",
                    within_s=self.within_s,
                    every_s=10,
                ),
                context,
            )
        return {
            "file_system_id": found.file_system_id,
            "mount_targets": {target.zone: target.mount_target_id for target in targets},
        }

    def _subnets(self) -> list[str]:
        if self.subnet_ids:
            return list(self.subnet_ids)
        group = RdsHook(self.aws_conn_id, self.region_name).find_subnet_group(self.subnet_group or "")
        if group is None:
            raise ConfigError("subnet_group", self.subnet_group, "it must be a DB subnet group of the account")
        return [subnet["SubnetIdentifier"] for subnet in group["Subnets"]]


class EnsureAccessPointsOperator(FileSystemOperator):
    """Give a file system its access points, and wait until all of them are available (``CreateAccessPoint``).

    :param access_points: ``name``, ``path``, ``uid``, ``gid`` and ``permissions`` (octal) of each (templated).
    :return: ``{"file_system_id", "access_points": {name: id}}``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:CreateAccessPoint",
        "elasticfilesystem:TagResource",
    )
    template_fields: Sequence[str] = (*FileSystemOperator.template_fields, "access_points")

    def __init__(self, *, access_points: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.access_points = access_points

    def step(self, found: FileSystem, context: Context) -> Result:
        """Create what is missing, wait for what is not ready."""
        hook: EfsHook = self.hook
        name = found.file_system_id
        known = {point.client_token: point for point in hook.list_access_points(name)}
        made = {}
        for wanted in self.access_points:
            key = naming.access_point(name, wanted["name"])
            made[wanted["name"]] = known.get(key) or hook.create_access_point(
                name,
                key,
                user={"Uid": int(wanted["uid"]), "Gid": int(wanted["gid"])},
                root={
                    "Path": wanted["path"],
                    "CreationInfo": {
                        "OwnerUid": int(wanted["uid"]),
                        "OwnerGid": int(wanted["gid"]),
                        "Permissions": str(wanted["permissions"]),
                    },
                },
                tags={"Name": wanted["name"], ownership.OWNER_TAG: ownership.OWNER},
            )
        waiting = next((point for point in made.values() if point.status != "available"), None)
        if waiting is not None:
            return self.wait_until(access_point_available(waiting.access_point_id, self.within_s), context)
        points = {wanted: point.access_point_id for wanted, point in made.items()}
        return {"file_system_id": name, "access_points": points}


def access_point_available(access_point_id: str, within_s: int) -> Wait:
    """Wait until an access point is available."""
    return Wait(
        waiter="access_point_available",
        args={"AccessPointId": access_point_id},
        show="AccessPoints[].LifeCycleState",
        within_s=within_s,
        every_s=5,
    )
