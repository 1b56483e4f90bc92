"""What RDS keeps: plain values (``dataclasses.asdict`` of a :class:`Region` is JSON), times in epoch seconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

SnapshotType = Literal["manual", "automated", "awsbackup"]


@dataclass
class Role:
    """A role associated with a cluster."""

    arn: str
    feature: str
    status: str = "PENDING"


@dataclass
class MasterSecret:
    """The managed master secret of a cluster: ``MasterUserSecret``."""

    arn: str
    status: str
    kms_key_id: str


@dataclass
class Cluster:
    """A cluster; ``resource_id`` never changes and is the engine's key, ``identifier`` may.

    :param cross_account: a clone of another account's cluster.
    :param restoring_from: ARN of the snapshot that its data are being copied from.
    :param booted: its server has run, so that what was to be set up on it is.
    :param restorable_from: epoch seconds; backups begin then. None before there are any.
    :param restorable_until: epoch seconds; so far its log has been followed.
    :param lag_until: until then describe still shows ``available``, as AWS does for a moment after a modify.
    :param withdrawn: the cluster endpoints lead nowhere (during a rename, AWS drops the old name at once).
    :param idle: made for tests of many: nothing but names and log files, no server ever.
    :param pending_password: set on the server as soon as one runs.
    :param pending_database: created as soon as a server runs.
    :param pending_identifier: rename asked for without ApplyImmediately; localcloud has no maintenance windows.
    """

    account: str
    region: str
    identifier: str
    resource_id: str
    created: float
    engine: str
    engine_version: str
    master_username: str
    port: int
    subnet_group: str
    vpc_id: str
    zones: list[str]
    security_groups: list[str]
    parameter_group: str
    kms_key_id: str | None
    status: str = "creating"
    database_name: str | None = None
    backup_retention: int = 1
    backup_window: str = "02:00-02:30"
    maintenance_window: str = "sun:03:00-sun:03:30"
    deletion_protection: bool = False
    copy_tags: bool = False
    iam_authentication: bool = False
    log_exports: list[str] = field(default_factory=list)
    serverless: dict[str, float] | None = None
    roles: list[Role] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    clone_group: str | None = None
    cross_account: bool = False
    secret: MasterSecret | None = None
    restoring_from: str | None = None
    booted: bool = False
    restorable_from: float | None = None
    restorable_until: float = 0.0
    lag_until: float = 0.0
    withdrawn: bool = False
    idle: bool = False
    pending_password: str | None = None
    pending_database: str | None = None
    pending_identifier: str | None = None

    @property
    def arn(self) -> str:
        """ARN; changes with the identifier."""
        return f"arn:aws:rds:{self.region}:{self.account}:cluster:{self.identifier}"


@dataclass
class Instance:
    """A member of a cluster.

    :param cluster: ``resource_id`` of the cluster, so that a cluster's rename keeps its members.
    :param listening: the instance's address leads to the server.
    :param pending_identifier: name that it will have when its rename is over.
    """

    account: str
    region: str
    identifier: str
    resource_id: str
    cluster: str
    created: float
    instance_class: str
    zone: str
    promotion_tier: int
    parameter_group: str
    status: str = "creating"
    writer: bool = False
    listening: bool = False
    pending_identifier: str | None = None
    parameter_status: str = "in-sync"
    publicly_accessible: bool = False
    auto_minor_upgrade: bool = True
    monitoring_interval: int = 0
    monitoring_role: str | None = None
    performance_insights: bool = False
    maintenance_window: str = "sun:03:00-sun:03:30"
    tags: dict[str, str] = field(default_factory=dict)
    lag_until: float = 0.0

    @property
    def arn(self) -> str:
        """ARN; changes with the identifier."""
        return f"arn:aws:rds:{self.region}:{self.account}:db:{self.identifier}"


@dataclass
class Snapshot:
    """A cluster snapshot. ``key`` names its data in the engine.

    :param shared_with: account ids, or ``all``.
    :param expected_s: seconds the operation is expected to take, from which the progress is told.
    :param copying: made by a copy that is not over yet (counts towards the quota of copies in progress).
    """

    account: str
    region: str
    identifier: str
    key: str
    snapshot_type: SnapshotType
    created: float
    cluster: str
    cluster_resource_id: str
    cluster_created: float
    engine: str
    engine_version: str
    master_username: str
    port: int
    vpc_id: str
    zones: list[str]
    kms_key_id: str | None
    backup_retention: int
    iam_authentication: bool = False
    status: str = "creating"
    started: float = 0.0
    expected_s: float = 0.0
    copying: bool = False
    allocated_gib: int = 1
    source_arn: str | None = None
    shared_with: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:rds:{self.region}:{self.account}:cluster-snapshot:{self.identifier}"


@dataclass
class ExportTask:
    """An export of a snapshot's or a cluster's data to S3.

    :param source_kind: ``cluster-snapshot``, ``snapshot`` or ``cluster``, as in the source's ARN.
    :param source_key: of the data in the engine when the task was started.
    :param key: of the task's own copy of these data, which are gone when it has ended.
    :param snapshot_time: epoch seconds; so old the data are.
    :param expected_s: seconds that the extraction is expected to take, from which the progress is told.
    :param extracting: epoch seconds; since then it is in progress.
    :param done: part of the work that is over, 0 to 1.
    :param extracted_bytes: size of what has been extracted.
    :param fails: failure cause that a fault rule wants.
    :param sticks: status that a fault rule wants the task to stay in.
    :param tables: ``perTableStatus`` of its manifest, until that is written.
    :param warnings: lists ``skippedTables``, ``skippedObjectives`` and ``general``.
    """

    account: str
    region: str
    identifier: str
    source_arn: str
    source_kind: str
    source_key: str
    key: str
    bucket: str
    prefix: str
    role_arn: str
    kms_key_id: str
    export_only: list[str]
    snapshot_time: float
    started: float
    status: str = "STARTING"
    ended: float | None = None
    expected_s: float = 0.0
    extracting: float = 0.0
    done: float = 0.0
    extracted_bytes: int = 0
    failure: str | None = None
    fails: str = ""
    sticks: str = ""
    tables: list[dict[str, Any]] = field(default_factory=list)
    warnings: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @property
    def source_type(self) -> str:
        """``SourceType``."""
        return "CLUSTER" if self.source_kind == "cluster" else "SNAPSHOT"

    @property
    def path(self) -> str:
        """Key of the folder of all its objects, without a slash at the end."""
        return f"{self.prefix}/{self.identifier}" if self.prefix else self.identifier


@dataclass
class Subscription:
    """An event subscription.

    :param categories: empty for all.
    :param sources: identifiers; empty for all.
    """

    account: str
    region: str
    name: str
    topic: str
    created: float
    source_type: str | None = None
    categories: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    enabled: bool = True
    status: str = "active"
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """ARN."""
        return f"arn:aws:rds:{self.region}:{self.account}:es:{self.name}"


@dataclass
class Event:
    """An entry of DescribeEvents.

    :param id: such as ``RDS-EVENT-0169``; empty for what AWS has no event of, which is told to no subscription.
    """

    source_type: str
    source: str
    arn: str
    message: str
    categories: list[str]
    time: float
    id: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Region:
    """Everything of one account in one region, keyed by identifier (lower case)."""

    account: str
    name: str
    clusters: dict[str, Cluster] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    exports: dict[str, ExportTask] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a saved state, also one from before there were exports."""
        vars(self).update(vars(Region(state["account"], state["name"])) | state)

    def members(self, cluster: Cluster) -> list[Instance]:
        """Instances of a cluster, writer first."""
        found = [i for i in self.instances.values() if i.cluster == cluster.resource_id]
        return sorted(found, key=lambda i: (not i.writer, i.identifier))

    def cluster_of(self, instance: Instance) -> Cluster:
        """Cluster that an instance belongs to.

        :raises KeyError: never, as a cluster outlives its members.
        """
        for cluster in self.clusters.values():
            if cluster.resource_id == instance.cluster:
                return cluster
        raise KeyError(instance.cluster)


Params = dict[str, Any]
