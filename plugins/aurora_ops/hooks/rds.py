"""Amazon RDS: Aurora clusters, instances, and cluster snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import AwsHook

DEFAULT_KEY_ALIAS = "alias/aws/rds"


def _tags(raw: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("TagList") or []}


def as_tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Write tags as AWS takes them; ``aws:`` tags are AWS's own and are left out."""
    return [{"Key": key, "Value": value} for key, value in tags.items() if not key.startswith("aws:")]


@dataclass(frozen=True)
class Cluster:
    """What matters of a DB cluster."""

    cluster_id: str
    arn: str
    resource_id: str
    status: str
    endpoint: str
    reader_endpoint: str
    port: int
    engine_version: str
    master_username: str
    master_secret_arn: str
    master_secret_status: str
    kms_key_arn: str
    deletion_protection: bool
    parameter_group: str
    security_groups: list[str]
    members: list[dict[str, Any]]
    roles: dict[str, str]
    tags: dict[str, str]
    created: datetime | None = None
    clone_group: str = ""
    is_clone_from_abroad: bool = False
    restorable_from: datetime | None = None
    restorable_until: datetime | None = None
    engine_mode: str = ""

    @property
    def instance_ids(self) -> list[str]:
        """Identifiers of its instances, the writer first."""
        ordered = sorted(
            self.members, key=lambda member: (not member["IsClusterWriter"], member.get("PromotionTier", 1))
        )
        return [member["DBInstanceIdentifier"] for member in ordered]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Cluster:
        """Read a ``DBCluster`` of the RDS API."""
        secret = raw.get("MasterUserSecret") or {}
        return cls(
            cluster_id=raw["DBClusterIdentifier"],
            arn=raw["DBClusterArn"],
            resource_id=raw["DbClusterResourceId"],
            status=raw["Status"],
            endpoint=raw.get("Endpoint") or "",
            reader_endpoint=raw.get("ReaderEndpoint") or "",
            port=raw.get("Port") or 3306,
            engine_version=raw.get("EngineVersion") or "",
            master_username=raw.get("MasterUsername") or "",
            master_secret_arn=secret.get("SecretArn") or "",
            master_secret_status=secret.get("SecretStatus") or "",
            kms_key_arn=raw.get("KmsKeyId") or "",
            deletion_protection=bool(raw.get("DeletionProtection")),
            parameter_group=raw.get("DBClusterParameterGroup") or "",
            security_groups=[group["VpcSecurityGroupId"] for group in raw.get("VpcSecurityGroups") or []],
            members=list(raw.get("DBClusterMembers") or []),
            roles={role["RoleArn"]: role.get("Status", "") for role in raw.get("AssociatedRoles") or []},
            tags=_tags(raw),
            created=raw.get("ClusterCreateTime"),
            clone_group=raw.get("CloneGroupId") or "",
            is_clone_from_abroad=bool(raw.get("CrossAccountClone")),
            restorable_from=raw.get("EarliestRestorableTime"),
            restorable_until=raw.get("LatestRestorableTime"),
            engine_mode=raw.get("EngineMode") or "",
        )


@dataclass(frozen=True)
class Instance:
    """What matters of a DB instance."""

    instance_id: str
    arn: str
    cluster_id: str
    status: str
    tags: dict[str, str]
    created: datetime | None

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Instance:
        """Read a ``DBInstance`` of the RDS API."""
        return cls(
            instance_id=raw["DBInstanceIdentifier"],
            arn=raw.get("DBInstanceArn") or "",
            cluster_id=raw.get("DBClusterIdentifier") or "",
            status=raw.get("DBInstanceStatus") or "",
            tags=_tags(raw),
            created=raw.get("InstanceCreateTime"),
        )


