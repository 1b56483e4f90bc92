"""Runs with a deadline of seconds: one waits for AWS past it, one fails and one succeeds before it."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from aurora_ops.dagkit.environments import configured
from aurora_ops.dagkit.lateness import late_alert
from aurora_ops.operators.cluster_removal import DeleteClusterOperator
from aurora_ops.sensors.snapshots import SharedSnapshotSensor

AFTER_S = 20
(STAGING,) = (found.settings for found in configured() if found.name == "staging")
assert STAGING is not None
AT = {"aws_conn_id": STAGING.target.aws_conn_id, "region_name": STAGING.target.region}


def probe(dag_id: str) -> DAG:
    """A DAG whose runs are late after some seconds."""
    settings = STAGING.model_copy(update={"late_after_h": AFTER_S / 3600})
    return DAG(dag_id=dag_id, schedule=None, deadline=late_alert(settings), default_args={"retries": 0})


with probe("probe_late_waits") as waits:
    SharedSnapshotSensor(
        task_id="see_snapshot",
        snapshot_arn="arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:never-shared",
        within_s=3600,
        **AT,
    )

with probe("probe_late_fails") as fails:
    DeleteClusterOperator(task_id="refuse", cluster_id="staging-shop", only_run="", **{**AT, "aws_conn_id": "no_such"})

with probe("probe_late_in_time") as in_time:
    EmptyOperator(task_id="nothing")
