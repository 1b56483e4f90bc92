"""What is remembered of exports: one item for each snapshot, beside what RDS says of its tasks.

RDS keeps an export task for some time only, and its snapshot expires: that a day or a month has been exported is known for good
only here. Items: ``pk`` = ``export#<name>``, ``sk`` = ``<moment of the snapshot, UTC>#<its identifier>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aurora_ops.core.exports import names

EXPORTED, FAILED = "exported", "failed"


@dataclass(frozen=True)
class Known:
    """What is known of a snapshot's export.

    :param arn: of the snapshot.
    :param created: moment of its data.
    :param status: ``exported`` or ``failed``.
    :param task_id: its last export task.
    """

    arn: str
    created: datetime
    status: str
    task_id: str


def partition(name: str) -> str:
    """Name the partition of a database's exports.

    :param name: of the export.
    """
    return f"export#{name}"


def sort_key(created: datetime, arn: str) -> str:
    """Name the item of a snapshot within its database's partition: they are in order of time."""
    return f"{created.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}#{names.snapshot_of(arn)}"


def known(item: Mapping[str, Any]) -> Known:
    """Read an item."""
    return Known(
        arn=item["snapshot_arn"],
        created=datetime.fromisoformat(item["snapshot_time"]),
        status=item["status"],
        task_id=item.get("task_id") or "",
    )
