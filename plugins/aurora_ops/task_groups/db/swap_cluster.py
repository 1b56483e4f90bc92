"""Two clusters change names, and change back if anything goes wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import TriggerRule

from aurora_ops.operators.cluster_names import RenameClusterOperator, RestoreNamesOperator
from aurora_ops.operators.clusters import ModifyClusterOperator
from aurora_ops.operators.credentials import MoveSecretsOperator, RestoreSecretsOperator
from aurora_ops.operators.verify import VerifyServingOperator
from aurora_ops.task_groups.typed import Plan, group


class Swapped(NamedTuple):
    """Tasks of the group that others refer to."""

    first: ModifyClusterOperator
    verified: VerifyServingOperator
    undone: RestoreSecretsOperator


@group("switch")
def swap_cluster(
    at_target: dict[str, Any],
    plan: Plan,
    resource_id: Any,
    versions: Any,
    *,
    users: Any,
    tls_ca: Any,
    deletion_protection: Any,
    secret_id: Any = None,
) -> Swapped:
    """Let the restored cluster serve under the live one's name; on any failure the live one serves again.

    :param at_target: connection and region of the target's account.
    :param plan: ``temporary_cluster``, ``target_cluster``, ``old_cluster``, ``security_groups``, ``live_resource_id`` and
        ``live_instance_ids``.
    :param resource_id: ``DbClusterResourceId`` of the restored cluster.
    :param versions: secrets that become current with the swap.
    :param users: users that must be able to log in afterwards.
    :param tls_ca: file of certificate authorities.
    :param deletion_protection: whether AWS shall refuse to delete it once it serves.
    :param secret_id: secret of the master user, where RDS does not manage it.
    """
    open_network = ModifyClusterOperator(
        task_id="open_network",
        cluster_id=plan["temporary_cluster"],
        security_groups=plan["security_groups"],
        deletion_protection=deletion_protection,
        **at_target,
    )
    rename_live = RenameClusterOperator(
        task_id="rename_live", cluster_id=plan["old_cluster"], resource_id=plan["live_resource_id"], **at_target
    )
    rename_restored = RenameClusterOperator(
        task_id="rename_restored", cluster_id=plan["target_cluster"], resource_id=resource_id, **at_target
    )
    move_secrets = MoveSecretsOperator(task_id="move_secrets", versions=versions, **at_target)
    verify = VerifyServingOperator(
        task_id="verify_serving",
        cluster_id=plan["target_cluster"],
        resource_id=resource_id,
        users=users,
        secret_id=secret_id,
        tls_ca=tls_ca,
        **at_target,
    )
    undo_rename = RestoreNamesOperator(
        task_id="undo_rename",
        cluster_id=plan["target_cluster"],
        resource_id=plan["live_resource_id"],
        aside_id=plan["temporary_cluster"],
        instance_ids=plan["live_instance_ids"],
        trigger_rule=TriggerRule.ONE_FAILED,
        **at_target,
    )
    undo_secrets = RestoreSecretsOperator(
        task_id="undo_secrets",
        versions=versions,
        cluster_id=plan["target_cluster"],
        resource_id=plan["live_resource_id"],
        trigger_rule=TriggerRule.NONE_SKIPPED,
        **at_target,
    )

    open_network >> rename_live >> rename_restored >> move_secrets >> verify
    undo_rename.set_upstream([rename_live, rename_restored, move_secrets, verify])
    undo_rename >> undo_secrets
    return Swapped(open_network, verify, undo_secrets)
