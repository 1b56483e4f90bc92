"""The master password that RDS manages in Secrets Manager (ManageMasterUserPassword)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.cloud import KeyNotAccessible
from localcloud.rds.errors import InvalidParameterCombinationError, KmsKeyNotAccessibleError
from localcloud.rds.model import MasterSecret

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params


_BOTH = "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled."


def check_create(params: Params) -> None:
    """Check the master password parameters of CreateDBCluster: one of password and management.

    :raises InvalidParameterCombinationError: both, or a secret's key without management.
    """
    managed = bool(params.get("ManageMasterUserPassword"))
    if managed and params.get("MasterUserPassword"):
        raise InvalidParameterCombinationError(_BOTH)
    if not managed and params.get("MasterUserSecretKmsKeyId"):
        raise InvalidParameterCombinationError("MasterUserSecretKmsKeyId is only valid with ManageMasterUserPassword.")


def check_modify(cluster: Cluster, params: Params) -> None:
    """Check the master password parameters of ModifyDBCluster.

    :raises InvalidParameterCombinationError: password with management, a password for a managed cluster, rotation
        without management or without ApplyImmediately, a key without management, ending management without a password.
    """
    manage = params.get("ManageMasterUserPassword")
    password = params.get("MasterUserPassword")
    if manage and password:
        raise InvalidParameterCombinationError(_BOTH)
    if password and cluster.secret and manage is not False:
        raise InvalidParameterCombinationError(
            f"You can't specify MasterUserPassword for cluster {cluster.identifier}: its master user password is "
            "managed in Secrets Manager. Use RotateMasterUserPassword, or ManageMasterUserPassword=false with it."
        )
    if manage is False and cluster.secret and not password:
        raise InvalidParameterCombinationError("MasterUserPassword is required to turn ManageMasterUserPassword off.")
    if params.get("RotateMasterUserPassword"):
        if not cluster.secret:
            raise InvalidParameterCombinationError(
                f"RotateMasterUserPassword needs ManageMasterUserPassword, which cluster {cluster.identifier} has not."
            )
        if not params.get("ApplyImmediately"):
            raise InvalidParameterCombinationError(
                "You must apply RotateMasterUserPassword immediately: ApplyImmediately."
            )
    if params.get("MasterUserSecretKmsKeyId") and not manage:
        raise InvalidParameterCombinationError("MasterUserSecretKmsKeyId is only valid with ManageMasterUserPassword.")


def adopt(core: Core, cluster: Cluster, kms_key: str | None) -> str:
    """Create the cluster's secret with a new password; its status is ``creating`` until the server has the password.

    :param kms_key: key of the secret; None is ``alias/aws/secretsmanager``.
    :return: the password, not yet on the server.
    :raises KmsKeyNotAccessibleError: unknown key.
    """
    password = core.cloud.secrets.new_password()
    try:
        secret = core.cloud.secrets.create(
            cluster.account,
            cluster.region,
            username=cluster.master_username,
            password=password,
            cluster_arn=cluster.arn,
            kms_key=kms_key,
        )
    except KeyNotAccessible:
        raise KmsKeyNotAccessibleError(
            f"Specified KMS key [{kms_key}] does not exist, is not enabled or you do not have permissions to access it."
        ) from None
    cluster.secret = MasterSecret(secret.arn, "creating", secret.kms_key_arn)
    return password


def drop(core: Core, cluster: Cluster) -> None:
    """Delete the cluster's secret, if it has one; RDS does it with the cluster."""
    secret, cluster.secret = cluster.secret, None
    if secret:
        core.cloud.secrets.delete(cluster.account, cluster.region, secret.arn)
