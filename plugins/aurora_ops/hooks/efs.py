"""Amazon EFS: file systems, mount targets, access points and replications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aurora_ops.core.errors import MissingError
from aurora_ops.core.files import is_synced
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import AwsHook, Look

SYNCED_TO = "synced_to"


@dataclass(frozen=True)
class FileSystem:
    """What matters of a file system."""

    file_system_id: str
    arn: str
    owner: str
    name: str
    status: str
    encrypted: bool
    kms_key_arn: str
    performance_mode: str
    size_bytes: int
    protection: str
    tags: dict[str, str]
    created: datetime | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> FileSystem:
        """Read a ``FileSystemDescription`` of the EFS API."""
        tags = {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags") or []}
        return cls(
            file_system_id=raw["FileSystemId"],
            arn=raw.get("FileSystemArn") or "",
            owner=raw.get("OwnerId") or "",
            name=tags.get("Name", ""),
            status=raw["LifeCycleState"],
            encrypted=bool(raw.get("Encrypted")),
            kms_key_arn=raw.get("KmsKeyId") or "",
            performance_mode=raw.get("PerformanceMode") or "",
            size_bytes=int((raw.get("SizeInBytes") or {}).get("Value") or 0),
            protection=(raw.get("FileSystemProtection") or {}).get("ReplicationOverwriteProtection") or "",
            tags=tags,
            created=raw.get("CreationTime"),
        )


@dataclass(frozen=True)
class MountTarget:
    """What matters of a mount target."""

    mount_target_id: str
    subnet_id: str
    vpc_id: str
    zone: str
    status: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> MountTarget:
        """Read a ``MountTargetDescription``."""
        return cls(
            mount_target_id=raw["MountTargetId"],
            subnet_id=raw["SubnetId"],
            vpc_id=raw.get("VpcId") or "",
            zone=raw.get("AvailabilityZoneName") or "",
            status=raw["LifeCycleState"],
        )


@dataclass(frozen=True)
class AccessPoint:
    """What matters of an access point."""

    access_point_id: str
    arn: str
    file_system_id: str
    client_token: str
    status: str
    path: str
    tags: dict[str, str]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> AccessPoint:
        """Read an ``AccessPointDescription``."""
        return cls(
            access_point_id=raw["AccessPointId"],
            arn=raw.get("AccessPointArn") or "",
            file_system_id=raw["FileSystemId"],
            client_token=raw.get("ClientToken") or "",
            status=raw["LifeCycleState"],
            path=(raw.get("RootDirectory") or {}).get("Path") or "/",
            tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags") or []},
        )


@dataclass(frozen=True)
class Replication:
    """A replication: where from, where to, how it is, and up to which moment the destination has everything."""

    source_id: str
    destination_id: str
    destination_account: str
    status: str
    synced_to: datetime | None
    message: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Replication:
        """Read a ``ReplicationConfigurationDescription``; there is always one destination."""
        to = raw["Destinations"][0]
        return cls(
            source_id=raw["SourceFileSystemId"],
            destination_id=to["FileSystemId"],
            destination_account=to.get("OwnerId") or "",
            status=to["Status"],
            synced_to=to.get("LastReplicatedTimestamp"),
            message=to.get("StatusMessage") or "",
        )


class EfsHook(AwsHook):
    """File systems of one account and region."""

    service = "efs"

    def look(self, until: Wait) -> Look:
        """Look once; a replication may have to be synchronised to a moment besides (``parameters["synced_to"]``).

        :raises WaitFailedError: a terminal state other than the goal was reached.
        :raises PermanentError: AWS refused the call for another reason.
        """
        moment = until.parameters.get(SYNCED_TO)
        if moment is None:
            return super().look(until)
        seen = super().look(Wait(until.waiter, until.args, show=until.show))
        if seen is Look.PENDING:
            return seen
        found = self.find_replication(until.args["FileSystemId"])
        reached = found is not None and is_synced(found.synced_to, datetime.fromisoformat(moment))
        return Look.REACHED if reached else Look.PENDING

    # file systems

    def find_file_system(self, file_system_id: str) -> FileSystem | None:
        """Look a file system up by id (``DescribeFileSystems``)."""
        try:
            found = self.call("describe_file_systems", FileSystemId=file_system_id)["FileSystems"]
        except MissingError:
            return None
        return FileSystem.of(found[0]) if found else None

    def require_file_system(self, file_system_id: str) -> FileSystem:
        """Look a file system up that must exist.

        :raises MissingError: there is none in the account and region.
        """
        found = self.find_file_system(file_system_id)
        if found is None:
            raise MissingError(f"no file system {file_system_id} behind {self.aws_conn_id} in {self.region_name}")
        return found

    def find_file_system_by_token(self, creation_token: str) -> FileSystem | None:
        """Look a file system up by the token that it was created with."""
        found = self.call("describe_file_systems", CreationToken=creation_token)["FileSystems"]
        return FileSystem.of(found[0]) if found else None

    def list_file_systems(self) -> list[FileSystem]:
        """List the file systems of the account in the region, all pages."""
        return [FileSystem.of(raw) for raw in self.pages("describe_file_systems", "FileSystems")]

    def create_file_system(self, creation_token: str, tags: Mapping[str, str], **arguments: Any) -> FileSystem:
        """Ask for a file system (``CreateFileSystem``); a token makes one only."""
        return FileSystem.of(
            self.call("create_file_system", CreationToken=creation_token, Tags=as_tag_list(tags), **arguments)
        )

    def delete_file_system(self, file_system_id: str) -> None:
        """Delete a file system without mount targets (``DeleteFileSystem``)."""
        self.call("delete_file_system", FileSystemId=file_system_id)

    def set_tags(self, resource_id: str, tags: Mapping[str, str]) -> None:
        """Add tags or replace their values (``TagResource``)."""
        self.call("tag_resource", ResourceId=resource_id, Tags=as_tag_list(tags))

    def remove_tags(self, resource_id: str, keys: list[str]) -> None:
        """Take tags away (``UntagResource``)."""
        self.call("untag_resource", ResourceId=resource_id, TagKeys=keys)

    def find_lifecycle(self, file_system_id: str) -> list[dict[str, str]]:
        """Read the lifecycle policies (``DescribeLifecycleConfiguration``)."""
        found = self.call("describe_lifecycle_configuration", FileSystemId=file_system_id)
        return list(found.get("LifecyclePolicies") or [])

    def set_lifecycle(self, file_system_id: str, policies: list[dict[str, str]]) -> None:
        """Replace the lifecycle policies (``PutLifecycleConfiguration``)."""
        self.call("put_lifecycle_configuration", FileSystemId=file_system_id, LifecyclePolicies=policies)

    def find_policy(self, file_system_id: str) -> str | None:
        """Read the file system's policy (``DescribeFileSystemPolicy``); ``None`` is AWS's default, which lets clients in."""
        try:
            return str(self.call("describe_file_system_policy", FileSystemId=file_system_id)["Policy"])
        except MissingError:
            return None

    def set_policy(self, file_system_id: str, policy: str) -> None:
        """Replace the file system's policy (``PutFileSystemPolicy``)."""
        self.call("put_file_system_policy", FileSystemId=file_system_id, Policy=policy)

    def allow_overwriting(self, file_system_id: str) -> None:
        """Take the replication overwrite protection off (``UpdateFileSystemProtection``)."""
        self.call(
            "update_file_system_protection", FileSystemId=file_system_id, ReplicationOverwriteProtection="DISABLED"
        )

    # mount targets

    def list_mount_targets(self, file_system_id: str) -> list[MountTarget]:
        """List the mount targets of a file system, all pages."""
        found = self.pages("describe_mount_targets", "MountTargets", FileSystemId=file_system_id)
        return [MountTarget.of(raw) for raw in found]

    def list_security_groups(self, mount_target_id: str) -> list[str]:
        """List the security groups of a mount target."""
        found = self.call("describe_mount_target_security_groups", MountTargetId=mount_target_id)
        return list(found["SecurityGroups"])

    def create_mount_target(self, file_system_id: str, subnet_id: str, security_groups: list[str] | None) -> None:
        """Ask for a mount target (``CreateMountTarget``); a zone has one."""
        self.call(
            "create_mount_target",
            FileSystemId=file_system_id,
            SubnetId=subnet_id,
            SecurityGroups=security_groups or None,
        )

    def delete_mount_target(self, mount_target_id: str) -> None:
        """Delete a mount target (``DeleteMountTarget``): clients that use it are cut off."""
        self.call("delete_mount_target", MountTargetId=mount_target_id)

    # access points

    def list_access_points(self, file_system_id: str | None = None) -> list[AccessPoint]:
        """List the access points of a file system, or of the account in the region, all pages."""
        found = self.pages("describe_access_points", "AccessPoints", FileSystemId=file_system_id)
        return [AccessPoint.of(raw) for raw in found]

    def create_access_point(
        self,
        file_system_id: str,
        client_token: str,
        *,
        user: Mapping[str, int],
        root: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> AccessPoint:
        """Ask for an access point (``CreateAccessPoint``); a client token makes one only.

        :param user: ``Uid`` and ``Gid`` that whoever comes through it is.
        :param root: ``RootDirectory``.
        """
        return AccessPoint.of(
            self.call(
                "create_access_point",
                FileSystemId=file_system_id,
                ClientToken=client_token,
                PosixUser=dict(user),
                RootDirectory=dict(root),
                Tags=as_tag_list(tags),
            )
        )

    def delete_access_point(self, access_point_id: str) -> None:
        """Delete an access point (``DeleteAccessPoint``); what is already gone is fine."""
        try:
            self.call("delete_access_point", AccessPointId=access_point_id)
        except MissingError:
            return

    # replications

    def find_replication(self, file_system_id: str) -> Replication | None:
        """Look up the replication that a file system is source or destination of."""
        try:
            found = self.call("describe_replication_configurations", FileSystemId=file_system_id)["Replications"]
        except MissingError:
            return None
        return Replication.of(found[0]) if found else None

    def create_replication(self, source_id: str, destination_arn: str, region: str, role_arn: str | None) -> None:
        """Replicate to an existing file system (``CreateReplicationConfiguration``).

        :param destination_arn: ARN: of another account, an id is not enough.
        :param role_arn: role of the source's account that EFS assumes; another account's destination needs it.
        """
        to = {"FileSystemId": destination_arn, "Region": region, **({"RoleArn": role_arn} if role_arn else {})}
        self.call("create_replication_configuration", SourceFileSystemId=source_id, Destinations=[to])

    def delete_replication(self, source_id: str) -> None:
        """End a replication (``DeleteReplicationConfiguration``): the destination can be written to afterwards."""
        self.call("delete_replication_configuration", SourceFileSystemId=source_id)


def as_tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write tags as EFS takes them; ``aws:`` tags are AWS's own and are left out."""
    return [{"Key": key, "Value": value} for key, value in tags.items() if not key.startswith("aws:")]
