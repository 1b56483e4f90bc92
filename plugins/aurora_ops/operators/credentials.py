"""Credentials: the master secret of a cluster, and the secrets of its users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.rds import Cluster, RdsHook
from aurora_ops.hooks.secrets import CURRENT, PREVIOUS, SecretsHook
from aurora_ops.links.console import ClusterLink, SecretLink
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.clusters import ClusterOperator

SECRET_ACTIVE = "active"  # noqa: S105 - a status


class ManageMasterSecretOperator(ClusterOperator):
    """Replace a cluster's master password by one that RDS makes and keeps in Secrets Manager.

    The AWS operation is ``ModifyDBCluster`` with ``ManageMasterUserPassword``. After a restore the snapshot's master password
    is valid until this is done, so it comes before anything else that can log in.

    :param kms_key_id: key of the secret; ``None`` is the account's default (templated).
    :return: ``{"cluster_id", "secret_arn", "secret_version"}``; never the password.
    :raises MissingError: there is no such cluster.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    operator_extra_links = (ClusterLink(), SecretLink())
    secret_arn: str | None = None
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:ModifyDBCluster",
        "secretsmanager:DescribeSecret",
        "secretsmanager:CreateSecret",
        "secretsmanager:TagResource",
        "kms:DescribeKey",
        "kms:CreateGrant",
        "kms:GenerateDataKey",
        "kms:Decrypt",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "kms_key_id")

    def __init__(self, *, kms_key_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kms_key_id = kms_key_id

    def take_pass(self, context: Context) -> Result:
        """Look; ask for the managed secret; wait until it is active."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        self.secret_arn = cluster.master_secret_arn
        if not cluster.master_secret_arn:
            self.hook.modify_cluster(
                self.cluster_id, ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=self.kms_key_id
            )
            return self.wait_for("master_secret_active", self.cluster_id, context)
        if cluster.master_secret_status != SECRET_ACTIVE or cluster.status != "available":
            return self.wait_for("master_secret_active", self.cluster_id, context)
        return _version(cluster, SecretsHook(self.aws_conn_id, self.region_name))


class RotateMasterSecretOperator(ClusterOperator):
    """Replace the managed master password once more, and wait until the new one is current.

    The AWS operation is ``ModifyDBCluster`` with ``RotateMasterUserPassword``. The salt of masking was derived from the
    password that this ends.

    :param stale_version: version of the secret that must no longer be current (templated).
    :return: ``{"cluster_id", "secret_arn", "secret_version"}``.
    :raises MissingError: there is no such cluster, or its master secret is not managed.
    """

    operator_extra_links = (ClusterLink(), SecretLink())
    secret_arn: str | None = None
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:ModifyDBCluster",
        "secretsmanager:DescribeSecret",
        "secretsmanager:RotateSecret",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "stale_version")

    def __init__(self, *, stale_version: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stale_version = stale_version

    def take_pass(self, context: Context) -> Result:
        """Look which version is current; rotate; wait until it has moved."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        self.secret_arn = cluster.master_secret_arn
        if not cluster.master_secret_arn:
            raise MissingError(
                f"the master secret of {self.cluster_id} is not managed; run ManageMasterSecretOperator first"
            )
        secrets = SecretsHook(self.aws_conn_id, self.region_name)
        now = _version(cluster, secrets)
        if cluster.master_secret_status != SECRET_ACTIVE or cluster.status != "available":
            return self.wait_for("master_secret_active", self.cluster_id, context)
        if now["secret_version"] != self.stale_version:
            return now
        self.hook.modify_cluster(self.cluster_id, RotateMasterUserPassword=True)
        return self.wait_until(
            Wait(
                waiter="current_version_moved",
                args={"SecretId": cluster.master_secret_arn},
                parameters={"version_id": self.stale_version},
                show="VersionIdsToStages",
                within_s=self.within_s,
                every_s=15,
            ),
            context,
            hook=secrets,
        )


class MoveSecretsOperator(RefreshOperator[SecretsHook]):
    """Make given versions of secrets the current ones.

    The AWS operation is ``UpdateSecretVersionStage``. Applications read what is current, so this is done at the moment at which
    the cluster behind the endpoint changes.

    :param versions: secret id to version id (templated).
    :return: ``{"moved": {secret id: version id}}``.
    :raises MissingError: a secret or a version does not exist.
    """

    hook_class = SecretsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "secretsmanager:DescribeSecret",
        "secretsmanager:UpdateSecretVersionStage",
    )
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "versions")

    def __init__(self, *, versions: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.versions = versions

    def take_pass(self, context: Context) -> Result:
        """Move each secret whose current version is another one."""
        for secret_id, version_id in self.versions.items():
            self.hook.move_current(secret_id, version_id)
        return {"moved": dict(self.versions)}


class RestoreSecretsOperator(MoveSecretsOperator):
    """Undo ``MoveSecretsOperator``: the versions given are not current afterwards, what preceded them is.

    Looks first who serves: secrets go back with the cluster that they open, and stay where undoing the swap has failed.

    :param versions: secret id to the version id that must not stay current; ``None`` is nothing to do (templated).
    :param cluster_id: name under which applications are served (templated).
    :param resource_id: ``DbClusterResourceId`` of the cluster that the former versions open (templated).
    :return: ``{"restored": [secret ids]}``.
    :raises StateError: another cluster serves.
    """

    permissions: ClassVar[tuple[str, ...]] = (*MoveSecretsOperator.permissions, "rds:DescribeDBClusters")
    template_fields: Sequence[str] = (*MoveSecretsOperator.template_fields, "cluster_id", "resource_id")

    def __init__(self, *, cluster_id: str, resource_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.resource_id = resource_id

    def take_pass(self, context: Context) -> Result:
        """Move back what stands on a version of the run."""
        serving = RdsHook(self.aws_conn_id, self.region_name).require_cluster(self.cluster_id)
        if serving.resource_id != self.resource_id:
            raise StateError(
                f"{self.cluster_id} is cluster {serving.resource_id}, not {self.resource_id}; its secrets stay as they are"
            )
        restored = []
        for secret_id, version_id in (self.versions or {}).items():
            stages = self.hook.stages(secret_id)
            if stages.get(CURRENT) == version_id and PREVIOUS in stages:
                self.hook.move_current(secret_id, stages[PREVIOUS])
                restored.append(secret_id)
        return {"restored": restored}


def _version(cluster: Cluster, secrets: SecretsHook) -> Result:
    return {
        "cluster_id": cluster.cluster_id,
        "secret_arn": cluster.master_secret_arn,
        "secret_version": secrets.stages(cluster.master_secret_arn).get(CURRENT, ""),
    }
