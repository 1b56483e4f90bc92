"""The record of a single workflow: who asked for what, how it ended and why, in one item and one announcement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aurora_ops.core.timeline import duration

_LONGEST_CAUSE = 1000


def build(
    *,
    dag_id: str,
    run_id: str,
    environment: str,
    moment: datetime,
    started: datetime,
    ended: datetime,
    triggered_by: str,
    conf: Mapping[str, Any],
    states: Mapping[str, Any],
    causes: Mapping[str, str],
    keep_days: int,
    facts: Mapping[str, Any] | None = None,
    part: str = "",
    hidden: Sequence[str] = (),
) -> dict[str, Any]:
    """Put the record together.

    :param dag_id: the workflow.
    :param run_id: its run.
    :param environment: environment of the run.
    :param moment: logical date, or when it was to run.
    :param started: when it began.
    :param ended: now.
    :param triggered_by: a user or the kind of run.
    :param conf: parameters of the run.
    :param states: task id to state.
    :param causes: task id to error message.
    :param keep_days: days until the item expires.
    :param facts: what else is to be known of this kind of workflow, such as what it left.
    :param part: of a run of several workflows, which one this is.
    :param hidden: parameters that may hold data; of these the record has the length only.
    :return: an item of plain values; its keys are ``workflow#<dag id>`` and ``run#<moment>#<run id>``, with ``#<part>``.
    """
    failed = sorted(task_id for task_id, state in states.items() if str(state) == "failed")
    blocked = sorted(task_id for task_id, state in states.items() if str(state) == "upstream_failed")
    step = next(iter([*failed, *blocked]), None)
    return {
        "pk": f"workflow#{dag_id}",
        "sk": f"run#{moment.isoformat()}#{run_id}" + (f"#{part}" if part else ""),
        "schema_version": 1,
        "run": f"{dag_id}/{run_id}",
        "environment": environment,
        "outcome": "failed" if step else "succeeded",
        "failed_step": step,
        "cause": causes.get(step, "")[:_LONGEST_CAUSE] if step else None,
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "duration_s": round((ended - started).total_seconds(), 1),
        "triggered_by": triggered_by,
        "conf": shown(conf, hidden),
        "steps": {task_id: str(state) for task_id, state in sorted(states.items())},
        **({"part": part} if part else {}),
        **({"facts": dict(facts)} if facts else {}),
        "expires_at": int((ended + timedelta(days=keep_days)).timestamp()),
    }


def shown(conf: Mapping[str, Any], hidden: Sequence[str]) -> dict[str, Any]:
    """Leave out what may be data.

    :param conf: parameters of the run.
    :param hidden: those that may hold data; of these only the length is told.
    """
    return {key: f"({len(str(value))} characters)" if key in hidden else value for key, value in conf.items()}


def subject(record: Mapping[str, Any]) -> str:
    """Subject of the announcement: one line."""
    workflow = " ".join([record["run"].split("/", 1)[0], *([record["part"]] if "part" in record else [])])
    at = f" at {record['failed_step']}" if record["failed_step"] else f" in {record['duration_s']:.0f} s"
    return f"{workflow} {record['environment']} {record['outcome']}{at}"


def text(record: Mapping[str, Any]) -> str:
    """Body of the announcement: what was asked, what happened, how long it took."""
    rows = [
        ("What happened", record["cause"]),
        ("Duration", duration(record["duration_s"])),
        ("Asked by", record["triggered_by"]),
        ("Asked for", json.dumps(record["conf"], sort_keys=True, default=str)),
        *((name.replace("_", " ").capitalize(), _said(value)) for name, value in record.get("facts", {}).items()),
        ("Warnings", "; ".join(record.get("warnings", ()))),
        ("Run", record["run"]),
    ]
    return "\n".join([f"{subject(record)}.", "", *(f"{name}: {value}" for name, value in rows if value)]) + "\n"


def _said(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def attributes(record: Mapping[str, Any]) -> dict[str, str]:
    """Message attributes, for filter policies of subscriptions."""
    return {"environment": str(record["environment"]), "outcome": str(record["outcome"])}
