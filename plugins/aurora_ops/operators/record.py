"""How a run went: written down, drawn, counted and announced."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, ClassVar, cast

import jinja2
from airflow.providers.common.compat.sdk import conf
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException

import aurora_ops
from aurora_ops.core import announcement, console, fitting, report, run_metrics, run_record
from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.core.operation import Operation
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.links.console import RecordLink, ReportLink
from aurora_ops.operators import operations
from aurora_ops.operators.base import ERROR_KEY, TIMING_KEY, Result
from aurora_ops.operators.operations import Closed
from aurora_ops.operators.runs import RunOperator, run_by, run_moment, run_type

_NEVER_RAN = (None, "None", "skipped", "upstream_failed", "removed")
_AIRFLOW_RUN = "Airflow run"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"


class RecordRunOperator(RunOperator):
    """Write down how a run went and announce it, whatever happened.

    In this order, each tried even if another fails: metrics (CloudWatch ``PutMetricData``); report, as a page and as JSON (S3
    ``PutObject``); record (DynamoDB ``PutItem``) with who, what, when, each step with its state and time, warnings, cause of
    failure, RPO and RTO; announcement (SNS ``Publish``), as text for people and JSON for machines. Metrics and report are best
    effort: their failure is a warning in record and announcement. A step that belongs to cleaning up is best effort too.

    A run that is followed is ended before that: the last event of its audit trail, the export of the trail, the end of its state.
    What of it fails is a warning, and fails the task when everything else is written: evidence is missing.

    Beside its result it leaves the XCom ``run_note``, which ``callbacks.run_note`` makes the note of the run.

    :param topic_arn: topic to announce to; ``None`` announces nothing.
    :param environment: environment of the run.
    :param plan_task: task whose result is the plan.
    :param snapshot_task: task that took or adopted the source snapshot.
    :param best_effort: prefixes of task ids whose failure is a warning.
    :param compensation: task ids whose success means that a failed switch was undone.
    :param keep_days: days until the record expires.
    :param report_bucket: bucket of the report; ``None`` writes none.
    :param metrics_namespace: CloudWatch namespace; ``None`` sends no metrics.
    :param operation: operation that ends, as the check has left it; ``None``: the run is not followed (templated).
    :return: ``{"outcome", "pk", "sk", "warnings", "report"}``; ``report`` is its S3 URL or ``None``.
    """

    is_step = False
    permissions: ClassVar[tuple[str, ...]] = (
        *operations.PERMISSIONS,
        "sns:Publish",
        "cloudwatch:PutMetricData",
    )
    template_fields: Sequence[str] = (*RunOperator.template_fields, "operation")
    operator_extra_links = (ReportLink(), RecordLink())

    def __init__(
        self,
        *,
        environment: str,
        plan_task: str,
        snapshot_task: str,
        topic_arn: str | None,
        best_effort: Sequence[str],
        compensation: Sequence[str],
        keep_days: int,
        report_bucket: str | None = None,
        metrics_namespace: str | None = None,
        operation: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.plan_task = plan_task
        self.snapshot_task = snapshot_task
        self.topic_arn = topic_arn
        self.best_effort = tuple(best_effort)
        self.compensation = tuple(compensation)
        self.keep_days = keep_days
        self.report_bucket = report_bucket
        self.metrics_namespace = metrics_namespace
        self.operation = operation
        self.links: dict[str, str] = {}

    def take_pass(self, context: Context) -> Result:
        """Collect, count, draw, write, announce."""
        dag_run = context["dag_run"]
        all_states = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
        states = all_states.get(dag_run.run_id, {})
        checked = str(states.get(self.plan_task))
        if checked == "skipped" or (checked == "failed" and run_type(dag_run) == "manual"):
            # a dry run, or the check refused what a person typed: then AWS is not touched at all
            raise AirflowSkipException("nothing was changed, and whoever asked sees why; nothing to record")
        seen = self._seen(context, states)
        record = self._record(context, seen)
        self.links = self._links(dag_run, record)
        record["links"] = dict(self.links)
        closed = self._closed(context, record, seen)
        try:
            self._count(record)
            self._draw(dag_run, record, seen)
        finally:
            # an error that was not foreseen above still fails the task, but not unrecorded
            self._push(context, announcement.NOTE_KEY, announcement.note(record))
            self._write(record, announce=not closed.may_pass(context))
        if closed.error is not None:
            raise closed.error
        kept = {key: record.get(key) for key in ("outcome", "pk", "sk", "report")}
        return {**kept, "warnings": fitting.warnings_cut(record["warnings"])}

    def _seen(self, context: Context, states: Mapping[str, Any]) -> dict[str, Any]:
        """Collect what the steps left: states, times, errors, results."""
        ti, dag_run = context["ti"], context["dag_run"]
        mine = {task_id: str(state) for task_id, state in states.items() if task_id != self.task_id}
        failed = [task_id for task_id, state in mine.items() if state == "failed"]
        succeeded = [task_id for task_id, state in mine.items() if state == "success"]
        dag = self.get_dag()
        tasks = dag.task_dict if dag else {}
        try:
            crumbs = list(cast("Any", ti).get_task_breadcrumbs(dag_run.dag_id, dag_run.run_id))
        except AirflowRuntimeError as exc:
            self.log.warning("durations of steps without times of their own are unknown: %s", exc)
            crumbs = []
        return {
            "states": mine,
            "timings": self._pulled(
                context, [name for name, state in mine.items() if state not in _NEVER_RAN], TIMING_KEY
            ),
            "causes": self._pulled(context, failed, ERROR_KEY),
            "results": self._pulled(context, succeeded, "return_value"),
            "durations": {crumb["task_id"]: crumb["duration"] for crumb in crumbs if crumb.get("duration") is not None},
            "upstream": {name: sorted(tasks[name].upstream_task_ids) for name in mine if name in tasks},
        }

    def _record(self, context: Context, seen: Mapping[str, Any]) -> dict[str, Any]:
        dag_run = context["dag_run"]
        plan = dict(seen["results"].get(self.plan_task) or {})
        taken = seen["results"].get(self.snapshot_task) or {}
        plan["snapshot_created_at"] = taken.get("created_at") or plan.get("snapshot_created_at")
        moment = run_moment(dag_run)
        return run_record.build(
            run=self.holder(context),
            environment=self.environment,
            target_key=self.target_key or f"refresh#{self.environment}",
            moment=moment,
            started=dag_run.start_date or moment,
            ended=datetime.now(UTC),
            triggered_by=run_by(dag_run),
            conf=dict(dag_run.conf or {}),
            plan=plan,
            best_effort=self.best_effort,
            compensation=self.compensation,
            keep_days=self.keep_days,
            **{key: seen[key] for key in ("states", "timings", "causes", "durations", "results", "upstream")},
        )

    def _closed(self, context: Context, record: dict[str, Any], seen: Mapping[str, Any]) -> Closed:
        """End the operation, where there is one."""
        if not self.operation:
            return Closed(None, [], None)
        closed = operations.close(
            context,
            Operation.of(self.operation),
            outcome=record["outcome"],
            failed_step=record["failed_step"],
            cause=record["cause"],
            states=seen["states"],
            steps=operations.followed_steps(self, self.plan_task),
            keep_days=self.keep_days,
        )
        for warning in closed.warnings:
            self._warn(record, warning)
        if closed.trail:
            record["trail"] = closed.trail
        return closed

    def _links(self, dag_run: Any, record: Mapping[str, Any]) -> dict[str, str]:
        """Say where people look: Airflow (where it knows its own address), the record; the report comes once it is there."""
        found: dict[str, str] = {}
        if base_url := conf.get("api", "base_url", fallback=""):
            found[_AIRFLOW_RUN] = console.airflow_run(base_url, dag_run.dag_id, dag_run.run_id)
        if self.region_name:
            found[RecordLink.name] = console.item(self.region_name, self.table, record["pk"], record["sk"])
        return found

    def _count(self, record: dict[str, Any]) -> None:
        if not self.metrics_namespace:
            return
        metrics = MetricsHook(self.aws_conn_id, self.region_name)
        for warning in metrics.try_put(self.metrics_namespace, run_metrics.of_run(record)):
            self._warn(record, warning)

    def _draw(self, dag_run: Any, record: dict[str, Any], seen: Mapping[str, Any]) -> None:
        """Write the report; where that fails, the record says so in its place."""
        if not self.report_bucket:
            return
        moment = run_moment(dag_run)
        folder = run_record.folder(self.environment, moment, record["run"])
        key = f"{folder}/report.html"
        links = dict(record["links"])
        if self.region_name:
            links[ReportLink.name] = console.stored_object(self.region_name, self.report_bucket, key)
        drawn = record | {"report": f"s3://{self.report_bucket}/{key}", "links": links}
        content = report.data(
            drawn,
            timings=seen["timings"],
            results=seen["results"],
            upstream=seen["upstream"],
            versions=versions(),
        )
        started, ended = (datetime.fromisoformat(record[name]).timestamp() for name in ("started_at", "ended_at"))
        bucket = BucketsHook(self.aws_conn_id, self.region_name)
        try:
            bucket.put(self.report_bucket, f"{folder}/report.json", report.as_json(content), _JSON)
            bucket.put(self.report_bucket, key, report.as_html(content, started=started, ended=ended), _HTML)
        except (AuroraOpsError, jinja2.TemplateError) as exc:
            self._warn(record, f"the report was not written: {exc}")
            return
        record["report"], record["links"], self.links = drawn["report"], links, links

    def _warn(self, record: dict[str, Any], warning: str) -> None:
        self.log.warning("%s", warning)
        record["warnings"] = [*record["warnings"], f"{self.task_id}: {warning}"]

    def _write(self, record: dict[str, Any], *, announce: bool) -> None:
        try:
            self.hook.put(self.table, fitting.fitted(record, fitting.ITEM_BYTES, fitting.item_bytes))
        finally:
            if self.topic_arn and announce:
                TopicsHook(self.aws_conn_id, self.region_name).publish(
                    self.topic_arn,
                    announcement.subject(record),
                    announcement.message(record),
                    announcement.attributes(record),
                )

    @staticmethod
    def _pulled(context: Context, names: Sequence[str], key: str) -> dict[str, Any]:
        """Pull an XCom of every task that has one."""
        found = {task_id: context["ti"].xcom_pull(task_ids=task_id, key=key) for task_id in names}
        return {task_id: value for task_id, value in found.items() if value is not None}


def versions() -> dict[str, str]:
    """Name the versions of what ran."""
    packages = ("apache-airflow", "apache-airflow-providers-amazon", "boto3", "pymysql")
    return {
        "aurora-ops": aurora_ops.__version__,
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
    }
