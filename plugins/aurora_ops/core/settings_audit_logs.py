"""The settings of the backup of audit logs: whose, where to, how, and how fast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from aurora_ops.core.operation import LockMode
from aurora_ops.core.section import AccountId, BucketName, Cron, Identifier, Region, Section, TableName, refused
from aurora_ops.core.settings_audit_compaction import Compaction

TagKey = Annotated[str, Field(min_length=1, max_length=128)]
Engine = Literal["aurora-mysql", "mysql", "mariadb"]
ENGINES: tuple[Engine, ...] = ("aurora-mysql", "mysql", "mariadb")


class LogStorage(Section):
    """How the objects are kept."""

    kms_key_id: str | None = Field(
        None,
        description="key of the bucket's account that objects are encrypted with (SSE-KMS); none: as the bucket says",
    )
    lock_days: int | None = Field(
        None, ge=1, le=36_500, description="days that Object Lock keeps an object as it is; none: as the bucket says"
    )
    lock_mode: LockMode = Field("GOVERNANCE", description="COMPLIANCE: nobody can end it, not even the account's owner")
    storage_class: Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] = Field(
        "STANDARD", description="storage class of new objects; a lifecycle rule of the bucket may move them on"
    )


class LogPlace(Section):
    """An account and region whose instances have audit logs."""

    aws_conn_id: str = Field(description="connection whose role reads them, such as aws_source")
    account_id: AccountId
    region: Region
    clusters: list[Identifier] = Field(
        default_factory=list, description="only instances of these clusters; none: of any, or of no cluster"
    )
    tags: dict[TagKey, Annotated[str, Field(max_length=256)]] = Field(
        default_factory=dict, description="only instances with all of these tags; none: any"
    )
    engines: list[Engine] = Field(
        default_factory=lambda: list(ENGINES),
        min_length=1,
        description="only instances of these engines",
    )


class AuditLogs(Section):
    """The backup of audit logs."""

    schedule: Cron | None = Field(
        "*/5 * * * *", description="five cron fields, in the environment's time zone; none: by hand only"
    )
    bucket: BucketName = Field(description="bucket of the orchestrator's account that log files are kept in")
    prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)?$")] = Field(
        "audit-logs", description="beginning of the objects' keys, without a slash at the end; empty: none"
    )
    state_table: TableName = Field(
        description="DynamoDB table of the orchestrator's account, keys pk and sk: what is stored of each file"
    )
    compression: Literal["zstd", "gzip", "none"] = Field("zstd", description="how objects are compressed")
    storage: LogStorage = Field(default_factory=lambda: LogStorage.model_validate({}))
    places: list[LogPlace] = Field(min_length=1, description="accounts and regions whose instances are backed up")
    reader: Literal["auto", "rest", "chunks"] = Field(
        "auto",
        description="auto: growing files by chunks, whole ones by REST, each where the other cannot; or one of them only",
    )
    settled_min: float = Field(
        30, ge=1, le=24 * 60, description="minutes without a write after which a file counts as written to its end"
    )
    object_mib: int = Field(
        64, ge=1, le=1024, description="MiB of log, uncompressed, after which an object ends at the next record"
    )
    most_batches: int = Field(20, ge=1, le=50, description="mapped tasks of a run at most; sized by bytes")
    threads: int = Field(4, ge=1, le=16, description="files that a task reads at a time")
    reads_per_instance: int = Field(
        2,
        ge=1,
        le=8,
        description="files of an instance that are read at a time: reading takes from the database's own machine",
    )
    list_calls_per_s: float = Field(
        30,
        gt=0,
        le=200,
        description="lists of log files asked for a second in one account and region, by all tasks together",
    )
    download_calls_per_s: float = Field(
        30,
        gt=0,
        le=200,
        description="chunks and files asked for a second in one account and region, by all tasks together",
    )
    pool: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        "default_pool", description="Airflow pool of the tasks that read; it exists"
    )
    topic_arn: str | None = Field(
        None,
        description="SNS topic that is told of what is lost, truncated or incomplete; none: orchestrator.topic_arn",
    )

    compaction: Compaction | None = Field(
        None, description="what the logs of a day are made into; none: audit_log_compact has no DAG"
    )

    @property
    def compacting(self) -> Compaction:
        """How days are compacted where somebody asks for it; the defaults where the section does not say."""
        return self.compaction or Compaction.model_validate({})

    @field_validator("places")
    @classmethod
    def _once(cls, value: list[LogPlace]) -> list[LogPlace]:
        if len({(place.account_id, place.region) for place in value}) < len(value):
            raise ValueError("name each account and region once")
        return value

    @model_validator(mode="after")
    def _enough_batches(self) -> AuditLogs:
        if len(self.places) > self.most_batches:
            raise refused(
                "most_batches",
                self.most_batches,
                f"it must be at least {len(self.places)}: each place has tasks of its own",
            )
        return self
