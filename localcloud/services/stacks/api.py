"""CloudFormation's calls to the services, in the name of who asked for the stack: judged and recorded like any other."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localcloud.accounts import Session
from localcloud.client import make_client
from localcloud.cloud import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.cloud import Cloud

LASTS_S = 3600
_current: ContextVar[Api | None] = ContextVar("api", default=None)


class Api:
    """Clients of one operation on a stack.

    :param caller: in whose name.
    """

    def __init__(self, cloud: Cloud, caller: Caller, region: str) -> None:
        self._cloud, self.caller, self.region = cloud, caller, region
        self._key, self._token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
        self._clients: dict[str, Any] = {}
        session = Session(caller=caller, token=self._token, user_id=self._key, expires=time.time() + LASTS_S)
        cloud.identities.add_session(self._key, session)

    @property
    def account(self) -> str:
        """Account of the stack."""
        return self.caller.account

    def __call__(self, service: str, operation: str, **parameters: Any) -> Any:
        """Make a call; values become what the operation takes: a template knows texts only.

        :param operation: as boto3 names it.
        """
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = make_client(
                self._cloud.config, service, self._key, secrets.token_urlsafe(20), self._token
            )
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        given = {name: value for name, value in parameters.items() if value is not None}
        return getattr(client, operation)(**_coerced(model.input_shape, given))


def _coerced(shape: Any, value: Any) -> Any:
    kind = shape.type_name if shape is not None else ""
    if kind == "structure" and isinstance(value, dict):
        return {name: _coerced(shape.members.get(name), inner) for name, inner in value.items() if inner is not None}
    if kind == "list" and isinstance(value, list):
        return [_coerced(shape.member, inner) for inner in value]
    if kind == "map" and isinstance(value, dict):
        return {str(name): _coerced(shape.value, inner) for name, inner in value.items()}
    if kind in {"integer", "long"} and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind == "string" and isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


@contextmanager
def using(api: Api) -> Iterator[None]:
    """Have resources made and changed by these clients."""
    token = _current.set(api)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Api:
    """Clients of the operation that is under way."""
    api = _current.get()
    assert api is not None
    return api


def caller_of(cloud: Cloud, role: str | None) -> Caller:
    """In whose name a stack is worked on: its role's, or that of who asks, through CloudFormation."""
    if not role:
        return replace(cloud.caller, called_via=("cloudformation.amazonaws.com",))
    account = role.split(":")[4]
    name = role.rpartition("/")[2]
    return Caller(account, f"arn:aws:sts::{account}:assumed-role/{name}/AWSCloudFormation", role)
