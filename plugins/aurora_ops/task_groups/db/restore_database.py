"""A cluster restored beside what serves, isolated, with credentials of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import TriggerRule

from aurora_ops.core.settings import Environment
from aurora_ops.operators.clusters import AttachRoleOperator, CreateInstancesOperator, RestoreClusterOperator
from aurora_ops.operators.credentials import ManageMasterSecretOperator
from aurora_ops.operators.master_password import SetMasterPasswordOperator
from aurora_ops.operators.ram import AcceptClusterShareOperator, ShareClusterOperator, StopSharingClusterOperator
from aurora_ops.operators.restores import PlanRestoreOperator, RestoreAsAskedOperator
from aurora_ops.task_groups.typed import Outputs, Plan, at, group


class Restored(NamedTuple):
    """Tasks of the group that others refer to."""

    cluster: RestoreClusterOperator
    readers: CreateInstancesOperator
    credentials: ManageMasterSecretOperator
    role: AttachRoleOperator


@group("restore")
def restore_database(settings: Environment, plan: Outputs, snapshot_id: Any) -> Restored:
    """Restore a cluster under its temporary name, with a writer, then readers, and new master credentials.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param snapshot_id: snapshot of this account.
    """
    target = settings.target
    at_target = at(target)
    made: dict[str, Any] = {"run_key": plan["run_key"], "tags": plan["tags"], "expires_h": settings.expires_h}
    serverless = target.instances.serverless

    cluster = RestoreClusterOperator(
        task_id="restore_cluster",
        cluster_id=plan["temporary_cluster"],
        snapshot=snapshot_id,
        kms_key_arn=plan["target_key_arn"],
        subnet_group=target.subnet_group,
        security_groups=plan["isolation_security_groups"],
        parameter_group=plan["parameter_group"],
        serverless=serverless.model_dump() if serverless else None,
        backup_retention_days=target.backup_retention_days,
        log_exports=list(target.log_exports),
        **made,
        **at_target,
    )
    return _complete(
        cluster,
        cluster_id=plan["temporary_cluster"],
        instance_class=plan["instance_class"],
        readers=plan["readers"],
        secret_key_id=target.master_secret_kms_key_id,
        role_arn=target.s3_role_arn,
        made=made,
        at_target=at_target,
    )


def restore_as_asked(
    asked: Outputs, made: dict[str, Any], at_source: dict[str, Any], at_target: dict[str, Any]
) -> Restored:
    """Restore a cluster from what a person has chosen, as ``restore_database`` does from the refresh's snapshot.

    For a clone across accounts the source is shared before, and no longer shared afterwards, whatever happens.

    :param asked: the checked request, ``core.requests.db.RestoreCluster``.
    :param made: how new resources are marked.
    :param at_source: where the source is.
    :param at_target: where the new cluster is made.
    """
    cluster_id, restore_type, share_name = asked["temporary_cluster"], asked["restore_type"], asked["share_name"]
    account_id = asked["target_account_id"]
    plan_task = PlanRestoreOperator(
        task_id="plan_restore",
        cluster_id=cluster_id,
        run_key=asked["run_key"],
        restore_type=restore_type,
        source_cluster=asked["source_cluster"],
        snapshot=asked["snapshot"],
        max_age_h=asked["snapshot_max_age_h"],
        restore_to=asked["restore_to"],
        kms_key_id=asked["kms_key_id"],
        subnet_group=asked["subnet_group"],
        security_groups=asked["isolation_security_groups"],
        parameter_group=asked["parameter_group"],
        like_cluster=asked["cluster"],
        instance_class=asked["instance_class"],
        source_conn_id=at_source["aws_conn_id"],
        source_region=at_source["region_name"],
        **at_target,
    )
    plan = Outputs(plan_task)
    share = ShareClusterOperator(
        task_id="share_cluster",
        share_name=share_name,
        cluster_arn=plan["shared_arn"],
        key_arn=plan["shared_key_arn"],
        account_id=account_id,
        grantee_arn=asked["grantee_arn"],
        **made,
        **at_source,
    )
    accept = AcceptClusterShareOperator(
        task_id="accept_share", share_name=share_name, share_arn=Outputs(share)["share_arn"], **at_target
    )
    cluster = RestoreAsAskedOperator(
        task_id="restore_cluster",
        cluster_id=cluster_id,
        restore_type=restore_type,
        snapshot=plan["source"],
        restore_to=asked["restore_to"],
        kms_key_arn=plan["kms_key_arn"],
        subnet_group=asked["subnet_group"],
        security_groups=plan["security_groups"],
        parameter_group=plan["parameter_group"],
        serverless=asked["serverless"],
        backup_retention_days=asked["backup_retention_days"],
        log_exports=asked["log_exports"],
        tags=asked["tags"],
        **made,
        **at_target,
    )
    stop_sharing = StopSharingClusterOperator(
        task_id="stop_sharing",
        share_name=share_name,
        key_arn=plan["shared_key_arn"],
        account_id=account_id,
        **at_source,
    )
    plan_task >> share >> accept >> cluster >> stop_sharing.as_teardown(on_failure_fail_dagrun=True)
    return _complete(
        cluster,
        cluster_id=cluster_id,
        instance_class=asked["instance_class"],
        readers=asked["readers"],
        secret_key_id=asked["master_secret_kms_key_id"],
        role_arn=asked["s3_role_arn"],
        made={**made, "tags": asked["tags"]},
        at_target=at_target,
    )


@group("restore")
def restore_planned(
    plan: Plan, made: dict[str, Any], at_target: dict[str, Any]
) -> tuple[Restored, SetMasterPasswordOperator]:
    """Restore the cluster that ``CheckRestoreOperator`` has planned, with instances, role and master credentials.

    :param plan: what it decided.
    :param made: how new resources are marked.
    :param at_target: where the cluster is made.
    :return: its tasks, and the one after which the master password is the one that was asked for.
    """
    cluster = RestoreAsAskedOperator(
        task_id="restore_cluster",
        cluster_id=plan["restored_cluster"],
        restore_type=plan["restore_type"],
        snapshot=plan["restore_from"],
        restore_to=plan["restore_to"],
        kms_key_arn=plan["kms_key_arn"],
        subnet_group=plan["subnet_group"],
        security_groups=plan["security_groups"],
        parameter_group=plan["parameter_group"],
        serverless=plan["serverless"],
        backup_retention_days=plan["backup_retention_days"],
        log_exports=plan["log_exports"],
        tags=plan["tags"],
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,  # a backup that is at hand is not copied
        **made,
        **at_target,
    )
    done = _complete(
        cluster,
        cluster_id=plan["restored_cluster"],
        instance_class=plan["instance_class"],
        readers=plan["readers"],
        secret_key_id=plan["master_secret_kms_key_id"],
        role_arn=plan["s3_role_arn"],
        made={**made, "tags": plan["tags"]},
        at_target=at_target,
    )
    own = SetMasterPasswordOperator(
        task_id="set_master_password",
        cluster_id=plan["restored_cluster"],
        secret_id=plan["master_secret"],
        tls_ca=plan["tls_ca"],
        **at_target,
    )
    done.credentials >> own
    return done, own


def _complete(
    cluster: RestoreClusterOperator,
    *,
    cluster_id: Any,
    instance_class: Any,
    readers: Any,
    secret_key_id: Any,
    role_arn: Any,
    made: dict[str, Any],
    at_target: dict[str, Any],
) -> Restored:
    """Give a restored cluster its writer, credentials of its own, then role and readers.

    :param cluster: the task that restores it.
    :param cluster_id: its name.
    :param instance_class: class of its instances.
    :param readers: how many beside the writer.
    :param secret_key_id: key of the managed master secret.
    :param role_arn: role for ``LOAD DATA FROM S3``.
    :param made: how the instances are marked.
    :param at_target: account and region.
    """
    writer = CreateInstancesOperator(
        task_id="create_writer",
        cluster_id=cluster_id,
        instance_class=instance_class,
        **made,
        **at_target,
    )
    credentials = ManageMasterSecretOperator(
        task_id="enable_master_secret",
        cluster_id=cluster_id,
        kms_key_id=secret_key_id,
        **at_target,
    )
    role = AttachRoleOperator(task_id="configure_s3_integration", cluster_id=cluster_id, role_arn=role_arn, **at_target)
    created = CreateInstancesOperator(
        task_id="create_readers",
        cluster_id=cluster_id,
        instance_class=instance_class,
        first=2,
        count=readers,
        **made,
        **at_target,
    )
    cluster >> writer >> credentials >> [role, created]
    return Restored(cluster, created, credentials, role)
