"""Queries through Athena's API, over Parquet that a test writes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.names import STAGING
from tests.local.cloud.databases import until

SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}


def parquet(**columns: Any) -> bytes:
    """A file of Parquet; a column is a list of values, or of Arrow."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def columns_of(columns: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in columns.items()]


@dataclass
class Lake:
    """A bucket, a database and Athena, of one account, as the root or as a role."""

    s3: Any
    glue: Any
    athena: Any
    bucket: str
    database: str

    @classmethod
    def make(cls, cloud: Any, account: str = STAGING) -> Lake:
        name = f"lake-{uuid4().hex[:8]}"
        s3, glue = cloud.admin(account, "s3"), cloud.admin(account, "glue")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        database = name.replace("-", "_")
        glue.create_database(DatabaseInput={"Name": database})
        return cls(s3, glue, cloud.admin(account, "athena"), name, database)

    @classmethod
    def make_database(cls, lake: Lake, suffix: str) -> Lake:
        """Another database over the same bucket."""
        database = f"{lake.database}_{suffix}"
        lake.glue.create_database(DatabaseInput={"Name": database})
        return cls(lake.s3, lake.glue, lake.athena, lake.bucket, database)

    @property
    def results(self) -> str:
        return f"s3://{self.bucket}/results/"

    def put(self, key: str, content: bytes, **more: Any) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, **more)

    def storage(self, prefix: str, columns: dict[str, str]) -> dict[str, Any]:
        location = f"s3://{self.bucket}/{prefix}"
        return {
            "Columns": columns_of(columns),
            "Location": location,
            "SerdeInfo": {"SerializationLibrary": SERDE},
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        }

    def table(self, name: str, columns: dict[str, str], keys: dict[str, str] | None = None, **more: Any) -> None:
        """A table at the prefix of its name."""
        self.glue.create_table(
            DatabaseName=self.database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "PartitionKeys": columns_of(keys or {}),
                "StorageDescriptor": self.storage(f"{name}/", columns),
                **more,
            },
        )

    def partition(self, table: str, values: list[str], prefix: str, columns: dict[str, str]) -> None:
        self.glue.create_partition(
            DatabaseName=self.database,
            TableName=table,
            PartitionInput={"Values": values, "StorageDescriptor": self.storage(prefix, columns)},
        )

    def start(self, query: str, *parameters: str, athena: Any = None, **more: Any) -> str:
        given = {"ExecutionParameters": list(parameters)} if parameters else {}
        return str(
            (athena or self.athena).start_query_execution(
                QueryString=query,
                QueryExecutionContext={"Database": self.database},
                ResultConfiguration={"OutputLocation": self.results},
                **given,
                **more,
            )["QueryExecutionId"]
        )

    def ended(self, number: str) -> dict[str, Any]:
        """The execution, when it is over."""

        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.athena.get_query_execution(QueryExecutionId=number)["QueryExecution"])
            return found["Status"]["State"] in ENDED

        assert until(look), found
        return found

    def ask(self, query: str, *parameters: str, **more: Any) -> list[tuple[str | None, ...]]:
        """Rows of a query without the names of its columns."""
        number = self.start(query, *parameters, **more)
        found = self.ended(number)
        assert found["Status"]["State"] == "SUCCEEDED", found["Status"].get("StateChangeReason")
        rows = self.rows(number)
        return rows[1:] if found["StatementType"] == "DML" else rows

    def rows(self, number: str) -> list[tuple[str | None, ...]]:
        pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=number)
        return [
            tuple(one.get("VarCharValue") for one in row["Data"]) for page in pages for row in page["ResultSet"]["Rows"]
        ]

    def fails(self, query: str, *parameters: str, **more: Any) -> str:
        """Why a query failed."""
        found = self.ended(self.start(query, *parameters, **more))
        assert found["Status"]["State"] == "FAILED", found
        return str(found["Status"]["StateChangeReason"])
