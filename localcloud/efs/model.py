"""What EFS and AWS Backup keep: plain values, times in epoch seconds, UTC. A status turns by itself when its time has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Tags = dict[str, str]
Params = dict[str, Any]

GONE = "gone"


@dataclass
class Turning:
    """Something whose status turns by itself.

    Nothing runs in the background: :meth:`settle` is called before anything is looked at, so that a killed server that comes
    back goes on where time has brought it.

    :param status: AWS's word for how it is.
    :param due: when it turns.
    :param turns_to: what to; empty if it stays. ``GONE`` is removed.
    """

    status: str
    due: float = 0.0
    turns_to: str = ""

    def settle(self, now: float) -> bool:
        """Turn if the time has come; whether it did."""
        if not self.turns_to or now < self.due:
            return False
        self.status, self.turns_to = self.turns_to, ""
        return True

    def turn(self, status: str, turns_to: str, due: float) -> None:
        """Begin to turn: be ``status`` now and ``turns_to`` at ``due``."""
        self.status, self.turns_to, self.due = status, turns_to, due


@dataclass
class FileSystem(Turning):
    """A file system; its files are in a directory of the same name as its id."""

    account: str = ""
    region: str = ""
    file_system_id: str = ""
    creation_token: str = ""
    created: float = 0.0
    encrypted: bool = False
    kms_key_id: str = ""
    performance_mode: str = "generalPurpose"
    throughput_mode: str = "bursting"
    provisioned_mibps: float | None = None
    protection: str = "ENABLED"
    backup: bool = False
    policy: str = ""
    lifecycle: list[dict[str, str]] = field(default_factory=list)
    tags: Tags = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:elasticfilesystem:{self.region}:{self.account}:file-system/{self.file_system_id}"


@dataclass
class MountTarget(Turning):
    """A mount target: the file system in one subnet, one per zone."""

    mount_target_id: str = ""
    file_system_id: str = ""
    account: str = ""
    subnet_id: str = ""
    vpc_id: str = ""
    zone: str = ""
    zone_id: str = ""
    ip_address: str = ""
    network_interface_id: str = ""
    security_groups: list[str] = field(default_factory=list)


@dataclass
class AccessPoint(Turning):
    """An access point: a directory of a file system as the root, and a user that whoever comes through it is."""

    account: str = ""
    region: str = ""
    access_point_id: str = ""
    file_system_id: str = ""
    client_token: str = ""
    posix_user: dict[str, Any] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:elasticfilesystem:{self.region}:{self.account}:access-point/{self.access_point_id}"


@dataclass
class Replication(Turning):
    """A replication: the destination is made equal to the source again and again.

    :param synced: the destination has everything that the source had at this time; None before the first time.
    :param next_sync: when it is made equal next.
    """

    source_id: str = ""
    source_account: str = ""
    source_region: str = ""
    destination_id: str = ""
    destination_account: str = ""
    destination_region: str = ""
    role_arn: str = ""
    created: float = 0.0
    synced: float | None = None
    next_sync: float = 0.0
    message: str = ""


@dataclass
class Vault:
    """A backup vault."""

    account: str
    region: str
    name: str
    key_arn: str
    created: float
    policy: str = ""
    tags: Tags = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:backup:{self.region}:{self.account}:backup-vault:{self.name}"


@dataclass
class RecoveryPoint(Turning):
    """A recovery point; its files are in a directory that is named after its id."""

    account: str = ""
    region: str = ""
    point_id: str = ""
    vault: str = ""
    resource_arn: str = ""
    source_vault_arn: str = ""
    role_arn: str = ""
    created: float = 0.0
    completed: float = 0.0
    size_bytes: int = 0
    key_arn: str = ""
    restore_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:backup:{self.region}:{self.account}:recovery-point:{self.point_id}"


@dataclass
class Job(Turning):
    """A job of AWS Backup.

    :param kind: ``backup``, ``copy`` or ``restore``.
    :param token: idempotency token.
    :param given: parameters it was started with.
    :param makes: id of the recovery point that it makes, or ARN of the file system that it restores to.
    :param makes_in: account and region of that recovery point.
    :param folder: directory in that file system that it restores into.
    """

    kind: str = ""
    job_id: str = ""
    account: str = ""
    region: str = ""
    token: str = ""
    given: Params = field(default_factory=dict)
    created: float = 0.0
    completed: float | None = None
    makes: str = ""
    makes_in: tuple[str, str] = ("", "")
    point_id: str = ""
    point_of: tuple[str, str] = ("", "")
    folder: str = ""
    message: str = ""


@dataclass
class Region:
    """What an account has in a region."""

    account: str
    name: str
    file_systems: dict[str, FileSystem] = field(default_factory=dict)
    mount_targets: dict[str, MountTarget] = field(default_factory=dict)
    access_points: dict[str, AccessPoint] = field(default_factory=dict)
    vaults: dict[str, Vault] = field(default_factory=dict)
    points: dict[str, RecoveryPoint] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
