"""A page of tables, each row with its verdict first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aurora_ops.core import pages

# What the first cell of a row says, and how it is shown.
_TONES = {
    "pass": "good", "keep": "good", "copy": "good", "warn": "warn", "report": "warn", "later": "warn", "fail": "bad",
    "remove": "bad",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of a page.

    :param title: its heading.
    :param head: names of its columns.
    :param rows: cells; the first of each row is a verdict, such as ``pass``.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_page(
    title: str, *, about: Sequence[str], figures: Sequence[tuple[str, str]], tables: Sequence[Table]
) -> bytes:
    """Write a page of tables.

    :param title: what it is about.
    :param about: lines below the title.
    :param figures: names and values shown large.
    :param tables: the tables.
    """
    return pages.render("table_page.html.j2", title=title, about=about, figures=figures, tables=tables, tones=_TONES)
