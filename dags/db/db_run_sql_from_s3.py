"""
Run the SQL scripts below a prefix of the environment's bucket on a cluster of the target's account.

In the order of their keys, statement by statement, each script at most once: a table beside the data,
`aurora_ops_scripts.ledger`, knows what has run on this database. The first error ends the run and names file, line and
statement. What statements answer is neither kept nor logged.

**When.** By hand, from the trigger form in Airflow: after a refresh that was done by hand, for a release, for a repair.

**Safe to run again?** Yes. What has run is skipped; a script that has stopped half-way is refused until *Which scripts* says
`resume` (go on with the next statement) or `all` (begin again). After a refresh the data are new, and everything runs again.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was run. `run_scripts` red: the message
names file, line and how many statements have taken effect; mend the file from that statement on, and run with `resume`. *never
run from here*: users, passwords and the server's own settings are not for scripts.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.scripts import RunScriptsOperator


@workflow(__doc__, locks=True)
def db_run_sql_from_s3(job: Job) -> None:
    """Place its task."""
    RunScriptsOperator(
        task_id="run_scripts",
        cluster_id=job["cluster"],
        database=job["database"],
        bucket=job["bucket"],
        prefix=job["prefix"],
        pattern=job["pattern"],
        mode=job["mode"],
        allow_destructive=job["allow_destructive"],
        run_key=job["run_key"],
        tls_ca=job["tls_ca"],
        **job.at("target"),
    )
