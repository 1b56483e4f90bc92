"""Events of snapshots on this machine: topic, queue and table as an account has them, and messages in RDS's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devstack.settings import PRODUCTION, REGION, SHARED

QUEUE = "aurora-ops-staging-snapshot-events"
TABLE = "aurora-ops-exports"
DAG_ID = "snapshot_export_events_staging"
EXPORT_DAG_ID = "snapshot_export_staging"
_MOST_RECEIVES = 5
_DOCUMENT = "http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html"

Client = Callable[[str, str], Any]
"""Gives a boto3 client with all rights, for an account and a service."""


def snapshot_arn(name: str) -> str:
    """Write the ARN of a snapshot of a cluster in production."""
    return f"arn:aws:rds:{REGION}:{PRODUCTION}:cluster-snapshot:{name}"


def event(arn: str, at: datetime, *, event_id: str = "RDS-EVENT-0075", text: str = "snapshot created") -> str:
    """Write an event as RDS sends it to a topic.

    :param arn: the snapshot's.
    :param at: when it happened.
    """
    source = "db-cluster-snapshot" if ":cluster-snapshot:" in arn else "db-snapshot"
    identifier = arn.split(":", 6)[6]
    return json.dumps(
        {
            "Event Source": source,
            "Event Time": at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "Identifier Link": f"https://console.aws.amazon.com/rds/home?region={REGION}#snapshot:id={identifier}",
            "Source ID": identifier,
            "Source ARN": arn,
            "Event ID": f"{_DOCUMENT}#{event_id}",
            "Event Message": text,
        }
    )


@dataclass(frozen=True)
class Wires:
    """Topic and queue in production, table in the shared account.

    :param aws: gives clients.
    :param topic_arn: that RDS would publish to.
    :param queue_url: that the package listens to.
    :param dead_url: of the queue of dead letters.
    """

    aws: Client
    topic_arn: str
    queue_url: str
    dead_url: str

    def publish(self, messages: Iterable[str]) -> None:
        """Publish messages, ten a call."""
        waiting = list(messages)
        sns = self.aws(PRODUCTION, "sns")
        for start in range(0, len(waiting), 10):
            entries = [{"Id": str(n), "Message": text} for n, text in enumerate(waiting[start : start + 10])]
            sns.publish_batch(TopicArn=self.topic_arn, PublishBatchRequestEntries=entries)

    def items(self) -> list[dict[str, Any]]:
        """Read the items of decided events."""
        pages = self.aws(SHARED, "dynamodb").get_paginator("scan").paginate(TableName=TABLE)
        return [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith("events#")]

    def counts(self) -> tuple[int, int, int]:
        """Count messages that wait, those that are being handled, and dead letters."""
        sqs = self.aws(PRODUCTION, "sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        here, dead = (
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            for url in (self.queue_url, self.dead_url)
        )
        return int(here[names[0]]), int(here[names[1]]), int(dead[names[0]])


def make_table(aws: Client) -> None:
    """Make the table of states, unless it is there."""
    dynamodb = aws(SHARED, "dynamodb")
    if TABLE in dynamodb.list_tables()["TableNames"]:
        return
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )


def make_wires(aws: Client) -> Wires:
    """Make topic, queue with dead letters, and what leads from one to the other; what is there already stays."""
    sns, sqs = aws(PRODUCTION, "sns"), aws(PRODUCTION, "sqs")

    def arn(url: str) -> str:
        return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])

    topic = sns.create_topic(Name="aurora-ops-staging-snapshot-events")["TopicArn"]
    dead = sqs.create_queue(QueueName=f"{QUEUE}-dead")["QueueUrl"]
    url = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
    redrive = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": _MOST_RECEIVES}
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn(url),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    attributes = {
        "RedrivePolicy": json.dumps(redrive),
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(url))
    return Wires(aws, topic, url, dead)
