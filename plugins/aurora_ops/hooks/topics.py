"""Amazon SNS: announcing."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aurora_ops.hooks.base import AwsHook

LONGEST_SUBJECT = 100


class TopicsHook(AwsHook):
    """Topics of one account and region."""

    service = "sns"
    audited = False

    def publish(
        self,
        topic_arn: str,
        subject: str,
        message: str | Mapping[str, str],
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Publish a message (``Publish``).

        :param topic_arn: topic.
        :param subject: one line; what is beyond 99 characters is cut.
        :param message: text, or protocol to text with ``default`` for the others (``MessageStructure=json``).
        :param attributes: message attributes that subscriptions filter by.
        """
        by_protocol = not isinstance(message, str)
        self.call(
            "publish",
            TopicArn=topic_arn,
            Subject=subject.replace("\n", " ")[: LONGEST_SUBJECT - 1],
            Message=json.dumps(message) if by_protocol else message,
            MessageStructure="json" if by_protocol else None,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
            }
            or None,
        )

    def require_topic(self, topic_arn: str) -> None:
        """Make sure that a topic exists (``GetTopicAttributes``).

        :raises MissingError: it does not.
        """
        self.call("get_topic_attributes", TopicArn=topic_arn)

    def list_subscriptions(self, topic_arn: str) -> list[str]:
        """List the subscriptions of a topic, all pages (``ListSubscriptionsByTopic``): ARNs, or ``PendingConfirmation``.

        :raises MissingError: there is no such topic.
        """
        found = self.pages("list_subscriptions_by_topic", "Subscriptions", TopicArn=topic_arn)
        return [str(subscription["SubscriptionArn"]) for subscription in found]
