"""Faults by rule: the calls that match are refused as AWS refuses them, the others are not."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from localcloud.client import AdminError, admin_operation

pytestmark = pytest.mark.local

STAGING = "222222222222"


@pytest.fixture
def plant(cloud):
    def add(**rule):
        return admin_operation("faults-add", cloud.config, **rule)

    yield add
    admin_operation("faults-clear", cloud.config)


def code_of(call, **arguments) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def test_a_rule_strikes_as_often_as_it_says(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    plant(service="rds", action="DescribeDBClusters", code="Throttling", times=2)
    assert [code_of(rds.describe_db_clusters) for _ in range(3)] == ["Throttling", "Throttling", "ok"]
    [rule] = admin_operation("faults-list", cloud.config)["rules"].values()
    assert rule["hits"] == 2


def test_a_rule_for_good_ends_when_it_is_cleared(cloud, plant) -> None:
    ssm = cloud.admin(STAGING, "ssm")
    plant(service="ssm", action="PutParameter", match='"/a"', code="AccessDeniedException", times=0)
    parameter = {"Value": "v", "Type": "String", "Overwrite": True}
    assert [code_of(ssm.put_parameter, Name="/a", **parameter) for _ in range(3)] == ["AccessDeniedException"] * 3
    assert code_of(ssm.put_parameter, Name="/b", **parameter) == "ok"
    admin_operation("faults-clear", cloud.config)
    assert code_of(ssm.put_parameter, Name="/a", **parameter) == "ok"


def test_a_struck_call_changes_nothing_and_is_recorded(cloud, plant) -> None:
    s3 = cloud.admin(STAGING, "s3")
    plant(service="s3", action="CreateBucket", code="SlowDown", status=503, times=1)
    assert (
        code_of(s3.create_bucket, Bucket="faulty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        == "SlowDown"
    )
    assert "faulty" not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert [call["error"] for call in cloud.calls() if call["action"] == "CreateBucket"][-1] == "SlowDown"


def test_a_rule_of_another_account_does_not_strike(cloud, plant) -> None:
    plant(service="rds", action="DescribeDBClusters", account="111111111111", times=0)
    assert code_of(cloud.admin(STAGING, "rds").describe_db_clusters) == "ok"
    assert code_of(cloud.admin("111111111111", "rds").describe_db_clusters) == "Throttling"


def test_a_rule_that_is_none_is_refused(cloud, plant) -> None:
    with pytest.raises(AdminError, match="a rule has service, action"):
        plant(service="rds", action="DescribeDBClusters", wrong=1)
