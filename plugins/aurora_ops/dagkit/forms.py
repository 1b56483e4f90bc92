"""Trigger forms, made from the models that check the same input."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from aurora_ops.core.requests.base import Request
from aurora_ops.core.requests.preflight import Preflight

_KEPT = (
    "type", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items",
    "minItems", "maxItems", "examples", "format",
)  # fmt: skip


def form(request: type[Request], environments: list[str]) -> dict[str, Param]:
    """Build the form of a workflow: a field with title, explanation, example and bounds for each of the model's.

    :param request: model of the parameters.
    :param environments: environments that have a file; the only one is filled in.
    """
    schema = request.model_json_schema()
    definitions, required = schema.get("$defs", {}), set(schema.get("required", []))
    found: dict[str, Param] = {}
    for name in sorted(schema["properties"], key=lambda name: name in request.last):
        field = schema["properties"][name]
        shape, optional = _shape(field, definitions)
        if name == "environment":
            shape["enum"] = environments
        about = {"title": field["title"], "description": field["description"]}
        if optional:
            shape["type"] = ["null", shape["type"]]
            shape |= {"enum": [None, *shape["enum"]]} if "enum" in shape else {}
        if name == "environment" and len(environments) == 1:
            found[name] = Param(environments[0], **shape, **about)
        elif name in required:
            found[name] = Param(**shape, **about)
        else:
            found[name] = Param(field.get("default"), **shape, **about)
    return found


def preflight_form(environments: list[str]) -> dict[str, Param]:
    """Build the form of the preflight.

    :param environments: environments that have a file.
    """
    return form(Preflight, environments)


def _shape(field: dict[str, Any], definitions: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Take what a value must look like out of a property; the second says whether it may be left empty."""
    kinds = field.get("anyOf", [field])
    optional = any(kind.get("type") == "null" for kind in kinds)
    kind = next(kind for kind in kinds if kind.get("type") != "null")
    if "$ref" in kind:
        kind = definitions[kind["$ref"].rsplit("/", 1)[-1]]
    return {key: value for source in (kind, field) for key, value in source.items() if key in _KEPT}, optional
