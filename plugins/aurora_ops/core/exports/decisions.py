"""What is decided because of an event, and by what an event is known again.

The same event may come in several messages: SNS and SQS deliver at least once, and RDS itself says some things twice. An *event* is
known by its number, the snapshot it names and its moment: what has all three in common was said twice, and is decided once. A
*message* is known by its id: one that is received twice tells nothing new. An event without a moment, or what is no event at all,
is known by the message that it came in and its number in there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aurora_ops.core.exports.events import Event, Unreadable

KEPT_DAYS = 90
_DIGEST = 16
Outcome = Literal["export", "skip"]


@dataclass(frozen=True)
class Told:
    """An event, or what should have been one, as it came.

    :param event: what was read.
    :param message_id: message that it came in.
    :param number: its place in there, from 0.
    :param sent: when the message was sent.
    """

    event: Event | Unreadable
    message_id: str
    number: int
    sent: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Partition and sort key of its item: the day, and what it is known by."""
        event = self.event
        if isinstance(event, Unreadable) or event.at is None:
            name = "UNREADABLE" if isinstance(event, Unreadable) else event.event_id
            return f"events#{self.sent:%Y-%m-%d}", f"{name}#{self.message_id}#{self.number}"
        source = hashlib.sha256(event.source_arn.encode()).hexdigest()[:_DIGEST]
        at = event.at.astimezone(UTC)
        return f"events#{at:%Y-%m-%d}", f"{event.event_id}#{at.isoformat(timespec='microseconds')}#{source}"


@dataclass(frozen=True)
class Decision:
    """What becomes of an event.

    :param told: the event.
    :param outcome: whether the snapshot is exported.
    :param why: the reason.
    :param database: name of the export; empty where it is of none.
    """

    told: Told
    outcome: Outcome
    why: str
    database: str = ""

    @property
    def event_id(self) -> str:
        """Number of the event; empty: it is none."""
        return "" if isinstance(self.told.event, Unreadable) else self.told.event.event_id

    @property
    def source_arn(self) -> str:
        """Snapshot that it names, as the message has it; empty: none."""
        return "" if isinstance(self.told.event, Unreadable) else self.told.event.source_arn

    def as_json(self) -> dict[str, Any]:
        """Give what the XCom and the item have in common."""
        return {
            "event_id": self.event_id,
            "source_arn": self.source_arn[:500],
            "message_id": self.told.message_id,
            "decision": self.outcome,
            "why": self.why,
            "database": self.database,
        }


def item(decision: Decision, now: datetime) -> dict[str, Any]:
    """Make the attributes of a decision's item, beside its keys and messages.

    :param decision: the decision.
    :param now: present moment.
    """
    event = decision.told.event
    at = None if isinstance(event, Unreadable) else event.at
    return {
        "event_id": decision.event_id or None,
        "source_arn": decision.source_arn[:500] or None,
        "event_at": at.isoformat() if at else None,
        "sent_at": decision.told.sent.isoformat(),
        "database": decision.database or None,
        "decision": decision.outcome,
        "why": decision.why,
        "decided_at": now.isoformat(),
        "expires_at": int((now + timedelta(days=KEPT_DAYS)).timestamp()),
    }
