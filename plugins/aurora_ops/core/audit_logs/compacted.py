"""Where records, rejected lines, manifests and reports are kept, and the table that Athena reads.

A day is that on which objects were stored: each object belongs to one, for ever, so a run can be made again and says the same.
Records are kept by the day on which they happened (``day=``), in files named after the day that they were stored on: those of a
night's last minutes are stored on the next day, and what was caught up with may be older.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from aurora_ops.core import glue_tables
from aurora_ops.core.audit_logs.parquet import COLUMNS, PARTITION, Origin


def records_prefix(prefix: str) -> str:
    """Give the beginning of the keys of Parquet files: where the table is."""
    return f"{prefix}/records/"


def parquet_key(prefix: str, happened: date, origin: Origin, stored: date, number: int) -> str:
    """Name a Parquet file.

    :param prefix: of the settings.
    :param happened: day of its records.
    :param origin: whose they are.
    :param stored: day on which the objects were stored that they come from.
    :param number: place among several.
    """
    return f"{records_prefix(prefix)}day={happened}/{_whose(origin)}-{stored}-{number:03d}.parquet"


def rejects_key(prefix: str, origin: Origin, stored: date) -> str:
    """Name the file of lines that are no records: JSON lines, gzip."""
    return f"{prefix}/rejects/day={stored}/{_whose(origin)}.jsonl.gz"


def manifest_key(prefix: str, origin: Origin, stored: date) -> str:
    """Name the manifest of a day."""
    return f"{prefix}/manifests/day={stored}/{_whose(origin)}.json"


def report_key(prefix: str, run: str, suffix: str) -> str:
    """Name the report of a verification.

    :param prefix: of the settings.
    :param run: name of the run that no other has.
    :param suffix: ``html`` or ``json``.
    """
    return f"{prefix}/verifications/{run}.{suffix}"


def table_input(table: str, bucket: str, prefix: str) -> dict[str, Any]:
    """Describe the table (``TableInput`` of AWS Glue)."""
    name, kind, about = PARTITION
    return {
        "Name": table,
        "Description": "Audit records of databases; docs/how-to/audit-logs.md says how to ask it",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": glue_tables.PARAMETERS,
        "PartitionKeys": [glue_tables.column(name, kind, about)],
        "StorageDescriptor": storage(f"s3://{bucket}/{records_prefix(prefix)}"),
    }


def partition_inputs(bucket: str, prefix: str, days: Iterable[str]) -> list[dict[str, Any]]:
    """Describe the partitions of days (``PartitionInput`` of AWS Glue)."""
    where = f"s3://{bucket}/{records_prefix(prefix)}"
    return [{"Values": [day], "StorageDescriptor": storage(f"{where}day={day}/")} for day in sorted(set(days))]


def storage(location: str) -> dict[str, Any]:
    """Describe how the table's files are read (``StorageDescriptor``).

    :param location: S3 URL of their folder.
    """
    return glue_tables.storage([glue_tables.column(*each) for each in COLUMNS], location)


def same_table(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a table is as it is wanted, as far as reading it goes."""
    mine, theirs = wanted["StorageDescriptor"], found.get("StorageDescriptor", {})
    columns = [[(one["Name"], one["Type"]) for one in each.get("Columns", [])] for each in (mine, theirs)]
    return columns[0] == columns[1] and theirs.get("Location") == mine["Location"]


def _whose(origin: Origin) -> str:
    return f"{origin.account_id}-{origin.region}-{origin.instance}"
