"""Making a record fit where it is written: an item of DynamoDB, a message of SNS. The report has everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

ITEM_BYTES = 400 * 1024
_MOST_WARNINGS, _LONGEST_WARNING = 50, 300
_NAMED = ("failed", "upstream_failed")


def item_bytes(value: Any) -> int:
    """Bytes that DynamoDB counts for a value, never less than it does.

    By its rules: UTF-8 of texts and names, at most 21 for a number, 3 for a list or map and 1 for each of its elements.
    """
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return 3 + sum(len(str(key).encode()) + item_bytes(inner) + 1 for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return 3 + sum(item_bytes(inner) + 1 for inner in value)
    return 1 if value is None or isinstance(value, bool) else 21


def json_bytes(value: Any) -> int:
    """Bytes of a value as JSON that stands as text inside other JSON."""
    return len(json.dumps(json.dumps(value, default=str)).encode())


def fitted(record: Mapping[str, Any], most_bytes: int, measure: Callable[[Any], int]) -> dict[str, Any]:
    """Shorten a record until it fits, least important things first; what is left out is counted.

    First each warning and their number, then what is known of steps, then steps (failed and long ones stay), at last lists
    in plan and parameters.

    :param record: from ``run_record.build``.
    :param most_bytes: what fits.
    :param measure: tells the bytes of a record.
    """
    found = dict(record)
    for shorten in (_fewer_warnings, _shorter_steps, _fewer_steps, _shorter_plan, _least):
        if measure(found) <= most_bytes:
            break
        found = shorten(found)
    return found


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def warnings_cut(warnings: list[str], most: int = _MOST_WARNINGS, longest: int = _LONGEST_WARNING) -> list[str]:
    """Keep some warnings, each of a bounded length, and say how many are left out."""
    kept = [_cut(warning, longest) for warning in warnings[:most]]
    more = len(warnings) - len(kept)
    return [*kept, f"... and {more} more"] if more else kept


def _fewer_warnings(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"warnings": warnings_cut(record["warnings"])}


def _shorter_steps(record: dict[str, Any]) -> dict[str, Any]:
    keys = ("state", "tries", "duration_s")
    steps = {name: {key: found[key] for key in keys if key in found} for name, found in record["steps"].items()}
    return record | {"steps": steps}


def _fewer_steps(record: dict[str, Any], most: int = 100) -> dict[str, Any]:
    def weight(name: str) -> tuple[bool, float]:
        found = record["steps"][name]
        return (found["state"] in _NAMED, float(found.get("duration_s", 0)))

    kept = sorted(sorted(record["steps"], key=weight, reverse=True)[:most])
    left_out = record.get("steps_left_out", 0) + len(record["steps"]) - len(kept)
    path = record.get("critical_path", [])
    return record | {
        "steps": {name: record["steps"][name] for name in kept},
        "steps_left_out": left_out,
        "critical_path": [name for name in path if name in kept],
    }


def _shorter_plan(record: dict[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if isinstance(value, str):
            return _cut(value, 200)
        if isinstance(value, list):
            return [short(inner) for inner in value[:20]] + ([f"... {len(value)} in all"] if len(value) > 20 else [])
        return value

    return record | {
        part: {_cut(key, 100): short(value) for key, value in list(record.get(part, {}).items())[:60]}
        for part in ("plan", "conf")
    }


def _least(record: dict[str, Any]) -> dict[str, Any]:
    few = _fewer_steps(record, most=10) | {"warnings": warnings_cut(record["warnings"], most=5)}
    return {key: value for key, value in few.items() if key not in ("plan", "conf", "groups")} | {
        "plan": {},
        "conf": {},
    }
