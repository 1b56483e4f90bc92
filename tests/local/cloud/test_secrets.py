"""Secrets Manager: versions and labels, and the secrets that belong to RDS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from localcloud.cloud import KeyNotAccessible
from localcloud.names import (
    PRODUCTION,
    STAGING,
)
from localcloud.services import kms_rules, secretsmanager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local


@pytest.fixture
def secret(cloud: LocalCloud) -> str:
    """ARN of a new secret of staging with value ``one``."""
    arn: str = cloud.client(STAGING, "secretsmanager").create_secret(Name=f"app/{uuid4()}", SecretString="one")["ARN"]
    return arn


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def stages(client: Any, secret: str) -> dict[str, list[str]]:
    return {key: sorted(value) for key, value in client.describe_secret(SecretId=secret)["VersionIdsToStages"].items()}


def test_value_follows_the_label_awscurrent(cloud: LocalCloud, secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")
    first = client.get_secret_value(SecretId=secret)["VersionId"]
    pending = client.put_secret_value(SecretId=secret, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
    assert client.get_secret_value(SecretId=secret)["SecretString"] == "one"
    assert client.get_secret_value(SecretId=secret, VersionStage="AWSPENDING")["SecretString"] == "two"

    client.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=pending, RemoveFromVersionId=first
    )

    assert client.get_secret_value(SecretId=secret)["SecretString"] == "two"
    assert client.get_secret_value(SecretId=secret, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    assert stages(client, secret) == {first: ["AWSPREVIOUS"], pending: ["AWSCURRENT", "AWSPENDING"]}


def test_label_is_moved_back(cloud: LocalCloud, secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")
    first = client.get_secret_value(SecretId=secret)["VersionId"]
    second = client.put_secret_value(SecretId=secret, SecretString="two")["VersionId"]

    client.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )

    assert client.get_secret_value(SecretId=secret)["SecretString"] == "one"
    assert stages(client, secret) == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}


def test_label_in_use_is_not_moved_without_its_holder(cloud: LocalCloud, secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")
    first = client.put_secret_value(SecretId=secret, SecretString="two", VersionStages=["MINE"])["VersionId"]
    second = client.put_secret_value(SecretId=secret, SecretString="three", VersionStages=["OTHER"])["VersionId"]

    with pytest.raises(ClientError) as raised:
        client.update_secret_version_stage(SecretId=secret, VersionStage="MINE", MoveToVersionId=second)

    assert code(raised) == "InvalidParameterException"
    assert stages(client, secret)[first] == ["MINE"]


def test_awscurrent_is_never_without_a_version(cloud: LocalCloud, secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")
    version = client.get_secret_value(SecretId=secret)["VersionId"]

    with pytest.raises(ClientError) as raised:
        client.update_secret_version_stage(SecretId=secret, VersionStage="AWSCURRENT", RemoveFromVersionId=version)

    assert code(raised) == "InvalidParameterException"
    assert client.get_secret_value(SecretId=secret)["SecretString"] == "one"


def test_rotation_needs_a_function_and_leaves_the_value(cloud: LocalCloud, secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")

    with pytest.raises(ClientError) as raised:
        client.rotate_secret(SecretId=secret)

    assert code(raised) == "InvalidRequestException"
    assert client.get_secret_value(SecretId=secret)["SecretString"] == "one"


@pytest.fixture
def managed() -> Iterator[Any]:
    """Managed secrets in this process's moto."""
    import threading

    from moto import mock_aws

    with mock_aws():
        lock = threading.RLock()
        rules = kms_rules.KeyRules(lock)
        former = secretsmanager.secretsmanager_backends.backend
        secretsmanager.secretsmanager_backends.clear()
        secretsmanager.secretsmanager_backends.backend = secretsmanager.LocalSecretsBackend
        yield secretsmanager.RdsMasterSecrets(rules, lock)
        secretsmanager.secretsmanager_backends.backend = former
        secretsmanager.secretsmanager_backends.clear()


CLUSTER_ARN = f"arn:aws:rds:eu-west-1:{PRODUCTION}:cluster:prod"


