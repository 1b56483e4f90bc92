"""Exports as RDS leaves them in S3: AWS's layout, its JSON files, its types; and ways to harm them."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from aurora_ops.core.exports import names

BUCKET, REGION, EXPORT = "exported", "eu-west-1", "shop"
ACCOUNTS = {
    "source": {"aws_conn_id": "aws_source", "region": REGION},
    "target": {"aws_conn_id": "aws_destination", "region": REGION},
}
HOME = {"environment": "staging", "home_conn_id": "aws_orchestrator", "home_region": REGION}
_SPACE = uuid.UUID("7d1bdb4e-3f0e-4c89-9d3b-6a9b3f1f7f10")

Columns = list[tuple[str, str, pa.DataType]]
ORDERS: Columns = [("id", "int", pa.int32()), ("Total", "decimal", pa.decimal128(10, 2)), ("note", "char", pa.binary())]


def settings(**changes: Any) -> dict[str, Any]:
    """The section of exports, of one database."""
    return {"state_table": "states", "databases": [{"name": EXPORT, "cluster": "prod-shop", **changes}]}


def parquet(columns: Columns, rows: int, *, start: int = 0) -> bytes:
    """A file of some rows, without Arrow's own schema, as AWS writes it."""
    arrays = [_array(kind, range(start, start + rows)) for _, _, kind in columns]
    table = pa.table(arrays, schema=pa.schema([(name, kind) for name, _, kind in columns]))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="gzip", store_schema=False, store_decimal_as_integer=True)
    return sink.getvalue()


def _array(kind: pa.DataType, values: range) -> pa.Array:
    if pa.types.is_binary(kind):
        return pa.array([str(value).encode() for value in values], kind)
    if pa.types.is_string(kind) or pa.types.is_decimal(kind):
        return pa.array([str(value) for value in values]).cast(kind)
    return pa.array(list(values), pa.int64()).cast(kind)


def entry(source: str, columns: Columns, **changes: Any) -> dict[str, Any]:
    """An entry of ``perTableStatus``."""
    mappings = [
        {"columnName": name, "originalType": kind, "expectedExportedType": str(arrow)} for name, kind, arrow in columns
    ]
    pieces = {"numberOfPartitions": 1, "numberOfCompletedPartitions": 1}
    return {
        "tableStatistics": {"extractionStartTime": None, "partitioningInfo": pieces},
        "schemaMetadata": {"originalTypeMappings": mappings},
        "status": "COMPLETE",
        "sizeGB": 0.0,
        "target": source,
        **changes,
    }


@dataclass
class Table:
    """A table of an export.

    :param rows: rows of each file.
    """

    source: str
    columns: Columns = field(default_factory=lambda: list(ORDERS))
    rows: tuple[int, ...] = (2,)
    batches: int = 1
    changes: dict[str, Any] = field(default_factory=dict)
    target: str | None = None

    @property
    def folder(self) -> str:
        database = self.source.split(".", 1)[0]
        return f"{names_in_key(database)}/{names_in_key(self.source)}"


def names_in_key(name: str) -> str:
    for character in '\\`" ':
        name = name.replace(character, "_")
    return name


class StoredExports:
    """A bucket, a key, and exports in it."""

    def __init__(self, session: Any) -> None:
        self.s3, self.glue, self.kms = (session.client(name) for name in ("s3", "glue", "kms"))
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.key_arn = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.kms.create_alias(AliasName=names.alias(EXPORT), TargetKeyId=self.key_arn)

    def put(self, key: str, body: bytes = b"", **changes: Any) -> str:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key_arn, **changes}
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **{k: v for k, v in encryption.items() if v is not None})
        return key

    def write(
        self, *tables: Table, date: str = "2026-06-01", hour: int = 2, task: str = "task", **more: Any
    ) -> dict[str, Any]:
        """Write an export; what ``export_snapshot`` returns of it."""
        snapshot = f"arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:rds:prod-shop-{date}-{hour:02d}-00"
        path = f"exports/db={EXPORT}/snapshot_date={date}/{task}/"
        for table in tables:
            for number, rows in enumerate(table.rows):
                batch = number % table.batches + 1
                file = f"part-{number * 3:05d}-{uuid.uuid5(_SPACE, table.source)}-c000.gz.parquet"
                self.put(f"{path}{table.folder}/{batch}/{file}", parquet(table.columns, rows, start=number * 1000))
            for batch in range(1, table.batches + 1):
                self.put(f"{path}{table.folder}/{batch}/_SUCCESS")
        self.tell(path, task, [entry(table.target or table.source, table.columns, **table.changes) for table in tables])
        return {
            "database": EXPORT,
            "snapshot_arn": snapshot,
            "snapshot_time": f"{date}T{hour:02d}:00:00+00:00",
            "date": date,
            "task_id": task,
            "bucket": BUCKET,
            "prefix": path.removesuffix(f"/{task}/"),
            "path": path,
            "gib": 0.0,
            "skipped": [],
            "warnings": [],
            "started_at": f"{date}T{hour:02d}:10:00+00:00",
            "ended_at": f"{date}T{hour:02d}:40:00+00:00",
            **more,
        }

    def tell(self, path: str, task: str, entries: list[dict[str, Any]], each: int = 1000) -> None:
        """Write the JSON files."""
        about = {"exportTaskIdentifier": task, "status": "COMPLETE", "percentProgress": 100, "kmsKeyId": self.key_arn}
        self.put(f"{path}export_info_{task}.json", json.dumps(about).encode())
        for start in range(0, len(entries), each):
            some = entries[start : start + each]
            name = f"export_tables_info_{task}_from_{start + 1}_to_{start + len(some)}.json"
            self.put(f"{path}{name}", json.dumps({"perTableStatus": some}).encode())

    def keys(self, path: str) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=path).get("Contents", [])]

    def parts(self, exported: dict[str, Any], source: str) -> list[str]:
        return [key for key in self.keys(exported["path"]) if f"/{source}/" in key and key.endswith(".parquet")]

    def read(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def table(self, name: str) -> dict[str, Any]:
        return dict(self.glue.get_table(DatabaseName=EXPORT, Name=name)["Table"])

    def columns(self, name: str) -> dict[str, str]:
        return {one["Name"]: one["Type"] for one in self.table(name)["StorageDescriptor"]["Columns"]}

    def partitions(self, name: str) -> dict[str, dict[str, Any]]:
        found = self.glue.get_partitions(DatabaseName=EXPORT, TableName=name)["Partitions"]
        return {one["Values"][0]: one for one in found}
