"""
Write a notice into the table of runs, and announce it on the environment's topic.

Each is attempted whatever becomes of the other, so a notice always gets out somewhere; a failure of either is the run's.

**When.** By hand from the trigger form in Airflow, or by other systems through its API: with subject, message, outcome, and
where there is one, cause and duration.

**Safe to run again?** Yes. Clearing the task writes the same item; it is announced again.

**Triage.** `check` red: the message names field, value and what is allowed. `notify` red: the message says whether table or
topic refused, and why.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.notices import NotifyOperator


@workflow(__doc__, records=False)
def utils_notify(job: Job) -> None:
    """Place its task."""
    NotifyOperator(
        task_id="notify",
        table=job["runs_table"],
        topic_arn=job["topic_arn"],
        environment=job["environment"],
        subject=job["subject"],
        message=job["message"],
        outcome=job["outcome"],
        cause=job["cause"],
        duration_s=job["duration_s"],
        keep_days=job["records_kept_days"],
        **job.at("orchestrator"),
    )
