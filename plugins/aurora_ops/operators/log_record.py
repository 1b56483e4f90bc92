"""What a run of the backup of audit logs leaves behind: metrics, and news of what is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import run_metrics
from aurora_ops.core.errors import TransientError
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.log_backup import REPORT_KEY
from aurora_ops.operators.runs import run_name, told_by

_MOST_NAMED = 50
_SUMMED = ("files", "objects", "read_bytes", "stored_bytes", "deferred", "failed")


class RecordLogBackupOperator(RefreshOperator[MetricsHook]):
    """Send the metrics of a run of the backup, and announce what is lost, truncated or incomplete.

    The AWS operations are CloudWatch ``PutMetricData`` and SNS ``Publish``. The lag is how long, at most, what this run has found
    new had waited. A run by hand that only showed the plan sends nothing.

    :param environment: environment of the run.
    :param namespace: CloudWatch namespace; ``None`` sends no metrics.
    :param topic_arn: topic; ``None`` announces nothing.
    :param plan_task: task that plans.
    :param backup_task: mapped task that reads.
    :return: ``{"files", "objects", "read_bytes", "stored_bytes", "deferred", "failed", "lag_s", "alarms", "announced"}``.
    :raises TransientError: the plan has failed, so nothing is known.
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
        backup_task: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.namespace = namespace
        self.topic_arn = topic_arn
        self.plan_task = plan_task
        self.backup_task = backup_task

    def take_pass(self, context: Context) -> Result:
        """Add up, send, announce."""
        planned = context["ti"].xcom_pull(task_ids=self.plan_task)
        reports = told_by(context, self.backup_task, REPORT_KEY)
        found: dict[str, Any] = {key: sum(one[key] for one in reports) for key in _SUMMED}
        found["deferred"] += (planned or {}).get("deferred", 0)
        found["lag_s"] = max((one["lag_s"] for one in reports), default=0.0)
        found["alarms"] = [alarm for one in reports for alarm in one["alarms"]]
        if (context["dag_run"].conf or {}).get("dry_run"):
            return {**found, "announced": False}
        announced = self._announce(found, run_name(context["dag_run"]))
        if planned is None:
            raise TransientError(f"{self.plan_task} has not ended well, so how far behind the backup is is not known")
        if self.namespace:
            self.hook.put(self.namespace, run_metrics.of_log_backup(self.environment, datetime.now(UTC), found))
        return {**found, "announced": announced}

    def _announce(self, found: Mapping[str, Any], run: str) -> bool:
        alarms = found["alarms"]
        if not (alarms and self.topic_arn):
            return False
        kinds = sorted({alarm["status"] for alarm in alarms})
        counted = ", ".join(f"{sum(alarm['status'] == kind for alarm in alarms)} {kind}" for kind in kinds)
        lines = [
            f"{alarm['instance']}/{alarm['file']} is {alarm['status']}: {alarm['why']}"
            for alarm in alarms[:_MOST_NAMED]
        ]
        more = (
            [f"and {len(alarms) - _MOST_NAMED} more; the table of states has them"] if len(alarms) > _MOST_NAMED else []
        )
        text = "\n".join([*lines, *more, "", f"Environment: {self.environment}", f"Run: {run}", "", json.dumps(kinds)])
        TopicsHook(self.aws_conn_id, self.region_name).publish(
            self.topic_arn,
            f"audit logs of {self.environment}: {counted}",
            text,
            {"environment": self.environment, "outcome": "lost" if "lost" in kinds else kinds[0]},
        )
        return True
