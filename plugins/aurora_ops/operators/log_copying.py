"""Copying what is new of one log file: read, packed, stored, and only then written down as stored."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aurora_ops.core.audit_logs import names, states
from aurora_ops.core.audit_logs.chain import link
from aurora_ops.core.audit_logs.chunks import START, Chunks, NotCarriedError, offset_of
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.audit_logs.packing import Assembly, Packed, Piece
from aurora_ops.core.audit_logs.plan import Choice, Job, Reader, Saved, Status
from aurora_ops.core.audit_logs.prefix import Prefix
from aurora_ops.core.errors import AuroraOpsError, BusyError, MissingError, StateError, TransientError
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.hooks.log_objects import Keeping, LogObjectsHook
from aurora_ops.hooks.log_states import LogStatesHook

log = logging.getLogger(__name__)
HEAD_LINES = 50
GIVE_UP_AFTER = 10
_LONGEST_ERROR = 500
_LONGEST_MARKS = 1024
_UNFINISHED_BYTES = 2**16  # a record that is still being written is no delay


class MovedError(TransientError):
    """A log file has another name by now: logs were rotated while it was read."""


class ShortError(TransientError):
    """The stream of a log file ended before as much came as it is listed with."""


@dataclass(frozen=True)
class Depot:
    """Where log files of one account and region are kept.

    :param objects: bucket's account.
    :param states: table's account.
    :param bucket: bucket.
    :param prefix: beginning of keys.
    :param table: table of states.
    :param compression: ``zstd``, ``gzip`` or ``none``.
    :param object_bytes: bytes of log after which an object ends.
    :param keeping: how objects are kept.
    :param account_id: account of the instances.
    :param region: their region.
    """

    objects: LogObjectsHook
    states: LogStatesHook
    bucket: str
    prefix: str
    table: str
    compression: str
    object_bytes: int
    keeping: Keeping
    account_id: str
    region: str

    def partition(self, resource_id: str) -> str:
        """Give the partition of an instance's items."""
        return names.partition(self.account_id, self.region, resource_id)

    def object_key(self, whose: Whose, saved: Saved, end: int) -> str:
        """Name the object that holds a file's bytes from its position to ``end``."""
        folder = names.folder(self.prefix, self.account_id, self.region, whose.cluster_id, whose.resource_id)
        return names.object_key(folder, saved.first_seen, saved.identity, saved.position, end, self.compression)


@dataclass(frozen=True)
class Whose:
    """The instance that a file belongs to.

    :param instance_id: its identifier now.
    :param resource_id: what no other instance ever has.
    :param cluster_id: its cluster; empty: none.
    """

    instance_id: str
    resource_id: str
    cluster_id: str


def read_head(source: LogFilesHook, instance_id: str, name: str, choice: Choice) -> bytes:
    """Read the beginning of a file: 4 KiB, or all of it where it is shorter.

    :param source: where it is.
    :param instance_id: the instance.
    :param name: the file's name now.
    :param choice: which readers may be used.
    """
    if choice != "rest":
        try:
            return source.read_page(instance_id, name, START, HEAD_LINES).data[: names.HEAD_BYTES]
        except (StateError, BusyError, MissingError, TransientError):
            raise
        except AuroraOpsError as exc:
            if choice == "chunks":
                return source.read_page(instance_id, name, START, 1).data[: names.HEAD_BYTES]
            log.info("the beginning of %s/%s is taken from the stream: %s", instance_id, name, exc)
    head = b""
    with closing(source.stream(instance_id, name)) as stream:
        for data in stream:
            head += data
            if len(head) >= names.HEAD_BYTES:
                break
    return head[: names.HEAD_BYTES]


