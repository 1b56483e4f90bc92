"""A crawl: looks at the objects of a crawler's targets, and brings the catalogue up to date."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError

from localcloud.services.athena.asking import Asking
from localcloud.services.athena.catalog import Catalog
from localcloud.services.athena.errors import QueryError
from localcloud.services.athena.objects import fetch, listed, split
from localcloud.services.athena.parquet import SERDE, STORAGE, NotParquetError, read_footer
from localcloud.services.glue.catalog import LocalTable
from localcloud.services.glue.grouping import File, Found, distinguished, excluded, merged, table_name, tables

if TYPE_CHECKING:
    from localcloud.services.glue.crawlers import LocalCrawler

INHERIT = "InheritFromTable"
MADE_BY, GONE = "UPDATED_BY_CRAWLER", "DEPRECATED_BY_CRAWLER"
OTHER_KINDS = {".json": "json", ".csv": "csv"}


class CrawlError(Exception):
    """The crawl fails; the text is its message."""


@dataclass
class Changes:
    """What a crawl changed."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    partitions: int = 0


class Crawl:
    """One crawl of a crawler.

    :param crawler: as it was when the crawl began.
    :param asking: its role.
    """

    def __init__(self, crawler: LocalCrawler, asking: Asking) -> None:
        self._crawler, self._asking = crawler, asking
        self._catalog = Catalog(asking, crawler.database_name)
        self._settings: dict[str, Any] = json.loads(crawler.configuration or "{}")
        self._policy = crawler.policy
        self.changes = Changes()

    def look(self, scratch: Path) -> list[tuple[str, Found]]:
        """Look at the objects: target and table of each that is found.

        :raises CrawlError: they cannot be read.
        """
        grouping = self._settings.get("Grouping") or {}
        level = int(grouping.get("TableLevelConfiguration") or 0)
        combine = grouping.get("TableGroupingPolicy") == "CombineCompatibleSchemas"
        found = []
        scratch.mkdir(parents=True, exist_ok=True)
        for target in self._crawler.targets["S3Targets"]:
            path = target["Path"].rstrip("/")
            try:
                files = self._files(path, target.get("Exclusions") or [], scratch)
            except QueryError as error:
                raise CrawlError(str(error)) from None
            _, prefix = split(path)
            # the bucket is level 1
            depth = max(level - 1 - len([part for part in prefix.split("/") if part]), 0) if level else None
            found += [(path, one) for one in tables(files, level=depth, combine=combine)]
        return found

    def _files(self, path: str, exclusions: list[str], scratch: Path) -> list[File]:
        _, prefix = split(path)
        patterns = [excluded(one) for one in exclusions]
        files = []
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for item in listed(path, self._asking):
                key = item.key[len(prefix) :].lstrip("/")
                if any(pattern.fullmatch(key) for pattern in patterns):
                    continue
                copy = Path(folder) / "object"
                fetch(item, copy, self._asking)
                try:
                    footer = read_footer(copy)
                except NotParquetError:
                    files.append(File(key, (), item.size, 0, OTHER_KINDS.get(Path(key).suffix, "UNKNOWN")))
                    continue
                columns = tuple((one.name.lower(), one.glue) for one in footer.columns)
                files.append(File(key, columns, item.size, footer.rows))
        return files

    def note(self, found: list[tuple[str, Found]]) -> None:
        """Bring the catalogue up to date; under Glue's lock.

        :raises CrawlError: it may not be changed.
        """
        database = self._crawler.database_name
        glue = self._crawler.backend
        if database not in glue.databases:
            raise CrawlError(f"Database {database} not found.")
        try:
            seen = {self._table(target, one) for target, one in found}
            self._gone(seen)
        except (QueryError, JsonRESTError) as error:
            raise CrawlError(str(error)) from None

    def _table(self, target: str, found: Found) -> str:
        """Make or change a table, and its partitions."""
        database = self._crawler.database_name
        held = self._crawler.backend.databases[database].tables
        location = f"{target}/{found.folder}".rstrip("/") + ("" if found.kind != "parquet" else "/")
        name = table_name(self._crawler.table_prefix or "", found.folder, target)
        if name in held and held[name].as_dict()["StorageDescriptor"]["Location"].rstrip("/") != location.rstrip("/"):
            name = distinguished(name, location)
        made = self._input(name, location, found)
        if name not in held:
            self._catalog.allow("glue:CreateTable", database, name)
            self._crawler.backend.create_table(database, name, made)
            self.changes.created += 1
        else:
            self._change(held[name], made)
        self._partitions(held[name], target, found)
        return name

    def _change(self, table: Any, made: dict[str, Any]) -> None:
        assert isinstance(table, LocalTable)
        was = table.current
        same = (
            was["StorageDescriptor"].get("Columns") == made["StorageDescriptor"]["Columns"]
            and was.get("PartitionKeys") == made["PartitionKeys"]
            and GONE not in (was.get("Parameters") or {})
        )
        if same or self._policy["UpdateBehavior"] == "LOG":
            return
        self._catalog.allow("glue:UpdateTable", table.database_name, table.name)
        table.replace(made, archive=True)
        self.changes.updated += 1

    def _partitions(self, table: Any, target: str, found: Found) -> None:
        assert isinstance(table, LocalTable)
        if len(found.keys) != len(table.keys) or not found.keys:
            return
        inherits = (self._settings.get("CrawlerOutput") or {}).get("Partitions", {}).get(
            "AddOrUpdateBehavior"
        ) == INHERIT
        self._catalog.allow("glue:BatchCreatePartition", table.database_name, table.name)
        for values, files in found.files.items():
            columns = _told(found.columns if inherits else merged(one.columns for one in files))
            storage = {
                **table.current["StorageDescriptor"],
                "Columns": columns,
                "Location": f"{target}/{found.place(values)}/",
            }
            wanted = {"Values": list(values), "StorageDescriptor": storage, "Parameters": _figures(files)}
            held = table.partitions.get(str(list(values)))
            if held is None:
                table.create_partition(wanted)
                self.changes.partitions += 1
            elif held.partition_input != wanted and self._policy["UpdateBehavior"] != "LOG":
                table.update_partition(list(values), wanted)
        gone = [one for one in table.partitions.values() if tuple(one.values) not in found.files]
        if self._policy["DeleteBehavior"] == "DELETE_FROM_DATABASE":
            for one in gone:
                table.delete_partition(one.values)

    def _gone(self, seen: set[str]) -> None:
        """Treat tables of this crawler whose objects are gone as its policy says."""
        database = self._crawler.database_name
        for name, table in list(self._crawler.backend.databases[database].tables.items()):
            assert isinstance(table, LocalTable)
            parameters = table.current.get("Parameters") or {}
            if name in seen or parameters.get(MADE_BY) != self._crawler.name:
                continue
            if self._policy["DeleteBehavior"] == "DELETE_FROM_DATABASE":
                self._catalog.allow("glue:DeleteTable", database, name)
                self._crawler.backend.delete_table(database, name)
                self.changes.deleted += 1
            elif self._policy["DeleteBehavior"] == "DEPRECATE_IN_DATABASE" and GONE not in parameters:
                self._catalog.allow("glue:UpdateTable", database, name)
                marked = {**parameters, GONE: str(int(time.time() * 1000))}
                table.replace({**table.current, "Parameters": marked}, archive=True)
                self.changes.updated += 1

    def _input(self, name: str, location: str, found: Found) -> dict[str, Any]:
        serde = {"SerializationLibrary": SERDE, "Parameters": {"serialization.format": "1"}}
        if found.kind == "json":
            serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"}
        elif found.kind != "parquet":
            serde = {}
        parameters = {
            **_figures(found.all_files),
            "classification": found.kind,
            "typeOfData": "file",
            "compressionType": "none",
            MADE_BY: self._crawler.name,
            "CrawlerSchemaSerializerVersion": "1.0",
            "CrawlerSchemaDeserializerVersion": "1.0",
        }
        return {
            "Name": name,
            "Owner": "owner",
            "Retention": 0,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": _told([(key, "string") for key in found.keys]),
            "Parameters": parameters,
            "StorageDescriptor": {
                **STORAGE,
                "Columns": _told(found.columns),
                "Location": location,
                "SerdeInfo": serde,
                "Parameters": parameters,
            },
        }


def _told(columns: Any) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in columns]


def _figures(files: list[File]) -> dict[str, str]:
    rows, size = sum(one.rows for one in files), sum(one.size for one in files)
    return {
        "objectCount": str(len(files)),
        "recordCount": str(rows),
        "sizeKey": str(size),
        "averageRecordSize": str(size // rows if rows else 0),
    }
