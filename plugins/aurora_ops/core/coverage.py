"""Coverage: what is known about every column after masking, and which columns are new since the last run."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

SCHEMA_VERSION = 1
# What is said of a column, and what it means in the report.
Status = Literal["masked", "kept", "target", "clean", "found", "unreadable", "unscanned"]
STATUSES: dict[Status, str] = {
    "masked": "masked by rule",
    "kept": "kept by decision",
    "target": "rows of the target itself, loaded after masking",
    "clean": "scanned, nothing found, or it can hold no text",
    "found": "looks like personal data",
    "unreadable": "nothing found in what is text; some values are no text",
    "unscanned": "the scan is off",
}
_LISTED = 20
_NAME_BYTES = 6  # of a digest of a name: among 50,000 columns two are alike once in 200,000 runs
_NAMES_AN_ITEM = 50_000  # an item of DynamoDB holds at most 400 KB


@dataclass(frozen=True)
class Covered:
    """What is known about a column.

    :param column: ``schema.table.column``.
    :param type: its type.
    :param status: one of ``STATUSES``.
    :param how: masker and proof, reason, or what cannot be scanned.
    :param found: values that look like personal data, by kind.
    :param decided: whether a rule says what becomes of it, or it can hold no text.
    :param new: whether the last run that passed did not have it.
    """

    column: str
    type: str
    status: Status
    how: str = ""
    found: Mapping[str, int] = field(default_factory=dict)
    decided: bool = False
    new: bool = False


def described(found: Mapping[str, int]) -> str:
    """Say how many values of which kind were found, such as ``email 3, card 1``."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()))


def listed(names: Sequence[str], most: int = _LISTED) -> str:
    """List names, not more than so many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def packed(covered: Sequence[Covered]) -> str:
    """Write coverage as short text, for handing it to another task: 10,000 columns take about 100 KB."""
    rows = [[c.column, c.type, c.status, c.how, dict(c.found), c.decided] for c in covered]
    raw = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpacked(text: str) -> list[Covered]:
    """Read what ``packed`` wrote."""
    return [Covered(*row) for row in json.loads(zlib.decompress(base64.b64decode(text)))]


def name_digest(column: str) -> bytes:
    """Shorten the name of a column for remembering it."""
    return hashlib.blake2b(column.encode(), digest_size=_NAME_BYTES).digest()


def remembered(columns: Iterable[str]) -> list[bytes]:
    """Write the names of columns as values of items: digests one after the other, few enough for an item each."""
    digests = sorted(name_digest(column) for column in columns)
    return [b"".join(digests[n : n + _NAMES_AN_ITEM]) for n in range(0, len(digests), _NAMES_AN_ITEM)] or [b""]


def recalled(values: Iterable[bytes]) -> set[bytes]:
    """Read what ``remembered`` wrote."""
    return {value[n : n + _NAME_BYTES] for value in values for n in range(0, len(value), _NAME_BYTES)}


def compared(covered: Sequence[Covered], known: set[bytes] | None) -> list[Covered]:
    """Mark the columns that are new.

    :param covered: the columns.
    :param known: those of the last run that passed; ``None``: there was none, so nothing can be said to be new.
    """
    if known is None:
        return list(covered)
    return [replace(c, new=name_digest(c.column) not in known) for c in covered]


def undecided(covered: Sequence[Covered]) -> list[str]:
    """Name the columns that are new, can hold text, and that no rule decides about."""
    return [c.column for c in covered if c.new and not c.decided]


def summary(covered: Sequence[Covered]) -> dict[str, Any]:
    """Sum coverage up: columns, how many of each status, and the names of new ones."""
    counts = Counter(c.status for c in covered)
    new = [c.column for c in covered if c.new]
    return {
        "columns": len(covered),
        "statuses": {status: counts[status] for status in STATUSES if counts[status]},
        "new": new[:_LISTED],
        "new_count": len(new),
    }


def as_json(covered: Sequence[Covered], **about: Any) -> bytes:
    """Write the report for machines.

    :param covered: the columns.
    :param about: what else to say: run, environment.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        **about,
        **summary(covered),
        "coverage": [asdict(c) for c in covered],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def as_table(covered: Sequence[Covered]) -> list[str]:
    """Write the report for people: a line for each column, the remarkable ones first."""
    order: list[Status] = ["found", "unreadable", "unscanned", "kept", "target", "masked", "clean"]
    rows = sorted(covered, key=lambda c: (not c.new, order.index(c.status), c.column))
    width = max((len(c.column) for c in rows), default=6)
    return [
        f"{c.column:<{width}}  {'new ' if c.new else '    '}{c.status:<10}  {c.type}"
        + "".join(f"  {text}" for text in (c.how, described(c.found)) if text)
        for c in rows
    ]
