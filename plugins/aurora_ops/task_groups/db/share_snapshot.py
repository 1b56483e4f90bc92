"""A snapshot shared with another account, and proven to have arrived."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import task

from aurora_ops.operators.snapshots import RevokeShareOperator, ShareSnapshotOperator
from aurora_ops.sensors.snapshots import SharedSnapshotSensor
from aurora_ops.task_groups.typed import Outputs, group


class Shared(NamedTuple):
    """Tasks that others refer to."""

    share: ShareSnapshotOperator
    visible: SharedSnapshotSensor


def share_snapshot(
    snapshot_id: Any,
    *,
    account_id: Any,
    grantee_arn: Any,
    run_key: Any,
    expires_h: Any,
    at_source: dict[str, Any],
    at_target: dict[str, Any],
) -> Shared:
    """Share a manual snapshot with an account, and see it from there.

    :param snapshot_id: manual snapshot of the source.
    :param account_id: account that it is shared with.
    :param grantee_arn: role of that account.
    :param run_key: names the run.
    :param expires_h: hours after which the share may be taken back if its run is dead.
    :param at_source: connection and region of the source.
    :param at_target: connection and region of the account that it is shared with.
    """
    share = ShareSnapshotOperator(
        task_id="share_snapshot",
        snapshot_id=snapshot_id,
        account_id=account_id,
        grantee_arn=grantee_arn,
        run_key=run_key,
        expires_h=expires_h,
        **at_source,
    )
    visible = SharedSnapshotSensor(  # a share is seen in the snapshot's own region only
        task_id="see_shared_snapshot",
        snapshot_arn=Outputs(share)["snapshot_arn"],
        **{**at_target, "region_name": at_source["region_name"]},
    )
    share >> visible
    return Shared(share, visible)


def share_or_revoke(action: Any, snapshot_id: Any, **arguments: Any) -> None:
    """Share a snapshot, or take a share back, whichever a run asks for.

    :param action: ``share`` or ``revoke``, known when the run is.
    :param snapshot_id: manual snapshot of the source.
    :param arguments: those of ``share_snapshot``.
    """

    @task.branch(task_id="choose")
    def choose(action: str) -> str:
        return "share.share_snapshot" if action == "share" else "revoke_share"

    @group("share")
    def share() -> Shared:
        return share_snapshot(snapshot_id, **arguments)

    revoke = RevokeShareOperator(
        task_id="revoke_share", snapshot_id=snapshot_id, account_id=arguments["account_id"], **arguments["at_source"]
    )
    choose(action) >> [share().share, revoke]
