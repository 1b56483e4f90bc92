"""Export tasks in this process: they take time, an account may have five, and an identifier is used once."""

# ruff: noqa: N802, N803 - operations and parameters have the names that AWS gave them

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.unit.operators.fake_rds import FakeRds, Item, arn

RUNNING = ("STARTING", "IN_PROGRESS", "CANCELING")
STARTED = datetime(2026, 7, 1, 2, tzinfo=UTC)


class FakeExports(FakeRds):
    """RDS with snapshots that can be exported.

    :param limit: tasks that may run at a time.
    """

    limit = 5

    def __init__(self, lag: int = 4) -> None:
        super().__init__(lag)
        self.tasks: dict[str, Item] = {}
        self.causes: list[str] = []
        self.most_at_once = 0

    def task(self, name: str, source: str, status: str = "IN_PROGRESS", **changes: Any) -> Item:
        """A task that is there at the start."""
        self.tasks[name] = {
            "ExportTaskIdentifier": name,
            "SourceArn": source,
            "Status": status,
            "PercentProgress": 40,
            "TotalExtractedDataInGB": 1,
            "S3Bucket": "theirs",
            "S3Prefix": "",
            "TaskStartTime": datetime.now(UTC),
        } | changes
        return self.tasks[name]

    def end(self, name: str, status: str = "COMPLETE", **changes: Any) -> None:
        """Let a task end."""
        self.tasks[name].update(Status=status, PercentProgress=100, TaskEndTime=STARTED, **changes)

    @property
    def running(self) -> list[str]:
        return [name for name, task in self.tasks.items() if task["Status"] in RUNNING]

    def StartExportTask(
        self, ExportTaskIdentifier, SourceArn, S3BucketName, S3Prefix, IamRoleArn, KmsKeyId, ExportOnly=None
    ):
        if ExportTaskIdentifier in self.tasks:
            self._refuse("ExportTaskAlreadyExists")
        if SourceArn.rpartition("snapshot:")[2] not in self.snapshots:
            self._refuse("DBClusterSnapshotNotFoundFault")
        if len(self.running) >= self.limit:
            self._refuse("ExportTaskLimitReachedFault", "The maximum number of export tasks has been reached")
        self.task(
            ExportTaskIdentifier,
            SourceArn,
            "STARTING",
            S3Bucket=S3BucketName,
            S3Prefix=S3Prefix,
            ExportOnly=ExportOnly or [],
        )
        self.most_at_once = max(self.most_at_once, len(self.running))
        cause = self.causes.pop(0) if self.causes else None
        self.after(self.lag, lambda: self._end(ExportTaskIdentifier, cause))
        return {"ExportTaskIdentifier": ExportTaskIdentifier}

    def _end(self, name: str, cause: str | None) -> None:
        if self.tasks[name]["Status"] in RUNNING:
            self.end(name, *(["FAILED"] if cause else []), **({"FailureCause": cause} if cause else {}))

    def DescribeExportTasks(self, ExportTaskIdentifier=None, SourceArn=None, Filters=(), **_):
        if ExportTaskIdentifier is not None and ExportTaskIdentifier not in self.tasks:
            self._refuse("ExportTaskNotFound")
        wanted = {one["Name"]: one["Values"] for one in Filters}
        assert set(wanted) <= {"status"}
        assert all(value == value.lower() for value in wanted.get("status", []))
        return {
            "ExportTasks": [
                self._seen(task)
                for name, task in self.tasks.items()
                if ExportTaskIdentifier in (None, name)
                and SourceArn in (None, task["SourceArn"])
                and ("status" not in wanted or task["Status"].lower() in wanted["status"])
            ]
        }

    def _seen(self, task: Item) -> Item:
        script = self._scripts.get(task["ExportTaskIdentifier"])
        if script:
            task["Status"] = script.pop(0) if len(script) > 1 else script[0]
        return task

    def CancelExportTask(self, ExportTaskIdentifier):
        task = self.tasks[ExportTaskIdentifier]
        if task["Status"] not in RUNNING:
            self._refuse("InvalidExportTaskStateFault")
        self._finish(task, "CANCELING", "CANCELED")

    def DescribeDBSnapshots(self, **_):
        return {"DBSnapshots": []}


def snapshot_arn(name: str) -> str:
    return arn("cluster-snapshot", name)
