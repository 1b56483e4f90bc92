"""Write the generated pages of ``docs/reference``: ``make docs``. A test fails where they are stale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aurora_ops.core.settings import RUN_PARAMS, Environment

HERE = Path(__file__).resolve().parent
HEAD = """# Settings

Generated from `plugins/aurora_ops/core/settings.py` by `make docs`. A file `include/config/<environment>.yaml` has
these fields; unknown ones are refused. Order: parameter of a run, then the file, then the default.
"""


def rows(schema: dict[str, Any], definitions: dict[str, Any], prefix: str = "") -> list[str]:
    """Make a table row for each field of a model, sections within sections included."""
    found: list[str] = []
    required = set(schema.get("required", []))
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        reference = kinds[0].get("$ref") or kinds[0].get("items", {}).get("$ref")
        where = f"{prefix}{name}" + ("[]" if kinds[0].get("items", {}).get("$ref") else "")
        if reference:
            found += rows(definitions[reference.rsplit("/", 1)[-1]], definitions, f"{where}.")
            continue
        default = "required" if name in required else f"`{field.get('default', [])!r}`"
        found.append(f"| `{where}` | {kind_of(kinds[0])} | {default} | {text_of(field, kinds[0])} |")
    return found


def kind_of(field: dict[str, Any]) -> str:
    """Say what a value looks like."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {kind_of(field['items'])}"
    bounds = [
        f"{sign} {field[key]:g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in field
    ]
    return " ".join([field.get("type", "value"), *bounds])


def text_of(field: dict[str, Any], kind: dict[str, Any]) -> str:
    """Explain a field."""
    return str(field.get("description") or kind.get("description") or "").replace("|", "\\|")


def settings_page() -> str:
    """Write the page of settings."""
    schema = Environment.model_json_schema(by_alias=True)
    lines = [HEAD, "| field | value | default | |", "|---|---|---|---|", *rows(schema, schema["$defs"]), ""]
    lines += ["## Parameters of a run", "", "| parameter | changes |", "|---|---|"]
    lines += [f"| `{name}` | `{field}` |" for name, field in RUN_PARAMS.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages, or with ``--check`` only compare."""
    page = HERE / "reference" / "settings.md"
    if "--check" not in sys.argv:
        page.parent.mkdir(exist_ok=True)
        page.write_text(settings_page(), encoding="utf-8")
    elif not page.is_file() or page.read_text(encoding="utf-8") != settings_page():
        sys.exit("docs/reference/settings.md is stale; run make docs")


if __name__ == "__main__":
    main()
