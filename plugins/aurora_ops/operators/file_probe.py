"""Looking into a file system: a small function of ours mounts it, answers one question, and is deleted.

Nothing but a mounted file system shows its files. The function runs in the network of the mount targets, through an access point
of its own whose user is not root.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import MissingError, SafetyError, StateError, VerificationError
from aurora_ops.core.files import RESTORE_PREFIX, newest_restore_directory
from aurora_ops.core.function_code import zipped
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.efs import AccessPoint, EfsHook
from aurora_ops.hooks.functions import FunctionsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.file_systems import access_point_available

NOBODY = {"Uid": 65534, "Gid": 65534}
MOUNT_PATH = "/mnt/efs"
FLAG_FOLDER = "/.aurora-ops"
_NOT_ASKED: Result = {"asked": False, "written_at": ""}


class FileProbeOperator(RefreshOperator[FunctionsHook]):
    """Base of what asks a file system something: makes the access point and the function, waits for them, and asks.

    :param file_system_id: file system; ``None``, where what should have found it has failed, asks nothing (templated).
    :param environment: environment of the run; part of the function's name (templated).
    :param role_arn: role that the function runs as; it may mount file systems, and is no root there (templated).
    :param code_folder: ``include/functions/efs_probe``.
    :param run_key: names the run: two runs do not share a function (templated).
    :param expires_h: hours after which the function of a dead run may be deleted (templated).
    :param asks: whether to ask at all (templated).
    :param within_s: seconds until access point and function must be ready, each.
    """

    hook_class = FunctionsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeMountTargets",
        "elasticfilesystem:DescribeMountTargetSecurityGroups",
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:CreateAccessPoint",
        "elasticfilesystem:TagResource",
        "lambda:GetFunctionConfiguration",
        "lambda:CreateFunction",
        "lambda:TagResource",
        "lambda:InvokeFunction",
        "lambda:DeleteFunction",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "iam:PassRole",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "file_system_id",
        "environment",
        "role_arn",
        "run_key",
        "expires_h",
        "asks",
    )
    folder: ClassVar[str] = "/"
    makes_folder: ClassVar[bool] = False

    def __init__(
        self,
        *,
        file_system_id: str,
        environment: str,
        role_arn: str,
        code_folder: str,
        run_key: str,
        expires_h: float,
        asks: bool = True,
        within_s: int = 900,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.environment = environment
        self.role_arn = role_arn
        self.code_folder = code_folder
        self.run_key = run_key
        self.expires_h = expires_h
        self.asks = asks
        self.within_s = within_s

    def event(self) -> dict[str, Any]:
        """Say what the function is asked."""
        raise NotImplementedError

    def judge(self, answer: dict[str, Any]) -> Result:
        """Make the result of the function's answer."""
        raise NotImplementedError

    def take_pass(self, context: Context) -> Result:
        """Look for access point and function; make what is missing, wait; ask."""
        if not self.asks or not self.file_system_id:
            return _NOT_ASKED
        hook, files = self.hook, EfsHook(self.aws_conn_id, self.region_name)
        name = naming.probe(self.environment, self.file_system_id, self.run_key)
        point = self._access_point(files, name)
        if point.status != "available":
            return self.wait_until(access_point_available(point.access_point_id, self.within_s), context, files)
        function = hook.find_function(name)
        if function is not None and function.access_point_arns != [point.arn]:
            hook.delete_function(name)  # its access point is gone, so it could mount nothing
            function = None
        if function is None:
            hook.create_function(name, self._function(files, point))
        if function is None or function.status == "Pending":
            return self.wait_until(
                Wait(
                    waiter="function_active",
                    args={"FunctionName": name},
                    show="[State, StateReason]",
                    within_s=self.within_s,
                    every_s=5,
                ),
                context,
            )
        if function.status == "Failed":
            raise StateError(f"function {name} is Failed; delete it with efs_cleanup_efs_lambdas and run this again")
        return self.judge(hook.invoke(name, self.event()))

    def _tags(self) -> dict[str, str]:
        return ownership.temporary(self.run_key, float(self.expires_h), datetime.now(UTC))

    def _access_point(self, files: EfsHook, name: str) -> AccessPoint:
        key = naming.access_point(self.file_system_id, f"{name}{self.folder}")
        known = {point.client_token: point for point in files.list_access_points(self.file_system_id)}
        if key in known and known[key].status != "deleting":
            return known[key]
        root: dict[str, Any] = {"Path": self.folder}
        if self.makes_folder:
            root["CreationInfo"] = {
                "OwnerUid": NOBODY["Uid"],
                "OwnerGid": NOBODY["Gid"],
                "Permissions": "0755",
            }
        return files.create_access_point(
            self.file_system_id, key, user=NOBODY, root=root, tags={"Name": name, **self._tags()}
        )

    def _function(self, files: EfsHook, point: AccessPoint) -> dict[str, Any]:
        targets = [one for one in files.list_mount_targets(self.file_system_id) if one.status == "available"]
        if not targets:
            raise StateError(
                f"{self.file_system_id} has no mount target, so nothing can look into it; efs_create_filesystem gives it some"
            )
        return {
            "Runtime": "python3.12",
            "Handler": "efs_probe.handler",
            "Architectures": ["arm64"],
            "MemorySize": 128,
            "Timeout": 60,
            "Role": self.role_arn,
            "Code": {"ZipFile": zipped(Path(self.code_folder))},
            "Environment": {"Variables": {"EFS_MOUNT_PATH": MOUNT_PATH}},
            "VpcConfig": {
                "SubnetIds": [target.subnet_id for target in targets],
                "SecurityGroupIds": files.list_security_groups(targets[0].mount_target_id),
            },
            "FileSystemConfigs": [{"Arn": point.arn, "LocalMountPath": MOUNT_PATH}],
            "Tags": self._tags(),
        }


