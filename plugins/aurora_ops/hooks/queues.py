"""Amazon SQS: receiving messages, and saying what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, MissingError
from aurora_ops.hooks.base import AwsHook

MOST_AT_ONCE = 10
"""Messages that an operation of SQS takes or gives at most."""


@dataclass(frozen=True)
class Message:
    """A message as it was received this time.

    :param message_id: the same each time it is received.
    :param receipt: of this time; what is said of the message is said with it.
    :param body: text.
    :param sent_at_ms: when it was sent, in milliseconds since 1970.
    :param receives: how often it has been received, this time included.
    """

    message_id: str
    receipt: str
    body: str
    sent_at_ms: int
    receives: int


class QueuesHook(AwsHook):
    """Queues of one account and region."""

    service = "sqs"
    audited = False

    def require_url(self, name: str) -> str:
        """Give the URL of a queue of this account (``GetQueueUrl``).

        :param name: of the queue.
        :raises MissingError: there is none.
        """
        return str(self.call("get_queue_url", QueueName=name)["QueueUrl"])

    def find_attributes(self, name: str) -> dict[str, str] | None:
        """Read what a queue of this account is like (``GetQueueUrl``, ``GetQueueAttributes``); ``None`` where there is none.

        :param name: of the queue.
        """
        try:
            url = self.require_url(name)
        except AuroraOpsError as exc:  # the code is another one by the protocol that SQS is spoken to in
            if "NonExistentQueue" not in str(exc) and not isinstance(exc, MissingError):
                raise
            return None
        return dict(self.call("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"])

    def receive(self, url: str, *, wait_s: int, visibility_s: int) -> list[Message]:
        """Receive up to ten messages (``ReceiveMessage``), waiting for the first.

        :param url: of the queue.
        :param wait_s: how long to wait, 0 to 20.
        :param visibility_s: how long nobody else receives them.
        """
        found = self.call(
            "receive_message",
            QueueUrl=url,
            MaxNumberOfMessages=MOST_AT_ONCE,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=visibility_s,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return [_message(raw) for raw in found.get("Messages", [])]

    def delete(self, url: str, receipts: Sequence[str]) -> list[str]:
        """Delete messages (``DeleteMessageBatch``).

        :param url: of the queue.
        :param receipts: of this time that they were received.
        :return: why some were not; each of those comes again.
        """
        return self._each("delete_message_batch", url, [{"ReceiptHandle": receipt} for receipt in receipts])

    def show_after(self, url: str, receipts: Sequence[str], seconds: int) -> list[str]:
        """Have messages received again no sooner than after some seconds from now (``ChangeMessageVisibilityBatch``).

        :param url: of the queue.
        :param receipts: of this time that they were received.
        :param seconds: 0: at once.
        :return: why that was not done for some.
        """
        entries = [{"ReceiptHandle": receipt, "VisibilityTimeout": seconds} for receipt in receipts]
        return self._each("change_message_visibility_batch", url, entries)

    def _each(self, operation: str, url: str, entries: Sequence[dict[str, Any]]) -> list[str]:
        failed: list[str] = []
        for start in range(0, len(entries), MOST_AT_ONCE):
            numbered = [{"Id": str(number), **one} for number, one in enumerate(entries[start : start + MOST_AT_ONCE])]
            answer = self.call(operation, QueueUrl=url, Entries=numbered)
            failed += [f"{one.get('Code')}: {one.get('Message', '')}" for one in answer.get("Failed", [])]
        return failed


def _message(raw: dict[str, Any]) -> Message:
    about = raw.get("Attributes", {})
    return Message(
        message_id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=raw["Body"],
        sent_at_ms=int(about.get("SentTimestamp", 0)),
        receives=int(about.get("ApproximateReceiveCount", 1)),
    )
