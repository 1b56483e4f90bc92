"""SNS to SQS: who may publish, subscribe and send; what a queue does with messages that nobody deletes."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.event_helpers import Inbox, make_inbox, make_queue, queue_policy
from tests.local.cloud.rds_helpers import PRODUCTION, STAGING, refused

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def inbox(cloud: LocalCloud) -> Inbox:
    return make_inbox(cloud, PRODUCTION, "messages")


def received(cloud: LocalCloud, account: str, url: str, **how: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (
        cloud.admin(account, "sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, **how).get("Messages", [])
    )
    return messages


def allow(principal: str, actions: list[str], resource: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": actions,
        "Resource": resource,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_queue_without_a_policy_gets_nothing(cloud: LocalCloud, inbox: Inbox) -> None:
    sns, sqs = cloud.admin(PRODUCTION, "sns"), cloud.admin(PRODUCTION, "sqs")
    url, arn = make_queue(cloud, PRODUCTION, "messages-closed")
    sns.subscribe(TopicArn=inbox.topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=inbox.topic, Message='{"n": 1}')
    assert [item["n"] for item in inbox.read()] == [1]
    assert received(cloud, PRODUCTION, url) == []
    for other in (queue_policy(inbox.topic + "x", arn), queue_policy(inbox.topic, arn + "x")):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": other})
        sns.publish(TopicArn=inbox.topic, Message='{"n": 2}')
        assert received(cloud, PRODUCTION, url) == []
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": queue_policy(inbox.topic, arn)})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})  # the policy stays
    sns.publish(TopicArn=inbox.topic, Message='{"n": 3}')
    assert len(received(cloud, PRODUCTION, url)) == 1
    inbox.wait(lambda messages: len(messages) == 4)


def test_what_a_queue_refuses_goes_to_the_subscriptions_dead_letters(cloud: LocalCloud, inbox: Inbox) -> None:
    sns = cloud.admin(PRODUCTION, "sns")
    _, closed = make_queue(cloud, PRODUCTION, "messages-refusing")
    dead = f"arn:aws:sqs:{REGION}:{PRODUCTION}:messages-dead"
    url, _ = make_queue(cloud, PRODUCTION, "messages-dead", Policy=queue_policy(inbox.topic, dead))
    sns.subscribe(
        TopicArn=inbox.topic,
        Protocol="sqs",
        Endpoint=closed,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})},
    )
    sns.publish(TopicArn=inbox.topic, Message='{"n": "refused"}')
    assert "refused" in received(cloud, PRODUCTION, url)[0]["Body"]
    inbox.read()


def test_raw_and_wrapped(cloud: LocalCloud, inbox: Inbox) -> None:
    sns = cloud.admin(PRODUCTION, "sns")
    arn = f"arn:aws:sqs:{REGION}:{PRODUCTION}:messages-raw"
    url, _ = make_queue(cloud, PRODUCTION, "messages-raw", Policy=queue_policy(inbox.topic, arn))
    made = sns.subscribe(TopicArn=inbox.topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})[
        "SubscriptionArn"
    ]
    attributes = {"EventID": {"DataType": "String", "StringValue": "RDS-EVENT-1"}}
    sns.publish(TopicArn=inbox.topic, Message='{"n": "raw"}', MessageAttributes=attributes)
    (message,) = received(cloud, PRODUCTION, url, MessageAttributeNames=["All"])
    assert message["Body"] == '{"n": "raw"}'
    assert message["MessageAttributes"]["EventID"]["StringValue"] == "RDS-EVENT-1"
    sns.set_subscription_attributes(SubscriptionArn=made, AttributeName="RawMessageDelivery", AttributeValue="false")
    sns.publish(TopicArn=inbox.topic, Message='{"n": "wrapped"}', Subject="about")
    (message,) = received(cloud, PRODUCTION, url)
    envelope = json.loads(message["Body"])
    assert (envelope["Type"], envelope["Message"], envelope["Subject"]) == ("Notification", '{"n": "wrapped"}', "about")
    inbox.read()


def test_a_topic_decides_who_else_publishes_and_subscribes(cloud: LocalCloud, inbox: Inbox) -> None:
    owner, other = cloud.admin(PRODUCTION, "sns"), cloud.admin(STAGING, "sns")
    arn = f"arn:aws:sqs:{REGION}:{STAGING}:messages-abroad"
    url, _ = make_queue(cloud, STAGING, "messages-abroad", Policy=queue_policy(inbox.topic, arn))
    with refused("AuthorizationError", "SNS:Publish"):
        other.publish(TopicArn=inbox.topic, Message="{}")
    with refused("AuthorizationError", "SNS:Subscribe"):
        other.subscribe(TopicArn=inbox.topic, Protocol="sqs", Endpoint=arn)
    default = owner.get_topic_attributes(TopicArn=inbox.topic)["Attributes"]["Policy"]
    policy = allow(STAGING, ["sns:Publish", "sns:Subscribe"], inbox.topic)
    owner.set_topic_attributes(TopicArn=inbox.topic, AttributeName="Policy", AttributeValue=policy)
    try:
        made = other.subscribe(TopicArn=inbox.topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
        assert made.startswith(inbox.topic)
        other.publish(TopicArn=inbox.topic, Message='{"n": "abroad"}')
        assert "abroad" in received(cloud, STAGING, url)[0]["Body"]
        with refused("AuthorizationError"):
            other.set_topic_attributes(TopicArn=inbox.topic, AttributeName="DisplayName", AttributeValue="x")
    finally:
        owner.set_topic_attributes(TopicArn=inbox.topic, AttributeName="Policy", AttributeValue=default)
    inbox.read()


def test_the_owner_of_a_queue_confirms_a_subscription_of_others(cloud: LocalCloud, inbox: Inbox) -> None:
    sns = cloud.admin(PRODUCTION, "sns")
    arn = f"arn:aws:sqs:{REGION}:{STAGING}:messages-asked"
    url, _ = make_queue(cloud, STAGING, "messages-asked", Policy=queue_policy(inbox.topic, arn))
    made = sns.subscribe(TopicArn=inbox.topic, Protocol="sqs", Endpoint=arn)
    assert made["SubscriptionArn"] == "pending confirmation"
    sns.publish(TopicArn=inbox.topic, Message='{"n": "early"}')
    (asked,) = received(cloud, STAGING, url)
    content = json.loads(asked["Body"])
    assert content["Type"] == "SubscriptionConfirmation"
    with refused("InvalidParameter"):
        sns.confirm_subscription(TopicArn=inbox.topic, Token="wrong")
    cloud.admin(STAGING, "sns").confirm_subscription(TopicArn=content["TopicArn"], Token=content["Token"])
    sns.publish(TopicArn=inbox.topic, Message='{"n": "late"}')
    assert ["late" in item["Body"] for item in received(cloud, STAGING, url)] == [True]
    inbox.read()


def test_a_queue_is_reached_from_another_account_if_its_policy_allows(cloud: LocalCloud) -> None:
    url, arn = make_queue(cloud, PRODUCTION, "messages-shared")
    other = cloud.admin(STAGING, "sqs")
    for call in (
        lambda: other.send_message(QueueUrl=url, MessageBody="x"),
        lambda: other.receive_message(QueueUrl=url),
        lambda: other.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
    ):
        with refused("AccessDenied"):
            call()
    cloud.admin(PRODUCTION, "sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": allow(STAGING, ["sqs:SendMessage"], arn)}
    )
    other.send_message(QueueUrl=url, MessageBody="hello")
    with refused("AccessDenied"):
        other.receive_message(QueueUrl=url)
    assert [item["Body"] for item in received(cloud, PRODUCTION, url)] == ["hello"]


def test_what_is_received_too_often_goes_to_the_dead_letters(cloud: LocalCloud) -> None:
    sqs = cloud.admin(PRODUCTION, "sqs")
    dead_url, dead = make_queue(cloud, PRODUCTION, "messages-letters")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    url, _ = make_queue(cloud, PRODUCTION, "messages-worked", RedrivePolicy=redrive, VisibilityTimeout="1")
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    first = received(cloud, PRODUCTION, url)
    assert received(cloud, PRODUCTION, url) == []  # it is hidden
    second = received(cloud, PRODUCTION, url, WaitTimeSeconds=10)  # and comes back
    assert [item["Body"] for item in (*first, *second)] == ["poison", "poison"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second[0]["ReceiptHandle"], VisibilityTimeout=0)
    pause = threading.Event()
    for _ in range(100):
        assert received(cloud, PRODUCTION, url) == []
        letters = received(cloud, PRODUCTION, dead_url)
        if letters:
            break
        pause.wait(0.05)
    assert [item["Body"] for item in letters] == ["poison"]
