"""The settings of snapshot exports: which databases, which of their snapshots, where to, and for how long."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.exports import names
from aurora_ops.core.section import BucketName, Cron, Identifier, Region, RoleArn, Section, TableName, refused

Account = Literal["source", "target"]
Kind = Literal["automated", "manual", "backup"]
KINDS: tuple[Kind, ...] = ("automated", "manual", "backup")
Frequency = Literal["every", "daily", "weekly", "monthly"]

_MOST_EXPORT_ONLY_BYTES = 200 * 1024
_GLACIER_DAYS = 90  # S3 bills Glacier Flexible Retrieval for as many days at least


def _prefix(value: str) -> str:
    if value.endswith("/") or value.startswith("/"):
        raise ValueError("write it without a slash at either end: an export to a prefix that ends with one fails")
    if not re.fullmatch(r"[A-Za-z0-9_.=-]*(/[A-Za-z0-9_.=-]+)*", value):
        raise ValueError(
            "write letters, digits and _ . = - with single slashes between, such as exports/shop; RDS refuses a colon"
        )
    return value


def _exported(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9$_]+(\.[A-Za-z0-9$_]+)?", value):
        raise ValueError(
            "write database or database.table, of letters, digits, $ and _: RDS exports no part with another name"
        )
    return value


Prefix = Annotated[str, AfterValidator(_prefix)]
ExportOnly = Annotated[str, AfterValidator(_exported)]
GlueName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,255}$")]


class ExportRetention(Section):
    """How long objects are kept, and where; the bucket's lifecycle says so to S3."""

    queryable_days: int = Field(
        365, ge=1, le=36_500, description="days that objects stay where Athena reads them, at least"
    )
    glacier_after_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="days after which objects move to Glacier, where Athena sees them no more; none: never",
    )
    deep_archive_after_days: int | None = Field(
        None, ge=1, le=36_500, description="days after which they move on to Deep Archive; none: never"
    )
    expire_after_days: int | None = Field(
        None, ge=1, le=36_500, description="days after which they are deleted; none: never"
    )
    archived_partitions: Literal["drop", "keep"] = Field(
        "drop",
        description="what becomes of partitions whose objects Athena cannot read any more: keep leaves them listed, without rows",
    )

    @property
    def readable_days(self) -> int | None:
        """Days after which Athena has lost sight of an object; ``None``: it never does."""
        given = [self.glacier_after_days, self.deep_archive_after_days, self.expire_after_days]
        return min((days for days in given if days is not None), default=None)

    @model_validator(mode="after")
    def _in_order(self) -> ExportRetention:
        if self.readable_days is not None and self.readable_days < self.queryable_days:
            name = next(
                name
                for name in ("glacier_after_days", "deep_archive_after_days", "expire_after_days")
                if getattr(self, name) == self.readable_days
            )
            raise refused(
                name, self.readable_days, f"it must be at least queryable_days, which is {self.queryable_days}"
            )
        glacier, deep, gone = self.glacier_after_days, self.deep_archive_after_days, self.expire_after_days
        if glacier is not None and deep is not None and deep < glacier + _GLACIER_DAYS:
            raise refused(
                "deep_archive_after_days",
                deep,
                f"it must be at least {glacier + _GLACIER_DAYS}: Glacier is billed for {_GLACIER_DAYS} days",
            )
        last = max((days for days in (glacier, deep) if days is not None), default=0)
        if gone is not None and gone <= last:
            raise refused("expire_after_days", gone, f"it must be above {last}, after which objects are moved")
        return self


class CopyFirst(Section):
    """A copy of each snapshot that is exported in its place, where RDS cannot export the snapshot itself."""

    region: Region | None = Field(
        None, description="region of the copy, with bucket, role and key there; none: its own"
    )
    kms_key_id: str = Field(
        description="customer key of the copy: a snapshot under the default key aws/rds is not exported"
    )


class Catalogue(Section):
    """The tables that Athena sees."""

    database: GlueName | None = Field(None, description="Glue database; none: the name of the export, with underscores")
    by: Literal["manifest", "crawler"] = Field(
        "manifest",
        description="manifest: from the export's own files, at once; crawler: by a Glue crawler of the setup",
    )
    workgroup: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = Field(
        None, description="Athena work group of the proof; none: the one that the setup makes"
    )
    proof: bool = Field(True, description="whether each export is counted once more through Athena")


