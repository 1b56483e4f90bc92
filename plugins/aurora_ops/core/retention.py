"""Deciding which snapshots are kept, and which copies are missing. Nothing here looks at AWS or changes anything.

The newest good snapshot of a day, an ISO week or a month stands for it, and the last so many days, weeks and months *that have
snapshots* are kept. So nothing is deleted because time passes, only because something newer is there: where backups stop, what
there is stays. Days are those of the environment's time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Generic, Protocol, TypeVar

from aurora_ops.core import naming, ownership
from aurora_ops.core.reaping import Verdict
from aurora_ops.core.settings_retention import Keep

_CLASSES = ("daily", "weekly", "monthly")
_UNITS = ("day", "week", "month")


class Facts(Protocol):
    """What the policy needs to know of a snapshot."""

    @property
    def snapshot_id(self) -> str:
        """Its identifier, unique within account and region."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def type(self) -> str:
        """``manual``, ``automated``, ``awsbackup``, ..."""

    @property
    def created(self) -> datetime | None:
        """When it was made."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


FactsT = TypeVar("FactsT", bound=Facts)


@dataclass(frozen=True)
class Copy(Generic[FactsT]):
    """A copy that is missing.

    :param source: snapshot to copy.
    :param snapshot_id: name of the copy.
    :param taken: moment of its data.
    :param why: days, weeks and months that it stands for.
    """

    source: FactsT
    snapshot_id: str
    taken: datetime
    why: str


def taken(snapshot: Facts) -> datetime | None:
    """Tell the moment of a snapshot's data: of a copy of ours the one that its tag says, since AWS shows when the copy was made."""
    tagged = (
        ownership.parse_expiry(snapshot.tags.get(ownership.TAKEN_TAG)) if ownership.is_ours(snapshot.tags) else None
    )
    return tagged or snapshot.created


def judge(
    snapshots: Iterable[FactsT], keep: Keep, *, zone: tzinfo, prefixes: Sequence[str], in_use: Mapping[str, str]
) -> dict[str, Verdict]:
    """Decide on each snapshot of a cluster in one account and region; whatever is in doubt stays.

    :param snapshots: all of them, in any order and state.
    :param keep: how many of each class.
    :param zone: whose days, weeks and months count.
    :param prefixes: names of manual snapshots that are under the policy though this package did not make them.
    :param in_use: snapshot to the reason why it must stay for now; it changes nothing for the others.
    :return: identifier to verdict; ``report`` is something that a person should look at.
    """
    found: dict[str, Verdict] = {}
    good: list[FactsT] = []
    for snapshot in snapshots:
        verdict = _outside(snapshot, prefixes)
        if verdict is None:
            good.append(snapshot)
        else:
            found[snapshot.snapshot_id] = verdict
    ordered = _newest_first(good)
    places = _places(ordered, zone)
    for number, snapshot in enumerate(ordered):
        kept, lost = _standing(places[snapshot.snapshot_id], keep)
        name = snapshot.snapshot_id
        if kept:
            found[name] = Verdict("keep", ", ".join(kept))
        elif number == 0:
            found[name] = Verdict("keep", "it is the newest good one")
        elif name in in_use:
            found[name] = Verdict("keep", in_use[name])
        else:
            found[name] = Verdict("remove", "; ".join(lost))
    return found


def missing_copies(
    sources: Iterable[FactsT],
    present: Iterable[Facts],
    keep: Keep,
    *,
    zone: tzinfo,
    source_prefixes: Sequence[str],
    prefixes: Sequence[str],
    name: Callable[[datetime], str],
) -> list[Copy[FactsT]]:
    """List the copies that a region lacks, the newest first.

    A day, week or month that has a copy already needs no other, though newer snapshots of it may come: so each costs one copy.

    :param sources: snapshots of the cluster where it is; automated ones are copied too.
    :param present: snapshots of the cluster in the region where copies are kept.
    :param keep: how many of each class are kept there.
    :param zone: whose days, weeks and months count.
    :param source_prefixes: names of manual snapshots of the cluster's region that are under the policy, though not this package's.
    :param prefixes: the same where copies are kept.
    :param name: names the copy of data of a moment.
    """
    present = list(present)
    names = {snapshot.snapshot_id for snapshot in present}
    there = [moment for one in present if _is_copy(one, prefixes) and (moment := taken(one))]
    offered = {moment: one for one in sources if _is_source(one, source_prefixes) and (moment := taken(one))}
    moments = sorted({*there, *offered}, reverse=True)
    wanted: dict[datetime, list[str]] = {}
    for kind, most in enumerate(_counts(keep)):
        last = list(dict.fromkeys(_periods(moment, zone)[kind] for moment in moments))[:most]
        covered = {_periods(moment, zone)[kind] for moment in there}
        for moment in sorted(offered, reverse=True):
            period = _periods(moment, zone)[kind]
            if period in last and period not in covered:
                covered.add(period)
                wanted.setdefault(moment, []).append(f"{_CLASSES[kind]} {period}")
    copies = [Copy(offered[moment], name(moment), moment, ", ".join(why)) for moment, why in wanted.items()]
    return sorted((copy for copy in copies if copy.snapshot_id not in names), key=lambda copy: copy.taken, reverse=True)


