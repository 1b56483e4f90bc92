"""StartExportTask, DescribeExportTasks, CancelExportTask."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

from localcloud.rds import instance_snapshots, rules, views
from localcloud.rds.core import new_id
from localcloud.rds.errors import (
    ClusterNotFoundError,
    DBSnapshotNotFoundError,
    ExportTaskAlreadyExistsError,
    ExportTaskLimitReachedError,
    ExportTaskNotFoundError,
    IamRoleMissingPermissionsError,
    IamRoleNotFoundError,
    InvalidExportOnlyError,
    InvalidExportSourceStateError,
    InvalidExportTaskStateError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    InvalidS3BucketError,
    KmsKeyNotAccessibleError,
    SnapshotNotFoundError,
)
from localcloud.rds.exports import access
from localcloud.rds.exports.manifest import GIB
from localcloud.rds.exports.runs import RUNNING, Runs
from localcloud.rds.model import ExportTask

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region

IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")
IDENTIFIER_LENGTH = 60
OBJECTIVE = re.compile(r"[A-Za-z0-9$_]+(?:\.[A-Za-z0-9$_]+)?")
EXPORT_ONLY_BYTES = 200 * 1024
FILTERS = ("export-task-identifier", "s3-bucket", "source-arn", "status")
SOURCE_TYPES = ("SNAPSHOT", "CLUSTER")
NOT_FOUND = {
    "snapshot": DBSnapshotNotFoundError,
    "cluster-snapshot": SnapshotNotFoundError,
    "cluster": ClusterNotFoundError,
}
REFUSALS = {
    "bucket": InvalidS3BucketError,
    "role": IamRoleNotFoundError,
    "trust": IamRoleMissingPermissionsError,
    "permissions": IamRoleMissingPermissionsError,
    "key": KmsKeyNotAccessibleError,
}


class Exports:
    """Operations on export tasks.

    :param core: state.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.runs = Runs(core)

    def start(self, region: Region, params: Params) -> dict[str, Any]:
        """StartExportTask: of an own snapshot, or of a cluster as it is now.

        :raises RdsError: see ``REFUSALS``, and the errors of the parameters.
        """
        core = self.core
        with core.lock:
            identifier = _identifier(params.get("ExportTaskIdentifier"))
            prefix = _prefix(params.get("S3Prefix") or "")
            only = _export_only(params.get("ExportOnly") or [])
            if identifier in region.exports:
                raise ExportTaskAlreadyExistsError(f"The export task with the ID {identifier} already exists.")
            kind, key, snapshot_time = self._source(region, params.get("SourceArn") or "")
            self._check_running(region, params["SourceArn"])
            task = ExportTask(
                account=region.account,
                region=region.name,
                identifier=identifier,
                source_arn=params["SourceArn"],
                source_kind=kind,
                source_key=key,
                key=new_id("export-"),
                bucket=params.get("S3BucketName") or "",
                prefix=prefix,
                role_arn=params.get("IamRoleArn") or "",
                kms_key_id=self._key(region, params.get("KmsKeyId") or ""),
                export_only=only,
                snapshot_time=snapshot_time,
                started=time.time(),
            )
            problem = access.problem(task, core.cloud.kms)
            if problem:
                raise REFUSALS[problem.what](problem.message)
            self._decide_end(task)
            region.exports[identifier] = task
            self.runs.begin(task)
            return view(task)

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeExportTasks.

        :raises ExportTaskNotFoundError: an identifier was given and nothing is found.
        """
        kind = params.get("SourceType")
        if kind is not None and kind not in SOURCE_TYPES:
            raise InvalidParameterValueError(f"Invalid SourceType: {kind}. Known: {', '.join(SOURCE_TYPES)}.")
        identifier, arn = params.get("ExportTaskIdentifier"), params.get("SourceArn")
        with self.core.lock:
            wanted = _filters(params)
            found = [
                task
                for task in region.exports.values()
                if identifier in {None, task.identifier}
                and arn in {None, task.source_arn}
                and kind in {None, task.source_type}
                and rules.matches(
                    wanted,
                    {
                        "export-task-identifier": task.identifier,
                        "s3-bucket": task.bucket,
                        "source-arn": task.source_arn,
                        "status": task.status.lower(),
                    },
                )
            ]
            if identifier and not found:
                raise ExportTaskNotFoundError(f"Export task {identifier} not found.")
            page, marker = rules.page(found, params, lambda task: task.identifier)
            return {"ExportTasks": [view(task) for task in page], "Marker": marker}

    def cancel(self, region: Region, params: Params) -> dict[str, Any]:
        """CancelExportTask: of one that is starting or in progress."""
        with self.core.lock:
            task = self.find(region, params.get("ExportTaskIdentifier"))
            if task.status not in {"STARTING", "IN_PROGRESS"}:
                raise InvalidExportTaskStateError(
                    f"The export task {task.identifier} is {task.status}; only one that is STARTING or IN_PROGRESS can be"
                    " canceled."
                )
            self._decide_end(task)
            self.runs.cancel(task)
            return view(task)

    def find(self, region: Region, identifier: str | None) -> ExportTask:
        """Task by identifier.

        :raises ExportTaskNotFoundError: there is none.
        """
        task = region.exports.get(identifier or "")
        if task is None:
            raise ExportTaskNotFoundError(f"Export task {identifier} not found.")
        return task

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _decide_end(self, task: ExportTask) -> None:
        """Take over what a fault rule has decided about the task."""
        becomes = self.core.cloud.ends_in
        if becomes == "FAILED":
            task.fails = self.core.cloud.ends_because or access.UNKNOWN
        elif becomes:
            task.sticks = becomes

    def _source(self, region: Region, source_arn: str) -> tuple[str, str, float]:
        """Kind of a source, key of its data in the engine, and epoch seconds that they are of."""
        arn = rules.parse_arn(source_arn)
        if arn is None or arn.kind not in NOT_FOUND:
            raise InvalidParameterValueError(
                f"The parameter SourceArn is not the ARN of a snapshot or a cluster: {source_arn!r}."
            )
        missing = NOT_FOUND[arn.kind](f"{arn.kind} {source_arn} not found.")
        if (arn.account, arn.region) != (region.account, region.name):
            raise missing
        if arn.kind == "cluster-snapshot":
            snapshot = region.snapshots.get(arn.name)
            if snapshot is None:
                raise missing
            _require_available(source_arn, snapshot.status)
            return arn.kind, snapshot.key, snapshot.created
        if arn.kind == "cluster":
            cluster = region.clusters.get(arn.name)
            if cluster is None:
                raise missing
            _require_available(source_arn, cluster.status)
            return arn.kind, cluster.resource_id, time.time()
        of_instance = instance_snapshots.find(region.account, region.name, arn.name)
        if of_instance is None:
            raise missing
        _require_available(source_arn, str(of_instance.status))
        data = instance_snapshots.key_of(of_instance)
        if not data:
            raise InvalidParameterCombinationError(
                f"localcloud has no data of {source_arn}: its instance had no server."
            )
        return arn.kind, data, of_instance.created.replace(tzinfo=UTC).timestamp()

    def _check_running(self, region: Region, source_arn: str) -> None:
        running = [task for task in region.exports.values() if task.status in RUNNING]
        same = next((task for task in running if task.source_arn == source_arn), None)
        if same is not None:
            raise InvalidExportSourceStateError(
                f"{source_arn} is being exported by the task {same.identifier}; wait until that has ended."
            )
        if len(running) >= self.core.quotas.exports:
            raise ExportTaskLimitReachedError(
                f"You have reached the limit of {self.core.quotas.exports} concurrent export tasks."
            )

    def _key(self, region: Region, name: str) -> str:
        cloud = self.core.cloud
        arn = access.customer_key(region.account, region.name, name, cloud.caller.principal_arn, cloud.kms)
        if arn is None:
            raise KmsKeyNotAccessibleError(
                f"The specified KMS key [{name}] does not exist, is not enabled or you do not have permissions to access it."
                " An export needs a customer managed key of its region, and kms:CreateGrant and kms:DescribeKey on it."
            )
        return arn


def view(task: ExportTask) -> dict[str, Any]:
    """``ExportTask``."""
    return {
        "ExportTaskIdentifier": task.identifier,
        "SourceArn": task.source_arn,
        "ExportOnly": task.export_only or None,
        "SnapshotTime": views.moment(task.snapshot_time),
        "TaskStartTime": views.moment(task.started),
        "TaskEndTime": None if task.ended is None else views.moment(task.ended),
        "S3Bucket": task.bucket,
        "S3Prefix": task.prefix,
        "IamRoleArn": task.role_arn,
        "KmsKeyId": task.kms_key_id,
        "Status": task.status,
        "PercentProgress": progress(task, time.time()),
        "TotalExtractedDataInGB": task.extracted_bytes // GIB,
        "FailureCause": task.failure if task.status == "FAILED" else None,
        "WarningMessage": json.dumps(task.warnings) if any(task.warnings.values()) else None,
        "SourceType": task.source_type,
    }


def progress(task: ExportTask, now: float) -> int:
    """``PercentProgress``: of the data and of the time, whichever is less; 100 only when the task is complete."""
    if task.status == "COMPLETE":
        return 100
    if not task.extracting:
        return 0
    passed = (now - task.extracting) / task.expected_s if task.expected_s > 0 else 1.0
    return max(0, min(99, int(100 * min(passed, task.done))))


def _identifier(value: str | None) -> str:
    if not value or len(value) > IDENTIFIER_LENGTH or not IDENTIFIER.fullmatch(value):
        raise InvalidParameterValueError(
            f"The parameter ExportTaskIdentifier is not a valid identifier: {value!r}. It must begin with a letter; must"
            " contain only ASCII letters, digits, and hyphens; must not end with a hyphen or contain two consecutive"
            f" hyphens; and has at most {IDENTIFIER_LENGTH} characters."
        )
    return value


def _prefix(value: str) -> str:
    if ":" in value:
        raise InvalidParameterValueError(f"The parameter S3Prefix must not contain a colon: {value!r}.")
    return value


def _export_only(values: list[str]) -> list[str]:
    size = sum(len(value.encode()) for value in values)
    if size > EXPORT_ONLY_BYTES:
        raise InvalidExportOnlyError(f"ExportOnly has {size} bytes; {EXPORT_ONLY_BYTES} are allowed.")
    wrong = [value for value in values if not OBJECTIVE.fullmatch(value)]
    if wrong:
        raise InvalidExportOnlyError(
            f"ExportOnly names {wrong[0]!r}. Give database or database.table, of letters, digits, $ and _."
        )
    return list(values)


def _require_available(source_arn: str, status: str) -> None:
    if status != "available":
        raise InvalidExportSourceStateError(f"{source_arn} is {status}; an export needs it to be available.")


def _filters(params: Params) -> dict[str, set[str]]:
    """Read the filters; here an ARN is no other form of an identifier, and statuses are in lower case."""
    rules.filters(params, FILTERS)
    return {item["Name"]: set(item.get("Values") or ()) for item in params.get("Filters") or ()}
