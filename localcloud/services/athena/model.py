"""An execution of a query: what was asked, how far it is, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localcloud.services.athena.values import column_info

if TYPE_CHECKING:
    from localcloud.cloud import Caller
    from localcloud.services.athena.types import Told

# In units of LOCALCLOUD_WAIT_S: when a query begins to run, and when it can have ended at the earliest.
BEGINS, ENDS = 0.25, 0.75
BY_RULE = "GENERIC_INTERNAL_ERROR: a fault rule let it end so"
# Category of errors that are not Athena's own.
USER = 2


@dataclass(frozen=True)
class Outcome:
    """How a query ended.

    :param state: ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
    :param reason: why, of the latter.
    :param ended: seconds since the epoch.
    :param columns: of the result.
    :param rows: in the result.
    :param result_bytes: size of the result.
    :param input_rows: rows of the objects that were read.
    :param scanned: bytes that are paid for.
    """

    state: str
    ended: float
    reason: str = ""
    columns: tuple[Told, ...] = ()
    rows: int = 0
    result_bytes: int = 0
    input_rows: int = 0
    scanned: int = 0
    code: str = ""


@dataclass
class Execution:
    """A query that was started.

    :param id: ``QueryExecutionId``.
    :param query: as it was sent.
    :param kind: ``DML``, ``DDL`` or ``UTILITY``.
    :param verb: first word of the statement.
    :param location: of the result.
    :param submitted: seconds since the epoch.
    :param token: ``ClientRequestToken``.
    :param ends_in: status that a fault rule lets it end in.
    """

    id: str
    query: str
    kind: str
    verb: str
    caller: Caller
    region: str
    workgroup: str
    database: str
    catalog: str
    location: str
    submitted: float
    wait_s: float
    parameters: list[str] = field(default_factory=list)
    encryption: dict[str, str] = field(default_factory=dict)
    token: str = ""
    ends_in: str = ""
    cutoff: int = 0
    outcome: Outcome | None = None

    def state(self, now: float) -> str:
        """State at a moment."""
        if self.outcome is not None and self.outcome.state == "CANCELLED":
            return "CANCELLED"
        if now < self.submitted + BEGINS * self.wait_s:
            return "QUEUED"
        if self.outcome is None or now < self.submitted + ENDS * self.wait_s:
            return "RUNNING"
        return self.outcome.state

    def shown(self, now: float) -> dict[str, Any]:
        """``QueryExecution`` as it is told."""
        state = self.state(now)
        status: dict[str, Any] = {"State": state, "SubmissionDateTime": self.submitted}
        ended = self.outcome if state in {"SUCCEEDED", "FAILED", "CANCELLED"} else None
        if ended is not None:
            status["CompletionDateTime"] = self.completed
            if ended.reason:
                status["StateChangeReason"] = ended.reason
            if ended.state == "FAILED":
                status["AthenaError"] = {
                    "ErrorCategory": USER,
                    "ErrorType": 1006 if ended.code.startswith("HIVE") else 1301,
                    "Retryable": False,
                    "ErrorMessage": ended.reason,
                }
        told: dict[str, Any] = {
            "QueryExecutionId": self.id,
            "Query": self.query,
            "StatementType": self.kind,
            "SubstatementType": self.verb,
            "ResultConfiguration": {"OutputLocation": self.location},
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": {"Database": self.database, "Catalog": self.catalog},
            "Status": status,
            "Statistics": self.statistics(now),
            "WorkGroup": self.workgroup,
            "EngineVersion": {
                "SelectedEngineVersion": "AUTO",
                "EffectiveEngineVersion": "Athena engine version 3",
            },
        }
        if self.encryption:
            told["ResultConfiguration"]["EncryptionConfiguration"] = self.encryption
        if self.parameters:
            told["ExecutionParameters"] = self.parameters
        return told

    @property
    def completed(self) -> float:
        """Moment at which it is told to have ended."""
        assert self.outcome is not None
        if self.outcome.state == "CANCELLED":
            return self.outcome.ended
        return max(self.outcome.ended, self.submitted + ENDS * self.wait_s)

    def statistics(self, now: float) -> dict[str, Any]:
        """Durations and bytes so far."""
        over = self.outcome is not None and self.state(now) not in {"QUEUED", "RUNNING"}
        until = self.completed if over else now
        queued = min(until - self.submitted, BEGINS * self.wait_s)
        total = int((until - self.submitted) * 1000)
        return {
            "EngineExecutionTimeInMillis": max(total - int(queued * 1000), 0),
            "DataScannedInBytes": self.outcome.scanned if over and self.outcome else 0,
            "TotalExecutionTimeInMillis": total,
            "QueryQueueTimeInMillis": int(queued * 1000),
            "QueryPlanningTimeInMillis": 0,
            "ServicePreProcessingTimeInMillis": 0,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        }

    def runtime(self, now: float) -> dict[str, Any]:
        """``QueryRuntimeStatistics``."""
        ended = self.outcome if self.state(now) in {"SUCCEEDED", "FAILED", "CANCELLED"} else None
        timeline = self.statistics(now)
        del timeline["DataScannedInBytes"], timeline["ResultReuseInformation"]
        rows = {
            "InputRows": ended.input_rows if ended else 0,
            "InputBytes": ended.scanned if ended else 0,
            "OutputRows": ended.rows if ended else 0,
            "OutputBytes": ended.result_bytes if ended else 0,
        }
        return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}}

    def metadata(self) -> list[dict[str, Any]]:
        """``ColumnInfo`` of the result."""
        return [column_info(one) for one in self.outcome.columns] if self.outcome else []
