"""Whose turn it is: nobody is forgotten, nobody comes first for ever, and all who look agree."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from aurora_ops.core.exports.queue import Ticket, admitted, alive
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 1, 1, tzinfo=UTC)


def ticket(task_id: str, database: str = "shop", since: float = 0, seen: float = 0) -> Ticket:
    return Ticket(task_id, database, START + timedelta(seconds=since), START + timedelta(seconds=seen))


def test_the_longest_waiting_comes_first() -> None:
    assert admitted([ticket("b", since=2), ticket("a", since=1)], {}, 1) == ["a"]


def test_databases_take_turns() -> None:
    waiting = [ticket(f"a{n}", "a", n) for n in range(4)] + [ticket("b", "b", 9), ticket("c", "c", 8)]
    assert admitted(waiting, {}, 4) == ["a0", "c", "b", "a1"]


def test_what_runs_counts() -> None:
    waiting = [ticket("a", "a", 0), ticket("b", "b", 9)]
    assert admitted(waiting, {"a": 1}, 1) == ["b"]
    assert admitted(waiting, {"a": 1, "b": 2}, 1) == ["a"]


def test_nothing_free_nobody_admitted() -> None:
    assert admitted([ticket("a")], {}, 0) == []
    assert admitted([ticket("a")], {}, -2) == []
    assert admitted([], {}, 5) == []


def test_the_silent_are_left_out() -> None:
    now = START + timedelta(seconds=100)
    assert alive([ticket("dead", seen=10), ticket("here", seen=40)], now, timedelta(seconds=60)) == [
        ticket("here", seen=40)
    ]


tickets = st.lists(
    st.builds(ticket, st.integers(0, 10_000).map(str), st.sampled_from("abc"), st.integers(0, 50)),
    max_size=25,
    unique_by=lambda one: one.task_id,
)


@given(tickets, st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)), st.integers(0, 6), st.randoms())
def test_all_who_look_agree(waiting, running, free, random) -> None:
    mixed = list(waiting)
    random.shuffle(mixed)
    found = admitted(waiting, running, free)
    assert admitted(mixed, running, free) == found
    assert len(found) == len(set(found)) == min(free, len(waiting))


@given(tickets, st.integers(1, 5))
def test_everybody_has_a_turn(waiting, limit) -> None:
    """Whoever is admitted runs and ends; no two databases that wait are ever more than one turn apart."""
    left, turns = list(waiting), Counter()
    while left:
        now = admitted(left, {}, limit)
        assert now
        turns.update(one.database for one in left if one.task_id in now)
        left = [one for one in left if one.task_id not in now]
    assert sum(turns.values()) == len(waiting)
