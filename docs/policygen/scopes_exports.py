"""Where snapshots may be looked at for their export, their events received, and what became of them kept; see ``scopes``."""

from __future__ import annotations

from policygen.scope import OWN, Scope

RDS = "arn:${Partition}:rds:${ExportRegion}:${Account}"

ORCHESTRATOR = (
    Scope("KeepExportStates", ("dynamodb:UpdateItem",), (f"arn:${{Partition}}:dynamodb:{OWN}:table/${{ExportTable}}",)),
)
_OF_DATABASES = (
    # those of clusters are read by whoever refreshes; of a list of an instance's the instance is the resource
    Scope(
        "SeeExportedSnapshots",
        ("rds:DescribeDBSnapshots",),
        (f"{RDS}:snapshot:${{ExportedSnapshots}}", f"{RDS}:db:*"),
    ),
    Scope(
        "HearOfSnapshots",
        ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
        ("arn:${Partition}:sqs:${ExportRegion}:${Account}:${EventQueue}",),
    ),
)
SOURCE = _OF_DATABASES
TARGET = _OF_DATABASES
