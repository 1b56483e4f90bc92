"""
Check a refresh of any environment, as the refresh itself does, and show its whole plan. Changes nothing.

Settings, accounts, guards, snapshot, keys, network, quotas, users' secrets, masking rules against the real schema: all that
is wrong is said in one message. What is right becomes the plan: names, leftovers that would be cleared, how each table would
be masked, how long it takes and what it costs.

**When.** By hand, from the trigger form in Airflow, before a first refresh, after a change of settings, or to try parameters.

**Safe to run again?** Yes; it only reads.

**Triage.** `check` red: a parameter is wrong. `plan_refresh` red: the message names each field, value and what is allowed; the
refresh would end the same way. The plan is in the task's log, and in its XCom `plan`.
"""

from __future__ import annotations

from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.prepare import PlanRefreshOperator


@workflow(__doc__, records=False)
def utils_prepare_refresh(job: Job) -> None:
    """Place its task."""
    PlanRefreshOperator(
        task_id="plan_refresh",
        path=str(include() / "config"),
        sql_folder=str(include() / "sql"),
        environment=job["environment"],
        changes=job["changes"],
        **job.at("target"),
    )
