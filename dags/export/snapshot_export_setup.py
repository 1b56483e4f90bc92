"""
Make what exports of snapshots need in the accounts of their databases, with CloudFormation; change it when the settings change.

One Airflow DAG for each file in `include/config/` with a section `exports`. In each account and region a stack of events: topic,
queue with dead letters, event subscriptions of RDS. For each database a stack with its bucket (closed, encrypted, with the
lifecycle of `retention`), key, role of RDS, Glue database, Athena work group, and a Glue crawler where `catalogue.by` is `crawler`.
What the settings name themselves (bucket, role, key, work group, queue) is not made. Bucket and key outlive their stack.

**When.** By hand, after a database was added to the file or its settings were changed: *Trigger*, with *Only show the plan* first.
Adding a database is one block of YAML and one trigger. The role of the account needs its policy `setup-*.json` meanwhile, and only
then: it can make roles. `docs/how-to/snapshot-export.md`.

**Safe to run again?** Yes: a stack that is as it should be is left alone, one that is being made or changed is waited for.

**Triage.** `plan_setup` red: settings, a connection, or a stack of that name that is not this environment's. `ensure_events`,
`ensure_databases` red: the resource that failed first is named, with AWS's reason; a stack that existed is as it was before, one
that was never complete is deleted and made anew when the task is cleared. *Already exists*: bucket or key of an earlier stack are
there still; name them in the settings. Warnings stand in the note of the run and in the log of `plan_setup`.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import defaults_of
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.export_params import setup_params
from aurora_ops.dagkit.paths import include
from aurora_ops.task_groups.export.setup import set_exports_up


def setting_up(environment: Configured) -> None:
    """Build the DAG of an environment; none where its file has no such section, or is wrong, which the refresh's DAG says."""
    settings = environment.settings
    if settings is None or settings.exports is None:
        return

    @dag(
        **defaults_of(environment.name),
        dag_id=f"snapshot_export_setup_{environment.name}",
        schedule=None,
        params=setup_params([database.name for database in settings.exports.databases]),
        description=f"Makes what exports of {environment.name}'s snapshots need, with CloudFormation",
        doc_md=__doc__,
        tags=["export", environment.name],
    )
    def snapshot_export_setup() -> None:
        set_exports_up(settings, environment.path, include() / "templates")

    snapshot_export_setup()


for one_environment in configured():
    setting_up(one_environment)
