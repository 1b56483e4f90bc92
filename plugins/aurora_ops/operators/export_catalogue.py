"""Making an export's tables known to Athena: database, tables, one partition for each date of snapshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core.errors import AuroraOpsError, PermanentError, TransientError
from aurora_ops.core.exports import catalogue, columns
from aurora_ops.core.exports.catalogue import Known
from aurora_ops.core.exports.contents import Exported, skipped
from aurora_ops.core.settings_exports import ExportedDatabase
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.hooks.exported_objects import ExportedObjectsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.export_tables import Cataloguer, Placed, Wanted
from aurora_ops.operators.exported import OneExportOperator, bounded, each, read_whole, snapshot_of

CATALOGUES: tuple[str, ...] = (
    "s3:ListBucket",
    "s3:GetObject",
    "kms:Decrypt",
    "glue:GetDatabase",
    "glue:CreateDatabase",
    "glue:GetTables",
    "glue:GetTable",
    "glue:CreateTable",
    "glue:UpdateTable",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:BatchCreatePartition",
    "glue:UpdatePartition",
    "glue:BatchDeletePartition",
)

_MOST_TOLD = 50
_MOST_NAMED = 20


class CatalogueExportOperator(OneExportOperator[ExportedObjectsHook]):
    """Make sure that Athena finds an export: database, tables, and the partition of its date in each.

    Columns are those of the Parquet files, of one of each table, named as in Glue's manifest of types (``core.exports.columns``);
    tables get the columns that they did not have (``CreateTable``, ``UpdateTable`` of the version that was read), partitions have
    those of their own files and are at the export's folder of the table (``BatchCreatePartition``, ``UpdatePartition``). Athena
    leaves out what begins with an underscore, so ``_SUCCESS`` does no harm there, and the JSON files are in no table's folder.

    The newest snapshot of a date stands for it: one that arrives later and is older changes nothing. Where columns have changed so
    that no table reads both, the snapshot goes to a further table, and the report says so. Partitions whose objects S3 has archived
    or deleted by now are deleted (``BatchDeletePartition``) or warned of, as ``archived_partitions`` says; tables never are.

    Skips itself where the settings have a crawler do this.

    :param verified: result of ``verify_export`` (templated).
    :return: ``{"database", "tables", "partitions", "drift", "dropped", "warnings", "smoke"}``: how many tables the export has, how
        many partitions were made or changed, texts, how many partitions were deleted, texts, and ``{"query", "rows"}``: SQL that
        counts the largest tables, and what each must have; ``query`` is ``None`` where there is nothing to count.
    :raises PermanentError: a table could not be put into the catalogue; each is named, the others were.
    :raises TransientError: the same, where trying again may help.
    """

    hook_class = ExportedObjectsHook
    permissions: ClassVar[tuple[str, ...]] = CATALOGUES
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": CATALOGUES, "target": CATALOGUES}
    template_fields = (*OneExportOperator.template_fields, "verified")

    def __init__(self, *, verified: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verified = verified

    def look(self, about: ExportedDatabase, context: Context) -> Result:
        """Read columns, make tables and partitions, drop what is over."""
        if about.catalogue.by != "manifest":
            raise AirflowSkipException(f"catalogue.by of {about.name} is {about.catalogue.by}")
        snapshot = snapshot_of(self.exported)
        wanted, warnings = self._wanted()
        glue = CatalogueHook(self.aws_conn_id, self.region_name)
        glue.require_database(about.glue_database)
        there = glue.list_tables(about.glue_database)
        sources = [(one.database, one.table) for one, _ in wanted]
        named = catalogue.table_names(about.name, sources, [catalogue.known(table) for table in there])
        cataloguer = Cataloguer(glue, about.glue_database, snapshot, there, named)
        placed = self._place(cataloguer, [table for _, table in wanted])
        dropped, over = self._drop(glue, about, [catalogue.known(table) for table in there])
        outcomes = Counter(one.outcome for one in placed)
        drift = [text for one in placed for text in one.drift]
        warnings += over
        if outcomes["stands"]:
            warnings.append(
                f"{outcomes['stands']} tables have a newer snapshot of {snapshot.date}, which stands for that day"
            )
        for text in drift + warnings:
            self.log.warning("%s", text)
        return {
            "database": about.glue_database,
            "tables": len(placed),
            "partitions": outcomes["made"] + outcomes["changed"],
            "drift": bounded(drift, _MOST_TOLD),
            "dropped": dropped,
            "warnings": bounded(warnings, _MOST_TOLD),
            "smoke": self._smoke(about, snapshot.date, placed),
        }

    def _wanted(self) -> tuple[list[tuple[Exported, Wanted]], list[str]]:
        """Read the columns of each table from the end of one of its files; those without rows have what the manifest says."""
        bucket = self.exported["bucket"]
        whole = read_whole(self.hook, self.exported)
        left_out = set(skipped(whole.tables, self.exported.get("skipped") or []))
        tables = [one for one in whole.tables if one.source not in left_out]
        warnings: list[str] = []
        found: list[tuple[Exported, Wanted]] = []
        failed: list[AuroraOpsError] = []
        for one in tables:
            if not one.files.parts:
                own, _ = columns.of_manifest(one.status.columns)
                found.append((one, Wanted(one.source, one.folder.key, tuple(own), has_rows=False)))
        filled = [one for one in tables if one.files.parts]
        for one, ending in each(lambda one: self.hook.ending(bucket, min(one.files.parts)), filled):
            if isinstance(ending, AuroraOpsError):
                failed.append(ending)
                continue
            own, texts = columns.of_file(ending.footer.leaves, one.status.columns)
            warnings += [f"{one.source}: {text}" for text in texts]
            found.append((one, Wanted(one.source, one.folder.key, tuple(own), has_rows=True)))
        _raise(failed)
        return found, warnings

    def _place(self, cataloguer: Cataloguer, wanted: list[Wanted]) -> list[Placed]:
        placed: list[Placed] = []
        failed: list[AuroraOpsError] = []
        for table, found in each(cataloguer.place, wanted):
            if isinstance(found, AuroraOpsError):
                self.log.error("%s: %s", table.source, found)
                failed.append(found)
            else:
                placed.append(found)
        _raise(failed)
        return placed

    def _drop(self, glue: CatalogueHook, about: ExportedDatabase, tables: Iterable[Known]) -> tuple[int, list[str]]:
        """Drop partitions that Athena cannot read any more, or count them; how many, and what to say."""
        days = about.retention.readable_days
        if days is None:
            return 0, []
        now, database = datetime.now(UTC), about.glue_database
        expression = f"{columns.PARTITION} <= '{catalogue.oldest_readable(now, days)}'"
        ours = [one.name for one in tables if one.export == about.name]
        count = 0
        failed: list[AuroraOpsError] = []

        def over(name: str) -> list[list[str]]:
            return [
                list(one["Values"])
                for one in glue.list_partitions(database, name, expression)
                if catalogue.is_over(one, now, days)
            ]

        for name, found in each(over, ours):
            if isinstance(found, AuroraOpsError):
                failed.append(found)
                continue
            count += len(found)
            if found and about.retention.archived_partitions == "drop":
                glue.delete_partitions(database, name, found)
        _raise(failed)
        if not count or about.retention.archived_partitions == "drop":
            return count, []
        text = (
            f"{count} partitions are listed of which S3 has archived or deleted the objects after {days} days: queries find no "
            f"rows there, or fail; archived_partitions: drop takes them away"
        )
        return 0, [text]

    def _smoke(self, about: ExportedDatabase, date: str, placed: list[Placed]) -> dict[str, Any]:
        names = {one.source: one.name for one in placed}
        rows = {
            name: count for source, count in self.verified["largest"].items() if (name := names.get(source)) is not None
        }
        query = catalogue.count_query(about.glue_database, rows, date) if rows else None
        return {"query": query, "rows": rows}


def _raise(failed: list[AuroraOpsError]) -> None:
    """Raise what has failed, bounded."""
    if failed:
        kind = TransientError if any(isinstance(exc, TransientError) for exc in failed) else PermanentError
        raise kind("\n".join(f"- {text}" for text in bounded([str(exc) for exc in failed], _MOST_NAMED)))
