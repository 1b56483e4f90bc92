"""EFS: statuses that take time, AWS's rules, real files, replication between accounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.client import AdminError, admin_operation
from localcloud.names import PRODUCTION, STAGING
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.efs_helpers import (
    arn,
    directory,
    document,
    file_system,
    network,
    replicable,
    replicate,
    replication,
    state,
    tree,
    unique,
    until,
)

pytestmark = pytest.mark.local


@pytest.fixture
def efs(cloud: LocalCloud) -> Any:
    return cloud.client(STAGING, "efs")


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


class TestFileSystems:
    def test_is_created_in_time_and_deleted_in_time(self, cloud, efs) -> None:
        made = efs.create_file_system(
            CreationToken=unique("t"), Encrypted=True, Tags=[{"Key": "Name", "Value": "files"}]
        )
        name = made["FileSystemId"]
        assert (made["LifeCycleState"], made["Name"], made["OwnerId"]) == ("creating", "files", STAGING)
        assert ":key/" in made["KmsKeyId"]
        assert made["FileSystemProtection"] == {"ReplicationOverwriteProtection": "ENABLED"}
        until(lambda: state(cloud, STAGING, name), "available")
        folder = directory(cloud, name)
        (folder / "a").write_bytes(b"12345")
        assert efs.describe_file_systems(FileSystemId=name)["FileSystems"][0]["SizeInBytes"]["Value"] == 5
        efs.delete_file_system(FileSystemId=name)
        until(lambda: name in {one["FileSystemId"] for one in efs.describe_file_systems()["FileSystems"]}, False)
        assert not folder.exists()
        with refused("FileSystemNotFound"):
            efs.describe_file_systems(FileSystemId=name)

    def test_a_creation_token_makes_one_file_system(self, cloud, efs) -> None:
        token = unique("t")
        made = efs.create_file_system(CreationToken=token)["FileSystemId"]
        with pytest.raises(ClientError) as refusal:
            efs.create_file_system(CreationToken=token)
        assert refusal.value.response["Error"]["Code"] == "FileSystemAlreadyExists"
        assert refusal.value.response["FileSystemId"] == made
        assert [one["FileSystemId"] for one in efs.describe_file_systems(CreationToken=token)["FileSystems"]] == [made]
        assert cloud.client(PRODUCTION, "efs").describe_file_systems(CreationToken=token)["FileSystems"] == []

    def test_lists_by_pages(self, cloud, efs) -> None:
        mine = {efs.create_file_system(CreationToken=unique("page"))["FileSystemId"] for _ in range(5)}
        pages = list(efs.get_paginator("describe_file_systems").paginate(PaginationConfig={"PageSize": 2}))
        assert all(len(page["FileSystems"]) <= 2 for page in pages)
        assert len(pages) >= 3
        assert mine <= {one["FileSystemId"] for page in pages for one in page["FileSystems"]}
        with refused("BadRequest"):
            efs.describe_file_systems(Marker="nonsense")

    def test_nothing_is_done_to_one_that_is_not_ready(self, cloud, efs) -> None:
        admin_operation(
            "faults-add", cloud.config, service="efs", action="CreateFileSystem", effect="status", becomes="error"
        )
        try:
            name = efs.create_file_system(CreationToken=unique("t"))["FileSystemId"]
        finally:
            admin_operation("faults-clear", cloud.config)
        with refused("IncorrectFileSystemLifeCycleState"):
            efs.put_lifecycle_configuration(FileSystemId=name, LifecyclePolicies=[])

    def test_keys_are_checked(self, efs) -> None:
        with refused("BadRequest"):
            efs.create_file_system(CreationToken=unique("t"), Encrypted=True, KmsKeyId="alias/none")
        with refused("BadRequest"):
            efs.create_file_system(CreationToken=unique("t"), KmsKeyId="alias/aws/elasticfilesystem")

    def test_policies_tags_and_lifecycle(self, cloud, efs) -> None:
        name = file_system(cloud, STAGING)
        with refused("PolicyNotFound"):
            efs.describe_file_system_policy(FileSystemId=name)
        with refused("InvalidPolicyException"):
            efs.put_file_system_policy(FileSystemId=name, Policy="{}")
        allow = {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "elasticfilesystem:ClientMount",
            "Resource": "*",
        }
        efs.put_file_system_policy(FileSystemId=name, Policy=document(allow))
        assert efs.describe_file_system_policy(FileSystemId=name)["Policy"] == document(allow)
        efs.tag_resource(ResourceId=name, Tags=[{"Key": f"k{n}", "Value": str(n)} for n in range(3)])
        efs.untag_resource(ResourceId=name, TagKeys=["k1"])
        assert {tag["Key"] for tag in efs.list_tags_for_resource(ResourceId=name)["Tags"]} == {"k0", "k2"}
        rules = [{"TransitionToIA": "AFTER_30_DAYS"}]
        efs.put_lifecycle_configuration(FileSystemId=name, LifecyclePolicies=rules)
        assert efs.describe_lifecycle_configuration(FileSystemId=name)["LifecyclePolicies"] == rules


class TestMountTargets:
    def test_one_in_each_zone_and_the_file_system_stays_until_they_are_gone(self, cloud, efs) -> None:
        name, subnets = file_system(cloud, STAGING), network(cloud, STAGING)
        made = [efs.create_mount_target(FileSystemId=name, SubnetId=subnet) for subnet in subnets]
        assert [target["LifeCycleState"] for target in made] == ["creating", "creating"]
        assert len({target["IpAddress"] for target in made}) == 2
        with refused("MountTargetConflict"):
            efs.create_mount_target(FileSystemId=name, SubnetId=subnets[0])
        with refused("MountTargetConflict"):
            efs.create_mount_target(FileSystemId=name, SubnetId=network(cloud, STAGING)[0])
        with refused("SubnetNotFound"):
            efs.create_mount_target(FileSystemId=name, SubnetId="subnet-00000000")
        targets: Any = lambda: efs.describe_mount_targets(FileSystemId=name)["MountTargets"]  # noqa: E731
        until(lambda: {target["LifeCycleState"] for target in targets()}, {"available"})
        with refused("FileSystemInUse"):
            efs.delete_file_system(FileSystemId=name)
        for target in targets():
            efs.delete_mount_target(MountTargetId=target["MountTargetId"])
        until(lambda: len(targets()), 0)
        efs.delete_file_system(FileSystemId=name)

    def test_access_points(self, cloud, efs) -> None:
        name, token = file_system(cloud, STAGING), unique("t")
        user, root = {"Uid": 7, "Gid": 7}, {"Path": "/a/b"}
        made = efs.create_access_point(ClientToken=token, FileSystemId=name, PosixUser=user, RootDirectory=root)
        assert (made["LifeCycleState"], made["PosixUser"], made["RootDirectory"]) == ("creating", user, root)
        with refused("AccessPointAlreadyExists"):
            efs.create_access_point(ClientToken=token, FileSystemId=name)
        with refused("FileSystemNotFound"):
            efs.create_access_point(ClientToken=unique("t"), FileSystemId="fs-00000000000000000")
        for _ in range(3):
            efs.create_access_point(ClientToken=unique("t"), FileSystemId=name)
        pages = list(
            efs.get_paginator("describe_access_points").paginate(FileSystemId=name, PaginationConfig={"PageSize": 2})
        )
        assert [len(page["AccessPoints"]) for page in pages] == [2, 2]
        point = made["AccessPointId"]
        until(lambda: efs.describe_access_points(AccessPointId=point)["AccessPoints"][0]["LifeCycleState"], "available")
        efs.delete_access_point(AccessPointId=point)
        until(lambda: len(efs.describe_access_points(FileSystemId=name)["AccessPoints"]), 3)
        with refused("AccessPointNotFound"):
            efs.describe_access_points(AccessPointId=point)


class TestReplication:
    def test_copies_files_to_the_other_account_again_and_again(self, cloud) -> None:
        source, destination, role = replicable(cloud)
        folder = directory(cloud, source)
        (folder / "d").mkdir()
        (folder / "d" / "one").write_bytes(b"1")
        (directory(cloud, destination) / "stale").write_bytes(b"x")
        assert replicate(cloud, source, destination, role)["Destinations"][0]["Status"] == "ENABLING"
        until(lambda: replication(cloud, PRODUCTION, source)["Status"], "ENABLED")
        until(lambda: tree(directory(cloud, destination)), {"d/one": b"1"})
        first = replication(cloud, STAGING, destination)
        assert (first["OwnerId"], first["FileSystemId"], first["RoleArn"]) == (STAGING, destination, role)
        (folder / "two").write_bytes(b"2")
        (folder / "d" / "one").write_bytes(b"changed")
        wrote = cloud.now()
        until(lambda: replication(cloud, PRODUCTION, source)["LastReplicatedTimestamp"].timestamp() > wrote, True)
        assert tree(directory(cloud, destination)) == {"d/one": b"changed", "two": b"2"}

    def test_what_it_needs(self, cloud) -> None:
        source, destination, role = replicable(cloud)
        production, staging = cloud.admin(PRODUCTION, "efs"), cloud.admin(STAGING, "efs")
        with refused("ValidationException"):
            replicate(cloud, source, destination, "")
        with refused("BadRequest"):
            replicate(cloud, source, destination, _role_without_rights(cloud))
        policy = staging.describe_file_system_policy(FileSystemId=destination)["Policy"]
        staging.delete_file_system_policy(FileSystemId=destination)
        with refused("BadRequest"):
            replicate(cloud, source, destination, role)
        staging.put_file_system_policy(FileSystemId=destination, Policy=policy)
        staging.update_file_system_protection(FileSystemId=destination, ReplicationOverwriteProtection="ENABLED")
        with refused("ValidationException"):
            replicate(cloud, source, destination, role)
        with refused("ReplicationNotFound"):
            production.describe_replication_configurations(FileSystemId=source)

    def test_takes_hold_of_both_and_lets_go(self, cloud) -> None:
        source, destination, role = replicable(cloud)
        replicate(cloud, source, destination, role)
        production, staging = cloud.admin(PRODUCTION, "efs"), cloud.admin(STAGING, "efs")
        with refused("ValidationException"):
            replicate(cloud, source, destination, role)
        with refused("ReplicationAlreadyExists"):
            staging.update_file_system_protection(FileSystemId=destination, ReplicationOverwriteProtection="DISABLED")
        for client, name in ((production, source), (staging, destination)):
            with refused("FileSystemInUse"):
                client.delete_file_system(FileSystemId=name)
        with refused("BadRequest"):  # production's policy does not let staging end it
            staging.delete_replication_configuration(SourceFileSystemId=source)
        production.delete_replication_configuration(SourceFileSystemId=source)
        until(lambda: _replications(staging, destination), 0)
        shown = staging.describe_file_systems(FileSystemId=destination)["FileSystems"][0]
        assert shown["FileSystemProtection"] == {"ReplicationOverwriteProtection": "ENABLED"}


def _role_without_rights(cloud: LocalCloud) -> str:
    from tests.local.cloud.efs_helpers import role

    return role(cloud, PRODUCTION, "elasticfilesystem.amazonaws.com")


def _replications(client: Any, name: str) -> int:
    try:
        return len(client.describe_replication_configurations(FileSystemId=name)["Replications"])
    except client.exceptions.ReplicationNotFound:
        return 0


class TestAroundIt:
    @pytest.fixture(autouse=True)
    def no_rules(self, cloud: LocalCloud) -> Iterator[None]:
        yield
        admin_operation("faults-clear", cloud.config)

    def test_faults_let_it_end_badly(self, cloud, efs) -> None:
        admin_operation(
            "faults-add", cloud.config, service="efs", action="CreateFileSystem", effect="status", becomes="error"
        )
        name = efs.create_file_system(CreationToken=unique("t"))["FileSystemId"]
        assert until(lambda: state(cloud, STAGING, name), "error")[-1] == "error"

    def test_faults_let_a_running_replication_fail(self, cloud) -> None:
        source, destination, role = replicable(cloud)
        replicate(cloud, source, destination, role)
        admin_operation(
            "faults-add",
            cloud.config,
            service="efs",
            action="DescribeReplicationConfigurations",
            effect="status",
            becomes="PAUSED",
        )
        assert replication(cloud, PRODUCTION, source)["Status"] == "PAUSED"
        assert replication(cloud, PRODUCTION, source)["Status"] == "PAUSED"

    def test_a_throttled_call_says_so(self, cloud, efs) -> None:
        admin_operation("faults-add", cloud.config, service="efs", action="DescribeFileSystems")
        with refused("ThrottlingException"):
            efs.describe_file_systems()

    def test_calls_are_recorded(self, cloud, efs) -> None:
        since = cloud.now()
        name = efs.create_file_system(CreationToken=unique("t"))["FileSystemId"]
        efs.describe_mount_targets(FileSystemId=name)
        calls = [(call["service"], call["action"], call["mutating"]) for call in cloud.calls(since)]
        assert ("efs", "CreateFileSystem", True) in calls
        assert ("efs", "DescribeMountTargets", False) in calls

    def test_a_directory_is_told_of_file_systems_only(self, cloud) -> None:
        with pytest.raises(AdminError, match="no file system"):
            directory(cloud, "fs-none")
        assert arn(STAGING, "x").endswith("file-system/x")
