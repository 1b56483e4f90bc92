"""Amazon DynamoDB: what is stored of each log file, and the objects that hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, BusyError, TransientError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.items import read, written

_REFUSED = "ConditionalCheckFailed"
_CANCELED = "TransactionCanceled"


class LogStatesHook(AwsHook):
    """States of log files of one account and region."""

    service = "dynamodb"
    audited = False

    def list_items(self, table: str, pk: str, prefix: str = "") -> list[dict[str, Any]]:
        """List the items of a partition, strongly consistent, all pages (``Query``).

        :param table: table of states.
        :param pk: the partition.
        :param prefix: beginning of the sort keys; empty: all.
        """
        found: list[dict[str, Any]] = []
        values, condition = {":pk": pk}, "pk = :pk"
        if prefix:
            values, condition = {**values, ":prefix": prefix}, f"{condition} AND begins_with(sk, :prefix)"
        start: dict[str, Any] = {}
        while True:
            page = self.call(
                "query",
                TableName=table,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=written(values),
                ConsistentRead=True,
                **start,
            )
            found += map(read, page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def put(self, table: str, item: Mapping[str, Any]) -> None:
        """Write an item whole, over what is there (``PutItem``)."""
        self.call("put_item", TableName=table, Item=written(dict(item)))

    def change(self, table: str, key: tuple[str, str], values: Mapping[str, Any], version: int) -> None:
        """Change the item of a file (``UpdateItem``), if it is still of that version; it then has the next one.

        :param table: table of states.
        :param key: partition and sort key.
        :param values: attribute to value; ``None`` removes it.
        :param version: the one that was read; 0: there was no item.
        :raises BusyError: somebody else has changed it.
        """
        try:
            self.call("update_item", **_update(table, key, values, version))
        except AuroraOpsError as exc:
            if _REFUSED not in str(exc):
                raise
            raise BusyError(f"{key[1]} of {key[0]} was changed by another run meanwhile") from exc

    def commit(
        self, table: str, item: Mapping[str, Any], key: tuple[str, str], values: Mapping[str, Any], version: int
    ) -> None:
        """Write the item of an object and move its file's position past it, both or neither (``TransactWriteItems``).

        :param table: table of states.
        :param item: the object.
        :param key: partition and sort key of the file.
        :param values: what changes of the file; ``None`` removes it.
        :param version: of the file's item, as it was read.
        :raises BusyError: somebody else has changed the file, or written the object's item.
        """
        put = {"TableName": table, "Item": written(dict(item)), "ConditionExpression": "attribute_not_exists(pk)"}
        try:
            self.call(
                "transact_write_items", TransactItems=[{"Put": put}, {"Update": _update(table, key, values, version)}]
            )
        except AuroraOpsError as exc:
            if _REFUSED in str(exc):
                raise BusyError(f"{key[1]} of {key[0]} was changed by another run meanwhile") from exc
            if _CANCELED in str(exc):
                raise TransientError(str(exc)) from exc
            raise


def _update(table: str, key: tuple[str, str], values: Mapping[str, Any], version: int) -> dict[str, Any]:
    changed = {**values, "version": version + 1}
    sets = [f"#{name} = :{name}" for name, value in changed.items() if value is not None]
    gone = [f"#{name}" for name, value in changed.items() if value is None]
    known = "attribute_not_exists(pk)" if version == 0 else "#version = :known"
    given = {f":{name}": value for name, value in changed.items() if value is not None}
    return {
        "TableName": table,
        "Key": written({"pk": key[0], "sk": key[1]}),
        "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(gone)}" if gone else ""),
        "ConditionExpression": known,
        "ExpressionAttributeNames": {f"#{name}": name for name in changed},
        "ExpressionAttributeValues": written(given | ({} if version == 0 else {":known": version})),
    }
