"""Lambda: Python runs for real, with the files of the file systems that it mounts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.client import admin_operation
from localcloud.names import PRODUCTION, STAGING
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.efs_helpers import (
    directory,
    file_system,
    network,
    replicable,
    replicate,
    replication,
    role,
    unique,
    until,
    zipped,
)

pytestmark = pytest.mark.local

CODE = """
import os, boto3
from pathlib import Path

def handler(event, context):
    root = Path(os.environ["MOUNT"])
    if event.get("write"):
        (root / event["write"]).write_text("written")
    if event.get("fail"):
        raise ValueError(event["fail"])
    who = boto3.client("sts").get_caller_identity()["Arn"] if event.get("who") else ""
    return {"files": sorted(str(p.relative_to(root)) for p in root.rglob("*")), "name": context.function_name, "who": who}
"""


class Mounted:
    """A function with a file system, in two subnets."""

    def __init__(self, cloud: LocalCloud, account: str, name: str, *actions: str, **point: Any) -> None:
        self.client, efs = cloud.admin(account, "lambda"), cloud.admin(account, "efs")
        subnets = network(cloud, account)
        for subnet in subnets:
            efs.create_mount_target(FileSystemId=name, SubnetId=subnet)
        made = efs.create_access_point(ClientToken=unique("t"), FileSystemId=name, **point)["AccessPointArn"]
        self.name = unique("function")
        self.spec = {
            "FunctionName": self.name,
            "Runtime": "python3.11",
            "Handler": "main.handler",
            "Role": role(cloud, account, "lambda.amazonaws.com", *actions),
            "Code": {"ZipFile": zipped(CODE)},
            "Timeout": 30,
            "Environment": {"Variables": {"MOUNT": "/mnt/files"}},
            "VpcConfig": {"SubnetIds": subnets, "SecurityGroupIds": []},
            "FileSystemConfigs": [{"Arn": made, "LocalMountPath": "/mnt/files"}],
        }
        targets: Any = lambda: efs.describe_mount_targets(FileSystemId=name)["MountTargets"]  # noqa: E731
        until(lambda: {target["LifeCycleState"] for target in targets()}, {"available"})
        until(lambda: efs.describe_access_points(FileSystemId=name)["AccessPoints"][0]["LifeCycleState"], "available")
        assert self.client.create_function(**self.spec)["State"] == "Pending"
        until(lambda: self.client.get_function_configuration(FunctionName=self.name)["State"], "Active")

    def invoke(self, **event: Any) -> tuple[Any, bool]:
        answer = self.client.invoke(FunctionName=self.name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), "FunctionError" in answer


def test_runs_with_the_files_of_its_access_point_as_its_role(cloud) -> None:
    name = file_system(cloud, STAGING)
    (directory(cloud, name) / "outside").write_text("x")
    root = {"Path": "/in", "CreationInfo": {"OwnerUid": 7, "OwnerGid": 7, "Permissions": "0750"}}
    function = Mounted(cloud, STAGING, name, PosixUser={"Uid": 7, "Gid": 7}, RootDirectory=root)
    answer, failed = function.invoke(write="new", who=True)
    assert not failed
    assert (answer["files"], answer["name"]) == (["new"], function.name)
    assert f"assumed-role/{function.spec['Role'].rpartition('/')[2]}" in answer["who"]
    assert (directory(cloud, name) / "in" / "new").read_text() == "written"
    shown = function.client.get_function_configuration(FunctionName=function.name)
    assert shown["FileSystemConfigs"] == function.spec["FileSystemConfigs"]
    assert shown["Environment"]["Variables"] == {"MOUNT": "/mnt/files"}


def test_an_exception_is_the_answer(cloud) -> None:
    function = Mounted(cloud, STAGING, file_system(cloud, STAGING))
    answer, failed = function.invoke(fail="why")
    assert failed
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "why")
    function.client.delete_function(FunctionName=function.name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        function.invoke()


def test_a_replication_destination_can_only_be_read(cloud) -> None:
    source, destination, role_arn = replicable(cloud)
    (directory(cloud, source) / "copied").write_text("x")
    replicate(cloud, source, destination, role_arn)
    until(lambda: replication(cloud, PRODUCTION, source)["Status"], "ENABLED")
    function = Mounted(cloud, STAGING, destination)
    answer, failed = function.invoke(write="new")
    assert failed
    assert "Read-only file system" in answer["errorMessage"]
    assert function.invoke()[0]["files"] == ["copied"]


@pytest.mark.parametrize(
    ("actions", "outcome"),
    [((), "ClientMount"), (("elasticfilesystem:ClientMount",), "Read-only"), (("elasticfilesystem:*",), None)],
    ids=["nothing", "read", "write"],
)
def test_its_role_decides_under_enforcement(cloud, actions, outcome) -> None:
    function = Mounted(cloud, STAGING, file_system(cloud, STAGING), *actions)
    admin_operation("iam-enforce", cloud.config, on=True)
    try:
        if outcome == "ClientMount":
            with pytest.raises(ClientError, match="EFSMountFailureException"):
                function.invoke()
        else:
            answer, failed = function.invoke(write="new")
            assert failed is bool(outcome)
            assert (outcome or "new") in str(answer)
    finally:
        admin_operation("iam-enforce", cloud.config, on=False)


def test_a_role_that_lambda_may_not_assume_is_refused(cloud) -> None:
    spec = {"Runtime": "python3.11", "Handler": "main.handler", "Code": {"ZipFile": zipped(CODE)}}
    with pytest.raises(ClientError, match="cannot be assumed"):
        cloud.admin(STAGING, "lambda").create_function(
            FunctionName=unique("f"), Role=role(cloud, STAGING, "ec2.amazonaws.com"), **spec
        )
