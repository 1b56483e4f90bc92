"""KMS's API with its rules: key policies, grants, other accounts' keys by ARN, disabled keys, AWS managed keys.

https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html. IAM policies are not
evaluated: where the key policy hands a permission to an account, every principal of that account has it.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar

import moto.kms.urls
from moto.core.exceptions import JsonRESTError
from moto.kms.models import Grant, Key, KmsBackend, kms_backends
from moto.kms.responses import KmsResponse
from moto.kms.utils import RESERVED_ALIASES

from localcloud import policy
from localcloud.accounts import principal_exists
from localcloud.services.kms_rules import (
    CROSS_ACCOUNT,
    KEY_ARN,
    NEEDS_ENABLED,
    NOT_BY_KEY_POLICY,
    REFUSED_ON_AWS_MANAGED,
    KeyRules,
    find_key,
    key_allows,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Caller, Cloud

GRANT_OPERATIONS = frozenset(
    {
        "Decrypt",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
        "Sign",
        "Verify",
        "GetPublicKey",
        "CreateGrant",
        "RetireGrant",
        "DescribeKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateMac",
        "VerifyMac",
        "DeriveSharedSecret",
    }
)
PRINCIPAL_ARN = re.compile(
    r"^arn:aws[\w-]*:(iam|sts)::\d{12}:(root|user/.+|role/.+|assumed-role/.+|federated-user/.+)$"
)
KEY_ID_LENGTH = 36


class KmsError(JsonRESTError):
    """An error in the shape of KMS."""

    code = 400


def access_denied(caller: Caller, operation: str, key_arn: str) -> KmsError:
    """AWS's answer to an operation that neither key policy nor grant allows."""
    return KmsError(
        "AccessDeniedException",
        f"User: {caller.arn} is not authorized to perform: kms:{operation} on resource: {key_arn} because no"
        f" resource-based policy allows the kms:{operation} action",
    )


class LocalGrant(Grant):
    """moto's grant, with what ListGrants shows besides."""

    __module__ = "moto.kms.models"

    def __init__(self, key: Key, wanted: dict[str, Any], *, issuing_account: str) -> None:
        super().__init__(
            key.id,
            wanted.get("Name"),  # type: ignore[arg-type] # optional in KMS
            wanted["GranteePrincipal"],
            list(wanted["Operations"]),
            wanted.get("Constraints"),  # type: ignore[arg-type] # optional in KMS
            wanted.get("RetiringPrincipal"),  # type: ignore[arg-type] # optional in KMS
        )
        self.creation_date = time.time()
        self.issuing_account = issuing_account


class LocalKmsBackend(KmsBackend):
    """moto's KMS, whose AWS managed keys are such."""

    __module__ = "moto.kms.models"

    def _generate_default_keys(self, alias_name: str) -> str | None:
        if alias_name not in RESERVED_ALIASES:
            return None
        service = alias_name.rpartition("/")[2]
        key = self.create_key(
            None,
            "ENCRYPT_DECRYPT",
            "SYMMETRIC_DEFAULT",
            f"Default key that protects my {service} data when no other key is defined",
            None,
        )
        key.key_manager = "AWS"
        key.key_rotation_status = True
        self.create_alias(key.id, alias_name)
        return str(key.id)


def install(cloud: Cloud) -> None:
    """Replace moto's backend and answers of KMS, and give the key rules their lock."""
    assert isinstance(cloud.kms, KeyRules)
    cloud.kms.lock = cloud.lock("kms")
    kms_backends.backend = LocalKmsBackend
    Response.cloud = cloud
    moto.kms.urls.url_paths["{0}/$"] = Response.dispatch


