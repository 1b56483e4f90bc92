"""The settings of an environment: what a file in ``include/config/`` may say, and what each value must look like."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from aurora_ops.core.operation import LockMode
from aurora_ops.core.partitions import of_arn, of_region
from aurora_ops.core.section import AccountId, Cron, Folder, Identifier, Region, RoleArn, Section, Zone, refused
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.core.settings_exports import Exports
from aurora_ops.core.settings_retention import Retention
from aurora_ops.core.shapes import NationalId
from aurora_ops.core.tables import COLUMN_PATTERN, TABLE_PATTERN
from aurora_ops.core.users import User
from aurora_ops.core.windows import WindowText
from aurora_ops.core.workloads import PATTERN as WORKLOAD_PATTERN

InstanceClass = Annotated[str, Field(pattern=r"^db\.[a-z0-9]+(\.[a-z0-9-]+)?$")]


def _namespace(value: str) -> str:
    if value.startswith("AWS/"):
        raise ValueError("write a namespace of your own; those that begin with AWS/ are Amazon's")
    return value


def _pinned(value: str) -> str:
    name = value.rpartition("/")[2]
    pinned = re.fullmatch(r"[\w.-]+(:(?!latest$)[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})", name)
    if pinned is None or value != value.strip():
        raise ValueError("write an image with a version other than latest, or a digest, such as registry/tools:1.4")
    return value


SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@!:-]{1,512}$")]
KubernetesName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="name in Kubernetes")
]


class Source(Section):
    """Where the data comes from; only ever read and shared."""

    aws_conn_id: str = Field("aws_source", description="connection whose role reads and shares snapshots")
    account_id: AccountId
    region: Region
    cluster: Identifier
    snapshot: Annotated[str, Field(pattern=r"^(newest|newest_or_fresh|fresh|[A-Za-z][A-Za-z0-9:-]{0,254})$")] = Field(
        "newest_or_fresh",
        description="newest, newest_or_fresh (take one if none is young enough), fresh, or a snapshot identifier",
    )
    snapshot_max_age_h: float = Field(30, gt=0, le=24 * 366, description="oldest snapshot accepted, in hours")
    kms_key_id: str | None = Field(
        None, description="customer key for the copy of a snapshot that cannot be shared as it is"
    )
    schema_secret: str | None = Field(
        None, description="secret of a read-only user of the source: lets the check before the run see its tables"
    )


class Serverless(Section):
    """Capacity of Aurora Serverless v2, in ACU."""

    min_acu: float = Field(ge=0, le=256, description="lowest capacity")
    max_acu: float = Field(ge=0.5, le=256, description="highest capacity")

    @model_validator(mode="after")
    def _range(self) -> Serverless:
        if self.min_acu > self.max_acu:
            raise ValueError("min_acu must be at most max_acu")
        return self


class Instances(Section):
    """The instances of the new cluster."""

    instance_class: InstanceClass = Field(
        alias="class", description="class of the instances, such as db.r6g.large or db.serverless"
    )
    readers: int = Field(0, ge=0, le=15, description="readers beside the writer")
    serverless: Serverless | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Target(Section):
    """What is replaced every night."""

    aws_conn_id: str = Field("aws_destination", description="connection whose role may replace the cluster")
    account_id: AccountId
    region: Region
    cluster: Identifier
    role_arn: RoleArn = Field(description="role behind the connection; it is granted the use of the source's key")
    kms_key_id: str = Field(description="customer key of the new cluster")
    subnet_group: str = Field(description="DB subnet group of the new cluster")
    isolation_security_groups: list[str] = Field(
        min_length=1, description="security groups (names or ids) while the data is not yet masked"
    )
    security_groups: list[str] | None = Field(
        None, description="security groups afterwards; default: those of the cluster that is replaced"
    )
    parameter_group: str | None = Field(None, description="default: that of the cluster that is replaced")
    instances: Instances
    backup_retention_days: int = Field(1, ge=1, le=35, description="days automated backups of it are kept")
    deletion_protection: bool = Field(False, description="whether AWS shall refuse to delete it once it serves")
    log_exports: list[Literal["audit", "error", "general", "slowquery"]] = Field(
        default_factory=list, description="logs published to CloudWatch"
    )
    master_secret_kms_key_id: str | None = Field(None, description="key of the managed master secret")
    s3_role_arn: str | None = Field(None, description="role for LOAD DATA FROM S3, attached to the new cluster")
    old_cluster: Literal["stop", "delete", "keep"] = Field(
        "stop", description="what becomes of the cluster that served before"
    )
    old_cluster_kept_days: float | None = Field(
        None,
        gt=0,
        le=366,
        description="days until reap_expired may delete a cluster that was stopped or kept; none: never",
    )
    endpoint_parameter: str | None = Field(None, description="SSM parameter that is given the endpoint")


class Scan(Section):
    """How columns are scanned for personal data that is left after masking."""

    policy: Literal["fail", "warn", "off"] = Field(
        "fail", description="what happens when something is found: the run fails before the switch, or is warned of"
    )
    kinds: list[Literal["email", "phone", "card", "national_id"]] = Field(
        ["email", "phone", "card", "national_id"],
        min_length=1,
        description="what is looked for",
    )
    national_ids: list[NationalId] = Field(
        ["us_ssn", "uk_nino", "fr_nir", "es_dni", "it_cf"],
        description="whose national ids; de_idnr and nl_bsn are looked for only if named: one in 250 and one in 11 plain "
        "numbers of their length look like one",
    )
    min_rows: int = Field(1, ge=1, description="values of a kind from which on a column counts as found")
    undecided: Literal["allow", "warn", "fail"] = Field(
        "warn", description="what a column does that is new since the last run, can hold text and has no rule"
    )
    chunk_rows: int = Field(
        200_000, ge=1_000, le=10_000_000, description="rows of a big table that are counted at once"
    )
    connections: int = Field(2, ge=1, le=8, description="connections that scan at the same time")


class Masking(Section):
    """How tables are masked."""

    salt_secret: str | None = Field(
        None,
        description="secret of the target's account, JSON with a field salt: keys the fakes, so that they are the same in every "
        "refresh and every database that names it; none: new fakes in every run",
    )
    connections: int = Field(2, ge=1, le=8, description="connections that mask at the same time")
    chunk_rows: int = Field(100_000, ge=1_000, le=10_000_000, description="rows of a big table that are masked at once")
    rebuild_limit_gib: float | None = Field(
        None,
        gt=0,
        description="tables larger than this are updated in place; none: there is room for a copy of any table",
    )

    @property
    def rebuild_limit_bytes(self) -> int | None:
        """``rebuild_limit_gib`` in bytes."""
        return None if self.rebuild_limit_gib is None else int(self.rebuild_limit_gib * 2**30)


class Database(Section):
    """What happens to the data on the way."""

    schemas: list[Folder] = Field(min_length=1, description="folders of include/sql/masking and validation")
    keep_tables: list[Annotated[str, Field(pattern=TABLE_PATTERN)]] = Field(
        default_factory=list, description="tables of the target, schema.table, that survive the refresh as they are"
    )
    sensitive_columns: list[Annotated[str, Field(pattern=COLUMN_PATTERN)]] = Field(
        default_factory=list, description="columns proven masked, beside those of columns.yaml"
    )
    scan: Scan = Field(default_factory=lambda: Scan.model_validate({}))
    masking: Masking = Field(default_factory=lambda: Masking.model_validate({}))
    keep_bucket: str | None = Field(None, description="bucket of the target's account for the tables that are kept")
    sql_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = Field(
        None, description="bucket of the target's account with the scripts of db_run_sql_from_s3; none: it is refused"
    )
    sql_function: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        None,
        description="Lambda function of the target's account, in its VPC, through which db_run_sql_lambda runs SQL; none: the "
        "worker runs it itself",
    )
    users: list[User] = Field(default_factory=list, description="users that stay")
    exact_grants: bool = Field(
        False, description="users lose every right that their grants and privileges do not name, where they name any"
    )
    tls_ca: str | None = Field(None, description="file of certificate authorities the server is checked against")


class AccessPoint(Section):
    """An access point that applications mount."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="its tag Name")]
    path: Annotated[
        str, Field(pattern=r"^(/[A-Za-z0-9._-]+){1,4}$", description="directory that it shows, four levels at most")
    ]
    uid: int = Field(ge=1, le=2**32 - 1, description="user that whoever comes through it is; never root")
    gid: int = Field(ge=1, le=2**32 - 1, description="group of that user; never root's")
    permissions: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        "0755", description="permissions of the directory, octal, where it has to be made"
    )


