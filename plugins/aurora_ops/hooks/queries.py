"""Amazon Athena: queries that are waited for, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, MissingError
from aurora_ops.hooks.base import AwsHook

SUCCEEDED = "SUCCEEDED"
_MOST_ROWS = 1000


@dataclass(frozen=True)
class Query:
    """What has become of a query.

    :param state: ``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
    :param reason: why it has failed, in Athena's words.
    :param may_pass: whether Athena says that the same query may succeed another time.
    """

    state: str
    reason: str
    may_pass: bool

    @property
    def under_way(self) -> bool:
        """Tell whether it has not ended."""
        return self.state in ("QUEUED", "RUNNING")


class QueriesHook(AwsHook):
    """Queries of one account and region."""

    service = "athena"
    audited = False  # they read

    def find_workgroup(self, name: str) -> dict[str, Any] | None:
        """Look a work group up (``GetWorkGroup``); the raw ``WorkGroup``, ``None`` where there is none.

        :param name: its name.
        """
        try:
            found = self.call("get_work_group", WorkGroup=name).get("WorkGroup")
        except AuroraOpsError as exc:  # an InvalidRequestException, as for any wrong request
            if "is not found" not in str(exc) and not isinstance(exc, MissingError):
                raise
            return None
        return dict(found) if found else None

    def find_query(self, query_id: str) -> Query:
        """Look a query up (``GetQueryExecution``)."""
        status = self.call("get_query_execution", QueryExecutionId=query_id)["QueryExecution"]["Status"]
        return Query(
            str(status["State"]),
            str(status.get("StateChangeReason", "")),
            bool(status.get("AthenaError", {}).get("Retryable")),
        )

    def stop(self, query_id: str) -> None:
        """Cancel a query that nobody waits for any more (``StopQueryExecution``); one that has ended stays as it is."""
        self.call("stop_query_execution", QueryExecutionId=query_id)

    def read_rows(self, query_id: str) -> list[list[str | None]]:
        """Read what a query of few rows answered, without the names of its columns (``GetQueryResults``).

        :param query_id: a query that has succeeded.
        """
        answer = self.call("get_query_results", QueryExecutionId=query_id, MaxResults=_MOST_ROWS)
        rows = [[cell.get("VarCharValue") for cell in row.get("Data", [])] for row in answer["ResultSet"]["Rows"]]
        return rows[1:]  # Athena's first row has the names
