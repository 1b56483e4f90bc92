"""What the table of states says is stored: files, the objects that hold them, and whether these are whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aurora_ops.core.audit_logs import chain

FILE, OBJECT, DAY = "file#", "object#", "day#"
MANIFESTS = "manifest#"
UNDER_WAY = ("growing", "deferred")
"""Statuses of files of which more is to come."""

_KEY_PARTS = ("account", "region", "cluster", "instance", "date")


@dataclass(frozen=True)
class StoredObject:
    """An object that holds a part of a file.

    :param key: its key.
    :param begin: offset in the file of its first byte.
    :param end: offset after its last byte.
    :param sha256: of its bytes, uncompressed.
    :param chain: ties it to the object before it (``chain.link``).
    :param stored_bytes: bytes of it, compressed.
    :param stored_at: when it was stored.
    :param marks: what of it is not as the server wrote it, by kind.
    """

    key: str
    begin: int
    end: int
    sha256: str
    chain: str
    stored_bytes: int
    stored_at: datetime
    marks: tuple[str, ...] = ()

    @property
    def day(self) -> date:
        """Day, in UTC, on which it was stored: it is in the manifest and the records of that day, and of no other."""
        return self.stored_at.astimezone(UTC).date()

    @property
    def cluster(self) -> str:
        """Name the cluster that its key says."""
        return of_key(self.key).get("cluster", "none")


@dataclass(frozen=True)
class StoredFile:
    """A log file.

    :param identity: who it is, whatever it is called.
    :param name: what it was called last.
    :param size: bytes that the instance offers.
    :param position: bytes stored, without a gap.
    :param status: ``growing``, ``complete``, ``partial``, ``truncated``, ``lost`` or ``deferred``.
    :param chain: of its last object.
    :param order: sorts the files of an instance as they were written.
    :param updated_at: when its state changed last.
    :param objects: what holds it, by offset.
    """

    identity: str
    name: str
    size: int
    position: int
    status: str
    chain: str
    order: tuple[str, int, str]
    updated_at: datetime
    objects: tuple[StoredObject, ...] = ()

    def gaps(self) -> list[tuple[int, int]]:
        """Tell which bytes before its position no object holds."""
        found, at = [], 0
        for one in self.objects:
            if one.begin > at:
                found.append((at, one.begin))
            at = max(at, one.end)
        return [*found, (at, self.position)] if at < self.position else found

    def duplicates(self) -> int:
        """Tell how many bytes are held more than once."""
        found = at = 0
        for one in self.objects:
            found += max(min(at, one.end) - one.begin, 0)
            at = max(at, one.end)
        return found

    def broken(self) -> list[str]:
        """Name what does not fit into the chain: keys of objects, or the file where its own end does not."""
        found, previous = [], chain.FIRST
        for one in self.objects:
            if chain.link(previous, one.begin, one.end, one.sha256) != one.chain:
                found.append(one.key)
            previous = one.chain
        if (self.chain or chain.FIRST) != previous:
            found.append(self.identity)
        return found

    def on(self, day: date) -> list[StoredObject]:
        """List what of it was stored on a day."""
        return [one for one in self.objects if one.day == day]


def of_key(key: str) -> dict[str, str]:
    """Read the parts of a key: ``account``, ``region``, ``cluster``, ``instance``, ``date``, as far as it has them."""
    parts = dict(part.split("=", 1) for part in key.split("/") if "=" in part)
    return {name: parts[name] for name in _KEY_PARTS if name in parts}


def files_of(
    files: Iterable[Mapping[str, Any]], objects: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[StoredFile]:
    """Read items of the table of states.

    :param files: items of files.
    :param objects: identity of a file to the items of its objects.
    :return: files, in the order in which they were written, as far as that is known.
    """
    found = []
    for item in files:
        identity = str(item["sk"]).removeprefix(FILE)
        held = sorted((_object(one) for one in objects.get(identity, ())), key=lambda one: (one.begin, one.end))
        written = int(item.get("last_written") or 0)
        found.append(
            StoredFile(
                identity=identity,
                name=str(item.get("name") or identity),
                size=int(item.get("size") or 0),
                position=int(item.get("position") or 0),
                status=str(item.get("status") or "growing"),
                chain=str(item.get("chain") or ""),
                order=(moment(item.get("first_seen")).isoformat(), written, identity),
                updated_at=moment(item.get("updated_at")),
                objects=tuple(held),
            )
        )
    return sorted(found, key=lambda one: one.order)


def moment(value: Any) -> datetime:
    """Read a moment of an item: ISO 8601, or seconds or milliseconds since 1970; the beginning of time where there is none."""
    if not value:
        return datetime.min.replace(tzinfo=UTC)
    if isinstance(value, str):
        read = datetime.fromisoformat(value)
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    seconds = float(value)
    return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)


def begins(day: date) -> datetime:
    """Tell when a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days(first: date, last: date) -> list[date]:
    """List the days from one to another, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _object(item: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        key=str(item["key"]),
        begin=int(item["begin"]),
        end=int(item["end"]),
        sha256=str(item["sha256"]),
        chain=str(item["chain"]),
        stored_bytes=int(item.get("stored_bytes") or 0),
        stored_at=moment(item.get("stored_at")),
        marks=tuple(str(mark["kind"]) for mark in item.get("marks") or ()),
    )


@dataclass
class Counts:
    """What was read of an instance's objects.

    :param records: records, by operation.
    :param rejected: lines that are no records, by reason.
    :param read_bytes: bytes of both.
    """

    records: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    read_bytes: int = 0

    @property
    def total(self) -> int:
        """Records of every operation."""
        return sum(self.records.values())
