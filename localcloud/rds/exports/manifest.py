"""The JSON files beside the data: ``export_info_<task>.json`` and ``export_tables_info_<task>_from_1_to_<n>.json``.

Their keys are those that public readers of real exports use.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.rds import views

if TYPE_CHECKING:
    from localcloud.rds.model import ExportTask

GIB = 2**30


def moment(epoch: float) -> str:
    """Time as the manifests have it, UTC with milliseconds."""
    return f"{views.moment(epoch):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def info(task: ExportTask, status: str, ended: float) -> tuple[str, bytes]:
    """Name and content of the file about the task."""
    content = {
        "exportTaskIdentifier": task.identifier,
        "sourceArn": task.source_arn,
        "exportOnly": task.export_only,
        "snapshotTime": moment(task.snapshot_time),
        "taskStartTime": moment(task.started),
        "taskEndTime": moment(ended),
        "s3Bucket": task.bucket,
        "s3Prefix": task.prefix,
        "exportedFilesPath": task.path,
        "iamRoleArn": task.role_arn,
        "kmsKeyId": task.kms_key_id,
        "status": status,
        "percentProgress": 100 if status == "COMPLETE" else round(100 * task.done),
        "totalExportedDataInGB": task.extracted_bytes / GIB,
        **({"failureCause": task.failure} if task.failure else {}),
        **({"warningMessage": json.dumps(task.warnings)} if any(task.warnings.values()) else {}),
    }
    return f"export_info_{task.identifier}.json", json.dumps(content).encode()


def tables(task: ExportTask) -> tuple[str, bytes]:
    """Name and content of the file about the tables."""
    name = f"export_tables_info_{task.identifier}_from_1_to_{len(task.tables)}.json"
    return name, json.dumps({"perTableStatus": task.tables}).encode()
