"""What the tests of events and messages share: topics, queues, and what arrives."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.cloud.conftest import LocalCloud

TIMEOUT_S = 30


def queue_policy(topic: str, queue: str) -> str:
    """Policy that lets a topic send to a queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_queue(cloud: LocalCloud, account: str, name: str, **attributes: str) -> tuple[str, str]:
    """URL and ARN of a new queue."""
    sqs = cloud.admin(account, "sqs")
    url = str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
    return url, f"arn:aws:sqs:{cloud.config.region}:{account}:{name}"


@dataclass
class Inbox:
    """A topic and a queue that it sends to; messages are deleted as they are read."""

    cloud: LocalCloud
    account: str
    topic: str
    url: str
    queue: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        """Read what is there; return all that has arrived so far, each the topic's message parsed."""
        sqs = self.cloud.admin(self.account, "sqs")
        for item in sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", ()):
            envelope = json.loads(item["Body"])
            self.messages.append({**json.loads(envelope["Message"]), "envelope": envelope})
            sqs.delete_message(QueueUrl=self.url, ReceiptHandle=item["ReceiptHandle"])
        return self.messages

    def ids(self) -> list[str]:
        """Ids of the events that have arrived, such as 0169, sorted."""
        return sorted(item["Event ID"].rpartition("-")[2] for item in self.read())

    def wait(self, wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Read until what has arrived is as wanted."""
        end, pause = time.monotonic() + TIMEOUT_S, threading.Event()
        while not wanted(self.read()):
            assert time.monotonic() < end, f"waited {TIMEOUT_S} s, have {self.messages}"
            pause.wait(0.02)
        return self.messages

    def wait_for(self, *ids: str) -> list[str]:
        """Wait until events of these ids have arrived; return the ids of all."""
        self.wait(lambda _: not set(ids) - set(self.ids()))
        return self.ids()


def make_inbox(cloud: LocalCloud, account: str, name: str) -> Inbox:
    """Make a topic and a queue that has subscribed to it."""
    sns = cloud.admin(account, "sns")
    topic = str(sns.create_topic(Name=name)["TopicArn"])
    arn = f"arn:aws:sqs:{cloud.config.region}:{account}:{name}"
    url, queue = make_queue(cloud, account, name, Policy=queue_policy(topic, arn))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    return Inbox(cloud, account, topic, url, queue)