class FileCopy:
    """One file, from the byte on that is not stored yet.

    :param source: where it is read.
    :param depot: where it is kept.
    :param whose: its instance.
    :param job: what is to be read.
    :param choice: which readers may be used.
    :param now: of this run.
    """

    def __init__(
        self, source: LogFilesHook, depot: Depot, whose: Whose, job: Job, choice: Choice, now: datetime
    ) -> None:
        self._source = source
        self._depot = depot
        self._whose = whose
        self._job = job
        self._choice = choice
        self._now = now
        self._key = (depot.partition(whose.resource_id), states.file_key(job.identity))
        self._reader: Reader = job.reader
        self.saved = job.saved or Saved(job.identity, job.offered.name, first_seen=now.date().isoformat())
        self.read_bytes = self.stored_bytes = self.objects = 0

    @property
    def _file(self) -> Offered:
        return self._job.offered

    @property
    def _what(self) -> str:
        return f"{self._whose.instance_id}/{self._file.name}"

    def run(self) -> None:
        """Read and store, by the one reader or, where that cannot, by the other.

        :raises AuroraOpsError: not everything that is listed could be stored; what was stored is written down.
        """
        try:
            self._read(self._job.reader)
        except (NotCarriedError, ShortError) as exc:
            if self._choice != "auto" or self._reader == "rest":
                raise
            log.info("%s: %s", self._what, exc)
            self._read("rest")
        except (MissingError, BusyError, StateError, MovedError):
            raise
        except AuroraOpsError as exc:
            if self._choice != "auto" or self._job.reader != "rest":
                raise
            log.warning("%s: by chunks, since REST failed: %s", self._what, exc)
            try:
                self._read("chunks")
            except NotCarriedError:
                raise exc from None

    def note(self, failure: AuroraOpsError, behind_since_ms: int) -> Status:
        """Write down that a try has failed, and since when bytes wait.

        :param failure: why.
        :param behind_since_ms: since when, where it is not known from an earlier try.
        :return: the status that the file has now.
        """
        status: Status = "deferred" if is_not_ready(failure) else self.saved.status
        if isinstance(failure, ShortError) and self._job.final and self.saved.attempts + 1 >= GIVE_UP_AFTER:
            status = "truncated"
        since = self.saved.behind_since_ms
        self._change(
            {
                **self._about(),
                "status": status,
                "attempts": self.saved.attempts + 1,
                "error": str(failure)[:_LONGEST_ERROR],
                "behind_since": behind_since_ms if since is None else since,
            },
            status=status,
            attempts=self.saved.attempts + 1,
        )
        return status

    def _read(self, reader: Reader) -> None:
        self._reader = reader
        assembly = Assembly(
            self.saved.position, self._depot.compression, self._depot.object_bytes, cut_at=self.saved.intent_end
        )
        pieces, begin, until = self._by_chunks(assembly) if reader == "chunks" else self._by_stream(assembly)
        failure: AuroraOpsError | None = None
        source = self._from_position(pieces, begin)
        while True:
            try:
                piece = next(source, None)
            except AuroraOpsError as exc:
                failure = exc
                break
            if piece is None:
                break
            for packed in assembly.feed(piece):
                self._store(packed)
        whole = failure is None and self._job.final and assembly.at >= self._file.size
        last = None if isinstance(failure, StateError | MovedError) else assembly.finish(whole=whole)
        if last is not None:
            self._store(last)
        if failure is not None:
            raise failure
        if assembly.at < until:
            raise ShortError(f"{self._what}: {until} bytes are listed, {assembly.at} came; read again by the next run")

    def _by_chunks(self, assembly: Assembly) -> tuple[Iterator[Piece], int, int]:
        marker, at = (self.saved.marker, self.saved.marker_at) if self.saved.marker else (START, 0)
        assembly.know(str(marker), at)  # where the next run goes on if no page ends before this one's last boundary
        fills = self._choice == "chunks"
        page = lambda marker, lines: self._source.read_page(  # noqa: E731
            self._whose.instance_id, self._file.name, marker, lines
        )
        chunks = Chunks(page, marker=str(marker), at=at, size=self._file.size, fills=fills, final=self._job.final)
        until = self._file.size if self._job.final else 0  # of one that grows the next run asks again
        return iter(chunks), at, until

    def _by_stream(self, assembly: Assembly) -> tuple[Iterator[Piece], int, int]:
        until: int | None = None
        if not self._job.final and self._choice == "auto":
            # where chunks go on afterwards: the marker of the end as it is now, up to which the stream is taken
            marker = self._source.find_end(self._whose.instance_id, self._file.name)
            until = offset_of(marker)
            if until is None or until < self.saved.position:
                until = None
            else:
                assembly.know(marker, until)
        return self._streamed(until), 0, self._file.size if until is None else until

    def _streamed(self, until: int | None) -> Iterator[Piece]:
        at, head = 0, b""
        proven = not names.shifts(self._file.name)
        with closing(self._source.stream(self._whose.instance_id, self._file.name)) as stream:
            for data in stream:
                if not proven:
                    head += data
                    if len(head) < names.HEAD_BYTES and at + len(data) < self._file.size:
                        at += len(data)
                        continue
                    self._require_same(head)
                    data, at, proven = head, 0, True
                if until is not None and at + len(data) >= until:
                    yield Piece(data[: until - at])
                    return
                at += len(data)
                yield Piece(data)
        if not proven:
            self._require_same(head)
            yield Piece(head)

    def _from_position(self, pieces: Iterator[Piece], begin: int) -> Iterator[Piece]:
        """Leave out what is stored, and prove, where it comes from the file's beginning, that it is the same."""
        position, at = self.saved.position, begin
        proof = Prefix(self._stretches() if begin == 0 and position else [], self._what)
        for piece in pieces:
            size = len(piece.data)
            self.read_bytes += size
            if at < position:
                proof.feed(piece.data[: position - at] if begin == 0 else b"")
            if at + size > position:
                marks = tuple(mark for mark in piece.marks if mark.begin >= position)
                yield Piece(piece.data[max(0, position - at) :], piece.marker, marks)
            at += size

    def _stretches(self) -> list[Any]:
        items = self._depot.states.list_items(self._depot.table, self._key[0], states.object_prefix(self._job.identity))
        return [states.stretch_of(item) for item in items]

    def _require_same(self, head: bytes) -> None:
        if names.identity_of_head(head) != self._job.identity:
            raise MovedError(f"{self._what} is another file by now: logs were rotated; they are listed again")

    def _store(self, packed: Packed) -> None:
        """Make the object durable, then move the position past it."""
        with closing(packed.body):
            if names.shifts(self._file.name) and self._reader == "chunks":
                self._require_same(read_head(self._source, self._whose.instance_id, self._file.name, self._choice))
            if self.saved.intent_end != packed.end:
                self._change({**self._about(), "intent_end": packed.end}, intent_end=packed.end)
            depot, saved = self._depot, self.saved
            key = depot.object_key(self._whose, saved, packed.end)
            chain = link(saved.chain, packed.begin, packed.end, packed.sha256)
            metadata = {
                "sha256": packed.sha256,
                "begin": str(packed.begin),
                "end": str(packed.end),
                "chain": chain,
                "source": "rest" if self._reader == "rest" else "chunk",
                "instance": self._whose.instance_id,
                "file": self._file.name,
                **({"marks": _marks(packed)} if packed.marks else {}),
            }
            if not depot.objects.put_new(depot.bucket, key, packed.body, packed.stored_bytes, metadata, depot.keeping):
                self._require_mine(key, packed)
            self._commit(packed, key, metadata)

    def _require_mine(self, key: str, packed: Packed) -> None:
        """Adopt the object of an earlier try, which was not written down; it must have the same bytes."""
        found = self._depot.objects.find_metadata(self._depot.bucket, key)
        if found is None or found[0].get("sha256") != packed.sha256:
            raise StateError(
                f"s3://{self._depot.bucket}/{key} exists with other content than {self._what} has; nothing is put over it. "
                f"See whether two environments share bucket and prefix but not the table of states"
            )

    def _commit(self, packed: Packed, key: str, metadata: Mapping[str, str]) -> None:
        depot = self._depot
        ended = self._job.final and packed.end >= self._file.size
        holes = self.saved.holes + len(packed.marks)
        status: Status = ("partial" if holes else "complete") if ended else "growing"
        caught_up = self._file.size - packed.end < _UNFINISHED_BYTES
        fresh: dict[str, Any] = {
            "position": packed.end,
            "marker": packed.marker,
            "marker_at": packed.marker_at,
            "chain": metadata["chain"],
            "status": status,
            "holes": holes,
            "attempts": 0,
            "intent_end": None,
        }
        item = states.object_item(
            self._key[0],
            self._job.identity,
            (packed.begin, packed.end),
            key,
            metadata,
            stored_bytes=packed.stored_bytes,
            marks=[mark.as_json() for mark in packed.marks] or None,
            now=datetime.now(UTC),
        )
        values = {**self._about(), **fresh, "error": None}
        if caught_up:
            values["behind_since"] = fresh["behind_since_ms"] = None
        depot.states.commit(depot.table, item, self._key, values, self.saved.version)
        self.saved = replace(self.saved, **fresh, version=self.saved.version + 1)
        self.objects += 1
        self.stored_bytes += packed.end - packed.begin
        log.info("%s: bytes %d to %d stored as %s", self._what, packed.begin, packed.end, key)

    def _about(self) -> dict[str, Any]:
        return {
            "name": self._file.name,
            "cluster": self._whose.cluster_id or None,
            "instance": self._whose.instance_id,
            "size": self._file.size,
            "last_written": self._file.last_written_ms,
            "updated_at": datetime.now(UTC).isoformat(),
            **({"status": "growing", "position": 0, "attempts": 0} if self.saved.version == 0 else {}),
            **({"first_seen": self._now.isoformat()} if self.saved.version == 0 else {}),
        }

    def _change(self, values: dict[str, Any], **fresh: Any) -> None:
        self._depot.states.change(self._depot.table, self._key, values, self.saved.version)
        self.saved = replace(self.saved, **fresh, version=self.saved.version + 1)


def _marks(packed: Packed) -> str:
    """Write marks as metadata holds them, which is 2 KB at most; all of them are in the item of the object."""
    written = json.dumps([mark.as_json() for mark in packed.marks])
    return written if len(written) <= _LONGEST_MARKS else json.dumps([{"kind": "many", "count": len(packed.marks)}])


def is_not_ready(failure: AuroraOpsError) -> bool:
    """Tell whether an instance could not be asked because it is stopped, paused or being changed."""
    return isinstance(failure, BusyError) and "NotReady" in str(failure)
