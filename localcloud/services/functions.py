"""Lambda: Python code runs for real, in a process of its own, with the file systems that the function mounts.

A mount is emulated: the path that a function mounts a file system at exists only within the function's environment variables,
where localcloud puts the real directory in its place. So code that is to run here reads its mount path from a variable.
Through an access point the directory is the access point's root; a replication destination, and a role without
``elasticfilesystem:ClientWrite``, cannot write.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, ClassVar

import moto.awslambda.models
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.ec2.models import ec2_backends
from moto.sts.models import sts_backends

from localcloud.accounts import Session, role_trusts_service
from localcloud.cloud import Caller

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.efs.model import AccessPoint, FileSystem

SERVICE = "lambda.amazonaws.com"
RUNNER = Path(__file__).with_name("function_runner.py")
CREATE = 1.0  # in units of LOCALCLOUD_WAIT_S
LONGEST_LOG = 4096
CONFLICT = 409


class FunctionError(LambdaClientError):
    """An error of Lambda.

    :param code: AWS's error code.
    :param message: what was refused.
    :param status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code = status


class LocalFunction(LambdaFunction):
    """A function that is pending for a while, and whose code runs."""

    __module__ = "moto.awslambda.models"
    cloud: ClassVar[Cloud]

    def __init__(self, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
        super().__init__(account_id, spec, region, version)
        self.file_systems = list(spec.get("FileSystemConfigs") or [])
        self.active_at = time.time() + CREATE * self.cloud.config.wait_s

    @property
    def is_pending(self) -> bool:
        """Whether AWS is still making it."""
        return time.time() < self.active_at

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        """FunctionConfiguration."""
        shown: dict[str, Any] = super().get_configuration(on_create)
        shown["State"] = "Pending" if self.is_pending else "Active"
        if self.file_systems:
            shown["FileSystemConfigs"] = self.file_systems
        return shown

    def _invoke_lambda(self, event: Any = None) -> tuple[str, bool, str]:
        """Run the handler: its answer as JSON, whether it failed, and the end of what it printed."""
        if self.is_pending:
            message = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
            raise FunctionError("ResourceConflictException", message, CONFLICT)
        mounts = [mount(self.cloud, self, config) for config in self.file_systems]
        with tempfile.TemporaryDirectory(prefix="localcloud-function-") as folder:
            with zipfile.ZipFile(io.BytesIO(self.code_bytes)) as code:
                code.extractall(folder)
            return self._run(Path(folder), event or {}, mounts)

    def _run(self, folder: Path, event: Any, mounts: list[dict[str, Any]]) -> tuple[str, bool, str]:
        answer = folder / f"answer-{token_hex(8)}"
        given = {
            "handler": self.handler,
            "event": event,
            "answer": str(answer),
            "name": self.function_name,
            "arn": self.function_arn,
            "timeout_s": int(self.timeout),
            "memory_mib": int(self.memory_size),
            "read_only": [one["directory"] for one in mounts if one["read_only"]],
        }
        try:
            done = subprocess.run(
                [sys.executable, str(RUNNER)],
                input=json.dumps(given),
                cwd=folder,
                env=self._environment(mounts),
                capture_output=True,
                text=True,
                timeout=int(self.timeout),
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"Task timed out after {int(self.timeout)}.00 seconds"
            return json.dumps({"errorMessage": message, "errorType": "Sandbox.Timedout"}), True, message
        log = (done.stdout + done.stderr)[-LONGEST_LOG:]
        if not answer.exists():
            return json.dumps({"errorMessage": "the process ended", "errorType": "Runtime.ExitError"}), True, log
        result = json.loads(answer.read_text())
        return json.dumps(result["value"]), bool(result["failed"]), log

    def _environment(self, mounts: list[dict[str, Any]]) -> dict[str, str]:
        """Environment of the process: the function's own, with real directories, and the credentials of its role."""
        own = {name: str(value) for name, value in (self.environment_vars or {}).items()}
        for name, value in own.items():
            for one in mounts:
                if value == one["path"] or value.startswith(one["path"] + "/"):
                    own[name] = one["directory"] + value[len(one["path"]) :]
        return {
            "PATH": os.environ.get("PATH", ""),
            "LANG": "C.UTF-8",
            **own,
            **self._credentials(),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_LAMBDA_FUNCTION_NAME": self.function_name,
            "AWS_ENDPOINT_URL": self.cloud.config.endpoint,
        }

    def _credentials(self) -> dict[str, str]:
        role = sts_backends[self.account_id]["aws"].assume_role(
            self.region, self.function_name, self.role, "", 3600, ""
        )
        expires = datetime.now(UTC) + timedelta(hours=1)
        self.cloud.identities.add_session(
            role.access_key_id,
            Session(
                caller=Caller(self.account_id, role.arn, self.role),
                token=role.session_token,
                user_id=role.user_id,
                expires=expires.timestamp(),
            ),
        )
        return {
            "AWS_ACCESS_KEY_ID": role.access_key_id,
            "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
            "AWS_SESSION_TOKEN": role.session_token,
        }


class LocalLambdaBackend(LambdaBackend):
    """moto's Lambda, which checks what a function is made of."""

    __module__ = "moto.awslambda.models"
    cloud: ClassVar[Cloud]

    def create_function(self, spec: dict[str, Any]) -> LambdaFunction:
        """https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html."""
        role = spec.get("Role") or ""
        if not role_trusts_service(role, SERVICE):
            raise FunctionError(
                "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
            )
        for config in spec.get("FileSystemConfigs") or []:
            self._check_mount(spec, config)
        return super().create_function(spec)

    def _check_mount(self, spec: dict[str, Any], config: dict[str, str]) -> None:
        """Refuse a mount that would fail: without a VPC, or where a zone of the function has no mount target."""
        subnets = (spec.get("VpcConfig") or {}).get("SubnetIds") or []
        if not subnets:
            raise FunctionError("InvalidParameterValueException", "A function with a file system needs a VpcConfig.")
        if not config["LocalMountPath"].startswith("/mnt/"):
            raise FunctionError("InvalidParameterValueException", "LocalMountPath must begin with /mnt/.")
        point, _ = find(self.cloud, config["Arn"], self.account_id)
        backend = ec2_backends[self.account_id][self.region_name]
        wanted = {backend.get_subnet(subnet).availability_zone for subnet in subnets}
        files = self.cloud.efs
        assert files is not None
        with files.lock:
            region = files.region(self.account_id, self.region_name)
            ready = {
                target.zone
                for target in region.mount_targets.values()
                if target.file_system_id == point.file_system_id and target.status == "available"
            }
        if missing := sorted(wanted - ready):
            message = f"EFS file system {point.file_system_id} has no mount target available in {', '.join(missing)}."
            raise FunctionError("InvalidParameterValueException", message)


def find(cloud: Cloud, arn: str, account: str) -> tuple[AccessPoint, FileSystem]:
    """Access point of an account that a function mounts, and its file system.

    :raises FunctionError: there is none, or it is not available.
    """
    files = cloud.efs
    assert files is not None
    with files.lock:
        files.settle()
        parts = arn.split(":")
        region = files.region(account, parts[3] if len(parts) > 3 else "")
        point = region.access_points.get(arn.rpartition("/")[2])
        if point is None or point.arn != arn or point.status != "available":
            raise FunctionError("InvalidParameterValueException", f"EFS access point {arn} is not available.")
        return point, region.file_systems[point.file_system_id]


def mount(cloud: Cloud, function: LocalFunction, config: dict[str, str]) -> dict[str, Any]:
    """Mount a file system: its directory through the access point, and whether it can only be read.

    :raises FunctionError: EFSMountFailureException, as AWS answers to the invocation.
    """
    point, system = find(cloud, config["Arn"], function.account_id)
    files = cloud.efs
    assert files is not None
    may: dict[str, bool] = {}
    for action in ("ClientMount", "ClientWrite", "ClientRootAccess"):
        name = f"elasticfilesystem:{action}"
        enforced = cloud.access is not None and cloud.access.on
        may[action] = not enforced or files.role_allows(function.role, name, system.arn)
    as_root = point.posix_user.get("Uid") == 0
    if not may["ClientMount"] or (as_root and not may["ClientRootAccess"]):
        lacking = "ClientMount" if not may["ClientMount"] else "ClientRootAccess"
        message = f"The function couldn't mount the EFS file system: {function.role} lacks elasticfilesystem:{lacking}."
        raise FunctionError("EFSMountFailureException", message, 403)
    read_only = system.protection == "REPLICATING" or not may["ClientWrite"]
    directory = files.directory(system.file_system_id)
    root = directory / str(point.root.get("Path") or "/").lstrip("/")
    if not root.is_dir():
        if read_only or not point.root.get("CreationInfo"):
            message = (
                f"The function couldn't mount: {point.root.get('Path')} does not exist in {system.file_system_id}."
            )
            raise FunctionError("EFSMountFailureException", message, 403)
        root.mkdir(parents=True, mode=int(point.root["CreationInfo"]["Permissions"], 8))
    return {"path": config["LocalMountPath"], "directory": str(root), "read_only": read_only}


def install(cloud: Cloud) -> None:
    """Let functions run."""
    LocalFunction.cloud = LocalLambdaBackend.cloud = cloud
    moto.awslambda.models.LambdaFunction = LocalFunction  # type: ignore[misc]
    lambda_backends.backend = LocalLambdaBackend
