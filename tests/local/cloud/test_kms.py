"""KMS: who may use whose key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud.names import (
    DEV,
    PRODUCTION,
    STAGING,
    role_arn,
)

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

OWN_ACCOUNT = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
    "Action": "kms:*",
    "Resource": "*",
}


def key_policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [OWN_ACCOUNT, *statements]})


def allow(principal: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"}


@pytest.fixture
def key(cloud: LocalCloud) -> str:
    """ARN of a new key of production with KMS's default policy."""
    arn: str = cloud.client(PRODUCTION, "kms").create_key()["KeyMetadata"]["Arn"]
    return arn


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_own_key_works_by_id_arn_and_alias(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    alias = f"alias/{key.rpartition('/')[2]}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)

    for name in (key, key.rpartition("/")[2], alias, key.replace("key/" + key.rpartition("/")[2], alias)):
        blob = kms.encrypt(KeyId=name, Plaintext=b"data")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"data"
        assert kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"] == key


@pytest.mark.parametrize("operation", ["describe_key", "encrypt", "generate_data_key", "create_grant", "list_grants"])
def test_foreign_key_is_refused_by_default(cloud: LocalCloud, key: str, operation: str) -> None:
    parameters: dict[str, dict[str, Any]] = {
        "encrypt": {"Plaintext": b"x"},
        "generate_data_key": {"KeySpec": "AES_256"},
        "create_grant": {"GranteePrincipal": role_arn(STAGING), "Operations": ["Decrypt"]},
    }

    with pytest.raises(ClientError) as raised:
        getattr(cloud.client(STAGING, "kms"), operation)(KeyId=key, **parameters.get(operation, {}))

    assert code(raised) == "AccessDeniedException"
    assert key in raised.value.response["Error"]["Message"]


def test_foreign_arn_never_means_an_own_key(cloud: LocalCloud, key: str) -> None:
    with pytest.raises(ClientError) as raised:
        cloud.client(PRODUCTION, "kms").describe_key(KeyId=key.replace(PRODUCTION, STAGING))

    assert code(raised) == "NotFoundException"


@pytest.mark.parametrize("principal", [f"arn:aws:iam::{STAGING}:root", STAGING, role_arn(STAGING)])
def test_key_policy_lets_another_account_in(cloud: LocalCloud, key: str, principal: str) -> None:
    cloud.client(PRODUCTION, "kms").put_key_policy(
        KeyId=key,
        PolicyName="default",
        Policy=key_policy(allow(principal, "kms:Encrypt", "kms:Decrypt", "kms:Describe*")),
    )
    staging = cloud.client(STAGING, "kms")

    blob = staging.encrypt(KeyId=key, Plaintext=b"data")["CiphertextBlob"]

    decrypted = staging.decrypt(CiphertextBlob=blob)
    assert (decrypted["Plaintext"], decrypted["KeyId"]) == (b"data", key)
    assert staging.describe_key(KeyId=key)["KeyMetadata"]["AWSAccountId"] == PRODUCTION
    with pytest.raises(ClientError) as raised:
        staging.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert code(raised) == "AccessDeniedException"
    with pytest.raises(ClientError) as raised:
        cloud.client(DEV, "kms").describe_key(KeyId=key)
    assert code(raised) == "AccessDeniedException"


def test_foreign_key_can_never_be_managed(cloud: LocalCloud, key: str) -> None:
    cloud.client(PRODUCTION, "kms").put_key_policy(
        KeyId=key, PolicyName="default", Policy=key_policy(allow(f"arn:aws:iam::{STAGING}:root", "kms:*"))
    )

    with pytest.raises(ClientError) as raised:
        cloud.client(STAGING, "kms").disable_key(KeyId=key)

    assert code(raised) == "AccessDeniedException"
    assert cloud.client(PRODUCTION, "kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]


def test_ciphertext_of_another_account_is_refused(cloud: LocalCloud, key: str) -> None:
    blob = cloud.client(PRODUCTION, "kms").encrypt(KeyId=key, Plaintext=b"data")["CiphertextBlob"]

    with pytest.raises(ClientError) as raised:
        cloud.client(STAGING, "kms").decrypt(CiphertextBlob=blob)

    assert code(raised) == "AccessDeniedException"


def test_grant_lets_the_grantee_in_until_revoked(cloud: LocalCloud, key: str) -> None:
    production, staging = cloud.client(PRODUCTION, "kms"), cloud.client(STAGING, "kms")
    grant = production.create_grant(
        KeyId=key, GranteePrincipal=role_arn(STAGING), Operations=["DescribeKey", "Encrypt", "Decrypt"]
    )

    blob = staging.encrypt(KeyId=key, Plaintext=b"data")["CiphertextBlob"]
    assert staging.decrypt(CiphertextBlob=blob)["Plaintext"] == b"data"
    with pytest.raises(ClientError):
        staging.generate_data_key(KeyId=key, KeySpec="AES_256")
    with pytest.raises(ClientError):
        cloud.client(DEV, "kms").encrypt(KeyId=key, Plaintext=b"data")

    production.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    with pytest.raises(ClientError) as raised:
        staging.describe_key(KeyId=key)
    assert code(raised) == "AccessDeniedException"


def test_named_grant_is_idempotent(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    wanted = {"KeyId": key, "GranteePrincipal": role_arn(STAGING), "Operations": ["Decrypt"], "Name": "refresh"}

    first, again = kms.create_grant(**wanted), kms.create_grant(**wanted)
    other = kms.create_grant(**{**wanted, "Operations": ["Encrypt"]})
    kms.create_grant(**{name: value for name, value in wanted.items() if name != "Name"})
    kms.create_grant(**{name: value for name, value in wanted.items() if name != "Name"})

    assert first["GrantId"] == again["GrantId"] != other["GrantId"]
    grants = kms.list_grants(KeyId=key)["Grants"]
    assert [grant.get("Name") for grant in grants] == ["refresh", "refresh", None, None]
    assert grants[0] == {
        "KeyId": key,
        "GrantId": first["GrantId"],
        "Name": "refresh",
        "CreationDate": grants[0]["CreationDate"],
        "GranteePrincipal": role_arn(STAGING),
        "IssuingAccount": f"arn:aws:iam::{PRODUCTION}:root",
        "Operations": ["Decrypt"],
    }


def test_grants_are_listed_by_page_and_grantee(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    for account in (STAGING, DEV, STAGING):
        kms.create_grant(KeyId=key, GranteePrincipal=role_arn(account), Operations=["Decrypt"])

    pages = list(kms.get_paginator("list_grants").paginate(KeyId=key, PaginationConfig={"PageSize": 2}))

    assert [len(page["Grants"]) for page in pages] == [2, 1]
    assert len(kms.list_grants(KeyId=key, GranteePrincipal=role_arn(DEV))["Grants"]) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"GranteePrincipal": f"arn:aws:iam::{STAGING}:role/does-not-exist", "Operations": ["Decrypt"]},
        {"GranteePrincipal": "rubbish", "Operations": ["Decrypt"]},
        {"GranteePrincipal": role_arn(STAGING), "Operations": ["DisableKey"]},
    ],
)
def test_impossible_grant_is_refused(cloud: LocalCloud, key: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as raised:
        cloud.client(PRODUCTION, "kms").create_grant(KeyId=key, **wanted)

    assert code(raised) in {"InvalidArnException", "ValidationException"}


def test_grant_is_retired_only_by_who_may(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    grant = kms.create_grant(
        KeyId=key, GranteePrincipal=role_arn(STAGING), RetiringPrincipal=role_arn(DEV), Operations=["Decrypt"]
    )

    with pytest.raises(ClientError) as raised:
        cloud.client(STAGING, "kms").retire_grant(KeyId=key, GrantId=grant["GrantId"])
    assert code(raised) == "AccessDeniedException"
    assert len(kms.list_grants(KeyId=key)["Grants"]) == 1
    cloud.client(DEV, "kms").retire_grant(GrantToken=grant["GrantToken"])
    assert kms.list_grants(KeyId=key)["Grants"] == []


def test_disabled_key_is_refused_and_can_be_enabled_by_arn(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    blob = kms.encrypt(KeyId=key, Plaintext=b"data")["CiphertextBlob"]
    kms.disable_key(KeyId=key)

    for refused in (
        lambda: kms.encrypt(KeyId=key, Plaintext=b"data"),
        lambda: kms.decrypt(CiphertextBlob=blob),
        lambda: kms.create_grant(KeyId=key, GranteePrincipal=role_arn(STAGING), Operations=["Decrypt"]),
    ):
        with pytest.raises(ClientError) as raised:
            refused()
        assert code(raised) == "DisabledException"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"data"


def test_key_pending_deletion_is_refused(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    with pytest.raises(ClientError) as raised:
        kms.encrypt(KeyId=key, Plaintext=b"data")

    assert code(raised) == "KMSInvalidStateException"


def test_key_policy_binds_the_own_account_too(cloud: LocalCloud, key: str) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    document = json.dumps({"Statement": [allow(role_arn(PRODUCTION), "kms:Describe*", "kms:Put*")]})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document)

    with pytest.raises(ClientError) as raised:
        kms.encrypt(KeyId=key, Plaintext=b"data")

    assert code(raised) == "AccessDeniedException"
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"] == key


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "{}",
        key_policy({"Effect": "Allow", "Action": "kms:*"}),
        key_policy(allow(f"{role_arn(DEV)}-typo", "kms:*")),
    ],
    ids=["no json", "no statement", "no principal", "unknown principal"],
)
def test_malformed_key_policy_is_refused(cloud: LocalCloud, key: str, document: str) -> None:
    with pytest.raises(ClientError) as raised:
        cloud.client(PRODUCTION, "kms").put_key_policy(KeyId=key, PolicyName="default", Policy=document)

    assert code(raised) == "MalformedPolicyDocumentException"


def test_default_key_is_managed_by_aws(cloud: LocalCloud) -> None:
    kms = cloud.client(PRODUCTION, "kms")
    key = kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]

    assert key["KeyManager"] == "AWS"
    for refused in (
        lambda: kms.create_grant(KeyId=key["Arn"], GranteePrincipal=role_arn(STAGING), Operations=["Decrypt"]),
        lambda: kms.put_key_policy(
            KeyId=key["Arn"], PolicyName="default", Policy=key_policy(allow(role_arn(STAGING), "kms:*"))
        ),
        lambda: kms.disable_key(KeyId=key["Arn"]),
        lambda: kms.schedule_key_deletion(KeyId=key["Arn"]),
        lambda: cloud.client(STAGING, "kms").describe_key(KeyId=key["Arn"]),
    ):
        with pytest.raises(ClientError) as raised:
            refused()
        assert code(raised) == "AccessDeniedException"
