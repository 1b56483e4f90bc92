"""The one trigger: what it says, how often it looks, and that it ends."""

from __future__ import annotations

import json
from importlib import import_module
from typing import ClassVar

import pytest
from aurora_ops.core.errors import PermanentError, WaitFailedError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks import lasting
from aurora_ops.hooks.base import AwsHook, Look
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.registry import HOOKS
from aurora_ops.triggers import wait as module
from aurora_ops.triggers.wait import WaitTrigger
from botocore.stub import Stubber

from tests.unit.operators.driver import run_trigger

UNTIL = Wait("cluster_available", {"DBClusterIdentifier": "app"}, within_s=60, every_s=15)


def trigger(until: Wait = UNTIL, aws_conn_id: str = "aws_destination") -> WaitTrigger:
    return WaitTrigger(service="rds", until=until.as_json(), aws_conn_id=aws_conn_id, region_name="eu-west-1")


@pytest.fixture
def looks(monkeypatch):
    """Let looks show a list of things; the last one stays. Gives the list of seconds slept between them."""
    slept: list[float] = []

    def show(*seen):
        queue = list(seen)

        def look(self, until):
            shown = queue.pop(0) if len(queue) > 1 else queue[0]
            if isinstance(shown, Exception):
                raise shown
            return shown

        monkeypatch.setattr("aurora_ops.hooks.base.AwsHook.look", look)
        return slept

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.delenv("AURORA_OPS_POLL_S")
    return show


def test_serialised_round_trip() -> None:
    path, kwargs = trigger().serialize()
    where, name = path.rsplit(".", 1)
    again = getattr(import_module(where), name)(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)
    assert kwargs["aws_conn_id"] == "aws_destination"


def test_two_waits_for_the_same_are_the_same(looks) -> None:
    assert trigger().serialize() == trigger().serialize()


def test_first_look_comes_after_one_interval_since_the_task_has_just_looked(looks) -> None:
    slept = looks(Look.REACHED)
    (event,) = run_trigger(trigger())
    assert event["status"] == "success"
    assert event["message"] == "cluster_available"
    assert event["at"] > 1_700_000_000
    assert slept == [15]


def test_reached_later(looks) -> None:
    slept = looks(Look.PENDING, Look.PENDING, Look.REACHED)
    (event,) = run_trigger(trigger())
    assert event["status"] == "success"
    assert slept == [15] * 3


def test_never_reached_is_a_timeout_that_says_what_was_waited_for(looks) -> None:
    slept = looks(Look.PENDING)
    (event,) = run_trigger(trigger())
    assert event["status"] == "timeout"
    assert "cluster_available {'DBClusterIdentifier': 'app'}: not within 60 s" in event["message"]
    assert slept == [15] * 4


def test_poll_interval_may_be_a_fraction_of_a_second(looks, monkeypatch) -> None:
    monkeypatch.setenv("AURORA_OPS_POLL_S", "0.25")
    slept = looks(Look.PENDING)
    run_trigger(trigger(Wait("w", within_s=1, every_s=15)))
    assert slept == [0.25] * 4


@pytest.mark.parametrize("error", [WaitFailedError("it is deleting"), PermanentError("AccessDenied")])
def test_terminal_state_and_refused_call_are_failures(looks, error) -> None:
    slept = looks(Look.PENDING, error)
    (event,) = run_trigger(trigger())
    assert event == {"status": "failed", "message": str(error), "at": event["at"]}
    assert len(slept) == 2


def test_each_event_is_json(looks) -> None:
    looks(Look.PENDING)
    assert json.loads(json.dumps(run_trigger(trigger())))


@pytest.mark.parametrize("code", ["Throttling", "RequestLimitExceeded", "ServiceUnavailable"])
def test_throttled_for_ever_still_ends(aws_session, monkeypatch, code) -> None:
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setenv("AURORA_OPS_POLL_S", "10")
    with Stubber(RdsHook("aws_destination", "eu-west-1").conn) as stub:
        for _ in range(6):
            stub.add_client_error("describe_db_clusters", code)
        (event,) = run_trigger(trigger())
        stub.assert_no_pending_responses()
    assert event["status"] == "timeout"
    assert len(slept) == 6


def test_every_hook_that_can_wait_has_waiters_and_makes_its_own_session() -> None:
    for service, hook in HOOKS.items():
        assert (hook.waits_as or hook.service) == service
        assert hook("aws_destination", "eu-west-1", fresh=True)._fresh is True
        looks_by_itself = hook.look is not AwsHook.look  # Kubernetes is not asked through botocore
        assert looks_by_itself or hook("aws_destination", "eu-west-1").waiter_path is not None


class Counted(RdsHook):
    """Hooks that were made."""

    made: ClassVar[list[tuple]] = []

    def __init__(self, *args, **kwargs):
        self.made.append((args, kwargs))
        super().__init__(*args, **kwargs)


@pytest.fixture
def made(looks, monkeypatch):
    """Hooks that triggers make."""
    looks(*[Look.REACHED] * 9)
    monkeypatch.setattr(Counted, "made", [])
    monkeypatch.setitem(HOOKS, "rds", Counted)
    return Counted.made


def test_looks_through_a_session_of_its_own_since_the_triggerer_outlives_changes_of_connections(made) -> None:
    run_trigger(trigger())
    assert made == [(("aws_destination", "eu-west-1"), {"fresh": True})]


def test_all_waits_of_one_place_look_through_one_hook_and_a_changed_connection_is_seen_in_time(
    made, monkeypatch
) -> None:
    for _ in range(3):
        run_trigger(trigger())
    assert len(made) == 1
    run_trigger(trigger(aws_conn_id="aws_source"))
    assert len(made) == 2
    monkeypatch.setattr(lasting, "LASTS_S", 0)
    run_trigger(trigger())
    assert [args[0] for args, _ in made] == ["aws_destination", "aws_source", "aws_destination"]
