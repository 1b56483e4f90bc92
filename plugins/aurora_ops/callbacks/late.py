"""A run that is late: said while it goes on, with what it waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk.exceptions import AirflowRuntimeError

from aurora_ops.core import announcement, console, run_metrics
from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.topics import TopicsHook

_GOING_ON = ("queued", "running")
_AT_WORK = (
    "running",
    "deferred",
    "awaiting_input",
    "up_for_retry",
    "up_for_reschedule",
    "restarting",
    "queued",
    "scheduled",
)
log = logging.getLogger(__name__)


async def announce_late(
    *,
    context: Mapping[str, Any],
    environment: str,
    late_after_h: float,
    topic_arn: str | None,
    metrics_namespace: str | None,
    aws_conn_id: str,
    region_name: str,
) -> str:
    """Announce that a run is late, from the triggerer: it needs no worker slot, whose lack may be the reason.

    Airflow calls this for a run that failed before its deadline, too, though its end has been announced; then nothing is said.

    :param context: what Airflow gives: ``dag_run`` as its REST API shows it, and ``deadline``.
    :param environment: environment of the run.
    :param late_after_h: hours after being queued at which the run is late.
    :param topic_arn: topic to announce to; ``None`` announces nothing.
    :param metrics_namespace: CloudWatch namespace; ``None`` sends no metric.
    :param aws_conn_id: connection of the orchestrator's account.
    :param region_name: its region.
    :return: what was done, for Airflow's log.
    """
    dag_run = context["dag_run"]
    if dag_run["state"] not in _GOING_ON:
        return f"{dag_run['dag_run_id']} has {dag_run['state']}; its end was announced"
    waiting = await asyncio.to_thread(what_it_waits_for, dag_run["dag_id"], dag_run["dag_run_id"])
    log.warning("run %s of %s is late; waiting for %s", dag_run["dag_run_id"], dag_run["dag_id"], waiting)
    if topic_arn:
        base_url = conf.get("api", "base_url", fallback="")
        link = console.airflow_run(base_url, dag_run["dag_id"], dag_run["dag_run_id"]) if base_url else None
        late = announcement.late(environment, dag_run, late_after_h=late_after_h, waiting=waiting, link=link)
        topics = TopicsHook(aws_conn_id, region_name, fresh=True)
        await asyncio.to_thread(topics.publish, topic_arn, late.subject, late.message, late.attributes)
    if metrics_namespace:
        metrics = MetricsHook(aws_conn_id, region_name, fresh=True)
        data = run_metrics.of_late_run(environment, datetime.now(UTC))
        try:
            await asyncio.to_thread(metrics.put, metrics_namespace, data)
        except AuroraOpsError as exc:
            log.warning("the metric of a late run was not sent: %s", exc)
    return f"announced; waiting for {waiting}"


def what_it_waits_for(dag_id: str, run_id: str) -> list[str]:
    """Name the steps that a run is at, and what each of them waits for in AWS.

    :param dag_id: DAG of the run.
    :param run_id: the run.
    :return: one line a step; none where the run has not begun, or Airflow does not say.
    """
    # Imported here: the DAG processor builds DAGs with this module and needs neither.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    lines: list[str] = []
    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
        for task_id, state in sorted(states.items()):
            if str(state) not in _AT_WORK:
                continue
            timing = XCom.get_one(key="timing", dag_id=dag_id, task_id=task_id, run_id=run_id) or {}
            lines.append(_line(task_id, str(state), timing))
    except AirflowRuntimeError as exc:
        log.warning("what run %s of %s waits for is unknown: %s", run_id, dag_id, exc)
    return lines


def _line(task_id: str, state: str, timing: Mapping[str, Any]) -> str:
    if state != "deferred" or not timing.get("waits_for"):
        return f"{task_id} ({state})"
    since = datetime.fromtimestamp(timing["deferred_at"], UTC)
    return f"{task_id} ({state}): {timing['waits_for']}, since {since:%H:%M:%S} UTC"
