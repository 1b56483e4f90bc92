"""Amazon DynamoDB: what was decided because of each event of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.items import written

_REFUSED = "ConditionalCheckFailed"


class ExportDecisionsHook(AwsHook):
    """Decisions in one account and region."""

    service = "dynamodb"
    audited = False

    def keep(self, table: str, key: tuple[str, str], values: Mapping[str, Any], message_id: str) -> bool:
        """Write a decision down (``UpdateItem``) and the message that its event came in.

        An event that came before has its item already: the message is added to the others, one that was received twice only once.
        The decision that stands there is kept, unless it was to skip what is exported now: settings may have changed since.

        :param table: table of states.
        :param key: partition and sort key of the event.
        :param values: attributes of the decision, ``decision`` among them; ``None`` is left out.
        :param message_id: the message.
        :return: whether the event is new.
        """
        given = {name: value for name, value in values.items() if value is not None}
        condition, compared = "attribute_not_exists(pk)", {}
        if given["decision"] == "export":
            condition, compared = f"{condition} OR #decision = :skip", {":skip": "skip"}
        update = {
            "TableName": table,
            "Key": written({"pk": key[0], "sk": key[1]}),
            "UpdateExpression": f"SET {', '.join(f'#{name} = :{name}' for name in given)} ADD #messages :messages",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {**{f"#{name}": name for name in given}, "#messages": "messages"},
            "ExpressionAttributeValues": written({f":{name}": value for name, value in given.items()} | compared)
            | {":messages": {"SS": [message_id]}},
        }
        try:
            return "Attributes" not in self.call("update_item", **update, ReturnValues="ALL_OLD")
        except AuroraOpsError as exc:
            if _REFUSED not in str(exc):
                raise
        self.call(
            "update_item",
            TableName=table,
            Key=update["Key"],
            UpdateExpression="ADD #messages :messages",
            ExpressionAttributeNames={"#messages": "messages"},
            ExpressionAttributeValues={":messages": {"SS": [message_id]}},
        )
        return False
