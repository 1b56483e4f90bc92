"""The report of a run: one page that needs nothing else, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aurora_ops.core import pages
from aurora_ops.core.timeline_svg import KIND_NAMES, MOST_ROWS, picture

SCHEMA_VERSION = 1
_MOST_STEPS = 1000
_NAMES = (
    "target_cluster",
    "temporary_cluster",
    "old_cluster",
    "copy_snapshot_id",
    "rekeyed_snapshot_id",
    "fresh_snapshot_id",
)


def data(
    record: Mapping[str, Any],
    *,
    timings: Mapping[str, Any],
    results: Mapping[str, Any],
    upstream: Mapping[str, Sequence[str]],
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """Put the content of the report together; ``report.json`` is this.

    :param record: from ``run_record.build``, with ``links``.
    :param timings: step to its XCom ``timing``.
    :param results: step to its result; identifiers and counts only, never values of a database.
    :param upstream: step to the steps right before it.
    :param versions: software to its version.
    """
    columns, survivors = _masking(results)
    return {
        "schema_version": SCHEMA_VERSION,
        **{key: value for key, value in record.items() if key not in ("pk", "sk", "expires_at", "schema_version")},
        "record": {"pk": record["pk"], "sk": record["sk"]},
        "masking": {"columns_proven": columns, "survivors": survivors},
        "results": {
            name: dict(value) for name, value in sorted(results.items()) if isinstance(value, Mapping) and value
        },
        "spans": {name: list((timing or {}).get("spans", ())) for name, timing in sorted(timings.items())},
        "upstream": {name: sorted(above) for name, above in sorted(upstream.items())},
        "versions": dict(versions),
    }


def _masking(results: Mapping[str, Any]) -> tuple[dict[str, int], int | None]:
    """Find the proof among the results: columns with the number of their originals, and how many survived."""
    for name, result in results.items():
        if name.endswith("prove_mask") and isinstance(result, Mapping):
            columns = result.get("columns")
            return dict(columns) if isinstance(columns, Mapping) else {}, result.get("survivors")
    return {}, None


def as_json(content: Mapping[str, Any]) -> bytes:
    """Write the content as JSON."""
    return json.dumps(content, indent=1, default=str, ensure_ascii=False).encode("utf-8", "replace")


def as_html(content: Mapping[str, Any], *, started: float, ended: float) -> bytes:
    """Write the content as a page: no script, nothing loaded from elsewhere, everything escaped.

    :param content: from ``data``.
    :param started: epoch seconds at which the run began.
    :param ended: epoch seconds at which it ended.
    """
    steps = content["steps"]
    order = sorted(steps, key=lambda name: (steps[name].get("started", float("inf")), name))
    svg = picture(steps, content["spans"], content["upstream"], content["critical_path"], started=started, ended=ended)
    return pages.render(
        "report.html.j2",
        report=content,
        names={key: content["plan"][key] for key in _NAMES if content["plan"].get(key)},
        plan={key: value for key, value in content["plan"].items() if key not in _NAMES},
        order=order[:_MOST_STEPS],
        left_out=max(len(order) - _MOST_STEPS, 0),
        rows_cut=sum("ended" in step for step in steps.values()) > MOST_ROWS,
        kinds={kind: name for kind, name in KIND_NAMES.items() if kind in content["time_s"]},
        total=max(sum(content["time_s"].values()), 0.001),
        timeline=svg,
    )
