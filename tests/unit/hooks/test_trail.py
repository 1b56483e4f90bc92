"""The audit trail on DynamoDB as moto has it: only added to, chained, whatever comes in between."""

from __future__ import annotations

from typing import Any

import pytest
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import PermanentError, TransientError
from aurora_ops.core.trail import Head
from aurora_ops.hooks import auditing, trail
from aurora_ops.hooks.auditing import Change
from aurora_ops.hooks.trail import Trail, TrailHook

REGION, TABLE, OPERATION = "eu-west-1", "trails", "aurora_restore/manual__1"
DELETE = Change(
    "rds", "DeleteDBCluster", REGION, {"DBClusterIdentifier": "old"}, "aws_target", lambda: ("2", "arn:role")
)


@pytest.fixture
def hook(aws_session) -> TrailHook:
    aws_session.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return TrailHook("aws_orchestrator", REGION)


def opened(hook: TrailHook, task: str = "t", **more: Any) -> Trail:
    return Trail(hook, TABLE, OPERATION, task=task, tries=1, **more)


def events(hook: TrailHook) -> list[dict[str, Any]]:
    found = hook.list_events(TABLE, OPERATION)
    assert trails.verify(found, head=trails.head_of(OPERATION, found)).broken is None
    return found


def test_events_are_chained_and_read_as_they_were_sealed(hook) -> None:
    trail = opened(hook, expires_at=2_000_000_000)
    assert trail.written is None
    assert (
        trail.append(trails.BEGUN, {"conf": '{"a": 0.5}', "nested": {"n": [1, True, None, 0.5, ""]}, "none": None}) == 1
    )
    assert trail.append(trails.FINISHED, {"outcome": "succeeded"}) == 2
    first, last = events(hook)
    assert first["nested"] == {"n": [1, True, "0.5", ""]}
    assert (first["pk"], first["sk"]) == (f"audit#{OPERATION}", "event#00000001")
    assert first["previous"] == trails.genesis(OPERATION)
    assert last["previous"] == first["hash"]
    assert (last["task"], last["try"], last["expires_at"]) == ("t", 1, 2_000_000_000)
    assert trail.written == Head(2, last["hash"]) == hook.head(TABLE, OPERATION)


def test_an_operation_without_events_ends_where_it_begins(hook) -> None:
    assert hook.head(TABLE, OPERATION) == Head(0, trails.genesis(OPERATION))
    assert hook.list_events(TABLE, OPERATION) == []


def test_what_is_there_is_never_written_over(hook) -> None:
    opened(hook).append(trails.BEGUN, {})
    forged = trails.seal(OPERATION, 1, trails.genesis(OPERATION), {"kind": "other"})
    assert hook.put_new(TABLE, forged) is False
    assert events(hook)[0]["kind"] == trails.BEGUN


def test_tasks_that_write_in_turn_chain_to_each_other(hook) -> None:
    trails_of_two = [opened(hook, "a"), opened(hook, "b")]
    trails_of_two[0].append(trails.BEGUN, {})
    for number in range(6):
        trails_of_two[number % 2].append(trails.MUTATION, {"number": number})
    assert [event["task"] for event in events(hook)] == ["a", *["a", "b"] * 3]


def test_all_pages_are_read(hook, monkeypatch) -> None:
    trail = opened(hook)
    trail.append(trails.BEGUN, {})
    for _ in range(4):
        trail.append(trails.MUTATION, {})
    call = TrailHook.call
    monkeypatch.setattr(
        TrailHook,
        "call",
        lambda self, name, **a: call(self, name, **{**a, **({"Limit": 2} if name == "query" else {})}),
    )
    assert len(events(hook)) == 5
    assert [event["sequence"] for event in hook.list_events(TABLE, OPERATION, after=3)] == [4, 5]


class TestLostAnswers:
    """DynamoDB may have written what it could not say."""

    @pytest.fixture
    def lossy(self, hook, monkeypatch):
        """The next put is lost: before it arrives, or on the way back."""
        call, plan = TrailHook.call, []

        def lose(self: TrailHook, name: str, **arguments: Any) -> Any:
            how = plan.pop(0) if name == "put_item" and plan else ""
            if how == "there":
                raise TransientError("lost")
            answer = call(self, name, **arguments)
            if how == "back":
                raise TransientError("lost")
            return answer

        monkeypatch.setattr(TrailHook, "call", lose)
        return plan

    def test_an_event_that_arrived_counts_once(self, hook, lossy) -> None:
        lossy.append("back")
        trail = opened(hook)
        assert trail.append(trails.BEGUN, {}) == 1
        assert trail.append(trails.FINISHED, {}) == 2
        assert len(events(hook)) == 2

    def test_one_that_did_not_arrive_is_an_error(self, hook, lossy) -> None:
        lossy.append("there")
        trail = opened(hook)
        with pytest.raises(TransientError, match="lost"):
            trail.append(trails.BEGUN, {})
        assert trail.append(trails.BEGUN, {}) == 1
        assert len(events(hook)) == 1

    def test_one_that_arrived_counts_also_if_others_came_after(self, hook, lossy, monkeypatch) -> None:
        mine, other = opened(hook, "mine"), opened(hook, "other")
        mine.append(trails.BEGUN, {})
        put = TrailHook.put_new

        def crowded(self: TrailHook, table: str, event: dict[str, Any]) -> bool:
            done = put(self, table, event)
            if event["task"] == "mine":
                other.append(trails.MUTATION, {})
                raise TransientError("lost")
            return done

        monkeypatch.setattr(TrailHook, "put_new", crowded)
        assert mine.append(trails.MUTATION, {}) == 2
        monkeypatch.setattr(TrailHook, "put_new", put)
        assert mine.append(trails.FINISHED, {}) == 4
        assert [event["task"] for event in events(hook)] == ["mine", "mine", "other", "mine"]


