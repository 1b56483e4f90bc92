"""The trigger form of the setup of exports."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Param


def setup_params(databases: Sequence[str]) -> dict[str, Param]:
    """Build the form.

    :param databases: names of the exports.
    """
    return {
        "database": Param(
            None,
            type=["null", "string"],
            enum=[None, *databases],
            title="Database",
            description="Make what this database's exports need, and the queue of its account. Empty: of all of them.",
            section="Setup",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Only show the plan",
            description="Show stacks, parameters, changes and warnings; nothing is made or changed.",
            section="Setup",
        ),
    }
