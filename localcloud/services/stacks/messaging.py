"""Topics, queues, subscriptions and roles in stacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from localcloud.services.stacks.kinds import Resource, tag_map, tags_of

if TYPE_CHECKING:
    from localcloud.services.stacks.api import Api


def _text(value: Any) -> str:
    return (
        json.dumps(value)
        if isinstance(value, (dict, list))
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


class Topic(Resource):
    """``AWS::SNS::Topic``."""

    type_name: ClassVar[str] = "AWS::SNS::Topic"
    name_property: ClassVar[str] = "TopicName"
    attribute_names: ClassVar[tuple[str, ...]] = ("TopicArn", "TopicName")
    known: ClassVar[tuple[str, ...]] = ("TopicName", "DisplayName", "KmsMasterKeyId", "Subscription", "Tags")
    replacing: ClassVar[tuple[str, ...]] = ("TopicName",)
    gone: ClassVar[tuple[str, ...]] = ("NotFound",)

    def create(self, api: Api) -> None:
        """Make the topic and its subscriptions."""
        name = self.physical_id
        self.physical_id = api("sns", "create_topic", Name=name, Tags=tags_of(self.properties))["TopicArn"]
        self.attributes = {"TopicArn": self.physical_id, "TopicName": name}
        self.update(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Set its attributes, and subscribe who is new."""
        for name in ("DisplayName", "KmsMasterKeyId"):
            if self.properties.get(name) != former.get(name):
                value = str(self.properties.get(name) or "")
                api("sns", "set_topic_attributes", TopicArn=self.physical_id, AttributeName=name, AttributeValue=value)
        for one in self.properties.get("Subscription") or []:
            if one not in (former.get("Subscription") or []):
                api("sns", "subscribe", TopicArn=self.physical_id, Protocol=one["Protocol"], Endpoint=one["Endpoint"])

    def remove(self, api: Api) -> None:
        """Delete the topic."""
        api("sns", "delete_topic", TopicArn=self.physical_id)


