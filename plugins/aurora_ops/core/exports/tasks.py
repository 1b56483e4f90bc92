"""Export tasks of RDS: what one says of itself, and what is to be done about one that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aurora_ops.core.exports import names

RUNNING = ("STARTING", "IN_PROGRESS", "CANCELING")
"""Statuses that count against the account's limit."""
COMPLETE, FAILED, CANCELED = "COMPLETE", "FAILED", "CANCELED"

_BAR = 20
_PASSING = re.compile(r"internal error|temporar|throttl|timed? ?out", re.IGNORECASE)  # "try again" is in all of them
# Amazon RDS and Aurora user guides, "Failure messages for Amazon S3 export tasks".
_REMEDIES = (
    (
        r"assume the IAM role",
        "let export.rds.amazonaws.com assume the role: see its trust policy and the conditions in it",
    ),
    (
        r"isn't authorized to call|not authorized to perform",
        "grant the role that action on the bucket; snapshot_export_setup does",
    ),
    (r"KMS key check failed|KMS key", "see that the key is enabled and lets the role and the caller use it"),
    (r"S3 credential check failed|S3 credential", "see that the role may write to the bucket"),
    (r"bucket .* isn't|bucket isn't", "name a bucket of the snapshot's own region"),
    (
        r"failed to write|metadata",
        "see that the role may write under the prefix, and that the prefix has no slash at its end",
    ),
    (r"BLOB|row .*too|larger than", "leave the table out with export_only: RDS cannot export values of that size"),
)


@dataclass(frozen=True)
class Task:
    """An export task.

    :param task_id: its identifier.
    :param source_arn: ARN of the snapshot or cluster.
    :param status: in upper case.
    :param percent: how far it says to be.
    :param gib: GiB of the database that it says to have taken.
    :param bucket: where to.
    :param prefix: and where there; the task's own folder is below.
    :param cause: why it failed.
    :param warning: what it says beside that.
    :param started: when it began to export; ``None`` while it is prepared.
    :param ended: when it ended.
    """

    task_id: str
    source_arn: str
    status: str
    percent: int
    gib: float
    bucket: str
    prefix: str
    cause: str
    warning: str
    started: datetime | None
    ended: datetime | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Task:
        """Read an ``ExportTask`` of the RDS API."""
        return cls(
            task_id=raw["ExportTaskIdentifier"],
            source_arn=raw.get("SourceArn") or "",
            status=str(raw.get("Status") or "").upper(),
            percent=int(raw.get("PercentProgress") or 0),
            gib=float(raw.get("TotalExtractedDataInGB") or 0),
            bucket=raw.get("S3Bucket") or "",
            prefix=(raw.get("S3Prefix") or "").rstrip("/"),
            cause=raw.get("FailureCause") or "",
            warning=raw.get("WarningMessage") or "",
            started=raw.get("TaskStartTime"),
            ended=raw.get("TaskEndTime"),
        )

    @property
    def path(self) -> str:
        """Beginning of the keys of its objects, with a slash at the end: task ``x`` is not task ``x1``."""
        return "/".join(part for part in (self.prefix, self.task_id) if part) + "/"

    @property
    def database(self) -> str:
        """Name of the export that it is of, as its prefix says; empty: none of ours."""
        found = re.search(r"(?:^|/)db=([^/]+)/snapshot_date=", self.prefix + "/")
        return found[1] if found else ""


def bar(task: Task) -> str:
    """Draw how far a task is: ``[########------------] 40 %, 1.3 GiB``."""
    full = max(0, min(_BAR, task.percent * _BAR // 100))
    return f"[{'#' * full}{'-' * (_BAR - full)}] {task.percent} %, {task.gib:.3g} GiB"


def attempts(tasks: Iterable[Task], arn: str) -> dict[int, Task]:
    """Find the tasks of ours that export a snapshot, by attempt.

    :param tasks: export tasks, of any snapshot.
    :param arn: ARN of the snapshot that they are named after.
    """
    numbered = ((names.attempt_of(task.task_id, arn), task) for task in tasks)
    return {number: task for number, task in sorted(numbered, key=lambda one: one[0] or 0) if number is not None}


def may_pass(cause: str) -> bool:
    """Tell whether another attempt may succeed where one has failed so."""
    return bool(_PASSING.search(cause))


def remedy(cause: str) -> str:
    """Say what to do about a cause of failure."""
    if may_pass(cause):
        return "RDS may do better the next time"
    return next(
        (what for pattern, what in _REMEDIES if re.search(pattern, cause, re.IGNORECASE)),
        "see the user guide's failure messages of export tasks",
    )


def warnings(text: str) -> tuple[list[str], list[str]]:
    """Read a task's warning: the tables that it has skipped, and what else it says.

    :param text: ``WarningMessage``: JSON with ``skippedTables``, ``skippedObjectives`` and ``general``, or words.
    :return: names of tables, texts.
    """
    if not text.strip():
        return [], []
    try:
        content = json.loads(text)
    except ValueError:
        return [], [text[:500]]
    if not isinstance(content, dict):
        return [], [text[:500]]
    skipped = [_words(one) for one in content.get("skippedTables") or []]
    others = [_words(one) for key in sorted(content) if key != "skippedTables" for one in content[key] or []]
    return skipped, others


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
