"""File systems, mount targets, access points, their tags and policies.

https://docs.aws.amazon.com/efs/latest/ug/api-reference.html
"""

from __future__ import annotations

import ipaddress
import re
import time
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import ec2_backends

from localcloud import policy
from localcloud.efs import core as state
from localcloud.efs import views
from localcloud.efs.core import new_id, page, tags_of
from localcloud.efs.errors import EfsError
from localcloud.efs.model import GONE, AccessPoint, FileSystem, MountTarget

if TYPE_CHECKING:
    from localcloud.efs.core import Core
    from localcloud.efs.model import Params, Region, Tags

Answer = dict[str, Any]
MOST_SECURITY_GROUPS = 5
MOST_ACCESS_POINTS = 1000
ACCESS_POINT_PATH = re.compile(r"^/$|^(/[^/$#<>;`|&?{}^*\\]+){1,4}$")
LIFECYCLE_RULES = {"TransitionToIA", "TransitionToPrimaryStorageClass", "TransitionToArchive"}


class FileSystems:
    """Operations on file systems and what belongs to them.

    :param core: state.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    # ---- file systems --------------------------------------------------------------------------------------------------

    def create_file_system(self, here: Region, params: Params) -> Answer:
        """CreateFileSystem."""
        return views.file_system(self.core, here, self.make(here, params))

    def make(self, here: Region, params: Params) -> FileSystem:
        """Make a file system.

        :raises EfsError: FileSystemAlreadyExists for a creation token that is taken, BadRequest.
        """
        token = params["CreationToken"]
        for known in here.file_systems.values():
            if known.creation_token == token:
                raise EfsError(
                    "FileSystemAlreadyExists",
                    f"File system '{known.file_system_id}' already exists with creation token '{token}'",
                    ErrorCode="FileSystemAlreadyExists",
                    FileSystemId=known.file_system_id,
                )
        encrypted, key = bool(params.get("Encrypted")), params.get("KmsKeyId")
        if key and not encrypted:
            raise EfsError("BadRequest", "KmsKeyId is given, so Encrypted must be true.")
        throughput = params.get("ThroughputMode") or "bursting"
        if (throughput == "provisioned") != bool(params.get("ProvisionedThroughputInMibps")):
            raise EfsError("BadRequest", "ProvisionedThroughputInMibps belongs to ThroughputMode provisioned.")
        if params.get("PerformanceMode") == "maxIO" and throughput == "elastic":
            raise EfsError("BadRequest", "PerformanceMode maxIO is not supported with ThroughputMode elastic.")
        made = FileSystem(
            status="creating",
            due=self.core.soon(state.CREATE_FILE_SYSTEM),
            turns_to=self.core.ends("available"),
            account=here.account,
            region=here.name,
            file_system_id=new_id("fs"),
            creation_token=token,
            created=time.time(),
            encrypted=encrypted,
            kms_key_id=self.core.key(here, key, "elasticfilesystem", EfsError) if encrypted else "",
            performance_mode=params.get("PerformanceMode") or "generalPurpose",
            throughput_mode=throughput,
            provisioned_mibps=params.get("ProvisionedThroughputInMibps"),
            backup=bool(params.get("Backup")),
            tags=tags_of(params.get("Tags")),
        )
        self.core.directory(made.file_system_id).mkdir(parents=True)
        here.file_systems[made.file_system_id] = made
        return made

    def describe_file_systems(self, here: Region, params: Params) -> Answer:
        """DescribeFileSystems."""
        name, token = params.get("FileSystemId"), params.get("CreationToken")
        if name and token:
            raise EfsError("BadRequest", "FileSystemId and CreationToken exclude each other.")
        found = [self.core.file_system(here, name)] if name else list(here.file_systems.values())
        if token:
            found = [one for one in found if one.creation_token == token]
        items, marker = _page(found, params.get("MaxItems"), params.get("Marker"))
        shown = [views.file_system(self.core, here, one) for one in items]
        return {"FileSystems": shown, "Marker": params.get("Marker"), "NextMarker": marker}

    def update_file_system(self, here: Region, params: Params) -> Answer:
        """UpdateFileSystem: the throughput."""
        system = self._available(here, params)
        system.throughput_mode = params.get("ThroughputMode") or system.throughput_mode
        system.provisioned_mibps = params.get("ProvisionedThroughputInMibps")
        system.turn("updating", "available", self.core.soon(state.UPDATE))
        return views.file_system(self.core, here, system)

    def update_file_system_protection(self, here: Region, params: Params) -> Answer:
        """UpdateFileSystemProtection."""
        system = self._available(here, params)
        if system.protection == "REPLICATING":
            raise EfsError("ReplicationAlreadyExists", f"{system.file_system_id} is a replication destination.")
        system.protection = params["ReplicationOverwriteProtection"]
        return {"ReplicationOverwriteProtection": system.protection}

    def delete_file_system(self, here: Region, params: Params) -> Answer:
        """DeleteFileSystem."""
        system = self.core.file_system(here, params["FileSystemId"])
        name = system.file_system_id
        if system.status == "deleting":
            return {}
        if any(target.file_system_id == name for target in here.mount_targets.values()):
            raise EfsError("FileSystemInUse", f"File system '{name}' has mount targets; delete them first.")
        if self.core.replication_of(name):
            raise EfsError("FileSystemInUse", f"File system '{name}' is part of a replication configuration.")
        if system.status == "creating":
            raise EfsError("IncorrectFileSystemLifeCycleState", f"File system '{name}' is creating.")
        system.turn("deleting", GONE, self.core.soon(state.DELETE))
        return {}

    def put_lifecycle_configuration(self, here: Region, params: Params) -> Answer:
        """PutLifecycleConfiguration."""
        system = self._available(here, params)
        policies = params["LifecyclePolicies"]
        kinds = [kind for rule in policies for kind in rule]
        if any(len(rule) != 1 for rule in policies) or len(set(kinds)) != len(kinds) or set(kinds) - LIFECYCLE_RULES:
            raise EfsError("BadRequest", "Each lifecycle policy has exactly one transition, each transition once.")
        system.lifecycle = policies
        return {"LifecyclePolicies": system.lifecycle}

    def describe_lifecycle_configuration(self, here: Region, params: Params) -> Answer:
        """DescribeLifecycleConfiguration."""
        return {"LifecyclePolicies": self.core.file_system(here, params["FileSystemId"]).lifecycle}

    def put_backup_policy(self, here: Region, params: Params) -> Answer:
        """PutBackupPolicy."""
        system = self._available(here, params)
        system.backup = params["BackupPolicy"]["Status"] == "ENABLED"
        return self.describe_backup_policy(here, params)

    def describe_backup_policy(self, here: Region, params: Params) -> Answer:
        """DescribeBackupPolicy."""
        backup = self.core.file_system(here, params["FileSystemId"]).backup
        return {"BackupPolicy": {"Status": "ENABLED" if backup else "DISABLED"}}

    def put_file_system_policy(self, here: Region, params: Params) -> Answer:
        """PutFileSystemPolicy."""
        system = self._available(here, params)
        try:
            policy.statements(params["Policy"])
        except policy.MalformedPolicyError as error:
            raise EfsError("InvalidPolicyException", str(error)) from None
        system.policy = params["Policy"]
        return {"FileSystemId": system.file_system_id, "Policy": system.policy}

    def describe_file_system_policy(self, here: Region, params: Params) -> Answer:
        """DescribeFileSystemPolicy."""
        system = self.core.file_system(here, params["FileSystemId"])
        if not system.policy:
            raise EfsError("PolicyNotFound", f"{system.file_system_id} has no policy.")
        return {"FileSystemId": system.file_system_id, "Policy": system.policy}

    def delete_file_system_policy(self, here: Region, params: Params) -> Answer:
        """DeleteFileSystemPolicy."""
        self._available(here, params).policy = ""
        return {}

    # ---- mount targets -------------------------------------------------------------------------------------------------

    def create_mount_target(self, here: Region, params: Params) -> Answer:
        """CreateMountTarget."""
        system = self._available(here, params)
        backend = ec2_backends[here.account][here.name]
        try:
            subnet = backend.get_subnet(params["SubnetId"])
        except InvalidSubnetIdError:
            raise EfsError("SubnetNotFound", f"The subnet ID '{params['SubnetId']}' does not exist") from None
        groups = {group.id: group for group in backend.describe_security_groups()}
        wanted = params.get("SecurityGroups") or [
            group.id for group in groups.values() if group.vpc_id == subnet.vpc_id and group.name == "default"
        ]
        if unknown := [group for group in wanted if group not in groups]:
            raise EfsError("SecurityGroupNotFound", f"The SecurityGroup ID '{unknown[0]}' does not exist")
        if len(wanted) > MOST_SECURITY_GROUPS:
            raise EfsError("SecurityGroupLimitExceeded", f"A mount target has {MOST_SECURITY_GROUPS} groups at most.")
        others = [one for one in here.mount_targets.values() if one.file_system_id == system.file_system_id]
        if any(one.vpc_id != subnet.vpc_id for one in others):
            raise EfsError("MountTargetConflict", "All mount targets of a file system are in the same VPC.")
        if any(one.zone == subnet.availability_zone for one in others):
            raise EfsError("MountTargetConflict", "mount target already exists in this AZ")
        made = MountTarget(
            status="creating",
            due=self.core.soon(state.CREATE_MOUNT_TARGET),
            turns_to=self.core.ends("available"),
            mount_target_id=new_id("fsmt"),
            file_system_id=system.file_system_id,
            account=here.account,
            subnet_id=subnet.id,
            vpc_id=subnet.vpc_id,
            zone=subnet.availability_zone,
            zone_id=subnet.availability_zone_id,
            ip_address=params.get("IpAddress") or self._address(here, subnet.cidr_block),
            network_interface_id=new_id("eni"),
            security_groups=list(wanted),
        )
        here.mount_targets[made.mount_target_id] = made
        return views.mount_target(made)

    def describe_mount_targets(self, here: Region, params: Params) -> Answer:
        """DescribeMountTargets."""
        name, target, point = (params.get(key) for key in ("FileSystemId", "MountTargetId", "AccessPointId"))
        if sum(1 for given in (name, target, point) if given) != 1:
            raise EfsError("BadRequest", "Give exactly one of FileSystemId, MountTargetId and AccessPointId.")
        if target:
            found = [self._mount_target(here, target)]
        else:
            system_id = self._access_point(here, point).file_system_id if point else ""
            system = self.core.file_system(here, name or system_id)
            found = [one for one in here.mount_targets.values() if one.file_system_id == system.file_system_id]
        items, marker = _page(found, params.get("MaxItems"), params.get("Marker"))
        return {"MountTargets": [views.mount_target(one) for one in items], "NextMarker": marker}

    def delete_mount_target(self, here: Region, params: Params) -> Answer:
        """DeleteMountTarget."""
        target = self._mount_target(here, params["MountTargetId"])
        if target.status != "deleting":
            target.turn("deleting", GONE, self.core.soon(state.DELETE))
        return {}

    def describe_mount_target_security_groups(self, here: Region, params: Params) -> Answer:
        """DescribeMountTargetSecurityGroups."""
        return {"SecurityGroups": self._mount_target(here, params["MountTargetId"]).security_groups}

    # ---- access points -------------------------------------------------------------------------------------------------

    def create_access_point(self, here: Region, params: Params) -> Answer:
        """CreateAccessPoint."""
        system = self._available(here, params)
        for known in here.access_points.values():
            if known.client_token == params["ClientToken"]:
                raise EfsError(
                    "AccessPointAlreadyExists",
                    f"Access point '{known.access_point_id}' already exists with this client token",
                    ErrorCode="AccessPointAlreadyExists",
                    AccessPointId=known.access_point_id,
                )
        root = params.get("RootDirectory") or {"Path": "/"}
        if not ACCESS_POINT_PATH.match(root.get("Path") or "/"):
            raise EfsError("BadRequest", f"RootDirectory.Path {root.get('Path')!r}: four directories at most.")
        count = sum(one.file_system_id == system.file_system_id for one in here.access_points.values())
        if count >= MOST_ACCESS_POINTS:
            raise EfsError("AccessPointLimitExceeded", f"{system.file_system_id} has {count} access points.")
        made = AccessPoint(
            status="creating",
            due=self.core.soon(state.CREATE_ACCESS_POINT),
            turns_to=self.core.ends("available"),
            account=here.account,
            region=here.name,
            access_point_id=new_id("fsap"),
            file_system_id=system.file_system_id,
            client_token=params["ClientToken"],
            posix_user=params.get("PosixUser") or {},
            root=root,
            tags=tags_of(params.get("Tags")),
        )
        here.access_points[made.access_point_id] = made
        return views.access_point(made)

    def describe_access_points(self, here: Region, params: Params) -> Answer:
        """DescribeAccessPoints."""
        name, point = params.get("FileSystemId"), params.get("AccessPointId")
        if name and point:
            raise EfsError("BadRequest", "FileSystemId and AccessPointId exclude each other.")
        found = [self._access_point(here, point)] if point else list(here.access_points.values())
        if name:
            system = self.core.file_system(here, name)
            found = [one for one in found if one.file_system_id == system.file_system_id]
        items, token = _page(found, params.get("MaxResults"), params.get("NextToken"))
        return {"AccessPoints": [views.access_point(one) for one in items], "NextToken": token}

    def delete_access_point(self, here: Region, params: Params) -> Answer:
        """DeleteAccessPoint."""
        point = self._access_point(here, params["AccessPointId"])
        if point.status != "deleting":
            point.turn("deleting", GONE, self.core.soon(state.DELETE))
        return {}

    # ---- tags ----------------------------------------------------------------------------------------------------------

    def list_tags_for_resource(self, here: Region, params: Params) -> Answer:
        """ListTagsForResource."""
        tags = state.tag_list(self._tags(here, params["ResourceId"]))
        items, token = _page(tags, params.get("MaxResults"), params.get("NextToken"))
        return {"Tags": items, "NextToken": token}

    def tag_resource(self, here: Region, params: Params) -> Answer:
        """TagResource."""
        self._tags(here, params["ResourceId"]).update(tags_of(params["Tags"]))
        return {}

    def untag_resource(self, here: Region, params: Params) -> Answer:
        """UntagResource."""
        tags = self._tags(here, params["ResourceId"])
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    # ---- inside --------------------------------------------------------------------------------------------------------

    def _available(self, here: Region, params: Params) -> FileSystem:
        system = self.core.file_system(here, params["FileSystemId"])
        if system.status not in ("available", "updating"):
            raise EfsError(
                "IncorrectFileSystemLifeCycleState", f"File system '{system.file_system_id}' is {system.status}."
            )
        return system

    def _mount_target(self, here: Region, name: str) -> MountTarget:
        if name not in here.mount_targets:
            raise EfsError("MountTargetNotFound", f"Mount target '{name}' does not exist.")
        return here.mount_targets[name]

    def _access_point(self, here: Region, name: str) -> AccessPoint:
        key = name.rpartition("/")[2]
        if key not in here.access_points:
            raise EfsError("AccessPointNotFound", f"Access Point {name} does not exist.")
        return here.access_points[key]

    def _tags(self, here: Region, name: str) -> Tags:
        if "fsap-" in name:
            return self._access_point(here, name).tags
        return self.core.file_system(here, name).tags

    @staticmethod
    def _address(here: Region, cidr: str) -> str:
        taken = {one.ip_address for one in here.mount_targets.values()}
        hosts = list(ipaddress.ip_network(cidr).hosts())[3:]  # AWS keeps the first ones
        return next(str(host) for host in hosts if str(host) not in taken)


def _page(items: list[Any], most: int | None, marker: str | None) -> tuple[list[Any], str | None]:
    try:
        return page(items, most, marker)
    except ValueError:
        raise EfsError("BadRequest", f"{marker!r} is no marker of a page.") from None
