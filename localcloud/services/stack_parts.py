"""Resources of CloudFormation that moto lacks: policies of queues, topics and buckets, subscriptions, RDS's event subscriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends

from localcloud.rds.errors import RdsError, SubscriptionNotFoundError
from localcloud.rds.response import Response
from localcloud.services.queues import find_queue
from localcloud.services.topics import find_topic

if TYPE_CHECKING:
    from moto.sqs.models import Queue

    from localcloud.cloud import Cloud
    from localcloud.rds.model import Region


def install(_cloud: Cloud) -> None:
    """Nothing to do but to be imported: moto finds its models by their base class."""


class Part:
    """A resource that is nothing but a property of others, or made by calls of another service.

    moto finds direct subclasses of its own base only, so each resource names both.

    :param name: the resource's physical id.
    :param given: its properties, references resolved.
    """

    kind: ClassVar[str] = ""
    named_by: ClassVar[str] = ""

    def __init__(self, name: str, given: dict[str, Any]) -> None:
        self.name, self.given = name, given

    @property
    def physical_resource_id(self) -> str:
        """What ``Ref`` gives."""
        return self.name

    @classmethod
    def cloudformation_type(cls) -> str:
        """Type in templates."""
        return cls.kind

    @classmethod
    def cloudformation_name_type(cls) -> str:
        """Property that names it."""
        return cls.named_by

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> Part:
        """Make the resource.

        :raises ValidationError: it cannot be made; the message says why.
        """
        try:
            given = cloudformation_json["Properties"]
            return cls(cls.make(resource_name, given, account_id, region_name), given)
        except (RdsError, LookupError) as error:
            raise ValidationError(resource_name, f"{cls.kind} {resource_name}: {error}") from error

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Part,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> Part:
        """Replace the resource by another one."""
        original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete the resource; moto has not resolved what its template says."""
        self.remove(self.name, self.given, account_id, region_name)

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:
        """Do what the resource is about.

        :return: its physical id.
        :raises LookupError: what it belongs to is not there.
        """
        raise NotImplementedError

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:
        """Undo it; harmless if what it belongs to is gone."""
        raise NotImplementedError


class QueuePolicy(Part, CloudFormationModel):
    """``AWS::SQS::QueuePolicy``."""

    kind = "AWS::SQS::QueuePolicy"

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:
        """Set the policy of every queue."""
        for url in given["Queues"]:
            queue = _queue(url, account, region)
            if queue is None:
                raise LookupError(f"there is no queue {url}")
            queue.policy = json.dumps(given["PolicyDocument"])
        return name

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:  # noqa: ARG003 - the base's
        """Leave the queues without a policy."""
        for url in given["Queues"]:
            queue = _queue(url, account, region)
            if queue is not None:
                queue.policy = None


class TopicPolicy(Part, CloudFormationModel):
    """``AWS::SNS::TopicPolicy``."""

    kind = "AWS::SNS::TopicPolicy"

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:  # noqa: ARG003 - the base's
        """Set the policy of every topic."""
        for arn in given["Topics"]:
            topic = find_topic(arn)
            if topic is None:
                raise LookupError(f"there is no topic {arn}")
            topic.policy = json.dumps(given["PolicyDocument"])
        return name

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:  # noqa: ARG003 - the base's
        """Give the topics the policy that they began with."""
        for arn in given["Topics"]:
            topic = find_topic(arn)
            if topic is not None:
                first = topic._create_default_topic_policy(region, account, topic.name)  # noqa: SLF001 - moto's only way
                topic.policy = json.dumps(first)


class TopicSubscription(Part, CloudFormationModel):
    """``AWS::SNS::Subscription``."""

    kind = "AWS::SNS::Subscription"

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:  # noqa: ARG003 - the base's
        """Subscribe."""
        if find_topic(given["TopicArn"]) is None:
            raise LookupError(f"there is no topic {given['TopicArn']}")
        backend = sns_backends[account][region]
        arn = backend.subscribe(given["TopicArn"], given["Endpoint"], given["Protocol"]).arn
        if "RawMessageDelivery" in given:
            backend.set_subscription_attributes(arn, "RawMessageDelivery", _is_on(given["RawMessageDelivery"]))
        for attribute in ("FilterPolicyScope", "FilterPolicy", "RedrivePolicy"):
            if attribute in given:
                value = given[attribute]
                backend.set_subscription_attributes(
                    arn, attribute, value if isinstance(value, str) else json.dumps(value)
                )
        return arn

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:  # noqa: ARG003 - the base's
        """Unsubscribe."""
        sns_backends[account][region].unsubscribe(name)


class BucketPolicy(Part, CloudFormationModel):
    """``AWS::S3::BucketPolicy``."""

    kind = "AWS::S3::BucketPolicy"

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:  # noqa: ARG003 - the base's
        """Set the policy of the bucket."""
        bucket = s3_backends[account]["aws"].buckets.get(given["Bucket"])
        if bucket is None:
            raise LookupError(f"there is no bucket {given['Bucket']}")
        bucket.policy = json.dumps(given["PolicyDocument"]).encode()
        return name

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:  # noqa: ARG003 - the base's
        """Leave the bucket without a policy."""
        bucket = s3_backends[account]["aws"].buckets.get(given["Bucket"])
        if bucket is not None:
            bucket.policy = None


class EventSubscription(Part, CloudFormationModel):
    """``AWS::RDS::EventSubscription``."""

    kind = "AWS::RDS::EventSubscription"
    named_by = "SubscriptionName"

    @classmethod
    def make(cls, name: str, given: dict[str, Any], account: str, region: str) -> str:
        """Create the subscription, as the call does."""
        wanted = {**given, "SubscriptionName": name, "Enabled": _is_on(given.get("Enabled", True))}
        return str(Response.service.subscriptions.create(_here(account, region), wanted)["CustSubscriptionId"])

    @classmethod
    def remove(cls, name: str, given: dict[str, Any], account: str, region: str) -> None:  # noqa: ARG003 - the base's
        """Delete the subscription, if it is there."""
        try:
            Response.service.subscriptions.delete(_here(account, region), {"SubscriptionName": name})
        except SubscriptionNotFoundError:
            return


def _here(account: str, region: str) -> Region:
    return Response.service.core.region(account, region)


def _queue(url: str, account: str, region: str) -> Queue | None:
    return find_queue(f"arn:aws:sqs:{region}:{account}:{url.rpartition('/')[2]}")


def _is_on(value: Any) -> bool:
    """Read a truth value of a template, which may be written as text."""
    return str(value).lower() == "true"
