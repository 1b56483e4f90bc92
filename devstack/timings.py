"""Where the wall time of a run went: waits for AWS, SQL, calls, and Airflow's own overhead against its floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devstack.airflow_api import Run, TaskTry

TASK_S = 0.2
"""What Airflow needs for one task, measured with 30 tasks in a row that do nothing."""
DEFERRAL_S = 3.0
"""What Airflow needs for one deferral: its triggerer looks once a second in two places."""
ALLOWED = 1.5
"""Times the floor that the overhead may be."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Split:
    """Seconds of one run.

    :param wall_s: from the start to the end of the run.
    :param sql_s: database statements ran.
    :param aws_s: AWS was waited for, and no statement ran.
    :param api_s: AWS was called, and neither of these.
    :param overhead_s: the rest: Airflow itself.
    :param floor_s: what Airflow needs at least for the longest path.
    :param path: names of the tasks on that path.
    :param deferrals: deferrals on that path.
    :param slot_wait_s: seconds that a worker slot was held while waiting.
    """

    wall_s: float
    sql_s: float
    aws_s: float
    api_s: float
    overhead_s: float
    floor_s: float
    path: tuple[str, ...]
    deferrals: int
    slot_wait_s: float


def union(spans: Iterable[Span]) -> list[Span]:
    """Join overlapping spans; the result is sorted and disjoint."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def seconds(spans: Iterable[Span]) -> float:
    """Seconds covered by spans, each counted once."""
    return sum(end - start for start, end in union(spans))


def longest_path(tries: Sequence[TaskTry], upstream: Mapping[str, Iterable[str]]) -> list[TaskTry]:
    """Return the tasks that decided when the run ended, first to last.

    From the task that ended last, step to whichever of its upstream tasks ended last, until there is none.

    :param upstream: task id to the ids of its direct upstream tasks.
    """
    ran = {
        task.task_id: task
        for task in sorted(tries, key=lambda t: t.ended or 0)
        if task.started is not None and task.ended is not None
    }
    if not ran:
        return []
    path = [max(ran.values(), key=lambda task: task.ended or 0)]
    while before := [ran[name] for name in _ran_before(path[-1].task_id, upstream, ran)]:
        path.append(max(before, key=lambda task: task.ended or 0))
    return path[::-1]


def _ran_before(task_id: str, upstream: Mapping[str, Iterable[str]], ran: Mapping[str, TaskTry]) -> set[str]:
    """Return the nearest upstream tasks that ran; skipped ones are stepped over."""
    found: set[str] = set()
    todo, seen = list(upstream.get(task_id, ())), set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in ran:
            found.add(name)
        else:
            todo += upstream.get(name, ())
    return found


def split(
    run: Run,
    tries: Sequence[TaskTry],
    upstream: Mapping[str, Iterable[str]],
    timings: Mapping[str, Mapping[str, Any]],
) -> Split:
    """Split the wall time of an ended run.

    :param tries: tries of all its tasks.
    :param upstream: see ``longest_path``.
    :param timings: task name to the value of its XCom ``timing``:
        ``{"spans": [{"kind": ..., "start": epoch, "end": epoch}]}``; each deferral leaves one span ``aws_wait``.
    :raises ValueError: the run has not ended.
    """
    if run.started is None or run.ended is None:
        raise ValueError(f"{run.run_id} has not ended")
    by_kind: dict[str, list[Span]] = {"sql": [], "aws_wait": [], "aws_wait_in_worker": [], "api": []}
    for timing in timings.values():
        for span in timing.get("spans", ()):
            clipped = (max(span["start"], run.started), min(span["end"], run.ended))
            by_kind.setdefault(span["kind"], []).append(clipped)
    sql = by_kind["sql"]
    waits = by_kind["aws_wait"] + by_kind["aws_wait_in_worker"]
    sql_s = seconds(sql)
    sql_waits_s = seconds([*sql, *waits])
    all_s = seconds(span for spans in by_kind.values() for span in spans)
    wall_s = run.ended - run.started
    path = longest_path(tries, upstream)
    on_path = [span for task in path for span in timings.get(task.name, {}).get("spans", ())]
    deferrals = sum(span["kind"] == "aws_wait" for span in on_path)
    return Split(
        wall_s=wall_s,
        sql_s=sql_s,
        aws_s=sql_waits_s - sql_s,
        api_s=all_s - sql_waits_s,
        overhead_s=wall_s - all_s,
        floor_s=TASK_S * len(path) + DEFERRAL_S * deferrals,
        path=tuple(task.name for task in path),
        deferrals=deferrals,
        slot_wait_s=sum(end - start for start, end in by_kind["aws_wait_in_worker"]),
    )
