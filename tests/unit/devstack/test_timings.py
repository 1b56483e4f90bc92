"""Where the time of a run went."""

from __future__ import annotations

import pytest

from devstack.airflow_api import Run, TaskTry
from devstack.timings import longest_path, seconds, split, union


def task(name, started, ended, state="success"):
    return TaskTry(name, -1, 1, state, "op", started, started, ended)


def span(kind, start, end):
    return {"kind": kind, "start": start, "end": end, "what": "x"}


UPSTREAM = {"b": ["a"], "c": ["a"], "d": ["b", "c"]}


@pytest.mark.parametrize(
    ("spans", "joined"),
    [
        ([], []),
        ([(1, 1)], []),
        ([(3, 4), (1, 2)], [(1, 2), (3, 4)]),
        ([(1, 3), (2, 5), (5, 6)], [(1, 6)]),
        ([(1, 9), (2, 3)], [(1, 9)]),
    ],
)
def test_union(spans, joined):
    assert union(spans) == joined


def test_overlapping_seconds_count_once():
    assert seconds([(0, 4), (2, 6), (10, 11)]) == 7


def test_longest_path_goes_through_the_task_that_ended_last():
    tries = [task("a", 0, 1), task("b", 1, 2), task("c", 1, 9), task("d", 9, 10)]
    assert [t.task_id for t in longest_path(tries, UPSTREAM)] == ["a", "c", "d"]


def test_longest_path_steps_over_what_did_not_run():
    tries = [task("a", 0, 1), task("b", None, None, "skipped"), task("c", None, None, "skipped"), task("d", 9, 10)]
    assert [t.task_id for t in longest_path(tries, UPSTREAM)] == ["a", "d"]


def test_split_counts_each_second_once():
    run = Run("dag", "run", "success", 0, 100, 200)
    tries = [task("a", 100, 150), task("b", 150, 200)]
    timings = {
        "a": {"spans": [span("aws_wait", 100, 140), span("sql", 130, 150), span("api", 99, 101)]},
        "b": {"spans": [span("aws_wait_in_worker", 150, 155), span("api", 160, 165)]},
    }
    found = split(run, tries, UPSTREAM, timings)
    assert (found.sql_s, found.aws_s, found.api_s) == (20, 35, 5)
    assert found.overhead_s == 100 - 60
    assert found.wall_s == found.sql_s + found.aws_s + found.api_s + found.overhead_s
    assert found.slot_wait_s == 5
    assert (found.path, found.deferrals) == (("a", "b"), 1)
    assert found.floor_s == pytest.approx(2 * 0.2 + 3)


def test_a_run_that_goes_on_cannot_be_split():
    with pytest.raises(ValueError, match="has not ended"):
        split(Run("dag", "run", "running", 0, 100, None), [], {}, {})
