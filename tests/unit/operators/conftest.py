"""RDS in this process, everything else in moto; every call is checked against what the operator says it may do."""

from __future__ import annotations

import json

import boto3
import pytest
from aurora_ops.hooks.runs import RunsHook
from botocore.client import BaseClient

from tests.unit.operators.fake_rds import READS, FakeRds

AT = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
TARGET = "refresh#222222222222#staging-shop"
RUN = {**AT, "table": "runs", "target_key": TARGET}

# Calls of AWS that go by another name in policies.
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:DeleteObjects": "s3:DeleteObject",
    "lambda:Invoke": "lambda:InvokeFunction",
    "resourcegroupstaggingapi:GetResources": "tag:GetResources",
    "resourcegroupstaggingapi:TagResources": "tag:TagResources",
}


class Calls(list[str]):
    """Actions called so far, as policies name them."""

    @property
    def mutating(self) -> list[str]:
        return [action for action in self if not action.split(":")[1].startswith(READS)]


@pytest.fixture
def calls() -> Calls:
    """What was called."""
    return Calls()


@pytest.fixture
def fake() -> FakeRds:
    """What stands for RDS; modules may have one that knows more."""
    return FakeRds()


@pytest.fixture
def rds(fake: FakeRds, aws_session: boto3.session.Session, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> FakeRds:
    """RDS in this process."""
    beyond = BaseClient._make_api_call

    def call(self, operation, params):
        service = self.meta.service_model.service_name
        action = f"{service}:{operation}"
        calls.append(ACTIONS.get(action, action))
        if service == "rds":
            return fake.call(self.meta.service_model, operation, params)
        return beyond(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return fake


@pytest.fixture
def home(rds, aws_session, calls):
    """Table, bucket and topic, with a queue that hears the topic."""
    aws_session.client("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    topic = aws_session.client("sns").create_topic(Name="t")["TopicArn"]
    sqs = aws_session.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws_session.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    s3 = aws_session.client("s3")
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    calls.clear()

    class Home:
        topic_arn = topic

        @staticmethod
        def heard() -> list[dict]:
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(message["Body"]) for message in messages]

        @staticmethod
        def stored(key: str) -> tuple[str, bytes]:
            found = s3.get_object(Bucket="reports", Key=key)
            return found["ContentType"], found["Body"].read()

        @staticmethod
        def metrics() -> dict[str, list[dict]]:
            found = aws_session.client("cloudwatch").list_metrics(Namespace="AuroraOps")["Metrics"]
            return {metric["MetricName"]: metric["Dimensions"] for metric in found}

        @staticmethod
        def item(sk: str) -> dict | None:
            return RunsHook("aws_orchestrator", "eu-west-1").find("runs", TARGET, sk)

    return Home
