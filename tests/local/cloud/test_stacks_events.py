"""CloudFormation: a stack that tells of snapshots, from RDS's events to a queue; and it goes without leaving anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.event_helpers import Inbox
from tests.local.cloud.rds_helpers import PRODUCTION, base, delete_snapshots, wait_snapshot

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

ENCRYPTED = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def policy(service: str, action: str) -> dict[str, object]:
    allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [allow, ENCRYPTED]}


RESOURCES = {
    "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "stack-topic"}},
    "TopicPolicy": {
        "Type": "AWS::SNS::TopicPolicy",
        "Properties": {
            "Topics": [{"Ref": "Topic"}],
            "PolicyDocument": policy("events.rds.amazonaws.com", "sns:Publish"),
        },
    },
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stack-queue"}},
    "QueuePolicy": {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": policy("sns.amazonaws.com", "sqs:SendMessage")},
    },
    "Subscription": {
        "Type": "AWS::SNS::Subscription",
        "DependsOn": "QueuePolicy",
        "Properties": {
            "TopicArn": {"Ref": "Topic"},
            "Protocol": "sqs",
            "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
        },
    },
    "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "stack-bucket"}},
    "BucketPolicy": {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [ENCRYPTED]},
        },
    },
    "Events": {
        "Type": "AWS::RDS::EventSubscription",
        "DependsOn": "TopicPolicy",
        "Properties": {
            "SubscriptionName": "stack-events",
            "SnsTopicArn": {"Ref": "Topic"},
            "SourceType": "db-cluster-snapshot",
            "EventCategories": ["backup"],
        },
    },
}


def test_a_stack_tells_of_snapshots_and_goes_whole(cloud: LocalCloud) -> None:
    base(cloud)
    stacks, rds = cloud.admin(PRODUCTION, "cloudformation"), cloud.client(PRODUCTION, "rds")
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": RESOURCES})
    stacks.create_stack(StackName="telling", TemplateBody=template)
    stack = stacks.describe_stacks(StackName="telling")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    named = {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for one in stacks.describe_stack_resources(StackName="telling")["StackResources"]
    }
    assert named["Events"] == "stack-events"
    assert named["Subscription"].startswith(named["Topic"])
    assert cloud.admin(PRODUCTION, "s3").get_bucket_policy(Bucket="stack-bucket")["Policy"]
    rds.create_db_cluster_snapshot(DBClusterIdentifier="rds-base", DBClusterSnapshotIdentifier="stack-told")
    url = cloud.admin(PRODUCTION, "sqs").get_queue_url(QueueName="stack-queue")["QueueUrl"]
    assert Inbox(cloud, PRODUCTION, named["Topic"], url, "").wait_for("0075") == ["0074", "0075"]
    wait_snapshot(rds, "stack-told")
    delete_snapshots(rds, "stack-told")
    stacks.delete_stack(StackName="telling")
    assert rds.describe_event_subscriptions()["EventSubscriptionsList"] == []
    assert cloud.admin(PRODUCTION, "sns").list_subscriptions()["Subscriptions"] == []


def test_a_stack_whose_topic_refuses_rds_is_not_made(cloud: LocalCloud) -> None:
    closed = {**RESOURCES["TopicPolicy"]["Properties"], "PolicyDocument": policy("sns.amazonaws.com", "sns:Publish")}
    resources = {name: RESOURCES[name] for name in ("Topic", "Events")} | {
        "TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": closed}
    }
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
    stacks = cloud.admin(PRODUCTION, "cloudformation")
    with pytest.raises(ClientError, match="does not let events"):
        stacks.create_stack(StackName="refused", TemplateBody=template)
