"""An instance's day of audit logs made into records: read, checked, sorted, written."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from aurora_ops.core.audit_logs import compacted, parquet
from aurora_ops.core.audit_logs.parquet import Origin
from aurora_ops.core.audit_logs.records import Batch, Reader, Reject
from aurora_ops.core.audit_logs.sorting import Sorter
from aurora_ops.core.audit_logs.stored import Counts, StoredFile, StoredObject
from aurora_ops.core.audit_logs.unpacking import unpacked
from aurora_ops.core.errors import VerificationError
from aurora_ops.hooks.log_archive import LogArchiveHook

_LONGEST_FILE = 2**44
_HASHED_BYTES = 2**20


class Compactor:
    """Makes the records of an instance's day.

    In memory are a run of the sorter, a record that has no end yet, and a row group; on disk, in the folder, as much as the day's
    logs, uncompressed.

    :param hook: account and region of the bucket.
    :param bucket: bucket of objects and records.
    :param options: ``audit_logs.compaction``.
    :param origin: the instance.
    :param day: day on which the objects were stored.
    :param folder: where what is on the way waits; it exists, and is removed by the caller.
    """

    def __init__(
        self, hook: LogArchiveHook, bucket: str, options: Any, origin: Origin, day: date, folder: Path
    ) -> None:
        self._hook, self._bucket, self._options, self._origin, self._day = hook, bucket, options, origin, day
        self._folder = folder
        self._runs = folder / "runs"
        self._rejects = folder / "rejects.jsonl.gz"
        self._counts = Counts()
        self._sources: list[StoredObject] = []

    def run(self, files: Sequence[StoredFile]) -> tuple[Counts, list[dict[str, Any]], str | None]:
        """Read what was stored of files that day, and write it.

        :return: what was read, the Parquet files (``key``, ``rows``, ``sha256``, ``day``), key of the rejected lines or ``None``.
        :raises VerificationError: an object is not as it was stored, or what is written is not what was read.
        """
        self._runs.mkdir()
        sorter = Sorter(self._runs)
        with self._rejects.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as aside:
            for number, file in enumerate(files):
                for batch in self._batches(file):
                    self._count(batch)
                    sorter.add(self._placed(batch, number))
                    for reject in batch.rejects:
                        aside.write(self._line(reject))
        self._require("bytes", sum(one.end - one.begin for one in self._sources), self._counts.read_bytes)
        written = list(self._written(sorter))
        self._require("records", self._counts.total, sum(one["rows"] for one in written))
        return self._counts, written, self._put_rejects()

    def _batches(self, file: StoredFile) -> Iterator[Batch]:
        """Read the day's objects of a file; those that follow one another are one stream."""
        reader: Reader | None = None
        at = -1
        for one in file.on(self._day):
            if reader is None or one.begin != at:
                if reader is not None:
                    yield reader.finish()
                reader = Reader(self._options.timezone, one.begin)
            at = one.end
            self._sources.append(one)
            for piece in self._proven(one):
                if (batch := reader.feed(piece)) is not None:
                    yield batch
        if reader is not None:
            yield reader.finish()

    def _proven(self, one: StoredObject) -> Iterator[bytes]:
        """Read an object; that it is as it was stored is known when all of it is read, before anything is written."""
        digest, size = hashlib.sha256(), 0
        for piece in unpacked(one.key, self._hook.pieces(self._bucket, one.key)):
            digest.update(piece)
            size += len(piece)
            yield piece
        if (size, digest.hexdigest()) != (one.end - one.begin, one.sha256):
            raise VerificationError(
                f"{one.key} is not as it was stored: {size} bytes with SHA-256 {digest.hexdigest()}, the state says "
                f"{one.end - one.begin} with {one.sha256}; run audit_log_verify, and restore the object's first version"
            )

    def _count(self, batch: Batch) -> None:
        import pyarrow.compute as pc

        for found in pc.value_counts(batch.table["operation"]).to_pylist():
            records = self._counts.records
            records[found["values"]] = records.get(found["values"], 0) + found["counts"]
        self._counts.read_bytes += pc.sum(batch.table["length"], min_count=0).as_py()
        for reject in batch.rejects:
            self._counts.rejected[reject.reason] = self._counts.rejected.get(reject.reason, 0) + 1
            self._counts.read_bytes += len(reject.raw)

    def _placed(self, batch: Batch, number: int) -> Any:
        """Say of each record which object it is in, and its place: of one time, the order in the files counts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table, last = batch.table, len(self._sources) - 1
        begin = self._sources[-1].begin
        sources = pa.repeat(pa.scalar(last, pa.int32()), table.num_rows)
        if table.num_rows and pc.min(table["offset"]).as_py() < begin:
            sources = pa.array([self._source(offset) for offset in table["offset"].to_pylist()], pa.int32())
        table = table.append_column("source", sources)
        return table.append_column("sequence", pc.add(table["offset"], number * _LONGEST_FILE))

    def _source(self, offset: int) -> int:
        """Tell which object of the file that is read a record begins in."""
        place = len(self._sources) - 1
        while self._sources[place].begin > offset:
            place -= 1
        return place

    def _line(self, reject: Reject) -> bytes:
        about: dict[str, Any] = {
            "source_key": self._sources[self._source(reject.offset)].key,
            "source_offset": reject.offset,
            "length": len(reject.raw),
            "reason": reject.reason,
        }
        try:
            about["text"] = reject.raw.decode()
        except UnicodeDecodeError:
            about["base64"] = base64.b64encode(reject.raw).decode()
        return json.dumps(about, ensure_ascii=False).encode() + b"\n"

    def _written(self, sorter: Sorter) -> Iterator[dict[str, Any]]:
        sources = [(one.key, one.cluster) for one in self._sources]
        for happened in sorter.days():
            parts = parquet.write_parts(sorter.rows(happened), self._folder, self._origin, sources)
            for number, part in enumerate(parts):
                self._require(f"rows of {part.path.name}", part.rows, parquet.count_rows(part.path))
                key = compacted.parquet_key(self._options.prefix, happened, self._origin, self._day, number)
                digest = _digest(part.path)
                self._hook.put_file(self._bucket, key, part.path, digest)
                part.path.unlink()
                yield {"key": key, "rows": part.rows, "sha256": digest, "day": happened.isoformat()}

    def _put_rejects(self) -> str | None:
        if not self._counts.rejected:
            return None
        key = compacted.rejects_key(self._options.prefix, self._origin, self._day)
        self._hook.put_file(self._bucket, key, self._rejects, _digest(self._rejects))
        return key

    def _require(self, what: str, wanted: int, found: int) -> None:
        if wanted != found:
            raise VerificationError(
                f"{self._origin.instance} of {self._day}: {wanted} {what} were stored or read, but {found} were accounted for; "
                f"nothing says that they were compacted; report this"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(_HASHED_BYTES):
            digest.update(piece)
    return digest.hexdigest()
