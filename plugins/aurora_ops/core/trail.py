"""The audit trail of an operation: events in a row, each with the hash of the one before, and the check of such a row.

An event is a flat item of texts, whole numbers, yes and no, lists and maps of these. ``hash`` is the SHA-256 of everything else in
it as canonical JSON; ``previous`` is the hash of the event before, of the first one a hash of the operation's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aurora_ops.core.errors import ConfigError

Event = dict[str, Any]

BEGUN, MUTATION, APPROVAL, FINISHED = "begun", "mutation", "approval", "finished"
BEFORE, AFTER = "before", "after"
SCHEMA_VERSION = 1
_BIGGEST = 10**15  # beyond it programs differ in how they read a number
_LONGEST_TEXT = 50_000  # an item of DynamoDB has 400 KB


def partition(operation: str) -> str:
    """Name the partition of an operation's events.

    :param operation: ``<dag id>/<run id>``.
    """
    return f"audit#{operation}"


def sort_key(sequence: int) -> str:
    """Name an event in its partition; names sort as events do.

    :param sequence: from 1 on.
    """
    return f"event#{sequence:08d}"


def genesis(operation: str) -> str:
    """Make what the first event of an operation has in place of the hash of the one before."""
    return hashlib.sha256(f"aurora-ops audit trail of {operation}".encode()).hexdigest()


def canonical(value: Any) -> str:
    """Write a value as JSON in the one way that hashes are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def digest(value: Mapping[str, Any]) -> str:
    """Hash a value: SHA-256 of its canonical JSON, without its own ``hash``."""
    return hashlib.sha256(canonical({key: inner for key, inner in value.items() if key != "hash"}).encode()).hexdigest()


def tidy(value: Any) -> Any:
    """Turn a value into what reads the same wherever it has been stored; of other kinds only the kind is kept.

    Empty values and what is ``None`` are left out of maps and lists; numbers with a fraction become texts.
    """
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) < _BIGGEST):
        return value
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} (cut, of {len(text)} characters)"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = {str(key): tidy(item) for key, item in value.items() if item is not None and str(key)}
        return {key: item for key, item in inner.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value if item is not None]
    return f"({type(value).__name__})"


def seal(operation: str, sequence: int, previous: str, content: Mapping[str, Any]) -> Event:
    """Make the event that stands at a place of an operation's trail.

    :param operation: ``<dag id>/<run id>``.
    :param sequence: its place, from 1 on.
    :param previous: hash of the event before.
    :param content: what happened: ``kind``, ``at`` and more.
    :return: an item, its keys ``pk`` and ``sk``.
    """
    event: Event = {
        **tidy(content),
        "pk": partition(operation),
        "sk": sort_key(sequence),
        "schema_version": SCHEMA_VERSION,
        "operation": operation,
        "sequence": sequence,
        "previous": previous,
    }
    return {**event, "hash": digest(event)}


@dataclass(frozen=True)
class Head:
    """The end of a trail.

    :param sequence: place of its last event; 0 where there is none.
    :param hash: its hash.
    """

    sequence: int
    hash: str


def head_of(operation: str, events: Sequence[Event]) -> Head:
    """Tell where a trail ends."""
    return Head(int(events[-1]["sequence"]), str(events[-1]["hash"])) if events else Head(0, genesis(operation))


@dataclass(frozen=True)
class Verdict:
    """What a check has found.

    :param operation: whose trail it is.
    :param head: where it ends.
    :param broken: what is wrong first; ``None`` where nothing is.
    :param remarks: what is no break but should be known.
    """

    operation: str
    head: Head
    broken: str | None
    remarks: list[str] = field(default_factory=list)


def verify(
    events: Sequence[Any], *, head: Head | None = None, may_have_grown: bool = False, seen: Iterable[Head] = ()
) -> Verdict:
    """Check a trail.

    :param events: its events, in order.
    :param head: where it ended when that was written down elsewhere; ``None`` where nobody knows: then events that were taken
        off its end are not missed.
    :param may_have_grown: events after that end are no break: tasks may have been cleared since.
    :param seen: where it ended when steps of the operation looked, as its state says.
    """
    first = events[0] if events else None
    operation = str(first.get("operation", "")) if isinstance(first, Mapping) else ""
    broken = _first_break(operation, events)
    if broken is None and head is not None:
        broken = _wrong_end(operation, events, head, may_have_grown=may_have_grown)
    if broken is None and not events:
        broken = "event 1 is missing: there is no event at all"
    if broken is None and events[0].get("kind") != BEGUN:
        broken = f"event 1 is {events[0].get('kind')}, not {BEGUN}: what stood before it was taken away"
    if broken is None:
        ends = (_wrong_end(operation, events, end, may_have_grown=True) for end in seen)
        broken = next((end for end in ends if end is not None), None)
    if broken is not None:
        return Verdict(operation, Head(0, ""), broken)
    remarks = _unanswered(events)
    if head is not None and len(events) > head.sequence:
        remarks.append(f"{len(events) - head.sequence} events were added after the end that was written down")
    if events[-1].get("kind") != FINISHED:
        last = events[-1].get("kind")
        remarks.append(f"the last event is {last}, not {FINISHED}: the operation goes on, or its end is not here")
    return Verdict(operation, head_of(operation, events), None, remarks)


