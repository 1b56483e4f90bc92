"""The tables of exports in AWS Glue: their names, what is written about them, and which of their partitions are over.

A table of the database is one table in Glue, with a partition for each date that snapshots were exported of. The newest snapshot of
a date stands for it: each partition says which it is of, so it does not matter in which order exports end. Where the type of a
column has changed so that nothing reads both, what does not fit is in a further table, ``..._v2``: each stays readable whole, and
no query over the first one fails because of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aurora_ops.core import glue_tables
from aurora_ops.core.exports import names
from aurora_ops.core.exports.columns import PARTITION, Column, of_glue

_OURS = "aurora-ops:"
EXPORT, SOURCE, VERSION = f"{_OURS}export", f"{_OURS}table", f"{_OURS}version"
ABSENT = f"{_OURS}absent"
"""Columns that some snapshot did not have: said once, not each night."""
PROVISIONAL = f"{_OURS}provisional"
"""The table never had rows: its types are those that the manifest announces, and it has no partitions."""
SNAPSHOT_TIME, SNAPSHOT, TASK, EXPORTED_AT = (
    f"{_OURS}{name}" for name in ("snapshot-time", "snapshot", "task", "exported-at")
)

_LONGEST_NAME = 255
_DIGEST = 8


@dataclass(frozen=True)
class Snapshot:
    """The export of a snapshot, as far as the catalogue is about it.

    :param export: name of the export.
    :param arn: the snapshot's.
    :param time: moment of its data.
    :param date: ``YYYY-MM-DD``, its partition.
    :param task_id: export task.
    :param exported_at: when the task ended, from which S3 counts the age of its objects.
    :param bucket: bucket of its objects.
    :param path: beginning of their keys, with a slash at its end.
    """

    export: str
    arn: str
    time: datetime
    date: str
    task_id: str
    exported_at: datetime
    bucket: str
    path: str

    def location(self, folder: str) -> str:
        """Give the S3 URL of a folder below its path."""
        return f"s3://{self.bucket}/{self.path}{folder}"


@dataclass(frozen=True)
class Known:
    """A table that is in Glue.

    :param name: its name.
    :param export: the export that it is of; empty: none of ours.
    :param source: ``database.table`` that it is of; empty: none of ours.
    :param version: 1; above for one that holds what did not fit into those before.
    """

    name: str
    export: str
    source: str
    version: int


def known(table: Mapping[str, Any]) -> Known:
    """Say what a table of Glue is (``Table``)."""
    about = table.get("Parameters", {})
    version = str(about.get(VERSION, "1"))
    return Known(
        table["Name"], about.get(EXPORT, ""), about.get(SOURCE, ""), int(version) if version.isdecimal() else 1
    )


def table_names(export: str, sources: Iterable[tuple[str, str]], there: Iterable[Known]) -> dict[str, str]:
    """Name the table in Glue of each table of the database.

    A name once given stays. Of several tables that would have the same, the one whose name needs no change has it, else the first
    in the alphabet; the others have a hash at the end, and so has one whose name a table of somebody else has.

    :param export: name of the export.
    :param sources: database and table of each.
    :param there: tables of the Glue database.
    :return: ``database.table`` to name.
    """
    there = list(there)
    taken = {one.name for one in there}
    given = {one.source: one.name for one in there if one.export == export and one.version == 1}
    found: dict[str, str] = {}
    wanted = []
    for database, table in sources:
        source, plain = f"{database}.{table}", f"{database}_{table}"
        if source in given:
            found[source] = given[source]
        else:
            wanted.append((names.glue_name(plain) != plain, source, names.glue_name(plain)))
    for _, source, name in sorted(wanted):
        found[source] = _free(name, source, taken)
        taken.add(found[source])
    return found


def further_name(name: str, source: str, version: int, taken: Iterable[str]) -> str:
    """Name the table for what does not fit into those before.

    :param name: name of the first.
    :param source: ``database.table``.
    :param version: 2 and above.
    :param taken: names of all tables.
    """
    return _free(f"{name}_v{version}", source, set(taken))


def table_input(
    name: str, source: str, version: int, about: Snapshot, columns: Sequence[Column], *, provisional: bool = False
) -> dict[str, Any]:
    """Describe a new table (``TableInput``).

    :param name: its name.
    :param source: ``database.table``.
    :param version: 1, or above.
    :param about: the export that it is made for.
    :param columns: its columns.
    :param provisional: whether it has no rows yet.
    """
    parameters = {**glue_tables.PARAMETERS, EXPORT: about.export, SOURCE: source, VERSION: str(version)}
    if provisional:
        parameters[PROVISIONAL] = "true"
    base = about.path.split(f"/{PARTITION}=", 1)[0].rstrip("/") + "/"
    return {
        "Name": name,
        "Description": f"Snapshots of table {source}, exported by aurora_ops",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": [glue_tables.column(PARTITION, "string", "day of the snapshot, YYYY-MM-DD")],
        "StorageDescriptor": storage(columns, f"s3://{about.bucket}/{base}"),
    }


def partition_input(about: Snapshot, folder: str, columns: Sequence[Column]) -> dict[str, Any]:
    """Describe the partition of a snapshot (``PartitionInput``).

    :param about: the export.
    :param folder: the table's, below the export's path.
    :param columns: those of the snapshot, whatever the table has.
    """
    return {
        "Values": [about.date],
        "StorageDescriptor": storage(columns, about.location(folder)),
        "Parameters": {
            SNAPSHOT_TIME: about.time.isoformat(),
            SNAPSHOT: about.arn,
            TASK: about.task_id,
            EXPORTED_AT: about.exported_at.isoformat(),
        },
    }


def storage(columns: Sequence[Column], location: str) -> dict[str, Any]:
    """Describe how files of these columns are read (``StorageDescriptor``)."""
    return glue_tables.storage([glue_tables.column(*one) for one in columns], location)


def stands(found: Mapping[str, Any], about: Snapshot) -> bool:
    """Tell whether a partition is of a newer snapshot than an export's, so that it stays.

    :param found: the partition (``Partition``).
    :param about: the export.
    """
    moment = _moment(found.get("Parameters", {}).get(SNAPSHOT_TIME))
    return moment is not None and moment > about.time


def same_partition(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a partition is as it is wanted."""
    return (
        found.get("Parameters") == wanted["Parameters"]
        and of_glue(found) == of_glue(wanted)
        and found["StorageDescriptor"].get("Location") == wanted["StorageDescriptor"]["Location"]
    )


