"""The manifest of an instance's day: what was offered, what is stored of it, and what was read of that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from aurora_ops.core.audit_logs.parquet import Origin
from aurora_ops.core.audit_logs.stored import DAY, MANIFESTS, Counts, StoredFile

VERSION = 1
_MOST_NAMED = 20


def build(
    day: date,
    origin: Origin,
    files: Sequence[StoredFile],
    counts: Counts,
    *,
    written: Sequence[Mapping[str, Any]],
    rejects_key: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Put a manifest together.

    :param day: day on which objects were stored, in UTC.
    :param origin: whose.
    :param files: files that had objects stored that day, or that were not stored whole; with all their objects.
    :param counts: what was read of the day's objects.
    :param written: Parquet files: ``key``, ``rows``, ``sha256``, ``day``.
    :param rejects_key: where what is no record is kept.
    :param now: when this is said: offered and stored may have grown since the day.
    """
    of_day = [one for file in files for one in file.on(day)]
    gaps = [{"file": file.identity, "begin": begin, "end": end} for file in files for begin, end in file.gaps()]
    broken = [name for file in files for name in file.broken()]
    return {
        "version": VERSION,
        "day": day.isoformat(),
        "account_id": origin.account_id,
        "region": origin.region,
        "instance": origin.instance,
        "as_of": now.isoformat(),
        "offered": sum(file.size for file in files),
        "stored": sum(file.position for file in files),
        "gaps": gaps,
        "duplicates": sum(file.duplicates() for file in files),
        "objects": len(of_day),
        "bytes": sum(one.end - one.begin for one in of_day),
        "stored_bytes": sum(one.stored_bytes for one in of_day),
        "marks": dict(Counter(mark for one in of_day for mark in one.marks)),
        "records": dict(sorted(counts.records.items())),
        "rejected": dict(sorted(counts.rejected.items())),
        "rejects_key": rejects_key,
        "files": dict(Counter(file.status for file in files)),
        "chain_ok": not broken,
        "broken": broken[:_MOST_NAMED],
        "heads": [
            {"file": file.identity, "position": file.objects[-1].end, "chain": file.objects[-1].chain}
            for file in files
            if file.objects
        ],
        "parquet": list(written),
    }


def item(manifest: Mapping[str, Any], content: bytes, key: str) -> dict[str, Any]:
    """Write a manifest as an item of the table of states: its figures, and where all of it is.

    :param manifest: from ``build``.
    :param content: the same as it is stored.
    :param key: where that is.
    """
    kept = (
        "offered",
        "stored",
        "duplicates",
        "objects",
        "bytes",
        "stored_bytes",
        "marks",
        "records",
        "files",
        "chain_ok",
        "as_of",
    )
    return {
        "pk": f"{MANIFESTS}{manifest['account_id']}#{manifest['region']}#{manifest['instance']}",
        "sk": f"{DAY}{manifest['day']}",
        **{name: manifest[name] for name in kept},
        "gaps": len(manifest["gaps"]),
        "gap_bytes": sum(gap["end"] - gap["begin"] for gap in manifest["gaps"]),
        "rejected": sum(manifest["rejected"].values()),
        "key": key,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def superseded(earlier: bytes | None, manifest: Mapping[str, Any]) -> list[str]:
    """Name what an earlier run of the same day has written that this one has not: it is to be taken away.

    :param earlier: the manifest that stands there; ``None``: none does.
    :param manifest: the new one.
    """
    if earlier is None:
        return []
    return sorted(_keys(json.loads(earlier)) - _keys(manifest))


def _keys(manifest: Mapping[str, Any]) -> set[str]:
    rejects = manifest["rejects_key"]
    return {one["key"] for one in manifest["parquet"]} | ({rejects} if rejects else set())


def worries(manifest: Mapping[str, Any]) -> list[str]:
    """Say what of a manifest a person should know; nothing where all is well."""
    found = []
    if manifest["gaps"]:
        missing = sum(gap["end"] - gap["begin"] for gap in manifest["gaps"])
        found.append(f"{missing} bytes before what is stored are missing, in {len(manifest['gaps'])} gaps")
    if manifest["duplicates"]:
        found.append(f"{manifest['duplicates']} bytes are stored more than once")
    if manifest["broken"]:
        found.append(f"the chain is broken at {', '.join(manifest['broken'])}")
    files = manifest["files"]
    found += [f"{files[status]} files are {status}" for status in ("lost", "truncated", "partial") if status in files]
    if manifest["marks"]:
        found.append(f"{sum(manifest['marks'].values())} places are not as the server wrote them")
    if rejected := sum(manifest["rejected"].values()):
        found.append(f"{rejected} lines are no records; they are in {manifest['rejects_key']}")
    return found
