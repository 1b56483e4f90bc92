"""Telling people and machines how a run went: subject, text, JSON, the note of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from aurora_ops.core.fitting import fitted, json_bytes, warnings_cut
from aurora_ops.core.timeline import duration, moment

LONGEST_SUBJECT = 99  # SNS takes fewer than 100 characters
LONGEST_NOTE = 1000
MESSAGE_BYTES = 256 * 1024
NOTE_KEY = "run_note"
"""XCom of a task that makes its value the note of the run (``callbacks.run_note``)."""
NOTE_MARK, EXPORTS_MARK, SETUP_MARK = "**Refresh of ", "**Exports of ", "**Setup of exports of "
_MARKS = (NOTE_MARK, EXPORTS_MARK, SETUP_MARK)

# Parts of the message: people read mail, machines read the rest. SNS delivers to each protocol its own.
_FOR_MACHINES = ("sqs", "lambda", "http", "https", "firehose")
_JSON_BYTES = 34 * 1024  # it stands in the message once for each of them
_TEXT_BYTES = 12 * 1024  # JSON makes up to six bytes of one
_SUMMARY = (
    "schema_version", "run", "environment", "outcome", "failed_step", "cause", "remedy", "serving", "rto_s", "rpo_s",
    "started_at", "ended_at", "triggered_by", "conf", "plan", "time_s", "groups", "critical_path", "warnings", "steps",
    "steps_left_out", "links", "report", "pk", "sk",
)  # fmt: skip


def subject(record: Mapping[str, Any]) -> str:
    """Subject of the announcement: one line of printable ASCII, fewer than 100 characters, what serves never cut off."""
    head = f"refresh {record['environment']} {record['outcome']}"
    if record["outcome"] == "failed":
        tail = f"; serving: {str(record['serving']).split(':')[0]}"
        step = f": {record['failed_step'] or 'a step was never reached'}"
        return _ascii(f"{head}{step[: LONGEST_SUBJECT - len(head) - len(tail)]}{tail}")
    tail = f", {len(record['warnings'])} warnings" if record["warnings"] else ""
    return _ascii(f"{head} in {record['rto_s']:.0f} s{tail}")


def _ascii(text: str) -> str:
    plain = text.encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else " " for char in plain)[:LONGEST_SUBJECT]


def text(record: Mapping[str, Any]) -> str:
    """Body of the announcement, for people: what happened, what serves, what to do, where to look.

    :param record: from ``run_record.build``, with ``links``.
    """
    rows = [
        ("What happened", record["cause"]),
        ("What to do", record["remedy"]),
        ("Serving now", record["serving"]),
        ("Duration", duration(record["rto_s"])),
        ("Age of the data", duration(record["rpo_s"])),
        ("Snapshot", record["plan"].get("source_snapshot_id")),
        ("Began", f"{moment(record['started_at'])}, by {record['triggered_by']}"),
        ("Ended", moment(record["ended_at"])),
    ]
    failed = f" at {record['failed_step']}" if record["failed_step"] else ""
    lines = [f"Refresh of {record['environment']} {str(record['outcome']).upper()}{failed}.", ""]
    lines += [f"{name + ':':<17}{_indented(str(value))}" for name, value in rows if value]
    if record["warnings"]:
        lines += ["", f"Warnings ({len(record['warnings'])}):"]
        lines += [f"- {_indented(warning, 2)}" for warning in warnings_cut(list(record["warnings"]), most=20)]
    if record.get("links"):
        lines += ["", *(f"{name}: {address}" for name, address in record["links"].items())]
    return _bounded("\n".join(lines) + "\n", _TEXT_BYTES)


def _indented(value: str, by: int = 17) -> str:
    return value.strip().replace("\n", "\n" + " " * by)


def _bounded(value: str, most_bytes: int) -> str:
    raw = value.encode()
    return value if len(raw) <= most_bytes else raw[: most_bytes - 20].decode(errors="ignore") + "\n... (cut)\n"


def message(record: Mapping[str, Any]) -> dict[str, str]:
    """Build the message for each protocol, as JSON at most 256 KB: text for people, JSON for machines.

    E-mail, and whatever is not named, gets the text; queues, functions, web hooks and streams get the record as JSON,
    shortened where it is long.

    :param record: from ``run_record.build``, with ``links``.
    """
    summary = {key: record[key] for key in _SUMMARY if record.get(key) is not None}
    data = json.dumps(fitted(summary, _JSON_BYTES, json_bytes), default=str)
    return {"default": text(record), **dict.fromkeys(_FOR_MACHINES, data)}


def attributes(record: Mapping[str, Any]) -> dict[str, str]:
    """Message attributes, for filter policies of subscriptions."""
    return {
        "environment": str(record["environment"]),
        "outcome": str(record["outcome"]),
        "warnings": "yes" if record["warnings"] else "no",
    }


class Late(NamedTuple):
    """The announcement that a run is late."""

    subject: str
    message: dict[str, str]
    attributes: dict[str, str]


def late(
    environment: str, dag_run: Mapping[str, Any], *, late_after_h: float, waiting: list[str], link: str | None
) -> Late:
    """Announce that a run is late.

    :param environment: environment of the run.
    :param dag_run: the run as Airflow's REST API shows it.
    :param late_after_h: hours after being queued at which it is late.
    :param waiting: what it waits for, one line a step.
    :param link: its page in Airflow.
    """
    at = [f"- {line}" for line in waiting[:50]] or [
        "- nothing is known to run: another run of this DAG may go on, or Airflow has no room for it"
    ]
    since = f"it was queued at {dag_run.get('queued_at')} and is {dag_run['state']}"
    lines = [
        f"Refresh of {environment} is LATE: {since} after {duration(late_after_h * 3600)}.",
        "",
        "It waits for:",
        *at,
        "",
        "It goes on; another announcement says how it ends. What serves is not touched before the step switch.",
    ]
    data = {
        "schema_version": 1,
        "environment": environment,
        "outcome": "late",
        "run": f"{dag_run['dag_id']}/{dag_run['dag_run_id']}",
        "state": dag_run["state"],
        "queued_at": dag_run.get("queued_at"),
        "late_after_h": late_after_h,
        "waiting_for": waiting[:50],
        "link": link,
    }
    body = _bounded("\n".join([*lines, *([f"Airflow run: {link}"] if link else [])]) + "\n", _TEXT_BYTES)
    return Late(
        _ascii(f"refresh {environment} late" + (f": {waiting[0]}" if waiting else "")),
        {"default": body, **dict.fromkeys(_FOR_MACHINES, json.dumps(data, default=str))},
        {"environment": environment, "outcome": "late"},
    )


def note(record: Mapping[str, Any]) -> str:
    """Note of the run, Markdown, as the list of runs shows it; begins with ``NOTE_MARK``."""
    failed = f" at `{record['failed_step']}`" if record["failed_step"] else ""
    lines = [
        f"{NOTE_MARK}{record['environment']} {record['outcome']}{failed}** in {duration(record['rto_s'])}; serving: "
        f"{record['serving']}" + (f"; data {duration(record['rpo_s'])} old" if record["rpo_s"] else "")
    ]
    if record["warnings"]:
        lines.append(f"{len(record['warnings'])} warnings")
    links = " · ".join(f"[{name}]({address})" for name, address in record.get("links", {}).items())
    used = sum(len(line) + 2 for line in lines) + len(links) + 2
    if record["cause"] and used < LONGEST_NOTE - 40:
        lines.append(str(record["cause"])[: LONGEST_NOTE - used])
    return "\n\n".join([*lines, links] if links and used <= LONGEST_NOTE else lines)[:LONGEST_NOTE]


def is_note(text: str) -> bool:
    """Tell whether a text is a note that a run of ours has left."""
    return text.startswith(_MARKS)


def noted(before: str | None, now: str) -> str:
    """Add a note to what people wrote, in place of the one that an earlier ending of the run left.

    :param before: the note that the run has.
    :param now: from ``note``, or another that begins so.
    """
    theirs = re.split("|".join(map(re.escape, _MARKS)), before or "", maxsplit=1)[0].strip()
    return f"{theirs}\n\n{now}" if theirs and len(theirs) + 2 + len(now) <= LONGEST_NOTE else theirs or now
