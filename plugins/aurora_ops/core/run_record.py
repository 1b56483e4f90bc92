"""The record of a run: what a person asks about last night, in one item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

_LONGEST_CAUSE = 1000


def build(
    *,
    run: str,
    environment: str,
    target_key: str,
    moment: datetime,
    started: datetime,
    ended: datetime,
    triggered_by: str,
    conf: Mapping[str, Any],
    plan: Mapping[str, Any],
    states: Mapping[str, Any],
    timings: Mapping[str, Any],
    causes: Mapping[str, str],
    best_effort: Sequence[str],
    compensation: Sequence[str],
    keep_days: int,
) -> dict[str, Any]:
    """Put the record together.

    :param run: ``<dag id>/<run id>``.
    :param environment: environment of the run.
    :param target_key: partition key.
    :param moment: logical date, or when it was to run.
    :param started: when it began.
    :param ended: now.
    :param triggered_by: a user or the kind of run.
    :param conf: parameters of the run.
    :param plan: what was decided before anything was changed.
    :param states: task id to state.
    :param timings: task id to ``{"spans": [...]}``.
    :param causes: task id to error message.
    :param best_effort: prefixes of task ids whose failure is a warning.
    :param compensation: task ids whose success means that the switch was undone.
    :param keep_days: days until the item expires.
    :return: an item of plain values.
    """
    failed = [task_id for task_id, state in states.items() if str(state) == "failed"]
    mandatory = sorted(
        (task_id for task_id in failed if not task_id.startswith(tuple(best_effort))),
        key=lambda task_id: (_ended(timings.get(task_id)), task_id),
    )
    undone = bool(compensation) and all(str(states.get(task_id)) == "success" for task_id in compensation)
    blocked = any(
        str(state) == "upstream_failed" and not task_id.startswith(tuple(best_effort))
        for task_id, state in states.items()
    )
    outcome = "failed" if mandatory or blocked else "succeeded"
    warnings = [f"{task_id}: {causes.get(task_id, 'failed')}" for task_id in sorted(failed) if task_id not in mandatory]
    broken = any(task_id in failed for task_id in compensation)
    return {
        "pk": target_key,
        "sk": f"run#{moment.isoformat()}#{run.rsplit('/', 1)[-1]}",
        "run": run,
        "environment": environment,
        "outcome": outcome,
        "failed_step": mandatory[0] if mandatory else None,
        "cause": causes.get(mandatory[0], "")[:_LONGEST_CAUSE] if mandatory else None,
        "serving": _serving(outcome, states, undone=undone, broken=broken),
        "warnings": warnings,
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "rto_s": round((ended - started).total_seconds(), 1),
        "rpo_s": _rpo(plan, ended),
        "triggered_by": triggered_by,
        "conf": dict(conf),
        "plan": {key: value for key, value in plan.items() if isinstance(value, (str, int, float, bool, list))},
        "steps": {task_id: _step(str(state), timings.get(task_id)) for task_id, state in sorted(states.items())},
        "expires_at": int((ended + timedelta(days=keep_days)).timestamp()),
    }


def _serving(outcome: str, states: Mapping[str, Any], *, undone: bool, broken: bool) -> str:
    """Say which cluster serves now, as far as the steps tell."""
    if outcome == "succeeded":
        return "new cluster"
    if broken:
        return "unknown: undoing the switch failed, look at once"
    if undone:
        return "old cluster: the switch was undone"
    renamed = any(task_id.endswith("rename_restored") and str(state) == "success" for task_id, state in states.items())
    return "new cluster" if renamed else "old cluster: it was never touched"


def _ended(timing: Mapping[str, Any] | None) -> float:
    """Tell when a step ended; one that left no time comes last."""
    return max((span["end"] for span in (timing or {}).get("spans", [])), default=float("inf"))


def _step(state: str, timing: Mapping[str, Any] | None) -> dict[str, Any]:
    spans = (timing or {}).get("spans", [])
    step: dict[str, Any] = {"state": state}
    if spans:
        step["started"] = min(span["start"] for span in spans)
        step["ended"] = max(span["end"] for span in spans)
        for kind in sorted({span["kind"] for span in spans}):
            step[f"{kind}_s"] = round(sum(span["end"] - span["start"] for span in spans if span["kind"] == kind), 3)
    return step


def _rpo(plan: Mapping[str, Any], ended: datetime) -> float | None:
    """Age of the data when it began to serve, where the plan knows the snapshot's time."""
    created = plan.get("snapshot_created_at")
    return round((ended - datetime.fromisoformat(created)).total_seconds(), 1) if created else None


def subject(record: Mapping[str, Any]) -> str:
    """Subject of the announcement."""
    what = f"refresh {record['environment']} {record['outcome']}"
    if record["outcome"] == "failed":
        return f"{what}: {record['failed_step']}; serving: {str(record['serving']).split(':')[0]}"
    return f"{what} in {record['rto_s']:.0f} s" + (
        f", {len(record['warnings'])} warnings" if record["warnings"] else ""
    )
