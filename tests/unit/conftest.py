"""Unit tests of the package start nothing: no sleep, no network, waits that take no time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws

from tests import guards

REGION = "eu-west-1"
POLL_S = "0.001"

settings.register_profile("unit", max_examples=40, deadline=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Guard the tests of the package; those of devstack are about processes and ports."""
    if "devstack" in Path(request.node.path).parts:
        yield
        return
    monkeypatch.setenv("AURORA_OPS_POLL_S", POLL_S)
    with guards.no_sleep_no_network(monkeypatch):
        yield


@pytest.fixture
def aws() -> Iterator[None]:
    """AWS as moto has it, reached through the real connections: roles are assumed, accounts are apart."""
    with mock_aws():
        yield


class SharedSession(boto3.session.Session):
    """A session that makes one client per service: making one costs more than most tests."""

    _clients: ClassVar[dict[str, Any]] = {}

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:
        if service_name not in self._clients:
            self._clients[service_name] = super().client(service_name)
        return self._clients[service_name]


@cache
def shared_session() -> SharedSession:
    return SharedSession(region_name=REGION)


@pytest.fixture
def aws_session(aws: None, monkeypatch: pytest.MonkeyPatch) -> boto3.session.Session:
    """One session for all connections, where accounts do not matter."""
    session = shared_session()
    monkeypatch.setattr("aurora_ops.hooks.base.AwsHook.get_session", lambda *_, **__: session)
    return session
