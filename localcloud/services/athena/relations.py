"""Tables as relations of DuckDB: the objects of the partitions that matter, read by the types that Glue declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from localcloud.services.athena.catalog import NO_VALUE
from localcloud.services.athena.errors import QueryError
from localcloud.services.athena.objects import Object, fetch, listed
from localcloud.services.athena.parquet import NotParquetError, read_footer
from localcloud.services.athena.types import base, duckdb_type, fits, read, trino_type

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.services.athena.asking import Asking
    from localcloud.services.athena.catalog import Partition, Table
    from localcloud.services.athena.parquet import Column as FileColumn
    from localcloud.services.athena.translate import Reference

# Which types of a partition Athena converts to those of the table.
WIDER = {
    "tinyint": {"smallint", "int", "bigint"},
    "smallint": {"int", "bigint"},
    "int": {"bigint"},
    "float": {"double"},
}


def quoted(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Reader:
    """Reads tables for one query.

    :param folder: for copies of objects; removed by who made it.
    :param used: names of the columns that the query uses; no others are read, nor looked at.
    :ivar scanned: compressed bytes of these columns.
    :ivar rows: rows of the objects.
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path
    asking: Asking
    used: frozenset[str]
    scanned: int = 0
    rows: int = 0
    _files: dict[str, Path] = field(default_factory=dict)

    def make(self, reference: Reference) -> None:
        """Make the relation that stands for a table in a query."""
        table = reference.table
        restored = str(table.parameters.get("read_restored_glacier_objects", "")).lower() == "true"
        groups: dict[tuple[FileColumn, ...], list[Path]] = {}
        found: list[tuple[Path, Object, Partition]] = []
        for partition in self._chosen(reference):
            _check_columns(table, partition)
            for item in listed(partition.location, self.asking, restored=restored):
                path = self._file(item)
                try:
                    footer = read_footer(path)
                except NotParquetError as error:
                    raise QueryError("HIVE_BAD_DATA", f"Not valid Parquet file: {item.path} {error}") from None
                self.rows += footer.rows
                self.scanned += sum(size for name, size in footer.sizes.items() if name in self.used)
                groups.setdefault(footer.columns, []).append(path)
                found.append((path, item, partition))
                self._check_types(table, footer.columns, item)
        self._note_files(reference, found)
        parts = [self._select(reference, columns, paths) for columns, paths in groups.items()]
        parts = parts or [self._nothing(reference)]
        self.connection.execute(f"CREATE VIEW {reference.name} AS {' UNION ALL '.join(parts)}")

    def _chosen(self, reference: Reference) -> list[Partition]:
        """Partitions whose rows can meet the conditions."""
        table = reference.table
        if not table.keys:
            return list(table.partitions)
        name = f"partitions_of_{reference.name}"
        kinds = "".join(f", {quoted(key.name)} {duckdb_type(key.kind)}" for key in table.keys)
        self.connection.execute(f"CREATE TEMP TABLE {name} (number BIGINT{kinds})")
        for number, partition in enumerate(table.partitions):
            marks = ", ".join("?" for _ in partition.values)
            values = [None if value == NO_VALUE else value for value in partition.values]
            try:
                self.connection.execute(f"INSERT INTO {name} VALUES ({number}, {marks})", values)  # noqa: S608 - own names
            except duckdb.Error:
                text = f"Invalid partition value '{'/'.join(partition.values)}' for {table.database}.{table.name}"
                raise QueryError("HIVE_INVALID_PARTITION_VALUE", text) from None
        numbers = set(range(len(table.partitions)))
        for condition in reference.conditions:
            asked = f"SELECT number FROM {name} AS {quoted(reference.alias)} WHERE {condition}"  # noqa: S608 - translated
            try:
                numbers &= {row[0] for row in self.connection.execute(asked).fetchall()}
            except duckdb.Error:
                continue  # the query itself will say what is wrong with it
        return [partition for number, partition in enumerate(table.partitions) if number in numbers]

    def _file(self, item: Object) -> Path:
        if item.path not in self._files:
            path = self.folder / f"{len(self._files)}.parquet"
            fetch(item, path, self.asking)
            self._files[item.path] = path
        return self._files[item.path]

    def _note_files(self, reference: Reference, found: list[tuple[Path, Object, Partition]]) -> None:
        """Keep what a row has of its file: path, size, values of the partition."""
        keys = reference.table.keys
        kinds = "".join(f", {quoted(key.name)} {duckdb_type(key.kind)}" for key in keys)
        name = f"files_of_{reference.name}"
        self.connection.execute(
            f'CREATE TEMP TABLE {name} (local VARCHAR, "$path" VARCHAR, "$file_size" BIGINT{kinds})'
        )
        for path, item, partition in found:
            values = [None if value == NO_VALUE else value for value in partition.values]
            given = [str(path), item.path, item.size, *values]
            self.connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in given)})", given)  # noqa: S608 - own names

    def _select(self, reference: Reference, columns: tuple[FileColumn, ...], paths: list[Path]) -> str:
        """Read files that have the same columns."""
        by_name = {one.name.lower(): one for one in columns}
        outputs = []
        for column in reference.table.columns:
            held = by_name.get(column.name)
            if column.name not in self.used:
                continue
            value = (
                f"CAST(NULL AS {duckdb_type(column.kind)})"
                if held is None
                else read(held, column.kind, f"r.{quoted(held.name)}")
            )
            outputs.append(f"{value} AS {quoted(column.name)}")
        outputs += [f"f.{quoted(key.name)}" for key in reference.table.keys]
        outputs += ['f."$path"', 'f."$file_size"']
        files = ", ".join(literal(str(path)) for path in paths)
        source = f"read_parquet([{files}], filename = '$local', hive_partitioning = false)"
        join = f'JOIN files_of_{reference.name} f ON f.local = r."$local"'
        return f"SELECT {', '.join(outputs)} FROM {source} r {join}"  # noqa: S608 - quoted names

    def _nothing(self, reference: Reference) -> str:
        table = reference.table
        columns = [(one.name, duckdb_type(one.kind)) for one in table.columns if one.name in self.used]
        columns += [(one.name, duckdb_type(one.kind)) for one in table.keys]
        columns += [("$path", "VARCHAR"), ("$file_size", "BIGINT")]
        return (
            "SELECT " + ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns) + " WHERE false"
        )

    def _check_types(self, table: Table, columns: tuple[FileColumn, ...], item: Object) -> None:
        """Refuse a file whose columns are not of the types that the table declares.

        :raises QueryError: HIVE_BAD_DATA.
        """
        by_name = {one.name.lower(): one for one in columns}
        for column in table.columns:
            held = by_name.get(column.name)
            if held is not None and column.name in self.used and not fits(held, column.kind):
                raise QueryError(
                    "HIVE_BAD_DATA",
                    f"Field {column.name}'s type {held.physical} in parquet file {item.path} is incompatible with type"
                    f" {trino_type(column.kind)} defined in table schema",
                )


def _check_columns(table: Table, partition: Partition) -> None:
    """Refuse a partition that declares a column otherwise than the table.

    :raises QueryError: HIVE_PARTITION_SCHEMA_MISMATCH.
    """
    declared = {one.name: one.kind for one in partition.columns}
    for column in table.columns:
        other = declared.get(column.name, column.kind)
        if trino_type(other) == trino_type(column.kind) or base(column.kind) in WIDER.get(base(other), set()):
            continue
        pairs = zip(table.keys, partition.values, strict=True)
        name = "/".join(f"{key.name}={value}" for key, value in pairs)
        raise QueryError(
            "HIVE_PARTITION_SCHEMA_MISMATCH",
            "There is a mismatch between the table and partition schemas. The types are incompatible and cannot be coerced."
            f" The column '{column.name}' in table '{table.database}.{table.name}' is declared as type '{column.kind}', but"
            f" partition '{name}' declared column '{column.name}' as type '{other}'.",
        )
