"""State of EFS and AWS Backup in all accounts, and what time does to it."""

from __future__ import annotations

import base64
import shutil
import time
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from localcloud import policy
from localcloud.cloud import Caller, KeyNotAccessible
from localcloud.efs import files
from localcloud.efs.errors import BackupError, EfsError, no_file_system
from localcloud.efs.model import GONE, Region, Replication
from localcloud.iam.access import attached
from localcloud.policy import Decision

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.cloud import Cloud
    from localcloud.efs.model import FileSystem, Job, RecoveryPoint

Item = TypeVar("Item")

# Multiples of LOCALCLOUD_WAIT_S. AWS takes seconds to hours; only the order matters here.
CREATE_FILE_SYSTEM = 1.0
CREATE_MOUNT_TARGET = 1.5
CREATE_ACCESS_POINT = 0.5
DELETE = 0.5
UPDATE = 0.3
ENABLE_REPLICATION = 1.5
SYNC = 1.0
BACKUP = 1.0
COPY = 1.5
RESTORE = 1.5


class Core:
    """State of all accounts and regions. Whoever looks holds ``lock`` and calls :meth:`settle` first.

    :param cloud: keys, settings, identities.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.lock = cloud.lock("efs")
        self.regions: dict[tuple[str, str], Region] = {}
        self.replications: dict[str, Replication] = {}

    # ---- places --------------------------------------------------------------------------------------------------------

    def region(self, account: str, name: str) -> Region:
        """State of one account in one region, made on first use."""
        with self.lock:
            return self.regions.setdefault((account, name), Region(account, name))

    def directory(self, file_system_id: str) -> Path:
        """Directory with the files of a file system."""
        return self.cloud.config.home / "efs" / file_system_id

    def point_directory(self, point_id: str) -> Path:
        """Directory with the files of a recovery point."""
        return self.cloud.config.home / "backup" / point_id

    def soon(self, factor: float) -> float:
        """Time at which an operation that begins now is over; ``factor`` is in units of ``LOCALCLOUD_WAIT_S``."""
        return time.time() + factor * self.cloud.config.wait_s

    def ends(self, status: str) -> str:
        """Status that an operation which begins now ends in: ``status``, unless a fault rule says otherwise."""
        return self.cloud.ends_in or status

    # ---- state over a restart ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the state; the caller holds the lock."""
        return {"regions": self.regions, "replications": self.replications}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`dump` gave."""
        self.regions.update(state["regions"])
        self.replications.update(state["replications"])

    # ---- look-ups ------------------------------------------------------------------------------------------------------

    def file_system(self, region: Region, name: str) -> FileSystem:
        """File system of an account by id or ARN.

        :raises EfsError: FileSystemNotFound, also for an ARN of another account.
        """
        key = (name or "").rpartition("/")[2]
        found = region.file_systems.get(key)
        if found is None or (":" in name and found.arn != name):
            raise no_file_system(name)
        return found

    def anywhere(self, file_system_id: str) -> FileSystem:
        """File system of any account.

        :raises EfsError: FileSystemNotFound.
        """
        for region in self.regions.values():
            if file_system_id in region.file_systems:
                return region.file_systems[file_system_id]
        raise no_file_system(file_system_id)

    def replication_of(self, file_system_id: str) -> Replication | None:
        """Replication that a file system is the source or the destination of."""
        return next(
            (one for one in self.replications.values() if file_system_id in (one.source_id, one.destination_id)), None
        )

    def key(self, region: Region, name: str | None, service: str, refuse: type[EfsError] | type[BackupError]) -> str:
        """ARN of a key that shall encrypt something.

        :param name: id, ARN or alias; None is the AWS managed key of the service.
        :raises EfsError: of the kind ``refuse``: unknown, disabled or not accessible.
        """
        try:
            if not name:
                return self.cloud.kms.default_key(region.account, region.name, service).arn
            info = self.cloud.kms.resolve(region.account, region.name, name)
        except KeyNotAccessible:
            info = None
        if info is None or not info.enabled:
            code = "BadRequest" if refuse is EfsError else "InvalidParameterValueException"
            raise refuse(code, f"The KMS key {name} does not exist, is disabled or cannot be used by this account.")
        return info.arn

    def allows(self, document: str, action: str, account: str) -> bool:
        """Whether a resource policy allows an action to another account."""
        return bool(document) and policy.allows(document, policy.Request(action, account))

    def role_allows(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the policies of a role allow an action on a resource."""
        account = role_arn.split(":")[4]
        documents = attached(Caller(account, role_arn, role_arn))
        request = policy.Request(action, account, role_arn, resource=resource)
        return all(policy.decide(together, request) is Decision.ALLOWED for together in documents)

    # ---- time ----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        now = time.time()
        with self.lock:
            for region in list(self.regions.values()):
                self._settle_region(region, now)
            for key, replication in list(self.replications.items()):
                if replication.settle(now) and replication.status == GONE:
                    del self.replications[key]
                    self._free(replication)
                elif replication.status == "ENABLED" and now >= replication.next_sync:
                    self.sync(replication)

    def sync(self, replication: Replication) -> None:
        """Make the destination of a replication equal to its source."""
        began = time.time()
        files.mirror(self.directory(replication.source_id), self.directory(replication.destination_id))
        replication.synced = began
        replication.next_sync = self.soon(SYNC)

    def _settle_region(self, region: Region, now: float) -> None:
        for name, system in list(region.file_systems.items()):
            if system.settle(now) and system.status == GONE:
                del region.file_systems[name]
                region.access_points = {
                    key: point for key, point in region.access_points.items() if point.file_system_id != name
                }
                shutil.rmtree(self.directory(name), ignore_errors=True)
        for table in (region.mount_targets, region.access_points):
            for key, item in list(table.items()):
                if item.settle(now) and item.status == GONE:
                    del table[key]
        for job in list(region.jobs.values()):
            if job.settle(now):
                job.completed = job.due
                self._finish(job)

    def _free(self, replication: Replication) -> None:
        place = self.regions.get((replication.destination_account, replication.destination_region))
        destination = place.file_systems.get(replication.destination_id) if place else None
        if destination is not None:
            destination.protection = "ENABLED"

    def _finish(self, job: Job) -> None:
        """Do what a job is for, when it is over; twice does no harm."""
        if job.kind == "restore":
            if job.status == "COMPLETED":
                source = self.point_directory(job.point_id)
                target = self.directory(job.makes.rpartition("/")[2])
                if target.is_dir():
                    files.copy(source, target / job.folder, job.given.get("items"))
            return
        point = self.region(*job.makes_in).points.get(job.makes)
        if point is None:
            return
        if job.status in ("COMPLETED", "PARTIAL"):
            point.status, point.completed = job.status, job.due
            if job.kind == "copy":
                files.copy(self.point_directory(job.point_id), self.point_directory(job.makes))
        else:
            self.drop(point)

    def drop(self, point: RecoveryPoint) -> None:
        """Remove a recovery point and its files."""
        del self.region(point.account, point.region).points[point.point_id]
        shutil.rmtree(self.point_directory(point.point_id), ignore_errors=True)


def restore_folder(now: float) -> str:
    """Name of the directory that AWS Backup restores into."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"aws-backup-restore_{moment:%Y-%m-%dT%H-%M-%S}-{moment.microsecond // 1000:03d}Z"


def new_id(prefix: str) -> str:
    """Id of EFS, such as ``fs-`` and 17 hexadecimal digits."""
    return f"{prefix}-{token_hex(9)[:17]}"


def new_uuid() -> str:
    """Id of AWS Backup."""
    return str(uuid4()).upper()


def page(items: list[Item], most: int | None, marker: str | None, default: int = 100) -> tuple[list[Item], str | None]:
    """Cut a page out of a list.

    :param most: items of the page that were asked for.
    :param marker: as the page before gave it.
    :return: items and the marker of the next page, None at the end.
    :raises ValueError: the marker is none.
    """
    start = int(base64.urlsafe_b64decode(marker.encode()).decode().removeprefix("at ")) if marker else 0
    end = start + min(most or default, default)
    following = base64.urlsafe_b64encode(f"at {end}".encode()).decode() if end < len(items) else None
    return items[start:end], following


def tags_of(given: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags from a list of Key and Value."""
    return {tag["Key"]: tag.get("Value", "") for tag in given or []}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as a list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
