"""A process that backs logs up in children, which are made to be killed: a line in begins one, its pid is the line out.

The second line out for each is its exit status. A child plans and runs every batch, again and again, until it is killed, or once
where the line is ``once``.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

from aurora_ops.core import environments
from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.dagkit.paths import include
from aurora_ops.operators.log_backup import BackUpLogsOperator
from aurora_ops.operators.log_plan import PlanLogBackupOperator

MARK = "@@worker "


class Xcoms:
    """Of a task, kept by nobody."""

    task_id, map_index, try_number = "t", -1, 1

    def xcom_push(self, **_: Any) -> None:
        """Forget it."""

    def xcom_pull(self, **_: Any) -> None:
        """Know nothing."""


def back_up() -> bool:
    """Make a run without Airflow; says whether everything was done."""
    path = include() / "config" / "staging.yaml"
    settings = environments.resolve(environments.read(path)).settings
    home = settings.orchestrator
    run = SimpleNamespace(dag_id="d", run_id="r", run_type="scheduled", conf={}, logical_date=None, run_after=None)
    context: Any = {"ti": Xcoms(), "dag_run": run, "params": {}}
    where = {"aws_conn_id": home.aws_conn_id, "region_name": home.region}
    done = True
    planned = PlanLogBackupOperator(task_id="plan", path=str(path), **where).execute(context)
    for batch in planned["batches"]:
        task = BackUpLogsOperator(
            task_id="back_up",
            settings=settings.audit_logs.model_dump(mode="json"),
            home_conn_id=home.aws_conn_id,
            home_region=home.region,
            **batch,
        )
        try:
            task.execute(context)
        except AuroraOpsError as exc:
            done = False
            sys.stderr.write(f"{exc}\n")
    return done


def main() -> None:
    """Fork a child for each line."""
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            while line.strip() != "once":
                back_up()
            os._exit(0 if back_up() else 1)
        say(str(child))
        say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


def say(text: str) -> None:
    """Write a line that the test reads."""
    sys.stdout.write(f"\n{MARK}{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
