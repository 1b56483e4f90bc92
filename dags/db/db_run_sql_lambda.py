"""
Run SQL that is typed in on a cluster of the target's account, from the worker or through a Lambda function in the VPC.

Where `database.sql_function` of the environment names a function, it is given the statements and runs them near the database;
`include/lambda/run_sql.py` is such a function. Otherwise the worker connects itself. What statements answer is neither kept
nor logged.

**When.** By hand, from the trigger form in Airflow, for a small correction. Files belong into `db_run_sql_from_s3`.

**Safe to run again?** Yes. Clearing the task of a run from the worker goes on behind what has taken effect, and does nothing
where all has. A new run is a new order, and runs the SQL again, as does clearing one that went through a function.

**Triage.** `check` red: the message names field or line, and what is allowed; nothing was run. `run_sql` red: the message names
line and statement, and whether it is known that it had no effect. *never run from here*: users, passwords and the server's own
settings. A function that fails says more in its log group.
"""

from __future__ import annotations

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.scripts import RunSqlOperator


@workflow(__doc__, locks=True)
def db_run_sql_lambda(job: Job) -> None:
    """Place its task."""
    RunSqlOperator(
        task_id="run_sql",
        cluster_id=job["cluster"],
        database=job["database"],
        sql=job["sql"],
        function=job["function"],
        allow_destructive=job["allow_destructive"],
        run_key=job["run_key"],
        tls_ca=job["tls_ca"],
        **job.at("target"),
    )
