"""Where the time of a run went: seconds of each kind, and the steps that decided how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

Span = tuple[float, float]

# What a moment counts as when several things happen in it: the first kind of these. Calls enclose everything else.
KINDS = ("sql", "aws_wait", "aws_wait_in_worker", "api")
AIRFLOW = "airflow"


def joined(spans: Iterable[Span]) -> list[Span]:
    """Join spans that touch; the result is sorted and disjoint."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def seconds(spans: Iterable[Span]) -> float:
    """Seconds that spans cover, each counted once."""
    return sum(end - start for start, end in joined(spans))


def split(spans: Iterable[Mapping[str, Any]], start: float, end: float) -> dict[str, float]:
    """Give each moment to one kind: SQL before waits before calls, and to Airflow what is left.

    :param spans: ``{"kind", "start", "end"}``, epoch seconds.
    :param start: epoch seconds at which counting begins.
    :param end: epoch seconds at which it ends.
    :return: seconds by kind, kinds without any left out.
    """
    by_kind: dict[str, list[Span]] = {}
    for span in spans:
        by_kind.setdefault(str(span["kind"]), []).append((max(span["start"], start), min(span["end"], end)))
    covered: list[Span] = []
    total = 0.0
    found: dict[str, float] = {}
    for kind in (*KINDS, *sorted(set(by_kind) - set(KINDS))):
        if kind in by_kind:
            covered = joined([*covered, *by_kind[kind]])
            found[kind] = round(seconds(covered) - total, 3)
            total = seconds(covered)
    found[AIRFLOW] = round(max(end - start - total, 0), 3)
    return {kind: value for kind, value in found.items() if value > 0}


def step(state: str, timing: Mapping[str, Any] | None, duration_s: float | None = None) -> dict[str, Any]:
    """Sum a step up for the record.

    :param state: its state.
    :param timing: its XCom ``timing``: ``{"spans", "try"}``; steps that never ran and those of Airflow itself have none.
    :param duration_s: seconds that Airflow counted for its last try.
    """
    found: dict[str, Any] = {"state": state}
    spans = (timing or {}).get("spans", [])
    if (timing or {}).get("try"):
        found["tries"] = int((timing or {})["try"])
    if spans:
        found["started"] = min(span["start"] for span in spans)
        found["ended"] = max(span["end"] for span in spans)
        found["duration_s"] = round(found["ended"] - found["started"], 3)
        found |= {f"{kind}_s": value for kind, value in split(spans, found["started"], found["ended"]).items()}
    elif duration_s is not None:
        found["duration_s"] = round(duration_s, 3)
    return found


def critical_path(steps: Mapping[str, Mapping[str, Any]], upstream: Mapping[str, Iterable[str]]) -> list[str]:
    """Find the steps that decided when the run ended, first to last.

    From the step that ended last to whichever of its upstream steps ended last, until there is none. Steps without times (skipped,
    or Airflow's own) are stepped over.

    :param steps: step to what ``step`` gives.
    :param upstream: step to its direct upstream steps.
    """
    timed = {name: float(found["ended"]) for name, found in steps.items() if "ended" in found}
    if not timed:
        return []
    last = max(timed, key=lambda name: (timed[name], name))
    path = [last]
    while before := _timed_before(path[-1], upstream, timed) - set(path):
        path.append(max(before, key=lambda name: (timed[name], name)))
    return path[::-1]


def _timed_before(name: str, upstream: Mapping[str, Iterable[str]], timed: Mapping[str, float]) -> set[str]:
    found: set[str] = set()
    todo, seen = list(upstream.get(name, ())), set[str]()
    while todo:
        above = todo.pop()
        if above in seen:
            continue
        seen.add(above)
        if above in timed:
            found.add(above)
        else:
            todo += upstream.get(above, ())
    return found


def group_of(name: str) -> str:
    """Name the group of a step: what stands before the first dot."""
    return name.split(".", 1)[0]


def groups(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Give the seconds from the first start to the last end of each group of steps that has times."""
    bounds: dict[str, Span] = {}
    for name, found in steps.items():
        if "ended" in found:
            start, end = bounds.get(group_of(name), (float("inf"), float("-inf")))
            bounds[group_of(name)] = (min(start, found["started"]), max(end, found["ended"]))
    return {group: round(end - start, 3) for group, (start, end) in sorted(bounds.items())}


def ready_at(name: str, steps: Mapping[str, Mapping[str, Any]], upstream: Mapping[str, Sequence[str]]) -> float | None:
    """Tell when a step could have begun: when the last step above it ended."""
    timed = {other: float(found["ended"]) for other, found in steps.items() if "ended" in found}
    above = [timed[other] for other in _timed_before(name, upstream, timed)]
    return max(above) if above else None


def duration(value_s: float | None) -> str:
    """Write a duration as people say it: ``0.4 s``, ``42 min 1 s``, ``3 h 5 min``."""
    if value_s is None:
        return "unknown"
    if value_s < 10:
        return f"{value_s:.1f} s"
    whole = round(value_s)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        days, hours = divmod(hours, 24)
        return f"{days} days {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(iso: str) -> str:
    """Write a moment as people read it: ``2026-07-01 02:00:00 UTC``.

    :param iso: ISO 8601.
    """
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S %Z}"