def test_an_endless_crowd_ends(hook, monkeypatch) -> None:
    monkeypatch.setattr(trail, "_MOST_RIVALS", 3)
    monkeypatch.setattr(TrailHook, "put_new", lambda *_: False)
    with pytest.raises(TransientError, match="3 events of others came first"):
        opened(hook).append(trails.BEGUN, {})


def test_a_table_that_is_not_there(aws_session) -> None:
    with pytest.raises(PermanentError, match="ResourceNotFound"):
        opened(TrailHook("aws_orchestrator", REGION)).append(trails.BEGUN, {})


class TestChanges:
    """The trail as the recorder of a task's changes."""

    def test_both_ends_name_what_and_who_and_nothing_secret(self, hook) -> None:
        mine = opened(hook)
        mine.append(trails.BEGUN, {})
        secret = Change(
            "rds",
            "ModifyDBCluster",
            REGION,
            {"DBClusterIdentifier": "app", "MasterUserPassword": "hunter2"},
            "aws_target",
            lambda: ("222222222222", "arn:aws:sts::222222222222:assumed-role/r/s"),
        )
        token = mine.before(secret)
        answer = {"DBCluster": {"DbClusterResourceId": "cluster-A"}, "ResponseMetadata": {"RequestId": "req"}}
        mine.after(token, "done", duration_ms=12, error=None, answer=answer)
        _, before, after = events(hook)
        assert before["what"] == after["what"] == "rds:ModifyDBCluster app"
        assert before["parameters"] == {"DBClusterIdentifier": "app", "withheld": ["MasterUserPassword"]}
        assert (before["account"], before["region"]) == ("222222222222", REGION)
        assert before["caller"].endswith("assumed-role/r/s")
        assert (after["of"], after["outcome"], after["duration_ms"]) == (2, "done", 12)
        assert after["made"] == {"DbClusterResourceId": "cluster-A"}
        assert after["request_id"] == "req"
        assert "hunter2" not in trails.as_jsonl(events(hook)).decode()

    def test_a_refused_one_has_its_code(self, hook) -> None:
        mine = opened(hook)
        mine.append(trails.BEGUN, {})
        mine.after(mine.before(DELETE), "refused", duration_ms=1, error="AccessDenied", answer={})
        after = events(hook)[-1]
        assert (after["outcome"], after["error"]) == ("refused", "AccessDenied")
        assert trails.verify(events(hook)).remarks == [
            "the last event is mutation, not finished: the operation goes on, or its end is not here"
        ]

    def test_killed_in_between_is_a_remark(self, hook) -> None:
        mine = opened(hook)
        mine.append(trails.BEGUN, {})
        mine.before(DELETE)
        opened(hook, None).append(trails.FINISHED, {"outcome": "failed"})
        verdict = trails.verify(events(hook))
        assert verdict.broken is None
        [remark] = verdict.remarks
        assert remark.startswith("event 2: rds:DeleteDBCluster old of t has no end in the trail; the task was killed")

    def test_who_acts_is_asked_once_a_connection(self, hook) -> None:
        asked: list[str] = []

        def who() -> tuple[str, str]:
            asked.append("x")
            return "1", "arn"

        mine = opened(hook)
        for through in ("a", "a", "b"):
            mine.before(Change("rds", "StopDBCluster", REGION, {}, through, who))
        assert len(asked) == 2

    def test_a_change_of_aws_goes_all_the_way(self, hook, aws_session, monkeypatch) -> None:
        """From a client's call to the events, with nothing in between replaced."""
        from aurora_ops.hooks.parameters import ParametersHook

        mine = opened(hook)
        mine.append(trails.BEGUN, {})
        with auditing.recorded_by(mine):
            ParametersHook("aws_orchestrator", REGION).put("/staging/endpoint", "hunter2")
        _, before, after = events(hook)
        assert before["what"] == "ssm:PutParameter /staging/endpoint"
        assert before["parameters"] == {
            "Name": "/staging/endpoint", "Type": "String", "Overwrite": True, "withheld": ["Value"],
        }  # fmt: skip
        assert after["outcome"] == "done"
        assert "hunter2" not in trails.as_jsonl(events(hook)).decode()
