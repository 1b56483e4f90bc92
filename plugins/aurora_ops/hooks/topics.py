"""Amazon SNS: announcing."""

from __future__ import annotations

from aurora_ops.hooks.base import AwsHook

LONGEST_SUBJECT = 100


class TopicsHook(AwsHook):
    """Topics of one account and region."""

    service = "sns"

    def publish(self, topic_arn: str, subject: str, message: str) -> None:
        """Publish a message (``Publish``); a subject has at most 100 characters and no line break."""
        self.call(
            "publish",
            TopicArn=topic_arn,
            Subject=subject.replace("\n", " ")[: LONGEST_SUBJECT - 1],
            Message=message,
        )

    def require_topic(self, topic_arn: str) -> None:
        """Make sure that a topic exists (``GetTopicAttributes``).

        :raises MissingError: it does not.
        """
        self.call("get_topic_attributes", TopicArn=topic_arn)
