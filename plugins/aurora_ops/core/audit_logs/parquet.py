"""Records as Parquet: the columns of the table that people ask, and files of bounded size, the same on every run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_BYTES = 32 * 2**20
MOST_ROWS = 5_000_000
"""Rows of a file: compressed that is some 100 to 500 MB, which Athena reads in parallel by row groups."""

COLUMNS = (
    ("event_time", "timestamp", "when it happened, UTC"),
    ("event_us", "bigint", "the same in microseconds since 1970, of which Athena shows milliseconds only"),
    ("server_host", "string", "instance as the record names it"),
    ("user_name", "string", "user of the database"),
    ("client_host", "string", "where the connection came from"),
    ("connection_id", "bigint", "connection"),
    ("query_id", "bigint", "statement: records of one statement have the same"),
    (
        "operation",
        "string",
        "CONNECT, DISCONNECT, FAILED_CONNECT, QUERY, READ, WRITE, CREATE, ALTER, RENAME, DROP, ...",
    ),
    ("database_name", "string", "database"),
    ("object", "string", "statement of QUERY, table of READ and WRITE"),
    ("return_code", "int", "error number of MySQL, 0: none"),
    ("account_id", "string", "AWS account of the instance"),
    ("region", "string", "its region"),
    ("cluster", "string", "its cluster when the log was stored, none: it had none"),
    ("instance", "string", "its resource id, DbiResourceId, which outlives renaming"),
    ("source_key", "string", "object that holds the log"),
    ("source_offset", "bigint", "where the record begins in the log file; the object begins where its key says"),
    ("raw_length", "int", "bytes of the record in the log"),
    ("raw", "binary", "the record as it was, where it is not UTF-8; else null"),
)
"""Name, type in Athena, and what it is."""

PARTITION = ("day", "string", "day of event_time in UTC, yyyy-mm-dd")


@dataclass(frozen=True)
class Origin:
    """Whose records they are.

    :param account_id: AWS account.
    :param region: region.
    :param instance: resource id.
    """

    account_id: str
    region: str
    instance: str


@dataclass(frozen=True)
class Part:
    """A file of Parquet.

    :param path: where it is.
    :param rows: records in it.
    """

    path: Path
    rows: int


def schema() -> pa.Schema:
    """Name the columns of a file."""
    import pyarrow as pa

    types = {
        "timestamp": pa.timestamp("us", "UTC"),
        "bigint": pa.int64(),
        "int": pa.int32(),
        "string": pa.string(),
        "binary": pa.binary(),
    }
    return pa.schema([(name, types[kind]) for name, kind, _ in COLUMNS])


def write_parts(
    rows: Iterable[pa.Table],
    folder: Path,
    origin: Origin,
    sources: Sequence[tuple[str, str]],
    *,
    most_rows: int = MOST_ROWS,
) -> Iterator[Part]:
    """Write rows to files, one after the other; each is given when it is complete.

    :param rows: tables with the columns of ``columns.schema``, and ``source``, a place in ``sources``.
    :param folder: where the files are written.
    :param origin: whose records they are.
    :param sources: key and cluster of each object that rows come from.
    :param most_rows: rows of a file.
    """
    import pyarrow.parquet as pq

    for number, group in enumerate(_of_most(_groups(rows), most_rows)):
        path = folder / f"{number:03d}.parquet"
        count = 0
        with pq.ParquetWriter(path, schema(), compression="zstd", store_schema=False) as writer:
            for table in group:
                writer.write_table(_shaped(table, origin, sources), row_group_size=max(table.num_rows, 1))
                count += table.num_rows
        yield Part(path, count)


def count_rows(path: Path) -> int:
    """Tell how many rows a file says it has."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join tables until they are worth a row group."""
    import pyarrow as pa

    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= ROW_GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def _of_most(tables: Iterator[pa.Table], most_rows: int) -> Iterator[Iterator[pa.Table]]:
    """Cut what follows one another into files; each must be used up before the next is asked for."""
    rest: list[pa.Table] = []

    def one() -> Iterator[pa.Table]:
        room = most_rows
        while room and (table := rest.pop() if rest else next(tables, None)) is not None:
            if table.num_rows > room:
                rest.append(table.slice(room))
                table = table.slice(0, room)
            room -= table.num_rows
            yield table

    while True:
        if not rest:
            following = next(tables, None)
            if following is None:
                return
            rest.append(following)
        yield one()


def _shaped(table: pa.Table, origin: Origin, sources: Sequence[tuple[str, str]]) -> pa.Table:
    """Give rows the columns of a file."""
    import pyarrow as pa

    keys, clusters = (pa.array(column, pa.string()) for column in zip(*sources, strict=True))
    known: dict[str, Any] = {
        "event_time": table["event_us"].cast(pa.timestamp("us", "UTC")),
        "account_id": pa.repeat(pa.scalar(origin.account_id), table.num_rows),
        "region": pa.repeat(pa.scalar(origin.region), table.num_rows),
        "instance": pa.repeat(pa.scalar(origin.instance), table.num_rows),
        "cluster": clusters.take(table["source"].combine_chunks()),
        "source_key": keys.take(table["source"].combine_chunks()),
        "source_offset": table["offset"],
        "raw_length": table["length"],
    }
    return pa.table([known[name] if name in known else table[name] for name, _, _ in COLUMNS], schema=schema())
