"""What exports need in the accounts of their databases: stacks, with their parameters, and what a person should know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora_ops.core.exports import names
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportedDatabase, Exports, Frequency

EVENTS_TEMPLATE = "snapshot-export-events.yaml"
DATABASE_TEMPLATE = "snapshot-export-database.yaml"
_LITTLE_DAYS = 31
_PERIOD_DAYS: dict[Frequency, int] = {"every": 1, "daily": 1, "weekly": 7, "monthly": 31}
_NOT_MADE = "is named in the settings, and is neither made nor changed: see that"


@dataclass(frozen=True)
class WantedStack:
    """A stack that is to be there.

    :param name: its name.
    :param template: file in ``include/templates``.
    :param account: section of the settings whose account it is in.
    :param region: its region.
    :param database: export that it is for; ``None``: it is for all of its account and region.
    :param parameters: the template's.
    """

    name: str
    template: str
    account: str
    region: str
    database: str | None
    parameters: dict[str, str] = field(default_factory=dict)


def of_events(settings: Environment, about: Exports, databases: list[ExportedDatabase]) -> list[WantedStack]:
    """Say which stacks tell of snapshots: one in each account and region; none where the settings have a queue, or no events.

    :param settings: settings of the environment.
    :param about: their section of exports.
    :param databases: those that are set up.
    """
    if about.events is None or about.events.queue:
        return []
    given = {one.account: getattr(settings, one.account) for one in databases}
    accounts = {(place.account_id, place.region): account for account, place in given.items()}
    return [
        WantedStack(
            name=names.events_stack(settings.environment),
            template=EVENTS_TEMPLATE,
            account=account,
            region=getattr(settings, account).region,
            database=None,
            parameters={
                "TopicName": names.topic(settings.environment),
                "QueueName": names.queue(settings.environment),
                "DeadLetterQueueName": names.dead_letters(settings.environment),
            },
        )
        for account in sorted(accounts.values())
    ]


def of_database(database: ExportedDatabase, account_id: str, region: str, key_arn: str | None) -> WantedStack:
    """Say what a database's exports need.

    :param database: settings of the database.
    :param account_id: account that it is in.
    :param region: region that it is exported in.
    :param key_arn: key that the settings name; ``None``: one is made.
    """
    name, kept, catalogue = database.name, database.retention, database.catalogue
    return WantedStack(
        name=names.database_stack(name),
        template=DATABASE_TEMPLATE,
        account=database.account,
        region=region,
        database=name,
        parameters={
            "BucketName": database.bucket or names.setup(name, account_id),
            "MakeBucket": "no" if database.bucket else "yes",
            "ExportPrefix": f"{database.prefix}/db={name}/".removeprefix("/"),
            "ResultPrefix": f"{names.ANSWERS}/",
            "GlacierDays": str(kept.glacier_after_days or 0),
            "DeepArchiveDays": str(kept.deep_archive_after_days or 0),
            "ExpireDays": str(kept.expire_after_days or 0),
            "KeyArn": key_arn or "",
            "KeyAlias": names.alias(name),
            "RoleArn": database.role_arn or "",
            "RoleName": names.role(name),
            "DatabaseName": database.glue_database,
            "WorkgroupName": "" if catalogue.workgroup else names.workgroup(name),
            "CrawlerName": names.crawler(name) if catalogue.by == "crawler" else "",
            "CrawlerRoleName": names.crawler_role(name),
        },
    )


def warnings_of(database: ExportedDatabase) -> Iterator[str]:
    """Say what a person should know of a database's settings.

    :param database: settings of the database.
    """
    kept, catalogue = database.retention, database.catalogue
    days = kept.readable_days
    if days is not None:
        yield from _of_sight(database, days)
    if database.bucket:
        rule = f"keeps objects readable for {kept.queryable_days} days" + (
            f", not for more than {days}" if days else ""
        )
        yield f"bucket {database.bucket} {_NOT_MADE} it is encrypted and closed, and its lifecycle {rule}"
    if database.role_arn:
        yield f"role {database.role_arn} {_NOT_MADE} export.rds.amazonaws.com may assume it, for this account only"
    if database.kms_key_id:
        yield f"key {database.kms_key_id} {_NOT_MADE} its policy lets the role use it, and grants for RDS be made"
    if catalogue.workgroup:
        yield f"work group {catalogue.workgroup} {_NOT_MADE} its answers are encrypted, and expire"


def _of_sight(database: ExportedDatabase, days: int) -> Iterator[str]:
    """Say what Athena sees no more, and who would believe that it does."""
    catalogue = database.catalogue
    if database.retention.archived_partitions == "keep":
        yield (
            f"Athena sees an export for {days} days, but its partition stays in the catalogue: queries of earlier dates find no "
            f"rows, and do not fail; set retention.archived_partitions to drop, or move objects later"
        )
    elif catalogue.by == "crawler":
        yield (
            f"Athena sees an export for {days} days, but the tables that the crawler makes of it stay in the catalogue: queries of "
            f"them find no rows, and do not fail; set catalogue.by to manifest, drop them, or move objects later"
        )
    period = _PERIOD_DAYS[database.frequency]
    if days <= period and period > 1:
        yield (
            f"Athena sees an export for {days} days, and the next one comes after {period}: at times there is none to be "
            f"queried; move objects later, or export more often"
        )
    elif days < _LITTLE_DAYS:
        yield f"Athena sees the exports of the last {days} days only: of what is older, objects must be restored first"
