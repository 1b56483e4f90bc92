"""CloudFormation templates: moto leaves a hole in a list where ``AWS::NoValue`` takes an item away."""

from __future__ import annotations

from typing import Any

from moto.cloudformation import parsing

_read = parsing.clean_json


def read(part: Any, resources: Any) -> Any:
    """Read a part of a template, functions and references resolved."""
    found = _read(part, resources)
    return [item for item in found if item is not None] if isinstance(part, list) else found