class TopicPolicy(Resource):
    """``AWS::SNS::TopicPolicy``."""

    type_name: ClassVar[str] = "AWS::SNS::TopicPolicy"
    known: ClassVar[tuple[str, ...]] = ("Topics", "PolicyDocument")
    required: ClassVar[tuple[str, ...]] = known
    gone: ClassVar[tuple[str, ...]] = ("NotFound",)

    def create(self, api: Api) -> None:
        """Set the policy of the topics."""
        self.update(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Set the policy of the topics."""
        for topic in self.properties["Topics"]:
            self._set(api, topic, self.properties["PolicyDocument"])
        for topic in set(former.get("Topics") or ()) - set(self.properties["Topics"]):
            self._set(api, topic, _own(api, topic))

    def remove(self, api: Api) -> None:
        """Set the policy that a topic has at first."""
        for topic in self.properties["Topics"]:
            self._set(api, topic, _own(api, topic))

    @staticmethod
    def _set(api: Api, topic: str, document: dict[str, Any]) -> None:
        api("sns", "set_topic_attributes", TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document))


def _own(api: Api, topic: str) -> dict[str, Any]:
    """Write the policy of a new topic: its account may do everything."""
    actions = ("GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic")
    return {
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{one}" for one in (*actions, "Subscribe", "ListSubscriptionsByTopic", "Publish")],
                "Resource": topic,
                "Condition": {"StringEquals": {"AWS:SourceOwner": api.account}},
            }
        ],
    }


class Subscription(Resource):
    """``AWS::SNS::Subscription``."""

    type_name: ClassVar[str] = "AWS::SNS::Subscription"
    attribute_names: ClassVar[tuple[str, ...]] = ("Arn",)
    settings: ClassVar[tuple[str, ...]] = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")
    known: ClassVar[tuple[str, ...]] = ("TopicArn", "Protocol", "Endpoint", *settings)
    required: ClassVar[tuple[str, ...]] = ("TopicArn", "Protocol")
    replacing: ClassVar[tuple[str, ...]] = ("TopicArn", "Protocol", "Endpoint")
    gone: ClassVar[tuple[str, ...]] = ("NotFound",)

    def create(self, api: Api) -> None:
        """Subscribe."""
        given = self.properties
        self.physical_id = api(
            "sns",
            "subscribe",
            TopicArn=given["TopicArn"],
            Protocol=given["Protocol"],
            Endpoint=given.get("Endpoint"),
            Attributes={name: _text(given[name]) for name in self.settings if name in given},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        self.attributes = {"Arn": self.physical_id}

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Change its settings."""
        for name in self.settings:
            if self.properties.get(name) != former.get(name):
                value = _text(self.properties[name]) if name in self.properties else "{}"
                api(
                    "sns",
                    "set_subscription_attributes",
                    SubscriptionArn=self.physical_id,
                    AttributeName=name,
                    AttributeValue=value,
                )

    def remove(self, api: Api) -> None:
        """Unsubscribe."""
        api("sns", "unsubscribe", SubscriptionArn=self.physical_id)


class Queue(Resource):
    """``AWS::SQS::Queue``."""

    type_name: ClassVar[str] = "AWS::SQS::Queue"
    name_property: ClassVar[str] = "QueueName"
    attribute_names: ClassVar[tuple[str, ...]] = ("Arn", "QueueName", "QueueUrl")
    settings: ClassVar[tuple[str, ...]] = (
        "DelaySeconds",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "RedriveAllowPolicy",
        "RedrivePolicy",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    )
    known: ClassVar[tuple[str, ...]] = ("QueueName", "Tags", *settings)
    replacing: ClassVar[tuple[str, ...]] = ("QueueName",)
    gone: ClassVar[tuple[str, ...]] = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

    def create(self, api: Api) -> None:
        """Make the queue."""
        name = self.physical_id
        given = {one: _text(self.properties[one]) for one in self.settings if one in self.properties}
        self.physical_id = api(
            "sqs", "create_queue", QueueName=name, Attributes=given, tags=tag_map(self.properties) or None
        )["QueueUrl"]
        arn = f"arn:aws:sqs:{api.region}:{api.account}:{name}"
        self.attributes = {"Arn": arn, "QueueName": name, "QueueUrl": self.physical_id}

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Set its attributes."""
        changed = {
            one: _text(self.properties.get(one, ""))
            for one in self.settings
            if self.properties.get(one) != former.get(one)
        }
        if changed:
            api("sqs", "set_queue_attributes", QueueUrl=self.physical_id, Attributes=changed)

    def remove(self, api: Api) -> None:
        """Delete the queue."""
        api("sqs", "delete_queue", QueueUrl=self.physical_id)


class QueuePolicy(Resource):
    """``AWS::SQS::QueuePolicy``."""

    type_name: ClassVar[str] = "AWS::SQS::QueuePolicy"
    known: ClassVar[tuple[str, ...]] = ("Queues", "PolicyDocument")
    required: ClassVar[tuple[str, ...]] = known
    gone: ClassVar[tuple[str, ...]] = Queue.gone

    def create(self, api: Api) -> None:
        """Set the policy of the queues."""
        self.update(api, {})

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Set the policy of the queues."""
        for queue in self.properties["Queues"]:
            self._set(api, queue, json.dumps(self.properties["PolicyDocument"]))
        for queue in set(former.get("Queues") or ()) - set(self.properties["Queues"]):
            self._set(api, queue, "")

    def remove(self, api: Api) -> None:
        """Take the policy away."""
        for queue in self.properties["Queues"]:
            self._set(api, queue, "")

    @staticmethod
    def _set(api: Api, queue: str, document: str) -> None:
        api("sqs", "set_queue_attributes", QueueUrl=queue, Attributes={"Policy": document})


class EventSubscription(Resource):
    """``AWS::RDS::EventSubscription``."""

    type_name: ClassVar[str] = "AWS::RDS::EventSubscription"
    name_property: ClassVar[str] = "SubscriptionName"
    known: ClassVar[tuple[str, ...]] = (
        "SubscriptionName",
        "SnsTopicArn",
        "SourceType",
        "SourceIds",
        "EventCategories",
        "Enabled",
        "Tags",
    )
    required: ClassVar[tuple[str, ...]] = ("SnsTopicArn",)
    replacing: ClassVar[tuple[str, ...]] = ("SubscriptionName",)
    gone: ClassVar[tuple[str, ...]] = ("SubscriptionNotFound", "SubscriptionNotFoundFault")

    @classmethod
    def generated(cls, name: str) -> str:
        """Give a subscription without a name one in small letters."""
        return name.lower()

    def create(self, api: Api) -> None:
        """Subscribe the topic."""
        given = {name: self.properties.get(name) for name in self.known if name not in {"SubscriptionName", "Tags"}}
        tags = tags_of(self.properties) or None
        api("rds", "create_event_subscription", SubscriptionName=self.physical_id, Tags=tags, **given)

    def update(self, api: Api, former: dict[str, Any]) -> None:
        """Change the subscription."""
        given, name = self.properties, {"SubscriptionName": self.physical_id}
        changed = {one: given.get(one) for one in ("SnsTopicArn", "SourceType", "EventCategories", "Enabled")}
        api("rds", "modify_event_subscription", **name, **changed)
        old, new = set(former.get("SourceIds") or ()), set(given.get("SourceIds") or ())
        for source in sorted(new - old):
            api("rds", "add_source_identifier_to_subscription", **name, SourceIdentifier=source)
        for source in sorted(old - new):
            api("rds", "remove_source_identifier_from_subscription", **name, SourceIdentifier=source)

    def remove(self, api: Api) -> None:
        """Delete the subscription."""
        api("rds", "delete_event_subscription", SubscriptionName=self.physical_id)
