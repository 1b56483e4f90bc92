"""What a user tries to see whether it may: statements that read and change no row, of which only the refusal counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from aurora_ops.core.grants import DATABASE, PROCEDURE, TABLE, Place, Right, folded
from aurora_ops.core.tables import Table, quoted

_WRITING = ("INSERT", "UPDATE", "DELETE")


class Target(NamedTuple):
    """A table or view.

    :param table: its name.
    :param columns: all its columns.
    :param settable: those of them that are not generated.
    :param is_view: whether it is a view, which is only read.
    """

    table: Table
    columns: tuple[str, ...]
    settable: tuple[str, ...]
    is_view: bool = False


class Routine(NamedTuple):
    """A procedure or function.

    :param place: kind, schema and name, as in rights.
    :param parameters: how many it takes.
    """

    place: Place
    parameters: int


class Probe(NamedTuple):
    """Something that a user tries.

    :param privilege: what it needs for that.
    :param where: what it tries it on.
    :param sql: the statement.
    :param allowed: whether it must be let.
    """

    privilege: str
    where: str
    sql: str
    allowed: bool


def plan(
    rights: Collection[Right],
    targets: Sequence[Target],
    routines: Sequence[Routine],
    *,
    writes: bool,
    exact: bool,
) -> Iterator[Probe]:
    """List what a user tries.

    :param rights: what it has been given; nothing: whatever it had in production.
    :param targets: tables and views to try it on.
    :param routines: routines to try it on.
    :param writes: whether it may write at all.
    :param exact: whether it must have nothing but its rights.
    """
    known = set(rights)
    closed = exact and bool(known)
    for target in targets:
        for privilege in ("SELECT",) if target.is_view else ("SELECT", *_WRITING):
            must_not = closed or (not writes and privilege in _WRITING)
            yield from _of_table(known, target, privilege, must_not=must_not)
    for routine in routines:
        place = routine.place
        given = {Right(place, "EXECUTE"), Right(Place(DATABASE, place.schema), "EXECUTE")} & known
        if given or closed:
            yield Probe("EXECUTE", f"{place.schema}.{place.name}", _call(routine), bool(given))


def _of_table(rights: set[Right], target: Target, privilege: str, *, must_not: bool) -> Iterator[Probe]:
    table = target.table
    place = Place(TABLE, table.schema, table.name)
    columns = target.settable if privilege in ("INSERT", "UPDATE") else target.columns
    if not columns:
        return
    if {Right(place, privilege), Right(Place(DATABASE, table.schema), privilege)} & rights:
        yield Probe(privilege, str(table), _statement(table, privilege, columns), True)
        return
    limited = {right.column for right in rights if right.place == place and right.privilege == privilege}
    inside = [name for name in columns if folded(name) in limited]
    if inside:
        yield Probe(privilege, str(table), _statement(table, privilege, inside), True)
    if not must_not:
        return
    if inside:
        for name in columns:
            if name not in inside:
                yield Probe(privilege, f"{table}.{name}", _statement(table, privilege, [name]), False)
    else:
        yield Probe(privilege, str(table), _statement(table, privilege, columns), False)


def _statement(table: Table, privilege: str, columns: Sequence[str]) -> str:
    """Write a statement that needs a privilege and does nothing: no row is read or changed, no trigger runs."""
    names = ", ".join(map(quoted, columns))
    if privilege == "SELECT":
        return f"SELECT {names} FROM {table.sql} LIMIT 0"  # noqa: S608 - names are quoted
    if privilege == "DELETE":
        return f"DELETE FROM {table.sql} WHERE FALSE"  # noqa: S608
    if privilege == "UPDATE":
        return f"UPDATE {table.sql} SET {' = NULL, '.join(map(quoted, columns))} = NULL WHERE FALSE"  # noqa: S608
    nothing = ", ".join(["NULL"] * len(columns))
    return f"INSERT INTO {table.sql} ({names}) SELECT {nothing} FROM DUAL WHERE FALSE"  # noqa: S608


def _call(routine: Routine) -> str:
    """Call with one argument too many: servers look at the right first, then refuse; nothing is run."""
    verb = "CALL" if routine.place.kind == PROCEDURE else "SELECT"
    arguments = ", ".join(["NULL"] * (routine.parameters + 1))
    return f"{verb} {quoted(routine.place.schema)}.{quoted(routine.place.name)}({arguments})"
