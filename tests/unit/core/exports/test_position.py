"""How far events are handled: each exactly once, whatever the sizes of runs and however late one is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from aurora_ops.core.exports.position import OVERLAP, Position
from hypothesis import given
from hypothesis import strategies as st

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    # seconds between events, and by how many seconds each is stored late
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 59)), min_size=1, max_size=60),
    most=st.integers(1, 7),
    stubborn=st.sets(st.integers(0, 59), max_size=5),
)
def test_each_event_is_handled_once(steps, most, stubborn) -> None:
    moments, stored_at, now = [], [], BEGAN
    for step, late in steps:
        now += timedelta(seconds=step)
        moments.append(now)
        stored_at.append(now + timedelta(seconds=late))
    position, handled = Position(), []
    for turn in range(2 * len(steps) + 80):
        looked_at = BEGAN + timedelta(seconds=25 * turn)
        seen = sorted(
            (moment, number)
            for number, moment in enumerate(moments)
            if stored_at[number] <= looked_at and moment >= position.after
        )[: len(position.handled) + position.left + most + 1]
        done = [(number, moment) for moment, number in seen if number in position.handled]
        left, taken = [], 0
        for moment, number in seen:
            if number in position.handled:
                continue
            if taken == most or (number in stubborn and turn < len(steps) + 40):
                left.append((number, moment))
                continue
            taken += 1
            handled.append(number)
            done.append((number, moment))
        position = Position.read(json.loads(json.dumps(position.moved(done, left).as_json())))
    assert sorted(handled) == list(range(len(steps)))
    assert position.left == 0


def test_nothing_stored_is_the_beginning() -> None:
    assert Position.read(None).after < BEGAN
    assert Position.read(None).moved([], []) == Position()


def test_what_is_known_by_number_is_of_the_last_minute_only() -> None:
    done = [(number, BEGAN + timedelta(seconds=number)) for number in range(200)]
    position = Position().moved(done, [])
    assert position.after == BEGAN + timedelta(seconds=199) - OVERLAP
    assert position.handled == frozenset(range(139, 200))


def test_it_never_goes_back() -> None:
    position = Position(BEGAN, frozenset({1}))
    assert position.moved([(1, BEGAN)], []).after == BEGAN
