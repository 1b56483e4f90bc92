"""Amazon DynamoDB: items that say how far something has come, changed only by whoever has read them last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, BusyError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.items import read, written

REFUSED = "ConditionalCheckFailed"


class StatesHook(AwsHook):
    """States of one account and region, in tables with keys ``pk`` and ``sk``."""

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
        """Change an item (``UpdateItem``), if it is still of that version; it then has the next one.

        :param table: table of states.
        :param key: partition and sort key.
        :param values: attribute to value; ``None`` removes it.
        :param version: the one that was read; 0: there was no item.
        :raises BusyError: somebody else has changed it.
        """
        try:
            self.call("update_item", **update_of(table, key, values, version))
        except AuroraOpsError as exc:
            if REFUSED not in str(exc):
                raise
            raise BusyError(f"{key[1]} of {key[0]} was changed by another run meanwhile") from exc

    def delete(self, table: str, pk: str, sk: str) -> None:
        """Delete an item (``DeleteItem``); none is as good."""
        self.call("delete_item", TableName=table, Key=written({"pk": pk, "sk": sk}))


def update_of(table: str, key: tuple[str, str], values: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Make the change of an item of a version, as ``UpdateItem`` takes it and a transaction does."""
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
