"""The restore pipeline: a backup becomes a verified database beside what serves, and takes its place if it shall."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow.sdk import BaseOperator, task

from aurora_ops.core.windows import require_open
from aurora_ops.operators.cluster_removal import DeleteClusterOperator, RetireClusterOperator
from aurora_ops.operators.clusters import ModifyClusterOperator
from aurora_ops.operators.publish import PublishClusterOperator
from aurora_ops.operators.recovery import LookAtOutcomeOperator, MarkVerifiedOperator, SettleCopyOperator
from aurora_ops.operators.snapshots import DeleteSnapshotOperator, RevokeShareOperator
from aurora_ops.task_groups.db.obtain_snapshot import bring_snapshot
from aurora_ops.task_groups.db.restore_database import restore_planned
from aurora_ops.task_groups.db.swap_cluster import Swapped, swap_cluster
from aurora_ops.task_groups.restore.verify import verify_restored
from aurora_ops.task_groups.typed import Outputs, Plan, group

Where = dict[str, Any]


class Restored(NamedTuple):
    """Tasks of the pipeline that others refer to."""

    verification: BaseOperator
    outcome: LookAtOutcomeOperator


def restore_pipeline(plan: Plan, made: Where, at_source: Where, at_target: Where, *, prefix: str = "") -> Restored:
    """Bring the backup, restore it beside whatever exists, verify it, then swap it in if that is asked for.

    Until it is verified nothing that serves is touched; a swap that fails is undone. Whatever happens, shares end, and a cluster
    that was not verified is deleted.

    :param plan: what ``CheckRestoreOperator`` decided.
    :param made: how new resources are marked.
    :param at_source: connection and region of the backup.
    :param at_target: connection and region of the new cluster.
    :param prefix: of the group that this is placed in, with its dot.
    """
    clear = DeleteClusterOperator(
        task_id="clear_name",
        cluster_id=plan["clear_cluster"],
        spare_run=plan["run_key"],
        **at_target,
    )
    way = {
        "share": f"{prefix}source.rekey_snapshot",
        "copy": f"{prefix}source.copy_snapshot",
        "local": f"{prefix}restore.restore_cluster",
    }

    @task.branch(task_id="choose_way")
    def choose_way(mode: str) -> str:
        return way[mode]

    chosen: Any = choose_way(plan["mode"])
    brought = bring_snapshot(plan, made, at_source, at_target)
    restored, master = restore_planned(plan, made, at_target)
    verified = verify_restored(plan, at_target)
    swapped = _swap(plan, verified.marked, at_target, prefix)
    cleaned = _clean_up(plan, at_source, at_target, Outputs(verified.marked).all)

    clear >> chosen >> [brought.rekey, brought.copy, restored.cluster]
    brought.copy >> [restored.cluster, cleaned.revoke]
    master >> verified.first
    [verified.suite, restored.readers, restored.role] >> verified.marked
    verified.marked >> cleaned.settle_copy
    ended = [verified.marked, *swapped.last]
    ended >> cleaned.delete_unverified
    [*ended, *cleaned.all] >> cleaned.outcome
    return Restored(verified.suite, cleaned.outcome)


class _Served(NamedTuple):
    last: list[BaseOperator]


def _swap(plan: Plan, marked: MarkVerifiedOperator, at_target: Where, prefix: str) -> _Served:
    """Let the verified cluster serve, if that is asked for, and do with the old one what was asked."""

    @task.branch(task_id="choose_swap")
    def choose_swap(swap: bool, windows: list[str]) -> str | None:
        if not swap:
            return None
        require_open(windows, datetime.now(UTC))
        return f"{prefix}switch.open_network"

    chosen: Any = choose_swap(plan["swap"], plan["windows"])
    swapped: Swapped = swap_cluster(
        at_target,
        {
            "target_cluster": plan["cluster"],
            "temporary_cluster": plan["restored_cluster"],
            "old_cluster": plan["old_name"],
            "security_groups": plan["security_groups_after"],
            "live_resource_id": plan["live_resource_id"],
            "live_instance_ids": plan["live_instance_ids"],
        },
        Outputs(marked)["resource_id"],
        {},  # the restored users have the passwords that their secrets hold
        users=plan["database_users"],
        tls_ca=plan["tls_ca"],
        deletion_protection=plan["deletion_protection"],
        secret_id=plan["master_secret"],
    )
    publish = PublishClusterOperator(
        task_id="publish_cluster",
        cluster_id=plan["cluster"],
        parameter=plan["endpoint_parameter"],
        run_key=plan["run_key"],
        snapshot_id=plan["data_from"],
        **at_target,
    )
    retire = RetireClusterOperator(
        task_id="retire_old_cluster",
        cluster_id=plan["old_name"],
        policy=plan["old_cluster"],
        successor_id=plan["cluster"],
        published_run=plan["run_key"],
        final_snapshot_id=plan["final_snapshot_id"],
        **at_target,
    )
    isolate = ModifyClusterOperator(  # what does not serve is nobody's to reach; it may hold unmasked data
        task_id="isolate_again",
        cluster_id=plan["restored_cluster"],
        security_groups=plan["security_groups"],
        **at_target,
    )
    marked >> chosen >> swapped.first
    swapped.verified >> publish >> retire
    swapped.undone >> isolate
    return _Served([retire, isolate])


class _CleanUp(NamedTuple):
    settle_copy: SettleCopyOperator
    revoke: RevokeShareOperator
    delete_unverified: DeleteClusterOperator
    outcome: LookAtOutcomeOperator
    all: list[BaseOperator]


@group("clean_up")
def _clean_up(plan: Plan, at_source: Where, at_target: Where, verified: Any) -> _CleanUp:
    """Remove what the restore needed, and look at what is left."""
    settle_copy = SettleCopyOperator(
        task_id="settle_copied_snapshot",
        snapshot_id=plan["copy_snapshot_id"],
        policy=plan["copied_snapshot"],
        **at_target,
    )
    revoke = RevokeShareOperator(
        task_id="revoke_share",
        snapshot_id=plan["shared_snapshot_id"],
        account_id=plan["target_account_id"],
        was_shared=plan["was_shared"],
        **at_source,
    )
    delete_rekeyed = DeleteSnapshotOperator(
        task_id="delete_rekeyed_snapshot", snapshot_id=plan["rekeyed_snapshot_id"], **at_source
    )
    delete_unverified = DeleteClusterOperator(
        task_id="delete_unverified_cluster",
        cluster_id=plan["unverified_cluster"],
        only_run=plan["run_key"],
        spare_verified=True,
        **at_target,
    )
    outcome = LookAtOutcomeOperator(
        task_id="look_at_outcome",
        cluster_id=plan["restored_cluster"],
        live_id=plan["cluster"],
        old_id=plan["old_name"],
        live_resource_id=plan["live_resource_id"],
        copy_id=plan["copy_snapshot_id"],
        data_at=plan["data_at"],
        verified=verified,
        costs=plan["costs"],
        **at_target,
    )
    revoke >> delete_rekeyed
    removed: list[BaseOperator] = [revoke, delete_rekeyed, delete_unverified]
    for placed in (*removed, outcome):
        placed.as_teardown()
    return _CleanUp(settle_copy, revoke, delete_unverified, outcome, [settle_copy, *removed])
