"""Deciding, before anything is changed, what a refresh will do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.settings import Environment

_NOT_IN_TAGS = re.compile(r"[^\w\s.:/=+@-]", re.ASCII)


def target_key(account_id: str, cluster: str) -> str:
    """Name a target in the table of runs: the partition key of its lock and of its refreshes' records."""
    return f"refresh#{account_id}#{cluster}"


class SnapshotFacts(Protocol):
    """What choosing needs to know of a snapshot."""

    @property
    def snapshot_id(self) -> str:
        """Its identifier."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def created(self) -> datetime | None:
        """When it was taken."""


SnapshotT = TypeVar("SnapshotT", bound=SnapshotFacts)


def run_key(dag_id: str, run_id: str) -> str:
    """Name a run so that it can stand in a tag (at most 256 letters, digits and ``. : / = + @ - _``)."""
    return _NOT_IN_TAGS.sub("_", f"{dag_id}/{run_id}")[:256]


def choose_snapshot(
    choice: str, snapshots: Sequence[SnapshotT], *, now: datetime, max_age_h: float
) -> SnapshotT | None:
    """Choose the snapshot to refresh from.

    :param choice: ``newest``, ``newest_or_fresh``, ``fresh`` or an identifier.
    :param snapshots: the source cluster's snapshots, in any order and state.
    :param now: present moment.
    :param max_age_h: hours that it may be old.
    :return: the snapshot, or ``None`` where one is to be taken.
    :raises ConfigError: there is none of that name, or none young enough.
    """
    if choice == "fresh":
        return None
    usable = sorted(
        (snapshot for snapshot in snapshots if snapshot.status == "available" and snapshot.created is not None),
        key=lambda snapshot: snapshot.created or now,
    )
    if choice not in ("newest", "newest_or_fresh"):
        named = [snapshot for snapshot in usable if snapshot.snapshot_id == choice]
        if not named:
            known = [snapshot.snapshot_id for snapshot in usable[-5:]]
            raise ConfigError("source.snapshot", choice, f"available ones of the source are {known}")
        usable = named
    young = [
        snapshot for snapshot in usable if snapshot.created and now - snapshot.created <= timedelta(hours=max_age_h)
    ]
    if young:
        return young[-1]
    if choice == "newest_or_fresh":
        return None
    age = f"{(now - usable[-1].created) / timedelta(hours=1):.1f} h old" if usable and usable[-1].created else "none"
    name = usable[-1].snapshot_id if usable else choice
    raise ConfigError(
        "source.snapshot",
        name,
        f"the youngest is {age}; at most snapshot_max_age_h={max_age_h:g} h are allowed: raise it, or choose newest_or_fresh",
    )


def names(settings: Environment, moment: datetime) -> dict[str, str]:
    """Make every name that a run uses.

    :param settings: settings of the run.
    :param moment: its logical date, or when it was to run.
    """
    source, target = settings.source.cluster, settings.target.cluster
    return {
        "target_cluster": target,
        "temporary_cluster": naming.temporary_cluster(target),
        "old_cluster": naming.old_cluster(target),
        "fresh_snapshot_id": naming.snapshot(source, settings.environment, moment),
        "rekeyed_snapshot_id": naming.snapshot(source, settings.environment, moment, "rekeyed"),
        "copy_snapshot_id": naming.snapshot(source, settings.environment, moment, "copy"),
    }
