"""The objects of an export: which table each is of, and whether what is there is what the manifest tells.

AWS's layout below ``<prefix>/<task>/`` is ``<database>/<database>.<table>/<batch>/part-<n>-<uuid>-c000.gz.parquet``, with a
``_SUCCESS`` in each batch's folder; older exports have no batches. Numbers of parts have gaps, tables without rows have no
Parquet. A backslash, backtick, double quote or space in a name is an underscore in keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aurora_ops.core.exports import manifest
from aurora_ops.core.exports.manifest import COMPLETE, SKIPPED, TableStatus

MOST_STRANGE = 50
_REPLACED = re.compile(r'[\\`" ]')
_DONE, _PARQUET = "_SUCCESS", ".parquet"
_UNBATCHED = ""


class Folder(NamedTuple):
    """A table's folder.

    :param database: as the key has it.
    :param name: ``<database>.<table>``, as the key has it.
    """

    database: str
    name: str

    @property
    def key(self) -> str:
        """Key below the export's path, with a slash at its end."""
        return f"{self.database}/{self.name}/"


class Part(NamedTuple):
    """A file of a table.

    :param key: whole key.
    :param size: its bytes.
    """

    key: str
    size: int


@dataclass
class Files:
    """What is in a table's folder.

    :param parts: its Parquet files.
    :param batches: batches that have some.
    :param done: batches that have their ``_SUCCESS``.
    """

    parts: list[Part] = field(default_factory=list)
    batches: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(part.size for part in self.parts)


@dataclass
class Contents:
    """What is below an export's path.

    :param path: ``<prefix>/<task>/``; the slash at its end keeps task ``x`` apart from ``x1``.
    :param manifests: last part of the key of each manifest.
    :param folders: the tables' folders.
    :param strange: keys that are none of all that, the first of them.
    :param others: how many there are.
    """

    path: str
    manifests: list[str] = field(default_factory=list)
    folders: dict[Folder, Files] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    others: int = 0

    def __post_init__(self) -> None:
        """Refuse a path that could be the beginning of another's."""
        if not self.path.endswith("/"):
            raise ValueError(f"{self.path!r}: a path ends with a slash")

    def add(self, key: str, size: int) -> None:
        """Take an object in.

        :param key: whole key, below the path.
        :param size: its bytes.
        """
        database, *rest = key.removeprefix(self.path).split("/")
        if not rest and manifest.is_manifest(database):
            self.manifests.append(database)
        elif key.endswith("/") and not size:
            return  # what the console makes for a folder
        elif len(rest) in (2, 3) and (rest[-1] == _DONE or rest[-1].endswith(_PARQUET)):
            files = self.folders.setdefault(Folder(database, rest[0]), Files())
            batch = rest[1] if len(rest) == 3 else _UNBATCHED
            if rest[-1] == _DONE:
                files.done.add(batch)
            else:
                files.batches.add(batch)
                files.parts.append(Part(key, size))
        else:
            self.others += 1
            if self.others <= MOST_STRANGE:
                self.strange.append(key)


@dataclass(frozen=True)
class Exported:
    """A table of the manifest and its objects.

    :param database: its database, as it is named there.
    :param table: its name.
    :param folder: where its objects are, or would be.
    :param status: what the manifest says.
    :param files: its objects.
    """

    database: str
    table: str
    folder: Folder
    status: TableStatus
    files: Files

    @property
    def source(self) -> str:
        """``<database>.<table>``."""
        return f"{self.database}.{self.table}"

    @property
    def is_skipped(self) -> bool:
        """Whether RDS left it out and says so."""
        return self.status.status == SKIPPED


def in_key(name: str) -> str:
    """Write a name as keys have it."""
    return _REPLACED.sub("_", name)


