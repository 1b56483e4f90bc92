"""What is stored of a file, as items of the table of states, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aurora_ops.core.audit_logs.chain import FIRST
from aurora_ops.core.audit_logs.plan import Saved
from aurora_ops.core.audit_logs.prefix import Stretch

FILE, OBJECT, INSTANCE, LOOK = "file#", "object#", "instance#", "look"


def file_key(identity: str) -> str:
    """Give the sort key of a file."""
    return f"{FILE}{identity}"


def object_prefix(identity: str) -> str:
    """Give the beginning of the sort keys of a file's objects."""
    return f"{OBJECT}{identity}#"


def object_key(identity: str, begin: int) -> str:
    """Give the sort key of an object."""
    return f"{object_prefix(identity)}{begin:015d}"


def object_item(
    partition: str,
    identity: str,
    span: tuple[int, int],
    key: str,
    about: Mapping[str, str],
    *,
    stored_bytes: int,
    marks: list[Any] | None,
    now: datetime,
) -> dict[str, Any]:
    """Write the item of an object.

    :param partition: of its instance.
    :param identity: its file.
    :param span: bytes of the file, begin and end.
    :param key: its key in the bucket.
    :param about: its metadata: sha256, chain, source.
    :param stored_bytes: its size in the bucket.
    :param marks: what of it chunks could not carry; ``None``: nothing.
    :param now: when it is stored: what comes after midnight is of the next day.
    """
    begin, end = span
    return {
        "pk": partition,
        "sk": object_key(identity, begin),
        "key": key,
        "begin": begin,
        "end": end,
        "sha256": about["sha256"],
        "stored_bytes": stored_bytes,
        "chain": about["chain"],
        "stored_at": now.isoformat(),
        "source": about["source"],
        "marks": marks,
    }


def saved_of(item: Mapping[str, Any]) -> Saved:
    """Read the item of a file."""
    since, intent = item.get("behind_since"), item.get("intent_end")
    return Saved(
        identity=str(item["sk"]).removeprefix(FILE),
        name=str(item["name"]),
        size=int(item.get("size", 0)),
        last_written_ms=int(item.get("last_written", 0)),
        position=int(item.get("position", 0)),
        marker=item.get("marker"),
        marker_at=int(item.get("marker_at", 0)),
        chain=item.get("chain") or FIRST,
        status=item.get("status", "growing"),
        holes=int(item.get("holes", 0)),
        attempts=int(item.get("attempts", 0)),
        behind_since_ms=None if since is None else int(since),
        intent_end=None if intent is None else int(intent),
        first_seen=str(item.get("first_seen", ""))[:10],
        version=int(item.get("version", 0)),
    )


def stretch_of(item: Mapping[str, Any]) -> Stretch:
    """Read of the item of an object what proves its bytes."""
    return Stretch(int(item["begin"]), int(item["end"]), None if item.get("marks") else str(item["sha256"]))
