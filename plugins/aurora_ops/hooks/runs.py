"""Amazon DynamoDB: the table of runs, and the lock of a target.

One table, partition key ``pk`` (``refresh#<account>#<cluster>``), sort key ``sk`` (``lock``, ``coverage`` or
``run#<moment>#<run id>``), time to live on ``expires_at`` (epoch seconds).
"""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import AuroraOpsError, BusyError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.items import read, written

_REFUSED = "ConditionalCheckFailed"
_COLUMNS = "coverage"


class RunsHook(AwsHook):
    """Run records and locks of one account and region."""

    service = "dynamodb"
    audited = False

    def table_status(self, table: str) -> str:
        """Tell the status of a table (``DescribeTable``).

        :raises MissingError: there is no such table.
        """
        return str(self.describe(table)["TableStatus"])

    def describe(self, table: str) -> dict[str, Any]:
        """Describe a table (``DescribeTable``).

        :raises MissingError: there is no such table.
        """
        return dict(self.call("describe_table", TableName=table)["Table"])

    def lifetime(self, table: str) -> dict[str, Any]:
        """Describe when items of a table end (``DescribeTimeToLive``)."""
        return dict(self.call("describe_time_to_live", TableName=table)["TimeToLiveDescription"])

    def recovery(self, table: str) -> dict[str, Any]:
        """Describe how a table can be brought back (``DescribeContinuousBackups``)."""
        return dict(self.call("describe_continuous_backups", TableName=table)["ContinuousBackupsDescription"])

    def put(self, table: str, item: dict[str, Any]) -> None:
        """Write an item whole, over what is there."""
        self.call("put_item", TableName=table, Item=written(item))

    def find(self, table: str, pk: str, sk: str) -> dict[str, Any] | None:
        """Read an item, strongly consistent."""
        key = written({"pk": pk, "sk": sk})
        raw = self.call("get_item", TableName=table, Key=key, ConsistentRead=True).get("Item")
        return read(raw) if raw else None

    def list_records(self, table: str, pk: str, *, most: int) -> list[dict[str, Any]]:
        """List a target's records, newest first (``Query``).

        :param table: table of runs.
        :param pk: the target.
        :param most: how many at most.
        """
        found: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while len(found) < most:
            page = self.call(
                "query",
                TableName=table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :run)",
                ExpressionAttributeValues=written({":pk": pk, ":run": "run#"}),
                ScanIndexForward=False,
                Limit=most - len(found),
                **start,
            )
            found += map(read, page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return found

    def find_columns(self, table: str, pk: str) -> list[bytes] | None:
        """Read what the last run that passed has left of its columns; ``None`` where none has.

        :param table: table of runs.
        :param pk: the target.
        """
        first = self.find(table, pk, _COLUMNS)
        if first is None:
            return None
        others = [self.find(table, pk, f"{_COLUMNS}#{number}") or {} for number in range(1, int(first["items"]))]
        return [bytes(item["columns"]) for item in (first, *others) if "columns" in item]

    def put_columns(self, table: str, pk: str, values: list[bytes], *, run: str, now: float) -> None:
        """Write what is to be remembered of the columns of a run that passed; the first item comes last.

        :param table: table of runs.
        :param pk: the target.
        :param values: one value an item, at most 400 KB each.
        :param run: the run.
        :param now: epoch seconds.
        """
        for number in reversed(range(len(values))):
            sk = f"{_COLUMNS}#{number}" if number else _COLUMNS
            about = {"run": run, "written_at": int(now), "items": len(values)}
            self.put(table, {"pk": pk, "sk": sk, "columns": values[number], **about})

    def take_lock(self, table: str, pk: str, *, holder: str, now: float, expires_at: float) -> None:
        """Take a target's lock, or keep it where the holder has it already.

        :param table: table of runs.
        :param pk: the target.
        :param holder: the run.
        :param now: epoch seconds; a lock that ended before is void.
        :param expires_at: epoch seconds at which this one ends.
        :raises BusyError: another run has it.
        """
        item = {"pk": pk, "sk": "lock", "holder": holder, "taken_at": int(now), "expires_at": int(expires_at)}
        try:
            self.call(
                "put_item",
                TableName=table,
                Item=written(item),
                ConditionExpression="attribute_not_exists(pk) OR expires_at < :now OR holder = :holder",
                ExpressionAttributeValues=written({":now": int(now), ":holder": holder}),
            )
        except AuroraOpsError as exc:
            if _REFUSED not in str(exc):
                raise
            held = self.find(table, pk, "lock") or {}
            raise BusyError(
                f"{pk} is being refreshed by {held.get('holder', 'another run')}; wait for it to end. If that run is dead, "
                f"its lock ends by itself at epoch {held.get('expires_at', '?')}, or delete the item pk={pk} sk=lock"
            ) from exc

    def drop_void_lock(self, table: str, pk: str, *, holder: str, now: float) -> bool:
        """Remove a lock whose lease is over, if it is still that holder's and still over.

        :return: whether it was there to be removed.
        """
        try:
            self.call(
                "delete_item",
                TableName=table,
                Key=written({"pk": pk, "sk": "lock"}),
                ConditionExpression="holder = :holder AND expires_at < :now",
                ExpressionAttributeValues=written({":holder": holder, ":now": int(now)}),
            )
        except AuroraOpsError as exc:
            if _REFUSED not in str(exc):
                raise
            return False
        return True

    def release_lock(self, table: str, pk: str, holder: str) -> bool:
        """Give a target's lock back; the lock of another holder is left alone.

        :return: whether this holder had it.
        """
        try:
            self.call(
                "delete_item",
                TableName=table,
                Key=written({"pk": pk, "sk": "lock"}),
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues=written({":holder": holder}),
            )
        except AuroraOpsError as exc:
            if _REFUSED not in str(exc):
                raise
            return False
        return True
