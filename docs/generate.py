"""Write what is generated: pages of ``docs/reference``, ``include/iam``, ``include/templates``. ``make docs``.

``make lint`` fails where any of it is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aurora_ops.core import environments
from aurora_ops.core.settings import RUN_PARAMS, Environment
from policygen.dags import quiet_airflow, read_dags

HERE = Path(__file__).resolve().parent
REPO = HERE.parent
INCLUDE = REPO / "include"
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


def pages() -> dict[Path, str]:
    """Write everything that is generated: file to text."""
    found = {HERE / "reference" / "settings.md": settings_page()}
    with quiet_airflow():
        found |= files_from_dags()
    return found


def files_from_dags() -> dict[Path, str]:
    """Write what follows from the DAGs: capabilities, checklists, policies, templates; the first environment is the example."""
    # Only here: they import Airflow, which reads its environment at that moment.
    import best_practices
    import capabilities
    from policygen import page, policies, templates
    from policygen.needs import needs_of

    dags = read_dags(REPO / "dags")
    files = {dag.dag_id: Path(dag.fileloc).relative_to(REPO).as_posix() for dag in dags}
    found = {
        HERE / "reference" / "capabilities.md": capabilities.page(dags, REPO / "tests"),
        HERE / "reference" / "best-practices.md": best_practices.page(
            best_practices.BEST_PRACTICES, best_practices.read(HERE / "best_practices.yaml"), files
        ),
        HERE / "reference" / "acceptance.md": best_practices.page(
            best_practices.ACCEPTANCE, best_practices.read(HERE / "acceptance.yaml"), files
        ),
    }
    names = environments.names(INCLUDE / "config")
    for name in reversed(names):
        settings = environments.resolve(environments.read(INCLUDE / "config" / f"{name}.yaml")).settings
        needs, setup_needs = needs_of(dags, settings), needs_of(dags, settings, set_up=True)
        documents = policies.files(settings, needs, setup_needs)
        for file, document in documents.items():
            found[INCLUDE / "iam" / name / file] = json.dumps(document, indent=2) + "\n"
    for file, text in templates.files(needs, setup_needs, settings).items():
        found[INCLUDE / "templates" / file] = text
    found[HERE / "reference" / "permissions.md"] = page.page(needs, documents)
    return found


def main() -> None:
    """Write the pages, or with ``--check`` only compare."""
    wanted = pages()
    there = {*(INCLUDE / "iam").rglob("*.json"), *(INCLUDE / "templates").glob("iam-*.yaml")}
    if "--check" not in sys.argv:
        for path, text in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for path in there - wanted.keys():
            path.unlink()
        return
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if stale := sorted({*stale, *(there - wanted.keys())}):
        sys.exit(f"stale: {', '.join(str(path.relative_to(REPO)) for path in stale)}; run make docs")


if __name__ == "__main__":
    main()
