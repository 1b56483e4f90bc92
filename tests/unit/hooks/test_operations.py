"""The state of an operation on DynamoDB as moto has it: it moves forward, whoever writes when."""

from __future__ import annotations

from itertools import permutations
from uuid import uuid4

import pytest
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.operation import DEFERRED, FAILED, RUNNING, SKIPPED, SUCCEEDED, Progress, seen_heads
from aurora_ops.core.trail import Head
from aurora_ops.hooks.operations import OperationsHook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REGION, TABLE, NAME = "eu-west-1", "runs", "aurora_restore/manual__1"


@pytest.fixture
def states(aws_session) -> OperationsHook:
    aws_session.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    hook = OperationsHook("aws_orchestrator", REGION)
    hook.begin(TABLE, NAME, {"environment": "staging", "none": None})
    return hook


def at(second: int) -> str:
    return f"2026-07-01T02:00:{second:02d}.000+00:00"


def progress(status: str, tries: int = 1, deferrals: int = 0, second: int = 0, **more) -> Progress:
    return Progress(status, tries, deferrals, at(second), **more)


def put(states, *given: Progress, step: str = "restore.create") -> list[bool]:
    return [states.put_step(TABLE, NAME, step, one) for one in given]


def step(states, name: str = "restore.create") -> dict:
    return states.find_state(TABLE, NAME)["steps"].get(name, {})


def finish(states, outcome: str = "succeeded", **ends: str) -> list[str]:
    about = {"outcome": outcome, "ended_at": at(50), "cause": "x" if outcome == "failed" else None}
    return states.finish(TABLE, NAME, about, ends=ends, expires_at=2_000_000_000)


def test_an_operation_begins_without_an_end(states) -> None:
    found = states.find_state(TABLE, NAME)
    assert (found["pk"], found["sk"]) == (f"operation#{NAME}", "state")
    assert (found["outcome"], found["environment"], found["steps"]) == (RUNNING, "staging", {})
    assert not {"expires_at", "ended_at", "none"} & found.keys()


def test_a_step_through_a_wait_to_its_end(states) -> None:
    assert put(states, progress(RUNNING, second=1)) == [True]
    assert step(states)["status"] == RUNNING
    assert put(states, progress(DEFERRED, deferrals=1, second=2, waits_for="cluster_available of app")) == [True]
    assert step(states)["waits_for"] == "cluster_available of app"
    assert put(states, progress(RUNNING, deferrals=1, second=3), progress(SUCCEEDED, deferrals=1, second=4)) == [
        True,
        True,
    ]
    found = step(states)
    assert found["first_start"] == at(1)
    assert found["ended_at"] == found["changed_at"] == at(4)
    assert (found["status"], found["tries"]) == (SUCCEEDED, 1)
    assert "waits_for" not in found


def test_a_later_try_goes_on_from_an_end(states) -> None:
    put(states, progress(RUNNING, second=1), progress(FAILED, second=2), progress(RUNNING, tries=2, second=3))
    found = step(states)
    assert (found["status"], found["tries"], found["first_start"]) == (RUNNING, 2, at(1))
    assert "ended_at" not in found


@pytest.mark.parametrize("end", [SUCCEEDED, FAILED, SKIPPED])
@pytest.mark.parametrize("late", [RUNNING, DEFERRED, SUCCEEDED, FAILED, SKIPPED])
def test_an_end_stays_whatever_comes_late(states, end, late) -> None:
    put(states, progress(RUNNING, tries=2), progress(end, tries=2, second=9))
    before = step(states)
    assert put(states, progress(late, tries=2, deferrals=3, second=20), progress(late, tries=1, deferrals=7)) == [
        False,
        False,
    ]
    assert step(states) == before


def test_an_earlier_wait_that_comes_late_is_not_written(states) -> None:
    put(states, progress(RUNNING), progress(DEFERRED, deferrals=1), progress(RUNNING, deferrals=1))
    assert put(states, progress(DEFERRED, deferrals=1), progress(RUNNING)) == [False, False]
    assert step(states)["status"] == RUNNING


def test_a_first_word_that_was_lost_is_made_up_for(states) -> None:
    assert put(states, progress(SUCCEEDED, second=5)) == [True]
    assert step(states)["status"] == SUCCEEDED


words = st.builds(
    Progress,
    status=st.sampled_from([RUNNING, DEFERRED, SUCCEEDED, FAILED, SKIPPED]),
    tries=st.integers(1, 3),
    deferrals=st.integers(0, 3),
    at=st.just(at(0)),
)


