"""The trigger form of the backup of audit logs."""

from __future__ import annotations

from airflow.sdk import Param


def backup_params() -> dict[str, Param]:
    """Build the form; scheduled runs back up everything."""
    return {
        "dry_run": Param(
            False,
            type="boolean",
            title="Only show the plan",
            description="List which instances have something new, and how much of it; nothing is read or stored.",
            section="Audit logs",
        ),
        "instance": Param(
            None,
            type=["null", "string"],
            title="Instance",
            description="Back up this instance only, such as prod-shop-1. Empty: all.",
            pattern="^[a-z][a-z0-9-]{0,62}$",
            examples=["prod-shop-1"],
            section="Audit logs",
        ),
    }
