"""Pages for people: one file that needs nothing else, runs nothing, and shows everything that it is given as text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from aurora_ops.core.timeline import duration, moment

_MOST_ITEMS, _LONGEST_VALUE = 200, 2000


def render(template: str, **content: Any) -> bytes:
    """Write a page: no script, nothing loaded from elsewhere, everything escaped.

    :param template: its file beside this one, which extends ``page.html.j2``.
    :param content: what the template names.
    """
    return _environment().get_template(template).render(**content).encode("utf-8", "replace")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["moment"] = moment
    environment.filters["shown"] = _shown
    return environment


def _shown(value: Any) -> str:
    """Write a value for people; long ones are cut, ``report.json`` has them whole."""
    if isinstance(value, Mapping):
        written = ", ".join(f"{key}: {_shown(inner)}" for key, inner in list(value.items())[:_MOST_ITEMS])
    elif isinstance(value, (list, tuple)):
        written = ", ".join(str(inner) for inner in value[:_MOST_ITEMS])
    elif value is None or isinstance(value, bool):
        written = "yes" if value else "none" if value is None else "no"
    else:
        written = f"{value:,}" if isinstance(value, (int, float)) else str(value)
    return written[:_LONGEST_VALUE] + " ... (cut)" if len(written) > _LONGEST_VALUE else written or "none"
