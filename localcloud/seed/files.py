"""Files of the shop: production's media, with mount targets, an access point and a backup; staging's older ones."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from localcloud.client import admin_client, admin_operation
from localcloud.names import PRODUCTION, STAGING

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.config import CloudConfig

PRODUCTION_FILES, STAGING_FILES, STAGING_TOOLS = "prod-media", "staging-media", "staging-tools"
PRODUCTION_VAULT, STAGING_VAULT = "prod-vault", "staging-vault"
BACKUP_ROLE, REPLICATION_ROLE, FUNCTION_ROLE = "aurora-ops-backup", "prod-media-replication", "aurora-ops-efs-probe"
FILES_GROUP = "efs"
PRODUCTS = 12
TIMEOUT_S = 60
POLL_S = 0.1


def seed_production_files(config: CloudConfig, key: str, vpc: str, subnets: list[str]) -> str:
    """``prod-media``, encrypted, in two subnets, with an access point and a completed recovery point. Returns its id.

    :param key: ARN of the key that encrypts it.
    """
    group = _security_group(config, PRODUCTION, vpc, "10.1.0.0/16")
    name = _file_system(config, PRODUCTION, PRODUCTION_FILES, key, subnets[:2], group, environment="production")
    folder = directory(config, name)
    for path, content in production_files().items():
        _write(folder / path, content)
    _access_point(config, PRODUCTION, name, "prod-media-app", "/media")
    _role(config, PRODUCTION, BACKUP_ROLE, "backup.amazonaws.com", None)
    _role(config, PRODUCTION, FUNCTION_ROLE, "lambda.amazonaws.com", _client_policy())
    _role(
        config,
        PRODUCTION,
        REPLICATION_ROLE,
        "elasticfilesystem.amazonaws.com",
        _policy(
            [
                "elasticfilesystem:DescribeFileSystems",
                "elasticfilesystem:CreateReplicationConfiguration",
                "elasticfilesystem:DescribeReplicationConfigurations",
                "elasticfilesystem:DeleteReplicationConfiguration",
                "elasticfilesystem:ReplicationRead",
                "elasticfilesystem:ReplicationWrite",
            ],
            f"arn:aws:elasticfilesystem:*:{PRODUCTION}:file-system/*",
            f"arn:aws:elasticfilesystem:*:{STAGING}:file-system/*",
        ),
    )
    _vault(config, PRODUCTION, PRODUCTION_VAULT, key)
    _recovery_point(config, name)
    return name


def seed_staging_files(config: CloudConfig, key: str, vpc: str, subnets: list[str]) -> str:
    """``staging-media`` as it is before a refresh, marked ``refresh=true``, and a vault that takes production's copies.

    Beside it ``staging-tools``, for the dumps of jobs.
    """
    group = _security_group(config, STAGING, vpc, "10.2.0.0/16")
    _file_system(config, STAGING, STAGING_TOOLS, key, subnets[:1], group, environment="staging")
    name = _file_system(config, STAGING, STAGING_FILES, key, subnets[:2], group, environment="staging", refresh="true")
    _write(directory(config, name) / "media" / "old.txt", b"files of staging before the refresh\n")
    _role(config, STAGING, BACKUP_ROLE, "backup.amazonaws.com", None)
    _role(config, STAGING, FUNCTION_ROLE, "lambda.amazonaws.com", _client_policy())
    _vault(config, STAGING, STAGING_VAULT, key)
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
        "Action": "backup:CopyIntoBackupVault",
        "Resource": "*",
    }
    admin_client(STAGING, "backup", config).put_backup_vault_access_policy(
        BackupVaultName=STAGING_VAULT, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )
    return name


def find_seeded(config: CloudConfig, account: str, name: str) -> str:
    """Id of a file system that was seeded."""
    found = admin_client(account, "efs", config).describe_file_systems(CreationToken=f"seed-{name}")["FileSystems"]
    return str(found[0]["FileSystemId"])


def production_files() -> dict[str, bytes]:
    """Files of ``prod-media``: small, the same in every seed."""
    found = {f"media/products/{number:03d}.jpg": bytes([number]) * (200 + number) for number in range(1, PRODUCTS + 1)}
    return found | {
        "media/catalogue.json": json.dumps({"products": PRODUCTS}, indent=1).encode(),
        "exports/2026/orders.csv": b"id,total\n" + b"".join(b"%d,%d\n" % (n, n * 7) for n in range(1, 50)),
    }


def directory(config: CloudConfig, file_system: str) -> Path:
    """Directory with the files of a file system, as a mount would show them."""
    return Path(admin_operation("efs-directory", config, file_system=file_system)["directory"])


def _file_system(
    config: CloudConfig, account: str, name: str, key: str, subnets: list[str], group: str, **tags: str
) -> str:
    efs = admin_client(account, "efs", config)
    found = efs.describe_file_systems(CreationToken=f"seed-{name}")["FileSystems"]
    if not found:
        tags = {"Name": name, "application": "shop", **tags}
        efs.create_file_system(
            CreationToken=f"seed-{name}",
            Encrypted=True,
            KmsKeyId=key,
            ThroughputMode="elastic",
            Tags=[{"Key": tag, "Value": value} for tag, value in tags.items()],
        )
        found = efs.describe_file_systems(CreationToken=f"seed-{name}")["FileSystems"]
    file_system = str(found[0]["FileSystemId"])
    _until(
        f"file system {name}",
        lambda: efs.describe_file_systems(FileSystemId=file_system)["FileSystems"][0]["LifeCycleState"] == "available",
    )
    there = {target["SubnetId"] for target in efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"]}
    for subnet in subnets:
        if subnet not in there:
            efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet, SecurityGroups=[group])
    _until(
        f"mount targets of {name}",
        lambda: all(
            target["LifeCycleState"] == "available"
            for target in efs.describe_mount_targets(FileSystemId=file_system)["MountTargets"]
        ),
    )
    return file_system


def _access_point(config: CloudConfig, account: str, file_system: str, name: str, path: str) -> None:
    efs = admin_client(account, "efs", config)
    if efs.describe_access_points(FileSystemId=file_system)["AccessPoints"]:
        return
    efs.create_access_point(
        ClientToken=f"seed-{name}",
        FileSystemId=file_system,
        PosixUser={"Uid": 1000, "Gid": 1000},
        RootDirectory={"Path": path, "CreationInfo": {"OwnerUid": 1000, "OwnerGid": 1000, "Permissions": "0755"}},
        Tags=[{"Key": "Name", "Value": name}],
    )


def _vault(config: CloudConfig, account: str, name: str, key: str) -> None:
    backup = admin_client(account, "backup", config)
    try:
        backup.create_backup_vault(BackupVaultName=name, EncryptionKeyArn=key)
    except backup.exceptions.AlreadyExistsException:
        return


def _recovery_point(config: CloudConfig, file_system: str) -> None:
    backup = admin_client(PRODUCTION, "backup", config)
    arn = f"arn:aws:elasticfilesystem:{config.region}:{PRODUCTION}:file-system/{file_system}"
    if backup.list_recovery_points_by_resource(ResourceArn=arn)["RecoveryPoints"]:
        return
    job = backup.start_backup_job(
        BackupVaultName=PRODUCTION_VAULT, ResourceArn=arn, IamRoleArn=f"arn:aws:iam::{PRODUCTION}:role/{BACKUP_ROLE}"
    )["BackupJobId"]
    _until("backup of prod-media", lambda: backup.describe_backup_job(BackupJobId=job)["State"] == "COMPLETED")


def _role(config: CloudConfig, account: str, name: str, service: str, policy: str | None) -> None:
    iam = admin_client(account, "iam", config)
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    try:
        iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="aurora-ops", PolicyDocument=policy)


def _client_policy() -> str:
    """Allow what a function needs to mount a file system; not as root."""
    return _policy(["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"], "*")


def _policy(actions: list[str], *resources: str) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _security_group(config: CloudConfig, account: str, vpc: str, allowed: str) -> str:
    """Id of a security group that lets NFS in from a network."""
    ec2 = admin_client(account, "ec2", config)
    filters = [{"Name": "group-name", "Values": [FILES_GROUP]}, {"Name": "vpc-id", "Values": [vpc]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    group = str(ec2.create_security_group(GroupName=FILES_GROUP, Description="NFS", VpcId=vpc)["GroupId"])
    ranges: list[dict[str, Any]] = [{"CidrIp": allowed}]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "IpRanges": ranges}],
    )
    return group


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(content)


def _until(what: str, ready: Callable[[], bool]) -> None:
    """Wait until something is ready.

    :raises TimeoutError: it is not within a minute.
    """
    end = time.monotonic() + TIMEOUT_S
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready within {TIMEOUT_S} s")
        time.sleep(POLL_S)  # noqa: TID251 - the seed polls, as it has no events to wait for
