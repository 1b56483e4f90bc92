"""Events of snapshots: heard, stored, decided."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from devstack.snapshot_events import event, make_wires, snapshot_arn
from localcloud.names import PRODUCTION
from tests.local.iam.lab import Lab
from tests.local.iam.recording import EVENTS, Recording

AT = datetime(2026, 1, 1, tzinfo=UTC)
TRIGGERER = Path(__file__).with_name("triggerer.py")


def tell(lab: Lab) -> None:
    """Events of a cluster's snapshot and of an instance's, both of which have gone, in the queue."""
    wires = make_wires(lab.admin)
    told = [snapshot_arn("gone"), f"arn:aws:rds:eu-west-1:{PRODUCTION}:snapshot:gone"]
    wires.publish(event(arn, AT, event_id="RDS-EVENT-0075" if "cluster" in arn else "RDS-EVENT-0042") for arn in told)


def listen(lab: Lab) -> None:
    """Store the events as the triggerer does: one message is deleted, one given back."""
    lab.play(TRIGGERER)


RECORDINGS: tuple[Recording, ...] = (
    Recording(
        EVENTS,
        before=tell,
        listens=listen,
        calls=(
            "sqs:ReceiveMessage",
            "sqs:DeleteMessageBatch",
            "sqs:ChangeMessageVisibilityBatch",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBSnapshots",
            "dynamodb:UpdateItem",
        ),
    ),
)
