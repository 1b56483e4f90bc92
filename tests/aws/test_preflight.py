"""On a real account, opt-in: the check before a refresh finds nothing wrong. It changes nothing.

``AURORA_OPS_TEST_AWS=<environment> make test-aws``, with the connections of that environment as ``AIRFLOW_CONN_...`` variables.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aurora_ops.core import environments
from aurora_ops.dagkit.paths import include
from aurora_ops.operators.prepare import CheckRefreshOperator

pytestmark = pytest.mark.aws


def test_the_check_finds_nothing_wrong() -> None:
    environment = os.environ["AURORA_OPS_TEST_AWS"]
    path = include() / "config" / f"{environment}.yaml"
    target = environments.resolve(environments.read(path)).settings.target
    check = CheckRefreshOperator(
        task_id="check",
        path=str(path),
        sql_folder=str(include() / "sql"),
        aws_conn_id=target.aws_conn_id,
        region_name=target.region,
    )
    dag_run = SimpleNamespace(
        dag_id=f"refresh_{environment}", run_id="test", conf={}, logical_date=None, run_after=datetime.now(UTC)
    )
    plan = check.take_pass({"params": {}, "dag_run": dag_run})  # type: ignore[typeddict-item]
    assert plan["target_cluster"] == target.cluster
    assert plan["temporary_cluster"] not in {target.cluster, plan["old_cluster"]}
