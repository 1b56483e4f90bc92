"""Deciding what becomes of what dead runs left behind. Nothing here looks at AWS or changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aurora_ops.core import refresh_plan
from aurora_ops.core.ownership import parse_expiry
from aurora_ops.core.settings import Environment

Kind = Literal[
    "cluster",
    "instance",
    "snapshot",
    "share",
    "grant",
    "kept tables",
    "secret version",
    "lock",
    "file system",
    "cluster share",
    "job",
]
Action = Literal["remove", "keep", "report"]
_MOST_LINES, _LONGEST_LINE = 30, 300


@dataclass(frozen=True)
class Leftover:
    """Something of ours that is there.

    :param kind: what it is.
    :param name: its identifier, unique within its kind, account and region.
    :param run: the run that made it; empty where nothing says so.
    :param expires: the moment from which it may go, as its tag has it; empty where it has none.
    :param created: when it was made.
    :param needs_run: a tag must name its run; kinds that have no tags are known by their names.
    :param barred: why it must stay whatever its tags say; empty where nothing bars it.
    :param subject: what removing it needs; never shown.
    """

    kind: Kind
    name: str
    run: str = ""
    expires: str = ""
    created: datetime | None = None
    needs_run: bool = True
    barred: str = ""
    subject: Any = None

    @property
    def key(self) -> str:
        """Name it in logs and records."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Verdict:
    """What becomes of a leftover, and why.

    :param action: ``remove``; ``keep``, which is in order; ``report``, which a person should look at.
    :param reason: for the log and the record.
    """

    action: Action
    reason: str


def decide(item: Leftover, *, now: datetime, holders: Iterable[str], min_age_h: float = 0) -> Verdict:
    """Decide on one leftover; whatever is in doubt stays.

    :param item: as it has just been looked up.
    :param now: present moment.
    :param holders: holders of the locks of the targets it could belong to, their leases not over (``<dag id>/<run id>``).
    :param min_age_h: hours; what is younger stays, and what does not tell its age too.
    """
    expires = parse_expiry(item.expires)
    if item.needs_run and not item.run:
        return Verdict("report", "no tag says which run made it")
    if expires is None:
        return Verdict("report", f"its expiry {item.expires!r} cannot be read" if item.expires else "it has no expiry")
    if expires > now:
        return Verdict("keep", f"it expires {item.expires}")
    if held_by := sorted(holders):
        return Verdict("keep", f"{', '.join(held_by)} holds the lock: it made it, or may be using it")
    if item.barred:
        return Verdict("report", item.barred)
    if min_age_h and (item.created is None or now - item.created < timedelta(hours=min_age_h)):
        return Verdict("keep", f"it is not known to be {min_age_h:g} h old")
    return Verdict("remove", f"it expired {item.expires}")


def live_holders(locks: Iterable[Mapping[str, Any] | None], now: datetime) -> list[str]:
    """Name the runs whose locks are not void.

    :param locks: items of the table of runs; ``None`` where a target has no lock.
    :param now: present moment.
    """
    return sorted(
        str(lock.get("holder", "somebody"))
        for lock in locks
        if lock and float(lock.get("expires_at", "inf")) >= now.timestamp()
    )


def until(created: datetime | None, hours: float) -> str:
    """Write the expiry of something that has no tags: so many hours after it was made; empty where that is not known."""
    return (created + timedelta(hours=hours)).astimezone(UTC).isoformat(timespec="seconds") if created else ""


@dataclass(frozen=True)
class Place:
    """An account and region as one connection reaches it, and the environments that work in it.

    :param aws_conn_id: connection.
    :param region: region.
    :param account_id: account the connection must lead to.
    :param sources: environments whose source is here.
    :param targets: environments whose target is here.
    """

    aws_conn_id: str
    region: str
    account_id: str
    sources: tuple[Environment, ...] = ()
    targets: tuple[Environment, ...] = ()

    @property
    def environments(self) -> list[Environment]:
        """Every environment that works here, once."""
        found = {environment.environment: environment for environment in (*self.sources, *self.targets)}
        return [found[name] for name in sorted(found)]

    @property
    def label(self) -> str:
        """Name for tasks: connection and region."""
        return f"{self.aws_conn_id}_{self.region}".replace("-", "_").replace(".", "_")

    @property
    def removes(self) -> bool:
        """Whether scheduled runs remove here: only if every environment that works here says so."""
        return all(environment.safety.reap == "remove" for environment in self.environments)

    @property
    def expires_h(self) -> float:
        """Hours that what has no tags is good for: the longest of any environment here."""
        return max(environment.expires_h for environment in self.environments)

    @property
    def lock_keys(self) -> list[str]:
        """Partition keys of the locks that bar removing anything here."""
        return sorted({key for environment in self.environments for key in lock_keys(environment)})

    @property
    def protected(self) -> bool:
        """Whether nothing but shares, grants and snapshots of ours may ever be removed here."""
        return not self.targets or any(self.account_id in e.safety.protected_accounts for e in self.environments)

    @property
    def served_names(self) -> list[str]:
        """Names under which clusters serve here, which are never removed."""
        return sorted(
            {
                name
                for e in self.environments
                for name in (e.target.cluster, e.source.cluster, *e.safety.allowed_clusters)
            }
        )


def lock_keys(environment: Environment) -> list[str]:
    """Partition keys of the locks that a run of an environment may take."""
    clusters = {environment.target.cluster, *environment.safety.allowed_clusters}
    return sorted(refresh_plan.target_key(environment.target.account_id, cluster) for cluster in clusters)


def places(environments: Sequence[Environment]) -> list[Place]:
    """List the accounts and regions of all environments, each once, sorted.

    :param environments: settings of every environment.
    """
    found: dict[tuple[str, str, str], tuple[list[Environment], list[Environment]]] = {}
    for environment in environments:
        source, target = environment.source, environment.target
        found.setdefault((source.aws_conn_id, source.region, source.account_id), ([], []))[0].append(environment)
        found.setdefault((target.aws_conn_id, target.region, target.account_id), ([], []))[1].append(environment)
    return [Place(*key, tuple(roles[0]), tuple(roles[1])) for key, roles in sorted(found.items())]


def summary(
    mode: str, judged: Sequence[tuple[Leftover, Verdict]], removed: Sequence[str], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Sum up what one task found and did, small enough for an XCom.

    :param mode: ``report`` or ``remove``.
    :param judged: every leftover with its verdict, as last seen.
    :param removed: what was removed.
    :param failed: what could not be removed, and why.
    :return: counts, and at most thirty lines each of what was removed, failed, expired or is to be looked at.
    """
    lines: dict[str, list[str]] = {"remove": [], "keep": [], "report": []}
    for item, verdict in judged:
        lines[verdict.action].append(f"{item.key}: {verdict.reason}"[:_LONGEST_LINE])
    return {
        "mode": mode,
        "counts": {
            "found": len(judged),
            "kept": len(lines["keep"]),
            "to_look_at": len(lines["report"]),
            "expired": len(lines["remove"]),
            "removed": len(removed),
            "failed": len(failed),
        },
        "removed": list(removed)[:_MOST_LINES],
        "failed": [f"{name}: {why}"[:_LONGEST_LINE] for name, why in sorted(failed.items())][:_MOST_LINES],
        "expired": lines["remove"][:_MOST_LINES],
        "to_look_at": lines["report"][:_MOST_LINES],
    }
