"""CloudFormation templates: moto leaves a hole in a list where ``AWS::NoValue`` takes an item away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudformation import parsing

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

_read = parsing.clean_json


def install(_cloud: Cloud) -> None:
    """Have lists closed."""
    parsing.clean_json = read  # type: ignore[assignment]


def read(part: Any, resources: Any) -> Any:
    """Read a part of a template, functions and references resolved."""
    found = _read(part, resources)
    return [item for item in found if item is not None] if isinstance(part, list) else found
