"""What a query may read and write is what who started it may; the provider's operator starts and follows queries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

from localcloud.client import admin_operation
from localcloud.names import AIRFLOW_USER, AIRFLOW_USER_ARN, SHARED, STAGING
from tests.local.cloud.athena_helpers import Lake, parquet
from tests.local.cloud.eks_operators import connect
from tests.local.cloud.test_iam import assume

pytestmark = pytest.mark.local

ROLE = "analyst"
Allow = Callable[..., Lake]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


@pytest.fixture(scope="module")
def lake(cloud) -> Lake:
    made = Lake.make(cloud)
    made.table("t", {"x": "bigint"}, {"day": "string"})
    made.put("t/1/a.parquet", parquet(x=[1]))
    made.partition("t", ["1"], "t/1", {"x": "bigint"})
    return made


@pytest.fixture
def allow(cloud, lake) -> Iterator[Allow]:
    """The lake as a role that may do exactly what is listed, under enforcement."""
    iam, worker = cloud.admin(STAGING, "iam"), cloud.admin(SHARED, "iam")
    trust = policy({"Principal": {"AWS": AIRFLOW_USER_ARN}, "Action": "sts:AssumeRole"})
    arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    worker.put_user_policy(
        UserName=AIRFLOW_USER, PolicyName="become", PolicyDocument=policy({"Action": "sts:AssumeRole", "Resource": arn})
    )
    admin_operation("iam-enforce", cloud.config, on=True)

    def grant(*statements: dict[str, Any]) -> Lake:
        iam.put_role_policy(RoleName=ROLE, PolicyName="p", PolicyDocument=policy(*statements))
        return Lake(lake.s3, lake.glue, assume(cloud, arn)("athena"), lake.bucket, lake.database)

    try:
        yield grant
    finally:
        admin_operation("iam-enforce", cloud.config, on=False)
        for name in iam.list_role_policies(RoleName=ROLE)["PolicyNames"]:
            iam.delete_role_policy(RoleName=ROLE, PolicyName=name)
        iam.delete_role(RoleName=ROLE)
        worker.delete_user_policy(UserName=AIRFLOW_USER, PolicyName="become")


def needs(lake: Lake) -> dict[str, dict[str, Any]]:
    """What a query needs, at the least."""
    catalog = [
        f"arn:aws:glue:eu-west-1:{STAGING}:{one}"
        for one in ("catalog", f"database/{lake.database}", f"table/{lake.database}/t")
    ]
    return {
        "athena": {
            "Action": ["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"],
            "Resource": f"arn:aws:athena:eu-west-1:{STAGING}:workgroup/primary",
        },
        "glue:GetDatabase": {"Action": "glue:GetDatabase", "Resource": catalog[:2]},
        "glue:GetTable": {"Action": "glue:GetTable", "Resource": catalog},
        "glue:GetPartitions": {"Action": "glue:GetPartitions", "Resource": catalog},
        "s3:ListBucket": {
            "Action": "s3:ListBucket",
            "Resource": f"arn:aws:s3:::{lake.bucket}",
            "Condition": {"StringLike": {"s3:prefix": "t/*"}},
        },
        "s3:GetObject": {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{lake.bucket}/t/*"},
        "s3:GetBucketLocation": {"Action": "s3:GetBucketLocation", "Resource": f"arn:aws:s3:::{lake.bucket}"},
        "results": {
            "Action": ["s3:PutObject", "s3:GetObject"],
            "Resource": f"arn:aws:s3:::{lake.bucket}/results/*",
        },
    }


def test_this_is_enough(allow, lake) -> None:
    assert allow(*needs(lake).values()).ask("SELECT x FROM t") == [("1",)]


@pytest.mark.parametrize(
    ("without", "reason"),
    [
        (
            "glue:GetDatabase",
            "Insufficient permissions to execute the query. User: .* perform: glue:GetDatabase on resource",
        ),
        ("glue:GetTable", "Insufficient permissions to execute the query. User: .* perform: glue:GetTable on resource"),
        ("glue:GetPartitions", "Insufficient permissions to execute the query. User: .* perform: glue:GetPartitions"),
        ("s3:ListBucket", "PERMISSION_DENIED: Access denied on S3 path: s3://lake-.*/t/1"),
        ("s3:GetObject", "PERMISSION_DENIED: Access denied on S3 path: s3://lake-.*/t/1/a.parquet"),
        ("results", "Access denied when writing output to url: s3://lake-.*csv"),
    ],
)
def test_each_of_it_is_needed(allow, lake, without, reason) -> None:
    held = needs(lake)
    del held[without]
    found = allow(*held.values()).fails("SELECT x FROM t")
    assert re.match(reason, found), found


def test_starting_and_reading_results_are_rights_of_the_work_group(allow, lake) -> None:
    held = needs(lake)
    held["athena"]["Resource"] = held["athena"]["Resource"].replace("primary", "other")
    with pytest.raises(ClientError, match="not authorized to perform: athena:StartQueryExecution") as refused:
        allow(*held.values()).start("SELECT 1")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    held = needs(lake)
    held["results"]["Action"] = ["s3:PutObject"]
    role = allow(*held.values())
    number = role.start("SELECT 1")
    assert role.ended(number)["Status"]["State"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="s3:GetObject"):
        role.athena.get_query_results(QueryExecutionId=number)


def test_a_bucket_that_cannot_be_located_takes_no_results(allow, lake) -> None:
    held = needs(lake)
    del held["s3:GetBucketLocation"]
    with pytest.raises(ClientError, match="Unable to verify/create output bucket"):
        allow(*held.values()).start("SELECT 1")


def test_encrypted_objects_need_their_key(allow, lake, cloud) -> None:
    key = cloud.admin(STAGING, "kms").create_key()["KeyMetadata"]["Arn"]
    lake.put("t/1/b.parquet", parquet(x=[2]), ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    try:
        held = needs(lake)
        assert "t/1/b.parquet" in allow(*held.values()).fails("SELECT x FROM t")
        held["kms"] = {"Action": "kms:Decrypt", "Resource": key}
        assert allow(*held.values()).ask("SELECT sum(x) FROM t") == [("3",)]
    finally:
        lake.s3.delete_object(Bucket=lake.bucket, Key="t/1/b.parquet")


def test_changing_the_catalogue_is_a_right_of_its_own(allow, lake) -> None:
    role = allow(*needs(lake).values())
    assert "perform: glue:DeleteTable" in role.fails("DROP TABLE t")
    assert "perform: glue:CreateDatabase" in role.fails("CREATE DATABASE other")


@pytest.fixture
def connected(lake, cloud, monkeypatch) -> Lake:
    connect(monkeypatch, cloud)
    return lake


def ask(lake: Lake, query: str, **more: Any) -> AthenaOperator:
    return AthenaOperator(
        task_id="ask",
        query=query,
        database=lake.database,
        output_location=lake.results,
        aws_conn_id="aws_destination",
        sleep_time=0,
        **more,
    )


def test_the_providers_operator_waits_for_a_query(connected, monkeypatch) -> None:
    operator = ask(connected, "SELECT x FROM t")
    monkeypatch.setattr(operator, "operator_extra_links", ())
    monkeypatch.setattr(
        "airflow.providers.amazon.aws.operators.athena.AthenaQueryResultsLink.persist", lambda **_: None
    )
    number = operator.execute({})
    hook = AthenaHook(aws_conn_id="aws_destination")
    assert hook.get_query_results(number)["ResultSet"]["Rows"][1] == {"Data": [{"VarCharValue": "1"}]}
    assert hook.get_output_location(number) == f"{connected.results}{number}.csv"
    sensor = AthenaSensor(task_id="wait", query_execution_id=number, aws_conn_id="aws_destination")
    assert sensor.poke({})
    with pytest.raises(AirflowException, match="TABLE_NOT_FOUND"):
        ask(connected, "SELECT x FROM missing").execute({})
