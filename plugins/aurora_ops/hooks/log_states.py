"""Amazon DynamoDB: what is stored of each log file, and the objects that hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, BusyError, TransientError
from aurora_ops.hooks.items import written
from aurora_ops.hooks.states import REFUSED, StatesHook, update_of

_CANCELED = "TransactionCanceled"


class LogStatesHook(StatesHook):
    """States of log files of one account and region."""

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
                "transact_write_items", TransactItems=[{"Put": put}, {"Update": update_of(table, key, values, version)}]
            )
        except AuroraOpsError as exc:
            if REFUSED in str(exc):
                raise BusyError(f"{key[1]} of {key[0]} was changed by another run meanwhile") from exc
            if _CANCELED in str(exc):
                raise TransientError(str(exc)) from exc
            raise
