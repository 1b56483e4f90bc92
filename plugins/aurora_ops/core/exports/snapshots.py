"""Which snapshots of a database are exported: of the kinds that the settings name, and the first of each day, week or month.

The *first* of a period stands for it, not the newest: that stays so whatever is made later, so that events, nightly runs and
backfills decide alike. A period whose snapshot has been exported is done, also when that snapshot itself has expired since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from aurora_ops.core.exports import names
from aurora_ops.core.settings_exports import Frequency, Kind

_BACKUP = "awsbackup:"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a cluster or an instance.

    :param arn: its ARN.
    :param database_id: cluster or instance that it is of.
    :param kind: ``automated``, ``manual`` or ``backup``; ``None``: none that is exported, such as one that is shared.
    :param status: ``available``, ...
    :param created: moment of its data; ``None`` while it is made.
    :param encrypted_by: ARN of its key; ``None``: it is not encrypted.
    """

    arn: str
    database_id: str
    kind: Kind | None
    status: str
    created: datetime | None
    encrypted_by: str | None = None

    @property
    def snapshot_id(self) -> str:
        """Its identifier."""
        return names.snapshot_of(self.arn)


def kind_of(snapshot_id: str, snapshot_type: str) -> Kind | None:
    """Tell which kind a snapshot is of.

    :param snapshot_id: its identifier; AWS Backup's begin with ``awsbackup:``, whatever type RDS says.
    :param snapshot_type: ``SnapshotType`` of RDS: ``automated``, ``manual``, ``awsbackup``, ``shared``, ``public``.
    """
    if snapshot_type == "awsbackup" or (snapshot_id.startswith(_BACKUP) and snapshot_type in ("manual", "automated")):
        return "backup"
    return {"automated": "automated", "manual": "manual"}.get(snapshot_type)  # type: ignore[return-value]


def period(created: datetime, frequency: Frequency, zone: tzinfo) -> str | None:
    """Name the day, ISO week or month that a snapshot is of; ``None`` where each stands for itself.

    :param created: when it was made.
    :param frequency: of the settings.
    :param zone: whose days count.
    """
    local = created.astimezone(zone)
    if frequency == "daily":
        return local.strftime("%Y-%m-%d")
    if frequency == "weekly":
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02d}"
    return local.strftime("%Y-%m") if frequency == "monthly" else None


def due(
    found: Iterable[Snapshot],
    kinds: Collection[Kind],
    frequency: Frequency,
    zone: tzinfo,
    exported: Iterable[tuple[str, datetime]] = (),
) -> list[Snapshot]:
    """List the snapshots that are to be exported, oldest first; those that are exported already are among them.

    :param found: all of the database, in any order and state.
    :param kinds: kinds that count.
    :param frequency: which of them.
    :param zone: whose days count.
    :param exported: ARN and moment of each snapshot that has been exported: its period has no other one.
    """
    good = sorted(
        (one for one in found if one.status == "available" and one.kind in kinds and one.created is not None),
        key=_order,
    )
    taken = {
        period(created, frequency, zone): arn for arn, created in sorted(exported, key=lambda one: one[1], reverse=True)
    }
    chosen: list[Snapshot] = []
    for one in good:
        assert one.created is not None  # noqa: S101 - for mypy
        of = period(one.created, frequency, zone)
        if of is None or taken.setdefault(of, one.arn) == one.arn:
            chosen.append(one)
    return chosen


def within(found: Sequence[Snapshot], start: datetime, end: datetime) -> list[Snapshot]:
    """Give those that were made in an interval, its end excluded."""
    return [one for one in found if one.created is not None and start <= one.created < end]


def _order(one: Snapshot) -> tuple[datetime, str]:
    assert one.created is not None  # noqa: S101 - for mypy
    return one.created, one.arn
