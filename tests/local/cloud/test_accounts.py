"""Accounts are separate, and only AssumeRole leads from one into another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.serialize import create_serializer

from localcloud import client as clients
from localcloud import policy
from localcloud.accounts import ExpiredCredentialsError, Identities, Session
from localcloud.cloud import Caller
from localcloud.names import (
    ACCOUNT_NAMES,
    AIRFLOW_ACCESS_KEY_ID,
    AIRFLOW_USER_ARN,
    EXTERNAL_ID,
    PRODUCTION,
    ROLES,
    SHARED,
    STAGING,
    role_arn,
)

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local


def error_of(raised: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def trust(**statement: Any) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", **statement}],
        }
    )


@pytest.fixture
def make_role(cloud: LocalCloud) -> Any:
    """Create a role in production with a trust policy; removed afterwards."""
    iam = cloud.admin(PRODUCTION, "iam")
    made: list[str] = []

    def make(name: str, document: str, **parameters: Any) -> str:
        made.append(name)
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **parameters)["Role"]["Arn"]
        return arn

    yield make
    for name in made:
        iam.delete_role(RoleName=name)


@pytest.mark.parametrize("account", ACCOUNT_NAMES)
def test_role_session_belongs_to_its_account(cloud: LocalCloud, account: str) -> None:
    identity = cloud.client(account, "sts").get_caller_identity()

    assert identity["Account"] == account
    assert identity["Arn"] == f"arn:aws:sts::{account}:assumed-role/{ROLES[account]}/localcloud"
    assert identity["UserId"].endswith(":localcloud")


def test_airflow_user_is_in_shared_services(cloud: LocalCloud) -> None:
    identity = clients.user_client("sts", cloud.config).get_caller_identity()

    assert (identity["Account"], identity["Arn"]) == (SHARED, AIRFLOW_USER_ARN)


def test_resources_of_accounts_are_separate(cloud: LocalCloud) -> None:
    cloud.client(PRODUCTION, "ssm").put_parameter(Name="/only/production", Value="1", Type="String")

    with pytest.raises(ClientError) as raised:
        cloud.client(STAGING, "ssm").get_parameter(Name="/only/production")

    assert error_of(raised)[0] == "ParameterNotFound"


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("sts", "get_caller_identity", ("InvalidClientTokenId", 403)),
        ("rds", "describe_db_clusters", ("InvalidClientTokenId", 403)),
        ("sqs", "list_queues", ("InvalidClientTokenId", 403)),
        ("dynamodb", "list_tables", ("UnrecognizedClientException", 400)),
        ("efs", "describe_file_systems", ("UnrecognizedClientException", 400)),
        ("s3", "list_buckets", ("InvalidAccessKeyId", 403)),
        ("ec2", "describe_vpcs", ("AuthFailure", 401)),
    ],
)
def test_unknown_access_key_is_refused(
    cloud: LocalCloud, service: str, operation: str, expected: tuple[str, int]
) -> None:
    client = clients.make_client(cloud.config, service, "AKIAUNKNOWNUNKNOWN00", "secret")

    with pytest.raises(ClientError) as raised:
        getattr(client, operation)()

    assert error_of(raised) == expected


def test_unsigned_call_is_refused(cloud: LocalCloud) -> None:
    from botocore import UNSIGNED
    from botocore.config import Config

    client = boto3.client(
        "s3", endpoint_url=cloud.config.endpoint, region_name="eu-west-1", config=Config(signature_version=UNSIGNED)
    )

    with pytest.raises(ClientError) as raised:
        client.list_buckets()

    assert error_of(raised) == ("AccessDenied", 403)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_session_without_its_token_is_refused(cloud: LocalCloud, token: str | None) -> None:
    credentials = clients.user_client("sts", cloud.config).assume_role(
        RoleArn=role_arn(STAGING), RoleSessionName="token", ExternalId=EXTERNAL_ID
    )["Credentials"]
    client = clients.make_client(cloud.config, "sts", credentials["AccessKeyId"], credentials["SecretAccessKey"], token)

    with pytest.raises(ClientError) as raised:
        client.get_caller_identity()

    assert error_of(raised) == ("InvalidClientTokenId", 403)


def test_header_of_moto_leads_into_no_account(cloud: LocalCloud) -> None:
    client = clients.user_client("sts", cloud.config)
    client.meta.events.register(
        "before-send.sts", lambda request, **_: request.headers.__setitem__("x-moto-account-id", PRODUCTION)
    )
    client.meta.events.register(
        "before-call.sts", lambda params, **_: params["headers"].__setitem__("x-moto-account-id", PRODUCTION)
    )

    answer = client.assume_role(RoleArn=role_arn(SHARED), RoleSessionName="header", ExternalId=EXTERNAL_ID)
    secrets = clients.user_client("secretsmanager", cloud.config)
    secrets.meta.events.register(
        "before-call.secretsmanager", lambda params, **_: params["headers"].__setitem__("x-moto-account-id", PRODUCTION)
    )
    secret = secrets.create_secret(Name="header", SecretString="x")

    assert f"::{SHARED}:" in answer["AssumedRoleUser"]["Arn"]
    assert f":{SHARED}:" in secret["ARN"]


@pytest.mark.parametrize(
    ("external_id", "role"),
    [
        ({}, ROLES[STAGING]),
        ({"ExternalId": "wrong"}, ROLES[STAGING]),
        ({"ExternalId": EXTERNAL_ID}, "does-not-exist"),
    ],
    ids=["no external id", "wrong external id", "no such role"],
)
def test_assume_role_is_refused(cloud: LocalCloud, external_id: dict[str, str], role: str) -> None:
    arn = f"arn:aws:iam::{STAGING}:role/{role}"

    with pytest.raises(ClientError) as raised:
        clients.user_client("sts", cloud.config).assume_role(RoleArn=arn, RoleSessionName="refused", **external_id)

    assert error_of(raised) == ("AccessDenied", 403)
    assert raised.value.response["Error"]["Message"] == (
        f"User: {AIRFLOW_USER_ARN} is not authorized to perform: sts:AssumeRole on resource: {arn}"
    )


def test_role_that_trusts_somebody_else_is_refused(cloud: LocalCloud, make_role: Any) -> None:
    arn = make_role("trusts-bob", trust(Principal={"AWS": f"arn:aws:iam::{SHARED}:user/bob"}))

    with pytest.raises(ClientError) as raised:
        clients.user_client("sts", cloud.config).assume_role(RoleArn=arn, RoleSessionName="refused")

    assert error_of(raised) == ("AccessDenied", 403)


def test_role_that_trusts_a_service_is_refused_to_a_user(cloud: LocalCloud, make_role: Any) -> None:
    arn = make_role("trusts-rds", trust(Principal={"Service": "rds.amazonaws.com"}))

    with pytest.raises(ClientError):
        clients.user_client("sts", cloud.config).assume_role(RoleArn=arn, RoleSessionName="refused")


def test_role_that_trusts_the_account_is_granted(cloud: LocalCloud, make_role: Any) -> None:
    arn = make_role("trusts-account", trust(Principal={"AWS": f"arn:aws:iam::{SHARED}:root"}))

    answer = clients.user_client("sts", cloud.config).assume_role(RoleArn=arn, RoleSessionName="granted")

    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{PRODUCTION}:assumed-role/trusts-account/granted"


def test_orchestrator_role_may_assume_the_other_roles(cloud: LocalCloud) -> None:
    answer = cloud.client(SHARED, "sts").assume_role(
        RoleArn=role_arn(PRODUCTION), RoleSessionName="chained", ExternalId=EXTERNAL_ID
    )

    assert answer["AssumedRoleUser"]["Arn"].startswith(f"arn:aws:sts::{PRODUCTION}:")


def test_destination_role_may_not_assume_the_source_role(cloud: LocalCloud) -> None:
    with pytest.raises(ClientError) as raised:
        cloud.client(STAGING, "sts").assume_role(
            RoleArn=role_arn(PRODUCTION), RoleSessionName="sideways", ExternalId=EXTERNAL_ID
        )

    assert error_of(raised) == ("AccessDenied", 403)


@pytest.mark.parametrize(("duration_s", "role"), [(899, SHARED), (43201, SHARED), (3601, "chained")])
def test_session_duration_is_bounded(cloud: LocalCloud, duration_s: int, role: str) -> None:
    chained = role == "chained"
    sts = clients.role_client(SHARED, "sts", cloud.config) if chained else clients.user_client("sts", cloud.config)
    sts._serializer = create_serializer(sts.meta.service_model.protocol, include_validation=False)

    with pytest.raises(ClientError) as raised:
        sts.assume_role(
            RoleArn=role_arn(STAGING), RoleSessionName="long", ExternalId=EXTERNAL_ID, DurationSeconds=duration_s
        )

    assert error_of(raised)[0] == "ValidationError"


def test_session_says_when_it_ends(cloud: LocalCloud) -> None:
    credentials = clients.user_client("sts", cloud.config).assume_role(
        RoleArn=role_arn(STAGING), RoleSessionName="end", ExternalId=EXTERNAL_ID, DurationSeconds=900
    )["Credentials"]

    assert 880 < (credentials["Expiration"] - datetime.now(UTC)).total_seconds() < 910


def test_session_ends() -> None:
    now = [1000.0]
    identities = Identities(clock=lambda: now[0])
    caller = Caller(STAGING, "arn:aws:sts::222222222222:assumed-role/r/s", "arn:aws:iam::222222222222:role/r")
    identities.add_session("ASIAX", Session(caller, "token", "AROA:s", expires=1900.0))

    assert identities.caller("ASIAX", "token") == caller
    now[0] = 1900.0
    with pytest.raises(ExpiredCredentialsError):
        identities.caller("ASIAX", "token")


def test_inactive_access_key_is_refused(cloud: LocalCloud) -> None:
    iam = cloud.admin(SHARED, "iam")
    iam.create_user(UserName="carol")
    key = iam.create_access_key(UserName="carol")["AccessKey"]
    client = clients.make_client(cloud.config, "sts", key["AccessKeyId"], key["SecretAccessKey"])
    assert client.get_caller_identity()["Arn"].endswith("user/carol")

    iam.update_access_key(UserName="carol", AccessKeyId=key["AccessKeyId"], Status="Inactive")

    with pytest.raises(ClientError) as raised:
        client.get_caller_identity()
    assert error_of(raised) == ("InvalidClientTokenId", 403)


def test_bootstrap_credentials_are_for_the_owner_only(cloud: LocalCloud) -> None:
    assert cloud.config.credentials_file.stat().st_mode & 0o777 == 0o600


def test_admin_operation_needs_the_secret(cloud: LocalCloud) -> None:
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"{cloud.config.endpoint}/localcloud/admin/anything", data=b"{}")

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=5)

    assert raised.value.code == 403


def test_user_with_a_token_is_refused(cloud: LocalCloud) -> None:
    client = clients.make_client(cloud.config, "sts", AIRFLOW_ACCESS_KEY_ID, "secret", "a user has no token")

    with pytest.raises(ClientError) as raised:
        client.get_caller_identity()

    assert error_of(raised) == ("InvalidClientTokenId", 403)


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Principal": "*", "Action": "kms:*"}, True),
        ({"Principal": {"AWS": "222222222222"}, "Action": ["kms:Decrypt"]}, True),
        ({"Principal": {"AWS": "arn:aws:iam::222222222222:root"}, "Action": "kms:Dec*"}, True),
        ({"Principal": {"AWS": "arn:aws:iam::222222222222:role/r"}, "Action": "kms:decrypt"}, True),
        ({"Principal": {"AWS": "arn:aws:iam::222222222222:role/other"}, "Action": "kms:*"}, False),
        ({"Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "kms:*"}, False),
        ({"Principal": "*", "Action": "kms:Encrypt"}, False),
        ({"Principal": "*", "NotAction": "kms:Decrypt"}, False),
        ({"Principal": "*", "Action": "kms:*", "Condition": {"StringEquals": {"kms:ViaService": "rds"}}}, False),
        ({"Principal": "*", "Action": "kms:*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Principal": "*", "Action": "kms:*", "Condition": {"StringEquals": {"k": ["a", "b"]}}}, True),
        ({"Principal": "*", "Action": "kms:*", "Condition": {"StringNotEquals": {"k": "b"}}}, False),
        ({"Principal": "*", "Action": "kms:*", "Condition": {"StringLike": {"K": "?"}}}, True),
    ],
)
def test_policy_statement(statement: dict[str, Any], allowed: bool) -> None:
    request = policy.Request("kms:Decrypt", STAGING, "arn:aws:iam::222222222222:role/r", context={"k": "b"})

    assert policy.allows(json.dumps({"Statement": [{"Effect": "Allow", **statement}]}), request) is allowed


def test_policy_deny_wins() -> None:
    document = json.dumps(
        {
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "kms:*"},
                {"Effect": "Deny", "Principal": {"AWS": STAGING}, "Action": "kms:Decrypt"},
            ]
        }
    )

    assert not policy.allows(document, policy.Request("kms:Decrypt", STAGING))
    assert policy.allows(document, policy.Request("kms:Decrypt", PRODUCTION))
