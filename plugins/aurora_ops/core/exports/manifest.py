"""What RDS says of an export in the files that it writes beside the data.

``export_info_<task>.json`` is about the task, ``export_tables_info_<task>_from_<a>_to_<b>.json`` about its tables; of the latter
there may be several. AWS documents their names, not their keys: those here are what public readers of real exports use. So keys
are found whatever their case, those that are not known are left alone, and what must be there but is not is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import VerificationError

COMPLETE, SKIPPED = "COMPLETE", "SKIPPED"

_INFO = re.compile(r"export_info_(?P<task>.+)\.json")
_TABLES = re.compile(r"export_tables_info_(?P<task>.+)_from_(?P<first>\d+)_to_(?P<last>\d+)\.json")
_LONGEST_WARNING = 300


@dataclass(frozen=True)
class Original:
    """A column as the database has it.

    :param name: its name.
    :param kind: its type, in lower case, such as ``bigint unsigned``.
    :param exported: type that RDS meant to write, in its words, such as ``fixed_len_byte_array(9) (DECIMAL(20,0))``.
    """

    name: str
    kind: str
    exported: str


@dataclass(frozen=True)
class TableStatus:
    """What became of a table.

    :param target: its name, such as ``shop.orders`` or ``shop.shop.orders``; of a database alone where all of it was left out.
    :param status: ``COMPLETE``, ``SKIPPED``, ``FAILED``, ...
    :param warning: RDS's words; empty: none.
    :param size_gb: size of what was extracted; ``None``: it is not told.
    :param pieces: pieces that were done, and all of them; ``None``: it is not told.
    :param columns: its columns.
    """

    target: str
    status: str
    warning: str = ""
    size_gb: float | None = None
    pieces: tuple[int, int] | None = None
    columns: tuple[Original, ...] = ()


@dataclass(frozen=True)
class Info:
    """What became of the task.

    :param task_id: its identifier.
    :param status: ``COMPLETE``, ...
    """

    task_id: str
    status: str


def is_manifest(name: str) -> bool:
    """Tell whether an object beside the data, by the last part of its key, is one of these files."""
    return bool(_INFO.fullmatch(name) or _TABLES.fullmatch(name))


def read(task_id: str, files: Mapping[str, bytes]) -> list[TableStatus]:
    """Read the files of a task.

    :param task_id: the task.
    :param files: last part of the key to content.
    :return: tables in the order in which RDS names them.
    :raises VerificationError: a file is missing, of another task, unreadable or without something that must be there, the task is
        not complete, or a table is told twice; each such thing is named.
    """
    problems: list[str] = []
    infos = {name: content for name, content in files.items() if _INFO.fullmatch(name)}
    if f"export_info_{task_id}.json" not in infos:
        problems.append(f"export_info_{task_id}.json is missing")
    for name in sorted(infos):
        _attempt(problems, lambda name=name: _check(info(name, infos[name]), name, task_id))
    told = [(found, name) for name in files if (found := _TABLES.fullmatch(name))]
    problems += [f"{name} is of another task than {task_id}" for found, name in told if found["task"] != task_id]
    own = sorted((int(found["first"]), int(found["last"]), name) for found, name in told if found["task"] == task_id)
    problems += _gaps(task_id, own)
    tables: list[TableStatus] = []
    for _, _, name in own:
        _attempt(problems, lambda name=name: tables.extend(table_statuses(name, files[name])))
    twice = {one.target for one in tables if one.target} if len({one.target for one in tables}) < len(tables) else set()
    problems += [f"{target} is told twice" for target in sorted(twice) if sum(t.target == target for t in tables) > 1]
    if problems:
        raise VerificationError("\n".join(problems[:20]))
    return tables


def info(name: str, content: bytes) -> Info:
    """Read the file about the task.

    :param name: last part of its key, for messages.
    :param content: its bytes.
    :raises VerificationError: it cannot be read.
    """
    found = _Fields(_parsed(name, content), name)
    return Info(found.text("exportTaskIdentifier"), found.text("status").upper())


def table_statuses(name: str, content: bytes) -> list[TableStatus]:
    """Read a file about tables.

    :param name: last part of its key, for messages.
    :param content: its bytes.
    :raises VerificationError: it cannot be read.
    """
    listed = _Fields(_parsed(name, content), name).list("perTableStatus")
    return [_status(_Fields(one, f"{name}: perTableStatus[{number}]")) for number, one in enumerate(listed)]


def _status(found: _Fields) -> TableStatus:
    target = found.text("target")
    found.where = f"{found.where} ({target})"
    warning = _words(found.get("warningMessage"))
    status = str(found.get("status") or "").upper()
    if not status and not warning:
        status = found.text("status").upper()
    status = status or SKIPPED  # a database that was not asked for has a warning and no status
    about = found.within("schemaMetadata", required=status == COMPLETE)
    listed = about.list("originalTypeMappings") if about is not None else []
    pieces = found.within("tableStatistics")
    divided = pieces.within("partitioningInfo") if pieces is not None else None
    return TableStatus(
        target=target,
        status=status,
        warning=warning,
        size_gb=found.number("sizeGB"),
        pieces=_pieces(divided),
        columns=tuple(
            _original(_Fields(one, f"{found.where}: originalTypeMappings[{number}]"))
            for number, one in enumerate(listed)
        ),
    )


def _original(found: _Fields) -> Original:
    kind, exported = found.get("originalType"), found.get("expectedExportedType")
    return Original(found.text("columnName"), str(kind or "").strip().lower(), str(exported or "").strip())


def _pieces(found: _Fields | None) -> tuple[int, int] | None:
    if found is None:
        return None
    done, every = found.number("numberOfCompletedPartitions"), found.number("numberOfPartitions")
    return None if done is None or every is None else (int(done), int(every))


class _Fields:
    """An object of JSON whose keys' case does not matter.

    :param content: the object.
    :param where: what it is, for messages.
    """

    def __init__(self, content: Any, where: str) -> None:
        self.where = where
        if not isinstance(content, Mapping):
            raise VerificationError(f"{where} is no object of JSON")
        self._content = {str(key).lower(): value for key, value in content.items()}

    def get(self, key: str) -> Any:
        """Give a value; ``None`` where there is none."""
        return self._content.get(key.lower())

    def text(self, key: str) -> str:
        """Give a text that must be there."""
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise VerificationError(f"{self.where}: {key} is missing")
        return value

    def list(self, key: str) -> Sequence[Any]:
        """Give a list that must be there."""
        value = self.get(key)
        if not isinstance(value, list):
            raise VerificationError(f"{self.where}: {key} is missing")
        return value

    def number(self, key: str) -> float | None:
        """Give a number; ``None`` where there is none."""
        value = self.get(key)
        try:
            return None if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            raise VerificationError(f"{self.where}: {key} is {str(value)[:40]!r}, which is no number") from None

    def within(self, key: str, *, required: bool = False) -> _Fields | None:
        """Give an object; ``None`` where there is none."""
        value = self.get(key)
        if value is None and not required:
            return None
        if value is None:
            raise VerificationError(f"{self.where}: {key} is missing")
        return _Fields(value, f"{self.where}: {key}")


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise VerificationError(f"{name} is not JSON") from None


def _words(warning: Any) -> str:
    if not warning:
        return ""
    text = warning if isinstance(warning, str) else json.dumps(warning, ensure_ascii=False)
    return text[:_LONGEST_WARNING]


def _check(found: Info, name: str, task_id: str) -> None:
    if found.task_id != task_id:
        raise VerificationError(f"{name} is of {found.task_id}, not of {task_id}")
    if found.status != COMPLETE:
        raise VerificationError(f"{name}: status is {found.status}, not {COMPLETE}")


def _gaps(task_id: str, own: Sequence[tuple[int, int, str]]) -> Iterable[str]:
    """Name the tables of which no file tells, by their numbers."""
    if not own:
        yield f"export_tables_info_{task_id}_from_1_to_<n>.json is missing"
    expected = 1
    for first, last, _ in own:
        if first > expected:
            yield f"export_tables_info_{task_id}_from_{expected}_to_{first - 1}.json is missing"
        expected = max(expected, last + 1)


def _attempt(problems: list[str], step: Any) -> None:
    try:
        step()
    except VerificationError as exc:
        problems.append(str(exc))
