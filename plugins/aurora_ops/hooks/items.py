"""Items of Amazon DynamoDB as plain values, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer


def written(item: dict[str, Any]) -> dict[str, Any]:
    """Write an item as DynamoDB takes it; what is ``None`` is left out."""
    serializer = TypeSerializer()
    return {key: serializer.serialize(_storable(value)) for key, value in item.items() if value is not None}


def read(item: dict[str, Any]) -> dict[str, Any]:
    """Read an item; numbers are decimals."""
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in item.items()}


def _storable(value: Any) -> Any:
    """Turn floats into the decimals that DynamoDB takes, however deep they are."""
    if isinstance(value, float):
        return Decimal(str(round(value, 3)))
    if isinstance(value, dict):
        return {key: _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value
