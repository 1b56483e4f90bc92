"""Which key a name means, and who may do what with it; used by KMS itself and by the services that encrypt with keys.

https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html. IAM policies are not evaluated: where the key
policy hands a permission to an account, every principal of that account has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moto.kms.models import Grant, Key, KmsBackend, kms_backends

from localcloud import policy
from localcloud.cloud import KeyInfo, KeyNotAccessible

if TYPE_CHECKING:
    from threading import RLock

# What works on a key of another account, by ARN: the "Cross-account use" lines of the API reference.
CROSS_ACCOUNT = frozenset(
    {
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "GetKeyRotationStatus",
        "GetPublicKey",
        "ListGrants",
        "ReEncrypt",
        "RevokeGrant",
        "RetireGrant",
        "Sign",
        "Verify",
        "VerifyMac",
    }
)
NEEDS_ENABLED = frozenset(
    {
        "CreateGrant",
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "ReEncrypt",
        "Sign",
        "Verify",
        "VerifyMac",
    }
)
# AWS managed keys are managed by AWS: their owner can look at them and use them through the service, nothing else.
REFUSED_ON_AWS_MANAGED = frozenset(
    {
        "CreateGrant",
        "DisableKey",
        "EnableKey",
        "PutKeyPolicy",
        "ScheduleKeyDeletion",
        "CancelKeyDeletion",
        "CreateAlias",
        "UpdateAlias",
        "UpdateKeyDescription",
        "TagResource",
        "UntagResource",
        "EnableKeyRotation",
        "DisableKeyRotation",
    }
)
# Allowed by other means than the key policy, or about no key in particular.
NOT_BY_KEY_POLICY = frozenset({"RetireGrant"})
KEY_ARN = re.compile(r"^arn:aws[\w-]*:kms:([^:]+):(\d{12}):((?:key|alias)/.+)$")


@dataclass
class KeyRules:
    """Key rules for KMS itself and for other services; see :class:`localcloud.cloud.Kms`."""

    lock: RLock | None = None

    def resolve(self, account: str, region: str, key: str) -> KeyInfo:
        """See :class:`localcloud.cloud.Kms`."""
        assert self.lock is not None
        with self.lock:
            found = find_key(account, region, key)
            if found is None or found.region != region:
                raise KeyNotAccessible(key)
            if found.account_id != account and not key_allows(found, account, "DescribeKey"):
                raise KeyNotAccessible(key)
            return key_info(found)

    def default_key(self, account: str, region: str, service: str = "rds") -> KeyInfo:
        """See :class:`localcloud.cloud.Kms`."""
        assert self.lock is not None
        with self.lock:
            found = find_key(account, region, f"alias/aws/{service}")
            if found is None:
                raise KeyNotAccessible(f"alias/aws/{service}")
            return key_info(found)

    def allows(self, caller_account: str, key_arn: str, operation: str, *, principal_arn: str | None = None) -> bool:
        """See :class:`localcloud.cloud.Kms`."""
        assert self.lock is not None
        with self.lock:
            found = find_key(caller_account, "", key_arn)
            return found is not None and key_allows(found, caller_account, operation, principal_arn)


def key_info(key: Key) -> KeyInfo:
    """Return what other services see of a key."""
    return KeyInfo(
        arn=key.arn,
        account=key.account_id,
        enabled=key.key_state == "Enabled",
        is_default_rds="alias/aws/rds" in key.aliases,
    )


def find_key(account: str, region: str, name: str) -> Key | None:
    """Find a key by id, ARN, alias name or alias ARN, without applying any rule; None if there is none.

    :param account: where ids and alias names are looked up; an ARN says itself where.
    """
    match = KEY_ARN.match(name)
    if match:
        region, account, name = match.groups()
    if account not in kms_backends and not name.startswith("alias/aws/"):
        return None
    if not region or (match and account not in kms_backends):
        return None
    backend: KmsBackend = kms_backends[account][region]
    if name.startswith("alias/"):
        key_id = backend.get_key_id_from_alias(name)
        return backend.keys.get(key_id) if key_id else None
    return backend.keys.get(name.removeprefix("key/"))


def key_allows(key: Key, account: str, operation: str, principal_arn: str | None = None) -> bool:
    """Whether key policy or a grant allows an operation to a principal, or to any of the account."""
    operation = operation.removeprefix("kms:")
    if key.key_manager == "AWS" and account != key.account_id:
        return False
    if policy.allows(key.policy, policy.Request(f"kms:{operation}", account, principal_arn)):
        return True
    return any(
        operation in grant.operations and _is_grantee(grant, account, principal_arn) for grant in key.grants.values()
    )


def _is_grantee(grant: Grant, account: str, principal_arn: str | None) -> bool:
    grantee = grant.grantee_principal
    if grantee == f"arn:aws:iam::{account}:root" or principal_arn is None:
        return bool(grantee.split(":")[4] == account)
    return bool(grantee == principal_arn)