class ExportedDatabase(Section):
    """A database whose snapshots are exported."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=30)] = Field(
        description="name of the export, in keys, buckets and tables: lower case letters, digits and single hyphens"
    )
    account: Account = Field("source", description="whose database: the environment's source or its target")
    cluster: Identifier | None = Field(None, description="Aurora cluster whose snapshots are exported; or instance")
    instance: Identifier | None = Field(None, description="RDS instance whose snapshots are exported; or cluster")
    snapshots: list[Kind] = Field(
        default_factory=lambda: list(KINDS), min_length=1, description="automated, manual, backup (of AWS Backup)"
    )
    frequency: Frequency = Field(
        "daily",
        description="every snapshot, or the first of each day, ISO week or month, in the environment's time zone",
    )
    export_only: list[ExportOnly] = Field(
        default_factory=list, description="database or database.table; none: all of them (RDS bills the whole snapshot)"
    )
    bucket: BucketName | None = Field(
        None, description="bucket in the database's region; none: the one that the setup makes"
    )
    prefix: Prefix = Field("exports", description="beginning of the objects' keys, without a slash at the end")
    role_arn: RoleArn | None = Field(None, description="role that RDS writes with; none: the one that the setup makes")
    kms_key_id: str | None = Field(None, description="customer key of the objects; none: the one that the setup makes")
    schema_secret: str | None = Field(
        None,
        description="secret of a read-only user of the database, with which export_only is checked before RDS is asked; "
        "none: source.schema_secret, of source.cluster",
    )
    copy_first: CopyFirst | None = Field(None, description="export a copy; none: the snapshot itself")
    least_rows: dict[ExportOnly, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="database.table to the rows that its export has at least"
    )
    retention: ExportRetention = Field(default_factory=lambda: ExportRetention.model_validate({}))
    catalogue: Catalogue = Field(default_factory=lambda: Catalogue.model_validate({}))

    @property
    def database_id(self) -> str:
        """Identifier of the cluster or instance."""
        return str(self.cluster or self.instance)

    @property
    def glue_database(self) -> str:
        """Name of the Glue database."""
        return self.catalogue.database or names.glue_name(self.name)

    @model_validator(mode="after")
    def _one_database(self) -> ExportedDatabase:
        if (self.cluster is None) == (self.instance is None):
            raise refused("cluster", self.cluster, "name either a cluster or an instance")
        if self.kms_key_id and "alias/aws/" in self.kms_key_id:
            raise refused(
                "kms_key_id", self.kms_key_id, "name a customer key: RDS does not export under a key of AWS's own"
            )
        return self

    @field_validator("export_only")
    @classmethod
    def _not_too_many(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("name each database and table once")
        if len(",".join(value).encode()) > _MOST_EXPORT_ONLY_BYTES:
            raise ValueError("name fewer tables, or their databases: RDS accepts 200 KB")
        return value

    @field_validator("least_rows")
    @classmethod
    def _of_tables(cls, value: dict[str, int]) -> dict[str, int]:
        for name in value:
            if "." not in name:
                raise ValueError(f"{name}: write database.table")
        return value


class ExportEvents(Section):
    """The queue that tells of new snapshots, one in each account and region."""

    queue: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] | None = Field(
        None, description="SQS queue in each database's account and region; none: the one that the setup makes"
    )
    fallback_min: int = Field(
        5, ge=1, le=60, description="minutes after which events are looked for even if nothing woke the DAG"
    )


class Exports(Section):
    """The export of snapshots to S3."""

    schedule: Cron | None = Field(
        "0 3 * * *",
        description="five cron fields, once a day, in the environment's time zone; none: by hand and by event only",
    )
    catchup_from: date | None = Field(
        None,
        description="first day whose snapshots the schedule exports, also those of days past; none: days to come, and backfills",
    )
    reconcile_days: int = Field(
        7, ge=0, le=35, description="days back in which a scheduled run looks for snapshots that nobody exported"
    )
    state_table: TableName = Field(
        description="DynamoDB table of the orchestrator's account, keys pk and sk: what became of each snapshot"
    )
    most_running: int = Field(
        5,
        ge=1,
        le=100,
        description="export tasks that may run in an account and region, whoever started them; AWS's limit is 5",
    )
    most_attempts: int = Field(
        3,
        ge=1,
        le=9,
        description="export tasks that are started for a snapshot, if they fail, before a person is asked",
    )
    most_runs: int = Field(
        12,
        ge=1,
        le=100,
        description="runs at a time, such as days of a backfill; they wait without taking a worker's slot",
    )
    wait_h: float = Field(48, gt=0, le=24 * 14, description="hours that an export may wait for its turn")
    deadline_h: float = Field(24, gt=0, le=24 * 7, description="hours that an export task may run")
    on_deadline: Literal["fail", "cancel"] = Field(
        "fail",
        description="what becomes of a task that runs longer: it is left running, or cancelled; the run fails either way",
    )
    events: ExportEvents | None = Field(None, description="export by event; none: snapshot_export_events has no DAG")
    topic_arn: str | None = Field(None, description="SNS topic that is told of failures; none: orchestrator.topic_arn")
    databases: list[ExportedDatabase] = Field(min_length=1, description="databases whose snapshots are exported")

    def database(self, name: str) -> ExportedDatabase:
        """Give the settings of an export.

        :raises ConfigError: there are none of that name any more.
        """
        for one in self.databases:
            if one.name == name:
                return one
        raise ConfigError("database", name, f"exports.databases has {[one.name for one in self.databases]}")

    @field_validator("schedule")
    @classmethod
    def _once_a_day(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\d+ \d+ \* \* \*", value):
            raise ValueError(
                "write a time of day, such as 0 3 * * *: each run is for one day; frequency is each database's"
            )
        return value

    @field_validator("databases")
    @classmethod
    def _once(cls, value: list[ExportedDatabase]) -> list[ExportedDatabase]:
        for what, found in (
            ("name", [one.name for one in value]),
            ("database", [f"{one.account} {one.database_id}" for one in value]),
            ("Glue database", [f"{one.account} {one.glue_database}" for one in value]),
        ):
            if len(set(found)) < len(found):
                raise ValueError(f"each {what} may be there once")
        return value
