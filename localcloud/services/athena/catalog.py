"""Tables and partitions of Glue, as a query reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.glue.models import glue_backends

from localcloud.services.athena.errors import QueryError, unsupported
from localcloud.services.athena.types import base, is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.services.athena.asking import Asking

NAME = "awsdatacatalog"
PARQUET = {"org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe", "parquet.hive.serde.ParquetHiveSerDe"}
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"

Place = tuple[int, int] | None


@dataclass(frozen=True)
class Column:
    """A column as Glue has it.

    :param kind: Glue's type.
    """

    name: str
    kind: str
    comment: str = ""


@dataclass(frozen=True)
class Partition:
    """A registered partition.

    :param values: of the partition columns, as texts.
    :param location: ``s3://bucket/prefix``.
    :param columns: that it declares itself; none: those of the table.
    """

    values: tuple[str, ...]
    location: str
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of Glue.

    :param columns: without the partition columns.
    :param keys: partition columns.
    :param partitions: registered ones; of a table without partition columns the table itself.
    :param parameters: properties.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    keys: tuple[Column, ...]
    partitions: tuple[Partition, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns of ``SELECT *``."""
        return self.columns + self.keys


def columns_of(told: list[dict[str, Any]] | None) -> tuple[Column, ...]:
    """Read columns as Glue has them."""
    return tuple(
        Column(one["Name"].lower(), str(one.get("Type") or "string"), str(one.get("Comment") or ""))
        for one in told or []
    )


class Catalog:
    """Glue's Data Catalog of the account that asks.

    :param asking: who asks.
    :param database: where tables without a database are.
    """

    def __init__(self, asking: Asking, database: str) -> None:
        self._asking = asking
        self.database = database.lower()

    def table(self, catalog: str | None, database: str | None, name: str, place: Place) -> Table:
        """Look up a table of Parquet, with its partitions.

        :raises QueryError: there is none, it may not be read, or it is of a kind that localcloud does not read.
        """
        if catalog is not None and catalog.lower() != NAME:
            raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{catalog.lower()}' does not exist", place)
        database, name = (database or self.database).lower(), name.lower()
        if database == "information_schema":
            raise unsupported("information_schema: use SHOW and DESCRIBE", place)
        glue = glue_backends[self._asking.account][self._asking.region]
        self.allow("glue:GetDatabase", database)
        self.allow("glue:GetTable", database, name)
        with self._asking.cloud.lock("glue"):
            found = glue.databases.get(database)
            if found is None:
                raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist", place)
            if name not in found.tables:
                raise QueryError("TABLE_NOT_FOUND", f"Table '{NAME}.{database}.{name}' does not exist", place)
            told = found.tables[name].as_dict()
            registered = [one.as_dict() for one in found.tables[name].partitions.values()]
        keys = columns_of(told.get("PartitionKeys"))
        if keys:
            self.allow("glue:GetPartitions", database, name)
        storage = told.get("StorageDescriptor") or {}
        _check(told, storage, keys)
        columns = columns_of(storage.get("Columns"))
        partitions = (
            tuple(_partition(one) for one in registered)
            if keys
            else (Partition((), str(storage.get("Location") or "")),)
        )
        return Table(database, name, columns, keys, partitions, dict(told.get("Parameters") or {}))

    def allow(self, action: str, database: str = "", table: str = "") -> None:
        """Make sure that who asks may do something with the catalogue.

        :raises QueryError: no.
        """
        prefix = f"arn:aws:glue:{self._asking.region}:{self._asking.account}"
        resources = [f"{prefix}:catalog"]
        if database:
            resources.append(f"{prefix}:database/{database}")
        if table:
            resources.append(f"{prefix}:table/{database}/{table}")
        for resource in resources:
            refusal = self._asking.may(action, resource)
            if refusal is not None:
                raise QueryError("", f"Insufficient permissions to execute the query. {refusal.message}")


def _check(told: dict[str, Any], storage: dict[str, Any], keys: tuple[Column, ...]) -> None:
    """Refuse what localcloud cannot read as Athena would."""
    name = f"{told['DatabaseName']}.{told['Name']}"
    parameters = told.get("Parameters") or {}
    if told.get("TableType") == "VIRTUAL_VIEW":
        raise unsupported(f"views ({name})")
    if str(parameters.get("projection.enabled", "")).lower() == "true":
        raise unsupported(f"partition projection ({name})")
    if parameters.get("table_type"):
        raise unsupported(f"tables of {parameters['table_type']} ({name})")
    serde = str((storage.get("SerdeInfo") or {}).get("SerializationLibrary") or "")
    if serde not in PARQUET:
        raise unsupported(f"tables that are not Parquet ({name}: {serde or 'no SerDe'})")
    for column in (*columns_of(storage.get("Columns")), *keys):
        if not is_known(column.kind):
            text = f"Column '{column.name}' of table '{name}' has a type that Athena does not know: {column.kind}"
            raise QueryError("HIVE_UNSUPPORTED_FORMAT", text)
        if column in keys and base(column.kind) in {"array", "map", "struct", "binary"}:
            raise QueryError("HIVE_INVALID_METADATA", f"Partition column '{column.name}' cannot be {column.kind}")


def _partition(told: dict[str, Any]) -> Partition:
    storage = told.get("StorageDescriptor") or {}
    return Partition(tuple(told["Values"]), str(storage.get("Location") or ""), columns_of(storage.get("Columns")))
