"""Where actions on the tables of runs and audit trails, on reports and announcements are allowed; see ``scopes``."""

from __future__ import annotations

from policygen.scope import OWN, Scope, leading

RUNS = f"arn:${{Partition}}:dynamodb:{OWN}:table/${{RunsTable}}"

ORCHESTRATOR = (
    Scope(
        "RecordRuns",
        ("dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"),
        (RUNS,),
    ),
    Scope("ReleaseLocks", ("dynamodb:DeleteItem",), (RUNS,), condition=leading("refresh#*")),
    Scope("KeepStates", ("dynamodb:UpdateItem",), (RUNS,), condition=leading("operation#*")),
    # Added to and read, never changed or deleted; that what is there is not put over, IAM cannot say.
    Scope(
        "AddToAuditTrails",
        ("dynamodb:PutItem", "dynamodb:Query"),
        (f"arn:${{Partition}}:dynamodb:{OWN}:table/${{AuditTable}}",),
        condition=leading("audit#*"),
    ),
    Scope(
        "ExportAuditTrails",
        ("s3:PutObject", "s3:PutObjectRetention", "s3:GetObject"),
        ("arn:${Partition}:s3:::${AuditBucket}/audit/*",),
    ),
    Scope("Announce", ("sns:GetTopicAttributes", "sns:Publish"), ("${Topic}",)),
    Scope("SeeReportBucket", ("s3:ListBucket",), ("arn:${Partition}:s3:::${ReportBucket}",)),
    Scope("WriteReports", ("s3:PutObject",), ("arn:${Partition}:s3:::${ReportBucket}/*",)),
    Scope("ReadBaselines", ("s3:GetObject",), ("arn:${Partition}:s3:::${ReportBucket}/*/baseline.json",)),
    Scope(
        "SendMetrics",
        ("cloudwatch:PutMetricData",),
        ("*",),
        condition={"StringEquals": {"cloudwatch:namespace": "${MetricsNamespace}"}},
    ),
)
