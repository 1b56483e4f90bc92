"""The trigger forms of snapshot exports and of their setup."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Param


def export_params(databases: Sequence[str]) -> dict[str, Param]:
    """Build the form; scheduled runs and backfills export what is due in their interval.

    :param databases: names of the exports.
    """
    return {
        "database": _database(databases, "Export snapshots of this database only. Empty: of all of them.", "Export"),
        "snapshot_arn": Param(
            None,
            type=["null", "string"],
            title="Snapshot",
            description="ARN of the snapshot to export, whatever its kind and day. Empty: the newest that is due.",
            pattern="^arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:(cluster-)?snapshot:.+$",
            examples=["arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:rds:prod-shop-2026-11-01-02-03"],
            section="Export",
        ),
        "again": Param(
            False,
            type="boolean",
            title="Try again",
            description="Export also snapshots whose export was cancelled, or has failed as often as is tried unasked.",
            section="Export",
        ),
        "dry_run": _dry_run("Show what would be exported and why, and what not; nothing is started.", "Export"),
    }


def setup_params(databases: Sequence[str]) -> dict[str, Param]:
    """Build the form of the setup.

    :param databases: names of the exports.
    """
    return {
        "database": _database(
            databases,
            "Make what this database's exports need, and the queue of its account. Empty: of all of them.",
            "Setup",
        ),
        "dry_run": _dry_run(
            "Show stacks, parameters, changes and warnings; nothing is made or changed.",
            "Setup",
        ),
    }


def _database(databases: Sequence[str], description: str, section: str) -> Param:
    return Param(
        None,
        type=["null", "string"],
        enum=[None, *databases],
        title="Database",
        description=description,
        section=section,
    )


def _dry_run(description: str, section: str) -> Param:
    return Param(False, type="boolean", title="Only show the plan", description=description, section=section)
