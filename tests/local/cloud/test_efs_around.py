"""EFS and AWS Backup over a restart, and under identity policies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.config import CloudConfig
from localcloud.names import PRODUCTION, STAGING
from localcloud.process import is_alive, running_pid
from localcloud.process import until as wait_until
from localcloud.seed.accounts import seed_roles
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.cloud.efs_helpers import (
    arn,
    directory,
    file_system,
    network,
    replicable,
    replicate,
    replication,
    role,
    state,
    tree,
    unique,
    until,
)
from tests.local.cloud.test_iam import allow, granted

pytestmark = [pytest.mark.local, pytest.mark.slow]

assert granted  # a fixture


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud of this module's own, which it may kill."""
    environment = localcloud_environment(tmp_path_factory.mktemp("efs"), free_port(), free_port())
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    try:
        seed_roles(config)
        yield LocalCloud(config, environment)
    finally:
        run_localcloud(environment, "down")


def test_all_comes_back_after_a_kill_and_goes_on(own) -> None:
    source, destination, role_arn = replicable(own)
    (directory(own, source) / "one").write_bytes(b"1")
    replicate(own, source, destination, role_arn)
    until(lambda: replication(own, PRODUCTION, source)["Status"], "ENABLED")
    until(lambda: tree(directory(own, destination)), {"one": b"1"})
    backup = own.admin(PRODUCTION, "backup")
    backup.create_backup_vault(BackupVaultName="kept")
    job = backup.start_backup_job(
        BackupVaultName="kept",
        ResourceArn=arn(PRODUCTION, source),
        IamRoleArn=role(own, PRODUCTION, "backup.amazonaws.com"),
    )["BackupJobId"]
    late = own.admin(STAGING, "efs").create_file_system(CreationToken="late")["FileSystemId"]

    pid = running_pid(own.config)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid), 30)
    up = run_localcloud(own.environment, "up", "--keep")
    assert up.returncode == 0, up.stderr

    until(lambda: state(own, STAGING, late), "available")
    until(lambda: backup.describe_backup_job(BackupJobId=job)["State"], "COMPLETED")
    assert tree(directory(own, source)) == {"one": b"1"}
    (directory(own, source) / "two").write_bytes(b"2")
    until(lambda: tree(directory(own, destination)), {"one": b"1", "two": b"2"})
    [point] = backup.list_recovery_points_by_backup_vault(BackupVaultName="kept")["RecoveryPoints"]
    assert (point["Status"], point["BackupSizeInBytes"]) == ("COMPLETED", 1)


def denied(action: str) -> Any:
    return pytest.raises(ClientError, match=rf"AccessDeniedException.*not authorized to perform: {action}")


class TestPolicies:
    def test_tags_decide_about_file_systems(self, cloud, granted) -> None:
        marked = file_system(cloud, STAGING, Tags=[{"Key": "refresh", "Value": "true"}])
        other = file_system(cloud, STAGING)
        client = granted(
            allow(
                "elasticfilesystem:DeleteFileSystem",
                arn(STAGING, "*"),
                StringEquals={"aws:ResourceTag/refresh": "true"},
            )
        )("efs")
        client.delete_file_system(FileSystemId=marked)
        with denied("elasticfilesystem:DeleteFileSystem"):
            client.delete_file_system(FileSystemId=other)

    def test_tags_of_a_new_one_must_be_allowed_too(self, cloud, granted) -> None:
        tags = [{"Key": "refresh", "Value": "true"}]
        client = granted(allow("elasticfilesystem:CreateFileSystem"))("efs")
        with denied("elasticfilesystem:TagResource"):
            client.create_file_system(CreationToken=unique("t"), Tags=tags)
        condition = {"aws:RequestTag/refresh": "true"}
        client = granted(
            allow("elasticfilesystem:CreateFileSystem", StringEquals=condition),
            allow("elasticfilesystem:TagResource", arn(STAGING, "*"), StringEquals=condition),
        )("efs")
        client.create_file_system(CreationToken=unique("t"), Tags=tags)
        with denied("elasticfilesystem:CreateFileSystem"):
            client.create_file_system(CreationToken=unique("t"))

    def test_a_mount_target_needs_a_network_interface(self, cloud, granted) -> None:
        name, subnet = file_system(cloud, STAGING), network(cloud, STAGING)[0]
        client = granted(allow("elasticfilesystem:CreateMountTarget"))("efs")
        with denied("ec2:DescribeSubnets"):
            client.create_mount_target(FileSystemId=name, SubnetId=subnet)

    def test_a_role_must_be_passed(self, cloud, granted) -> None:
        vault = unique("vault")
        cloud.admin(STAGING, "backup").create_backup_vault(BackupVaultName=vault)
        given = {
            "BackupVaultName": vault,
            "ResourceArn": arn(STAGING, file_system(cloud, STAGING)),
            "IamRoleArn": role(cloud, STAGING, "backup.amazonaws.com"),
        }
        start = allow("backup:StartBackupJob", f"arn:aws:backup:eu-west-1:{STAGING}:backup-vault:{vault}")
        with denied("iam:PassRole"):
            granted(start)("backup").start_backup_job(**given)
        passing = allow("iam:PassRole", StringEquals={"iam:PassedToService": "backup.amazonaws.com"})
        granted(start, passing)("backup").start_backup_job(**given)
