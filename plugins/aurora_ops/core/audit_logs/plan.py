"""What is to be read: which files have bytes that are not stored, by which reader, and how that is shared out.

REST has no range, and chunks have holes. So a file that grows is followed by its marker, one that is rotated or settled and of
which little is stored is streamed whole, and what follows a place that chunks could not carry is streamed too.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_ops.core.audit_logs import names
from aurora_ops.core.audit_logs.chain import FIRST
from aurora_ops.core.audit_logs.names import Offered

Reader = Literal["rest", "chunks"]
Choice = Literal["auto", "rest", "chunks"]
Status = Literal["growing", "complete", "partial", "truncated", "lost", "deferred"]
ENDED: tuple[Status, ...] = ("complete", "partial", "truncated", "lost")
ALARMING: tuple[Status, ...] = ("lost", "truncated", "partial")
MOST_BATCHES = 50


@dataclass(frozen=True)
class Saved:
    """What is stored of a file.

    :param identity: who it is, whatever it is called.
    :param name: what it was called when it was last looked at.
    :param size: bytes that it was listed with.
    :param last_written_ms: when it had last been written.
    :param position: bytes stored, without gaps from the beginning.
    :param marker: AWS's marker at ``marker_at``.
    :param marker_at: offset, at most ``position``, at which the marker goes on.
    :param chain: of its last object.
    :param status: see the class ``Status``.
    :param holes: places in it that chunks could not carry.
    :param attempts: tries since something was stored.
    :param behind_since_ms: since when bytes of it have waited, where a try has failed.
    :param intent_end: where the object ends that a try has begun to store.
    :param first_seen: day on which it was first seen, ``yyyy-mm-dd``.
    :param version: of the item, for conditional writes.
    """

    identity: str
    name: str
    size: int = 0
    last_written_ms: int = 0
    position: int = 0
    marker: str | None = None
    marker_at: int = 0
    chain: str = FIRST
    status: Status = "growing"
    holes: int = 0
    attempts: int = 0
    behind_since_ms: int | None = None
    intent_end: int | None = None
    first_seen: str = ""
    version: int = 0


@dataclass(frozen=True)
class Rules:
    """What the settings say.

    :param reader: which readers may be used.
    :param settled_ms: milliseconds without a write after which a file counts as written to its end.
    :param now_ms: milliseconds since 1970.
    """

    reader: Choice
    settled_ms: int
    now_ms: int


@dataclass(frozen=True)
class Job:
    """A file with bytes to read.

    :param identity: who it is.
    :param offered: as it is listed.
    :param saved: what is stored of it; ``None``: nothing yet.
    :param reader: by which it is read first.
    :param final: it is not written to any more: what comes after its last newline is stored too.
    """

    identity: str
    offered: Offered
    saved: Saved | None
    reader: Reader
    final: bool

    @property
    def position(self) -> int:
        """Bytes that are stored."""
        return self.saved.position if self.saved else 0


@dataclass(frozen=True)
class Judgement:
    """What is to be done for an instance.

    :param jobs: files to read.
    :param changes: files to read nothing of, whose status is another one now, with the reason.
    """

    jobs: list[Job] = field(default_factory=list)
    changes: list[tuple[Saved, Status, str]] = field(default_factory=list)


def judge(offered: Mapping[str, Offered], saved: Mapping[str, Saved], rules: Rules) -> Judgement:
    """Compare what an instance offers with what is stored.

    :param offered: identity to file, all that are listed.
    :param saved: identity to what is stored.
    :param rules: of the settings.
    """
    found = Judgement()
    listed = [one.name for one in offered.values()]
    for identity, file in offered.items():
        kept = saved.get(identity)
        position = kept.position if kept else 0
        final = names.rotated(file.name, listed) or rules.now_ms - file.last_written_ms >= rules.settled_ms
        if kept and kept.status == "truncated":
            continue
        if kept and file.size < position:
            why = f"{position} bytes are stored, {file.size} are offered"
            found.changes.append((kept, "truncated", why))
        elif file.size > position:
            found.jobs.append(Job(identity, file, kept, _reader(kept, file, rules.reader, final=final), final))
        elif kept and final and kept.status not in ("complete", "partial"):
            found.changes.append((kept, "partial" if kept.holes else "complete", ""))
    for identity, kept in saved.items():
        if identity not in offered and kept.status not in ENDED:
            found.changes.append((kept, "lost", _loss(kept)))
    return found


def _loss(kept: Saved) -> str:
    missing = kept.size - kept.position
    if missing > 0:
        return f"it has gone with {missing} of {kept.size} bytes not stored"
    return "it has gone while it was still written; what was written after it was last looked at is not known"


def _reader(kept: Saved | None, file: Offered, choice: Choice, *, final: bool) -> Reader:
    if choice != "auto":
        return choice
    if kept and kept.position and kept.marker is None:
        return "rest"
    left = file.size - (kept.position if kept else 0)
    return "rest" if final and 2 * left >= file.size else "chunks"


def unsaved_bytes(offered: Sequence[Offered], saved: Collection[Saved], rules: Rules) -> int | None:
    """Estimate what an instance has to be read of, without reading anything; ``None`` where there is nothing to do for it.

    A file whose name shifts is taken for the one that is stored with the same size and time: a rotation changes neither.

    :param offered: files that are listed.
    :param saved: what is stored of the instance's files.
    :param rules: of the settings.
    """
    by_time = {(one.size, one.last_written_ms): one for one in saved}
    by_identity = {one.identity: one for one in saved}
    matched: dict[str, Offered] = {}
    for file in offered:
        if not file.size:
            continue
        kept = (
            by_time.get((file.size, file.last_written_ms))
            if names.shifts(file.name)
            else by_identity.get(names.fixed_identity(file.name))
        )
        matched[kept.identity if kept else f"?{file.name}"] = file
    judged = judge(matched, by_identity, rules)
    if not judged.jobs and not judged.changes:
        return None
    return sum(job.offered.size - job.position for job in judged.jobs)


def batches(wanted: Iterable[Mapping[str, Any]], most: int = MOST_BATCHES) -> list[list[Mapping[str, Any]]]:
    """Share instances out: batches of about as many bytes each, an instance never in two, so that its reads can be counted.

    :param wanted: instances, each with ``place`` (only those of one place share a batch) and ``bytes``.
    :param most: batches there may be, at least as many as places.
    """
    places: dict[Any, list[Mapping[str, Any]]] = {}
    for one in wanted:
        places.setdefault(one["place"], []).append(one)
    shares = _shares({place: sum(_weight(one) for one in many) for place, many in places.items()}, most)
    found: list[list[Mapping[str, Any]]] = []
    for place, many in places.items():
        count = min(shares[place], len(many))
        heap: list[tuple[int, int]] = [(0, number) for number in range(count)]
        filled: list[list[Mapping[str, Any]]] = [[] for _ in range(count)]
        for one in sorted(many, key=_weight, reverse=True):
            load, number = heapq.heappop(heap)
            filled[number].append(one)
            heapq.heappush(heap, (load + _weight(one), number))
        found += filled
    return found


_EACH = 2**20
"""Bytes that asking an instance for its files counts as."""
_BATCH = 64 * 2**20
"""Bytes below which a task of its own is not worth its start."""


def _weight(one: Mapping[str, Any]) -> int:
    return int(one["bytes"]) + _EACH


def _shares(loads: Mapping[Any, int], most: int) -> dict[Any, int]:
    """Say how many batches each place has: by its bytes, at least one."""
    total, left = sum(loads.values()), max(most - len(loads), 0)
    return {
        place: 1 + min(left * load // total if total else 0, max(0, (load - 1) // _BATCH))
        for place, load in loads.items()
    }
