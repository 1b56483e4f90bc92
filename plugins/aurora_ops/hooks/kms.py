"""AWS KMS: keys and grants."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import AwsHook

# What copying and restoring an encrypted snapshot of another account needs of its key
# (Amazon Aurora User Guide, "Sharing encrypted snapshots").
SNAPSHOT_OPERATIONS = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
]


class KmsHook(AwsHook):
    """Keys and grants of one account and region."""

    service = "kms"

    def find_key(self, key_id: str) -> dict[str, Any] | None:
        """Look a key up by id, ARN or alias (``DescribeKey``); its ``KeyMetadata``."""
        try:
            return dict(self.call("describe_key", KeyId=key_id)["KeyMetadata"])
        except MissingError:
            return None

    def list_grants(self, key_arn: str, name: str) -> list[str]:
        """List the ids of a key's grants of a name, all pages."""
        grants = self.pages("list_grants", "Grants", KeyId=key_arn)
        return [grant["GrantId"] for grant in grants if grant.get("Name") == name]

    def list_grants_named(self, key_arn: str, prefix: str, grant_id: str | None = None) -> list[dict[str, Any]]:
        """List a key's grants whose names begin so, all pages, or the one of an id; the raw ``Grants``."""
        grants = self.pages("list_grants", "Grants", KeyId=key_arn, GrantId=grant_id)
        return [grant for grant in grants if str(grant.get("Name") or "").startswith(prefix)]

    def create_grant(self, key_arn: str, principal_arn: str, name: str) -> str:
        """Let a role of another account use a key for snapshots (``CreateGrant``); the grant's id.

        KMS answers a repeated call with the same name and parameters with the grant that is there.
        """
        granted = self.call(
            "create_grant",
            KeyId=key_arn,
            GranteePrincipal=principal_arn,
            RetiringPrincipal=principal_arn,
            Operations=SNAPSHOT_OPERATIONS,
            Name=name,
        )
        return str(granted["GrantId"])

    def revoke_grant(self, key_arn: str, grant_id: str) -> None:
        """End a grant (``RevokeGrant``)."""
        self.call("revoke_grant", KeyId=key_arn, GrantId=grant_id)
