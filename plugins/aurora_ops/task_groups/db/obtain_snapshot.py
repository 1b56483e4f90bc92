"""A snapshot of another account, under a key of this one."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.core.settings import Environment
from aurora_ops.operators.snapshots import CopySnapshotOperator, EnsureSnapshotOperator
from aurora_ops.task_groups.db.share_snapshot import share_snapshot
from aurora_ops.task_groups.typed import Outputs, group


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
    at_source: dict[str, Any] = {"aws_conn_id": source.aws_conn_id, "region_name": source.region}
    at_target: dict[str, Any] = {"aws_conn_id": target.aws_conn_id, "region_name": target.region}
    made: dict[str, Any] = {"run_key": plan["run_key"], "expires_h": settings.expires_h}

    take = EnsureSnapshotOperator(
        task_id="take_snapshot",
        cluster_id=plan["source_cluster"],
        snapshot_id=plan["source_snapshot_id"],
        **made,
        **at_source,
    )
    rekey = CopySnapshotOperator(
        task_id="rekey_snapshot",
        source=Outputs(take)["snapshot_id"],
        snapshot_id=plan["rekeyed_snapshot_id"],
        kms_key_id=plan["rekey_key_arn"],
        only_if_unshareable=True,
        **made,
        **at_source,
    )
    share, visible = share_snapshot(
        Outputs(rekey)["snapshot_id"],
        account_id=target.account_id,
        grantee_arn=target.role_arn,
        at_source=at_source,
        at_target=at_target,
        **made,
    )
    copy = CopySnapshotOperator(
        task_id="copy_snapshot",
        source=Outputs(visible)["snapshot_arn"],
        snapshot_id=plan["copy_snapshot_id"],
        kms_key_id=plan["target_key_arn"],
        source_region=source.region,
        **made,
        **at_target,
    )
    take >> rekey >> share
    visible >> copy
    return Obtained(take, rekey, copy)
