"""The plan of snapshot retention: where snapshots are kept, what would be copied and deleted, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aurora_ops.core import naming, reaping
from aurora_ops.core.people import code, table
from aurora_ops.core.reaping import Leftover, Verdict
from aurora_ops.core.retention import Copy, Facts, taken
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_retention import Keep, RetainedCluster
from aurora_ops.core.table_page import Table, tables_page

AT_ONCE = 5
"""Copies of cluster snapshots that AWS makes at the same time in a region."""

_BATCH = 20
_MOST_LINES = 1000
_HEAD = ("", "snapshot", "taken (UTC)", "type", "why")


@dataclass(frozen=True)
class Where:
    """An account and region that holds snapshots of a cluster, and the policy there.

    :param place: section of the settings, ``source`` or ``target``.
    :param account_id: the account.
    :param aws_conn_id: connection that leads there.
    :param region: the region.
    :param cluster: cluster that the snapshots are of.
    :param keep: how many of each class are kept there.
    :param prefixes: names under the policy beside those of this package; none but in the cluster's own region.
    :param home: region of the cluster itself.
    :param copies: copies are made there.
    :param kms_key_id: key of these copies.
    """

    place: Literal["source", "target"]
    account_id: str
    aws_conn_id: str
    region: str
    cluster: str
    keep: Keep
    prefixes: tuple[str, ...]
    home: str
    copies: bool
    kms_key_id: str | None = None

    @property
    def label(self) -> str:
        """Name it for people."""
        return f"{self.cluster} in {self.account_id} {self.region}"

    def batch(self, snapshot_ids: Sequence[str], spared: Mapping[str, str]) -> dict[str, Any]:
        """Make what a task that deletes is given.

        :param snapshot_ids: what it shall delete.
        :param spared: snapshot to the reason why the settings forbid it.
        """
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region,
            "cluster_id": self.cluster,
            "snapshot_ids": list(snapshot_ids),
            "keep": self.keep.model_dump(),
            "name_prefixes": list(self.prefixes),
            "spared": dict(spared),
        }


@dataclass
class Holding:
    """What is in one place, and what becomes of it.

    :param where: the place.
    :param snapshots: every snapshot of the cluster there.
    :param verdicts: identifier to verdict.
    :param copies: copies that are missing there.
    :param doomed: what this run deletes, of what may go.
    """

    where: Where
    snapshots: Sequence[Facts]
    verdicts: Mapping[str, Verdict]
    copies: Sequence[Copy[Any]] = ()
    doomed: list[str] = field(default_factory=list)

    def removable(self) -> list[tuple[datetime, str]]:
        """List what may go, the oldest first."""
        moments = {snapshot.snapshot_id: taken(snapshot) for snapshot in self.snapshots}
        names = [name for name, verdict in self.verdicts.items() if verdict.action == "remove"]
        return sorted((moments[name] or datetime.max.replace(tzinfo=UTC), name) for name in names)


def places(settings: Environment) -> list[list[Where]]:
    """List where snapshots of each cluster are kept: its own region first, then those of copies.

    :param settings: settings of an environment; without ``retention`` there are none.
    """
    return [_places_of(settings, kept) for kept in (settings.retention.clusters if settings.retention else [])]


def _places_of(settings: Environment, kept: RetainedCluster) -> list[Where]:
    place = settings.source if kept.account == "source" else settings.target
    copies = {copy.region: copy for copy in kept.copy_to}
    return [
        Where(
            place=kept.account,
            account_id=place.account_id,
            aws_conn_id=place.aws_conn_id,
            region=region,
            cluster=kept.cluster,
            keep=copies[region].keep or kept.keep if region in copies else kept.keep,
            # elsewhere there may be another cluster of that name, with snapshots that begin so too
            prefixes=tuple(kept.name_prefixes) if region == place.region else (),
            home=place.region,
            copies=region in copies,
            kms_key_id=copies[region].kms_key_id if region in copies else None,
        )
        for region in dict.fromkeys([place.region, *copies])
    ]


def claims(settings: Environment) -> set[tuple[str, str, str]]:
    """Name what an environment's policy rules over: account, region, cluster."""
    return {(where.account_id, where.region, where.cluster) for of_cluster in places(settings) for where in of_cluster}


def spared(settings: Environment) -> dict[str, str]:
    """Name snapshots that the settings themselves speak of, with the reason why they stay."""
    wanted = settings.source.snapshot
    return {} if wanted in ("newest", "newest_or_fresh", "fresh") else {wanted: "source.snapshot names it"}


def copy_name(settings: Environment, where: Where, moment: datetime) -> str:
    """Name the copy of data of a moment.

    :param settings: settings of the environment.
    :param where: where it is kept.
    :param moment: moment of the data.
    """
    return naming.snapshot(where.cluster, settings.environment, moment, "kept")


def oldest_first(holdings: Iterable[Holding]) -> list[tuple[Holding, str]]:
    """List what may go over all places, the oldest first."""
    found = [(moment, name, holding) for holding in holdings for moment, name in holding.removable()]
    found.sort(key=lambda one: (one[0], one[1], one[2].where.label))
    return [(holding, name) for _, name, holding in found]


