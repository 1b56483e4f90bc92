"""Proving that an export is whole: every object of every table, as RDS's manifest tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import console
from aurora_ops.core.errors import AuroraOpsError, MissingError, TransientError, VerificationError
from aurora_ops.core.exports import columns, contents, names
from aurora_ops.core.exports.columns import Column
from aurora_ops.core.exports.contents import Exported, Part
from aurora_ops.core.report import as_json
from aurora_ops.core.run_record import folder
from aurora_ops.core.settings_exports import ExportedDatabase
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.exported_objects import Ending, ExportedObjectsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.links.console import ReportLink
from aurora_ops.operators.base import Result
from aurora_ops.operators.exported import OneExportOperator, Whole, bounded, each, read_whole
from aurora_ops.operators.runs import run_moment, run_name

READS: tuple[str, ...] = ("s3:ListBucket", "s3:GetObject", "kms:Decrypt", "kms:DescribeKey")

_MOST_NAMED = 20
_MOST_TOLD = 50
_LARGEST = 5


class Tally:
    """What the files of an export have, by table; in memory are some numbers and the columns of each.

    :param tables: tables of the manifest.
    :param key_arn: key that the files must be encrypted with.
    """

    def __init__(self, tables: Iterable[Exported], key_arn: str) -> None:
        self._key_arn = key_arn
        self.tables = list(tables)
        self.rows: Counter[str] = Counter({one.source: 0 for one in self.tables})
        self.columns: dict[str, list[Column]] = {}
        self.problems: dict[str, str] = {}
        self._more: Counter[str] = Counter()
        self.warnings: dict[str, None] = {}
        self.transient: list[TransientError] = []

    @property
    def parts(self) -> Iterable[tuple[Exported, Part]]:
        """Every file, with its table."""
        return ((one, part) for one in self.tables for part in one.files.parts)

    def add(self, one: Exported, part: Part, found: Ending | AuroraOpsError) -> None:
        """Take a file in.

        :param one: its table.
        :param part: the file.
        :param found: what was read, or why not.
        """
        if isinstance(found, TransientError):
            self.transient.append(found)
            return
        if isinstance(found, AuroraOpsError):
            self._problem(one, str(found))
            return
        self.rows[one.source] += found.footer.rows
        if not found.encryption.startswith("aws:kms"):
            self._problem(one, f"{part.key} is encrypted by {found.encryption or 'nothing'}, not by KMS")
        elif found.kms_key_id != self._key_arn:
            self._problem(one, f"{part.key} is encrypted by {found.kms_key_id}, not by {self._key_arn}")
        mine, left_out = columns.of_file(found.footer.leaves, one.status.columns)
        if one.source not in self.columns:
            self.columns[one.source] = mine
            known = {leaf.name.lower() for leaf in found.footer.leaves}
            lacking = [column.name for column in one.status.columns if column.name.lower() not in known]
            left_out += [f"column {name} of the manifest is not in the files" for name in lacking]
            self.warnings.update({f"{one.source}: {text}": None for text in left_out})
        elif self.columns[one.source] != mine:
            self._problem(one, f"{part.key} has other columns than the table's other files")

    def _problem(self, one: Exported, text: str) -> None:
        if self.problems.setdefault(one.source, text) is not text:
            self._more[one.source] += 1

    def texts(self) -> list[str]:
        """Say what is wrong with files, one text for each table."""
        return [
            f"{source}: {text}" + (f" (and {self._more[source]} things more)" if self._more[source] else "")
            for source, text in sorted(self.problems.items())
        ]


class VerifyExportOperator(OneExportOperator[ExportedObjectsHook]):
    """Prove that an export is whole, and write down what it has.

    Every object is listed (S3 ``ListObjectsV2``) and compared with RDS's manifest: each table is complete, each batch has its
    ``_SUCCESS``, there is no table that the manifest does not know. Of every Parquet file the end is read (``GetObject`` of a
    range, in threads): a file that was cut off is none any more, the rows are counted, the columns of a table's files are the same,
    and the object is encrypted by the export's key (``DescribeKey`` where the settings name an alias). Tables that RDS has skipped
    fail it only where ``export_only`` or ``least_rows`` name them.

    A COMPLETE task alone proves none of that: it may have skipped tables, and RDS says so in a warning only.

    :param environment: environment of the run.
    :param home_conn_id: connection of the orchestrator's account.
    :param home_region: its region.
    :param report_bucket: bucket there for the list of all tables, as JSON; ``None``: none is written.
    :return: ``{"tables", "rows", "bytes", "files", "empty", "skipped", "warnings", "largest", "report"}``: ``empty``, ``skipped``
        and ``warnings`` are bounded, ``largest`` has the rows of the tables with the most bytes, ``report`` is a URL or ``None``.
    :raises VerificationError: it is not whole; each table is named.
    :raises TransientError: something could not be read, and trying again may help.
    """

    hook_class = ExportedObjectsHook
    permissions: ClassVar[tuple[str, ...]] = READS
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": READS,
        "target": READS,
        "orchestrator": ("s3:PutObject",),
    }
    operator_extra_links = (ReportLink(),)

    def __init__(
        self, *, environment: str, home_conn_id: str, home_region: str, report_bucket: str | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.home_conn_id = home_conn_id
        self.home_region = home_region
        self.report_bucket = report_bucket
        self.links: dict[str, str] = {}

    def look(self, about: ExportedDatabase, context: Context) -> Result:
        """List, compare, read every end, judge, write."""
        bucket = self.exported["bucket"]
        key_arn = self._key_arn(about)
        whole = read_whole(self.hook, self.exported)
        left_out = [str(name) for name in self.exported.get("skipped") or []]
        self.log.info(
            "%d tables, %d folders below %s", len(whole.tables), len(whole.contents.folders), whole.contents.path
        )
        tally = Tally(whole.tables, key_arn)
        for (one, part), found in each(lambda of: self.hook.ending(bucket, of[1]), tally.parts):
            tally.add(one, part, found)
        if tally.transient:
            raise TransientError(f"{len(tally.transient)} files could not be read, such as: {tally.transient[0]}")
        problems = contents.problems(whole.tables, whole.contents, export_only=about.export_only, left_out=left_out)
        skipped = contents.skipped(whole.tables, left_out)
        exported = [one for one in whole.tables if one.source not in skipped]
        problems += tally.texts()
        problems += contents.fewer({one.source: tally.rows[one.source] for one in exported}, about.least_rows)
        report = self._write(context, whole, tally, skipped, problems)
        self._judge(problems, report)
        by_size = sorted(exported, key=lambda one: (-one.files.size, one.source))
        warnings = [*tally.warnings, *(f"{one.source}: {one.status.warning}" for one in exported if one.status.warning)]
        for text in warnings[:_MOST_TOLD]:
            self.log.warning("%s", text)
        return {
            "tables": len(exported),
            "rows": sum(tally.rows[one.source] for one in exported),
            "bytes": sum(one.files.size for one in exported),
            "files": sum(len(one.files.parts) for one in exported),
            "empty": bounded([one.source for one in exported if not one.files.parts], _MOST_TOLD),
            "skipped": bounded(skipped, _MOST_TOLD),
            "warnings": bounded(warnings, _MOST_TOLD),
            "largest": {one.source: tally.rows[one.source] for one in by_size[:_LARGEST] if one.files.parts},
            "report": report,
        }

    def _key_arn(self, about: ExportedDatabase) -> str:
        """Give the ARN of the key that the settings name."""
        named = about.kms_key_id or names.alias(about.name)
        if ":key/" in named:
            return named
        found = KmsHook(self.aws_conn_id, self.region_name).find_key(named)
        if found is None:
            raise MissingError(
                f"kms:DescribeKey {named}: there is no such key in {self.region_name}; correct kms_key_id of {about.name}, or run "
                f"snapshot_export_setup"
            )
        return str(found["Arn"])

    def _write(
        self, context: Context, whole: Whole, tally: Tally, skipped: list[str], problems: list[str]
    ) -> str | None:
        """Write the list of all tables; its URL."""
        if not self.report_bucket:
            return None
        told = {
            **{name: self.exported[name] for name in ("database", "snapshot_arn", "date", "task_id", "bucket", "path")},
            "run": run_name(context["dag_run"]),
            "verified_at": datetime.now(UTC).isoformat(),
            "problems": problems,
            "skipped": skipped,
            "tables": [_row(one, tally) for one in sorted(whole.tables, key=lambda one: one.source)],
        }
        dag_run = context["dag_run"]
        where = folder(self.environment, run_moment(dag_run), run_name(dag_run))
        key = f"{where}/export-{self.exported['task_id']}.json"
        bucket = BucketsHook(self.home_conn_id, self.home_region)
        bucket.put(self.report_bucket, key, as_json(told), "application/json")
        self.links[ReportLink.name] = console.stored_object(self.home_region, self.report_bucket, key)
        return f"s3://{self.report_bucket}/{key}"

    def _judge(self, problems: list[str], report: str | None) -> None:
        if not problems:
            return
        lines = "\n".join(f"- {text}" for text in bounded(problems, _MOST_NAMED))
        raise VerificationError(
            f"export {self.exported['task_id']} in s3://{self.exported['bucket']}/{self.exported['path']} is not whole"
            + (f", see {report}" if report else "")
            + f"; export the snapshot again if its objects were changed:\n{lines}"
        )


def _row(one: Exported, tally: Tally) -> dict[str, Any]:
    """Describe a table for the report."""
    return {
        "table": one.source,
        "status": one.status.status,
        "rows": tally.rows[one.source],
        "bytes": one.files.size,
        "files": len(one.files.parts),
        "batches": len(one.files.batches),
        "folder": one.folder.key,
        "warning": one.status.warning or None,
        "columns": [list(column) for column in tally.columns.get(one.source, [])],
    }
