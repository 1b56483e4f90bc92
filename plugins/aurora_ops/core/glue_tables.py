"""How AWS Glue describes a folder of Parquet files, for Athena to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"

PARAMETERS = {"EXTERNAL": "TRUE", "classification": "parquet"}
"""What a table's parameters say, so that Athena knows what it is."""


def column(name: str, kind: str, comment: str | None = None) -> dict[str, str]:
    """Describe a column (``Column``)."""
    return {"Name": name, "Type": kind} | ({"Comment": comment} if comment else {})


def storage(columns: Iterable[dict[str, str]], location: str) -> dict[str, Any]:
    """Describe how files are read (``StorageDescriptor``).

    :param columns: as ``column`` describes them.
    :param location: S3 URL of their folder.
    """
    return {
        "Columns": list(columns),
        "Location": location,
        "InputFormat": _INPUT,
        "OutputFormat": _OUTPUT,
        "SerdeInfo": {"SerializationLibrary": _SERDE, "Parameters": {"serialization.format": "1"}},
    }
