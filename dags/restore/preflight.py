"""
Check every prerequisite of an environment, and print a table of pass, warn and fail with the remedy for each. Changes nothing.

Connections and roles, source cluster and its snapshots, keys, subnet group (two zones), security groups (who is let in), parameter
group, instance class, quotas, shapes of secrets, buckets, table, topic, vaults, files, the Kubernetes API, CloudTrail: all that
the environment's file names is looked at, whatever the rest shows. `fail` would end a run; `warn` would not, but somebody should
know.

One DAG with a form, not one an environment: it is what a person asks before a first run or after a change, also of an environment
that is not switched on yet.

**When.** By hand, from the trigger form in Airflow. *Write a report* puts the table into the report bucket as well; otherwise
nothing at all is written.

**Safe to run again?** Yes; it only reads.

**Triage.** `check_prerequisites` red: the message names each prerequisite that is not met; the log has the whole table, failures
first. `docs/how-to/preflight.md` explains every row.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import DAG_DEFAULTS
from aurora_ops.dagkit.environments import configured
from aurora_ops.dagkit.forms import preflight_form
from aurora_ops.dagkit.paths import include
from aurora_ops.operators.preflight import PreflightOperator


def build(environments: list[str]) -> None:
    """Build the DAG; without any environment there is none."""

    @dag(
        **DAG_DEFAULTS,
        dag_id="preflight",
        schedule=None,
        params=preflight_form(environments),
        description="Checks every prerequisite of an environment: pass, warn, fail, with the remedy for each",
        doc_md=__doc__,
        tags=["restore", "preflight"],
    )
    def preflight() -> None:
        PreflightOperator(
            task_id="check_prerequisites", config_folder=str(include() / "config"), aws_conn_id="aws_orchestrator"
        )

    preflight()


if known := [environment.name for environment in configured()]:
    build(known)