def batches(holding: Holding, spared_ones: Mapping[str, str]) -> list[dict[str, Any]]:
    """Split what is deleted in one place into what each task is given."""
    doomed = holding.doomed
    return [holding.where.batch(doomed[start : start + _BATCH], spared_ones) for start in range(0, len(doomed), _BATCH)]


def summary(holdings: Sequence[Holding]) -> dict[str, Any]:
    """Sum up what the plan itself has to tell: what stays, what may go but does not in this run, what is to be looked at.

    What this run deletes is told by the tasks that do.
    """
    told = [
        (Leftover("snapshot", f"{name} ({holding.where.account_id} {holding.where.region})"), verdict)
        for holding in holdings
        for name, verdict in sorted(holding.verdicts.items())
        if name not in holding.doomed
    ]
    copies = [f"{copy.snapshot_id} in {one.where.region}: {copy.why}" for one in holdings for copy in one.copies]
    return {**reaping.summary("report", told, [], {}), "copies": copies}


def _rows(holding: Holding) -> list[tuple[str, str, str, str, str]]:
    """Write a line for each snapshot and each missing copy, the newest first."""
    lines = [
        (copy.taken, ("copy", copy.snapshot_id, _moment(copy.taken), "manual", f"missing: {copy.why}"))
        for copy in holding.copies
    ]
    for snapshot in holding.snapshots:
        name = snapshot.snapshot_id
        verdict = holding.verdicts[name]
        action = "later" if verdict.action == "remove" and name not in holding.doomed else verdict.action
        moment = taken(snapshot)
        lines.append(
            (moment or datetime.min.replace(tzinfo=UTC), (action, name, _moment(moment), snapshot.type, verdict.reason))
        )
    return [row for _, row in sorted(lines, reverse=True)]


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else "unknown"


def _rule(where: Where, zone: str) -> str:
    keep = where.keep
    rule = f"keep {keep.daily} daily, {keep.weekly} weekly, {keep.monthly} monthly ({zone})"
    prefixes = f"; also what begins with {', '.join(where.prefixes)}" if where.prefixes else ""
    return rule + ("; copies are made here" if where.copies else "") + prefixes


def text(holdings: Sequence[Holding], zone: str, *, dry_run: bool) -> str:
    """Write the plan for the log, as Markdown.

    :param holdings: every place.
    :param zone: whose days count.
    :param dry_run: nothing is changed.
    """
    parts = []
    for holding in holdings:
        rows = _rows(holding)
        lines = [(row[0], code(row[1]), *row[2:]) for row in rows[:_MOST_LINES]]
        more = f"\n\n... and {len(rows) - _MOST_LINES} more." if len(rows) > _MOST_LINES else ""
        parts.append(f"## {holding.where.label}: {_rule(holding.where, zone)}\n\n{table(_HEAD, lines)}{more}")
    head = "# Snapshot retention" + (": a dry run, nothing is changed" if dry_run else "")
    return "\n\n".join([head, *parts, _totals_line(holdings)])


def totals(holdings: Sequence[Holding]) -> dict[str, int]:
    """Count what there is and what becomes of it."""
    verdicts = [verdict for holding in holdings for verdict in holding.verdicts.values()]
    doomed = sum(len(holding.doomed) for holding in holdings)
    return {
        "found": len(verdicts),
        "kept": sum(verdict.action == "keep" for verdict in verdicts),
        "to_look_at": sum(verdict.action == "report" for verdict in verdicts),
        "deleted": doomed,
        "later": sum(verdict.action == "remove" for verdict in verdicts) - doomed,
        "copied": sum(len(holding.copies) for holding in holdings),
    }


def _totals_line(holdings: Sequence[Holding]) -> str:
    count = totals(holdings)
    return (
        f"{count['found']} snapshots: {count['kept']} kept, {count['deleted']} to be deleted, {count['later']} in a later run, "
        f"{count['to_look_at']} to look at; {count['copied']} copies to be made."
    )


def page(environment: str, holdings: Sequence[Holding], *, zone: str, run: str, now: datetime) -> bytes:
    """Write the plan as a page.

    :param environment: whose plan.
    :param holdings: every place.
    :param zone: whose days count.
    :param run: the run.
    :param now: present moment.
    """
    count = totals(holdings)
    return tables_page(
        f"Snapshot retention of {environment}",
        about=[run, f"planned {_moment(now)} UTC"],
        figures=[(name.replace("_", " "), str(value)) for name, value in count.items()],
        tables=[Table(f"{one.where.label}: {_rule(one.where, zone)}", _HEAD, _rows(one)) for one in holdings],
    )


def data(environment: str, holdings: Sequence[Holding], *, zone: str, run: str, now: datetime) -> dict[str, Any]:
    """Write the plan for machines; see ``page``."""
    return {
        "environment": environment,
        "run": run,
        "planned_at": now.isoformat(timespec="seconds"),
        "timezone": zone,
        "counts": totals(holdings),
        "places": [
            {
                "account_id": one.where.account_id,
                "region": one.where.region,
                "cluster": one.where.cluster,
                "keep": one.where.keep.model_dump(),
                "snapshots": [
                    dict(zip(("action", "snapshot", "taken", "type", "why"), row, strict=True)) for row in _rows(one)
                ],
            }
            for one in holdings
        ],
    }
