"""AWS CloudFormation: stacks of resources, made and changed from templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.hooks.base import AwsHook

CAPABILITIES = ("CAPABILITY_NAMED_IAM",)
_ABSENT, _UNCHANGED = "does not exist", "No updates are to be performed"


@dataclass(frozen=True)
class Stack:
    """What matters of a stack.

    :param name: its name.
    :param arn: its id; another one when it is made anew.
    :param status: such as ``CREATE_COMPLETE``.
    :param reason: why, where CloudFormation says so.
    :param parameters: those it was made or last changed with.
    :param outputs: what the template tells of it.
    :param tags: its tags.
    """

    name: str
    arn: str
    status: str
    reason: str
    parameters: dict[str, str]
    outputs: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Stack:
        """Read a ``Stack`` of the CloudFormation API."""
        return cls(
            name=raw["StackName"],
            arn=raw["StackId"],
            status=raw["StackStatus"],
            reason=raw.get("StackStatusReason") or "",
            parameters={one["ParameterKey"]: one.get("ParameterValue", "") for one in raw.get("Parameters") or []},
            outputs={one["OutputKey"]: one["OutputValue"] for one in raw.get("Outputs") or []},
            tags={one["Key"]: one["Value"] for one in raw.get("Tags") or []},
        )

    def differing(self, parameters: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
        """Compare parameters with those it has: name to what is there and what is wanted, of those that differ.

        :param parameters: what is wanted.
        """
        there = self.parameters
        return {name: (there.get(name), value) for name, value in parameters.items() if there.get(name) != value}


@dataclass(frozen=True)
class Failure:
    """A resource of a stack that could not be made, changed or deleted.

    :param resource: its name in the template.
    :param kind: such as ``AWS::S3::Bucket``.
    :param reason: AWS's words.
    """

    resource: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.resource} ({self.kind}): {self.reason}"


@dataclass(frozen=True)
class Operation:
    """Something that was done to a stack as a whole.

    :param status: of the stack, the last one of it.
    :param failures: resources that could not be made or changed, the first first.
    """

    status: str
    failures: list[Failure]


class StacksHook(AwsHook):
    """Stacks of one account and region.

    Of the Amazon provider's hook there is only ``create_stack``, and its operator calls that and nothing else: it fails where the
    stack exists, changes none, and is done before anything is made, whatever becomes of it.
    """

    service = "cloudformation"

    def find_stack(self, name: str) -> Stack | None:
        """Look a stack up (``DescribeStacks``); ``None`` where there is none, or no more.

        :param name: its name.
        """
        try:
            found = self.call("describe_stacks", StackName=name)["Stacks"]
        except AuroraOpsError as exc:  # a ValidationError, as if the name were illegal
            if _ABSENT in str(exc):
                return None
            raise
        return next((Stack.of(one) for one in found if one["StackStatus"] != "DELETE_COMPLETE"), None)

    def template(self, name: str) -> str | None:
        """Read the template that a stack was made from, as it was sent (``GetTemplate``).

        :param name: of the stack.
        """
        body = self.call("get_template", StackName=name)["TemplateBody"]
        return body if isinstance(body, str) else None  # one that was written in JSON is told as an object

    def create_stack(
        self, name: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str], token: str
    ) -> None:
        """Begin to make a stack (``CreateStack``); what has been made when it fails is deleted again, also what it would retain.

        :param name: its name.
        :param template: text, at most 51,200 bytes.
        :param parameters: the template's.
        :param tags: of the stack and of all in it.
        :param token: the same call again with the same one makes nothing new.
        """
        self.call(
            "create_stack",
            **_given(name, template, parameters, tags),
            OnFailure="ROLLBACK",
            RetainExceptOnCreate=True,
            ClientRequestToken=token,
        )

    def update_stack(
        self, name: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str], token: str
    ) -> bool:
        """Begin to change a stack (``UpdateStack``).

        :param name: its name.
        :param template: text, at most 51,200 bytes.
        :param parameters: the template's.
        :param tags: of the stack and of all in it.
        :param token: the same call again with the same one changes nothing more.
        :return: whether there is anything to change.
        """
        try:
            self.call(
                "update_stack",
                **_given(name, template, parameters, tags),
                RetainExceptOnCreate=True,
                ClientRequestToken=token,
            )
        except AuroraOpsError as exc:
            if _UNCHANGED not in str(exc):
                raise
            return False
        return True

    def delete_stack(self, name: str) -> None:
        """Begin to delete a stack (``DeleteStack``); what its template retains stays."""
        self.call("delete_stack", StackName=name)

    def find_operation(self, stack_arn: str, token: str) -> Operation | None:
        """Tell what became of something that was begun with a token, all pages (``DescribeStackEvents``); ``None``: it was not.

        :param stack_arn: of the stack, also of one that has been deleted.
        :param token: as ``create_stack`` or ``update_stack`` was given it.
        """
        events = self.pages("describe_stack_events", "StackEvents", StackName=stack_arn)
        ours = [one for one in reversed(events) if one.get("ClientRequestToken") == token]  # the oldest first
        whole = [one["ResourceStatus"] for one in ours if one.get("PhysicalResourceId") == one["StackId"]]
        return Operation(whole[-1], _failures(ours)) if whole else None

    def list_failures(self, stack_arn: str) -> list[Failure]:
        """List what could not be done to a stack, whenever, the first first, all pages (``DescribeStackEvents``).

        :param stack_arn: of the stack.
        """
        return _failures(list(reversed(self.pages("describe_stack_events", "StackEvents", StackName=stack_arn))))


def _failures(events: list[dict[str, Any]]) -> list[Failure]:
    """Pick out what failed by itself; what was only given up because something else had failed tells nothing."""
    return [
        Failure(one["LogicalResourceId"], one.get("ResourceType", ""), one.get("ResourceStatusReason", ""))
        for one in events
        if one.get("ResourceStatus", "").endswith("_FAILED")
        and "cancelled" not in one.get("ResourceStatusReason", "").lower()
        and one.get("PhysicalResourceId") != one["StackId"]
    ]


def _given(name: str, template: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        "StackName": name,
        "TemplateBody": template,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "Capabilities": list(CAPABILITIES),
    }
