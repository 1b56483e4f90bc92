"""Where reading audit logs, and keeping them, is allowed; see ``scopes``."""

from __future__ import annotations

from policygen.scope import OWN, Scope
from policygen.scopes_upkeep import BUCKET

GLUE = f"arn:${{Partition}}:glue:{OWN}"
STATES = f"arn:${{Partition}}:dynamodb:{OWN}:table/${{LogTable}}"
INSTANCES = "arn:${Partition}:rds:${LogRegion}:${Account}:db:*"

ORCHESTRATOR = (
    Scope("LookAtLogTable", ("dynamodb:DescribeTable",), (STATES,)),
    Scope("KeepLogStates", ("dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"), (STATES,)),
    # Written once and read: that nothing is put over what is there, If-None-Match says; nothing is ever deleted.
    Scope(
        "StoreLogs",
        ("s3:PutObject", "s3:PutObjectRetention", "s3:GetObject", "s3:AbortMultipartUpload"),
        ("arn:${Partition}:s3:::${LogBucket}/${LogObjects}",),
    ),
    Scope("LookAtLogBucket", BUCKET, ("arn:${Partition}:s3:::${LogBucket}",)),
    # Without it S3 answers that one may not see an object where it should say that there is none.
    Scope("SeeLogBucket", ("s3:ListBucket", "s3:ListBucketVersions"), ("arn:${Partition}:s3:::${LogBucket}",)),
    # Made anew from the logs whenever a day is compacted again; the logs themselves are elsewhere.
    Scope(
        "KeepLogRecords",
        ("s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", "s3:AbortMultipartUpload"),
        ("arn:${Partition}:s3:::${LogBucket}/${LogRecords}/*",),
    ),
    Scope(
        "MakeLogTable",
        (
            "glue:GetDatabase",
            "glue:CreateDatabase",
            "glue:GetTable",
            "glue:CreateTable",
            "glue:UpdateTable",
            "glue:BatchCreatePartition",
            "glue:UpdatePartition",
        ),
        (f"{GLUE}:catalog", f"{GLUE}:database/${{LogDatabase}}", f"{GLUE}:table/${{LogDatabase}}/*"),
    ),
    Scope(
        "EncryptLogs",
        ("kms:GenerateDataKey", "kms:Decrypt"),
        keys=("LogKey",),
        condition={"StringEquals": {"kms:ViaService": "s3.${Region}.amazonaws.com"}},
    ),
)
_READ = (
    Scope("SeeLogInstances", ("rds:DescribeDBInstances",), (INSTANCES,)),
    Scope(
        "ReadLogs",
        ("rds:DescribeDBLogFiles", "rds:DownloadDBLogFilePortion", "rds:DownloadCompleteDBLogFile"),
        (INSTANCES,),
    ),
)
SOURCE = _READ
TARGET = _READ
