"""An export's tables put into the catalogue: each one's name, columns and partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aurora_ops.core.errors import BusyError
from aurora_ops.core.exports import catalogue, columns
from aurora_ops.core.exports.catalogue import Known, Snapshot
from aurora_ops.core.exports.columns import Column, Fit
from aurora_ops.hooks.catalogue import CatalogueHook

_ROUNDS = 6


@dataclass(frozen=True)
class Wanted:
    """A table of an export.

    :param source: ``database.table``.
    :param folder: its objects' folder below the export's path, with a slash at its end.
    :param columns: those of its files; of a table without rows those that the manifest announces.
    :param has_rows: whether there are files.
    """

    source: str
    folder: str
    columns: tuple[Column, ...]
    has_rows: bool


@dataclass
class Placed:
    """What has become of a table.

    :param source: ``database.table``.
    :param name: table in Glue that has its partition; ``None``: none has, since there are no rows or a newer snapshot stands.
    :param outcome: ``made``, ``changed``, ``kept`` or ``stands``, of the partition; ``none``.
    :param drift: how its columns have changed.
    """

    source: str
    name: str | None = None
    outcome: str = "none"
    drift: list[str] = field(default_factory=list)


class _OvertakenError(Exception):
    """An export of another date has changed a table since it was looked at.

    :param name: the table's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Cataloguer:
    """Puts the tables of an export into a Glue database.

    Tables are independent of each other, so threads may place several at a time; all of it may be done again.

    :param hook: Glue of the account and region.
    :param database: the Glue database; it exists.
    :param about: the export.
    :param tables: all tables of the database (``Table``).
    :param names: ``database.table`` to name in Glue.
    """

    def __init__(
        self,
        hook: CatalogueHook,
        database: str,
        about: Snapshot,
        tables: Iterable[Mapping[str, Any]],
        names: Mapping[str, str],
    ) -> None:
        self._hook, self._database, self._about, self._names = hook, database, about, names
        self._taken: set[str] = set(names.values())
        self._families: dict[str, dict[int, dict[str, Any]]] = {}
        for table in tables:
            is_ = catalogue.known(table)
            self._taken.add(is_.name)
            if self._is_ours(is_):
                self._families.setdefault(is_.source, {})[is_.version] = dict(table)

    def _is_ours(self, table: Known) -> bool:
        return bool(table.source) and table.export == self._about.export

    def place(self, wanted: Wanted) -> Placed:
        """Make sure that a table of the export is found by Athena.

        :param wanted: the table.
        :raises BusyError: exports of other dates change the same table each time.
        """
        for _ in range(_ROUNDS):
            try:
                return self._placed(wanted)
            except _OvertakenError as exc:
                self._look_again(wanted.source, exc.name)
        raise BusyError(f"glue: {wanted.source}: others change its table each time (retried)")

    def _placed(self, wanted: Wanted) -> Placed:
        placed = Placed(wanted.source)
        family = self._families.get(wanted.source, {})
        version, table, fit = self._fitting(family, wanted)
        older: list[str] = []
        for number, other in sorted(family.items()):
            found = (
                self._hook.find_partition(self._database, other["Name"], [self._about.date])
                if number != version
                else None
            )
            if found is not None and catalogue.stands(found, self._about):
                placed.outcome = "stands"
                return placed
            older += [other["Name"]] if found is not None else []
        if table is None:
            name = self._made(wanted, version, placed, family)
        else:
            name = table["Name"]
            self._change(wanted, table, fit, placed)
        if wanted.has_rows or (table is not None and not _is_provisional(table)):
            self._put(wanted, name, table, placed)
        if placed.outcome != "stands":
            for one in older:
                self._hook.delete_partitions(self._database, one, [[self._about.date]])
        return placed

    def _look_again(self, source: str, name: str) -> None:
        """See what somebody else has made of a table meanwhile."""
        found = self._hook.find_table(self._database, name)
        if found is None:
            return
        is_ = catalogue.known(found)
        self._taken.add(is_.name)
        if self._is_ours(is_) and is_.source == source:
            self._families.setdefault(source, {})[is_.version] = found
        elif self._names.get(source) == name:
            raise BusyError(f"glue:create_table {name}: somebody else has just made one of that name (retried)")

    def _fitting(self, family: Mapping[int, dict[str, Any]], wanted: Wanted) -> tuple[int, dict[str, Any] | None, Fit]:
        """Choose the first table that the columns fit into; ``None``: a new one."""
        for version, table in sorted(family.items()):
            fit = self._fit(table, wanted)
            if not fit.clashes:
                return version, table, fit
        return max(family, default=0) + 1, None, Fit(wanted.columns)

    @staticmethod
    def _fit(table: Mapping[str, Any], wanted: Wanted) -> Fit:
        if _is_provisional(table):
            return Fit(wanted.columns)
        there = columns.of_glue(table)
        if wanted.has_rows:
            return columns.fit(there, wanted.columns)
        announced = {one.name for one in wanted.columns}  # types are those of files, not those that are announced
        return columns.fit(there, [one for one in there if one.name in announced])

    def _made(self, wanted: Wanted, version: int, placed: Placed, family: Mapping[int, Mapping[str, Any]]) -> str:
        """Make a table; its name."""
        name = self._names[wanted.source]
        if version > 1:
            name = catalogue.further_name(name, wanted.source, version, self._taken)
        table = catalogue.table_input(
            name, wanted.source, version, self._about, wanted.columns, provisional=not wanted.has_rows
        )
        if not self._hook.create_table(self._database, table):
            raise _OvertakenError(name)
        self._taken.add(name)
        if version > 1:
            placed.drift.append(self._moved(wanted, family, name))
        return name

    def _moved(self, wanted: Wanted, family: Mapping[int, Mapping[str, Any]], name: str) -> str:
        last = family[max(family)]
        clashes = columns.fit(columns.of_glue(last), wanted.columns).clashes
        told = ", ".join(f"{column} is {new}, not {old}" for column, old, new in clashes)
        return f"{wanted.source}: {told} as in {last['Name']}: snapshots of these columns are in {name}"

    def _change(self, wanted: Wanted, table: Mapping[str, Any], fit: Fit, placed: Placed) -> None:
        """Give a table the columns that it needs for this snapshot too."""
        if self._different(table, fit, wanted) is None:
            return
        name = str(table["Name"])
        seen: list[tuple[Mapping[str, Any], Fit]] = []

        def change(found: dict[str, Any]) -> Mapping[str, Any] | None:
            now = self._fit(found, wanted)
            if now.clashes:
                raise _OvertakenError(name)
            seen.append((found, now))
            return self._different(found, now, wanted)

        self._hook.change_table(self._database, name, change)
        placed.drift += self._told(wanted, *seen[-1])

    @staticmethod
    def _different(table: Mapping[str, Any], fit: Fit, wanted: Wanted) -> dict[str, Any] | None:
        """Say what a table must have otherwise; ``None``: nothing."""
        parameters = dict(table.get("Parameters", {}))
        if not {*fit.absent} <= {*catalogue.absent(table)}:
            parameters[catalogue.ABSENT] = catalogue.as_absent([*catalogue.absent(table), *fit.absent])
        if wanted.has_rows:
            parameters.pop(catalogue.PROVISIONAL, None)
        if list(fit.columns) == columns.of_glue(table) and parameters == table.get("Parameters", {}):
            return None
        location = table["StorageDescriptor"]["Location"]
        return {"StorageDescriptor": catalogue.storage(fit.columns, location), "Parameters": parameters}

    def _told(self, wanted: Wanted, table: Mapping[str, Any], fit: Fit) -> list[str]:
        if _is_provisional(table):
            return []
        known = catalogue.absent(table)
        return [
            *(f"{wanted.source}: {name} {kind} is new" for name, kind in fit.added),
            *(f"{wanted.source}: {name} was {old} and is {new} now" for name, old, new in fit.widened),
            *(
                f"{wanted.source}: the snapshot of {self._about.date} has no {name}; it stays in the table, as NULL there"
                for name in fit.absent
                if name not in known
            ),
        ]

    def _put(self, wanted: Wanted, name: str, table: Mapping[str, Any] | None, placed: Placed) -> None:
        """Make sure of the partition."""
        own: Sequence[Column] = wanted.columns
        if not wanted.has_rows and table is not None:
            there = columns.of_glue(table)  # without files any types do; these keep queries over all partitions running
            own = [one for one in there if one.name in dict(wanted.columns)]
        partition = catalogue.partition_input(self._about, wanted.folder, own)
        placed.outcome = self._hook.require_partition(
            self._database,
            name,
            partition,
            stands=lambda found: catalogue.stands(found, self._about),
            same=lambda found: catalogue.same_partition(found, partition),
        )
        placed.name = name if placed.outcome != "stands" else None


def _is_provisional(table: Mapping[str, Any]) -> bool:
    return catalogue.PROVISIONAL in table.get("Parameters", {})
