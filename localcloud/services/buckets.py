"""Policies of S3 buckets, conditions included: moto takes every Deny for one without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from localcloud import policy
from localcloud.policy import Decision

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

RESULTS = {
    Decision.ALLOWED: PermissionResult.PERMITTED,
    Decision.DENIED: PermissionResult.DENIED,
    Decision.NOT_ALLOWED: PermissionResult.NEUTRAL,
}


def install(cloud: Cloud) -> None:
    """Have what is asked of a bucket's policy decided as IAM decides."""

    def get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
        return decide(cloud, bucket, action, resource)

    FakeBucket.get_permission = get_permission  # type: ignore[assignment, method-assign]


def decide(cloud: Cloud, bucket: FakeBucket, action: str, resource: str) -> Any:
    """Decide what the caller may do by the policy of a bucket; every connection counts as one over TLS."""
    if not bucket.policy:
        return PermissionResult.NEUTRAL
    caller = cloud.caller
    context = {
        "aws:PrincipalArn": caller.principal_arn,
        "aws:PrincipalAccount": caller.account,
        "aws:SecureTransport": "true",
        "s3:TlsVersion": "1.3",
    }
    asked = policy.Request(action, caller.account, caller.principal_arn, context=context, resource=resource)
    return RESULTS[policy.decide_by_resource(bucket.policy.decode(), asked)]