def absent(table: Mapping[str, Any]) -> list[str]:
    """List the columns of which it has been said that a snapshot does not have them."""
    try:
        listed = json.loads(table.get("Parameters", {}).get(ABSENT, "[]"))
    except ValueError:
        return []
    return [str(one) for one in listed] if isinstance(listed, list) else []


def as_absent(columns: Iterable[str]) -> str:
    """Write what ``absent`` reads."""
    return json.dumps(sorted(set(columns)), ensure_ascii=False)


def oldest_readable(now: datetime, readable_days: int) -> str:
    """Give the first date of whose partitions none can be over: an object is not older than its snapshot.

    A day is added, since dates are those of a time zone.
    """
    return (now - timedelta(days=readable_days) + timedelta(days=1)).strftime("%Y-%m-%d")


def is_over(partition: Mapping[str, Any], now: datetime, readable_days: int) -> bool:
    """Tell whether S3 has archived or deleted the objects of a partition by now; never of one that somebody else made.

    S3's lifecycle counts from an object's creation, and acts at the next midnight UTC.

    :param partition: as Glue has it.
    :param now: present moment.
    :param readable_days: of the settings.
    """
    exported_at = _moment(partition.get("Parameters", {}).get(EXPORTED_AT))
    if exported_at is None:
        return False
    due = exported_at.astimezone(UTC) + timedelta(days=readable_days)
    return now >= due.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def count_query(database: str, tables: Iterable[str], date: str) -> str:
    """Write the SQL for Athena that counts the rows of tables at a date: columns ``table_name`` and ``row_count``.

    :param database: of Glue.
    :param tables: of Glue.
    :param date: ``YYYY-MM-DD``.
    """
    counts = [
        f'SELECT \'{table}\' AS table_name, count(*) AS row_count FROM "{database}"."{table}" '  # noqa: S608 - names of Glue
        f"WHERE {PARTITION} = '{date}'"
        for table in sorted(tables)
    ]
    return "\nUNION ALL\n".join(counts)


def _free(name: str, source: str, taken: set[str]) -> str:
    if name not in taken and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(source.encode()).hexdigest()
    for length in range(_DIGEST, len(digest), _DIGEST):
        other = f"{name[: _LONGEST_NAME - length - 1]}_{digest[:length]}"
        if other not in taken:
            return other
    raise ValueError(f"{source}: no name is free for it")  # 7 tables have its hash


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
