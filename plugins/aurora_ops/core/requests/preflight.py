"""The request of the preflight."""

from __future__ import annotations

from pydantic import Field

from aurora_ops.core.requests.base import Request


class Preflight(Request):
    """Look at everything that an environment's settings name."""

    write_report: bool = Field(
        default=False,
        title="Write a report",
        description="Write the table as a page and as JSON to orchestrator.report_bucket: the only thing that is written.",
    )