def assign(statuses: Sequence[TableStatus], contents: Contents) -> list[Exported]:
    """Find the objects of each table of the manifest.

    RDS writes ``shop.orders`` or ``shop.shop.orders`` for a table of MySQL; all of a manifest in the same way, which is the one
    that finds more folders. Names may contain dots themselves, so the folders tell where a database's name ends; without one the
    first dot does.

    :param statuses: tables of the manifest; databases that were left out are no tables.
    :param contents: what is there.
    """
    tables = [one for one in statuses if "." in one.target]
    plainly = {folder.name: folder for folder in contents.folders}
    doubly = {f"{folder.database}.{folder.name}": folder for folder in contents.folders}
    targets = {in_key(one.target) for one in tables}
    plain_hits, double_hits = (len(targets & names.keys()) for names in (plainly, doubly))
    if plain_hits == double_hits:
        doubled = bool(tables) and all(_is_doubled(one.target) for one in tables)
    else:
        doubled = double_hits > plain_hits
    named = doubly if doubled else plainly
    found = []
    for one in tables:
        seen = named.get(in_key(one.target))
        length = len(seen.database) if seen is not None else one.target.index(".")
        database, table = one.target[:length], one.target[length + 1 :]
        if doubled:
            table = table[length + 1 :]
        folder = seen or Folder(in_key(database), in_key(f"{database}.{table}"))
        found.append(Exported(database, table, folder, one, contents.folders.get(folder, Files())))
    return found


def problems(
    tables: Sequence[Exported], contents: Contents, *, export_only: Iterable[str] = (), left_out: Iterable[str] = ()
) -> list[str]:
    """Say what is not as it must be, as far as names and sizes show it.

    :param tables: of the manifest.
    :param contents: what is there.
    :param export_only: ``database`` or ``database.table`` that was asked for.
    :param left_out: tables that the task says it has skipped.
    :return: one text for each thing, tables in the manifest's order.
    """
    without = set(skipped(tables, left_out))
    found = [text for one in tables if one.source not in without for text in _of_table(one)]
    found += _shared(tables)
    known = {one.folder for one in tables}
    found += [
        f"{folder.name}: there are {len(files.parts)} files, but the manifest does not know the table"
        for folder, files in sorted(contents.folders.items())
        if folder not in known
    ]
    if contents.others:
        found.append(f"{contents.others} objects are of no table, such as {contents.strange[0]}")
    return found + _missing(tables, without, export_only)


def skipped(tables: Sequence[Exported], left_out: Iterable[str] = ()) -> list[str]:
    """Name the tables that were left out, as the manifest says or the task, which names them as the manifest does."""
    sources = {one.status.target: one.source for one in tables}
    return sorted({one.source for one in tables if one.is_skipped} | {sources.get(name, name) for name in left_out})


def fewer(rows: Mapping[str, int], least: Mapping[str, int]) -> list[str]:
    """Say which tables have fewer rows than they must have.

    :param rows: ``database.table`` to its rows.
    :param least: ``least_rows`` of the settings.
    """
    return [
        f"{name}: it has {rows[name]} rows, least_rows says {wanted}"
        if name in rows
        else f"{name}: it was not exported, least_rows says {wanted} rows"
        for name, wanted in sorted(least.items())
        if rows.get(name, -1) < wanted
    ]


def _of_table(one: Exported) -> list[str]:
    status, files = one.status, one.files
    if status.status != COMPLETE:
        return [f"{one.source}: its status is {status.status}"]
    found = []
    if status.pieces is not None and status.pieces[0] < status.pieces[1]:
        found.append(f"{one.source}: {status.pieces[0]} of {status.pieces[1]} pieces were exported")
    if not files.parts and (status.size_gb or 0) > 0:
        found.append(f"{one.source}: it has no files, but the manifest says that {status.size_gb:g} GB were exported")
    found += [
        f"{one.source}: {f'batch {batch}' if batch else 'its folder'} has no {_DONE}"
        for batch in sorted(files.batches - files.done)
    ]
    return found


def _shared(tables: Sequence[Exported]) -> list[str]:
    by_folder: dict[Folder, list[str]] = {}
    for one in tables:
        by_folder.setdefault(one.folder, []).append(one.source)
    return [
        f"{' and '.join(names)}: their files are in one folder, {folder.key}, and cannot be told apart"
        for folder, names in by_folder.items()
        if len(names) > 1
    ]


def _missing(tables: Sequence[Exported], left_out: set[str], export_only: Iterable[str]) -> list[str]:
    whole = [one for one in tables if one.status.status == COMPLETE and one.source not in left_out]
    there = {one.source for one in whole} | {one.database for one in whole}
    return [f"{name}: export_only names it, but it was not exported" for name in export_only if name not in there]


def _is_doubled(target: str) -> bool:
    """Tell whether a target may be ``<database>.<database>.<table>``."""
    dots = [place for place, character in enumerate(target) if character == "."]
    return any(target[place + 1 :].startswith(target[: place + 1]) for place in dots)
