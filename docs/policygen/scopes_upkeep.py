"""Where actions on snapshots that are kept by policy, and the looks of the preflight, are allowed; see ``scopes``."""

from __future__ import annotations

from policygen.scope import HERE, MADE_OURS, OURS, OWN, Condition, Scope

RDS = "arn:${Partition}:rds:${Region}:${Account}:cluster-snapshot"
THERE = "arn:${Partition}:rds:${RetainedRegion}:${Account}:cluster-snapshot"
COPIES = "arn:${Partition}:rds:${CopyRegion}:${Account}:cluster-snapshot"
KEYS = ("arn:${Partition}:kms:${CopyRegion}:${Account}:key/*",)
BY_ALIAS: Condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["${CopyKey}"]}}
FOR_RDS: Condition = {
    "StringEquals": {"kms:ViaService": ["rds.${CopyRegion}.amazonaws.com"]},
    "Bool": {"kms:GrantIsForAWSResource": "true"},
}

BUCKET = ("s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning")
# A trail of the organization belongs to another account.
TRAILS = (
    Scope("FindTrails", ("cloudtrail:DescribeTrails",), ("*",), condition=HERE),
    Scope("LookAtTrails", ("cloudtrail:GetTrailStatus",), ("arn:${Partition}:cloudtrail:*:*:trail/*",)),
)

ORCHESTRATOR = (
    Scope(
        "LookAtTable",
        ("dynamodb:DescribeTimeToLive", "dynamodb:DescribeContinuousBackups"),
        (f"arn:${{Partition}}:dynamodb:{OWN}:table/${{RunsTable}}",),
    ),
    Scope("SeeSubscribers", ("sns:ListSubscriptionsByTopic",), ("${Topic}",)),
    Scope("LookAtReportBucket", BUCKET, ("arn:${Partition}:s3:::${ReportBucket}",)),
    *TRAILS,
)
RETENTION = (
    Scope(
        "SeeRetainedSnapshots",
        ("rds:DescribeDBClusterSnapshotAttributes", "rds:DescribeExportTasks"),
        (f"{THERE}:*",),
    ),
    Scope("SeeCopiesElsewhere", ("rds:DescribeDBClusterSnapshots",), (f"{COPIES}:*",)),
    Scope(
        "CopyRetainedSnapshots",
        ("rds:CopyDBClusterSnapshot",),
        (f"{RDS}:${{RetainedSource}}", f"{COPIES}:${{KeptSnapshots}}"),
    ),
    Scope("TagRetainedSnapshots", ("rds:AddTagsToResource",), (f"{COPIES}:${{KeptSnapshots}}",), condition=MADE_OURS),
    Scope(
        "DeleteRetainedSnapshots",
        ("rds:DeleteDBClusterSnapshot",),
        (f"{THERE}:${{KeptSnapshots}}", f"{THERE}:${{ManualSnapshots}}"),
        condition=OURS,
    ),
    Scope("DeletePrefixedSnapshots", ("rds:DeleteDBClusterSnapshot",), (f"{RDS}:${{RetainedPrefix}}",)),
    Scope("ReadKeysOfCopies", ("kms:DescribeKey",), KEYS, condition=BY_ALIAS),
    Scope("UseKeysOfCopies", ("kms:CreateGrant",), KEYS, condition={**BY_ALIAS, **FOR_RDS}),
    Scope("ReadNamedKeysOfCopies", ("kms:DescribeKey",), ("${CopyKeyArn}",)),
    Scope("UseNamedKeysOfCopies", ("kms:CreateGrant",), ("${CopyKeyArn}",), condition=FOR_RDS),
)
SOURCE = (*RETENTION, Scope("SeeQuotas", ("rds:DescribeAccountAttributes",), ("*",), condition=HERE), *TRAILS)
TARGET = (
    *RETENTION,
    Scope("LookAtKeepBucket", BUCKET, ("arn:${Partition}:s3:::${KeepBucket}",)),
    Scope("LookAtSqlBucket", BUCKET, ("arn:${Partition}:s3:::${SqlBucket}",)),
    Scope("ReadKeysOfFiles", ("kms:DescribeKey",), keys=("FilesKey",)),
    *TRAILS,
)