class FindRestoreDirectoryOperator(FileProbeOperator):
    """Find the newest directory that AWS Backup has restored into.

    Each restore makes one, so there may be several; the newest is chosen by the time in its name.

    :return: ``{"file_system_id", "subpath", "directories"}``; the subpath begins with a slash.
    :raises MissingError: there is none.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def event(self) -> dict[str, Any]:
        """List what AWS Backup has made."""
        return {"action": "list_directories", "prefix": RESTORE_PREFIX}

    def judge(self, answer: dict[str, Any]) -> Result:
        """Choose the newest."""
        found = newest_restore_directory(answer["directories"])
        if found is None:
            raise MissingError(
                f"{self.file_system_id} has no directory {RESTORE_PREFIX}<datetime>; has it been restored by AWS Backup?"
            )
        return {"file_system_id": self.file_system_id, "subpath": f"/{found}", "directories": answer["count"]}


class VerifyFilesOperator(FileProbeOperator):
    """Prove that files were restored: look into the directory and count what is there.

    Counted is until there is an answer for sure, or a minute is nearly over; directories that nobody may read are not looked into.

    :param subpath: directory in the file system, beginning with a slash; ``None`` asks nothing (templated).
    :return: ``{"files", "directories", "bytes", "unread", "complete"}``; ``unread`` directories only their owners may read.
    :raises VerificationError: the directory is empty.
    """

    template_fields: Sequence[str] = (*FileProbeOperator.template_fields, "subpath")

    def __init__(self, *, subpath: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.subpath = subpath

    def event(self) -> dict[str, Any]:
        """Count."""
        return {"action": "count_files", "directory": self.subpath.strip("/")}

    def judge(self, answer: dict[str, Any]) -> Result:
        """Want something."""
        if not answer["files"] and not answer["unread"]:
            raise VerificationError(
                f"{self.file_system_id}: nothing was restored into {self.subpath}, it has no file; look at the restore job and at "
                f"what was backed up"
            )
        return {key: answer[key] for key in ("files", "directories", "bytes", "unread", "complete")}


class _FlagOperator(FileProbeOperator):
    """Base of what reads and writes the flag, in a directory of its own."""

    folder: ClassVar[str] = FLAG_FOLDER


class WriteFlagOperator(_FlagOperator):
    """Write a small file that must be seen on the other side of a replication.

    It is written into a directory of its own, ``/.aurora-ops``, by a user that is not root and can write nowhere else.

    :return: ``{"asked", "written_at"}``; not asked for, only the first.
    """

    makes_folder: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def event(self) -> dict[str, Any]:
        """Write."""
        return {"action": "write_flag", "name": naming.flag(self.run_key), "content": self.run_key}

    def judge(self, answer: dict[str, Any]) -> Result:
        """Say when."""
        return {"asked": True, "written_at": answer["written_at"]}


class ReadFlagOperator(_FlagOperator):
    """Prove that the file which this run wrote at the source is at the destination, with the same content.

    :return: ``{"asked", "proven"}``; not asked for, only the first.
    :raises VerificationError: it is not there, or is another one.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def event(self) -> dict[str, Any]:
        """Read."""
        return {"action": "read_flag", "name": naming.flag(self.run_key)}

    def judge(self, answer: dict[str, Any]) -> Result:
        """Compare."""
        if answer["content"] != self.run_key:
            raise VerificationError(
                f"{self.file_system_id}: {FLAG_FOLDER}/{naming.flag(self.run_key)} is "
                f"{'missing' if answer['content'] is None else 'not the one that this run wrote'}, though the replication says "
                f"that it is synchronised"
            )
        return {"asked": True, "proven": True}


