"""A cluster restored beside what serves, isolated, with credentials of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.core.settings import Environment
from aurora_ops.operators.clusters import AttachRoleOperator, CreateInstancesOperator, RestoreClusterOperator
from aurora_ops.operators.credentials import ManageMasterSecretOperator
from aurora_ops.task_groups.typed import Outputs, group


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
    at_target: dict[str, Any] = {"aws_conn_id": target.aws_conn_id, "region_name": target.region}
    made: dict[str, Any] = {"run_key": plan["run_key"], "tags": plan["tags"], "expires_h": settings.expires_h}
    cluster_id = plan["temporary_cluster"]
    serverless = target.instances.serverless

    cluster = RestoreClusterOperator(
        task_id="restore_cluster",
        cluster_id=cluster_id,
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
    writer = CreateInstancesOperator(
        task_id="create_writer",
        cluster_id=cluster_id,
        instance_class=plan["instance_class"],
        **made,
        **at_target,
    )
    credentials = ManageMasterSecretOperator(
        task_id="enable_master_secret",
        cluster_id=cluster_id,
        kms_key_id=target.master_secret_kms_key_id,
        **at_target,
    )
    role = AttachRoleOperator(
        task_id="configure_s3_integration", cluster_id=cluster_id, role_arn=target.s3_role_arn, **at_target
    )
    readers = CreateInstancesOperator(
        task_id="create_readers",
        cluster_id=cluster_id,
        instance_class=plan["instance_class"],
        first=2,
        count=plan["readers"],
        **made,
        **at_target,
    )
    cluster >> writer >> credentials >> [role, readers]
    return Restored(cluster, readers, credentials, role)