FileSystemRef = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}$", description="id (fs-...) or value of the tag Name")
]
ParameterName = Annotated[str, Field(pattern=r"^/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")]


class Files(Section):
    """The files that go with the database, on EFS."""

    with_refresh: bool = Field(True, description="every refresh restores them beside the database")
    source_file_system: FileSystemRef = Field(description="file system of the source: id, or value of its tag Name")
    source_vault: str = Field(description="backup vault of the source that holds its recovery points")
    source_backup_role_arn: RoleArn = Field(description="role of the source that AWS Backup assumes to copy")
    recovery_point_max_age_h: float = Field(
        30, gt=0, le=24 * 366, description="oldest recovery point accepted, in hours"
    )
    name: str = Field(description="tag Name of the target's file systems; one of safety.allowed_file_systems")
    vault: str = Field(
        description="backup vault of the target that takes copies; its access policy must allow the source"
    )
    backup_role_arn: RoleArn = Field(description="role of the target that AWS Backup assumes to restore")
    kms_key_id: str | None = Field(None, description="key of new file systems; none: target.kms_key_id")
    subnet_ids: list[str] | None = Field(
        None, description="subnets of the mount targets; none: those of target.subnet_group"
    )
    security_groups: list[str] = Field(
        min_length=1, description="security groups (names or ids) of the mount targets: they let NFS in"
    )
    access_points: list[AccessPoint] = Field(default_factory=list, description="access points of new file systems")
    id_parameter: ParameterName = Field(description="SSM parameter that is given the id of the file system")
    subpath_parameter: ParameterName = Field(description="SSM parameter that is given the restored directory")
    claims: list[KubernetesName] = Field(
        default_factory=list,
        description="claims of eks.claims that a refresh has show the restored directory; only pods of eks.workloads may use them",
    )
    old_file_system: Literal["keep", "delete"] = Field(
        "keep", description="what becomes of the file system that was published before, once nothing shows it any more"
    )
    function_role_arn: RoleArn = Field(description="role of the target for the function that looks into a file system")
    source_function_role_arn: RoleArn | None = Field(
        None, description="role of the source for that function; only to prove replication by a file"
    )
    replication_role_arn: RoleArn | None = Field(
        None, description="role of the source that EFS assumes to replicate into the target's account"
    )


