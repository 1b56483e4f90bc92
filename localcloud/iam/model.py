"""A call, and what it needs to be allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.cloud import Caller
    from localcloud.policy import Values

ANY = "*"


@dataclass(frozen=True)
class Call:
    """A call as it arrived.

    :param service: boto3 service name.
    :param action: operation name.
    :param parameters: as sent; lists of the query protocol are flat (``Tags.Tag.1.Key``).
    """

    caller: Caller
    region: str
    service: str
    action: str
    parameters: Mapping[str, Any]

    @property
    def account(self) -> str:
        """Account of the caller, in which the call acts."""
        return self.caller.account

    def text(self, name: str) -> str:
        """Return a parameter as text, empty if it is not given."""
        value = self.parameters.get(name)
        return "" if value is None else str(value)

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """ARN of something of the caller's account; what is an ARN already stays as it is."""
        if resource.startswith("arn:"):
            return resource
        return f"arn:aws:{service}:{self.region if region is None else region}:{self.account}:{resource}"


@dataclass(frozen=True)
class Need:
    """One thing that must be allowed.

    :param action: such as ``rds:ModifyDBCluster``.
    :param resource: ARN, or ``*`` for actions without resources.
    :param context: condition keys that this action has besides the global ones.
    :param by_resource: a policy on the resource, or a grant, allows it to the caller already; then the caller's own
        policies need not, but may still deny it.
    :param via: service that does it in the caller's name, such as ``rds``; empty for the call itself.
    """

    action: str
    resource: str = ANY
    context: Mapping[str, Values] = field(default_factory=dict)
    by_resource: bool = False
    via: str = ""
