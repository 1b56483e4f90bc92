"""What an export of production's shop needs, under the names that the setup gives it, without waiting for a stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from devstack.settings import PRODUCTION, REGION
from devstack.snapshot_events import make_table

NAME = "aurora-ops-export-shop"
BUCKET, ALIAS = f"{NAME}-{PRODUCTION}", f"alias/{NAME}"
ROLE_ARN = f"arn:aws:iam::{PRODUCTION}:role/{NAME}"
_ACTIONS = ["s3:PutObject*", "s3:GetObject*", "s3:ListBucket", "s3:DeleteObject*", "s3:GetBucketLocation"]


def provide(aws: Callable[[str, str], Any]) -> None:
    """Make bucket, role, key, work group and table of states.

    :param aws: gives clients with all rights, for an account and a service.
    """
    make_table(aws)
    aws(PRODUCTION, "s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "export.rds.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": PRODUCTION}},
    }
    allowed = {
        "Effect": "Allow",
        "Action": _ACTIONS,
        "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    }
    iam, kms = aws(PRODUCTION, "iam"), aws(PRODUCTION, "kms")
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName=NAME, PolicyName="export", PolicyDocument=_policy(allowed))
    kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    answers = {"OutputLocation": f"s3://{BUCKET}/athena/"}
    aws(PRODUCTION, "athena").create_work_group(
        Name=NAME, Configuration={"EnforceWorkGroupConfiguration": True, "ResultConfiguration": answers}
    )


def export_by_hand(aws: Callable[[str, str], Any], task_id: str, snapshot_arn: str) -> None:
    """Start an export as somebody in the console does.

    :param aws: gives clients with all rights.
    :param task_id: its identifier.
    :param snapshot_arn: what is exported.
    """
    aws(PRODUCTION, "rds").start_export_task(
        ExportTaskIdentifier=task_id, SourceArn=snapshot_arn, S3BucketName=BUCKET, IamRoleArn=ROLE_ARN, KmsKeyId=ALIAS
    )


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
