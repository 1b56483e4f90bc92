"""DynamoDB tables of CloudFormation stacks: moto makes them without time to live and recovery to a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

_create = Table.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]


def install(_cloud: Cloud) -> None:
    """Have these two properties of a template take effect."""
    Table.create_from_cloudformation_json = classmethod(create)  # type: ignore[assignment, method-assign, arg-type]


def create(
    cls: type[Table],
    resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
    **more: Any,
) -> Table:
    """Make a table of a stack, whole."""
    table: Table = _create(cls, resource_name, cloudformation_json, account_id, region_name, **more)
    backend, given = dynamodb_backends[account_id][region_name], cloudformation_json["Properties"]
    lifetime = given.get("TimeToLiveSpecification") or {}
    if _is_on(lifetime.get("Enabled")):
        backend.update_time_to_live(table.name, {"Enabled": True, "AttributeName": lifetime["AttributeName"]})
    recovery = given.get("PointInTimeRecoverySpecification") or {}
    if _is_on(recovery.get("PointInTimeRecoveryEnabled")):
        backend.update_continuous_backups(table.name, {"PointInTimeRecoveryEnabled": True})
    return table


def _is_on(value: Any) -> bool:
    """Read a truth value of a template, which may be written as text."""
    return str(value).lower() == "true"
