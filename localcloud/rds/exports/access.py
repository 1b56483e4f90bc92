"""Whether RDS may export: the role's trust and permissions, the bucket and its policy, the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moto.s3.models import s3_backends

from localcloud import policy
from localcloud.accounts import find_role
from localcloud.cloud import Caller, KeyNotAccessible
from localcloud.iam.access import attached, judge
from localcloud.iam.model import Need
from localcloud.policy import Decision
from localcloud.services.kms_rules import find_key

if TYPE_CHECKING:
    from moto.s3.models import FakeBucket

    from localcloud.cloud import Kms
    from localcloud.policy import Values
    from localcloud.rds.model import ExportTask

SERVICE = "export.rds.amazonaws.com"
ON_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket")
ON_OBJECTS = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")

# What AWS says of a task that failed: "Failure messages for Amazon S3 export tasks" in the Aurora User Guide.
UNKNOWN = "An unknown internal error occurred."
UNKNOWN_METADATA = "An unknown internal error occurred writing the export task's metadata to the S3 bucket {bucket}."
NO_ROLE = "The RDS export failed to write the export task's metadata because it can't assume the IAM role {role}."
NOT_AUTHORIZED = (
    "The IAM role {role} isn't authorized to call {action} on the S3 bucket {bucket}. Review your permissions and retry"
    " the export."
)
NO_KEY = "KMS key check failed. Check the credentials on your KMS key and try again."
NO_BUCKET = (
    "The S3 bucket {bucket} isn't valid. Either it isn't located in the current AWS Region or it doesn't exist. Review your"
    " S3 bucket name and retry the export."
)
WRONG_REGION = (
    "The S3 bucket {bucket} isn't located in the current AWS Region. Review your S3 bucket name and retry the export."
)


@dataclass(frozen=True)
class Problem:
    """Why RDS may not export.

    :param what: ``bucket``, ``role`` (there is none), ``trust``, ``permissions`` or ``key``.
    :param message: the failure cause of a task that meets it when it runs.
    """

    what: str
    message: str


def find_bucket(name: str) -> tuple[str, FakeBucket] | None:
    """Owner and bucket of this name, in any account."""
    _, account = s3_backends.bucket_accounts.get(name, ("aws", ""))
    bucket = s3_backends[account]["aws"].buckets.get(name) if account else None
    return (account, bucket) if bucket is not None else None


def problem(task: ExportTask, kms: Kms) -> Problem | None:
    """Look for what keeps RDS from exporting, in the order in which AWS would tell."""
    words = {"bucket": task.bucket, "role": task.role_arn}
    found = find_bucket(task.bucket)
    if found is None:
        return Problem("bucket", NO_BUCKET.format(**words))
    owner, bucket = found
    if bucket.region_name != task.region:
        return Problem("bucket", WRONG_REGION.format(**words))
    role = find_role(task.role_arn)
    if role is None or role.account_id != task.account:
        return Problem("role", NO_ROLE.format(**words))
    context: dict[str, Values] = {"aws:SourceAccount": task.account, "aws:SourceArn": task.source_arn}
    trusted = policy.Request("sts:AssumeRole", service=SERVICE, context=context)
    if not policy.allows(role.assume_role_policy_document, trusted):
        return Problem("trust", NO_ROLE.format(**words))
    for action in (*ON_BUCKET, *ON_OBJECTS):
        if not _may(task, owner, bucket, action):
            return Problem("permissions", NOT_AUTHORIZED.format(action=action, **words))
    return None if _key_is_usable(task, kms) else Problem("key", NO_KEY)


def _may(task: ExportTask, owner: str, bucket: FakeBucket, action: str) -> bool:
    """Whether role and bucket policies let the role do something: in one account one of them is enough."""
    context: dict[str, Values] = {"aws:SecureTransport": "true", "aws:ResourceAccount": owner, "s3:TlsVersion": "1.3"}
    resource = f"arn:aws:s3:::{task.bucket}"
    if action in ON_OBJECTS:
        resource = f"{resource}/{task.path}/export_info_{task.identifier}.json"
    elif action == "s3:ListBucket":
        context["s3:prefix"] = task.path
    if action == "s3:PutObject":
        context["s3:x-amz-server-side-encryption"] = "aws:kms"
        context["s3:x-amz-server-side-encryption-aws-kms-key-id"] = task.kms_key_id
    arn = task.role_arn
    caller = Caller(task.account, arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/RDS", arn)
    by_role = judge(attached(caller), caller, task.region, Need(action, resource, context))
    by_bucket = Decision.NOT_ALLOWED
    if bucket.policy:
        context |= {"aws:PrincipalArn": arn, "aws:PrincipalAccount": task.account, "aws:RequestedRegion": task.region}
        asked = policy.Request(action, task.account, arn, context=context, resource=resource)
        by_bucket = policy.decide_by_resource(bucket.policy.decode(), asked)
    if Decision.DENIED in {by_role, by_bucket}:
        return False
    allowed = [decision is Decision.ALLOWED for decision in (by_role, by_bucket)]
    return any(allowed) if owner == task.account else all(allowed)


def _key_is_usable(task: ExportTask, kms: Kms) -> bool:
    try:
        return kms.resolve(task.account, task.region, task.kms_key_id).enabled
    except KeyNotAccessible:
        return False


def customer_key(account: str, region: str, name: str, principal_arn: str, kms: Kms) -> str | None:
    """ARN of a key that exports may be encrypted with; None if it is none.

    It must be a customer's, enabled, of this region, and the caller must be allowed to describe it and create grants.

    :param name: id, ARN, alias name or alias ARN.
    """
    try:
        info = kms.resolve(account, region, name)
    except KeyNotAccessible:
        return None
    key = find_key(account, region, info.arn)
    if key is None or key.key_manager == "AWS" or not info.enabled:
        return None
    needed = ("kms:DescribeKey", "kms:CreateGrant")
    if all(kms.allows(account, info.arn, operation, principal_arn=principal_arn) for operation in needed):
        return info.arn
    return None