class Toleration(Section):
    """A taint of nodes that pods bear."""

    key: str = Field(min_length=1, description="key of the taint")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="Exists bears any value")
    value: str | None = Field(None, description="value of the taint")
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"] | None = Field(
        None, description="effect of the taint; none: any"
    )


class Archive(Section):
    """What utils_run_archive_job runs."""

    command: list[str] = Field(
        min_length=1,
        description="command and arguments; finds LOGIN_FILE, ARCHIVE_URL, DATABASES, FILES in its environment",
    )
    image: Annotated[str, AfterValidator(_pinned)] | None = Field(None, description="default: eks.image")
    url: Annotated[str, Field(pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*|(/[\w.=-]+)+)$")] = Field(
        description="where archives go, such as s3://bucket/prefix; each run has a folder of its own below it"
    )
    databases: list[Folder] = Field(min_length=1, description="databases that it archives")
    files_claim: KubernetesName | None = Field(None, description="claim whose files it archives too, mounted at /files")
    deadline_h: float = Field(6, gt=0, le=24, description="hours after which it is ended")


class Eks(Section):
    """Where jobs run beside the database."""

    with_refresh: bool = Field(
        True, description="a refresh dumps and loads the tables that are kept by jobs here, not through keep_bucket"
    )
    cluster: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$")] = Field(
        description="EKS cluster of the target's account"
    )
    namespace: KubernetesName = Field(description="namespace of jobs and claims; it exists")
    image: Annotated[str, AfterValidator(_pinned)] = Field(
        description="image with mysqldump, mysql, gzip, sha256sum and sh, by version or digest, never latest"
    )
    nodegroups: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(
        min_length=1, description="managed node groups that may be scaled"
    )
    nodes: int = Field(1, ge=1, le=100, description="nodes that jobs need")
    node_selector: dict[str, str] = Field(default_factory=dict, description="labels of the nodes for jobs")
    tolerations: list[Toleration] = Field(default_factory=list, description="taints of the nodes for jobs")
    service_account: KubernetesName | None = Field(
        None, description="service account of jobs, for a role of AWS; none: the namespace's own"
    )
    claim: KubernetesName = Field(description="claim (PersistentVolumeClaim) that holds dumps")
    dump_path: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)*$")] = Field(
        "aurora-ops/dumps", description="folder for dumps in it"
    )
    claims: list[KubernetesName] = Field(
        default_factory=list, description="claims of the namespace that eks_manage_storage may make, replace and delete"
    )
    workloads: list[Annotated[str, Field(pattern=WORKLOAD_PATTERN)]] = Field(
        default_factory=list,
        description="Deployment/<name> or StatefulSet/<name> on such claims: scaled to 0 while a claim is made anew, and back",
    )
    storage_class: KubernetesName = Field("efs", description="storage class of the claims")
    cpu: Annotated[str, Field(pattern=r"^\d+(\.\d+)?m?$")] = Field("500m", description="CPU a job asks for")
    memory: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$")] = Field("1Gi", description="memory a job has")
    run_as: Annotated[str, Field(pattern=r"^[1-9]\d{0,9}:[1-9]\d{0,9}$")] = Field(
        "1000:1000", description="user and group id of a job's process; dumps are theirs"
    )
    deadline_h: float = Field(2, gt=0, le=24, description="hours after which a job is ended")
    tls_ca: str | None = Field(
        None, description="file in the image that the database's certificate is checked against; none: unchecked"
    )
    archive: Archive | None = None


