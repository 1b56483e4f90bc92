"""Small pieces of text for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def code(value: object) -> str:
    """Set a name apart; nothing stays nothing."""
    return f"`{value}`" if value else "none"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; line breaks and bars in a cell cannot break it."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def ago(moment: str | None, *, now: datetime | None = None) -> str:
    """Tell how old a moment is.

    :param moment: ISO 8601 with an offset; ``None`` is not known.
    :param now: present moment; default: the clock's.
    """
    if not moment:
        return "taken by the run"
    hours = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds() / 3600
    return f"{hours:.1f} h old"


def span(seconds: float) -> str:
    """Write a duration as people say it: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
