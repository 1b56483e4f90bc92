"""Tags on many resources: batches, what AWS leaves out of them, what is never set; and notices that always get out."""

from __future__ import annotations

import io
import json

import pytest
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError, StateError, TransientError
from aurora_ops.hooks.sql_functions import SqlFunctionsHook
from aurora_ops.operators.notices import NotifyOperator
from aurora_ops.operators.tagging import TagResourcesOperator
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operators.driver import drive

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
ARNS = [f"arn:aws:rds:eu-west-1:222222222222:db:app-{number}" for number in range(45)]


@pytest.fixture
def answer(aws_session, monkeypatch):
    """Answer calls by a function, and keep them."""
    calls: list[tuple[str, dict]] = []

    def install(function):
        def call(self, operation, params):
            calls.append((operation, params))
            return function(operation, params)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        return calls

    return install


def tag(arns=ARNS, **tags):
    return drive(lambda: TagResourcesOperator(task_id="t", resource_arns=list(arns), new_tags=tags, **AT))


def test_batches_of_twenty_and_only_what_differs(answer) -> None:
    def function(operation, params):
        if operation == "GetResources":
            return {"ResourceTagMappingList": [{"ResourceARN": ARNS[0], "Tags": [{"Key": "a", "Value": "b"}]}]}
        return {}

    calls = answer(function)
    result = tag(a="b", **{"aws:x": "y"})
    batches = [params for operation, params in calls if operation == "TagResources"]
    assert [len(params["ResourceARNList"]) for params in batches] == [20, 20, 4]
    assert all(params["Tags"] == {"a": "b"} for params in batches)
    assert result["unchanged"] == ARNS[:1]
    assert result["tagged"] == ARNS[1:]


@pytest.mark.parametrize(
    ("code", "kind"), [("InvalidParameterException", PermanentError), ("InternalServiceException", TransientError)]
)
def test_what_aws_did_not_tag_is_an_error(answer, code, kind) -> None:
    failed = {ARNS[21]: {"ErrorCode": code, "ErrorMessage": "no", "StatusCode": 400}}

    def function(operation, params):
        if operation == "GetResources":
            return {"ResourceTagMappingList": []}
        return {"FailedResourcesMap": {arn: why for arn, why in failed.items() if arn in params["ResourceARNList"]}}

    calls = answer(function)
    with pytest.raises(kind, match=f"1 of 45 resources are not tagged: {ARNS[21]}: {code}: no"):
        tag(a="b")
    assert [operation for operation, _ in calls].count("TagResources") == 3, "the other batches are tagged all the same"


@given(st.dictionaries(st.sampled_from(["aws:a", "aws:b"]), st.text(max_size=3)))
def test_awss_own_tags_alone_are_refused(tags) -> None:
    with pytest.raises(ConfigError):
        TagResourcesOperator(task_id="t", resource_arns=ARNS, new_tags=tags, **AT).take_pass({})


@pytest.mark.parametrize("key", ["refresh", "aurora-ops:expires", "aurora-ops:owner"])
def test_tags_of_guards_are_never_set(key) -> None:
    with pytest.raises(SafetyError, match="decide what may be"):
        tag(**{key: "x"})


def notice():
    return NotifyOperator(task_id="t", table="runs", topic_arn="arn:topic", environment="staging", subject="s", message="m",
                          outcome="failed", keep_days=1, **AT)  # fmt: skip


@pytest.mark.parametrize("broken", [["PutItem"], ["Publish"], ["PutItem", "Publish"]])
def test_a_notice_gets_out_whatever_fails(answer, broken) -> None:
    def function(operation, params):
        if operation in broken:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": f"no {operation}"}}, operation)
        return {}

    calls = answer(function)
    with pytest.raises(PermanentError) as said:
        drive(notice)
    assert {operation for operation, _ in calls} == {"PutItem", "Publish"}
    assert all(f"no {operation}" in str(said.value) for operation in broken)


def test_a_notice_has_cause_and_duration(answer) -> None:
    calls = answer(lambda *_: {})
    drive(lambda: NotifyOperator(task_id="t", table="runs", topic_arn="arn:topic", environment="staging", subject="s",
                                 message="m", outcome="failed", cause="why", duration_s=3.0, keep_days=1, **AT))  # fmt: skip
    sent = dict(calls)
    assert "Cause: why" in sent["Publish"]["Message"]
    assert "Duration: 3 s" in sent["Publish"]["Message"]
    assert sent["PutItem"]["Item"]["cause"] == {"S": "why"}


class TestFunctions:
    """A function that runs SQL is called once."""

    def hook(self) -> SqlFunctionsHook:
        return SqlFunctionsHook("aws_destination", "eu-west-1")

    def test_a_failure_of_its_code_is_said_without_values(self, answer) -> None:
        text = json.dumps(
            {"errorType": "IntegrityError", "errorMessage": "Duplicate entry 'ann@example.org' for key 'name'"}
        )
        answer(lambda *_: {"FunctionError": "Unhandled", "Payload": io.BytesIO(text.encode())})
        with pytest.raises(StateError, match="IntegrityError") as said:
            self.hook().invoke("f", {})
        assert "ann@example.org" not in str(said.value)

    def test_a_status_of_failure_is_one(self, answer) -> None:
        answer(lambda *_: {"Payload": io.BytesIO(b'{"statusCode": 500, "body": "secret"}')})
        with pytest.raises(StateError, match="statusCode 500") as said:
            self.hook().invoke("f", {})
        assert "secret" not in str(said.value)

    def test_a_lost_answer_is_not_asked_for_again(self, answer) -> None:
        def lose(*_):
            raise ReadTimeoutError(endpoint_url="x")

        answer(lose)
        with pytest.raises(StateError, match="not known whether the SQL ran"):
            self.hook().invoke("f", {})

    def test_one_that_has_not_begun_is(self, answer) -> None:
        def busy(*_):
            raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "x"}}, "Invoke")

        answer(busy)
        with pytest.raises(TransientError):
            self.hook().invoke("f", {})

    def test_too_much_is_refused(self, answer) -> None:
        calls = answer(lambda *_: {})
        with pytest.raises(ConfigError, match="split it"):
            self.hook().invoke("f", {"sql": "x" * 7_000_000})
        assert calls == []
