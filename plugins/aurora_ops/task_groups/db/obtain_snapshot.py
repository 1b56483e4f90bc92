"""A snapshot of another account, under a key of this one."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import TriggerRule

from aurora_ops.core.settings import Environment
from aurora_ops.operators.snapshots import CopySnapshotOperator, EnsureSnapshotOperator
from aurora_ops.task_groups.db.share_snapshot import Shared, share_snapshot
from aurora_ops.task_groups.typed import Outputs, Plan, at, group


class Obtained(NamedTuple):
    """Tasks of the group that others refer to."""

    first: EnsureSnapshotOperator
    shareable: CopySnapshotOperator
    copy: CopySnapshotOperator


@group("source")
def obtain_snapshot(settings: Environment, plan: Outputs) -> Obtained:
    """Take or adopt a snapshot in the source, re-key it if it cannot be shared, share it, and copy it into the target's account.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    """
    source, target = settings.source, settings.target
    at_source = at(source)
    at_target = at(target)
    made: dict[str, Any] = {"run_key": plan["run_key"], "expires_h": settings.expires_h}

    take = EnsureSnapshotOperator(
        task_id="take_snapshot",
        cluster_id=plan["source_cluster"],
        snapshot_id=plan["source_snapshot_id"],
        **made,
        **at_source,
    )
    rekey, shared = _rekey_and_share(
        plan,
        Outputs(take)["snapshot_id"],
        account_id=target.account_id,
        grantee_arn=target.role_arn,
        made=made,
        at_source=at_source,
        at_target=at_target,
    )
    copy = CopySnapshotOperator(
        task_id="copy_snapshot",
        source=Outputs(shared.visible)["snapshot_arn"],
        snapshot_id=plan["copy_snapshot_id"],
        kms_key_id=plan["target_key_arn"],
        source_region=source.region,
        **made,
        **at_target,
    )
    take >> rekey
    shared.visible >> copy
    return Obtained(take, rekey, copy)


class Brought(NamedTuple):
    """Tasks of the group that others refer to."""

    rekey: CopySnapshotOperator
    copy: CopySnapshotOperator


@group("source")
def bring_snapshot(plan: Plan, made: dict[str, Any], at_source: dict[str, Any], at_target: dict[str, Any]) -> Brought:
    """Bring a snapshot that is there to the target: share it where it is another account's, copy it under the target's key.

    Which of the tasks run is chosen before: all of them, the copy alone, or none.

    :param plan: what ``CheckRestoreOperator`` decided.
    :param made: how copies are marked.
    :param at_source: where the snapshot is.
    :param at_target: where the copy is made.
    """
    rekey, shared = _rekey_and_share(
        plan,
        plan["snapshot_id"],
        account_id=plan["target_account_id"],
        grantee_arn=plan["grantee_arn"],
        made=made,
        at_source=at_source,
        at_target=at_target,
    )
    copy = CopySnapshotOperator(
        task_id="copy_snapshot",
        source=plan["copy_source"],
        snapshot_id=plan["copy_snapshot_id"],
        kms_key_id=plan["kms_key_arn"],
        source_region=at_source["region_name"],
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        **made,
        **at_target,
    )
    shared.visible >> copy
    return Brought(rekey, copy)


def _rekey_and_share(
    plan: Plan,
    snapshot_id: Any,
    *,
    account_id: Any,
    grantee_arn: Any,
    made: dict[str, Any],
    at_source: dict[str, Any],
    at_target: dict[str, Any],
) -> tuple[CopySnapshotOperator, Shared]:
    """Make a copy of a snapshot that can be shared, if it cannot be itself, and share it."""
    rekey = CopySnapshotOperator(
        task_id="rekey_snapshot",
        source=snapshot_id,
        snapshot_id=plan["rekeyed_snapshot_id"],
        kms_key_id=plan["rekey_key_arn"],
        only_if_unshareable=True,
        **made,
        **at_source,
    )
    shared = share_snapshot(
        Outputs(rekey)["snapshot_id"],
        account_id=account_id,
        grantee_arn=grantee_arn,
        at_source=at_source,
        at_target=at_target,
        **made,
    )
    rekey >> shared.share
    return rekey, shared
