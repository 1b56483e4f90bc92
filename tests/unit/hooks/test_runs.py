"""The lock of a target and the record of a run, on DynamoDB as moto has it."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import BusyError, MissingError, PermanentError
from aurora_ops.hooks.runs import RunsHook

REGION, TABLE, TARGET, NOW = "eu-west-1", "runs", "refresh#222222222222#staging", 1_800_000_000.7


@pytest.fixture
def runs(aws_session) -> RunsHook:
    aws_session.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return RunsHook("aws_orchestrator", REGION)


def take(runs, holder="dag/one", now=NOW, pk=TARGET) -> None:
    runs.take_lock(TABLE, pk, holder=holder, now=now, expires_at=now + 3600)


def holder(runs) -> str | None:
    return (runs.find(TABLE, TARGET, "lock") or {}).get("holder")


def test_lock_is_taken(runs) -> None:
    take(runs)
    lock = runs.find(TABLE, TARGET, "lock")
    assert lock == {
        "pk": TARGET,
        "sk": "lock",
        "holder": "dag/one",
        "taken_at": 1_800_000_000,
        "expires_at": 1_800_003_600,
    }


def test_same_holder_keeps_and_renews_it(runs) -> None:
    take(runs)
    take(runs, now=NOW + 60)
    assert runs.find(TABLE, TARGET, "lock")["expires_at"] == int(NOW + 3660)


def test_other_holder_is_refused_and_told_who_has_it_and_until_when(runs) -> None:
    take(runs)
    with pytest.raises(BusyError, match=r"is being refreshed by dag/one.*1800003600.*delete the item"):
        take(runs, "dag/two", NOW + 3599)
    assert holder(runs) == "dag/one"


def test_expired_lock_is_void(runs) -> None:
    take(runs)
    take(runs, "dag/two", NOW + 3602)
    assert holder(runs) == "dag/two"


def test_other_target_is_free(runs) -> None:
    take(runs)
    take(runs, "dag/two", pk="refresh#222222222222#other")


def test_lock_is_given_back(runs) -> None:
    take(runs)
    assert runs.release_lock(TABLE, TARGET, "dag/one") is True
    assert holder(runs) is None
    assert runs.release_lock(TABLE, TARGET, "dag/one") is False
    take(runs, "dag/two")


def test_lock_of_another_is_left_alone(runs) -> None:
    take(runs)
    assert runs.release_lock(TABLE, TARGET, "dag/two") is False
    assert holder(runs) == "dag/one"


def test_no_table_is_an_error_not_a_free_lock(runs) -> None:
    with pytest.raises(MissingError):
        runs.take_lock("other", TARGET, holder="a", now=NOW, expires_at=NOW)
    with pytest.raises(MissingError):
        runs.release_lock("other", TARGET, "a")
    with pytest.raises(MissingError):
        runs.table_status("other")
    assert runs.table_status(TABLE) == "ACTIVE"


def test_item_of_any_shape_is_stored(runs) -> None:
    item = {
        "pk": TARGET,
        "sk": "run#1",
        "none": None,
        "number": 1.23456,
        "deep": {"list": [1, 2.5, {"x": 0.1, "none": None}], "yes": True, "empty": ""},
    }
    runs.put(TABLE, item)
    found = runs.find(TABLE, TARGET, "run#1")
    assert "none" not in found
    assert float(found["number"]) == 1.235
    assert [float(n) for n in found["deep"]["list"][:2]] == [1, 2.5]
    assert found["deep"]["list"][2]["none"] is None
    assert found["deep"]["yes"] is True
    assert runs.find(TABLE, TARGET, "run#2") is None


def test_item_without_key_is_refused(runs) -> None:
    with pytest.raises(PermanentError, match="dynamodb:put_item runs"):
        runs.put(TABLE, {"pk": TARGET})