class RemoveFlagOperator(_FlagOperator):
    """Remove the file that this run wrote at the source.

    :return: ``{"asked", "removed"}``; not asked for, only the first.
    """

    makes_folder: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def event(self) -> dict[str, Any]:
        """Remove."""
        return {"action": "remove_flag", "name": naming.flag(self.run_key)}

    def judge(self, answer: dict[str, Any]) -> Result:
        """Say so."""
        return {"asked": True, "removed": bool(answer["removed"])}


class RemoveProbesOperator(RefreshOperator[FunctionsHook]):
    """Delete functions that looked into file systems, with their access points.

    Either the one of this run, or all of an environment whose time is over. What is ours is known by its name and by its tags.

    :param environment: environment; ``None``, where the check has refused the run, deletes nothing (templated).
    :param run_key: only this run's; ``None`` is every run's that has expired (templated).
    :param also_running: with no run, also those that have not expired: they may be at work (templated).
    :param asks: whether to do it at all (templated).
    :return: ``{"functions", "access_points", "left"}``: names and ids.
    :raises SafetyError: a function bears such a name, but is not ours.
    """

    hook_class = FunctionsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "lambda:ListFunctions",
        "lambda:ListTags",
        "lambda:DeleteFunction",
        "elasticfilesystem:DescribeAccessPoints",
        "elasticfilesystem:DeleteAccessPoint",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "environment",
        "run_key",
        "also_running",
        "asks",
    )

    def __init__(
        self,
        *,
        environment: str,
        run_key: str | None = None,
        also_running: bool = False,
        asks: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.run_key = run_key
        self.also_running = also_running
        self.asks = asks

    def take_pass(self, context: Context) -> Result:
        """Look through both, and delete what is to go: functions first, since they mount the access points."""
        if not self.asks or not self.environment:
            return {"functions": [], "access_points": [], "left": []}
        hook, files = self.hook, EfsHook(self.aws_conn_id, self.region_name)
        begin = naming.fit(f"{naming.PROBE_PREFIX}{self.environment}", "-", 64)
        functions, points, left = [], [], []
        for function in hook.list_functions():
            if not function.name.startswith(begin):
                continue
            tags = hook.list_tags(function.arn)
            if not ownership.is_ours(tags):
                raise SafetyError(
                    f"function {function.name} is not tagged {ownership.OWNER_TAG}={ownership.OWNER}; it stays"
                )
            if self._goes(tags):
                hook.delete_function(function.name)
                functions.append(function.name)
            else:
                left.append(function.name)
        for point in files.list_access_points():
            mine = ownership.is_ours(point.tags) and point.tags.get("Name", "").startswith(begin)
            if mine and point.status != "deleting" and self._goes(point.tags):
                files.delete_access_point(point.access_point_id)
                points.append(point.access_point_id)
        return {"functions": functions, "access_points": points, "left": left}

    def _goes(self, tags: dict[str, str]) -> bool:
        if self.run_key is not None:
            return tags.get(ownership.RUN_TAG) == self.run_key
        expires = ownership.parse_expiry(tags.get(ownership.EXPIRES_TAG))
        return self.also_running or (expires is not None and expires <= datetime.now(UTC))