@given(st.lists(words, min_size=1, max_size=8))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_the_order_a_step_only_moves_forward(states, said) -> None:
    name = f"step{uuid4()}"
    reached: tuple[int, int] = (0, 0)
    for word in said:
        written = states.put_step(TABLE, NAME, name, word)
        now = (word.tries, word.position)
        ended = reached[1] >= 1_000_000 and reached[0] == word.tries
        assert written is (now >= reached and not ended)
        reached = max(reached, now)
        found = step(states, name)
        assert (int(found["tries"]), int(found["position"])) == reached


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_steps_do_not_undo_each_other(states, order) -> None:
    names = ["a", "b.c", "d_0"]
    for number in order:
        put(states, progress(RUNNING), step=names[number])
    for number in reversed(order):
        put(states, progress(SUCCEEDED), step=names[number])
    assert {name: found["status"] for name, found in states.find_state(TABLE, NAME)["steps"].items()} == dict.fromkeys(
        names, SUCCEEDED
    )


def test_what_a_step_saw_of_the_trail_is_kept(states) -> None:
    put(states, progress(RUNNING), progress(DEFERRED, deferrals=1, head=Head(4, "abc")), progress(RUNNING, deferrals=1))
    put(states, progress(SUCCEEDED), step="other")
    assert seen_heads(states.find_state(TABLE, NAME)) == [Head(4, "abc")]


class TestEnd:
    """The end of an operation."""

    def test_only_what_has_ended_expires(self, states) -> None:
        put(states, progress(RUNNING), progress(SUCCEEDED))
        assert "expires_at" not in states.find_state(TABLE, NAME)
        assert finish(states, **{"restore.create": SUCCEEDED}) == []
        found = states.find_state(TABLE, NAME)
        assert (found["outcome"], found["ended_at"], found["expires_at"]) == ("succeeded", at(50), 2_000_000_000)

    def test_steps_that_could_not_say_how_they_ended_are_corrected(self, states) -> None:
        put(states, progress(RUNNING, second=3))
        ends = {"restore.create": FAILED, "never": "upstream_failed", **{f"s{n}": SKIPPED for n in range(100)}}
        assert len(finish(states, "failed", **ends)) == 102
        found = states.find_state(TABLE, NAME)["steps"]
        assert {name: one["status"] for name, one in found.items()} == ends
        assert found["restore.create"]["first_start"] == at(3)
        assert finish(states, "failed", **ends) == []

    def test_a_task_that_is_cleared_opens_it_again(self, states) -> None:
        put(states, progress(RUNNING), progress(FAILED))
        finish(states, "failed", **{"restore.create": FAILED})
        put(states, progress(RUNNING, tries=2))
        found = states.find_state(TABLE, NAME)
        assert found["outcome"] == RUNNING
        assert not {"expires_at", "ended_at"} & found.keys()
        put(states, progress(SUCCEEDED, tries=2))
        finish(states, **{"restore.create": SUCCEEDED})
        found = states.find_state(TABLE, NAME)
        assert found["outcome"] == "succeeded"
        assert "cause" not in found

    def test_a_late_writer_does_not_open_it_again(self, states) -> None:
        put(states, progress(RUNNING), progress(SUCCEEDED))
        finish(states)
        assert put(states, progress(RUNNING), progress(DEFERRED, deferrals=5)) == [False, False]
        assert states.find_state(TABLE, NAME)["outcome"] == "succeeded"

    def test_a_second_beginning_keeps_the_steps(self, states) -> None:
        put(states, progress(RUNNING), progress(SUCCEEDED))
        finish(states)
        states.begin(TABLE, NAME, {"environment": "staging"})
        found = states.find_state(TABLE, NAME)
        assert found["outcome"] == RUNNING
        assert "expires_at" not in found
        assert set(found["steps"]) == {"restore.create"}


def test_what_aws_refuses_is_an_error(states) -> None:
    with pytest.raises(PermanentError):
        states.put_step("none", NAME, "a", progress(RUNNING))


def test_a_state_that_was_deleted_is_not_made_up(states) -> None:
    assert states.put_step(TABLE, "another/run", "a", progress(RUNNING)) is False
    with pytest.raises(PermanentError, match="ConditionalCheckFailed"):
        states.finish(TABLE, "another/run", {"outcome": "succeeded"}, ends={"a": SUCCEEDED}, expires_at=2_000_000_000)
    assert states.find_state(TABLE, "another/run") is None