class Orchestrator(Section):
    """Where runs are recorded and announced."""

    aws_conn_id: str = Field("aws_orchestrator", description="connection whose role records and announces")
    account_id: AccountId
    region: Region
    runs_table: str = Field(description="DynamoDB table, keys pk and sk, time to live on expires_at")
    topic_arn: str | None = Field(None, description="SNS topic for announcements")
    report_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = Field(
        None, description="bucket of this account for the report of each run; none: no report"
    )
    metrics_namespace: (
        Annotated[str, Field(pattern=r"^[0-9A-Za-z._/#:-]{1,255}$"), AfterValidator(_namespace)] | None
    ) = Field("AuroraOps", description="CloudWatch namespace of the metrics of each run; none: no metrics")
    lease_h: float = Field(12, gt=0, le=72, description="hours after which a dead run's lock is void")
    records_kept_days: int = Field(365, ge=1, description="days until a record expires")
    audit_table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] | None = Field(
        None,
        description="DynamoDB table of audit trails, keys pk and sk, beside runs_table; none: operations leave no trail",
    )
    audit_refreshes: bool = Field(
        default=False, description="refreshes are followed: the state of each step is written, and the audit trail"
    )
    audit_kept_days: int | None = Field(
        None, ge=1, description="days until the events of a trail expire from the table; none: never"
    )
    audit_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = Field(
        None, description="versioned bucket of this account that trails are exported to; none: they are not exported"
    )
    audit_lock_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="days that Object Lock keeps an exported trail from being changed or deleted; none: as the bucket says",
    )
    audit_lock_mode: LockMode = Field(
        "GOVERNANCE", description="COMPLIANCE: nobody can end it, not even the account's owner"
    )


