"""A lake and its stacks after the server was killed: what there was is there, what was under way goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from localcloud.config import CloudConfig
from localcloud.names import STAGING
from localcloud.seed.accounts import seed_roles
from tests.local.cloud.athena_helpers import Lake, parquet
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.cloud.databases import until
from tests.local.cloud.test_restart import restart

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud that may be killed, in which things take a second."""
    environment = localcloud_environment(tmp_path_factory.mktemp("lake"), free_port(), free_port())
    environment["LOCALCLOUD_WAIT_S"] = "1"
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    try:
        seed_roles(config)
        yield LocalCloud(config, environment)
    finally:
        run_localcloud(environment, "down")


def test_a_lake_outlives_the_server(own) -> None:
    lake, stacks = Lake.make(own), own.admin(STAGING, "cloudformation")
    lake.table("t", {"x": "bigint"}, {"day": "string"})
    lake.put("t/1/a.parquet", parquet(x=[1, 2]))
    lake.partition("t", ["1"], "t/1", {"x": "bigint"})
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
    }
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "kept", "VisibilityTimeout": 10}}
    template = {
        "Resources": {"Role": role, "Queue": queue},
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    }
    stacks.create_stack(StackName="kept", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])
    done = lake.start("SELECT sum(x) FROM t")
    lake.ended(done)
    stacks.get_waiter("stack_create_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    arn = stacks.describe_stacks(StackName="kept")["Stacks"][0]["Outputs"][0]["OutputValue"]
    lake.glue.create_crawler(
        Name="kept",
        Role=arn,
        DatabaseName=lake.database,
        Targets={"S3Targets": [{"Path": f"s3://{lake.bucket}/t"}]},
        TablePrefix="crawled_",
    )
    running = lake.start("SELECT count(*) FROM t")
    lake.glue.start_crawler(Name="kept")
    restart(own)
    assert lake.rows(done)[1] == ("3",)
    assert lake.ended(running)["Status"]["State"] == "SUCCEEDED"
    assert lake.rows(running)[1] == ("2",)
    assert until(lambda: lake.glue.get_crawler(Name="kept")["Crawler"]["State"] == "READY")
    assert lake.glue.get_crawler(Name="kept")["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"
    assert lake.ask("SELECT x FROM crawled_t ORDER BY x DESC") == [("2",), ("1",)]
    queue["Properties"]["VisibilityTimeout"] = 20
    stacks.update_stack(StackName="kept", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"])
    stacks.get_waiter("stack_update_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    sqs = own.admin(STAGING, "sqs")
    found = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName="kept")["QueueUrl"], AttributeNames=["All"])
    assert found["Attributes"]["VisibilityTimeout"] == "20"
    stacks.delete_stack(StackName="kept")
    stacks.get_waiter("stack_delete_complete").wait(StackName="kept", WaiterConfig={"Delay": 1})
    assert sqs.list_queues(QueueNamePrefix="kept").get("QueueUrls", []) == []
