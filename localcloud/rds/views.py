"""Resources as the API shows them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud.rds import network
from localcloud.rds.backups import restorable
from localcloud.rds.endpoints import HOSTED_ZONE_ID, address

if TYPE_CHECKING:
    from localcloud.rds.model import Cluster, Event, Instance, Region, Snapshot


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as ``TagList``."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def moment(epoch: float) -> datetime:
    """Epoch seconds as the API's timestamp, milliseconds kept."""
    return datetime.fromtimestamp(round(epoch, 3), UTC)


def status(resource: Cluster | Instance) -> str:
    """Status as describe shows it: a modify is not visible in the first moment."""
    return "available" if time.time() < resource.lag_until else resource.status


def cluster(region: Region, item: Cluster) -> dict[str, Any]:
    """``DBCluster``."""
    secret = item.secret
    members = region.members(item)
    first, last = restorable(item) or (None, None)
    return {
        "DBClusterIdentifier": item.identifier,
        "DBClusterArn": item.arn,
        "DbClusterResourceId": item.resource_id,
        "Status": status(item),
        "Engine": item.engine,
        "EngineVersion": item.engine_version,
        "EngineMode": "provisioned",
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
        "DatabaseName": item.database_name,
        "MasterUsername": item.master_username,
        "MasterUserSecret": secret
        and {"SecretArn": secret.arn, "SecretStatus": secret.status, "KmsKeyId": secret.kms_key_id},
        "Endpoint": address(item.account, item.region, "cluster", item.identifier),
        "ReaderEndpoint": address(item.account, item.region, "reader", item.identifier),
        "CustomEndpoints": [],
        "Port": item.port,
        "HostedZoneId": HOSTED_ZONE_ID,
        "MultiAZ": len({member.zone for member in members}) > 1,
        "AvailabilityZones": item.zones,
        "DBSubnetGroup": item.subnet_group,
        "VpcSecurityGroups": [{"VpcSecurityGroupId": id_, "Status": "active"} for id_ in item.security_groups],
        "DBClusterParameterGroup": item.parameter_group,
        "DBClusterMembers": [
            {
                "DBInstanceIdentifier": member.identifier,
                "IsClusterWriter": member.writer,
                "DBClusterParameterGroupStatus": member.parameter_status,
                "PromotionTier": member.promotion_tier,
            }
            for member in members
        ],
        "StorageEncrypted": item.kms_key_id is not None,
        "KmsKeyId": item.kms_key_id,
        "AllocatedStorage": 1,
        "StorageType": "aurora",
        "BackupRetentionPeriod": item.backup_retention,
        "PreferredBackupWindow": item.backup_window,
        "PreferredMaintenanceWindow": item.maintenance_window,
        "ClusterCreateTime": moment(item.created),
        "EarliestRestorableTime": first and moment(first),
        "LatestRestorableTime": last and moment(last),
        "ReadReplicaIdentifiers": [],
        "AssociatedRoles": [
            {"RoleArn": role.arn, "Status": role.status, "FeatureName": role.feature or None} for role in item.roles
        ],
        "IAMDatabaseAuthenticationEnabled": item.iam_authentication,
        "CloneGroupId": item.clone_group,
        "EnabledCloudwatchLogsExports": item.log_exports or None,
        "PendingModifiedValues": item.pending_identifier and {"DBClusterIdentifier": item.pending_identifier},
        "DeletionProtection": item.deletion_protection,
        "HttpEndpointEnabled": False,
        "ActivityStreamStatus": "stopped",
        "CopyTagsToSnapshot": item.copy_tags,
        "CrossAccountClone": item.cross_account,
        "DomainMemberships": [],
        "TagList": tag_list(item.tags),
        "AutoMinorVersionUpgrade": True,
        "NetworkType": "IPV4",
        "ServerlessV2ScalingConfiguration": item.serverless,
        "LocalWriteForwardingStatus": "disabled",
    }


def automated_backup(item: Cluster, its_status: str) -> dict[str, Any]:
    """``DBClusterAutomatedBackup``."""
    first, last = restorable(item) or (None, None)
    return {
        "DBClusterAutomatedBackupsArn": f"arn:aws:rds:{item.region}:{item.account}:cluster-auto-backup:"
        f"{item.resource_id.replace('cluster-', 'ab-').lower()}",
        "DBClusterIdentifier": item.identifier,
        "DBClusterArn": item.arn,
        "DbClusterResourceId": item.resource_id,
        "Region": item.region,
        "Status": its_status,
        "RestoreWindow": {"EarliestTime": first and moment(first), "LatestTime": last and moment(last)},
        "Engine": item.engine,
        "EngineVersion": item.engine_version,
        "EngineMode": "provisioned",
        "LicenseModel": item.engine,
        "MasterUsername": item.master_username,
        "VpcId": item.vpc_id,
        "AvailabilityZones": item.zones,
        "Port": item.port,
        "ClusterCreateTime": moment(item.created),
        "StorageEncrypted": item.kms_key_id is not None,
        "KmsKeyId": item.kms_key_id,
        "StorageType": "aurora",
        "AllocatedStorage": 1,
        "BackupRetentionPeriod": item.backup_retention,
        "PreferredBackupWindow": item.backup_window,
        "IAMDatabaseAuthenticationEnabled": item.iam_authentication,
    }