class Safety(Section):
    """What must never be replaced, and what may."""

    protected_accounts: list[AccountId] = Field(min_length=1, description="accounts in which nothing is ever replaced")
    allowed_clusters: list[Identifier] = Field(min_length=1, description="clusters that may be replaced")
    allowed_file_systems: list[str] = Field(
        default_factory=list,
        description="values of the tag Name of file systems that may be made, overwritten and deleted",
    )
    keep_failed_cluster: bool = Field(
        False, description="leave the temporary cluster of a failed run, unmasked data included, for study"
    )
    temporary_expires_h: float = Field(
        24,
        ge=1,
        le=24 * 30,
        description="hours after its creation that a temporary resource of a dead run is void (never before its lock is)",
    )
    maintenance_windows: list[WindowText] = Field(
        default_factory=list,
        description="when a run may change what serves, such as Sat,Sun 01:00-05:00 Europe/Berlin; none: any time",
    )
    reap: Literal["report", "remove"] = Field(
        "report", description="whether scheduled runs of reap_expired remove what has expired, or only report it"
    )

    def windows(self, *, ignored: bool) -> list[str]:
        """Give the windows that hold for a run; none, so at any time, where it ignores them."""
        return [] if ignored else list(self.maintenance_windows)


class Approval(Section):
    """Whether a person must agree before anything that serves changes."""

    required: bool = Field(
        default=False, description="ask a person, with what was verified before them, before the switch"
    )
    within_h: float = Field(
        default=8,
        gt=0,
        le=48,
        description="hours in which somebody must answer; after that the run fails, nothing switched",
    )
    approvers: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="Airflow user ids that may answer; none: whoever may edit the run"
    )


class Drill(Section):
    """A restore that proves, every week, that backups restore."""

    cluster: Identifier = Field(description="one of safety.allowed_clusters; its drill stands beside it for a while")
    from_account: Literal["source", "target"] = Field(
        default="source", description="whose newest snapshot is restored: the source's, or one of the target's account"
    )
    rpo_h: float = Field(
        26, gt=0, le=24 * 366, description="hours that the newest snapshot may be old: more is an alarm"
    )
    rto_h: float = Field(
        default=4, gt=0, le=24 * 7, description="hours that a verified restore may take: more is an alarm"
    )


class Restore(Section):
    """The restore pipeline of an environment."""

    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = Field(
        default=None,
        description="verification suite, a name in include/sql/validation; none: tables, rows, foreign keys and users",
    )
    allow_unmasked: bool = Field(
        default=False,
        description="a restore of the source's data, which is not masked, may take a live cluster's place",
    )
    secrets: list[SecretName] = Field(
        default_factory=list,
        description="secrets of the target's account that a restore may be given: of the master user, or of application users",
    )
    drills: list[Drill] = Field(default_factory=list, description="what is restored in a drill")


