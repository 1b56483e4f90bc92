"""RDS in this process, everything else in moto; every call is checked against what the operator says it may do."""

from __future__ import annotations

import boto3
import pytest
from botocore.client import BaseClient

from tests.unit.operators.fake_rds import READS, FakeRds

# Calls of AWS that go by another name in policies.
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
}


class Calls(list[str]):
    """Actions called so far, as policies name them."""

    @property
    def mutating(self) -> list[str]:
        return [action for action in self if not action.split(":")[1].startswith(READS)]


@pytest.fixture
def calls() -> Calls:
    """What was called."""
    return Calls()


@pytest.fixture
def rds(aws_session: boto3.session.Session, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> FakeRds:
    """RDS in this process."""
    fake = FakeRds()
    beyond = BaseClient._make_api_call

    def call(self, operation, params):
        service = self.meta.service_model.service_name
        action = f"{service}:{operation}"
        calls.append(ACTIONS.get(action, action))
        if service == "rds":
            return fake.call(self.meta.service_model, operation, params)
        return beyond(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return fake
