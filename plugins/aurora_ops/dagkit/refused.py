"""The DAG of an environment whose file is wrong: it says so where people look, and does nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.sdk import dag

from aurora_ops.dagkit.defaults import DAG_DEFAULTS
from aurora_ops.dagkit.environments import Configured
from aurora_ops.operators.prepare import CheckRefreshOperator
from aurora_ops.task_groups.typed import group


def refused_dag(area: str, environment: Configured, sql_folder: Path) -> None:
    """Build a DAG whose only task fails with what is wrong with the file.

    A broken import would hide behind a banner and take the DAGs of the other environments with it.

    :param area: first word of the DAG id; what Airflow does not allow in one is replaced, since the file may have any name.
    :param environment: the file and its problem.
    :param sql_folder: ``include/sql``.
    """

    @dag(
        **DAG_DEFAULTS,
        dag_id=re.sub(r"[^A-Za-z0-9_.-]", "_", f"{area}_{environment.name}"),
        schedule=None,
        doc_md=f"**{environment.path.name} is wrong, so nothing is scheduled.**\n\n```\n{environment.problem}\n```",
        tags=["refresh", "refused"],
    )
    def refused() -> None:
        @group("prepare")
        def prepare() -> None:
            CheckRefreshOperator(
                task_id="check",
                path=str(environment.path),
                sql_folder=str(sql_folder),
                aws_conn_id="aws_default",
            )

        prepare()

    refused()
