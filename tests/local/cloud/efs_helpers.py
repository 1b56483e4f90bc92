"""File systems for tests: networks, roles, and waiting for a status."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from localcloud.client import admin_operation
from localcloud.names import PRODUCTION, STAGING
from tests.local.cloud.conftest import LocalCloud

REGION = "eu-west-1"


def unique(stem: str) -> str:
    return f"{stem}-{uuid4().hex[:8]}"


def until(read: Callable[[], Any], wanted: Any, within_s: float = 15) -> list[Any]:
    """Look until a value is seen; every value on the way, each once in a row."""
    seen: list[Any] = []
    end = time.monotonic() + within_s
    while True:
        value = read()
        if not seen or seen[-1] != value:
            seen.append(value)
        if value == wanted:
            return seen
        assert time.monotonic() < end, seen
        time.sleep(0.02)  # noqa: TID251 - emulated time is real time


def network(cloud: LocalCloud, account: str) -> list[str]:
    """Subnets in two zones."""
    ec2 = cloud.admin(account, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    return [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]


def file_system(cloud: LocalCloud, account: str, **parameters: Any) -> str:
    """Id of an available file system."""
    efs = cloud.admin(account, "efs")
    name = efs.create_file_system(**{"CreationToken": unique("token"), **parameters})["FileSystemId"]
    until(lambda: state(cloud, account, name), "available")
    return str(name)


def state(cloud: LocalCloud, account: str, name: str) -> str:
    efs = cloud.admin(account, "efs")
    return str(efs.describe_file_systems(FileSystemId=name)["FileSystems"][0]["LifeCycleState"])


def directory(cloud: LocalCloud, name: str) -> Path:
    return Path(admin_operation("efs-directory", cloud.config, file_system=name)["directory"])


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a directory."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def arn(account: str, name: str) -> str:
    return f"arn:aws:elasticfilesystem:{REGION}:{account}:file-system/{name}"


def role(cloud: LocalCloud, account: str, service: str, *actions: str) -> str:
    """ARN of a role that a service may assume, and what it may do on everything."""
    iam = cloud.admin(account, "iam")
    name = unique("role")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    if actions:
        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(allow))
    return str(made)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def replicable(cloud: LocalCloud, source_account: str = PRODUCTION, account: str = STAGING) -> tuple[str, str, str]:
    """Source, destination and role that a replication between accounts can be made of."""
    source, destination = file_system(cloud, source_account), file_system(cloud, account)
    efs = cloud.admin(account, "efs")
    efs.update_file_system_protection(FileSystemId=destination, ReplicationOverwriteProtection="DISABLED")
    root = {"AWS": f"arn:aws:iam::{source_account}:root"}
    actions = [
        f"elasticfilesystem:{name}"
        for name in ("CreateReplicationConfiguration", "DeleteReplicationConfiguration", "ReplicationWrite")
    ]
    efs.put_file_system_policy(
        FileSystemId=destination,
        Policy=document({"Effect": "Allow", "Principal": root, "Action": actions, "Resource": "*"}),
    )
    actions = ["elasticfilesystem:ReplicationRead", "elasticfilesystem:ReplicationWrite"]
    return source, destination, role(cloud, source_account, "elasticfilesystem.amazonaws.com", *actions)


def replicate(cloud: LocalCloud, source: str, destination: str, role_arn: str) -> Any:
    return cloud.admin(PRODUCTION, "efs").create_replication_configuration(
        SourceFileSystemId=source,
        Destinations=[{"FileSystemId": arn(STAGING, destination), "Region": REGION, "RoleArn": role_arn}],
    )


def replication(cloud: LocalCloud, account: str, name: str) -> dict[str, Any]:
    found = cloud.admin(account, "efs").describe_replication_configurations(FileSystemId=name)["Replications"]
    destination: dict[str, Any] = found[0]["Destinations"][0]
    return destination


def zipped(code: str) -> bytes:
    """A function's code as a zip file with ``main.py``."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("main.py", code)
    return content.getvalue()
