"""
Find what dead runs of the refresh left in any account, report it, and remove what has expired.

Looks, in every account and region of every file in `include/config/`, for clusters, instances, snapshots and copies, shares,
grants, dumped tables, unread versions of secrets, and void locks. A thing goes only if it is ours by its tags (or name), its
expiry has passed, no live lock of a target could concern it, and nothing serves from it; all of that is looked at again right
before. What is in doubt stays and is reported.

**When.** Daily at 15:00 UTC: by then the lock of a run that died at night is void. Scheduled runs remove only where every
environment of the account says `safety.reap: remove`; otherwise they report. By hand with *Trigger*: `Only report` is on.

**Safe to run again?** Yes, at any point; a second run finds nothing.

**Triage.** `check` red: a parameter, a file or a connection is wrong; nothing was looked at. `reap_*` red: the message names each
thing that could not be removed, and why; everything else was. *to look at* in the announcement: something of ours has no readable
expiry or is in a place where it should not be; see `docs/how-to/reaper.md`.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import DAG_DEFAULTS
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.reap_params import reap_params
from aurora_ops.dagkit.schedules import daily_at
from aurora_ops.task_groups.utils.reap import check, reap_everywhere


def reaper(environments: list[Configured]) -> None:
    """Build the DAG; without any environment there is none."""
    settings = [environment.settings for environment in environments if environment.settings]

    @dag(
        **DAG_DEFAULTS,
        dag_id="reap_expired",
        schedule=daily_at(15),
        params=reap_params([environment.name for environment in environments]),
        description="Finds what dead runs left in every account, and removes what has expired",
        doc_md=__doc__,
        tags=["utils", "reaper"],
    )
    def reap_expired() -> None:
        checked = check(settings, include() / "config")
        reap_everywhere(settings, checked)

    reap_expired()


if every_environment := list(configured()):
    reaper(every_environment)
