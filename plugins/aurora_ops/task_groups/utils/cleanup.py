"""Clearing up after a refresh that was done by hand."""

from __future__ import annotations

from typing import Any

from aurora_ops.operators.cluster_power import StopIfAskedOperator
from aurora_ops.operators.cluster_removal import DeleteClusterOperator, RetireByHandOperator
from aurora_ops.operators.leftovers import ClearSnapshotsOperator
from aurora_ops.task_groups.typed import Outputs


def cleanup_and_stop(asked: Outputs, at_source: dict[str, Any], at_target: dict[str, Any]) -> None:
    """Retire the old cluster, then stop the live one; beside that, clear snapshots and the restored cluster.

    :param asked: the checked request, ``core.requests.utils.CleanupAndStop``.
    :param at_source: where snapshots were taken and shared.
    :param at_target: where the clusters are.
    """
    retire = RetireByHandOperator(
        task_id="retire_old_cluster",
        cluster_id=asked["old_name"],
        policy=asked["policy"],
        successor_id=asked["cluster"],
        published_run=asked["run_key"],
        kept_days=asked["kept_days"],
        **at_target,
    )
    stop = StopIfAskedOperator(
        task_id="stop_live_cluster",
        cluster_id=asked["stopped_name"],
        keep_stopped_days=asked["keep_stopped_days"],
        **at_target,
    )
    home: dict[str, Any] = {
        "runs_of": asked["runs_of"],
        "lock_keys": asked["lock_keys"],
        "home_conn_id": asked["orchestrator_conn_id"],
        "home_region": asked["orchestrator_region"],
        "table": asked["runs_table"],
    }
    ClearSnapshotsOperator(task_id="clear_shared_snapshots", account_id=asked["target_account_id"], **home, **at_source)
    ClearSnapshotsOperator(task_id="clear_copied_snapshots", account_id=None, **home, **at_target)
    DeleteClusterOperator(task_id="delete_restored_cluster", cluster_id=asked["restored_name"], **at_target)
    retire >> stop