def test_master_secret_is_of_rds(managed: Any) -> None:
    made = managed.create(PRODUCTION, "eu-west-1", username="admin", password="first", cluster_arn=CLUSTER_ARN)

    backend = secretsmanager.secretsmanager_backends[PRODUCTION]["eu-west-1"]
    described = backend.describe_secret(made.arn).to_dict()
    assert described["Name"].startswith("rds!cluster-")
    assert described["OwningService"] == "rds"
    assert described["RotationEnabled"] is True
    assert {"Key": "aws:rds:primaryDBClusterArn", "Value": CLUSTER_ARN} in described["Tags"]
    assert made.kms_key_arn.startswith(f"arn:aws:kms:eu-west-1:{PRODUCTION}:key/")
    value = json.loads(backend.get_secret_value(made.arn, None, None)["SecretString"])
    assert value == {"username": "admin", "password": "first"}


def test_master_secret_rotates_and_keeps_the_previous(managed: Any) -> None:
    made = managed.create(PRODUCTION, "eu-west-1", username="admin", password="first", cluster_arn=CLUSTER_ARN)

    managed.rotate(PRODUCTION, "eu-west-1", made.arn, "second")

    backend = secretsmanager.secretsmanager_backends[PRODUCTION]["eu-west-1"]
    assert managed.password(PRODUCTION, "eu-west-1", made.arn) == "second"
    previous = backend.get_secret_value(made.arn, None, "AWSPREVIOUS")
    assert json.loads(previous["SecretString"])["password"] == "first"


def test_master_secret_is_deleted_at_once(managed: Any) -> None:
    made = managed.create(PRODUCTION, "eu-west-1", username="admin", password="first", cluster_arn=CLUSTER_ARN)

    managed.delete(PRODUCTION, "eu-west-1", made.arn)
    managed.delete(PRODUCTION, "eu-west-1", made.arn)

    with pytest.raises(KeyError):
        managed.password(PRODUCTION, "eu-west-1", made.arn)


def test_master_secret_needs_an_existing_key(managed: Any) -> None:
    with pytest.raises(KeyNotAccessible):
        managed.create(
            PRODUCTION, "eu-west-1", username="a", password="p", cluster_arn=CLUSTER_ARN, kms_key="alias/unknown"
        )


@pytest.fixture
def master_secret(cloud: LocalCloud) -> Iterator[str]:
    """ARN of the master secret of a new cluster in staging."""
    rds = cloud.client(STAGING, "rds")
    ec2, name = cloud.admin(STAGING, "ec2"), f"secret-{uuid4().hex[:8]}"
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"] if subnet["DefaultForAz"]]
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="test", SubnetIds=subnets)
    cluster = rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-mysql",
        MasterUsername="admin",
        ManageMasterUserPassword=True,
        DBSubnetGroupName=name,
    )["DBCluster"]
    yield cluster["MasterUserSecret"]["SecretArn"]
    rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)


def test_user_reads_but_does_not_write_a_secret_of_rds(cloud: LocalCloud, master_secret: str) -> None:
    client = cloud.client(STAGING, "secretsmanager")
    before = client.get_secret_value(SecretId=master_secret)

    for refused in (
        lambda: client.put_secret_value(SecretId=master_secret, SecretString="mine"),
        lambda: client.update_secret(SecretId=master_secret, SecretString="mine"),
        lambda: client.delete_secret(SecretId=master_secret, ForceDeleteWithoutRecovery=True),
        lambda: client.rotate_secret(SecretId=master_secret),
        lambda: client.update_secret_version_stage(
            SecretId=master_secret, VersionStage="MINE", MoveToVersionId=before["VersionId"]
        ),
    ):
        with pytest.raises(ClientError) as raised:
            refused()
        assert code(raised) == "InvalidRequestException"

    assert client.get_secret_value(SecretId=master_secret)["SecretString"] == before["SecretString"]


def test_new_passwords_are_legal_for_aurora() -> None:
    passwords = {secretsmanager.RdsMasterSecrets(kms_rules.KeyRules()).new_password() for _ in range(50)}

    assert len(passwords) == 50
    assert all(len(password) == 28 and not set(password) & set("/\"@' ") for password in passwords)
