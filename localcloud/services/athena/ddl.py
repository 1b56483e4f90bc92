"""What statements beside queries do to Glue's catalogue, and what they show of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.glue.models import FakeTable, GlueBackend, glue_backends

from localcloud.services.athena.catalog import NO_VALUE, Catalog, columns_of
from localcloud.services.athena.commands import Command, Spec
from localcloud.services.athena.engine import Result
from localcloud.services.athena.errors import QueryError
from localcloud.services.athena.objects import listed, split
from localcloud.services.athena.parquet import SERDE, STORAGE
from localcloud.services.athena.types import Told, is_known

if TYPE_CHECKING:
    from localcloud.services.athena.asking import Asking

TASK = "FAILED: Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask."
WIDTH = 20


def run_command(command: Command, catalog: Catalog, asking: Asking) -> Result:
    """Do it.

    :raises QueryError: it fails.
    """
    doing = _Doing(command, catalog, asking)
    action = {
        "CREATE DATABASE": doing.create_database,
        "DROP DATABASE": doing.drop_database,
        "CREATE TABLE": doing.create_table,
        "DROP TABLE": doing.drop_table,
        "ADD PARTITION": doing.add_partitions,
        "DROP PARTITION": doing.drop_partitions,
        "MSCK REPAIR TABLE": doing.repair,
        "SHOW DATABASES": doing.show_databases,
        "SHOW TABLES": doing.show_tables,
        "SHOW PARTITIONS": doing.show_partitions,
        "SHOW COLUMNS": doing.show_columns,
        "DESCRIBE": doing.describe,
    }[command.kind]
    with asking.cloud.lock("glue"):
        try:
            result = action()
        except JsonRESTError as error:
            raise QueryError("", f"{TASK} {error.error_type}(message:{error.message})") from None
    asking.cloud.store.later("glue")
    return result


def _nothing() -> Result:
    return Result((), b"", 0)


def _lines(lines: list[str], *names: str) -> Result:
    columns = tuple(Told(name, "string", 0) for name in names)
    return Result(columns, "".join(f"{line}\n" for line in lines).encode(), len(lines))


class _Doing:
    """One statement being done, under Glue's lock."""

    def __init__(self, command: Command, catalog: Catalog, asking: Asking) -> None:
        self._command, self._catalog, self._asking = command, catalog, asking
        self._glue: GlueBackend = glue_backends[asking.account][asking.region]

    def create_database(self) -> Result:
        """CREATE DATABASE."""
        command = self._command
        self._catalog.allow("glue:CreateDatabase", command.name)
        if command.lenient and command.name in self._glue.databases:
            return _nothing()
        told = {"Name": command.name, "Description": command.comment, "LocationUri": command.location}
        self._glue.create_database(command.name, {key: value for key, value in told.items() if value})
        return _nothing()

    def drop_database(self) -> Result:
        """DROP DATABASE."""
        command = self._command
        self._catalog.allow("glue:DeleteDatabase", command.name)
        found = self._glue.databases.get(command.name)
        if found is None and command.lenient:
            return _nothing()
        if found is not None and found.tables and not command.cascade:
            raise QueryError(
                "",
                f"{TASK} InvalidOperationException(message:Database {command.name} is not empty. One or more tables exist.)",
            )
        self._glue.delete_database(command.name)
        return _nothing()

    def create_table(self) -> Result:
        """CREATE EXTERNAL TABLE."""
        command, database = self._command, self._database()
        self._catalog.allow("glue:CreateTable", database, command.name)
        split(command.location)
        for name, kind, _ in (*command.columns, *command.keys):
            if not is_known(kind):
                raise QueryError("", f"FAILED: ParseException the type {kind} of column {name} is not known")
        if command.lenient and command.name in self._glue.get_database(database).tables:
            return _nothing()
        told: dict[str, Any] = {
            "Name": command.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", **command.properties},
            "PartitionKeys": _told(command.keys),
            "StorageDescriptor": {
                **STORAGE,
                "Columns": _told(command.columns),
                "Location": command.location,
                "SerdeInfo": {"SerializationLibrary": SERDE, "Parameters": {"serialization.format": "1"}},
            },
        }
        if command.comment:
            told["Parameters"]["comment"] = command.comment
        self._glue.create_table(database, command.name, told)
        return _nothing()

    def drop_table(self) -> Result:
        """DROP TABLE; the objects stay."""
        command, database = self._command, self._database()
        self._catalog.allow("glue:DeleteTable", database, command.name)
        found = self._glue.databases.get(database)
        if found is None or command.name not in found.tables:
            if command.lenient:
                return _nothing()
            raise self._missing(database)
        self._glue.delete_table(database, command.name)
        return _nothing()

    def add_partitions(self) -> Result:
        """ALTER TABLE ADD PARTITION."""
        database, table = self._table("glue:BatchCreatePartition")
        keys = _keys(table)
        held = {tuple(one.values) for one in table.partitions.values()}
        for spec in self._command.partitions:
            values = self._values(spec, keys)
            if tuple(values) in held:
                if self._command.lenient:
                    continue
                raise QueryError("", f"{TASK} AlreadyExistsException(message:Partition already exists.)")
            self._glue.create_partition(
                database, table.name, partition_of(table, values, spec.location or _place(table, keys, values))
            )
        return _nothing()

    def drop_partitions(self) -> Result:
        """ALTER TABLE DROP PARTITION."""
        database, table = self._table("glue:DeletePartition")
        for spec in self._command.partitions:
            values = self._values(spec, _keys(table))
            if str(values) in table.partitions:
                self._glue.delete_partition(database, table.name, values)  # type: ignore[arg-type]
            elif not self._command.lenient:
                raise QueryError("", f"FAILED: SemanticException [Error 10006]: Partition not found {spec.values}")
        return _nothing()

    def repair(self) -> Result:
        """MSCK REPAIR TABLE: folders named ``key=value`` become partitions; none is removed."""
        database, table = self._table("glue:BatchCreatePartition")
        keys = _keys(table)
        location = str(table.as_dict()["StorageDescriptor"]["Location"])
        bucket, prefix = split(location)
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        found: dict[tuple[str, ...], str] = {}
        for item in listed(location, self._asking):
            folders = item.key[len(prefix) :].split("/")[:-1][: len(keys)]
            pairs = [folder.partition("=") for folder in folders]
            if len(pairs) == len(keys) and all(
                pair[0].lower() == key and pair[1] for pair, key in zip(pairs, keys, strict=True)
            ):
                found[tuple(pair[2] for pair in pairs)] = f"s3://{bucket}/{prefix}{'/'.join(folders)}"
        lines = []
        held = {tuple(one.values) for one in table.partitions.values()}
        for values, place in sorted(found.items()):
            if values not in held:
                self._glue.create_partition(database, table.name, partition_of(table, list(values), place))
                name = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
                lines.append(f"Repair: Added partition to metastore {table.name}:{name}")
        return _lines(lines, "result")

    def show_databases(self) -> Result:
        """SHOW DATABASES."""
        self._catalog.allow("glue:GetDatabases")
        return _lines(self._matching(self._glue.databases), "database_name")

    def show_tables(self) -> Result:
        """SHOW TABLES."""
        database = self._database()
        self._catalog.allow("glue:GetTables", database)
        return _lines(self._matching(self._glue.get_database(database).tables), "tab_name")

    def show_partitions(self) -> Result:
        """SHOW PARTITIONS."""
        _, table = self._table("glue:GetPartitions")
        keys = _keys(table)
        if not keys:
            raise QueryError("", f"FAILED: SemanticException table {table.name} is not a partitioned table")
        names = [
            "/".join(f"{key}={value}" for key, value in zip(keys, one.values, strict=True))
            for one in table.partitions.values()
        ]
        return _lines(sorted(names), "partition")

    def show_columns(self) -> Result:
        """SHOW COLUMNS."""
        _, table = self._table("glue:GetTable")
        return _lines([f"{name:<{WIDTH}}" for name in [one.name for one in _columns(table)] + _keys(table)], "field")

    def describe(self) -> Result:
        """DESCRIBE."""
        _, table = self._table("glue:GetTable")
        keys = columns_of(table.as_dict().get("PartitionKeys"))
        lines = [
            f"{one.name:<{WIDTH}}\t{one.kind:<{WIDTH}}\t{one.comment:<{WIDTH}}" for one in (*_columns(table), *keys)
        ]
        if keys:
            lines += [
                "\t \t ",
                "# Partition Information\t \t ",
                f"{'# col_name':<24}\t{'data_type':<24}\t{'comment':<24}",
                "\t \t ",
            ]
            lines += [f"{one.name:<24}\t{one.kind:<24}\t{one.comment:<24}" for one in keys]
        return _lines(lines, "col_name", "data_type", "comment")

    def _matching(self, names: Any) -> list[str]:
        pattern = self._command.pattern.replace("%", "*")
        wanted = (
            re.compile("|".join(one.replace("*", ".*") for one in pattern.split("|")), re.IGNORECASE)
            if pattern
            else None
        )
        return sorted(name for name in names if wanted is None or wanted.fullmatch(name))

    def _database(self) -> str:
        database = self._command.database or self._catalog.database
        if database not in self._glue.databases:
            raise QueryError("", f"FAILED: SemanticException [Error 10072]: Database does not exist: {database}")
        return database

    def _table(self, action: str) -> tuple[str, FakeTable]:
        database = self._database()
        self._catalog.allow(action, database, self._command.name)
        table = self._glue.databases[database].tables.get(self._command.name)
        if table is None:
            raise self._missing(database)
        return database, table

    def _missing(self, database: str) -> QueryError:
        return QueryError(
            "", f"FAILED: SemanticException [Error 10001]: Table not found {database}.{self._command.name}"
        )

    @staticmethod
    def _values(spec: Spec, keys: list[str]) -> list[str]:
        if sorted(spec.values) != sorted(keys):
            told = ", ".join(f"{key}={value}" for key, value in spec.values.items())
            raise QueryError(
                "",
                f"FAILED: SemanticException partition spec {{{told}}} does not name the partition columns {', '.join(keys)}",
            )
        return [spec.values[key] for key in keys]


def _told(columns: tuple[tuple[str, str, str], ...]) -> list[dict[str, str]]:
    return [
        {"Name": name, "Type": kind, **({"Comment": comment} if comment else {})} for name, kind, comment in columns
    ]


def _columns(table: FakeTable) -> tuple[Any, ...]:
    return columns_of((table.as_dict().get("StorageDescriptor") or {}).get("Columns"))


def _keys(table: FakeTable) -> list[str]:
    return [one.name for one in columns_of(table.as_dict().get("PartitionKeys"))]


def _place(table: FakeTable, keys: list[str], values: list[str]) -> str:
    location = str(table.as_dict()["StorageDescriptor"].get("Location") or "").rstrip("/")
    return "/".join([location, *(f"{key}={value or NO_VALUE}" for key, value in zip(keys, values, strict=True))])


def partition_of(table: FakeTable, values: list[str], location: str) -> dict[str, Any]:
    """Make a partition whose storage is that of its table, elsewhere."""
    return {"Values": values, "StorageDescriptor": {**table.as_dict()["StorageDescriptor"], "Location": location}}
