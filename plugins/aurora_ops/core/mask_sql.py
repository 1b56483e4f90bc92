"""The SQL of masking a table: its empty copy, indexes that are built last, and statements for ranges of a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import StateError
from aurora_ops.core.mask_plan import TablePlan
from aurora_ops.core.tables import compared, quoted

# Lines of SHOW CREATE TABLE: two blanks, then a definition. Newlines within comments and defaults are written as \n.
_INDEX = re.compile(r"  (?P<definition>(?:UNIQUE |SPATIAL )?KEY (?P<name>`(?:[^`]|``)+`) .*?)(?P<comma>,?)$")
_FIRST_COLUMN = re.compile(r"KEY `(?:[^`]|``)+` (?:USING \w+ )?\((?P<name>`(?:[^`]|``)+`)")
_AUTO_INCREMENT = re.compile(r"  (?P<name>`(?:[^`]|``)+`) .* AUTO_INCREMENT\b")
_PRIMARY = re.compile(r"  PRIMARY KEY \((?P<first>`(?:[^`]|``)+`)")

Bound = tuple[Any, ...]
Args = list[Any]


@dataclass(frozen=True)
class Copy:
    """An empty copy of a table.

    :param create: the statement that makes it, without most of its indexes.
    :param indexes: definitions of the indexes that are built when the rows are in.
    """

    create: str
    indexes: tuple[str, ...]


def empty_copy(shown: str, name: str) -> Copy:
    """Write the statement that makes an empty copy of a table.

    Everything that ``SHOW CREATE TABLE`` knows is kept: types, defaults, generated columns, checks, comments, character sets,
    partitions, the next AUTO_INCREMENT.

    :param shown: answer of ``SHOW CREATE TABLE``.
    :param name: quoted name of the copy.
    :raises StateError: the answer is not understood.
    """
    first, *lines = shown.split("\n")
    if not re.fullmatch(r"CREATE TABLE `(?:[^`]|``)+` \(", first):
        raise StateError(f"cannot copy a table whose definition begins with {first[:40]!r}")
    counted = next((found["name"] for line in lines if (found := _AUTO_INCREMENT.match(line))), None)
    primary = next((found["first"] for line in lines if (found := _PRIMARY.match(line))), None)
    kept: list[str] = []
    late: list[str] = []
    for line in lines:
        index = _INDEX.fullmatch(line)
        if index is None or (counted and counted != primary and _begins_with(line, counted)):
            kept.append(line)  # an AUTO_INCREMENT column must lead an index at all times
        else:
            late.append(index["definition"])
    end = next(place for place, line in enumerate(kept) if line.startswith(")"))
    body = [line.removesuffix(",") for line in kept[:end]]
    return Copy("\n".join([f"CREATE TABLE IF NOT EXISTS {name} (", ",\n".join(body), *kept[end:]]), tuple(late))


def _begins_with(line: str, column: str) -> bool:
    found = _FIRST_COLUMN.search(line)
    return found is not None and found["name"] == column


def add_indexes(name: str, indexes: Sequence[str]) -> str:
    """Write the statement that builds indexes of a copy, all in one pass."""
    return f"ALTER TABLE {name} {', '.join(f'ADD {index}' for index in indexes)}"


def beyond(key: Sequence[str], bound: Bound) -> tuple[str, Args]:
    """Condition for the rows of which the key is greater than a bound; for all rows where the bound is empty."""
    return _compared(key, bound, ">", ">")


def up_to(key: Sequence[str], bound: Bound) -> tuple[str, Args]:
    """Condition for the rows of which the key is at most a bound; for all rows where the bound is empty."""
    return _compared(key, bound, "<", "<=")


def _compared(key: Sequence[str], bound: Bound, strict: str, last: str) -> tuple[str, Args]:
    if not bound:
        return "TRUE", []
    args = [value for value in bound[:-1] for _ in range(2)]
    return compared(key, ["%s"] * len(key), strict, last), [*args, bound[-1]]


def next_bound(plan: TablePlan, after: Bound, rows: int) -> tuple[str, Args]:
    """Query for the key of the row that is ``rows`` rows behind a bound: the end of the next range."""
    columns = ", ".join(map(quoted, plan.key))
    where, args = beyond(plan.key, after)
    found = f"SELECT {columns} FROM {plan.table.sql} {_along(plan)} WHERE {where}"  # noqa: S608 - names are quoted
    return f"{found} ORDER BY {columns} LIMIT 1 OFFSET {rows - 1}", args


def in_range(plan: TablePlan, after: Bound, until: Bound) -> tuple[str, Args]:
    """Condition for the rows of a range: beyond the one bound, up to the other."""
    low, low_args = beyond(plan.key, after)
    high, high_args = up_to(plan.key, until)
    return f"{low} AND {high}", [*low_args, *high_args]


def copy_rows(plan: TablePlan, copy: str, after: Bound = (), until: Bound = ()) -> tuple[str, Args]:
    """Statement that puts the masked rows of a range into a copy."""
    fakes = {each.column: each.expression for each in plan.masked}
    columns = ", ".join(map(quoted, plan.copied))
    values = ", ".join(fakes.get(name, quoted(name)) for name in plan.copied)
    where, args = in_range(plan, after, until)
    sql = f"INSERT INTO {copy} ({columns}) SELECT {values} FROM {plan.table.sql} {_along(plan)} WHERE "  # noqa: S608
    return _with_args(sql, where, args)


def update_rows(plan: TablePlan, after: Bound = (), until: Bound = ()) -> tuple[str, Args]:
    """Statement that masks the rows of a range in place."""
    fakes = [f"{quoted(each.column)} = {each.expression}" for each in plan.masked]
    same = [f"{quoted(name)} = {quoted(name)}" for name in plan.untouched]
    where, args = in_range(plan, after, until)
    sql = f"UPDATE {plan.table.sql} {_along(plan)} SET {', '.join([*fakes, *same])} WHERE "  # noqa: S608
    return _with_args(sql, where, args)


def _with_args(sql: str, where: str, args: Args) -> tuple[str, Args]:
    # the driver reads % as a place for an argument, but only where there are arguments
    return (sql.replace("%", "%%") if args else sql) + where, args


def _along(plan: TablePlan) -> str:
    return f"FORCE INDEX ({quoted(plan.walked)})" if plan.walked else ""
