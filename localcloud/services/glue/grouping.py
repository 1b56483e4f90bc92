"""How a crawler makes tables of objects: what looks alike below a folder is one table, its folders are partitions.

After https://docs.aws.amazon.com/glue/latest/dg/crawler-s3-folder-table-partition.html; what "alike" means to the number is
from memory: 70 % of the columns.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALIKE = 0.7
PAIR = re.compile(r"([^=]+)=(.+)")

Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class File:
    """An object that was looked at.

    :param key: below the target.
    :param columns: names and Glue's types; empty of what is no Parquet.
    :param size: bytes.
    :param rows: in it.
    :param kind: classification: ``parquet``, ``json``, ``UNKNOWN``.
    """

    key: str
    columns: Columns
    size: int
    rows: int
    kind: str = "parquet"

    @property
    def folders(self) -> list[str]:
        """Folders that it is in."""
        return self.key.split("/")[:-1]


@dataclass
class Found:
    """A table that a crawler makes.

    :param folder: of the table, below the target; empty: the target itself.
    :param keys: names of the partition columns.
    :param files: by the values of their partition.
    """

    folder: str
    keys: list[str]
    files: dict[tuple[str, ...], list[File]] = field(default_factory=dict)
    kind: str = "parquet"

    @property
    def all_files(self) -> list[File]:
        """Every file of the table."""
        return [one for files in self.files.values() for one in files]

    @property
    def columns(self) -> Columns:
        """Columns of all files, in the order in which they are met."""
        return merged(one.columns for one in self.all_files)

    def place(self, values: tuple[str, ...]) -> str:
        """Folder of a partition, below the target."""
        first = self.files[values][0]
        depth = len(self.folder.split("/")) if self.folder else 0
        return "/".join(first.folders[: depth + len(self.keys)])


def merged(schemas: Iterable[Columns]) -> Columns:
    """Put columns together; of two types of one name the later one counts."""
    found: dict[str, str] = {}
    for schema in schemas:
        found.update(schema)
    return tuple(found.items())


def excluded(pattern: str) -> re.Pattern[str]:
    """Compile an exclusion: ``*`` within a folder, ``**`` over folders, ``?``, ``[abc]``, ``{a,b}``."""
    out, place, braces = "", 0, 0
    while place < len(pattern):
        char = pattern[place]
        if pattern.startswith("**", place):
            out += ".*"
            place += 1
        elif char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and "]" in pattern[place:]:
            end = pattern.index("]", place)
            inner = pattern[place + 1 : end].replace("\\", "\\\\")
            out += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
            place = end
        elif char == "\\" and place + 1 < len(pattern):
            place += 1
            out += re.escape(pattern[place])
        elif char == "{":
            braces += 1
            out += "(?:"
        elif char == "}" and braces:
            braces -= 1
            out += ")"
        elif char == "," and braces:
            out += "|"
        else:
            out += re.escape(char)
        place += 1
    return re.compile(out)


def tables(files: Sequence[File], *, level: int | None = None, combine: bool = False) -> list[Found]:
    """Make tables of the objects below a target.

    :param level: depth of the tables' folders below the target; None: wherever they are found.
    :param combine: whether everything below the target whose types go together is one table.
    """
    parquet = [one for one in files if one.kind == "parquet"]
    others = [Found(one.key, [], {(): [one]}, one.kind) for one in files if one.kind != "parquet"]
    if level is not None:
        folders: dict[str, list[File]] = {}
        for one in parquet:
            folders.setdefault("/".join(one.folders[:level]), []).append(one)
        return [_table(folder, held) for folder, held in folders.items()] + others
    return _below("", parquet, combine=combine) + others


def _below(folder: str, files: list[File], *, combine: bool) -> list[Found]:
    """Make one table of a folder, if all in it are alike and equally deep, else tables of what is in it."""
    if not files:
        return []
    depth = len(folder.split("/")) if folder else 0
    deep = {len(one.folders) for one in files}
    if len(deep) == 1 and _go_together([one.columns for one in files], combine=combine):
        return [_table(folder, files)]
    inner: dict[str, list[File]] = {}
    here = []
    for one in files:
        if len(one.folders) > depth:
            inner.setdefault("/".join(one.folders[: depth + 1]), []).append(one)
        else:
            here.append(one)
    found = [table for name, held in sorted(inner.items()) for table in _below(name, held, combine=combine)]
    # Files of one folder that are not alike are a table each.
    together = _go_together([one.columns for one in here], combine=combine)
    return found + ([_table(folder, here)] if here and together else [Found(one.key, [], {(): [one]}) for one in here])


def _table(folder: str, files: list[File]) -> Found:
    depth = len(folder.split("/")) if folder else 0
    least = min(len(one.folders) for one in files)
    keys = []
    for number, level in enumerate(range(depth, least)):
        names = {match[1] if (match := PAIR.fullmatch(one.folders[level])) else "" for one in files}
        keys.append(names.pop().lower() if len(names) == 1 and "" not in names else f"partition_{number}")
    found = Found(folder, keys)
    for one in files:
        values = tuple(_value(part, key) for part, key in zip(one.folders[depth:least], keys, strict=True))
        found.files.setdefault(values, []).append(one)
    return found


def _value(folder: str, key: str) -> str:
    match = PAIR.fullmatch(folder)
    return match[2] if match and match[1].lower() == key else folder


def _go_together(schemas: list[Columns], *, combine: bool) -> bool:
    """Whether files can be one table."""
    distinct = list(dict.fromkeys(schemas))
    return all(_alike(distinct[0], other, combine=combine) for other in distinct[1:])


def _alike(one: Columns, other: Columns, *, combine: bool) -> bool:
    first, second = dict(one), dict(other)
    common = first.keys() & second.keys()
    if any(first[name] != second[name] for name in common):
        return False
    return combine or len(common) >= ALIKE * len(first.keys() | second.keys())


def table_name(prefix: str, folder: str, target: str) -> str:
    """Name of a table: its folder's, or the target's, in small letters."""
    last = (folder or target.rstrip("/")).rpartition("/")[2]
    return re.sub(r"[^a-z0-9_]", "_", f"{prefix}{last}".lower())


def distinguished(name: str, location: str) -> str:
    """Name of a table where another one has that name already."""
    return f"{name}_{hashlib.md5(location.encode(), usedforsecurity=False).hexdigest()}"
