"""Stacks: made, changed, left alone, waited for; failures named; what is somebody else's refused; scripted statuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError, StateError, WaitFailedError
from aurora_ops.operators.stacks import EnsureStackOperator
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.unit.operators.driver import FakeTaskInstance, context, drive, once

NAME = "aurora-ops-export-shop"
ACCOUNT = "123456789012"  # moto's
OURS = {"aurora-ops:owner": "aurora-ops", "aurora-ops:environment": "staging"}
REASON = "aurora-ops-export-shop already exists in another account"
MAKING, CHANGING = "CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"


class FakeStacks:
    """CloudFormation of one account and region: a stack goes through statuses, one a look."""

    def __init__(self) -> None:
        self.stacks: list[dict[str, Any]] = []
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.making = [MAKING, "CREATE_COMPLETE"]
        self.changing = [CHANGING, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]
        self.deleting = ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
        self.failing: list[tuple[str, str]] = []
        self.denied: str | None = None
        self.tokens_are_kept = True
        self.unchanged = False

    @property
    def changes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(("Describe", "Get"))]

    def add(self, *statuses: str, tags: dict[str, str] | None = None, token: str | None = None) -> dict[str, Any]:
        arn = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/{NAME}/{len(self.stacks)}"
        stack = {"arn": arn, "statuses": list(statuses), "tags": OURS if tags is None else tags, "parameters": []}
        self.stacks.append(stack)
        self.events[arn] = []
        self.begin(stack, list(statuses), token)
        return stack

    def begin(self, stack: dict[str, Any], statuses: list[str], token: str | None) -> None:
        stack["statuses"], stack["token"] = statuses, token
        self.log(stack, statuses[0])

    def log(self, stack: dict[str, Any], status: str, resource: str = NAME, reason: str = "") -> None:
        whole = resource == NAME
        event = {
            "StackId": stack["arn"],
            "StackName": NAME,
            "EventId": str(len(self.events[stack["arn"]])),
            "LogicalResourceId": resource,
            "PhysicalResourceId": stack["arn"] if whole else resource.lower(),
            "ResourceType": "AWS::CloudFormation::Stack" if whole else "AWS::S3::Bucket",
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "Timestamp": datetime(2026, 7, 1, tzinfo=UTC).isoformat(),
        }
        if stack["token"] and self.tokens_are_kept:
            event["ClientRequestToken"] = stack["token"]
        self.events[stack["arn"]].insert(0, event)

    def shown(self, stack: dict[str, Any]) -> dict[str, Any]:
        """One look; the next one may show another status."""
        status = stack["statuses"][0]
        if len(stack["statuses"]) > 1:
            stack["statuses"].pop(0)
            if "ROLLBACK" in stack["statuses"][0]:
                for resource, reason in self.failing:
                    self.log(stack, "CREATE_FAILED", resource, reason)
                self.failing = []
            self.log(stack, stack["statuses"][0])
        return {
            "StackName": NAME,
            "StackId": stack["arn"],
            "StackStatus": status,
            "Parameters": stack["parameters"],
            "Outputs": [{"OutputKey": "BucketName", "OutputValue": "b"}],
            "Tags": [{"Key": key, "Value": value} for key, value in stack["tags"].items()],
            "CreationTime": datetime(2026, 7, 1, tzinfo=UTC).isoformat(),
        }

    def __call__(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        if operation == self.denied:
            raise refused(operation, "AccessDenied", f"User: arn:aws:sts::{ACCOUNT}:assumed-role/aurora-ops-source/s is not "
                          f"authorized to perform: cloudformation:{operation} on resource: x")  # fmt: skip
        match operation:
            case "DescribeStacks":
                wanted = asked["StackName"]
                alive = [one for one in self.stacks if one["statuses"][0] != "DELETE_COMPLETE"]
                found = [one for one in self.stacks if one["arn"] == wanted] or (alive if wanted == NAME else [])
                if not found:
                    raise refused(operation, "ValidationError", f"Stack with id {wanted} does not exist")
                return {"Stacks": [self.shown(found[-1])]}
            case "DescribeStackEvents":
                return {"StackEvents": self.events[asked["StackName"]]}
            case "CreateStack":
                assert not [one for one in self.stacks if one["statuses"][0] != "DELETE_COMPLETE"]
                self.asked.append(asked)
                tags = {one["Key"]: one["Value"] for one in asked["Tags"]}
                stack = self.add(*self.making, tags=tags, token=asked["ClientRequestToken"])
                stack["parameters"] = asked["Parameters"]
                return {"StackId": stack["arn"]}
            case "UpdateStack":
                if self.unchanged:
                    raise refused(operation, "ValidationError", "No updates are to be performed.")
                self.asked.append(asked)
                self.unchanged = not self.tokens_are_kept
                self.begin(self.stacks[-1], list(self.changing), asked["ClientRequestToken"])
                return {"StackId": self.stacks[-1]["arn"]}
            case "DeleteStack":
                self.begin(self.stacks[-1], list(self.deleting), None)
                return {}
        raise AssertionError(operation)


def refused(operation: str, code: str, message: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation
    )


@pytest.fixture
def stacks(aws_session, monkeypatch) -> FakeStacks:
    fake, beyond = FakeStacks(), BaseClient._make_api_call

    def call(self, operation, params):
        if self.meta.service_model.service_name != "cloudformation":
            return beyond(self, operation, params)
        fake.calls.append(operation)
        return json.loads(json.dumps(fake(operation, params)))

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return fake


@pytest.fixture
def ensure(tmp_path):
    template = tmp_path / "t.yaml"
    template.write_text("Resources: {}\n")

    def make(**changes: Any) -> EnsureStackOperator:
        given = {"stack_name": NAME, "template_path": str(template), "parameters": {"BucketName": "b"},
                 "environment": "staging", "account_id": ACCOUNT, **changes}  # fmt: skip
        return EnsureStackOperator(task_id="t", aws_conn_id="aws_source", region_name="eu-west-1", **given)

    return make


def again(**changes: Any) -> Any:
    """The context of another try."""
    ti = FakeTaskInstance()
    ti.try_number = 2
    return context(ti=ti, **changes)


def test_is_made_waited_for_and_told(stacks, ensure) -> None:
    found = drive(ensure)
    assert stacks.changes == ["CreateStack"]
    assert found == {
        "stack_name": NAME,
        "stack_arn": stacks.stacks[0]["arn"],
        "status": "CREATE_COMPLETE",
        "outputs": {"BucketName": "b"},
    }
    (asked,) = stacks.asked
    assert asked["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert {one["Key"]: one["Value"] for one in asked["Tags"]} == OURS
    assert asked["Parameters"] == [{"ParameterKey": "BucketName", "ParameterValue": "b"}]
    assert asked["OnFailure"] == "ROLLBACK"
    assert asked["RetainExceptOnCreate"] is True, "what a failed creation has made must not be in the way of the next"


def test_what_is_as_it_should_be_is_left_alone(stacks, ensure) -> None:
    stacks.add("CREATE_COMPLETE")
    stacks.unchanged = True
    assert drive(ensure)["status"] == "CREATE_COMPLETE"
    assert stacks.asked == []


@pytest.mark.parametrize("kept", [True, False])
def test_is_changed_once_and_waited_for(stacks, ensure, kept) -> None:
    """Also where the events of the stack do not name the token."""
    stacks.add("CREATE_COMPLETE")
    stacks.tokens_are_kept = kept
    assert drive(ensure)["status"] == "UPDATE_COMPLETE"
    assert len(stacks.asked) == 1


@pytest.mark.parametrize(
    "statuses",
    [
        (MAKING, "CREATE_COMPLETE"),
        (CHANGING, "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
    ],
)
def test_what_somebody_has_begun_is_waited_for_then_brought_to_what_is_wanted(stacks, ensure, statuses) -> None:
    stacks.add(*statuses)
    assert drive(ensure)["status"] == "UPDATE_COMPLETE"
    assert stacks.changes == ["UpdateStack"]


def test_a_killed_task_adopts_what_it_has_begun(stacks, ensure) -> None:
    once(ensure)
    assert stacks.changes == ["CreateStack"]
    stacks.unchanged = True
    assert drive(ensure, again())["status"] == "CREATE_COMPLETE"
    assert stacks.stacks[0]["statuses"] == ["CREATE_COMPLETE"]
    assert stacks.changes.count("CreateStack") == 1


def test_what_cannot_be_made_names_the_resource_that_failed_first(stacks, ensure) -> None:
    stacks.making = [MAKING, "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
    stacks.failing = [("Bucket", REASON), ("Key", "Resource creation cancelled"), ("Role", "too many roles")]
    with pytest.raises(StateError) as failed:
        drive(ensure)
    text = str(failed.value)
    assert f"is ROLLBACK_COMPLETE: Bucket (AWS::S3::Bucket): {REASON}; Role" in text
    assert "cancelled" not in text
    assert "made anew when this task is cleared" in text
    assert stacks.changes == ["CreateStack"]


def test_what_was_never_complete_is_deleted_and_made_anew(stacks, ensure) -> None:
    stacks.add("ROLLBACK_COMPLETE")
    assert drive(ensure, again())["status"] == "CREATE_COMPLETE"
    assert stacks.changes == ["DeleteStack", "CreateStack"]
    assert len(stacks.stacks) == 2


def test_what_cannot_be_changed_is_told_and_is_never_deleted(stacks, ensure) -> None:
    stacks.add("UPDATE_COMPLETE")
    stacks.changing = [CHANGING, "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]
    stacks.failing = [("Bucket", REASON)]
    with pytest.raises(StateError, match=r"UPDATE_ROLLBACK_COMPLETE: Bucket .* as it was before"):
        drive(ensure)
    assert stacks.changes == ["UpdateStack"]
    stacks.changing = [CHANGING, "UPDATE_COMPLETE"]
    assert drive(ensure, again())["status"] == "UPDATE_COMPLETE", (
        "another try does not take the old failure for its own"
    )


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_FAILED"])
def test_what_is_stuck_needs_a_person(stacks, ensure, status) -> None:
    stack = stacks.add(status)
    stacks.log(stack, "UPDATE_FAILED", "Bucket", REASON)
    with pytest.raises(StateError, match=rf"{status}: Bucket .*console of CloudFormation"):
        drive(ensure)
    assert stacks.changes == []


def test_one_that_is_only_proposed_is_not_waited_for(stacks, ensure) -> None:
    stacks.add("REVIEW_IN_PROGRESS")
    with pytest.raises(StateError, match="change set; delete it"):
        drive(ensure)


def test_one_that_is_being_deleted_is_made_when_it_is_gone(stacks, ensure) -> None:
    stacks.add("DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_COMPLETE")
    assert drive(ensure)["status"] == "CREATE_COMPLETE"
    assert stacks.changes == ["CreateStack"]


def test_one_that_cannot_be_deleted_ends_the_wait(stacks, ensure) -> None:
    stacks.add("DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_FAILED")
    with pytest.raises(WaitFailedError):
        drive(ensure)


@pytest.mark.parametrize(
    ("tags", "words"),
    [({}, "has not made it"), ({**OURS, "aurora-ops:environment": "dev"}, "belongs to environment dev")],
)
def test_somebody_elses_is_not_touched(stacks, ensure, tags, words) -> None:
    stacks.add("CREATE_COMPLETE", tags=tags)
    with pytest.raises(SafetyError, match=words):
        drive(ensure)
    assert stacks.changes == []


def test_a_connection_that_leads_elsewhere_changes_nothing(stacks, ensure) -> None:
    with pytest.raises(ConfigError, match="must lead to account 999999999999"):
        drive(lambda: ensure(account_id="999999999999"))
    assert stacks.calls == []


def test_a_missing_right_names_the_policy_of_the_setup(stacks, ensure) -> None:
    stacks.denied = "CreateStack"
    with pytest.raises(PermanentError, match=r"aurora-ops-source lacks cloudformation:CreateStack.*setup-\*\.json"):
        drive(ensure)


def test_calls_no_more_than_it_declares(stacks, ensure) -> None:
    stacks.add("ROLLBACK_COMPLETE")
    drive(ensure)
    stacks.changing = [CHANGING, "UPDATE_COMPLETE"]
    drive(ensure, again())
    used = {f"cloudformation:{call}" for call in stacks.calls}
    assert used == set(EnsureStackOperator.permissions) == set(EnsureStackOperator.permissions_elsewhere["source"])
