"""The trigger forms of what removes things unattended: the reaper, snapshot retention."""

from __future__ import annotations

from airflow.sdk import Param


def reap_params(environments: list[str]) -> dict[str, Param]:
    """Build the form. It counts for runs by hand; what scheduled runs remove stands in each environment's ``safety.reap``.

    :param environments: names of the environments that have a file.
    """
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Only report",
            description="Find and list what has expired, and remove nothing. Switch it off to remove.",
            section="Reaper",
        ),
        "environment": Param(
            None,
            type=["null", "string"],
            title="Environment",
            description="Look only at the accounts of this environment. Empty: all.",
            enum=[None, *environments],
            section="Reaper",
        ),
        "min_age_h": Param(
            0,
            type="number",
            title="Least age (hours)",
            description="Leave alone what is younger, even if it has expired. 0: the expiry alone decides.",
            minimum=0,
            maximum=24 * 366,
            section="Reaper",
        ),
    }


def retention_params() -> dict[str, Param]:
    """Build the form. It counts for runs by hand; what scheduled runs do stands in the environment's ``retention.dry_run``."""
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Only show the plan",
            description="Decide on every snapshot and list what would be copied and deleted. Switch it off to do it.",
            section="Snapshot retention",
        )
    }