@dataclass(frozen=True)
class Snapshot:
    """What matters of a DB cluster snapshot."""

    snapshot_id: str
    arn: str
    cluster_id: str
    status: str
    type: str
    created: datetime | None
    encrypted: bool
    kms_key_arn: str
    engine_version: str
    size_gib: int
    tags: dict[str, str]
    engine: str = ""
    source_arn: str = ""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Snapshot:
        """Read a ``DBClusterSnapshot`` of the RDS API."""
        return cls(
            snapshot_id=raw["DBClusterSnapshotIdentifier"],
            arn=raw["DBClusterSnapshotArn"],
            cluster_id=raw.get("DBClusterIdentifier") or "",
            status=raw["Status"],
            type=raw.get("SnapshotType") or "",
            created=raw.get("SnapshotCreateTime"),
            encrypted=bool(raw.get("StorageEncrypted")),
            kms_key_arn=raw.get("KmsKeyId") or "",
            engine_version=raw.get("EngineVersion") or "",
            size_gib=raw.get("AllocatedStorage") or 0,
            tags=_tags(raw),
            engine=raw.get("Engine") or "",
            source_arn=raw.get("SourceDBClusterSnapshotArn") or "",
        )


class RdsHook(AwsHook):
    """Aurora clusters, instances and cluster snapshots of one account and region."""

    service = "rds"

    def find_cluster(self, cluster_id: str) -> Cluster | None:
        """Look a cluster up by identifier (``DescribeDBClusters``)."""
        try:
            found = self.call("describe_db_clusters", DBClusterIdentifier=cluster_id)["DBClusters"]
        except MissingError:
            return None
        return Cluster.of(found[0]) if found else None

    def require_cluster(self, cluster_id: str) -> Cluster:
        """Look a cluster up that must exist.

        :raises MissingError: there is none of this name in the account and region.
        """
        found = self.find_cluster(cluster_id)
        if found is None:
            raise MissingError(f"no cluster {cluster_id} behind {self.aws_conn_id} in {self.region_name}")
        return found

    def find_cluster_by_resource_id(self, resource_id: str) -> Cluster | None:
        """Look a cluster up by what a rename does not change (filter ``db-cluster-resource-id``)."""
        filters = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
        found = self.pages("describe_db_clusters", "DBClusters", Filters=filters)
        return Cluster.of(found[0]) if found else None

    def find_instance(self, instance_id: str) -> dict[str, Any] | None:
        """Look an instance up (``DescribeDBInstances``); the raw ``DBInstance``."""
        try:
            found = self.call("describe_db_instances", DBInstanceIdentifier=instance_id)["DBInstances"]
        except MissingError:
            return None
        return dict(found[0]) if found else None

    def list_instances(self, cluster_id: str) -> list[dict[str, Any]]:
        """List the instances of a cluster, whatever their status."""
        filters = [{"Name": "db-cluster-id", "Values": [cluster_id]}]
        return self.pages("describe_db_instances", "DBInstances", Filters=filters)

    def find_snapshot(self, snapshot_id: str) -> Snapshot | None:
        """Look a cluster snapshot up by identifier, or by ARN where another account has shared it."""
        shared = snapshot_id.startswith("arn:") or None
        try:
            found = self.call(
                "describe_db_cluster_snapshots", DBClusterSnapshotIdentifier=snapshot_id, IncludeShared=shared
            )["DBClusterSnapshots"]
        except MissingError:
            return None
        return Snapshot.of(found[0]) if found else None

    def list_snapshots(self, cluster_id: str) -> list[Snapshot]:
        """List the automated and manual snapshots of a cluster, all pages."""
        found = self.pages("describe_db_cluster_snapshots", "DBClusterSnapshots", DBClusterIdentifier=cluster_id)
        return [Snapshot.of(raw) for raw in found]

    def list_all_snapshots(self, cluster_id: str) -> list[Snapshot]:
        """List the automated and manual snapshots of a cluster that need not be there, or is in another region, all pages.

        AWS filters by clusters that exist; so here all are read.
        """
        found = self.pages("describe_db_cluster_snapshots", "DBClusterSnapshots")
        return [Snapshot.of(raw) for raw in found if raw.get("DBClusterIdentifier") == cluster_id]

    def list_all_clusters(self) -> list[Cluster]:
        """List the clusters of the account in the region, all pages."""
        return [Cluster.of(raw) for raw in self.pages("describe_db_clusters", "DBClusters")]

    def list_all_instances(self) -> list[Instance]:
        """List the instances of the account in the region, all pages."""
        return [Instance.of(raw) for raw in self.pages("describe_db_instances", "DBInstances")]

    def list_manual_snapshots(self) -> list[Snapshot]:
        """List the account's own manual cluster snapshots in the region, all pages."""
        found = self.pages("describe_db_cluster_snapshots", "DBClusterSnapshots", SnapshotType="manual")
        return [Snapshot.of(raw) for raw in found]

    def list_shared_snapshots(self) -> list[Snapshot]:
        """List the cluster snapshots that other accounts share with this one, all pages."""
        found = self.pages(
            "describe_db_cluster_snapshots", "DBClusterSnapshots", SnapshotType="shared", IncludeShared=True
        )
        return [Snapshot.of(raw) for raw in found]

    def find_quota(self, name: str) -> tuple[int, int] | None:
        """Look up a quota of the account in the region (``DescribeAccountAttributes``): (used, most)."""
        return self.list_quotas().get(name)

    def list_quotas(self) -> dict[str, tuple[int, int]]:
        """Read the quotas of the account in the region (``DescribeAccountAttributes``): name to (used, most)."""
        found = self.call("describe_account_attributes")["AccountQuotas"]
        return {quota["AccountQuotaName"]: (int(quota["Used"]), int(quota["Max"])) for quota in found}

    def list_shared_with(self, snapshot_id: str) -> set[str]:
        """List the accounts that a manual snapshot is shared with."""
        result = self.call("describe_db_cluster_snapshot_attributes", DBClusterSnapshotIdentifier=snapshot_id)
        attributes = result["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
        return {
            value
            for attribute in attributes
            if attribute["AttributeName"] == "restore"
            for value in attribute.get("AttributeValues", [])
        }

    def change_sharing(
        self, snapshot_id: str, *, add: list[str] | None = None, remove: list[str] | None = None
    ) -> None:
        """Share a manual snapshot with accounts, or end it (``ModifyDBClusterSnapshotAttribute``)."""
        self.call(
            "modify_db_cluster_snapshot_attribute",
            DBClusterSnapshotIdentifier=snapshot_id,
            AttributeName="restore",
            ValuesToAdd=add,
            ValuesToRemove=remove,
        )

    def create_snapshot(self, snapshot_id: str, cluster_id: str, tags: dict[str, str]) -> None:
        """Ask for a manual snapshot (``CreateDBClusterSnapshot``)."""
        self.call(
            "create_db_cluster_snapshot",
            DBClusterSnapshotIdentifier=snapshot_id,
            DBClusterIdentifier=cluster_id,
            Tags=as_tag_list(tags),
        )

    def copy_snapshot(
        self, source: str, snapshot_id: str, *, kms_key_id: str | None, source_region: str | None, tags: dict[str, str]
    ) -> None:
        """Ask for a copy under a key of this account (``CopyDBClusterSnapshot``).

        :param source: identifier in this account, or ARN.
        :param snapshot_id: identifier of the copy.
        :param kms_key_id: key of the copy; AWS demands one for a shared encrypted snapshot.
        :param source_region: region of the source where it is another one (boto3 signs the request for it).
        :param tags: tags of the copy.
        """
        self.call(
            "copy_db_cluster_snapshot",
            SourceDBClusterSnapshotIdentifier=source,
            TargetDBClusterSnapshotIdentifier=snapshot_id,
            KmsKeyId=kms_key_id,
            SourceRegion=source_region,
            Tags=as_tag_list(tags),
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a manual snapshot (``DeleteDBClusterSnapshot``)."""
        self.call("delete_db_cluster_snapshot", DBClusterSnapshotIdentifier=snapshot_id)

    def restore_cluster(self, arguments: dict[str, Any], tags: dict[str, str]) -> None:
        """Ask for a cluster from a snapshot (``RestoreDBClusterFromSnapshot``); it has no instances yet."""
        self.call("restore_db_cluster_from_snapshot", **arguments, Tags=as_tag_list(tags))

    def restore_cluster_to_point(self, arguments: dict[str, Any], tags: dict[str, str]) -> None:
        """Ask for a cluster as another one is or was (``RestoreDBClusterToPointInTime``); it has no instances yet."""
        self.call("restore_db_cluster_to_point_in_time", **arguments, Tags=as_tag_list(tags))

    def create_instance(self, arguments: dict[str, Any], tags: dict[str, str]) -> None:
        """Ask for an instance of a cluster (``CreateDBInstance``)."""
        self.call("create_db_instance", **arguments, Tags=as_tag_list(tags))

    def modify_cluster(self, cluster_id: str, **arguments: Any) -> None:
        """Change a cluster at once (``ModifyDBCluster``, ``ApplyImmediately``)."""
        self.call("modify_db_cluster", DBClusterIdentifier=cluster_id, ApplyImmediately=True, **arguments)

    def rename_instance(self, instance_id: str, new_id: str) -> None:
        """Rename an instance at once (``ModifyDBInstance``)."""
        self.call(
            "modify_db_instance",
            DBInstanceIdentifier=instance_id,
            NewDBInstanceIdentifier=new_id,
            ApplyImmediately=True,
        )

    def delete_instance(self, instance_id: str) -> None:
        """Delete an instance of a cluster (``DeleteDBInstance``); the data stays with the cluster."""
        self.call("delete_db_instance", DBInstanceIdentifier=instance_id, SkipFinalSnapshot=True)

    def delete_cluster(self, cluster_id: str, final_snapshot_id: str | None) -> None:
        """Delete a cluster without members (``DeleteDBCluster``)."""
        self.call(
            "delete_db_cluster",
            DBClusterIdentifier=cluster_id,
            SkipFinalSnapshot=final_snapshot_id is None,
            FinalDBSnapshotIdentifier=final_snapshot_id,
        )

    def start_cluster(self, cluster_id: str) -> None:
        """Start a stopped cluster (``StartDBCluster``)."""
        self.call("start_db_cluster", DBClusterIdentifier=cluster_id)

    def stop_cluster(self, cluster_id: str) -> None:
        """Stop an available cluster (``StopDBCluster``); RDS starts it again after seven days."""
        self.call("stop_db_cluster", DBClusterIdentifier=cluster_id)

    def add_role(self, cluster_id: str, role_arn: str) -> None:
        """Attach a role that the cluster may assume (``AddRoleToDBCluster``)."""
        self.call("add_role_to_db_cluster", DBClusterIdentifier=cluster_id, RoleArn=role_arn)

    def set_tags(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags or replace their values (``AddTagsToResource``)."""
        self.call("add_tags_to_resource", ResourceName=arn, Tags=as_tag_list(tags))

    def remove_tags(self, arn: str, keys: list[str]) -> None:
        """Take tags away; those that are not there are fine (``RemoveTagsFromResource``)."""
        self.call("remove_tags_from_resource", ResourceName=arn, TagKeys=keys)

    def find_subnet_group(self, name: str) -> dict[str, Any] | None:
        """Look a DB subnet group up."""
        try:
            found = self.call("describe_db_subnet_groups", DBSubnetGroupName=name)["DBSubnetGroups"]
        except MissingError:
            return None
        return dict(found[0]) if found else None

    def cluster_parameters(self, group: str) -> dict[str, str]:
        """Read what somebody has set in a cluster parameter group (``DescribeDBClusterParameters``, all pages)."""
        found = self.pages(
            "describe_db_cluster_parameters", "Parameters", DBClusterParameterGroupName=group, Source="user"
        )
        values = {str(raw["ParameterName"]): raw.get("ParameterValue") for raw in found}
        return {name: str(value) for name, value in values.items() if value is not None}

    def set_cluster_parameter(self, group: str, name: str, value: str) -> None:
        """Set a dynamic parameter of a cluster parameter group at once (``ModifyDBClusterParameterGroup``)."""
        parameter = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
        self.call("modify_db_cluster_parameter_group", DBClusterParameterGroupName=group, Parameters=[parameter])

    def find_cluster_parameter_group(self, name: str) -> dict[str, Any] | None:
        """Look a cluster parameter group up."""
        try:
            found = self.call("describe_db_cluster_parameter_groups", DBClusterParameterGroupName=name)
        except MissingError:
            return None
        groups = found["DBClusterParameterGroups"]
        return dict(groups[0]) if groups else None

    def is_orderable(self, engine_version: str, instance_class: str) -> bool:
        """Tell whether a class can be ordered here (``DescribeOrderableDBInstanceOptions``)."""
        found = self.call(
            "describe_orderable_db_instance_options",
            Engine="aurora-mysql",
            EngineVersion=engine_version or None,
            DBInstanceClass=instance_class,
        )
        return bool(found["OrderableDBInstanceOptions"])
