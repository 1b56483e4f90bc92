"""Secrets Manager with moto's defects mended, and the secrets that RDS owns.

Mended: GetSecretValue follows the label AWSCURRENT; versions keep the date on which they were made; rotation needs a
function; a secret of RDS is RDS's.
"""

from __future__ import annotations

import json
import secrets
import string
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from moto.secretsmanager.exceptions import InvalidParameterException, InvalidRequestException
from moto.secretsmanager.models import FakeSecret, ReplicaSecret, SecretsManagerBackend, secretsmanager_backends

from localcloud.cloud import MasterSecret

if TYPE_CHECKING:
    from threading import RLock

    from localcloud.cloud import Cloud, Kms

MASTER_PASSWORD_LENGTH = 28
# The characters an Aurora MySQL master password may not have are / " @ and space.
PASSWORD_PUNCTUATION = "!#$%&()*+-.:<=>?[]^_{|}~"  # noqa: S105 - an alphabet
ROTATION_DAYS = 7


class LocalSecretsBackend(SecretsManagerBackend):
    """moto's Secrets Manager, mended."""

    __module__ = "moto.secretsmanager.models"

    def put_secret_value(self, secret_id: str, *args: Any, **kwargs: Any) -> str:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html."""
        self._refuse_if_managed(secret_id)
        return str(super().put_secret_value(secret_id, *args, **kwargs))

    def update_secret(self, secret_id: str, *args: Any, **kwargs: Any) -> str:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html."""
        self._refuse_if_managed(secret_id)
        return str(super().update_secret(secret_id, *args, **kwargs))

    def delete_secret(self, secret_id: str, *args: Any, **kwargs: Any) -> tuple[str, str, float]:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html."""
        self._refuse_if_managed(secret_id)
        deleted: tuple[str, str, float] = super().delete_secret(secret_id, *args, **kwargs)
        return deleted

    def update_secret_version_stage(
        self, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
    ) -> tuple[str, str]:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html."""
        self._refuse_if_managed(secret_id)
        secret = self.describe_secret(secret_id)
        holder = next(
            (key for key, version in secret.versions.items() if version_stage in version["version_stages"]), None
        )
        if move_to_version_id and holder not in {None, move_to_version_id} and not remove_from_version_id:
            raise InvalidParameterException(
                f"The parameter RemoveFromVersionId can't be empty. Staging label {version_stage} is currently attached"
                f" to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )
        if version_stage == "AWSCURRENT" and not move_to_version_id:
            raise InvalidParameterException(
                "You can't remove staging label AWSCURRENT without moving it to another version."
            )
        moved: tuple[str, str] = super().update_secret_version_stage(
            secret_id, version_stage, remove_from_version_id, move_to_version_id
        )
        if version_stage == "AWSCURRENT" and isinstance(secret, FakeSecret):
            secret.set_default_version_id(move_to_version_id)
        return moved

    def list_secret_version_ids(self, secret_id: str) -> str:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecretVersionIds.html; to moto all are new."""
        listed: dict[str, Any] = json.loads(super().list_secret_version_ids(secret_id))
        versions = self.secrets[secret_id].versions
        for version in listed["Versions"]:
            version["CreatedDate"] = versions[version["VersionId"]]["createdate"]
        return json.dumps(listed)

    def rotate_secret(
        self,
        secret_id: str,
        client_request_token: str | None = None,
        rotation_lambda_arn: str | None = None,
        rotation_rules: dict[str, Any] | None = None,
        rotate_immediately: bool = True,
    ) -> str:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html."""
        self._refuse_if_managed(secret_id)
        secret = self.describe_secret(secret_id)
        function = rotation_lambda_arn or getattr(secret, "rotation_lambda_arn", "")
        if not function:
            raise InvalidRequestException("No Lambda rotation function ARN is associated with this secret.")
        return str(super().rotate_secret(secret_id, client_request_token, function, rotation_rules, rotate_immediately))

    def _refuse_if_managed(self, secret_id: str) -> None:
        secret = self.secrets.get(secret_id) if secret_id in self.secrets else None
        if secret is not None and secret.owning_service:
            raise InvalidRequestException(
                f"You can't perform this operation on the secret because it is managed by {secret.owning_service}."
                " Use ModifyDBCluster to change or rotate the master password."
            )


def install(cloud: Cloud) -> None:
    """Replace moto's backend of Secrets Manager."""
    assert isinstance(cloud.secrets, RdsMasterSecrets)
    cloud.secrets.lock = cloud.lock("secretsmanager")
    secretsmanager_backends.backend = LocalSecretsBackend


@dataclass
class RdsMasterSecrets:
    """Master secrets that RDS owns; see :class:`localcloud.cloud.MasterSecrets`.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html: the secret carries only
    user name and password; host and port are those of the cluster.
    """

    kms: Kms
    lock: RLock | None = None

    def create(
        self, account: str, region: str, *, username: str, password: str, cluster_arn: str, kms_key: str | None = None
    ) -> MasterSecret:
        """See :class:`localcloud.cloud.MasterSecrets`."""
        assert self.lock is not None
        key = (
            self.kms.resolve(account, region, kms_key)
            if kms_key
            else self.kms.default_key(account, region, "secretsmanager")
        )
        with self.lock:
            secret = self._backend(account, region).create_managed_secret(
                "rds",
                f"rds!cluster-{uuid4()}",
                secret_string=_content(username, password),
                description=f"Secret associated with primary RDS DB cluster: {cluster_arn}",
                tags=[{"Key": "aws:rds:primaryDBClusterArn", "Value": cluster_arn}],
                kms_key_id=key.arn if kms_key else None,
            )
            secret.rotation_requested = secret.rotation_enabled = True
            secret.auto_rotate_after_days = ROTATION_DAYS
            return MasterSecret(secret.arn, key.arn)

    def rotate(self, account: str, region: str, arn: str, password: str) -> None:
        """See :class:`localcloud.cloud.MasterSecrets`."""
        assert self.lock is not None
        with self.lock:
            backend = self._backend(account, region)
            secret = backend.secrets[arn]
            version_id, now = str(uuid4()), int(time.time())
            version = {
                "createdate": now,
                "version_id": version_id,
                "version_stages": ["AWSCURRENT"],
                "secret_string": _content(_current(secret)["username"], password),
            }
            assert isinstance(secret, FakeSecret)
            secret.reset_default_version(version, version_id)
            secret.last_changed_date = secret.last_rotation_date = now

    def delete(self, account: str, region: str, arn: str) -> None:
        """See :class:`localcloud.cloud.MasterSecrets`."""
        assert self.lock is not None
        with self.lock:
            kept = self._backend(account, region).secrets
            if arn in kept:
                kept.pop(arn)

    def password(self, account: str, region: str, arn: str) -> str:
        """See :class:`localcloud.cloud.MasterSecrets`."""
        assert self.lock is not None
        with self.lock:
            backend = self._backend(account, region)
            if arn not in backend.secrets:
                raise KeyError(arn)
            secret = backend.secrets[arn]
            return _current(secret)["password"]

    def new_password(self) -> str:
        """See :class:`localcloud.cloud.MasterSecrets`."""
        alphabet = string.ascii_letters + string.digits + PASSWORD_PUNCTUATION
        return "".join(secrets.choice(alphabet) for _ in range(MASTER_PASSWORD_LENGTH))

    @staticmethod
    def _backend(account: str, region: str) -> SecretsManagerBackend:
        return secretsmanager_backends[account][region]


def _current(secret: FakeSecret | ReplicaSecret) -> dict[str, str]:
    assert secret.default_version_id
    content: dict[str, str] = json.loads(secret.versions[secret.default_version_id]["secret_string"])
    return content


def _content(username: str, password: str) -> str:
    return json.dumps({"username": username, "password": password})
