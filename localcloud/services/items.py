"""DynamoDB calls that cost what they touch.

moto copies the whole table before a transaction, to have it back where that fails, and sorts the whole table for a query.
"""

from __future__ import annotations

import copy
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import moto.dynamodb.models as moto_models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

_INDEX_NAME = 6  # among what a query is given behind its partition
_write = DynamoDBBackend.transact_write_items
_query, _all_items = Table.query, Table.all_items
_asked_for: ContextVar[DynamoType | None] = ContextVar("partition", default=None)
_under_way: ContextVar[list[dict[str, Any]] | None] = ContextVar("transaction", default=None)


def install(_cloud: Cloud) -> None:
    """Have a query look at one partition, and a transaction copy only those that it writes to."""
    Table.query = query  # type: ignore[assignment, method-assign]
    Table.all_items = all_items  # type: ignore[assignment, method-assign]
    moto_models.copy = SimpleNamespace(deepcopy=deepcopy)  # type: ignore[assignment, attr-defined]
    DynamoDBBackend.transact_write_items = transact  # type: ignore[assignment, method-assign]


def query(
    table: Table, hash_key: DynamoType | None, *given: Any, **more: Any
) -> tuple[list[Item], int, dict[str, Any] | None]:
    """Query a table or an index."""
    named = more.get("index_name") or given[_INDEX_NAME : _INDEX_NAME + 1] != (None,)
    token = _asked_for.set(None if named else hash_key)
    try:
        return _query(table, hash_key, *given, **more)
    finally:
        _asked_for.reset(token)


def all_items(table: Table) -> list[Item]:
    """List a table's items in order; within a query, those of its partition."""
    partition = _asked_for.get()
    if partition is None:
        return _all_items(table)
    held: Any = table.items.get(partition)
    if held is None:
        return []
    return sorted(held.values(), key=_range_key) if table.range_key_attr else [held]


def _range_key(item: Item) -> Any:
    return item.range_key


def transact(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Run a transaction."""
    token = _under_way.set(transact_items)
    try:
        _write(backend, transact_items)
    finally:
        _under_way.reset(token)


def deepcopy(value: Any) -> Any:
    """Copy what moto copies; of the tables of a transaction, what that may change."""
    items = _under_way.get()
    if items is None or not isinstance(value, Table):
        return copy.deepcopy(value)
    twin = copy.copy(value)
    twin.items = copy.copy(value.items)
    for operation in (one for item in items for one in item.values()):
        key = operation.get("Item" if "Item" in operation else "Key", {}).get(value.hash_key_attr)
        if operation.get("TableName") == value.name and key is not None:
            partition = DynamoType(key)
            if partition in value.items:
                twin.items[partition] = copy.deepcopy(value.items[partition])
    return twin
