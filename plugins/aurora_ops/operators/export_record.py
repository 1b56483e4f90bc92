"""What exports leave behind: an item for each snapshot, metrics, a note, and news of what has failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import run_metrics
from aurora_ops.core.announcement import EXPORTS_MARK, LONGEST_NOTE, NOTE_KEY
from aurora_ops.core.exports import states
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.states import StatesHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import ERROR_KEY, RefreshOperator, Result
from aurora_ops.operators.runs import run_name, told_by

_MOST_NAMED = 50
_LONGEST_CAUSE = 200


class RecordExportOperator(RefreshOperator[StatesHook]):
    """Remember what became of a snapshot's export: that it is done is known for good only here (DynamoDB ``PutItem``).

    An export is done when all of its tasks have succeeded. One that was done before stays so.

    :param table: table of states.
    :param database: name of the export (templated, as the next three are).
    :param snapshot_arn: the snapshot's.
    :param snapshot_time: moment of its data, ISO 8601.
    :param date: day that it stands for.
    :param needed: name of a database to the tasks that an export of it needs, in order, the one that exports first.
    :return: the item, without its keys.
    """

    hook_class = StatesHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:Query", "dynamodb:PutItem")
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "database",
        "snapshot_arn",
        "snapshot_time",
        "date",
    )

    def __init__(
        self,
        *,
        table: str,
        database: str,
        snapshot_arn: str,
        snapshot_time: str,
        date: str,
        needed: Mapping[str, Sequence[str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.database = database
        self.snapshot_arn = snapshot_arn
        self.snapshot_time = snapshot_time
        self.date = date
        self.needed = needed

    def take_pass(self, context: Context) -> Result:
        """Look how the tasks ended, write it down."""
        needed = self.needed[self.database]
        results = {task: self._left(context, task) for task in needed}
        exported = results[needed[0]] or {}
        done = all(result is not None for result in results.values())
        facts = results[needed[1]] or {}
        cause = None if done else self._cause(context, results)
        now = datetime.now(UTC)
        catalogued = results[needed[2]] or {}
        item = {
            "database": self.database,
            "snapshot_arn": self.snapshot_arn,
            "snapshot_time": self.snapshot_time,
            "date": self.date,
            "status": states.EXPORTED if done else states.FAILED,
            "cause": cause,
            "task_id": exported.get("task_id"),
            "bucket": exported.get("bucket"),
            "path": exported.get("path"),
            "gib": exported.get("gib"),
            **{key: facts[key] for key in ("tables", "rows", "bytes", "files") if isinstance(facts.get(key), int)},
            "skipped": exported.get("skipped"),
            "warnings": [
                *(exported.get("warnings") or []),
                *catalogued.get("drift", []),
                *catalogued.get("warnings", []),
            ],
            "report": facts.get("report"),
            "started_at": exported.get("started_at"),
            "ended_at": exported.get("ended_at"),
            "lag_s": (now - datetime.fromisoformat(self.snapshot_time)).total_seconds() if done else None,
            "run": run_name(context["dag_run"]),
            "recorded_at": now.isoformat(timespec="seconds"),
        }
        keys = (
            states.partition(self.database),
            states.sort_key(datetime.fromisoformat(self.snapshot_time), self.snapshot_arn),
        )
        if done or not self._was_done(*keys):
            self.hook.put(self.table, {"pk": keys[0], "sk": keys[1], **item})
        return {key: value for key, value in item.items() if value is not None}

    def _was_done(self, pk: str, sk: str) -> bool:
        return any(
            item["sk"] == sk and item["status"] == states.EXPORTED for item in self.hook.list_items(self.table, pk, sk)
        )

    @staticmethod
    def _left(context: Context, task: str) -> dict[str, Any] | None:
        """Read what a task of this export has left; nothing where it has not succeeded."""
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=task, map_indexes=ti.map_index)
        return found if isinstance(found, dict) else None

    def _cause(self, context: Context, results: Mapping[str, Any]) -> str:
        first = next(task for task, result in results.items() if result is None)
        ti = context["ti"]
        told = ti.xcom_pull(task_ids=first, key=ERROR_KEY, map_indexes=ti.map_index)
        return f"{first}: {told or 'it has not ended well; its log says why'}"[:2000]


class RecordExportsOperator(RefreshOperator[MetricsHook]):
    """Tell how a run of exports went: metrics, the note of the run, and an announcement of what a person should look at.

    The AWS operations are CloudWatch ``PutMetricData`` and SNS ``Publish``. A run that only showed its plan sends nothing.

    :param environment: environment of the run.
    :param namespace: CloudWatch namespace; ``None`` sends no metrics.
    :param topic_arn: topic; ``None`` announces nothing.
    :param plan_task: task that plans.
    :param record_task: mapped task that remembers each export.
    :return: ``{"exported", "failed", "stopped", "none", "done", "gib", "rows", "lag_s", "announced"}``.
    """

    hook_class = MetricsHook
    permissions: ClassVar[tuple[str, ...]] = ("cloudwatch:PutMetricData", "sns:Publish")

    def __init__(
        self,
        *,
        environment: str,
        namespace: str | None,
        topic_arn: str | None,
        plan_task: str,
        record_task: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.namespace = namespace
        self.topic_arn = topic_arn
        self.plan_task = plan_task
        self.record_task = record_task

    def take_pass(self, context: Context) -> Result:
        """Add up, send, announce."""
        planned = context["ti"].xcom_pull(task_ids=self.plan_task)
        items = told_by(context, self.record_task)
        reports = (planned or {}).get("reports", [])
        outcomes, decisions = Counter(item["status"] for item in items), Counter(report["what"] for report in reports)
        found: dict[str, Any] = {
            "exported": outcomes[states.EXPORTED],
            "failed": outcomes[states.FAILED] + (planned is None),
            **{what: decisions[what] for what in ("stopped", "none", "done")},
            "gib": float(sum(item.get("gib") or 0 for item in items)),
            "rows": sum(int(item.get("rows") or 0) for item in items),
            "lag_s": max((float(item["lag_s"]) for item in items if item.get("lag_s") is not None), default=None),
        }
        if planned is not None and planned["dry_run"]:
            return {**found, "announced": False}
        unplanned = self._why_unplanned(context) if planned is None else None
        news = _news(items, reports, unplanned)
        self._push(context, NOTE_KEY, self._note(found, items, reports, unplanned))
        announced = self._announce(news, found, run_name(context["dag_run"]))
        if self.namespace:
            self.hook.put(self.namespace, run_metrics.of_exports(self.environment, datetime.now(UTC), found))
        return {**found, "announced": announced}

    def _why_unplanned(self, context: Context) -> str:
        told = context["ti"].xcom_pull(task_ids=self.plan_task, key=ERROR_KEY)
        return f"the run could not be planned: {told or f'the log of {self.plan_task} says why'}"

    def _note(
        self,
        found: Mapping[str, Any],
        items: Sequence[Mapping[str, Any]],
        reports: Sequence[Mapping[str, Any]],
        unplanned: str | None,
    ) -> str:
        numbers = f"{found['exported']} exported, {found['failed']} failed"
        head = f"{EXPORTS_MARK}{self.environment}**: {unplanned or numbers}"
        lines = [
            f"- {item['database']} {item['date']}: {item['status']}"
            + (f", {item['rows']} rows of {item['tables']} tables" if "rows" in item and "tables" in item else "")
            + (f": {str(item['cause'])[:_LONGEST_CAUSE]}" if item.get("cause") else "")
            for item in items
        ]
        lines += [f"- {report['database']}: {report['why']}" for report in reports if report["what"] != "export"]
        return "\n".join([head, "", *lines])[:LONGEST_NOTE]

    def _announce(self, news: Sequence[str], found: Mapping[str, Any], run: str) -> bool:
        if not (news and self.topic_arn):
            return False
        more = [f"and {len(news) - _MOST_NAMED} more; the table of states has them"] if len(news) > _MOST_NAMED else []
        numbers = json.dumps({key: found[key] for key in ("exported", "failed", "stopped")})
        text = "\n".join(
            [*news[:_MOST_NAMED], *more, "", f"Environment: {self.environment}", f"Run: {run}", "", numbers]
        )
        subject = f"snapshot exports of {self.environment}: {found['failed'] + found['stopped']} failed"
        TopicsHook(self.aws_conn_id, self.region_name).publish(
            self.topic_arn,
            subject if found["failed"] + found["stopped"] else f"snapshot exports of {self.environment}: not whole",
            text,
            {"environment": self.environment, "outcome": "failed" if found["failed"] else "warning"},
        )
        return True


def _news(items: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]], unplanned: str | None) -> list[str]:
    """Say what a person should look at: what failed, what was given up, and what is not whole though it ended well."""
    news = [unplanned] if unplanned else []
    for item in items:
        what = f"{item['database']} {item['date']} ({item['snapshot_arn']})"
        if item["status"] == states.FAILED:
            news.append(f"{what} was not exported: {item.get('cause')}")
        if item.get("skipped"):
            news.append(f"{what}: RDS skipped {', '.join(item['skipped'])}")
        news += [f"{what}: {warning}" for warning in item.get("warnings") or []]
    return news + [f"{report['database']}: {report['why']}" for report in reports if report["what"] == "stopped"]
