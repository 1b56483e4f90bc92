"""By what an event is known again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aurora_ops.core.exports.decisions import Decision, Told, item
from aurora_ops.core.exports.events import Event, Unreadable

AT = datetime(2026, 1, 31, 23, 59, 59, 500_000, tzinfo=UTC)
EVENT = Event("RDS-EVENT-0169", "arn:aws:rds:eu-west-1:1:cluster-snapshot:s", "s", AT, "made")
TOLD = Told(EVENT, "message", 0, AT + timedelta(minutes=1))


def test_the_same_in_another_message_is_the_same_event() -> None:
    assert replace(TOLD, message_id="other", number=3, sent=AT + timedelta(days=2)).key == TOLD.key
    moved = replace(EVENT, at=AT.astimezone(timezone(timedelta(hours=9))), message="other words")
    assert replace(TOLD, event=moved).key == TOLD.key
    assert TOLD.key[0] == "events#2026-01-31"


@pytest.mark.parametrize(
    "other",
    [{"event_id": "RDS-EVENT-0075"}, {"source_arn": "arn:other"}, {"at": AT + timedelta(milliseconds=1)}],
    ids=["event", "snapshot", "moment"],
)
def test_what_differs_in_one_is_another_event(other) -> None:
    assert replace(TOLD, event=replace(EVENT, **other)).key != TOLD.key


@pytest.mark.parametrize("event", [replace(EVENT, at=None), Unreadable("why")], ids=["no moment", "no event"])
def test_without_a_moment_it_is_known_by_its_message(event) -> None:
    told = replace(TOLD, event=event)
    assert told.key[0] == "events#2026-02-01", "the day it was sent on"
    assert replace(told).key == told.key
    assert len({told.key, replace(told, message_id="other").key, replace(told, number=1).key}) == 3


def test_keys_are_short_whatever_the_message_says() -> None:
    assert len(replace(TOLD, event=replace(EVENT, source_arn="x" * 60_000)).key[1].encode()) < 200


def test_an_item_says_what_was_decided_and_goes_after_90_days() -> None:
    made = item(Decision(TOLD, "skip", "because", "shop"), AT)
    assert made == {
        "event_id": "RDS-EVENT-0169",
        "source_arn": EVENT.source_arn,
        "event_at": AT.isoformat(),
        "sent_at": TOLD.sent.isoformat(),
        "database": "shop",
        "decision": "skip",
        "why": "because",
        "decided_at": AT.isoformat(),
        "expires_at": int((AT + timedelta(days=90)).timestamp()),
    }
