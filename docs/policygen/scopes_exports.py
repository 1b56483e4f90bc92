"""Where snapshots may be exported, what was exported be read and catalogued, and events of snapshots be heard; see ``scopes``."""

from __future__ import annotations

from policygen.scope import MADE_OURS, OURS, OWN, Scope

RDS = "arn:${Partition}:rds:${ExportRegion}:${Account}"
GLUE = "arn:${Partition}:glue:${ExportRegion}:${Account}"
BUCKET = "arn:${Partition}:s3:::${ExportBucket}"
EXPORTER = {"iam:PassedToService": "export.rds.amazonaws.com"}

ORCHESTRATOR = (
    Scope(
        "KeepExportStates",
        ("dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
        (f"arn:${{Partition}}:dynamodb:{OWN}:table/${{ExportTable}}",),
    ),
)
_OF_DATABASES = (
    # those of clusters are read by whoever refreshes; of a list of an instance's the instance is the resource
    Scope(
        "SeeExportedSnapshots",
        ("rds:DescribeDBSnapshots",),
        (f"{RDS}:snapshot:${{ExportedSnapshots}}", f"{RDS}:db:*"),
    ),
    Scope(
        "ExportSnapshots",
        ("rds:StartExportTask", "rds:DescribeExportTasks"),
        (f"{RDS}:cluster-snapshot:*", f"{RDS}:snapshot:*"),
    ),
    # It names no resource (Service Authorization Reference).
    Scope(
        "CancelExports",
        ("rds:CancelExportTask",),
        ("*",),
        condition={"StringEquals": {"aws:RequestedRegion": "${ExportRegion}"}},
    ),
    Scope("HandOverExportRole", ("iam:PassRole",), ("${ExportRole}",), condition={"StringEquals": EXPORTER}),
    Scope("LookAtExportRole", ("iam:GetRole",), ("${ExportRole}",)),
    Scope(
        "LookAtExportKey",
        ("kms:DescribeKey",),
        keys=("ExportKey", "ExportCopyKey", "ExportDefaultKey"),
        key_region="ExportRegion",
    ),
    Scope(
        "LetRdsEncryptExports",
        ("kms:CreateGrant",),
        keys=("ExportKey", "ExportCopyKey"),
        key_region="ExportRegion",
        condition={"Bool": {"kms:GrantIsForAWSResource": "true"}},
    ),
    Scope("SeeExports", ("s3:ListBucket", "s3:GetBucketLocation"), (BUCKET,)),
    Scope("ReadExports", ("s3:GetObject",), (f"{BUCKET}/*",)),
    Scope("WriteAnswers", ("s3:PutObject",), (f"{BUCKET}/${{ExportAnswers}}/*",)),
    Scope(
        "DecryptExports",
        ("kms:Decrypt", "kms:GenerateDataKey"),
        keys=("ExportKey",),
        key_region="ExportRegion",
        condition={"StringEquals": {"kms:ViaService": "s3.${ExportRegion}.amazonaws.com"}},
    ),
    Scope(
        "CatalogueExports",
        (
            "glue:GetDatabase",
            "glue:CreateDatabase",
            "glue:GetTables",
            "glue:GetTable",
            "glue:CreateTable",
            "glue:UpdateTable",
            "glue:GetPartition",
            "glue:GetPartitions",
            "glue:BatchCreatePartition",
            "glue:UpdatePartition",
            "glue:BatchDeletePartition",
        ),
        (f"{GLUE}:catalog", f"{GLUE}:database/${{ExportDatabase}}", f"{GLUE}:table/${{ExportDatabase}}/*"),
    ),
    Scope(
        "CrawlExports",
        ("glue:GetCrawler", "glue:UpdateCrawler", "glue:StartCrawler"),
        (f"{GLUE}:crawler/${{ExportCrawler}}",),
    ),
    Scope(
        "QueryExports",
        (
            "athena:StartQueryExecution",
            "athena:GetQueryExecution",
            "athena:GetQueryResults",
            "athena:StopQueryExecution",
        ),
        ("arn:${Partition}:athena:${ExportRegion}:${Account}:workgroup/${ExportWorkgroup}",),
    ),
    Scope(
        "CopyForExports",
        ("rds:CopyDBClusterSnapshot",),
        # whatever it is called, where snapshots are to be copied at all: one by hand or of AWS Backup has any name
        (f"{RDS}:cluster-snapshot:${{ExportCopied}}",),
    ),
    Scope(
        "TagExportCopies",
        ("rds:AddTagsToResource",),
        (f"{RDS}:cluster-snapshot:${{ExportCopies}}",),
        condition=MADE_OURS,
    ),
    Scope(
        "RemoveExportCopies",
        ("rds:DeleteDBClusterSnapshot",),
        (f"{RDS}:cluster-snapshot:${{ExportCopies}}",),
        condition=OURS,
    ),
    Scope(
        "HearOfSnapshots",
        ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
        ("arn:${Partition}:sqs:${ExportRegion}:${Account}:${EventQueue}",),
    ),
)
SOURCE = _OF_DATABASES
TARGET = _OF_DATABASES