def instance(region: Region, item: Instance) -> dict[str, Any]:
    """``DBInstance`` of a cluster member."""
    owner = region.cluster_of(item)
    listening = item.status not in {"creating", "deleting"} or item.listening
    endpoint = {
        "Address": address(item.account, item.region, "instance", item.identifier),
        "Port": owner.port,
        "HostedZoneId": HOSTED_ZONE_ID,
    }
    return {
        "DBInstanceIdentifier": item.identifier,
        "DBInstanceArn": item.arn,
        "DbiResourceId": item.resource_id,
        "DBClusterIdentifier": owner.identifier,
        "DBInstanceClass": item.instance_class,
        "DBInstanceStatus": status(item),
        "Engine": owner.engine,
        "EngineVersion": owner.engine_version,
        "LicenseModel": "general-public-license",
        "MasterUsername": owner.master_username,
        "DBName": owner.database_name,
        # absent until the instance is up, as in AWS
        "Endpoint": endpoint if listening else None,
        "DbInstancePort": 0,
        "AllocatedStorage": 1,
        "StorageType": "aurora",
        "StorageEncrypted": owner.kms_key_id is not None,
        "KmsKeyId": owner.kms_key_id,
        "InstanceCreateTime": moment(item.created),
        "AvailabilityZone": item.zone,
        "MultiAZ": False,
        "DBSecurityGroups": [],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": id_, "Status": "active"} for id_ in owner.security_groups],
        "DBParameterGroups": [{"DBParameterGroupName": item.parameter_group, "ParameterApplyStatus": "in-sync"}],
        "DBSubnetGroup": network.subnet_group(item.account, item.region, owner.subnet_group, owner.vpc_id),
        "OptionGroupMemberships": [
            {"OptionGroupName": "default:aurora-mysql-8-0", "Status": "in-sync"},
        ],
        "PendingModifiedValues": {},
        "BackupRetentionPeriod": owner.backup_retention,
        "PreferredBackupWindow": owner.backup_window,
        "PreferredMaintenanceWindow": item.maintenance_window,
        "AutoMinorVersionUpgrade": item.auto_minor_upgrade,
        "ReadReplicaDBInstanceIdentifiers": [],
        "PubliclyAccessible": item.publicly_accessible,
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "DomainMemberships": [],
        "CopyTagsToSnapshot": False,
        "MonitoringInterval": item.monitoring_interval,
        "MonitoringRoleArn": item.monitoring_role,
        "PromotionTier": item.promotion_tier,
        "IAMDatabaseAuthenticationEnabled": owner.iam_authentication,
        "PerformanceInsightsEnabled": item.performance_insights,
        "DeletionProtection": False,
        "AssociatedRoles": [],
        "TagList": tag_list(item.tags),
        "NetworkType": "IPV4",
        "BackupTarget": "region",
        "DedicatedLogVolume": False,
    }


def progress(item: Snapshot) -> int:
    """``PercentProgress``: by the time passed, 100 only when the work is over."""
    if item.status not in {"creating", "copying"}:
        return 100
    if item.expected_s <= 0:
        return 0
    return max(0, min(99, int(100 * (time.time() - item.started) / item.expected_s)))


def snapshot_type(item: Snapshot, viewer: str) -> str:
    """``SnapshotType`` as an account sees it."""
    if viewer == item.account:
        return item.snapshot_type
    return "shared" if viewer in item.shared_with else "public"


def snapshot(item: Snapshot, *, viewer: str) -> dict[str, Any]:
    """``DBClusterSnapshot``.

    :param viewer: account that looks; another one sees the ARN as identifier, type shared (or public), and no tags.
    """
    own = viewer == item.account
    return {
        "DBClusterSnapshotIdentifier": item.identifier if own else item.arn,
        "DBClusterSnapshotArn": item.arn,
        "DBClusterIdentifier": item.cluster,
        "DbClusterResourceId": item.cluster_resource_id,
        "SnapshotType": snapshot_type(item, viewer),
        "Status": item.status,
        "PercentProgress": progress(item),
        "SnapshotCreateTime": moment(item.created),
        "ClusterCreateTime": moment(item.cluster_created),
        "Engine": item.engine,
        "EngineMode": "provisioned",
        "EngineVersion": item.engine_version,
        "LicenseModel": item.engine,
        "MasterUsername": item.master_username,
        "AvailabilityZones": item.zones,
        "VpcId": item.vpc_id,
        "Port": item.port,
        "AllocatedStorage": item.allocated_gib,
        "StorageType": "aurora",
        "StorageEncrypted": item.kms_key_id is not None,
        "KmsKeyId": item.kms_key_id,
        "SourceDBClusterSnapshotArn": item.source_arn,
        "BackupRetentionPeriod": item.backup_retention,
        "IAMDatabaseAuthenticationEnabled": item.iam_authentication,
        "TagList": tag_list(item.tags) if own else [],
    }


def attributes(item: Snapshot) -> dict[str, Any]:
    """``DBClusterSnapshotAttributesResult``."""
    return {
        "DBClusterSnapshotIdentifier": item.identifier,
        "DBClusterSnapshotAttributes": [{"AttributeName": "restore", "AttributeValues": list(item.shared_with)}],
    }


def event(item: Event) -> dict[str, Any]:
    """``Event``."""
    return {
        "SourceIdentifier": item.source,
        "SourceType": item.source_type,
        "SourceArn": item.arn,
        "Message": item.message,
        "EventCategories": item.categories,
        "Date": moment(item.time),
    }
