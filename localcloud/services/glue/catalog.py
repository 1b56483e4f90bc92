"""Glue's Data Catalog with the rules that moto lacks: names in small letters, pages, versions, partitions that fit."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, EmptyResult
from moto.glue.exceptions import GlueClientError, PartitionAlreadyExistsException, PartitionNotFoundException
from moto.glue.models import FakePartition, FakeTable
from moto.glue.responses import GlueResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PARTITIONS = 1000
MOST_TABLES = 100
MOST_CREATED = 100
MOST_DELETED = 25
MOST_READ = 1000
LONGEST_NAME = 255


class InvalidInput(GlueClientError):  # noqa: N818 - named after AWS's InvalidInputException
    """What was given is wrong.

    :param message: what of it.
    """

    def __init__(self, message: str) -> None:
        super().__init__("InvalidInputException", message)


class LocalTable(FakeTable):
    """A table whose versions are counted from 0, as Glue does."""

    __module__ = "moto.glue.models"

    def __init__(
        self,
        database_name: str,
        table_name: str,
        table_input: dict[str, Any],
        catalog_id: str,
        open_table_format_input: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(database_name, table_name, table_input, catalog_id, open_table_format_input)
        self._current_version = 0
        self.versions = {"0": next(iter(self.versions.values()))}
        self.updated_time = self.created_time

    @property
    def current(self) -> dict[str, Any]:
        """``TableInput`` of the version in force."""
        return self.versions[str(self._current_version)]

    @property
    def keys(self) -> list[str]:
        """Names of the partition columns."""
        return [one["Name"] for one in self.current.get("PartitionKeys") or []]

    def replace(self, table_input: dict[str, Any], *, archive: bool) -> None:
        """Change the table.

        :param archive: whether the former version is kept.
        """
        former = str(self._current_version)
        self.update(table_input)
        if not archive:
            del self.versions[former]

    def delete_version(self, version_id: str) -> None:
        """Forget an old version.

        :raises InvalidInput: it is the one in force.
        """
        self.get_version(version_id)
        if version_id == str(self._current_version):
            raise InvalidInput("Cannot delete the current version of a table")
        super().delete_version(version_id)

    def create_partition(self, partiton_input: dict[str, Any]) -> None:
        """Register a partition.

        :raises InvalidInput: it has not one value for each partition column.
        """
        self.check(partiton_input)
        super().create_partition(partiton_input)

    def check(self, given: dict[str, Any]) -> None:
        """Make sure that a partition has one value for each partition column.

        :raises InvalidInput: it has not.
        """
        if len(given.get("Values") or []) != len(self.keys):
            raise InvalidInput("The number of partition keys do not match the number of partition values")

    def update_partition(self, old_values: Any, partiton_input: dict[str, Any]) -> None:
        """Change a partition; one that cannot become what is wanted stays as it was."""
        self.check(partiton_input)
        old, new = str(old_values), str(partiton_input["Values"])
        if old not in self.partitions:
            raise PartitionNotFoundException
        if old != new and new in self.partitions:
            raise PartitionAlreadyExistsException
        changed = FakePartition(self.database_name, self.name, partiton_input)
        self.partitions = {
            (new if key == old else key): (changed if key == old else held) for key, held in self.partitions.items()
        }


class LocalGlueResponse(GlueResponse):
    """moto's answers, where localcloud has others."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What was given; names of databases and tables in small letters, as Glue keeps them."""
        given: dict[str, Any] = json.loads(self.body)
        action = str(self._get_action())
        for name in ("DatabaseName", "TableName"):
            if isinstance(given.get(name), str):
                given[name] = given[name].lower()
        if isinstance(given.get("Name"), str) and action.endswith(("Database", "Table")):
            given["Name"] = given["Name"].lower()
        for part in ("DatabaseInput", "TableInput"):
            if isinstance(given.get(part), dict):
                given[part]["Name"] = _name(str(given[part].get("Name") or "")).lower()
        if action == "BatchDeleteTable":
            given["TablesToDelete"] = [one.lower() for one in given["TablesToDelete"]]
        return given

    def _table(self) -> LocalTable:
        given = self.parameters
        table = self.glue_backend.get_table(given["DatabaseName"], given["TableName"])
        assert isinstance(table, LocalTable)
        return table

    def get_databases(self) -> ActionResult:
        """GetDatabases."""
        found = [one.as_dict() for one in self.glue_backend.get_databases()]
        return self._page("DatabaseList", found, MOST_TABLES)

    def get_tables(self) -> ActionResult:
        """GetTables."""
        given = self.parameters
        found = self.glue_backend.get_tables(given["DatabaseName"], given.get("Expression"))
        return self._page("TableList", [one.as_dict() for one in found], MOST_TABLES)

    def update_table(self) -> ActionResult:
        """UpdateTable."""
        given = self.parameters
        made = given["TableInput"]
        table = self.glue_backend.get_table(given["DatabaseName"], made["Name"])
        assert isinstance(table, LocalTable)
        table.replace(made, archive=not given.get("SkipArchive"))
        return EmptyResult()

    def get_table_versions(self) -> ActionResult:
        """GetTableVersions, the newest first."""
        table = self._table()
        found = [
            {"Table": table.as_dict(number), "VersionId": number}
            for number in sorted(table.versions, key=int, reverse=True)
        ]
        return self._page("TableVersions", found, MOST_TABLES)

    def batch_delete_table_version(self) -> ActionResult:
        """BatchDeleteTableVersion."""
        table, errors = self._table(), []
        for number in self.parameters["VersionIds"]:
            try:
                table.delete_version(number)
            except GlueClientError as error:
                detail = {"ErrorCode": error.error_type, "ErrorMessage": error.message}
                errors.append({"TableName": table.name, "VersionId": number, "ErrorDetail": detail})
        return ActionResult({"Errors": errors} if errors else {})

    def get_partitions(self) -> ActionResult:
        """GetPartitions."""
        given = self.parameters
        found = [one.as_dict() for one in self._table().get_partitions(given.get("Expression") or "")]
        segment = given.get("Segment")
        if segment:
            if not 0 <= segment["SegmentNumber"] < segment["TotalSegments"]:
                raise InvalidInput("Segment number must be less than the total number of segments")
            found = found[segment["SegmentNumber"] :: segment["TotalSegments"]]
        if given.get("ExcludeColumnSchema"):
            found = [_without_columns(one) for one in found]
        return self._page("Partitions", found, MOST_PARTITIONS)

    def batch_get_partition(self) -> ActionResult:
        """BatchGetPartition."""
        _at_most(self.parameters["PartitionsToGet"], MOST_READ, "partitionsToGet")
        return super().batch_get_partition()

    def batch_create_partition(self) -> ActionResult:
        """BatchCreatePartition."""
        given = self.parameters["PartitionInputList"]
        _at_most(given, MOST_CREATED, "partitionInputList")
        table = self._table()
        for one in given:
            table.check(one)
        return super().batch_create_partition()

    def batch_update_partition(self) -> ActionResult:
        """BatchUpdatePartition."""
        _at_most(self.parameters["Entries"], MOST_CREATED, "entries")
        return super().batch_update_partition()

    def batch_delete_partition(self) -> ActionResult:
        """BatchDeletePartition."""
        _at_most(self.parameters["PartitionsToDelete"], MOST_DELETED, "partitionsToDelete")
        return super().batch_delete_partition()

    def _page(self, name: str, found: Sequence[dict[str, Any]], limit: int) -> ActionResult:
        given = self.parameters
        most = int(given.get("MaxResults") or limit)
        if not 1 <= most <= limit:
            raise InvalidInput(f"Value '{most}' at 'maxResults' failed to satisfy constraint: give 1 to {limit}")
        try:
            start = int(base64.urlsafe_b64decode(given["NextToken"])) if given.get("NextToken") else 0
        except (ValueError, binascii.Error):
            raise InvalidInput("Invalid NextToken") from None
        told: dict[str, Any] = {name: found[start : start + most]}
        if start + most < len(found):
            told["NextToken"] = base64.urlsafe_b64encode(str(start + most).encode()).decode()
        return ActionResult(told)


def _name(name: str) -> str:
    if not 1 <= len(name) <= LONGEST_NAME or "\n" in name:
        raise InvalidInput(f"the name {name!r} is not legal: 1 to {LONGEST_NAME} characters, none of them a line break")
    return name


def _at_most(items: Sequence[Any], most: int, name: str) -> None:
    if len(items) > most:
        raise InvalidInput(
            f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must have length less than"
            f" or equal to {most}"
        )


def _without_columns(told: dict[str, Any]) -> dict[str, Any]:
    storage = {key: value for key, value in (told.get("StorageDescriptor") or {}).items() if key != "Columns"}
    return {**told, "StorageDescriptor": storage}
