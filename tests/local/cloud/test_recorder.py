"""The record of calls: every protocol's action, who asked, how it ended; no secret."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from localcloud import client as clients
from localcloud.names import (
    AIRFLOW_USER_ARN,
    EXTERNAL_ID,
    PRODUCTION,
    ROLES,
    SHARED,
    STAGING,
    role_arn,
)
from localcloud.recorder import is_mutating
from localcloud.request import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local


def call_of(cloud: LocalCloud, service: str, make: Callable[[Any], object]) -> dict[str, Any]:
    """Make one call in staging, whatever its outcome, and return its record."""
    client = cloud.client(STAGING, service)
    since = cloud.now()
    with suppress(ClientError):
        make(client)
    (call,) = cloud.calls(since)
    assert call["error"] != "InternalFailure"
    return call


@pytest.mark.parametrize(
    ("service", "make", "action", "mutating", "parameters"),
    [
        ("rds", lambda c: c.describe_db_clusters(), "DescribeDBClusters", False, {}),
        (
            "rds",
            lambda c: c.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="no-such"),
            "DeleteDBClusterSnapshot",
            True,
            {"DBClusterSnapshotIdentifier": "no-such"},
        ),
        ("dynamodb", lambda c: c.list_tables(Limit=3), "ListTables", False, {"Limit": 3}),
        ("kms", lambda c: c.create_key(Description="recorded"), "CreateKey", True, {"Description": "recorded"}),
        ("sqs", lambda c: c.create_queue(QueueName="recorded"), "CreateQueue", True, {"QueueName": "recorded"}),
        ("sns", lambda c: c.create_topic(Name="recorded"), "CreateTopic", True, {"Name": "recorded"}),
        ("ec2", lambda c: c.describe_vpcs(), "DescribeVpcs", False, {}),
        ("s3", lambda c: c.list_buckets(), "ListBuckets", False, {}),
        (
            "s3",
            lambda c: c.head_object(Bucket="no-such", Key="a/b"),
            "HeadObject",
            False,
            {"Bucket": "no-such", "Key": "a/b"},
        ),
        (
            "s3",
            lambda c: c.put_object(Bucket="no-such", Key="a/b c", Body=b"x"),
            "PutObject",
            True,
            {"Bucket": "no-such", "Key": "a/b c"},
        ),
        (
            "s3",
            lambda c: c.create_multipart_upload(Bucket="no-such", Key="k"),
            "CreateMultipartUpload",
            True,
            {"Bucket": "no-such", "Key": "k"},
        ),
        (
            "s3",
            lambda c: c.put_bucket_versioning(Bucket="no-such", VersioningConfiguration={"Status": "Enabled"}),
            "PutBucketVersioning",
            True,
            {"Bucket": "no-such"},
        ),
        (
            "efs",
            lambda c: c.describe_mount_targets(FileSystemId="fs-12345678"),
            "DescribeMountTargets",
            False,
            {"FileSystemId": "fs-12345678"},
        ),
        ("efs", lambda c: c.create_file_system(CreationToken="r"), "CreateFileSystem", True, {"CreationToken": "***"}),
        ("eks", lambda c: c.describe_cluster(name="no-such"), "DescribeCluster", False, {"name": "no-such"}),
        ("backup", lambda c: c.list_backup_vaults(), "ListBackupVaults", False, {}),
    ],
)
def test_action_of_every_protocol(
    cloud: LocalCloud,
    service: str,
    make: Callable[[Any], object],
    action: str,
    mutating: bool,
    parameters: dict[str, Any],
) -> None:
    call = call_of(cloud, service, make)

    assert (call["service"], call["action"], call["mutating"]) == (service, action, mutating)
    assert parameters.items() <= call["parameters"].items()
    assert call["account"] == STAGING
    assert call["region"] == "eu-west-1"
    assert call["caller"] == f"arn:aws:sts::{STAGING}:assumed-role/{ROLES[STAGING]}/localcloud"
    assert 0 < call["duration_s"] < 30


def test_outcome_is_recorded(cloud: LocalCloud) -> None:
    missing = call_of(cloud, "rds", lambda c: c.describe_db_clusters(DBClusterIdentifier="no-such"))
    found = call_of(cloud, "rds", lambda c: c.describe_db_clusters())
    unknown = call_of(cloud, "ssm", lambda c: c.get_parameter(Name="/no/such"))
    bucket = call_of(cloud, "s3", lambda c: c.list_objects_v2(Bucket="no-such"))

    assert (missing["status"], missing["error"]) == (404, "DBClusterNotFoundFault")
    assert (found["status"], found["error"]) == (200, None)
    assert (unknown["status"], unknown["error"]) == (400, "ParameterNotFound")
    assert (bucket["status"], bucket["error"]) == (404, "NoSuchBucket")


def test_refused_credentials_are_recorded(cloud: LocalCloud) -> None:
    since = cloud.now()
    with pytest.raises(ClientError):
        clients.make_client(cloud.config, "rds", "AKIAUNKNOWNUNKNOWN00", "x").describe_db_clusters()

    (call,) = cloud.calls(since)

    assert (call["account"], call["caller"], call["error"]) == (None, None, "InvalidClientTokenId")


def test_assume_role_is_recorded_as_the_users(cloud: LocalCloud) -> None:
    since = cloud.now()
    clients.user_client("sts", cloud.config).assume_role(
        RoleArn=role_arn(PRODUCTION), RoleSessionName="recorded", ExternalId=EXTERNAL_ID
    )

    (call,) = cloud.calls(since)

    assert (call["account"], call["caller"], call["mutating"]) == (SHARED, AIRFLOW_USER_ARN, False)
    assert call["parameters"]["RoleArn"] == role_arn(PRODUCTION)


def test_only_mutating_calls(cloud: LocalCloud) -> None:
    since = cloud.now()
    kms = cloud.client(STAGING, "kms")
    kms.list_keys()
    kms.create_key()

    assert [call["action"] for call in cloud.calls(since, mutating=True)] == ["CreateKey"]
    assert [call["action"] for call in cloud.calls(since)] == ["ListKeys", "CreateKey"]


def test_no_secret_is_recorded(cloud: LocalCloud) -> None:
    word = "hush-hush-9f3c"
    secrets, since = cloud.client(STAGING, "secretsmanager"), cloud.now()
    secrets.create_secret(Name="recorded", SecretString=word)
    secrets.put_secret_value(SecretId="recorded", SecretString=word + "2")
    secrets.get_secret_value(SecretId="recorded")
    cloud.client(STAGING, "ssm").put_parameter(Name="/recorded", Value=word, Type="SecureString")
    cloud.client(STAGING, "kms").encrypt(KeyId="alias/aws/rds", Plaintext=word.encode())
    with pytest.raises(ClientError):
        cloud.client(STAGING, "rds").modify_db_cluster(DBClusterIdentifier="no-such", MasterUserPassword=word)
    with pytest.raises(ClientError):
        cloud.client(STAGING, "dynamodb").put_item(TableName="no-such", Item={"pk": {"S": word}})

    calls = cloud.calls(since)

    assert word not in cloud.config.calls_file.read_text()
    assert word.encode().hex() not in cloud.config.calls_file.read_text()
    assert [call["parameters"].get("SecretId") for call in calls if call["action"] == "GetSecretValue"] == ["recorded"]
    assert calls[-2]["parameters"]["MasterUserPassword"] == "***"


def test_token_is_not_recorded(cloud: LocalCloud) -> None:
    credentials = clients.user_client("sts", cloud.config).assume_role(
        RoleArn=role_arn(STAGING), RoleSessionName="presigned", ExternalId=EXTERNAL_ID
    )["Credentials"]
    s3 = clients.make_client(
        cloud.config, "s3", credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    )
    from urllib.error import HTTPError
    from urllib.request import urlopen

    since = cloud.now()
    with pytest.raises(HTTPError):
        urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": "no-such", "Key": "k"}), timeout=5)

    (call,) = cloud.calls(since)
    assert (call["action"], call["account"], call["parameters"]) == (
        "GetObject",
        STAGING,
        {"Bucket": "no-such", "Key": "k"},
    )
    assert credentials["SessionToken"][:40] not in cloud.config.calls_file.read_text()


def test_what_is_not_implemented_is_an_aws_error(cloud: LocalCloud) -> None:
    def query(client: Any) -> None:
        client.simulate_principal_policy(PolicySourceArn=role_arn(STAGING), ActionNames=["rds:DescribeDBClusters"])

    def rest(client: Any) -> None:
        client.list_frameworks()

    def unknown_service(client: Any) -> None:
        client.list_workloads()

    for service, make in (("iam", query), ("backup", rest), ("wellarchitected", unknown_service)):
        with pytest.raises(ClientError) as raised:
            make(cloud.client(STAGING, service))
        assert raised.value.response["Error"]["Code"] == "NotImplemented"
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize(
    ("action", "mutating"),
    [
        ("DescribeDBClusters", False), ("GetItem", False), ("ListKeys", False), ("BatchGetItem", False),
        ("HeadBucket", False), ("Query", False), ("Scan", False), ("SelectObjectContent", False), ("AssumeRole", False),
        ("PutItem", True), ("BatchWriteItem", True), ("CopyDBClusterSnapshot", True), ("RevokeGrant", True),
        ("Unknown", True),
    ],
)  # fmt: skip
def test_verbs(action: str, mutating: bool) -> None:
    assert is_mutating(action) is mutating


def test_redaction_reaches_into_lists_and_query_names() -> None:
    parameters = {
        "DBClusterIdentifier": "prod",
        "MasterUserPassword": "x",
        "ManageMasterUserPassword": "true",
        "SecretId": "app",
        "Tags.member.1.Value": "kept",
        "Nested": [{"password": "x", "SessionToken": "x", "name": "kept"}],
        "Value": "x",
        "ExternalId": "x",
        "AssumeRolePolicyDocument": '{"sts:ExternalId": "x", "Action": "sts:AssumeRole"}',
        "Long": "a" * 1000,
    }

    assert redact(parameters) == {
        "DBClusterIdentifier": "prod",
        "MasterUserPassword": "***",
        "ManageMasterUserPassword": "true",
        "SecretId": "app",
        "Tags.member.1.Value": "kept",
        "Nested": [{"password": "***", "SessionToken": "***", "name": "kept"}],
        "Value": "***",
        "ExternalId": "***",
        "AssumeRolePolicyDocument": '{"sts:ExternalId": "***", "Action": "sts:AssumeRole"}',
        "Long": "a" * 300 + "...",
    }
