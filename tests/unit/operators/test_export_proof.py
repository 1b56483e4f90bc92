"""The rows of an export are counted through Athena, and another number fails with both; why a query failed is said."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from aurora_ops.core.errors import PermanentError, TransientError, VerificationError, WaitTimeoutError
from aurora_ops.operators.export_proof import ProveExportOperator
from aurora_ops.triggers.wait import WaitTrigger
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.unit.operators.driver import context, fire
from tests.unit.operators.stored_exports import ACCOUNTS, settings

EXPORTED = {"database": "shop", "date": "2026-06-01", "task_id": "task"}
SMOKE = {"query": "SELECT 1", "rows": {"shop_orders": 7, "shop_items": 2}}
ANSWER = [["table_name", "row_count"], ["shop_items", "2"], ["shop_orders", "7"]]


class FakeAthena:
    """Athena as one query sees it: the states that it goes through, and its answer."""

    def __init__(self) -> None:
        self.states = ["SUCCEEDED"]
        self.rows: list[list[str]] = ANSWER
        self.error: dict[str, Any] = {}
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def answer(self, name: str, **arguments: Any) -> dict[str, Any]:
        if name == "GetQueryExecution":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            status = {"State": state, "StateChangeReason": "SYNTAX_ERROR: line 1", "AthenaError": self.error}
            return {"QueryExecution": {"Status": status}}
        if name == "StopQueryExecution":
            self.stopped.append(arguments["QueryExecutionId"])
            return {}
        assert name == "GetQueryResults"
        return {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": cell} for cell in row]} for row in self.rows]}}


@pytest.fixture
def athena(aws_session, monkeypatch) -> FakeAthena:
    fake = FakeAthena()

    def run_query(self, query, query_context, result_configuration, client_request_token, workgroup):
        fake.started.append(
            {
                "query": query,
                **query_context,
                **result_configuration,
                "token": client_request_token,
                "workgroup": workgroup,
                "aws_conn_id": self.aws_conn_id,
                "region": self.region_name,
            }
        )
        return "q-1"

    monkeypatch.setattr(AthenaHook, "run_query", run_query)
    monkeypatch.setattr(AthenaHook, "poll_query_status", lambda self, *_, **__: fake.states[-1])
    monkeypatch.setattr(AthenaHook, "get_state_change_reason", lambda self, *_, **__: "?")
    monkeypatch.setattr(AthenaHook, "conn_region_name", "eu-west-1")
    monkeypatch.setattr(AthenaHook, "conn_partition", "aws")
    monkeypatch.setattr(BaseClient, "_make_api_call", lambda self, name, arguments: fake.answer(name, **arguments))
    return fake


def make(
    deferrable: bool = True, smoke: dict | None = None, accounts: dict | None = None, **changes
) -> ProveExportOperator:
    return ProveExportOperator(
        task_id="prove_export",
        settings=settings(**changes),
        accounts=accounts or ACCOUNTS,
        exported=EXPORTED,
        smoke=smoke or SMOKE,
        deferrable=deferrable,
    )


def prove(**changes) -> Any:
    return make(deferrable=False, **changes).execute(context())


def test_what_athena_counts_is_what_the_files_have(athena) -> None:
    assert prove() == {"tables": 2, "rows": 9, "query_id": "q-1"}
    [asked] = athena.started
    assert (asked["query"], asked["Database"], asked["workgroup"]) == ("SELECT 1", "shop", "aurora-ops-export-shop")
    assert (asked["aws_conn_id"], asked["region"]) == ("aws_source", "eu-west-1")
    assert "OutputLocation" not in asked, "the work group says where results go"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*ANSWER[:2], ["shop_orders", "6"]], "- shop_orders: Athena counts 6, the files have 7"),
        (ANSWER[:2], "- shop_orders: Athena counts nothing, the files have 7"),
        ([*ANSWER[:2], ["shop_orders", "70"]], "- shop_orders: Athena counts 70, the files have 7"),
    ],
)
def test_another_number_fails_and_names_the_table_and_both(athena, rows, says) -> None:
    athena.rows = rows
    with pytest.raises(VerificationError) as caught:
        prove()
    assert says in str(caught.value)
    assert "shop_items" not in str(caught.value)
    assert "export task as it is (query q-1)" in str(caught.value)


def test_account_region_group_and_database_are_those_of_the_export(athena) -> None:
    prove(
        account="target",
        accounts={**ACCOUNTS, "target": {"aws_conn_id": "aws_destination", "region": "eu-central-1"}},
        catalogue={"database": "lake", "workgroup": "theirs"},
    )
    prove(copy_first={"region": "us-east-1", "kms_key_id": "k"})
    first, second = athena.started
    assert (first["aws_conn_id"], first["region"], first["Database"], first["workgroup"]) == (
        "aws_destination",
        "eu-central-1",
        "lake",
        "theirs",
    )
    assert second["region"] == "us-east-1"


def test_it_waits_without_a_slot_and_reads_when_it_comes_back(athena) -> None:
    ctx = context()
    ctx["ti"].task_id = "prove_export"
    with pytest.raises(TaskDeferred) as caught:
        make().execute(ctx)
    deferred = caught.value
    assert isinstance(deferred.trigger, WaitTrigger)
    assert deferred.timeout.total_seconds() == 2400
    athena.states = ["QUEUED", "RUNNING", "SUCCEEDED"]
    event = fire(deferred)
    assert event["status"] == "success"
    again = make()
    assert getattr(again, deferred.method_name)(ctx, event=event) == {"tables": 2, "rows": 9, "query_id": "q-1"}
    assert len(athena.started) == 1


def test_why_a_query_failed_is_said(athena) -> None:
    athena.states = ["FAILED"]
    ctx = context()
    ctx["ti"].task_id = "prove_export"
    with pytest.raises(TaskDeferred) as caught:
        make().execute(ctx)
    event = fire(caught.value)
    assert event["status"] == "failed"
    with pytest.raises(PermanentError, match="query q-1 is FAILED: SYNTAX_ERROR: line 1"):
        make().read_answer(ctx, event)
    with pytest.raises(PermanentError, match="SYNTAX_ERROR"):
        prove()
    athena.error = {"Retryable": True}
    with pytest.raises(TransientError, match="SYNTAX_ERROR"):
        prove()


def test_a_query_that_does_not_end_is_not_waited_for_for_ever(athena) -> None:
    athena.states = ["RUNNING"]
    ctx = context()
    ctx["ti"].task_id = "prove_export"
    with pytest.raises(TaskDeferred) as caught:
        make().execute(ctx)
    event = fire(caught.value)
    assert event["status"] == "timeout"
    with pytest.raises(WaitTimeoutError):
        make().read_answer(ctx, event)
    assert athena.stopped == ["q-1"]


def test_a_query_that_cannot_be_watched_is_stopped(athena) -> None:
    athena.states = ["RUNNING"]
    ctx = context()
    ctx["ti"].task_id = "prove_export"
    with pytest.raises(TaskDeferred):
        make().execute(ctx)
    with pytest.raises(PermanentError, match="query q-1 is RUNNING"):
        make().read_answer(ctx, {"status": "failed", "message": "athena:get_query_execution: AccessDenied"})
    assert athena.stopped == ["q-1"]


def test_each_try_has_a_token_of_its_own_and_the_same_try_the_same(athena) -> None:
    ctx = context()
    make(deferrable=False).execute(ctx)
    make(deferrable=False).execute(ctx)
    ctx["ti"].try_number = 2
    make(deferrable=False).execute(ctx)
    ctx["ti"].map_index = 3
    make(deferrable=False).execute(ctx)
    first, same, other, mapped = (asked["token"] for asked in athena.started)
    assert first == same
    assert len({first, other, mapped}) == 3
    assert 32 <= len(first) <= 128


def test_an_error_of_aws_is_one_of_ours(athena, monkeypatch) -> None:
    def run_query(self, *_):
        raise ClientError(
            {"Error": {"Code": "InvalidRequestException", "Message": "no WorkGroup"}}, "StartQueryExecution"
        )

    monkeypatch.setattr(AthenaHook, "run_query", run_query)
    with pytest.raises(PermanentError, match="start_query_execution in aurora-ops-export-shop: InvalidRequest"):
        prove()


def test_nothing_to_count_and_no_proof_wanted(athena) -> None:
    assert prove(smoke={"query": None, "rows": {}}) == {"tables": 0, "rows": 0, "query_id": None}
    with pytest.raises(AirflowSkipException):
        prove(catalogue={"proof": False})
    assert athena.started == []
