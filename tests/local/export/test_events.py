"""Events of snapshots in the real Airflow: messages through SNS and SQS, each decided once, each snapshot exported once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core.exports import names

from devstack import waiting
from devstack.snapshot_events import event, make_wires, snapshot_arn

pytestmark = [pytest.mark.local, pytest.mark.slow]

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS, REPEATED = 100, 20
WAIT_S = 240


def test_what_rds_tells_is_heard_once_and_never_lost(heard) -> None:
    """One story on one stack: a queue that comes late, a burst with duplicates, and a triggerer that dies with messages in hand."""
    heard.switch_on()
    waiting.until(
        lambda: "cannot be read" in triggerer_log(heard), what="a missing queue to be told", timeout_s=120, every_s=1
    )
    wires = make_wires(heard.stack.aws)

    taken = [heard.take_snapshot(f"by-hand-{number}") for number in (1, 2)]
    told = [event(arn, at) for arn, at in taken]
    told += [event(snapshot_arn(f"gone-{n}"), LONG_AGO + timedelta(minutes=n)) for n in range(EVENTS - len(told))]
    burst = told + told[:REPEATED]
    random.Random(7).shuffle(burst)
    wires.publish(burst)

    items = decided(heard, wires, EVENTS)
    assert len(items) == EVENTS
    assert sorted(len(item["messages"]["SS"]) for item in items)[-REPEATED:] == [2] * REPEATED
    assert {item["source_arn"]["S"] for item in items if item["decision"]["S"] == "export"} == {arn for arn, _ in taken}
    assert {item["why"]["S"] for item in items if item["decision"]["S"] == "skip"} == {
        "the snapshot is not there any more"
    }
    wait_for_exports(heard, [arn for arn, _ in taken])

    arn, at = heard.take_snapshot("by-hand-3")
    more = [event(snapshot_arn(f"lost-{n}"), LONG_AGO + timedelta(days=1, minutes=n)) for n in range(4)]
    stored = heard.stored()
    heard.stop_storing()
    wires.publish([*more, event(arn, at)])
    waiting.until(lambda: wires.counts()[1] == 5, what="all messages in hand", timeout_s=60, every_s=0.1)
    assert heard.stored() == stored
    heard.stack.stack.bounce_component("triggerer")
    assert len(decided(heard, wires, EVENTS + 5)) == EVENTS + 5
    wait_for_exports(heard, [*(one for one, _ in taken), arn])


def decided(heard, wires, count: int) -> list[dict]:
    """Items of decisions, once there are so many and no message is left."""

    def done() -> list[dict] | None:
        heard.stack.stack.check()
        items = wires.items()
        return items if len(items) >= count and wires.counts() == (0, 0, 0) else None

    return waiting.until(done, what=f"{count} decisions and no message left", timeout_s=WAIT_S, every_s=1)


def wait_for_exports(heard, arns: list[str]) -> None:
    """Each snapshot has one run, by its own id, and no other has."""
    wanted = sorted(names.run(arn) for arn in arns)
    waiting.until(
        lambda: len(heard.exports()) >= len(wanted), what=f"{len(wanted)} exports", timeout_s=WAIT_S, every_s=1
    )
    assert sorted(heard.exports()) == wanted


def triggerer_log(heard) -> str:
    """What the triggerer has said."""
    logs = heard.stack.config.logs
    return "".join(path.read_text(errors="replace") for path in logs.rglob("*trigger*.log"))
