"""What a verification of stored logs has found, and the report of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from aurora_ops.core.audit_logs.stored import StoredFile
from aurora_ops.core.table_page import Table, tables_page

VERSION = 1
MOST_FINDINGS = 500
_RESTORE = "restore its first version (docs/how-to/audit-logs.md), and find out in CloudTrail who changed it"
_AGAIN = "run audit_log_compact for that day again"


class Finding(NamedTuple):
    """Something that is not as it should be.

    :param verdict: ``fail``, or ``warn`` where nothing stored is concerned.
    :param instance: resource id.
    :param subject: object, file or manifest.
    :param found: what is wrong with it.
    :param remedy: what to do.
    """

    verdict: str
    instance: str
    subject: str
    found: str
    remedy: str


class Seen(NamedTuple):
    """What an instance's logs are like.

    :param instance: resource id.
    :param files: files that were looked at.
    :param objects: objects that were read.
    :param bytes: of them, uncompressed.
    """

    instance: str
    files: int
    objects: int
    bytes: int


def of_files(instance: str, files: Iterable[StoredFile]) -> list[Finding]:
    """Judge what the states say of files: nothing missing, nothing twice, and every object tied to the one before it."""
    found = []
    for file in files:
        for begin, end in file.gaps():
            found.append(
                Finding(
                    "fail", instance, file.identity, f"bytes {begin} to {end} are in no object", "see its state's error"
                )
            )
        if twice := file.duplicates():
            found.append(Finding("fail", instance, file.identity, f"{twice} bytes are in two objects", "compare both"))
        for name in file.broken():
            text = "the chain of hashes is broken: an object before it, or what the state says of it, was changed"
            found.append(Finding("fail", instance, name, text, "restore the state table to a time before, and compare"))
    return found


def of_object(instance: str, key: str, wanted: tuple[int, str], found: tuple[int, str] | str | None) -> list[Finding]:
    """Judge an object.

    :param instance: resource id.
    :param key: its key.
    :param wanted: length and SHA-256 that it was stored with.
    :param found: the same as it was read; why it could not be; ``None`` where it is gone.
    """
    if found == wanted:
        return []
    if found is None:
        text = "it is gone"
    elif isinstance(found, str):
        text = found
    elif found[0] != wanted[0]:
        text = f"it has {found[0]} bytes, and was stored with {wanted[0]}"
    else:
        text = f"its SHA-256 is {found[1]}, and it was stored with {wanted[1]}"
    return [Finding("fail", instance, key, text, _RESTORE)]


def of_manifest(
    instance: str,
    day: date,
    item: Mapping[str, Any] | None,
    contents: Sequence[bytes],
    files: Sequence[StoredFile],
) -> list[Finding]:
    """Judge the manifest of a day, and by each of its versions whether the states have been changed since.

    :param instance: resource id.
    :param day: the day.
    :param item: what the table of states says of it; ``None`` where nothing.
    :param contents: the manifest and its earlier versions, the newest first; none where there is none.
    :param files: files as the states say they are.
    """
    subject = f"manifest of {day}"
    stored = sum(len(file.on(day)) for file in files)
    if item is None and not contents:
        return [Finding("warn", instance, subject, "there is none", _AGAIN)] if stored else []
    if item is None or not contents:
        what = "the table of states" if item is None else f"the bucket ({item['key']})"
        return [Finding("fail", instance, subject, f"it is not in {what}", _AGAIN)]
    if hashlib.sha256(contents[0]).hexdigest() != item["sha256"]:
        return [Finding("fail", instance, str(item["key"]), "it is not what was written", _RESTORE)]
    known = {(file.identity, one.end): one.chain for file in files for one in file.objects}
    versions = [json.loads(content) for content in contents]
    told = {(head["file"], head["position"], head["chain"]) for version in versions for head in version["heads"]}
    found = [
        Finding(
            "fail",
            instance,
            file,
            f"the states do not say any more what the {subject} says of byte {position}",
            "restore the table of states to a time before, and compare",
        )
        for file, position, chain in sorted(told)
        if known.get((file, position)) != chain
    ]
    if versions[0]["objects"] < stored:
        text = f"{stored - versions[0]['objects']} objects were stored after it was written"
        found.append(Finding("warn", instance, subject, text, _AGAIN))
    return found


def stray(instance: str, keys: Iterable[str]) -> list[Finding]:
    """Name objects that no state knows of."""
    text = "it is in the bucket, and no state says so"
    return [Finding("warn", instance, key, text, "a try that was killed leaves one, which is adopted") for key in keys]


def data(
    environment: str,
    first: date,
    last: date,
    seen: Sequence[Seen],
    findings: Sequence[Finding],
    *,
    run: str,
    now: datetime,
) -> dict[str, Any]:
    """Put the report together.

    :param environment: whose.
    :param first: first day on which objects were stored.
    :param last: last one.
    :param seen: instances.
    :param findings: what is wrong.
    :param run: ``<dag id>/<run id>``.
    :param now: now.
    """
    return {
        "version": VERSION,
        "environment": environment,
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "run": run,
        "at": now.isoformat(),
        "counts": {
            "instances": len(seen),
            "files": sum(one.files for one in seen),
            "objects": sum(one.objects for one in seen),
            "bytes": sum(one.bytes for one in seen),
            "fail": sum(one.verdict == "fail" for one in findings),
            "warn": sum(one.verdict == "warn" for one in findings),
        },
        "instances": [one._asdict() for one in seen],
        "findings": [one._asdict() for one in findings],
    }


def page(told: Mapping[str, Any]) -> bytes:
    """Write the report as a page.

    :param told: from ``data``.
    """
    counts = told["counts"]
    wrong: dict[str, set[str]] = {}
    for one in told["findings"]:
        wrong.setdefault(one["instance"], set()).add(one["verdict"])
    verdicts = {name: "fail" if "fail" in found else "warn" for name, found in wrong.items()}
    return tables_page(
        f"Audit logs of {told['environment']}, {told['first_day']} to {told['last_day']}",
        about=[f"Verified by {told['run']} at {told['at']}", "Every object was read again and compared with its hash."],
        figures=[(name, f"{counts[name]:,}") for name in ("objects", "bytes", "fail", "warn")],
        tables=[
            Table(
                "What is wrong",
                ("", "instance", "of", "found", "remedy"),
                [
                    (one["verdict"], one["instance"], one["subject"], one["found"], one["remedy"])
                    for one in sorted(told["findings"], key=lambda one: one["verdict"])
                ],
            ),
            Table(
                "Instances",
                ("", "instance", "files", "objects", "bytes"),
                [
                    (
                        verdicts.get(one["instance"], "pass"),
                        one["instance"],
                        *(f"{one[name]:,}" for name in ("files", "objects", "bytes")),
                    )
                    for one in told["instances"]
                ],
            ),
        ],
    )
