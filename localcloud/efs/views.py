"""What EFS and AWS Backup show of what they keep."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud.efs import files
from localcloud.efs.core import tag_list

if TYPE_CHECKING:
    from localcloud.efs.core import Core
    from localcloud.efs.model import (
        AccessPoint,
        FileSystem,
        Job,
        MountTarget,
        RecoveryPoint,
        Region,
        Replication,
        Vault,
    )

View = dict[str, Any]


def moment(seconds: float | None) -> datetime | None:
    """Time as AWS writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def file_system(core: Core, here: Region, system: FileSystem) -> View:
    """FileSystemDescription."""
    size = files.size_bytes(core.directory(system.file_system_id))
    return {
        "OwnerId": system.account,
        "CreationToken": system.creation_token,
        "FileSystemId": system.file_system_id,
        "FileSystemArn": system.arn,
        "CreationTime": moment(system.created),
        "LifeCycleState": system.status,
        "Name": system.tags.get("Name"),
        "NumberOfMountTargets": sum(
            target.file_system_id == system.file_system_id for target in here.mount_targets.values()
        ),
        "SizeInBytes": {"Value": size, "Timestamp": moment(time.time()), "ValueInIA": 0, "ValueInStandard": size},
        "PerformanceMode": system.performance_mode,
        "Encrypted": system.encrypted,
        "KmsKeyId": system.kms_key_id or None,
        "ThroughputMode": system.throughput_mode,
        "ProvisionedThroughputInMibps": system.provisioned_mibps,
        "Tags": tag_list(system.tags),
        "FileSystemProtection": {"ReplicationOverwriteProtection": system.protection},
    }


def mount_target(target: MountTarget) -> View:
    """MountTargetDescription."""
    return {
        "OwnerId": target.account,
        "MountTargetId": target.mount_target_id,
        "FileSystemId": target.file_system_id,
        "SubnetId": target.subnet_id,
        "LifeCycleState": target.status,
        "IpAddress": target.ip_address,
        "NetworkInterfaceId": target.network_interface_id,
        "AvailabilityZoneId": target.zone_id,
        "AvailabilityZoneName": target.zone,
        "VpcId": target.vpc_id,
    }


def access_point(point: AccessPoint) -> View:
    """AccessPointDescription."""
    return {
        "ClientToken": point.client_token,
        "Name": point.tags.get("Name"),
        "Tags": tag_list(point.tags),
        "AccessPointId": point.access_point_id,
        "AccessPointArn": point.arn,
        "FileSystemId": point.file_system_id,
        "PosixUser": point.posix_user or None,
        "RootDirectory": point.root,
        "OwnerId": point.account,
        "LifeCycleState": point.status,
    }


def replication(one: Replication) -> View:
    """ReplicationConfigurationDescription."""
    source = f"arn:aws:elasticfilesystem:{one.source_region}:{one.source_account}:file-system/{one.source_id}"
    return {
        "SourceFileSystemId": one.source_id,
        "SourceFileSystemRegion": one.source_region,
        "SourceFileSystemArn": source,
        "OriginalSourceFileSystemArn": source,
        "SourceFileSystemOwnerId": one.source_account,
        "CreationTime": moment(one.created),
        "Destinations": [
            {
                "Status": one.status,
                "FileSystemId": one.destination_id,
                "Region": one.destination_region,
                "LastReplicatedTimestamp": moment(one.synced),
                "OwnerId": one.destination_account,
                "StatusMessage": one.message or None,
                "RoleArn": one.role_arn or None,
            }
        ],
    }


def vault(one: Vault, points: int) -> View:
    """Vault as it is described and listed."""
    return {
        "BackupVaultName": one.name,
        "BackupVaultArn": one.arn,
        "VaultType": "BACKUP_VAULT",
        "EncryptionKeyArn": one.key_arn,
        "CreationDate": moment(one.created),
        "NumberOfRecoveryPoints": points,
        "Locked": False,
    }


def point(one: RecoveryPoint) -> View:
    """Recovery point as it is described and listed by vault."""
    return {
        "RecoveryPointArn": one.arn,
        "BackupVaultName": one.vault,
        "BackupVaultArn": f"arn:aws:backup:{one.region}:{one.account}:backup-vault:{one.vault}",
        "SourceBackupVaultArn": one.source_vault_arn or None,
        "ResourceArn": one.resource_arn,
        "ResourceType": "EFS",
        "IamRoleArn": one.role_arn,
        "Status": one.status,
        "CreationDate": moment(one.created),
        "CompletionDate": moment(one.completed) if one.completed else None,
        "BackupSizeInBytes": one.size_bytes,
        "EncryptionKeyArn": one.key_arn,
        "IsEncrypted": True,
    }


def job(one: Job) -> View:
    """Give what all jobs show."""
    return {
        "AccountId": one.account,
        "ResourceType": "EFS",
        "CreationDate": moment(one.created),
        "CompletionDate": moment(one.completed),
        "StatusMessage": one.message or None,
        "IamRoleArn": one.given.get("IamRoleArn"),
    }