class Environment(Section):
    """All settings of one environment."""

    environment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="the file's name")]
    schedule: Cron | None = Field(None, description="five cron fields; none: by hand only")
    timezone: Zone = Field("UTC", description="IANA time zone of the schedule")
    late_after_h: float | None = Field(
        None, gt=0, le=24 * 7, description="hours from being queued after which an unfinished run is announced as late"
    )
    source: Source
    target: Target
    database: Database
    files: Files | None = Field(None, description="the files that go with the database; none: there are none")
    orchestrator: Orchestrator
    safety: Safety
    approval: Approval = Approval()
    restore: Restore = Restore()
    eks: Eks | None = None
    retention: Retention | None = Field(
        None, description="which snapshots are kept; none: snapshot_retention has no DAG"
    )
    audit_logs: AuditLogs | None = Field(
        None, description="whose audit logs are backed up; none: audit_log_backup has no DAG"
    )
    exports: Exports | None = Field(
        None, description="whose snapshots are exported to S3; none: snapshot_export has no DAG"
    )

    @model_validator(mode="after")
    def _lease_outlasts_approval(self) -> Environment:
        if self.approval.required and self.approval.within_h >= self.orchestrator.lease_h:
            raise refused(
                "approval.within_h",
                self.approval.within_h,
                f"it must be below orchestrator.lease_h ({self.orchestrator.lease_h:g}): the lock would be void while a person is "
                f"still asked",
            )
        return self

    @model_validator(mode="after")
    def _claims_are_managed(self) -> Environment:
        wanted = self.files.claims if self.files else []
        managed = self.eks.claims if self.eks else []
        if others := [name for name in wanted if name not in managed]:
            raise refused("files.claims", others, f"eks.claims are {managed}")
        return self

    @model_validator(mode="after")
    def _trails_have_a_place(self) -> Environment:
        home = self.orchestrator
        if home.audit_table == home.runs_table:
            raise refused(
                "orchestrator.audit_table",
                home.audit_table,
                "it must be another table than orchestrator.runs_table: from that one items expire and are deleted",
            )
        for field, needed in (
            ("audit_bucket", "audit_table"),
            ("audit_kept_days", "audit_table"),
            ("audit_lock_days", "audit_bucket"),
        ):
            if getattr(home, field) is not None and getattr(home, needed) is None:
                raise refused(
                    f"orchestrator.{field}", getattr(home, field), f"it needs orchestrator.{needed}, which is not given"
                )
        return self

    @model_validator(mode="after")
    def _one_partition(self) -> Environment:
        """AWS's partitions share no snapshot, key or role."""
        partition = of_region(self.target.region)
        for name, place in (("source", self.source), ("orchestrator", self.orchestrator)):
            if of_region(place.region) != partition:
                raise refused(
                    f"{name}.region", place.region, f"name one of the partition {partition}, as target.region is"
                )
        if of_arn(self.target.role_arn) != partition:
            raise refused("target.role_arn", self.target.role_arn, f"it must be one of the partition {partition}")
        return self

    @model_validator(mode="after")
    def _states_have_tables_of_their_own(self) -> Environment:
        home = self.orchestrator
        taken = {"orchestrator.runs_table": home.runs_table, "orchestrator.audit_table": home.audit_table}
        for name, section in (("audit_logs", self.audit_logs), ("exports", self.exports)):
            if section is None:
                continue
            if section.state_table in taken.values():
                raise refused(
                    f"{name}.state_table", section.state_table, f"it must be another table than {' and '.join(taken)}"
                )
            taken[f"{name}.state_table"] = section.state_table
        return self

    @model_validator(mode="after")
    def _protected_snapshots_are_kept(self) -> Environment:
        for number, kept in enumerate(self.retention.clusters if self.retention else []):
            place = self.source if kept.account == "source" else self.target
            where = f"retention.clusters.{number}"
            if kept.copies_home(place.region) is not None:
                raise refused(
                    f"{where}.copy_to.keep", place.region, "leave it out for the cluster's own region: keep says it"
                )
            if place.account_id not in self.safety.protected_accounts:
                continue
            if self.retention and self.retention.in_protected_accounts == "nothing":
                raise refused(
                    f"{where}.account",
                    kept.account,
                    f"{place.account_id} is in safety.protected_accounts; leave the cluster out, or set "
                    f"retention.in_protected_accounts: ours",
                )
            if kept.name_prefixes:
                raise refused(
                    f"{where}.name_prefixes",
                    kept.name_prefixes,
                    f"leave them out: in account {place.account_id}, which is protected, only what this package made is deleted",
                )
        return self

    @property
    def refreshed_files(self) -> Files | None:
        """The files that a refresh restores; ``None`` where there are none."""
        return self.files if self.files and self.files.with_refresh else None

    @property
    def keeping_eks(self) -> Eks | None:
        """Where the jobs run that keep tables over a refresh; ``None`` where they go through the bucket."""
        return self.eks if self.eks and self.eks.with_refresh else None

    @property
    def expires_h(self) -> float:
        """Hours that a temporary resource is good for: at least as long as the lock of the run that makes it."""
        return max(self.safety.temporary_expires_h, self.orchestrator.lease_h)


# What a person may change for one run, and which setting it changes.
RUN_PARAMS: dict[str, str] = {
    "source_cluster": "source.cluster",
    "snapshot": "source.snapshot",
    "snapshot_max_age_h": "source.snapshot_max_age_h",
    "target_cluster": "target.cluster",
    "target_account_id": "target.account_id",
    "instance_class": "target.instances.class",
    "readers": "target.instances.readers",
    "old_cluster": "target.old_cluster",
    "keep_tables": "database.keep_tables",
    "sensitive_columns": "database.sensitive_columns",
    "approval": "approval.required",
}

# What a person may ask of one run beside that: no setting of the environment.
RUN_SWITCHES: dict[str, str] = {
    "dry_run": "show the plan and end; nothing is changed",
    "ignore_window": "begin and switch although no window of safety.maintenance_windows is open",
}
