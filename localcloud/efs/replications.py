"""Replication of file systems, also between accounts.

https://docs.aws.amazon.com/efs/latest/ug/cross-account-replication.html
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from localcloud.accounts import role_trusts_service
from localcloud.efs import core as state
from localcloud.efs import views
from localcloud.efs.core import new_uuid, page
from localcloud.efs.errors import EfsError, no_file_system
from localcloud.efs.model import GONE, FileSystem, Replication

if TYPE_CHECKING:
    from localcloud.efs.core import Core
    from localcloud.efs.file_systems import FileSystems
    from localcloud.efs.model import Params, Region

FILE_SYSTEM_ARN = re.compile(r"arn:aws:elasticfilesystem:([^:]+):(\d{12}):file-system/(.+)")
WRITE, READ = "elasticfilesystem:ReplicationWrite", "elasticfilesystem:ReplicationRead"
CREATE = "elasticfilesystem:CreateReplicationConfiguration"
DELETE = "elasticfilesystem:DeleteReplicationConfiguration"


class Replications:
    """Operations on replication configurations.

    :param core: state.
    :param systems: makes the destination where none is given.
    """

    def __init__(self, core: Core, systems: FileSystems) -> None:
        self.core = core
        self.systems = systems

    def create_replication_configuration(self, here: Region, params: Params) -> dict[str, Any]:
        """CreateReplicationConfiguration."""
        wanted = params["Destinations"]
        if len(wanted) != 1:
            raise EfsError("ValidationException", "A replication has exactly one destination.")
        source = self.core.file_system(here, params["SourceFileSystemId"])
        self._ready(source)
        destination = (
            self._existing(source, wanted[0]) if wanted[0].get("FileSystemId") else self._new(source, wanted[0])
        )
        destination.protection = "REPLICATING"
        made = Replication(
            status="ENABLING",
            due=max(self.core.soon(state.ENABLE_REPLICATION), destination.due),
            turns_to=self.core.ends("ENABLED"),
            source_id=source.file_system_id,
            source_account=source.account,
            source_region=source.region,
            destination_id=destination.file_system_id,
            destination_account=destination.account,
            destination_region=destination.region,
            role_arn=wanted[0].get("RoleArn") or "",
            created=time.time(),
        )
        self.core.replications[source.file_system_id] = made
        return views.replication(made)

    def describe_replication_configurations(self, here: Region, params: Params) -> dict[str, Any]:
        """DescribeReplicationConfigurations: seen from both sides."""
        name = params.get("FileSystemId")
        found = [
            one
            for one in self.core.replications.values()
            if (here.account, here.name)
            in ((one.source_account, one.source_region), (one.destination_account, one.destination_region))
        ]
        if name:
            key = self.core.file_system(here, name).file_system_id
            found = [one for one in found if key in (one.source_id, one.destination_id)]
            if not found:
                raise EfsError("ReplicationNotFound", f"{key} has no replication configuration.")
        try:
            items, token = page(found, params.get("MaxResults"), params.get("NextToken"))
        except ValueError:
            raise EfsError("BadRequest", "NextToken is none.") from None
        return {"Replications": [views.replication(one) for one in items], "NextToken": token}

    def delete_replication_configuration(self, here: Region, params: Params) -> dict[str, Any]:
        """DeleteReplicationConfiguration, from either account where the other's policy lets it."""
        if params.get("DeletionMode") == "LOCAL_CONFIGURATION_ONLY":
            raise NotImplementedError("DeletionMode LOCAL_CONFIGURATION_ONLY is not implemented by localcloud")
        name = params["SourceFileSystemId"].rpartition("/")[2]
        found = self.core.replications.get(name)
        mine = (here.account, here.name)
        if found is None or mine not in (
            (found.source_account, found.source_region),
            (found.destination_account, found.destination_region),
        ):
            if name not in here.file_systems:
                raise no_file_system(name)
            raise EfsError("ReplicationNotFound", f"{name} has no replication configuration.")
        other = found.destination_id if here.account == found.source_account else found.source_id
        system = self.core.anywhere(other)
        if system.account != here.account and not self.core.allows(system.policy, DELETE, here.account):
            raise EfsError("BadRequest", f"The policy of {other} does not allow {DELETE} to account {here.account}.")
        if found.status != "DELETING":
            found.turn("DELETING", GONE, self.core.soon(state.DELETE))
        return {}

    def _ready(self, system: FileSystem) -> None:
        if system.status not in ("available", "updating"):
            raise EfsError(
                "IncorrectFileSystemLifeCycleState", f"File system '{system.file_system_id}' is {system.status}."
            )
        if self.core.replication_of(system.file_system_id):
            raise EfsError("ValidationException", f"{system.file_system_id} is already part of a replication.")

    def _new(self, source: FileSystem, wanted: Params) -> FileSystem:
        region = self.core.region(source.account, wanted.get("Region") or source.region)
        return self.systems.make(
            region,
            {
                "CreationToken": f"destination-fs-{new_uuid().lower()}",
                "Encrypted": True,
                "KmsKeyId": wanted.get("KmsKeyId"),
                "PerformanceMode": source.performance_mode,
                "ThroughputMode": source.throughput_mode,
                "ProvisionedThroughputInMibps": source.provisioned_mibps,
            },
        )

    def _existing(self, source: FileSystem, wanted: Params) -> FileSystem:
        name = wanted["FileSystemId"]
        match = FILE_SYSTEM_ARN.fullmatch(name)
        region = wanted.get("Region") or source.region
        account, key = source.account, name
        if match:
            region, account, key = match.groups()
        found = self.core.region(account, region).file_systems.get(key)
        if found is None:
            raise no_file_system(name)
        if account != source.account:
            self._cross_account(source, found, wanted.get("RoleArn") or "")
        self._ready(found)
        if found.protection != "DISABLED":
            raise EfsError("ValidationException", f"The replication overwrite protection of {key} must be disabled.")
        if source.encrypted and not found.encrypted:
            raise EfsError("ConflictException", f"{source.file_system_id} is encrypted, {key} is not.")
        return found

    def _cross_account(self, source: FileSystem, destination: FileSystem, role: str) -> None:
        """Check what a replication to another account needs: a role, what it may do, and the destination's policy."""
        if not role:
            raise EfsError("ValidationException", "RoleArn is required for replication to another account.")
        if role.split(":")[4:5] != [source.account] or not role_trusts_service(role, "elasticfilesystem.amazonaws.com"):
            raise EfsError("ValidationException", f"{role} is no role of {source.account} that EFS may assume.")
        for action, system in ((READ, source), (WRITE, destination)):
            if not self.core.role_allows(role, action, system.arn):
                raise EfsError("BadRequest", f"{role} is not allowed {action} on {system.arn}.")
        for action in (CREATE, WRITE):
            if not self.core.allows(destination.policy, action, source.account):
                message = f"The policy of {destination.arn} does not allow {action} to account {source.account}."
                raise EfsError("BadRequest", message)
