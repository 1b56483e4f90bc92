"""The record of a run: what a person asks about last night, in one item."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aurora_ops.core import timeline

SCHEMA_VERSION = 2
_LONGEST_CAUSE = 1000
_LONGEST_NAME = 256
_ADVICE_IN_BRACKETS = re.compile(r"\((?P<advice>[^()]*; [^()]*)\)\.?$")
_UNSAFE_IN_KEYS = re.compile(r"[^0-9A-Za-z._-]+")

# Where a failure in a group of steps leaves things, and what to do where the error itself does not say.
_UNTOUCHED = "What serves was not touched."
_REMEDIES = {
    "prepare": ("Nothing was changed.", "Correct what the message names, then start a new run."),
    "approve": (_UNTOUCHED, "Start a new run when the refresh is wanted."),
    "switch": ("See what serves now.", "If it is the old cluster, mend what the message names and start a new run."),
    "publish": (
        "The new cluster serves. Clear this task when the cause is mended: it publishes.",
        "The message says more.",
    ),
}
_REMEDY_IF_BROKEN = (
    "Look at once what serves: undoing the switch failed. Mend what stopped it, then clear {tasks}; or start a new run: where "
    "nothing has the name, it first gives the name back to what served. {causes}"
)
_OTHER_REMEDY = (_UNTOUCHED, "Mend what the message names, then start a new run; it clears away what this one left.")


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
    durations: Mapping[str, float] | None = None,
    results: Mapping[str, Any] | None = None,
    upstream: Mapping[str, Iterable[str]] | None = None,
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
    :param timings: task id to ``{"spans": [...], "try": number}``.
    :param causes: task id to error message.
    :param best_effort: prefixes of task ids whose failure is a warning.
    :param compensation: task ids whose success means that the switch was undone.
    :param keep_days: days until the item expires.
    :param durations: task id to the seconds that Airflow counted.
    :param results: task id to its result; those with ``warnings`` add to the warnings.
    :param upstream: task id to the ids of the tasks right before it.
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
    broken = [task_id for task_id in compensation if task_id in failed]
    cause = causes.get(mandatory[0], "")[:_LONGEST_CAUSE] if mandatory else None
    steps = {
        task_id: timeline.step(str(state), timings.get(task_id), (durations or {}).get(task_id))
        for task_id, state in sorted(states.items())
    }
    spans = [span for timing in timings.values() for span in (timing or {}).get("spans", ())]
    return {
        "pk": target_key,
        "sk": f"run#{moment.isoformat()}#{run.rsplit('/', 1)[-1]}",
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "environment": environment,
        "outcome": outcome,
        "failed_step": mandatory[0] if mandatory else None,
        "cause": cause,
        "remedy": remedy(mandatory[0], str(cause), {name: causes.get(name, "failed") for name in broken})
        if mandatory
        else None,
        "serving": _serving(outcome, states, undone=undone, broken=bool(broken)),
        "warnings": [
            *(f"{task_id}: {causes.get(task_id, 'failed')}" for task_id in sorted(failed) if task_id not in mandatory),
            *_said(results or {}),
        ],
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "rto_s": round((ended - started).total_seconds(), 1),
        "rpo_s": _rpo(plan, ended),
        "triggered_by": triggered_by[:_LONGEST_NAME],
        "conf": dict(conf),
        "plan": {key: value for key, value in plan.items() if isinstance(value, (str, int, float, bool, list))},
        "time_s": timeline.split(spans, started.timestamp(), ended.timestamp()),
        "groups": timeline.groups(steps),
        "critical_path": timeline.critical_path(steps, upstream or {}),
        "steps": steps,
        "expires_at": int((ended + timedelta(days=keep_days)).timestamp()),
    }


def remedy(failed_step: str, cause: str, broken: Mapping[str, str] | None = None) -> str:
    """Say how things are and what to do next: in the error's own words, after its last semicolon, or by the group.

    :param failed_step: task that failed first.
    :param cause: its message.
    :param broken: tasks that were to undo the switch and failed, with their messages: then nothing else matters.
    """
    if broken:
        said = "; ".join(f"{name}: {message}" for name, message in broken.items())[:_LONGEST_CAUSE]
        return _REMEDY_IF_BROKEN.format(tasks=" and ".join(broken), causes=said)
    state, known = _REMEDIES.get(timeline.group_of(failed_step), _OTHER_REMEDY)
    said = "" if "\n" in cause else _advice(cause)
    return f"{state} {said[:1].upper()}{said[1:]}." if said else f"{state} {known}"


def _advice(cause: str) -> str:
    """Find what an error advises: in brackets at its end, with a semicolon in them, or after its last semicolon."""
    if bracketed := _ADVICE_IN_BRACKETS.search(cause):
        return bracketed["advice"]
    return cause.rpartition("; ")[2].rstrip(".") if "; " in cause else ""


def folder(environment: str, moment: datetime, run: str) -> str:
    """Name the folder of a run's files in S3: no run id can leave it, and two runs never share one.

    :param environment: environment of the run.
    :param moment: logical date, or when it was to run.
    :param run: ``<dag id>/<run id>``.
    """
    return f"aurora-ops/{environment}/{moment:%Y/%m/%d}/{file_name(run.split('/', 1)[-1])}"


def file_name(run_id: str) -> str:
    """Make a run id a name of a file; two run ids never share one."""
    safe = _UNSAFE_IN_KEYS.sub("_", run_id)[:100].strip(".")
    return safe if safe == run_id else f"{safe}-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"


def _said(results: Mapping[str, Any]) -> list[str]:
    """Collect what steps that succeeded warn of: the ``warnings`` of their results."""
    return [
        f"{task_id}: {warning}"
        for task_id, result in sorted(results.items())
        if isinstance(result, Mapping) and isinstance(result.get("warnings"), (list, tuple))
        for warning in result["warnings"]
    ]


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


def _rpo(plan: Mapping[str, Any], ended: datetime) -> float | None:
    """Age of the data when it began to serve, where the plan knows the snapshot's time."""
    created = plan.get("snapshot_created_at")
    return round((ended - datetime.fromisoformat(created)).total_seconds(), 1) if created else None
