"""The data of a task, table by table: Parquet objects in AWS's layout, and what the manifest says of each table.

Memory is bounded by one part: ``ROWS_PER_PART`` rows or ``PART_BYTES`` of values, whichever comes first.
"""

from __future__ import annotations

import io
import logging
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from localcloud.rds.exports import source
from localcloud.rds.exports.manifest import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.connections import Connection

    from localcloud.rds.exports.source import Piece, Table

log = logging.getLogger(__name__)

ROWS_PER_PART = 250_000
PART_BYTES = 64 * 2**20
ROWS_AT_A_TIME = 20_000
PARTS_PER_BATCH = 4  # a table's folders are numbered from 1
GIB = 2**30
_SPACE = uuid.UUID("6f6c7cba-8d3c-4a64-9c0e-5d2f3b1d7a10")


class ExtractionError(Exception):
    """The task fails; the message is its failure cause."""


@dataclass(frozen=True)
class Wishes:
    """What is to be exported.

    :param only: databases, and tables as ``database.table``; empty for everything.
    """

    only: tuple[str, ...] = ()

    def includes(self, table: Table) -> bool:
        """Whether a table is asked for."""
        return not self.only or table.database in self.only or table.target in self.only

    def missing(self, tables: list[Table]) -> list[str]:
        """List what is asked for but not there."""
        there = {table.target for table in tables} | {table.database for table in tables}
        return [name for name in self.only if name not in there]


@dataclass(frozen=True)
class Extraction:
    """What becomes of the data of one task.

    :param connect: makes connections to the data.
    :param seed: from which the names of objects follow, so that a task that begins anew after a restart writes the same ones.
    :param put: writes an object, by its key below the task's folder; raises what ends the extraction.
    :param progress: told after each part: how many tables are over (with a fraction), of how many, and how many bytes were read.
    """

    connect: Callable[[], Connection[Any]]
    seed: str
    put: Callable[[str, bytes], None]
    progress: Callable[[float, int, int], None]

    def run(self, wishes: Wishes) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, str]]]]:
        """Write every table.

        :return: entries of ``perTableStatus``, and warnings.
        :raises ExtractionError: the task fails.
        """
        with self.connect() as connection:
            everything = source.tables(connection)
        wanted = [table for table in everything if wishes.includes(table)]
        missing = wishes.missing(everything)
        if wishes.only and not wanted:
            raise ExtractionError(f"None of what ExportOnly names is in the source: {', '.join(missing)}.")
        warnings: dict[str, list[dict[str, str]]] = {
            "skippedTables": [],
            "skippedObjectives": [{"target": name, "reason": "NOT_FOUND"} for name in missing],
            "general": [],
        }
        entries = []
        for number, table in enumerate(wanted):
            if table.problem:
                warnings["skippedTables"].append({"target": table.target, "reason": table.problem})
                entries.append(
                    {"status": "SKIPPED", "target": table.target, "warningMessage": [{"reason": table.problem}]}
                )
                continue
            entries.append(self._table(table, number, len(wanted)))
        return entries, warnings

    def _table(self, table: Table, number: int, count: int) -> dict[str, Any]:
        began, size = time.time(), 0
        folder = f"{table.database}/{table.target}"
        run = uuid.uuid5(_SPACE, f"{self.seed} {table.target}")
        with self.connect() as connection:
            pieces = source.pieces(connection, table, ROWS_PER_PART)
            folders, more = {1}, 0
            for place, piece in enumerate(pieces):
                for nth, (data, read) in enumerate(self._parts(connection, table, piece)):
                    more += nth > 0  # the piece is larger than a part: those behind it move on
                    part = piece.number + more
                    folders.add(1 + part // PARTS_PER_BATCH)
                    self.put(f"{folder}/{1 + part // PARTS_PER_BATCH}/part-{part:05d}-{run}-c000.gz.parquet", data)
                    size += read
                    self.progress(number + (place + 1) / len(pieces), count, read)
        for batch in folders:
            self.put(f"{folder}/{batch}/_SUCCESS", b"")
        self.progress(number + 1, count, 0)
        return {
            "tableStatistics": {
                "extractionStartTime": moment(began),
                "extractionEndTime": moment(time.time()),
                "partitioningInfo": {
                    "numberOfPartitions": max(1, len(pieces)),
                    "numberOfCompletedPartitions": max(1, len(pieces)),
                },
            },
            "schemaMetadata": {"originalTypeMappings": [column.mapping for column in table.columns]},
            "status": "COMPLETE",
            "sizeGB": size / GIB,
            "target": table.target,
        }

    def _parts(self, connection: Connection[Any], table: Table, piece: Piece) -> Iterator[tuple[bytes, int]]:
        """Yield the Parquet files of a piece, none if it has no rows, each with the bytes of its values in memory."""
        schema = pa.schema([(column.name, column.arrow) for column in table.columns])
        sink, size, rows = io.BytesIO(), 0, 0
        writer: pq.ParquetWriter | None = None
        for batch in source.read(connection, table, piece, ROWS_AT_A_TIME):
            rows_of = _arrow(table, schema, batch)
            if writer is None:
                writer = _writer(sink, schema)
            writer.write_table(rows_of)
            size += rows_of.nbytes
            rows += len(batch)
            if rows >= ROWS_PER_PART or size >= PART_BYTES:
                writer.close()
                yield sink.getvalue(), size
                sink, size, rows, writer = io.BytesIO(), 0, 0, None
        if writer is not None:
            writer.close()
            yield sink.getvalue(), size


def _arrow(table: Table, schema: pa.Schema, batch: list[tuple[Any, ...]]) -> pa.Table:
    values = zip(table.columns, zip(*batch, strict=True), strict=True)
    return pa.table([column.array(list(of_column)) for column, of_column in values], schema=schema)


def _writer(sink: io.BytesIO, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink, schema, compression="gzip", compression_level=1, store_schema=False, store_decimal_as_integer=True
    )
