"""AWS Systems Manager: parameters."""

from __future__ import annotations

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import AwsHook


class ParametersHook(AwsHook):
    """Parameters of one account and region."""

    service = "ssm"

    def find(self, name: str) -> str | None:
        """Read a parameter (``GetParameter``)."""
        try:
            return str(self.call("get_parameter", Name=name)["Parameter"]["Value"])
        except MissingError:
            return None

    def put(self, name: str, value: str) -> None:
        """Write a parameter (``PutParameter``), over what is there."""
        self.call("put_parameter", Name=name, Value=value, Type="String", Overwrite=True)

    def delete(self, name: str) -> None:
        """Remove a parameter (``DeleteParameter``); what is already gone is fine."""
        try:
            self.call("delete_parameter", Name=name)
        except MissingError:
            return