def _outside(snapshot: Facts, prefixes: Sequence[str]) -> Verdict | None:
    """Judge what the policy does not count; ``None`` for a good snapshot under it."""
    if snapshot.type != "manual":
        return Verdict("keep", f"{snapshot.type or 'of unknown type'}: it is not deleted from here")
    if not is_managed(snapshot, prefixes):
        return Verdict("keep", "this package did not make it, and its name has none of name_prefixes")
    if ownership.EXPIRES_TAG in snapshot.tags:
        return Verdict("keep", f"temporary, until {snapshot.tags[ownership.EXPIRES_TAG]}: reap_expired looks after it")
    if snapshot.status == "failed":
        if naming.is_kept_copy(snapshot.snapshot_id) and ownership.is_ours(snapshot.tags):
            return Verdict("remove", "it has failed, so it holds nothing; the next run copies again")
        return Verdict("report", "it has failed; look at it and delete it")
    if snapshot.status != "available":
        return Verdict("keep", f"it is {snapshot.status}")
    return None if taken(snapshot) else Verdict("report", "AWS does not say when it was taken")


def is_managed(snapshot: Facts, prefixes: Sequence[str]) -> bool:
    """Tell whether a manual snapshot is under the policy.

    Ours by tags and by name: a snapshot that a person takes of a refreshed cluster inherits the cluster's tags.

    :param prefixes: beginnings of further names.
    """
    name = snapshot.snapshot_id
    named = naming.is_kept_copy(name) or naming.is_snapshot_of_a_run(name)
    return (named and ownership.is_ours(snapshot.tags)) or name.startswith(tuple(prefixes))


def _is_copy(snapshot: Facts, prefixes: Sequence[str]) -> bool:
    """Tell whether a snapshot counts where copies are kept, be it still in the making."""
    lasting = ownership.EXPIRES_TAG not in snapshot.tags and snapshot.status not in ("failed", "deleting")
    return snapshot.type == "manual" and lasting and is_managed(snapshot, prefixes)


def _is_source(snapshot: Facts, prefixes: Sequence[str]) -> bool:
    if snapshot.status != "available":
        return False
    return snapshot.type == "automated" or _is_copy(snapshot, prefixes)


def _counts(keep: Keep) -> tuple[int, int, int]:
    return keep.daily, keep.weekly, keep.monthly


def _periods(moment: datetime, zone: tzinfo) -> tuple[str, str, str]:
    """Name day, ISO week and month of a moment."""
    day = moment.astimezone(zone).date()
    year, week, _ = day.isocalendar()
    return day.isoformat(), f"{year}-W{week:02d}", f"{day.year}-{day.month:02d}"


def _order(snapshot: Facts) -> tuple[float, str]:
    moment = taken(snapshot)
    return moment.timestamp() if moment else 0.0, snapshot.snapshot_id


def _newest_first(snapshots: Iterable[FactsT]) -> list[FactsT]:
    return sorted(snapshots, key=_order, reverse=True)


def _places(ordered: Sequence[Facts], zone: tzinfo) -> dict[str, list[tuple[str, int | None]]]:
    """Say of each snapshot, by class, its period and that period's place from the newest; no place where a newer one stands for it.

    :param ordered: good snapshots, the newest first.
    """
    seen: tuple[set[str], ...] = (set(), set(), set())
    found: dict[str, list[tuple[str, int | None]]] = {}
    for snapshot in ordered:
        moment = taken(snapshot)
        places: list[tuple[str, int | None]] = []
        for kind, period in enumerate(_periods(moment, zone) if moment else ()):
            stands = period not in seen[kind]
            seen[kind].add(period)
            places.append((period, len(seen[kind]) if stands else None))
        found[snapshot.snapshot_id] = places
    return found


def _standing(places: Sequence[tuple[str, int | None]], keep: Keep) -> tuple[list[str], list[str]]:
    """Say for which classes a snapshot is kept, and why not for the others."""
    kept, lost = [], []
    for kind, unit, (period, place), most in zip(_CLASSES, _UNITS, places, _counts(keep), strict=True):
        if place is not None and place <= most:
            kept.append(f"{kind} {period}")
        elif place is None:
            lost.append(f"{period} has a newer one")
        else:
            lost.append(f"{period} is not among the last {most} {unit}s")
    return kept, lost
