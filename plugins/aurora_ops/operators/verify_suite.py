"""Verification by a suite: everything that a file names is checked of a cluster, and written down for people and machines."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import baseline, console, report, verification_report
from aurora_ops.core.baseline import Baseline
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import Table
from aurora_ops.core.verification import Finding, Suite, compare_rows, judge
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.links.console import ClusterLink, ReportLink
from aurora_ops.operators.base import Result
from aurora_ops.operators.baseline import ReportingOperator
from aurora_ops.operators.checks import (
    check_foreign_keys,
    check_freshness,
    check_tables,
    check_tls,
    prepare_session,
    run_queries,
)
from aurora_ops.operators.record import versions
from aurora_ops.operators.runs import run_name
from aurora_ops.operators.sql import count_rows, user_tables
from aurora_ops.operators.user_probes import Tried, probe_users, read_targets

SUMMARY_KEY = "verification"
_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.+)")
_LARGEST_BYTES = 64 * 1024 * 1024
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


class VerifySuiteOperator(ReportingOperator):
    """Check a cluster by a suite, write what was found as a page and as JSON to S3, and fail if anything is not as it must be.

    Checked are, as the suite says: TLS, tables, rows and checksums against a baseline, freshness, foreign keys, the validation
    queries, and of each user that it gets in, may do what its rights say and may not do more. Every check is made, whatever the
    others find. Nothing is changed in the cluster, and it needs no tag.

    Beside its result it leaves the XCom ``verification``, which is the same and is there when checks fail too.

    :param users: ``core.users.User`` as dictionaries (templated).
    :param versions: secret id to the version to log in with; ``None`` is what is current (templated).
    :param baseline: ``s3://bucket/key`` in the account of the report, or a file; ``None`` compares with nothing (templated).
    :param moment: when the data was copied, ISO 8601, which freshness counts from; ``None`` is now (templated).
    :param needs_baseline: without a baseline a suite that compares checksums is an error; otherwise the report says that they
        were not compared.
    :return: ``{"checks", "failed", "tables", "rows", "report_uri", "seconds"}``; ``report_uri`` is ``None`` without a bucket.
    :raises ConfigError: suite, baseline or moment cannot be read, or the suite needs a baseline and there is none.
    :raises VerificationError: a check failed; all that did are named, and the report.
    """

    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"orchestrator": ("s3:GetObject", "s3:PutObject")}
    template_fields: Sequence[str] = (*ReportingOperator.template_fields, "users", "versions", "baseline", "moment")
    operator_extra_links = (ClusterLink(), ReportLink())

    def __init__(
        self,
        *,
        users: list[dict[str, Any]],
        versions: dict[str, str] | None = None,
        baseline: str | None = None,
        moment: str | None = None,
        needs_baseline: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.needs_baseline = needs_baseline
        self.users = users
        self.versions = versions
        self.baseline = baseline
        self.moment = moment
        self.links: dict[str, str] = {}

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Read suite and baseline, make every check, write the report, judge."""
        suite, known, moment = self.read_suite(), self._baseline(), self._moment()
        if suite.checksums and known is None and self.needs_baseline:
            raise ConfigError(
                "baseline", None, "the suite compares checksums: give a baseline, see TakeBaselineOperator"
            )
        started, clock = datetime.now(UTC), time.monotonic()
        master = self.master(cluster)
        with self.connect(master) as sql:
            prepare_session(sql)
            counts = count_rows(sql, [table for table in user_tables(sql) if table.schema in suite.schemas])
            findings = check_tls(sql, master, suite) + check_tables(suite, counts)
            findings += self._compared(sql, suite, known, counts)
            findings += check_freshness(sql, suite.freshness, moment) + check_foreign_keys(sql, suite)
            if suite.queries:
                sql.run("SET @moment = %s", (moment.strftime("%Y-%m-%d %H:%M:%S"),), what="session")
                findings += run_queries(sql, [str(Path(self.suite).parent / schema) for schema in suite.schemas])
            targets, routines = read_targets(sql, suite.schemas)
        with self.timing.span("sql", "probe users"):
            tried = Tried(targets, routines, exact=suite.exact_grants, demands_tls=suite.tls == "demanded")
            findings += probe_users(self.users, self.secrets, master, self.versions, tried)
        content = verification_report.data(
            findings,
            counts,
            cluster_id=self.cluster_id,
            started=started,
            ended=datetime.now(UTC),
            run=run_name(context["dag_run"]),
            environment=self.environment,
            suite=Path(self.suite).stem,
            baseline=self.baseline,
            moment=moment.isoformat(),
            versions=versions(),
        )
        uri = self._write(context, content)
        result = {
            **{name: content[name] for name in ("checks", "failed", "tables", "rows")},
            "report_uri": uri,
            "seconds": round(time.monotonic() - clock, 1),
        }
        self._push(context, SUMMARY_KEY, result)
        for found in findings:
            if found.passed:
                self.log.info("ok: %s %s", found.name, found.detail)
            else:
                self.log.error("failed: %s %s", found.name, found.detail)
        judge(self.cluster_id, findings, uri or "")
        return result

    def _compared(
        self, sql: MySqlHook, suite: Suite, known: Baseline | None, counts: Mapping[Table, int]
    ) -> list[Finding]:
        """Compare rows and checksums with the baseline."""
        if known is None:
            return [Finding("baseline", "baseline", True, "not compared: none was given")]
        ignored = {Table.parse(name, "ignore") for name in suite.rows.ignore}
        expected = {table: rows for table, rows in known.rows.items() if table.schema in suite.schemas}
        findings = compare_rows(
            {table: rows for table, rows in counts.items() if table not in ignored},
            {table: rows for table, rows in expected.items() if table not in ignored},
            tolerance_percent=suite.rows.tolerance_percent,
            tables={Table.parse(name, "tables"): percent for name, percent in suite.rows.tables.items()},
        )
        summed = [table for name in suite.checksums if (table := Table.parse(name, "checksums")) in counts]
        for table, found in self.sum_tables(sql, suite, summed).items():
            before = known.tables.get(str(table))
            name = f"checksum of {table}"
            if before is None or before.checksum is None:
                findings.append(Finding("checksum", name, False, "the baseline has none: take it anew with this suite"))
            elif before.columns != found.columns:
                changed = sorted(set(before.columns or ()) ^ set(found.columns or ())) or ["their order"]
                findings.append(Finding("checksum", name, False, f"columns differ: {', '.join(changed)}"))
            else:
                same = before.checksum == found.checksum
                said = (
                    f"{found.rows} rows"
                    if same
                    else f"{found.rows} rows, {before.rows} in the baseline: content differs"
                )
                findings.append(Finding("checksum", name, same, said))
        return findings

    def _baseline(self) -> Baseline | None:
        """Read the baseline, from S3 or a file."""
        if not self.baseline:
            return None
        if found := _URI.fullmatch(self.baseline):
            with self.bucket.open(found["bucket"], found["key"]) as body:
                return baseline.read(body.read(_LARGEST_BYTES), self.baseline)
        try:
            return baseline.read(Path(self.baseline).read_bytes(), self.baseline)
        except OSError:
            raise ConfigError("baseline", self.baseline, "write s3://bucket/key, or the path of a file") from None

    def _moment(self) -> datetime:
        """Read the moment; one without a zone is UTC."""
        if not self.moment:
            return datetime.now(UTC)
        try:
            found = datetime.fromisoformat(self.moment)
        except ValueError:
            raise ConfigError("moment", self.moment, "write ISO 8601, such as 2026-07-01T02:00:00+00:00") from None
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

    def _write(self, context: Context, content: Mapping[str, Any]) -> str | None:
        if not self.report_bucket:
            return None
        folder = self.folder(context)
        # a run may verify more than one cluster
        name = f"verification-{self.cluster_id}-{self.task_id.rsplit('.', 1)[-1]}"
        key = f"{folder}/{name}.html"
        self.bucket.put(self.report_bucket, f"{folder}/{name}.json", report.as_json(content), _JSON)
        self.bucket.put(self.report_bucket, key, verification_report.as_html(content), _HTML)
        if region := self.report_region or self.region_name:
            self.links[ReportLink.name] = console.stored_object(region, self.report_bucket, key)
        return f"s3://{self.report_bucket}/{key}"
