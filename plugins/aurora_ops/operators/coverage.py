"""The coverage report: what is known about every column, what is new, and the memory that tells it next time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import coverage, run_record
from aurora_ops.core.errors import VerificationError
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.runs import RunOperator, run_moment

_MOST_LINES = 200


class ReportCoverageOperator(RunOperator):
    """Report what is known about every column, and call out columns that the last run which passed did not have.

    :param covered: coverage, as the scan left it (templated).
    :param undecided: what a new column does that can hold text and that no rule decides about: ``allow``, ``warn`` or ``fail``.
    :param environment: environment of the run.
    :param report_bucket: bucket for ``coverage.json`` and ``coverage.txt``, which lie beside the run's report there; ``None``
        leaves them in the log only.
    :return: ``{"columns", "statuses": {status: count}, "new": [names], "new_count", "report": URL or None, "warnings"}``.
    :raises VerificationError: there are undecided new columns, and ``undecided`` is ``fail``; they are named.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:GetItem", "s3:PutObject")
    template_fields: Sequence[str] = (*RunOperator.template_fields, "covered")

    def __init__(
        self, *, covered: str, undecided: str, environment: str, report_bucket: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.covered = covered
        self.undecided = undecided
        self.environment = environment
        self.report_bucket = report_bucket

    def take_pass(self, context: Context) -> Result:
        """Compare with the last run, write the report, judge what is new."""
        values = self.hook.find_columns(self.table, str(self.target_key))
        known = None if values is None else coverage.recalled(values)
        covered = coverage.compared(coverage.unpacked(self.covered), known)
        self._log(coverage.as_table(covered), first=known is None)
        report = self._write(context, covered)
        names = coverage.undecided(covered)
        warnings = []
        if names and self.undecided != "allow":
            said = (
                f"{len(names)} columns are new since the last run and nobody has decided about them: {coverage.listed(names)}; "
                "they were scanned; declare a masker or keep: in include/sql/masking/<schema>/columns.yaml"
            )
            if self.undecided == "fail":
                raise VerificationError(said)
            warnings.append(said)
        return {**coverage.summary(covered), "report": report, "warnings": warnings}

    def _log(self, lines: list[str], *, first: bool) -> None:
        if first:
            self.log.info("no earlier run has left its columns: none is called new")
        for line in lines[:_MOST_LINES]:
            self.log.info("%s", line)
        if len(lines) > _MOST_LINES:
            self.log.info("and %d more columns", len(lines) - _MOST_LINES)

    def _write(self, context: Context, covered: Sequence[coverage.Covered]) -> str | None:
        if not self.report_bucket:
            return None
        run = self.holder(context)
        prefix = run_record.folder(self.environment, run_moment(context["dag_run"]), run)
        buckets = BucketsHook(self.aws_conn_id, self.region_name)
        machine = coverage.as_json(covered, run=run, environment=self.environment)
        human = "\n".join(coverage.as_table(covered)).encode()
        buckets.put(self.report_bucket, f"{prefix}/coverage.json", machine, "application/json")
        buckets.put(self.report_bucket, f"{prefix}/coverage.txt", human, "text/plain; charset=utf-8")
        return f"s3://{self.report_bucket}/{prefix}/coverage.json"


class RememberColumnsOperator(RunOperator):
    """Remember the columns of a run that passed, so that the next run can tell which are new; of others nothing is remembered.

    A column that came with a failed run is therefore new in the next one too.

    :param covered: coverage, as the scan left it; ``None`` where there was no scan (templated).
    :param published_task: task whose success means that the run has passed.
    :return: ``{"remembered": number of columns}``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem",)
    template_fields: Sequence[str] = (*RunOperator.template_fields, "covered")

    def __init__(self, *, covered: str | None, published_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.covered = covered
        self.published_task = published_task

    def take_pass(self, context: Context) -> Result:
        """Write the columns, if the run has passed."""
        dag_run = context["dag_run"]
        states = context["ti"].get_task_states(
            dag_id=dag_run.dag_id, run_ids=[dag_run.run_id], task_ids=[self.published_task]
        )
        passed = str(states.get(dag_run.run_id, {}).get(self.published_task)) == "success"
        if not passed or not self.covered or not self.target_key:
            return {"remembered": 0}
        names = [covered.column for covered in coverage.unpacked(self.covered)]
        self.hook.put_columns(
            self.table,
            self.target_key,
            coverage.remembered(names),
            run=self.holder(context),
            now=datetime.now(UTC).timestamp(),
        )
        return {"remembered": len(names)}
