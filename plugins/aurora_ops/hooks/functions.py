"""AWS Lambda: small functions that see what only a mounted file system shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.hooks.base import AwsHook


@dataclass(frozen=True)
class Function:
    """What matters of a function."""

    name: str
    arn: str
    status: str
    access_point_arns: list[str]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Function:
        """Read a ``FunctionConfiguration`` of the Lambda API."""
        return cls(
            name=raw["FunctionName"],
            arn=raw["FunctionArn"],
            status=raw.get("State") or "",
            access_point_arns=[mount["Arn"] for mount in raw.get("FileSystemConfigs") or []],
        )


class FunctionsHook(AwsHook):
    """Functions of one account and region."""

    service = "lambda"

    def find_function(self, name: str) -> Function | None:
        """Look a function up (``GetFunctionConfiguration``)."""
        try:
            return Function.of(self.call("get_function_configuration", FunctionName=name))
        except MissingError:
            return None

    def list_functions(self) -> list[Function]:
        """List the functions of the account in the region, all pages."""
        return [Function.of(raw) for raw in self.pages("list_functions", "Functions")]

    def list_tags(self, function_arn: str) -> dict[str, str]:
        """List the tags of a function (``ListTags``)."""
        return dict(self.call("list_tags", Resource=function_arn).get("Tags") or {})

    def create_function(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Ask for a function (``CreateFunction``)."""
        self.call("create_function", FunctionName=name, **arguments)

    def delete_function(self, name: str) -> None:
        """Delete a function (``DeleteFunction``); what is already gone is fine."""
        try:
            self.call("delete_function", FunctionName=name)
        except MissingError:
            return

    def invoke(self, name: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function and wait for its answer (``Invoke``).

        :raises StateError: its code failed; the message says why.
        """
        answer = self.call("invoke", FunctionName=name, Payload=json.dumps(event).encode())
        content: dict[str, Any] = json.loads(answer["Payload"].read() or b"{}")
        if answer.get("FunctionError"):
            raise StateError(f"function {name}: {content.get('errorType')}: {content.get('errorMessage')}")
        return content
