"""The report of a verification: one page that needs nothing else, and the same as JSON. Counts and names, never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aurora_ops.core import pages
from aurora_ops.core.tables import Table
from aurora_ops.core.verification import Finding, failures

SCHEMA_VERSION = 1
_MOST_ROWS = 1000
_KINDS = {
    "tls": "TLS",
    "tables": "Tables",
    "rows": "Rows",
    "freshness": "Freshness",
    "checksum": "Checksums",
    "foreign key": "Foreign keys",
    "query": "Queries",
    "user": "Users",
}


def data(
    findings: Sequence[Finding],
    counts: Mapping[Table, int],
    *,
    cluster_id: str,
    started: datetime,
    ended: datetime,
    **about: Any,
) -> dict[str, Any]:
    """Put the content of the report together; ``verification.json`` is this.

    :param findings: what was found.
    :param counts: rows of each table.
    :param cluster_id: what was checked.
    :param started: when it began.
    :param ended: when it ended.
    :param about: what else to say of it: run, environment, suite, baseline, moment of the data, versions.
    """
    failed = failures(findings)
    return {
        "schema_version": SCHEMA_VERSION,
        "cluster_id": cluster_id,
        "outcome": "failed" if failed else "passed",
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "seconds": round((ended - started).total_seconds(), 1),
        **about,
        "checks": len(findings),
        "failed": len(failed),
        "tables": len(counts),
        "rows": sum(counts.values()),
        "findings": [found._asdict() for found in findings],
        "row_counts": {str(table): count for table, count in sorted(counts.items())},
    }


def as_html(content: Mapping[str, Any]) -> bytes:
    """Write the content as a page.

    :param content: from ``data``.
    """
    kinds = {title: [found for found in content["findings"] if found["kind"] == kind] for kind, title in _KINDS.items()}
    return pages.render(
        "verification.html.j2",
        report=content,
        kinds={title: found for title, found in kinds.items() if found},
        wrong=[found for found in content["findings"] if not found["passed"]][:_MOST_ROWS],
        most=_MOST_ROWS,
    )
