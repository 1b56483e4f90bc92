"""The trigger forms of what uses stored audit logs: their compaction and their verification."""

from __future__ import annotations

from airflow.sdk import Param

_SECTION = "Stored audit logs"


def compaction_params() -> dict[str, Param]:
    """Build the form; scheduled runs and backfills compact the day of their interval."""
    return {"day": _day("Day", "Day on which the logs were stored, in UTC; it has ended. Empty: yesterday.")}


def verification_params() -> dict[str, Param]:
    """Build the form."""
    return {
        "first_day": _day("First day", "First day on which the logs were stored, in UTC. Empty: yesterday."),
        "last_day": _day("Last day", "Last day on which they were stored. Empty: the first."),
        "instance": Param(
            None,
            type=["null", "string"],
            title="Instance",
            description="Resource id (DbiResourceId) of an instance, such as db-ABCDEFGHIJKLMNOPQRSTUVWXYZ. Empty: all.",
            pattern="^db-[A-Za-z0-9-]{1,62}$",
            examples=["db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
            section=_SECTION,
        ),
    }


def _day(title: str, description: str) -> Param:
    return Param(
        None, type=["null", "string"], format="date", title=title, description=description, section=_SECTION,
        examples=["2026-11-21"],
    )  # fmt: skip