def _first_break(operation: str, events: Sequence[Any]) -> str | None:
    """Find the first event that is not what and where it should be."""
    places = [event.get("sequence") if isinstance(event, Mapping) else None for event in events]
    previous = genesis(operation)
    for wanted, event in enumerate(events, 1):
        if not isinstance(event, Mapping):
            return f"event {wanted} is no event"
        if event.get("sequence") != wanted:
            return _misplaced(wanted, event, places)
        if event.get("hash") != digest(event):
            return f"event {wanted} was changed: its hash is not that of what it says"
        if event.get("operation") != operation or (event.get("pk"), event.get("sk")) != (
            partition(operation),
            sort_key(wanted),
        ):
            return f"event {wanted} belongs elsewhere: to {event.get('operation')}, {event.get('sk')}"
        if event.get("previous") != previous:
            before = f"event {wanted - 1}" if wanted > 1 else f"operation {operation}"
            return f"event {wanted} does not follow {before}: one of the two was replaced"
        previous = str(event["hash"])
    return None


def _misplaced(wanted: int, event: Mapping[str, Any], places: Sequence[Any]) -> str:
    found = event.get("sequence")
    if found in places[: wanted - 1]:
        return f"event {found} is there twice, the second time in place of event {wanted}"
    if wanted in places[wanted:]:
        return f"event {wanted} is out of order: event {found} stands in its place"
    if isinstance(found, int) and found > wanted:
        return f"event {wanted} is missing: event {found} stands in its place"
    return f"event {wanted} was changed: it says that it is event {found}"


def _wrong_end(operation: str, events: Sequence[Event], head: Head, *, may_have_grown: bool) -> str | None:
    """Compare the end of a trail, unbroken in itself, with what was written down of it."""
    if len(events) < head.sequence:
        missing = len(events) + 1
        return f"event {missing} is missing: the trail ends before it, and should have {head.sequence} events"
    if head_of(operation, events[: head.sequence]) != head:
        return f"event {head.sequence} is not the one whose hash was written down: it or the whole trail was replaced"
    if len(events) > head.sequence and not may_have_grown:
        return f"event {head.sequence + 1} was added: the trail should end with event {head.sequence}"
    return None


def _unanswered(events: Sequence[Event]) -> list[str]:
    """Name what was begun and has no end in the trail."""
    answered = [event.get("of") for event in events if event.get("phase") == AFTER]
    return [
        f"event {event['sequence']}: {event.get('what', event.get('kind'))} of {event.get('task')} has no end in the trail; the "
        f"task was killed, or could not write it: it may have been done"
        for event in events
        if event.get("phase") == BEFORE and event["sequence"] not in answered
    ]


def as_jsonl(events: Iterable[Event]) -> bytes:
    """Write a trail as a file: one event a line, each in its canonical form."""
    return "".join(f"{canonical(event)}\n" for event in events).encode("ascii")


def read_jsonl(raw: bytes) -> list[Any]:
    """Read a trail from a file; a line that is not as ``as_jsonl`` writes them is an event that is none.

    :param raw: content of the file.
    """
    return [_line(line) for line in raw.splitlines()]


def _line(line: bytes) -> Any:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if canonical(event).encode() == line else None


def manifest(operation: str, head: Head, *, bucket: str, key: str, version_id: str | None) -> dict[str, Any]:
    """Describe an exported trail, for the file beside it and for the record.

    :param operation: ``<dag id>/<run id>``.
    :param head: where the trail ends.
    :param bucket: where it is.
    :param key: where it is.
    :param version_id: version of the object; ``None`` where the bucket keeps none.
    """
    return {
        "operation": operation,
        "events": head.sequence,
        "head": head.hash,
        "bucket": bucket,
        "key": key,
        **({"version_id": version_id} if version_id else {}),
    }


def head_in(described: Mapping[str, Any]) -> Head:
    """Read where a trail should end from a manifest or a record.

    :raises ConfigError: it does not say that.
    """
    try:
        return Head(int(described["events"]), str(described["head"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigError("manifest", exc, "it must have events and head") from exc


def manifest_key(key: str) -> str:
    """Name the file that describes an exported trail."""
    return f"{key.removesuffix('.jsonl')}.manifest.json"


def export_key(dag_id: str, moment: datetime, run_name: str, *, events: int | None = None) -> str:
    """Name the object of a trail.

    :param dag_id: the DAG.
    :param moment: logical date of the run, or when it was to run.
    :param run_name: name of the run, fit for a key.
    :param events: how many it has, where the plain name is taken by a shorter one.
    """
    grown = f".{events:08d}" if events is not None else ""
    return f"audit/{dag_id}/{moment:%Y-%m-%d}/{run_name}{grown}.jsonl"
