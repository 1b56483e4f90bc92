"""The scan: personal data in columns that nobody declared, found before anything serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from aurora_ops.core import coverage, mask_rules, masking, shapes
from aurora_ops.core import scan as scanning
from aurora_ops.core.coverage import Covered
from aurora_ops.core.errors import VerificationError
from aurora_ops.core.mask_rules import ColumnRule
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.scan import ColumnFacts
from aurora_ops.core.settings import Scan
from aurora_ops.core.tables import Column, Table, quoted
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators import scan_tables
from aurora_ops.operators.base import Result
from aurora_ops.operators.scan_tables import Found, Job
from aurora_ops.operators.sessions import spread
from aurora_ops.operators.sql import SqlOperator, read_columns, read_keys

COVERAGE_KEY = "coverage"
_MOST_LINES = 100
_REMEDY = "decide about each in include/sql/masking/<schema>/columns.yaml: a masker, or keep: and the reason why values may stay"


class ScanColumnsOperator(SqlOperator):
    """Look for personal data in all columns that can hold text; what is found fails the task, or is warned of.

    Masked columns are looked at too: nothing that the maskers write looks like personal data, so what does is an original.
    Left out are columns that a rule keeps, and tables that are replaced by the target's own rows. Values are counted on the
    server; neither log nor result holds one. Big tables are counted chunk by chunk, and a killed try goes on where it was.

    Beside its result the task leaves the XCom ``coverage``: what is known about every column, for the report.

    :param folders: folders of masking rules; the name of each is its schema.
    :param columns: ``schema.table.column`` names that were proven masked beside the rules (templated).
    :param keep_tables: ``schema.table`` names whose rows are replaced by the target's own (templated).
    :param scan: ``core.settings.Scan`` as a dictionary.
    :return: ``{"columns": count, "scanned": count, "found": {name: {kind: count}}, "warnings": [...]}``, at most 20 of each.
    :raises VerificationError: personal data was found; columns, kinds and counts are named, never values.
    """

    template_fields: Sequence[str] = (*SqlOperator.template_fields, "columns", "keep_tables")

    def __init__(
        self,
        *,
        folders: list[str],
        columns: list[str],
        keep_tables: list[str],
        scan: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folders = folders
        self.columns = columns
        self.keep_tables = keep_tables
        self.scan = scan

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Scan, say what is covered, judge."""
        require_refreshable(self.cluster_id, cluster.tags)
        settings = Scan.model_validate(self.scan)
        login = self.master(cluster)
        rules = {rule.column: rule for folder in self.folders for rule in mask_rules.read_rules(Path(folder))}
        with self.connect(login) as sql:
            sql.run(f"CREATE DATABASE IF NOT EXISTS {quoted(masking.SCRATCH)}", what="scratch schema")
            scan_tables.prepare(sql)
            columns = read_columns(sql)
            jobs = [] if settings.policy == "off" else self._jobs(sql, [facts for facts, _ in columns], rules, settings)
            with self.timing.span("sql", "scan"):
                answers = spread(lambda: MySqlHook(login), settings.connections, jobs, self._scanned(settings))
            found = {column: seen for answer in answers for column, seen in answer.items()}
            covered = [self._covered(facts, declared, rules, found, settings) for facts, declared in columns]
            self._push(context, COVERAGE_KEY, coverage.packed(covered))
            suspicious = {c.column: dict(c.found) for c in covered if c.status == "found"}
            for name, counts in sorted(suspicious.items())[:_MOST_LINES]:
                self.log.warning("%s: %s", name, coverage.described(counts))
            scan_tables.forget(sql)
            if suspicious and settings.policy == "fail":
                raise VerificationError(_said(suspicious))
        warnings = [_said(suspicious)] if suspicious else []
        if settings.policy == "off":
            warnings.append("the scan for personal data is off (database.scan.policy)")
        return {
            "columns": len(covered),
            "scanned": len(found),
            "found": dict(sorted(suspicious.items())[:20]),
            "warnings": warnings,
        }

    def _scanned(self, settings: Scan) -> Any:
        return lambda sql, job: scan_tables.scan_table(sql, job, settings.chunk_rows, self.log.info)

    def _jobs(
        self, sql: MySqlHook, columns: list[ColumnFacts], rules: Mapping[Column, ColumnRule], settings: Scan
    ) -> list[Job]:
        """Decide what to look at: the biggest tables first, so that connections end together."""
        wanted: dict[Table, list[tuple[ColumnFacts, Sequence[shapes.Shape]]]] = {}
        for facts in columns:
            if self._looked_into(facts, rules):
                looks = shapes.chosen(settings.kinds, settings.national_ids, facts.column.name)
                wanted.setdefault(facts.column.table, []).append((facts, looks))
        types = {facts.column: facts.data_type for facts in columns}
        sizes = read_keys(sql)
        jobs = []
        for table, looked_at in wanted.items():
            rows, key = sizes[table]
            keys = [(name, types[Column(table, name)]) for name in key]
            jobs.append(Job(scanning.walk(table, keys), rows, looked_at))
        return sorted(jobs, key=lambda job: -job.rows * len(job.columns))

    def _looked_into(self, facts: ColumnFacts, rules: Mapping[Column, ColumnRule]) -> bool:
        rule = rules.get(facts.column)
        kept = rule is not None and rule.decision == "keep" and str(facts.column) not in self.columns
        return facts.holds != "nothing" and not kept and str(facts.column.table) not in self.keep_tables

    def _covered(
        self,
        facts: ColumnFacts,
        declared_type: str,
        rules: Mapping[Column, ColumnRule],
        found: Mapping[Column, Found],
        settings: Scan,
    ) -> Covered:
        """Say what is known about a column."""
        name, rule = str(facts.column), rules.get(facts.column)
        covered = Covered(name, declared_type, "clean", decided=True)
        if str(facts.column.table) in self.keep_tables:
            return Covered(name, declared_type, "target", decided=True)
        if rule is not None and rule.decision == "keep" and name not in self.columns:
            return Covered(name, declared_type, "kept", str(rule.reason), decided=True)
        if rule is not None and rule.decision != "keep":
            by = rule.masker or rule.decision
            covered = Covered(name, declared_type, "masked", f"{by}, proof: {rule.proof}", decided=True)
        elif name in self.columns:
            covered = Covered(name, declared_type, "masked", "named for this run, proof: values", decided=True)
        elif facts.holds == "nothing":
            return Covered(name, declared_type, "clean", "can hold no text to look for", decided=True)
        elif settings.policy == "off":
            return Covered(name, declared_type, "unscanned")
        else:
            covered = Covered(name, declared_type, "clean")
        seen = found.get(facts.column, Found({}))
        counts = {kind: count for kind, count in seen.counts.items() if count >= settings.min_rows}
        if counts:
            return Covered(name, declared_type, "found", covered.how, counts, covered.decided)
        if seen.no_text and covered.status == "clean":
            return Covered(name, declared_type, "unreadable", f"{seen.no_text} values are no text", {}, covered.decided)
        return covered


def _said(suspicious: Mapping[str, Mapping[str, int]]) -> str:
    each = [f"{name} ({coverage.described(counts)})" for name, counts in sorted(suspicious.items())]
    return f"values that look like personal data are left in {coverage.listed(each)}; {_REMEDY}"
