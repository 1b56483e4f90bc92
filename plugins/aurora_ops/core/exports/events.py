"""Reading what RDS says of snapshots: events, as SNS, SQS and EventBridge wrap them.

RDS sends events best effort: some come twice, late, out of order, or never. They are read as hints; what counts is what RDS
answers when it is asked. Events by number: Amazon Aurora and RDS user guides, "Event categories and event messages".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aurora_ops.core.exports import names

CREATED = {
    "RDS-EVENT-0042": "manual snapshot of an instance created",
    "RDS-EVENT-0091": "automated snapshot of an instance created",
    "RDS-EVENT-0197": "copy of a snapshot of an instance finished",
    "RDS-EVENT-0075": "manual snapshot of a cluster created",
    "RDS-EVENT-0169": "automated snapshot of a cluster created",
}
"""Events after which there may be something to export."""

TOLD = {
    "RDS-EVENT-0040": "snapshot of an instance begun",
    "RDS-EVENT-0090": "automated snapshot of an instance begun",
    "RDS-EVENT-0074": "snapshot of a cluster begun",
    "RDS-EVENT-0168": "automated snapshot of a cluster begun",
    "RDS-EVENT-0059": "copy of a snapshot from another region begun",
    "RDS-EVENT-0060": "copy of a snapshot from another region finished",
    "RDS-EVENT-0061": "copy of a snapshot from another region failed",
    "RDS-EVENT-0190": "copy of a snapshot cancelled",
    "RDS-EVENT-0196": "copy of a snapshot begun",
    "RDS-EVENT-0159": "export of a snapshot of an instance failed",
    "RDS-EVENT-0160": "export of a snapshot of an instance cancelled",
    "RDS-EVENT-0161": "export of a snapshot of an instance finished",
    "RDS-EVENT-0162": "export of a snapshot of a cluster failed",
    "RDS-EVENT-0163": "export of a snapshot of a cluster cancelled",
    "RDS-EVENT-0164": "export of a snapshot of a cluster finished",
    "RDS-EVENT-0234": "export of a cluster failed",
    "RDS-EVENT-0235": "export of a cluster cancelled",
    "RDS-EVENT-0236": "export of a cluster finished",
    "RDS-EVENT-0489": "a table could not be exported",
    "RDS-EVENT-0491": "a table is exported by one thread",
    "RDS-EVENT-0492": "a table has been exported for an hour",
    "RDS-EVENT-0493": "an export has come further",
}
"""Events that are known and lead to nothing: there is nothing to export yet, or an export is waited for by asking RDS."""

_EVENT_ID = re.compile(r"RDS-EVENT-\d{4}")
_DEEPEST = 6


@dataclass(frozen=True)
class Event:
    """What RDS said.

    :param event_id: such as ``RDS-EVENT-0169``.
    :param source_arn: ARN of the snapshot or database; empty where the message has none.
    :param source_id: its identifier, as the message has it.
    :param at: when it happened, as far as the message says so in a form that can be read.
    :param message: RDS's words.
    """

    event_id: str
    source_arn: str
    source_id: str
    at: datetime | None
    message: str


@dataclass(frozen=True)
class Unreadable:
    """A message, or a part of one, that is no event of RDS.

    :param why: what is missing.
    """

    why: str


def read(body: str) -> list[Event | Unreadable]:
    """Read a message: one event or several, however they are wrapped.

    RDS through SNS (plain or raw), records as Lambda is given them by SNS or SQS (``Records[]``), and EventBridge's form.

    :param body: body of an SQS message.
    :return: at least one; what cannot be read is told, never left out.
    """
    try:
        content = json.loads(body)
    except ValueError:
        return [Unreadable("it is not JSON")]
    return list(_events(content, 0))


def _events(content: Any, depth: int) -> Iterator[Event | Unreadable]:
    if depth > _DEEPEST:
        yield Unreadable("it is wrapped too deeply")
    elif isinstance(content, str):
        try:
            inner = json.loads(content)
        except ValueError:
            yield Unreadable("it is not JSON")
            return
        yield from _events(inner, depth + 1)
    elif isinstance(content, list):
        if not content:
            yield Unreadable("it is empty")
        for one in content:
            yield from _events(one, depth + 1)
    elif isinstance(content, Mapping):
        yield from _of_mapping(content, depth)
    else:
        yield Unreadable(f"it is a {type(content).__name__}, not an event")


def _of_mapping(content: Mapping[str, Any], depth: int) -> Iterator[Event | Unreadable]:
    for wrapping in ("Records", "Message", "Sns", "body"):
        if wrapping in content and "Event ID" not in content:
            yield from _events(content[wrapping], depth + 1)
            return
    if isinstance(content.get("detail"), Mapping):
        detail = content["detail"]
        yield _event(*(detail.get(key) for key in ("EventID", "SourceArn", "SourceIdentifier", "Date", "Message")))
    elif "Event ID" in content:
        yield _event(
            *(content.get(key) for key in ("Event ID", "Source ARN", "Source ID", "Event Time", "Event Message"))
        )
    else:
        yield Unreadable("it has no Event ID")


def _event(event_id: Any, arn: Any, source_id: Any, at: Any, message: Any) -> Event | Unreadable:
    found = _EVENT_ID.findall(str(event_id or ""))
    if not found:
        return Unreadable(f"its Event ID {str(event_id)[:80]!r} is none of RDS")
    return Event(found[-1], str(arn or ""), str(source_id or ""), _moment(at), str(message or "")[:200])


def _moment(text: Any) -> datetime | None:
    """Read RDS's moments: ``2026-01-31 02:03:04.567`` in UTC, or ISO 8601."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def refusal(event: Event | Unreadable, places: frozenset[tuple[str, str]]) -> str | None:
    """Tell why nothing can be exported because of an event, as far as that shows without asking RDS; ``None``: it may be.

    :param event: what was read.
    :param places: account and region of each database that is exported.
    """
    if isinstance(event, Unreadable):
        return f"not an event of RDS: {event.why}"
    if event.event_id in TOLD:
        return f"{event.event_id}: {TOLD[event.event_id]}: nothing to start"
    if event.event_id not in CREATED:
        return f"{event.event_id} is not known here"
    try:
        names.snapshot_of(event.source_arn)
    except ValueError:
        return f"{event.event_id} names no snapshot: Source ARN is {event.source_arn[:200]!r}"
    _, _, _, region, account, *_ = event.source_arn.split(":", 6)
    if (account, region) not in places:
        return f"no database of account {account} in {region} is exported"
    return None
