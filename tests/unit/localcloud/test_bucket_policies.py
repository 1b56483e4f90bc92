"""What a bucket's policy says, its conditions included."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from moto.iam.access_control import PermissionResult

from localcloud.cloud import Caller
from localcloud.services.buckets import decide

ROLE = "arn:aws:iam::111111111111:role/r"
CLOUD: Any = SimpleNamespace(caller=Caller("111111111111", ROLE, ROLE))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, PermissionResult.DENIED),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, PermissionResult.NEUTRAL),
        ({"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}, PermissionResult.NEUTRAL),
        ({"Condition": {"ArnEquals": {"aws:PrincipalArn": ROLE}}}, PermissionResult.DENIED),
    ],
)
def test_a_deny_holds_under_its_conditions_only(condition, expected) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*", **condition}
    bucket: Any = SimpleNamespace(policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode())
    assert decide(CLOUD, bucket, "s3:GetObject", "arn:aws:s3:::b/k") is expected


def test_a_bucket_without_a_policy_says_nothing() -> None:
    bucket: Any = SimpleNamespace(policy=None)
    assert decide(CLOUD, bucket, "s3:GetObject", "arn:aws:s3:::b/k") is PermissionResult.NEUTRAL
