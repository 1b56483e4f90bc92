"""Amazon Athena: queries that are waited for, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass

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


class QueriesHook(AwsHook):
    """Queries of one account and region."""

    service = "athena"
    audited = False  # they read

    def find_query(self, query_id: str) -> Query:
        """Look a query up (``GetQueryExecution``)."""
        status = self.call("get_query_execution", QueryExecutionId=query_id)["QueryExecution"]["Status"]
        return Query(
            str(status["State"]),
            str(status.get("StateChangeReason", "")),
            bool(status.get("AthenaError", {}).get("Retryable")),
        )

    def read_rows(self, query_id: str) -> list[list[str | None]]:
        """Read what a query of few rows answered, without the names of its columns (``GetQueryResults``).

        :param query_id: a query that has succeeded.
        """
        answer = self.call("get_query_results", QueryExecutionId=query_id, MaxResults=_MOST_ROWS)
        rows = [[cell.get("VarCharValue") for cell in row.get("Data", [])] for row in answer["ResultSet"]["Rows"]]
        return rows[1:]  # Athena's first row has the names
