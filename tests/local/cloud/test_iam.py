"""Identity policies enforced: who may do what, and AWS's words to who may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from localcloud.client import AdminError, admin_operation, make_client, role_client, user_client
from localcloud.names import AIRFLOW_USER, AIRFLOW_USER_ARN, EXTERNAL_ID, PRODUCTION, SHARED, STAGING
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.log_helpers import open_whole

pytestmark = pytest.mark.local

ROLE = "tested"
REGION = "eu-west-1"


def unique(stem: str) -> str:
    """A name that no other test has."""
    return f"{stem}-{uuid4().hex[:8]}"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements]})


def allow(actions: str | list[str], resources: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    return {"Action": actions, "Resource": resources, **({"Condition": condition} if condition else {})}


Granted = Callable[..., Callable[[str], Any]]


@pytest.fixture
def granted(cloud: LocalCloud) -> Iterator[Granted]:
    """A role of staging with exactly the given statements, under enforcement; gives its clients."""
    iam = cloud.admin(STAGING, "iam")
    trust = document(
        {
            "Principal": {"AWS": AIRFLOW_USER_ARN},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
        }
    )
    arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    worker = cloud.admin(SHARED, "iam")
    worker.put_user_policy(
        UserName=AIRFLOW_USER, PolicyName="become", PolicyDocument=document(allow("sts:AssumeRole", arn))
    )

    def grant(*statements: dict[str, Any]) -> Callable[[str], Any]:
        if statements:
            iam.put_role_policy(RoleName=ROLE, PolicyName="p", PolicyDocument=document(*statements))
        admin_operation("iam-enforce", cloud.config, on=True)
        return assume(cloud, arn)

    try:
        yield grant
    finally:
        admin_operation("iam-enforce", cloud.config, on=False)
        for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
            iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
        for attached in iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=ROLE, PolicyArn=attached["PolicyArn"])
        iam.delete_role(RoleName=ROLE)
        worker.delete_user_policy(UserName=AIRFLOW_USER, PolicyName="become")


def assume(cloud: LocalCloud, arn: str) -> Callable[[str], Any]:
    keys = user_client("sts", cloud.config).assume_role(RoleArn=arn, RoleSessionName="test", ExternalId=EXTERNAL_ID)[
        "Credentials"
    ]

    def client(service: str) -> Any:
        return make_client(cloud.config, service, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    return client


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"].get("Message", "")


def test_off_by_default(cloud: LocalCloud) -> None:
    assert admin_operation("iam-enforce", cloud.config) == {"on": False}
    cloud.client(STAGING, "rds").describe_db_clusters()


def test_the_switch_wants_a_truth(cloud: LocalCloud) -> None:
    with pytest.raises(AdminError, match="give true or false"):
        admin_operation("iam-enforce", cloud.config, on="yes")


REFUSALS = [
    ("rds", "describe_account_attributes", {}, "AccessDenied", 403, "rds:DescribeAccountAttributes on resource: *"),
    ("ec2", "describe_vpcs", {}, "UnauthorizedOperation", 403, "ec2:DescribeVpcs on resource: *"),
    ("kms", "list_keys", {}, "AccessDeniedException", 400, "kms:ListKeys on resource: *"),
    (
        "dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}, "AccessDeniedException", 400,
        f"dynamodb:GetItem on resource: arn:aws:dynamodb:{REGION}:{STAGING}:table/t",
    ),
    ("s3", "list_objects_v2", {"Bucket": "b"}, "AccessDenied", 403, "s3:ListBucket on resource: arn:aws:s3:::b"),
    ("s3", "head_bucket", {"Bucket": "b"}, "403", 403, ""),
    (
        "s3", "delete_objects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "x/1"}]}}, "AccessDenied", 403,
        "s3:DeleteObject on resource: arn:aws:s3:::b/x/1",
    ),
    (
        "sns", "publish", {"TopicArn": f"arn:aws:sns:{REGION}:{STAGING}:t", "Message": "m"}, "AuthorizationError", 403,
        f"sns:Publish on resource: arn:aws:sns:{REGION}:{STAGING}:t",
    ),
    (
        "ssm", "get_parameter", {"Name": "/a/b"}, "AccessDeniedException", 400,
        f"ssm:GetParameter on resource: arn:aws:ssm:{REGION}:{STAGING}:parameter/a/b",
    ),
    (
        "secretsmanager", "get_secret_value", {"SecretId": "none"}, "AccessDeniedException", 400,
        f"secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:{REGION}:{STAGING}:secret:none-",
    ),
    (
        "rds", "stop_db_cluster", {"DBClusterIdentifier": "Some-Cluster"}, "AccessDenied", 403,
        f"rds:StopDBCluster on resource: arn:aws:rds:{REGION}:{STAGING}:cluster:some-cluster",
    ),
]  # fmt: skip


def test_each_protocol_refuses_in_its_own_words(granted: Granted) -> None:
    client = granted()
    for service, operation, parameters, code, status, said in REFUSALS:
        found = refused(getattr(client(service), operation), **parameters)
        assert found[:2] == (code, status), (service, operation, found)
        assert said in found[2], found
        if said and service != "s3":
            assert found[2].startswith(f"User: arn:aws:sts::{STAGING}:assumed-role/{ROLE}/test is not authorized")
            assert "because no identity-based policy allows the" in found[2]


@pytest.mark.parametrize("count", [1, 100], ids=["plain", "compressed"])
def test_metrics_are_bound_to_their_namespace(granted: Granted, count: int) -> None:
    client = granted(allow("cloudwatch:PutMetricData", StringEquals={"cloudwatch:namespace": "Ours"}))
    data = [{"MetricName": f"{number}" * 50, "Value": 1.0} for number in range(count)]
    client("cloudwatch").put_metric_data(Namespace="Ours", MetricData=data)
    assert refused(client("cloudwatch").put_metric_data, Namespace="Theirs", MetricData=data)[1] in {400, 403}


def test_log_files_are_bound_to_their_instance_also_the_stream_that_is_in_no_sdk(
    cloud: LocalCloud, granted: Granted
) -> None:
    one = f"arn:aws:rds:{REGION}:{STAGING}:db:one"
    actions = ["DescribeDBLogFiles", "DownloadDBLogFilePortion", "DownloadCompleteDBLogFile"]
    rds = granted(allow([f"rds:{action}" for action in actions], one))("rds")

    def calls(instance: str) -> list[Callable[[], Any]]:
        return [
            lambda: rds.describe_db_log_files(DBInstanceIdentifier=instance),
            lambda: rds.download_db_log_file_portion(DBInstanceIdentifier=instance, LogFileName="audit/x"),
        ]

    for call, action in zip(calls("two"), actions, strict=False):
        code, status, said = refused(call)
        assert (code, status) == ("AccessDenied", 403)
        assert f"rds:{action} on resource: arn:aws:rds:{REGION}:{STAGING}:db:two" in said
    for call in calls("one"):
        assert refused(call)[0] == "DBInstanceNotFound"
    with pytest.raises(HTTPError) as caught:
        open_whole(cloud, "two", "audit/x", rds)
    answer = caught.value.read()
    assert caught.value.code == 403
    assert b"<Code>AccessDenied</Code>" in answer
    assert f"rds:DownloadCompleteDBLogFile on resource: arn:aws:rds:{REGION}:{STAGING}:db:two".encode() in answer
    with pytest.raises(HTTPError) as caught:
        open_whole(cloud, "one", "audit/x", rds)
    assert caught.value.code == 404


KEYS = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["operation#*"]}}


def test_items_are_bound_to_their_partition_key(cloud: LocalCloud, granted: Granted) -> None:
    table = unique("table")
    cloud.admin(STAGING, "dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    actions = [f"dynamodb:{action}" for action in ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query")]
    dynamodb = granted(allow(actions, **KEYS))("dynamodb")

    def calls(pk: str) -> list[Callable[[], Any]]:
        key = {"pk": {"S": pk}, "sk": {"S": "x"}}
        asked = {"KeyConditionExpression": "#p = :pk AND sk > :x", "ExpressionAttributeNames": {"#p": "pk"}}
        plain = {"KeyConditionExpression": "pk = :pk AND sk > :x"}
        values = {"ExpressionAttributeValues": {":pk": {"S": pk}, ":x": {"S": "a"}}}
        update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}
        return [
            lambda: dynamodb.put_item(TableName=table, Item=key),
            lambda: dynamodb.update_item(TableName=table, Key=key, **update),
            lambda: dynamodb.get_item(TableName=table, Key=key),
            lambda: dynamodb.query(TableName=table, **asked, **values),
            lambda: dynamodb.query(TableName=table, **plain, **values),
            lambda: dynamodb.delete_item(TableName=table, Key=key),
            lambda: dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": key}}]),
            lambda: dynamodb.transact_write_items(
                TransactItems=[{"Update": {"TableName": table, "Key": key, **update}}]
            ),
        ]

    for call in calls("operation#a/b"):
        call()
    for call in calls("audit#a/b"):
        assert refused(call)[0] == "AccessDeniedException"


def test_an_object_is_locked_only_with_permission(cloud: LocalCloud, granted: Granted) -> None:
    bucket = unique("bucket")
    cloud.admin(STAGING, "s3").create_bucket(
        Bucket=bucket,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=True,
    )
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": "2100-01-01T00:00:00Z"}
    client = granted(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))("s3")
    client.put_object(Bucket=bucket, Key="a", Body=b"x", IfNoneMatch="*")
    assert "s3:PutObjectRetention" in refused(client.put_object, Bucket=bucket, Key="b", Body=b"x", **lock)[2]
    client = granted(allow(["s3:PutObject", "s3:PutObjectRetention"], f"arn:aws:s3:::{bucket}/*"))("s3")
    client.put_object(Bucket=bucket, Key="b", Body=b"x", **lock)


def test_only_who_may_list_a_bucket_is_told_that_an_object_is_not_there(cloud: LocalCloud, granted: Granted) -> None:
    bucket = "iam-absent"
    s3 = cloud.admin(STAGING, "s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    reads = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    client = granted(reads)("s3")
    assert client.get_object(Bucket=bucket, Key="there")["Body"].read() == b"x"
    assert refused(client.head_object, Bucket=bucket, Key="absent")[:2] == ("403", 403)
    assert "s3:ListBucket" in refused(client.get_object, Bucket=bucket, Key="absent")[2]
    client = granted(reads, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}"))("s3")
    assert refused(client.get_object, Bucket=bucket, Key="absent")[0] == "NoSuchKey"
    assert refused(client.head_object, Bucket=bucket, Key="absent")[:2] == ("404", 404)


@pytest.mark.parametrize("asked", [True, False], ids=["the call's", "the bucket's"])
def test_an_object_under_a_key_is_written_only_by_who_may_use_the_key(
    cloud: LocalCloud, granted: Granted, asked
) -> None:
    bucket, s3 = unique("bucket"), cloud.admin(STAGING, "s3")
    key = cloud.admin(STAGING, "kms").create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    under = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    if not asked:
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = [{"ApplyServerSideEncryptionByDefault": rule}]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
        under = {}
    writes = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*")
    client = granted(writes)("s3")
    target = {"Bucket": bucket, "Key": "a"}
    assert "kms:GenerateDataKey" in refused(client.put_object, **target, Body=b"x", **under)[2]
    assert "kms:GenerateDataKey" in refused(client.create_multipart_upload, **target, **under)[2]
    client.put_object(**target, Body=b"x", ServerSideEncryption="AES256")
    client = granted(writes, allow("kms:GenerateDataKey", key))("s3")
    client.put_object(**target, Body=b"x", **under)
    upload = {**target, "UploadId": client.create_multipart_upload(**target, **under)["UploadId"]}
    assert "kms:Decrypt" in refused(client.upload_part, **upload, PartNumber=1, Body=b"x")[2]
    client = granted(writes, allow(["kms:GenerateDataKey", "kms:Decrypt"], key))("s3")
    part = {"PartNumber": 1, "ETag": client.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]}
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert s3.get_object(**target)["SSEKMSKeyId"] == key
    copy = {"Bucket": bucket, "Key": "b", "CopySource": f"{bucket}/a", "ServerSideEncryption": "AES256"}
    assert "s3:GetObject" in refused(client.copy_object, **copy)[2]
    reads = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/a")
    assert "kms:Decrypt" in refused(granted(writes, reads)("s3").copy_object, **copy)[2]
    granted(writes, reads, allow("kms:Decrypt", key))("s3").copy_object(**copy)


def test_identity_needs_no_permission(granted: Granted) -> None:
    assert granted()("sts").get_caller_identity()["Account"] == STAGING


def test_an_explicit_deny_is_said(granted: Granted) -> None:
    client = granted(allow("rds:*"), {"Effect": "Deny", **allow("rds:Describe*")})
    assert "with an explicit deny in an identity-based policy" in refused(client("rds").describe_db_clusters)[2]


def test_attached_policies_count_and_a_boundary_limits(cloud: LocalCloud, granted: Granted) -> None:
    iam = cloud.admin(STAGING, "iam")
    arn = iam.create_policy(PolicyName=unique("p"), PolicyDocument=document(allow(["rds:*", "sns:*"])))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=arn)
    client = granted()
    client("rds").describe_db_clusters()
    client("sns").list_topics()
    edge = iam.create_policy(PolicyName=unique("b"), PolicyDocument=document(allow("rds:*")))["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=ROLE, PermissionsBoundary=edge)
    client("rds").describe_db_clusters()
    assert refused(client("sns").list_topics)[0] == "AuthorizationError"


def test_a_users_groups_count(cloud: LocalCloud, granted: Granted) -> None:
    granted()
    iam = cloud.admin(SHARED, "iam")
    group = unique("g")
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=document(allow("sns:ListTopics")))
    assert refused(user_client("sns", cloud.config).list_topics)[0] == "AuthorizationError"
    iam.add_user_to_group(GroupName=group, UserName=AIRFLOW_USER)
    try:
        user_client("sns", cloud.config).list_topics()
    finally:
        iam.remove_user_from_group(GroupName=group, UserName=AIRFLOW_USER)


def test_assuming_a_role_elsewhere_needs_the_users_own_policy(cloud: LocalCloud, granted: Granted) -> None:
    granted()
    with pytest.raises(ClientError, match=r"sts:AssumeRole on resource: arn:aws:iam::111111111111"):
        role_client(PRODUCTION, "rds", cloud.config)
    # in the own account a role's trust in the user by name is enough
    role_client(SHARED, "sts", cloud.config).get_caller_identity()


def test_tags_of_a_resource_decide(cloud: LocalCloud, granted: Granted) -> None:
    name = unique("tagged")
    rds = cloud.admin(STAGING, "rds")
    arn = rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="password1"
    )["DBCluster"]["DBClusterArn"]
    client = granted(allow("rds:DeleteDBCluster", StringEquals={"rds:cluster-tag/refresh": "true"}))
    call = {"DBClusterIdentifier": name, "SkipFinalSnapshot": True}
    assert refused(client("rds").delete_db_cluster, **call)[0] == "AccessDenied"
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "refresh", "Value": "true"}])
    rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    client("rds").delete_db_cluster(**call)


def test_tags_given_at_creation_need_their_own_permission(granted: Granted) -> None:
    name = unique("made")
    create = {
        "DBClusterIdentifier": name,
        "Engine": "aurora-mysql",
        "MasterUsername": "admin",
        "MasterUserPassword": "password1",
        "Tags": [{"Key": "refresh", "Value": "true"}],
    }
    client = granted(allow("rds:CreateDBCluster"))
    assert "rds:AddTagsToResource on resource" in refused(client("rds").create_db_cluster, **create)[2]
    client = granted(
        allow("rds:CreateDBCluster"), allow("rds:AddTagsToResource", StringEquals={"aws:RequestTag/refresh": "true"})
    )
    client("rds").create_db_cluster(**create)
    client("rds").describe_db_clusters  # noqa: B018 - the client of the role still works
    assert refused(client("rds").delete_db_cluster, DBClusterIdentifier=name, SkipFinalSnapshot=True)[1] == 403


def test_a_key_is_used_through_rds_only(cloud: LocalCloud, granted: Granted) -> None:
    kms = cloud.admin(STAGING, "kms")
    alias = f"alias/{unique('k')}"
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    create = {
        "DBClusterIdentifier": unique("enc"),
        "Engine": "aurora-mysql",
        "MasterUsername": "admin",
        "MasterUserPassword": "password1",
        "StorageEncrypted": True,
        "KmsKeyId": alias,
    }
    client = granted(allow("rds:CreateDBCluster"), allow("kms:DescribeKey"))
    code, status, message = refused(client("rds").create_db_cluster, **create)
    assert (code, status) == ("KMSKeyNotAccessibleFault", 400)
    assert f"kms:CreateGrant on resource: {key}" in message
    client = granted(
        allow("rds:CreateDBCluster"),
        allow("kms:DescribeKey"),
        allow(
            "kms:CreateGrant",
            f"arn:aws:kms:{REGION}:{STAGING}:key/*",
            StringEquals={"kms:ViaService": f"rds.{REGION}.amazonaws.com"},
            Bool={"kms:GrantIsForAWSResource": "true"},
            **{"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}},
        ),
    )
    client("rds").create_db_cluster(**create)
    direct = {"KeyId": key, "GranteePrincipal": f"arn:aws:iam::{STAGING}:role/{ROLE}", "Operations": ["Decrypt"]}
    assert refused(client("kms").create_grant, **direct)[0] == "AccessDeniedException"


def test_a_grant_is_enough_in_the_keys_account(cloud: LocalCloud, granted: Granted) -> None:
    kms = cloud.admin(STAGING, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    client = granted()
    assert refused(client("kms").describe_key, KeyId=key)[0] == "AccessDeniedException"
    kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{STAGING}:role/{ROLE}", Operations=["DescribeKey"])
    client("kms").describe_key(KeyId=key)


def test_a_grant_of_another_account_needs_the_callers_policy_too(cloud: LocalCloud, granted: Granted) -> None:
    kms = cloud.admin(PRODUCTION, "kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    client = granted()
    kms.create_grant(KeyId=key, GranteePrincipal=f"arn:aws:iam::{STAGING}:role/{ROLE}", Operations=["DescribeKey"])
    assert refused(client("kms").describe_key, KeyId=key)[0] == "AccessDeniedException"
    client = granted(allow("kms:DescribeKey", key))
    client("kms").describe_key(KeyId=key)


def test_a_secret_under_a_customer_key_needs_the_key(cloud: LocalCloud, granted: Granted) -> None:
    key = cloud.admin(STAGING, "kms").create_key()["KeyMetadata"]["Arn"]
    name = unique("secret")
    cloud.admin(STAGING, "secretsmanager").create_secret(Name=name, SecretString="{}", KmsKeyId=key)
    client = granted(allow("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:*:*:secret:{name}-??????"))
    found = refused(client("secretsmanager").get_secret_value, SecretId=name)
    assert found == ("AccessDeniedException", 400, "Access to KMS is not allowed")
    client = granted(allow("secretsmanager:GetSecretValue"), allow("kms:Decrypt", key))
    assert client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] == "{}"


def test_a_role_can_be_passed_only_with_permission(cloud: LocalCloud, granted: Granted) -> None:
    client = granted(allow("rds:AddRoleToDBCluster"))
    role = f"arn:aws:iam::{STAGING}:role/some-role"
    found = refused(client("rds").add_role_to_db_cluster, DBClusterIdentifier="c", RoleArn=role)
    assert found[0] == "AccessDenied"
    assert f"iam:PassRole on resource: {role}" in found[2]
    client = granted(
        allow("rds:AddRoleToDBCluster"),
        allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "rds.amazonaws.com"}),
    )
    found = refused(client("rds").add_role_to_db_cluster, DBClusterIdentifier="c", RoleArn=role)
    assert found[0] == "DBClusterNotFoundFault"


def test_a_fault_rule_comes_before_judgement_and_roots_are_not_judged(cloud: LocalCloud, granted: Granted) -> None:
    client = granted()
    admin_operation("faults-add", cloud.config, service="rds", action="DescribeDBClusters", times=1)
    assert refused(client("rds").describe_db_clusters)[0] == "Throttling"
    assert refused(client("rds").describe_db_clusters)[0] == "AccessDenied"
    cloud.admin(STAGING, "rds").describe_db_clusters()


def test_what_was_asked_can_be_looked_at(cloud: LocalCloud, granted: Granted) -> None:
    client = granted(allow("rds:DescribeDBClusters"))
    began = cloud.now()
    client("rds").describe_db_clusters()
    refused(client("rds").describe_db_instances)
    made = admin_operation("iam-decisions", cloud.config, since=began)["decisions"]
    assert [(one["action"], one["decision"]) for one in made] == [
        ("rds:DescribeDBClusters", "allowed"),
        ("rds:DescribeDBInstances", "not allowed"),
    ]
    assert made[0]["principal"] == f"arn:aws:iam::{STAGING}:role/{ROLE}"
    assert made[0]["resource"] == f"arn:aws:rds:{REGION}:{STAGING}:cluster:*"


def test_an_export_needs_its_role_passed_and_its_key(cloud: LocalCloud, granted: Granted) -> None:
    key = cloud.admin(STAGING, "kms").create_key()["KeyMetadata"]["Arn"]
    role = f"arn:aws:iam::{STAGING}:role/{unique('export')}"
    call = {
        "ExportTaskIdentifier": "enforced",
        "SourceArn": f"arn:aws:rds:{REGION}:{STAGING}:cluster-snapshot:nothing",
        "S3BucketName": "nothing",
        "IamRoleArn": role,
        "KmsKeyId": key,
    }
    statements = [allow("rds:StartExportTask")]
    start = granted(*statements)("rds").start_export_task
    code, status, message = refused(start, **call)
    assert (code, status) == ("AccessDenied", 403)
    assert f"iam:PassRole on resource: {role}" in message
    wrong = allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "rds.amazonaws.com"})
    assert refused(granted(*statements, wrong)("rds").start_export_task, **call)[0] == "AccessDenied"
    statements.append(allow("iam:PassRole", role, StringEquals={"iam:PassedToService": "export.rds.amazonaws.com"}))
    code, _, message = refused(granted(*statements)("rds").start_export_task, **call)
    assert code == "KMSKeyNotAccessibleFault"
    assert "kms:DescribeKey" in message
    statements.append(allow(["kms:DescribeKey", "kms:CreateGrant"], key))
    code, _, _ = refused(granted(*statements)("rds").start_export_task, **call)
    assert code == "DBClusterSnapshotNotFoundFault"