class Response(KmsResponse):
    """KMS for callers that the guard has identified: checks a call on a key, then moto answers in the key's account."""

    cloud: ClassVar[Cloud]

    _owner: str | None = None

    @property
    def kms_backend(self) -> KmsBackend:
        """Backend of the account that owns the key of this call."""
        return kms_backends[self._owner or self.current_account][self.region]

    def call_action(self) -> Any:
        """Refuse what key policy, grants and key state refuse."""
        try:
            self._authorize(self._get_action())
        except KmsError as error:
            headers = {"x-amzn-ErrorType": error.error_type, "Content-Type": "application/x-amz-json-1.1"}
            return error.code, headers, error.description
        return super().call_action()

    def _authorize(self, action: str) -> None:
        name = self._get_param("TargetKeyId") or self._get_param("KeyId") or self._get_param("DestinationKeyId")
        blob = self._get_param("CiphertextBlob")
        if action == "ReEncrypt":
            self._check(self._key_of(blob), "ReEncryptFrom", action)
            self._check(self._named(name), "ReEncryptTo", action)
            return
        key = self._key_of(blob) if action == "Decrypt" and not name else self._named(name) if name else None
        if key is not None:
            self._check(key, action, action)
            self._owner = key.account_id

    def _named(self, name: str) -> Key | None:
        """Key by any of its names; None leaves the complaint about an unknown own key to moto."""
        key = find_key(self.current_account, self.region, name)
        match = KEY_ARN.match(name)
        if key is None and match and match.group(2) != self.current_account:
            raise KmsError("NotFoundException", f"Key '{name}' does not exist")
        if match and match.group(1) != self.region:
            raise KmsError("NotFoundException", f"Invalid arn {match.group(1)}")
        return key

    def _key_of(self, blob: bytes) -> Key | None:
        """Key that a ciphertext names, in whatever account it is."""
        key_id = blob[:KEY_ID_LENGTH].decode("ascii", "replace")
        for backends in list(kms_backends.values()):
            key = backends[self.region].keys.get(key_id)
            if key is not None:
                return key
        return None

    def _check(self, key: Key | None, permission: str, action: str) -> None:
        if key is None:
            return
        caller = self.cloud.caller
        foreign = key.account_id != caller.account
        if key.key_manager == "AWS" and action in REFUSED_ON_AWS_MANAGED:
            raise access_denied(caller, permission, key.arn)
        if foreign and action not in CROSS_ACCOUNT:
            raise access_denied(caller, permission, key.arn)
        if action not in NOT_BY_KEY_POLICY and not key_allows(key, caller.account, permission, caller.principal_arn):
            raise access_denied(caller, permission, key.arn)
        if action in NEEDS_ENABLED and key.key_state == "Disabled":
            raise KmsError("DisabledException", f"{key.arn} is disabled.")
        if action in NEEDS_ENABLED and key.key_state != "Enabled":
            raise KmsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")

    def re_encrypt(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html."""
        source = self._key_of(self._get_param("CiphertextBlob"))
        target = self._named(self._get_param("DestinationKeyId"))
        if source and target and source.account_id != target.account_id:
            raise NotImplementedError(
                "ReEncrypt between accounts is not implemented by localcloud; Decrypt, then Encrypt"
            )
        self._owner = target.account_id if target else None
        return super().re_encrypt()

    def _by_id(self, action: Callable[[], str]) -> str:
        """Let moto act on the key's id; it crashes on an ARN here."""
        body = json.loads(self.body)
        self.body = json.dumps({**body, "KeyId": KmsBackend.get_key_id(body["KeyId"])})
        return action()

    def disable_key(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html."""
        return self._by_id(super().disable_key)

    def enable_key(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKey.html."""
        return self._by_id(super().enable_key)

    def schedule_key_deletion(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html."""
        return self._by_id(super().schedule_key_deletion)

    def cancel_key_deletion(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_CancelKeyDeletion.html."""
        return self._by_id(super().cancel_key_deletion)

    def create_key(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html."""
        check_policy(self._get_param("Policy"))
        return super().create_key()

    def put_key_policy(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html."""
        check_policy(self._get_param("Policy"))
        return super().put_key_policy()

    def create_grant(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html; idempotent if it has a Name."""
        key = self._existing()
        grant = make_grant(key, json.loads(self.body), issuer=self.cloud.caller.account)
        return json.dumps({"GrantId": grant.id, "GrantToken": grant.token})

    def list_grants(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_ListGrants.html, page by page."""
        key = self._existing()
        wanted_id, grantee = self._get_param("GrantId"), self._get_param("GranteePrincipal")
        found = [
            describe_grant(key, grant)
            for grant in key.grants.values()
            if wanted_id in {None, grant.id} and grantee in {None, grant.grantee_principal}
        ]
        start, limit = int(self._get_param("Marker") or 0), int(self._get_param("Limit") or 50)
        answer: dict[str, Any] = {"Grants": found[start : start + limit], "Truncated": start + limit < len(found)}
        if answer["Truncated"]:
            answer["NextMarker"] = str(start + limit)
        return json.dumps(answer)

    def revoke_grant(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_RevokeGrant.html."""
        key, grant_id = self._existing(), self._get_param("GrantId")
        if key.grants.pop(grant_id, None) is None:
            raise KmsError("NotFoundException", f"Grant ID {grant_id} not found")
        return "{}"

    def retire_grant(self) -> str:
        """https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html, by token or by id."""
        token, grant_id, caller = self._get_param("GrantToken"), self._get_param("GrantId"), self.cloud.caller
        keys = [self._existing()] if grant_id else _all_keys(self.region)
        for key in keys:
            for grant in list(key.grants.values()):
                if grant.id != grant_id and (not token or grant.token != token):
                    continue
                if not may_retire(key, grant, caller):
                    raise access_denied(caller, "RetireGrant", key.arn)
                del key.grants[grant.id]
                return "{}"
        raise KmsError("NotFoundException", f"Grant {grant_id or 'with this token'} not found")

    def _existing(self) -> Key:
        name = self._get_param("KeyId")
        self._validate_cmk_id(name)
        return self.kms_backend.keys[KmsBackend.get_key_id(name)]


def _all_keys(region: str) -> list[Key]:
    return [key for backends in list(kms_backends.values()) for key in backends[region].keys.values()]


def check_policy(document: str | None) -> None:
    """Refuse a key policy that is no policy, or names a principal that does not exist.

    :raises KmsError: MalformedPolicyDocumentException.
    """
    if document is None:
        return
    try:
        named = list(policy.principals(document))
    except policy.MalformedPolicyError as error:
        raise KmsError("MalformedPolicyDocumentException", f"Policy is malformed: {error}") from None
    unknown = [name for name in named if not principal_exists(name)]
    if unknown:
        raise KmsError(
            "MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals."
        )


def make_grant(key: Key, wanted: dict[str, Any], *, issuer: str) -> Grant:
    """Create a grant, or return the one that was made with the same name and content.

    :raises KmsError: ValidationException for an operation that grants do not know, InvalidArnException for a grantee.
    """
    operations, grantee = wanted.get("Operations") or [], wanted["GranteePrincipal"]
    unknown = sorted(set(operations) - GRANT_OPERATIONS)
    if unknown or not operations:
        raise KmsError(
            "ValidationException",
            f"1 validation error detected: Value '{operations}' at 'operations' failed to satisfy constraint: Member"
            f" must satisfy enum value set: {sorted(GRANT_OPERATIONS)}",
        )
    for principal in filter(None, (grantee, wanted.get("RetiringPrincipal"))):
        iam = re.sub(r":sts::(\d+):assumed-role/([^/]+)/.*", r":iam::\1:role/\2", principal)
        if not PRINCIPAL_ARN.match(principal) or not principal_exists(iam):
            raise KmsError("InvalidArnException", f"ARN {principal} is not valid: no such principal")
    content = (sorted(operations), grantee, wanted.get("RetiringPrincipal"), wanted.get("Constraints"))
    if wanted.get("Name"):
        for grant in key.grants.values():
            same = (sorted(grant.operations), grant.grantee_principal, grant.retiring_principal, grant.constraints)
            if grant.name == wanted["Name"] and same == content:
                return grant
    grant = LocalGrant(key, wanted, issuing_account=f"arn:aws:iam::{issuer}:root")
    key.grants[grant.id] = grant
    return grant


def describe_grant(key: Key, grant: Grant) -> dict[str, Any]:
    """Return a grant as ListGrants shows it: key ARN, no empty fields."""
    shown = {
        "KeyId": key.arn,
        "GrantId": grant.id,
        "Name": grant.name,
        "CreationDate": getattr(grant, "creation_date", None),
        "GranteePrincipal": grant.grantee_principal,
        "RetiringPrincipal": grant.retiring_principal,
        "IssuingAccount": getattr(grant, "issuing_account", None),
        "Operations": grant.operations,
        "Constraints": grant.constraints,
    }
    return {name: value for name, value in shown.items() if value is not None}


def may_retire(key: Key, grant: Grant, caller: Caller) -> bool:
    """Say whether the caller may retire a grant: its retiring principal, a grantee it allows to, the key's account."""
    if caller.principal_arn == grant.retiring_principal or caller.account == key.account_id:
        return True
    return caller.principal_arn == grant.grantee_principal and "RetireGrant" in grant.operations
