"""What making the stacks of exports needs: a policy of its own, which a role has only while things are set up; see ``scopes``.

Operators declare what they call of CloudFormation. What CloudFormation does for them follows from the types in
``include/templates/snapshot-export-*.yaml``; it is allowed only through CloudFormation. Names are patterns, so that a database can
be added without another policy.
"""

from __future__ import annotations

from collections.abc import Mapping

from policygen.scope import MADE_OURS, OURS, OWN, Condition, Scope

_CALLED: Mapping[str, str | list[str]] = {"aws:CalledVia": ["cloudformation.amazonaws.com"]}
THROUGH: Condition = {"ForAnyValue:StringEquals": _CALLED}
BUCKET = ("s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock")
AT = "${ExportRegion}:${Account}"
KEYS = (f"arn:${{Partition}}:kms:{AT}:key/*",)

STACKS = (
    Scope(
        "MakeStacks",
        (
            "cloudformation:DescribeStacks",
            "cloudformation:DescribeStackEvents",
            "cloudformation:GetTemplate",
            "cloudformation:CreateStack",
            "cloudformation:UpdateStack",
            "cloudformation:DeleteStack",
        ),
        (
            f"arn:${{Partition}}:cloudformation:{AT}:stack/aurora-ops-export-*/*",
            f"arn:${{Partition}}:cloudformation:{AT}:stack/${{SnapshotEvents}}/*",
        ),
    ),
    Scope("ReadKeysOfExports", ("kms:DescribeKey",), KEYS),
)
"""What the operators call."""

RESOURCES = (
    Scope(
        "MakeEvents",
        (
            "sns:CreateTopic",
            "sns:DeleteTopic",
            "sns:GetTopicAttributes",
            "sns:SetTopicAttributes",
            "sns:GetDataProtectionPolicy",
            "sns:ListSubscriptionsByTopic",
            "sns:ListTagsForResource",
            "sns:TagResource",
            "sns:UntagResource",
            "sns:Subscribe",
            "sns:Unsubscribe",
            "sns:GetSubscriptionAttributes",
            "sns:SetSubscriptionAttributes",
            "sqs:CreateQueue",
            "sqs:DeleteQueue",
            "sqs:GetQueueAttributes",
            "sqs:SetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ListQueueTags",
            "sqs:TagQueue",
            "sqs:UntagQueue",
            "rds:CreateEventSubscription",
            "rds:ModifyEventSubscription",
            "rds:DeleteEventSubscription",
            "rds:DescribeEventSubscriptions",
            "rds:ListTagsForResource",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ),
        (
            f"arn:${{Partition}}:sns:{AT}:${{SnapshotEvents}}",
            f"arn:${{Partition}}:sqs:{AT}:${{SnapshotEvents}}",
            f"arn:${{Partition}}:sqs:{AT}:${{SnapshotEvents}}-dead",
            f"arn:${{Partition}}:rds:{AT}:es:${{SnapshotEvents}}-*",
        ),
    ),
    Scope(
        "MakeExports",
        (
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:ListBucket",
            "s3:GetAccelerateConfiguration",
            "s3:GetAnalyticsConfiguration",
            "s3:GetBucketAcl",
            "s3:GetBucketCORS",
            "s3:GetBucketLogging",
            "s3:GetBucketNotification",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketTagging",
            "s3:GetBucketVersioning",
            "s3:GetBucketWebsite",
            "s3:GetEncryptionConfiguration",
            "s3:GetIntelligentTieringConfiguration",
            "s3:GetInventoryConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:GetMetricsConfiguration",
            "s3:GetReplicationConfiguration",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:GetRole",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
            "iam:UpdateAssumeRolePolicy",
            "iam:ListRolePolicies",
            "iam:ListAttachedRolePolicies",
            "iam:GetRolePolicy",
            "iam:PutRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "glue:CreateCrawler",
            "glue:GetCrawler",
            "glue:UpdateCrawler",
            "glue:StopCrawler",
            "glue:DeleteCrawler",
            "glue:GetTags",
            "glue:TagResource",
            "glue:UntagResource",
            "athena:CreateWorkGroup",
            "athena:GetWorkGroup",
            "athena:UpdateWorkGroup",
            "athena:DeleteWorkGroup",
            "athena:ListTagsForResource",
            "athena:TagResource",
            "athena:UntagResource",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:UpdateAlias",
        ),
        (
            "arn:${Partition}:s3:::aurora-ops-export-*",
            "arn:${Partition}:iam::${Account}:role/aurora-ops-export-*",
            f"arn:${{Partition}}:glue:{AT}:crawler/aurora-ops-export-*",
            f"arn:${{Partition}}:athena:{AT}:workgroup/aurora-ops-export-*",
            f"arn:${{Partition}}:kms:{AT}:alias/aurora-ops-export-*",
        ),
    ),
    Scope("MakeKeys", ("kms:CreateKey",), ("*",), condition=MADE_OURS),
    Scope(
        "ChangeKeys",
        (
            "kms:GetKeyPolicy",
            "kms:PutKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:EnableKeyRotation",
            "kms:DisableKeyRotation",
            "kms:UpdateKeyDescription",
            "kms:ListResourceTags",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:ScheduleKeyDeletion",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:UpdateAlias",
        ),
        KEYS,
        condition=OURS,
    ),
    Scope("TagKeys", ("kms:TagResource",), KEYS, condition=MADE_OURS),  # while they are made
    Scope("SeeNamesOfKeys", ("kms:ListAliases",), ("*",)),
    Scope(
        "PassCrawlerRoles",
        ("iam:PassRole",),
        ("arn:${Partition}:iam::${Account}:role/aurora-ops-export-*-crawler",),
        condition={"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}},
    ),
    Scope(
        "MakeCatalogue",
        ("glue:CreateDatabase", "glue:GetDatabase", "glue:UpdateDatabase", "glue:DeleteDatabase"),
        (
            f"arn:${{Partition}}:glue:{AT}:catalog",
            f"arn:${{Partition}}:glue:{AT}:database/*",
            f"arn:${{Partition}}:glue:{AT}:table/*/*",
            f"arn:${{Partition}}:glue:{AT}:userDefinedFunction/*/*",
        ),
    ),
)
"""What CloudFormation does for whoever asks it."""

SCOPES = (
    *STACKS,
    *(
        Scope(one.sid, one.actions, one.resources, condition={**one.condition, **THROUGH}, part="setup")
        for one in RESOURCES
    ),
)

LOOKS_ORCHESTRATOR = (
    Scope(
        "LookAtExportTable",
        ("dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:DescribeContinuousBackups"),
        (f"arn:${{Partition}}:dynamodb:{OWN}:table/${{ExportTable}}",),
    ),
)
LOOKS = (
    Scope("LookAtExportBucket", BUCKET, ("arn:${Partition}:s3:::${ExportBucket}",)),
    Scope("LookAtEventQueue", ("sqs:GetQueueAttributes",), (f"arn:${{Partition}}:sqs:{AT}:${{EventQueue}}",)),
    Scope(
        "LookAtWorkgroup", ("athena:GetWorkGroup",), (f"arn:${{Partition}}:athena:{AT}:workgroup/${{ExportWorkgroup}}",)
    ),
)
"""What the preflight looks at of it; these the role always has."""
