"""SNS with policies: topics decide who else may use them, queues decide which topics may send to them.

As in moto, messages are delivered before Publish is answered. A queue of another account is subscribed at once if its owner
asks, and otherwise when its owner has confirmed.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sns import urls
from moto.sns.models import SNSBackend, Subscription, Topic, sns_backends
from moto.sns.responses import SNSResponse
from moto.sqs.models import sqs_backends

from localcloud import policy
from localcloud.policy import Decision
from localcloud.services.queues import decide, find_queue

if TYPE_CHECKING:
    from moto.sqs.models import Queue

    from localcloud.cloud import Cloud
    from localcloud.policy import Values

log = logging.getLogger(__name__)

SENDER = "sns.amazonaws.com"
_publish = Subscription.publish


class AuthorizationError(ServiceException):
    """The topic's policy does not let the caller do it."""

    code = "AuthorizationError"


class SnsError(ServiceException):
    """Any error of SNS."""


for _error in (AuthorizationError, SnsError):
    _error.__module__ = "moto.sns.exceptions"


def install(cloud: Cloud) -> None:
    """Answer SNS calls, and deliver messages, with policies applied."""
    Response.cloud = cloud
    urls.url_paths["{0}/$"] = Response.dispatch
    Subscription.publish = deliver  # type: ignore[method-assign]


class Response(SNSResponse):
    """SNS. A topic of another account is reached by its ARN, if its policy allows."""

    cloud: ClassVar[Cloud]

    @property
    def backend(self) -> SNSBackend:
        """Topics of the account that the call is about."""
        arn = str(self._get_param("TopicArn") or self._get_param("TargetArn") or "")
        topic = find_topic(arn)
        if topic is None:
            return super().backend
        self._check(topic)
        return topic.sns_backend

    def subscribe(self) -> ActionResult:
        """Subscribe; the owner of a queue that is another's must agree."""
        answer = super().subscribe()
        queue = find_queue(self._get_param("Endpoint") or "") if self._get_param("Protocol") == "sqs" else None
        result: Any = answer.result
        made = self.backend.subscriptions[result["SubscriptionArn"]]
        made.owner = self.current_account
        made.attributes["Owner"] = self.current_account
        if queue is None or queue.account_id == self.current_account or made.confirmed:
            return answer
        made.attributes["PendingConfirmation"] = True
        made.attributes["Token"] = secrets.token_hex(32)
        _ask(made, queue)
        return ActionResult({"SubscriptionArn": "pending confirmation"})

    def confirm_subscription(self) -> ActionResult:
        """ConfirmSubscription by the token that the queue was sent."""
        token = self._get_param("Token")
        for one in self.backend.subscriptions.values():
            if one.topic.arn == self._get_param("TopicArn") and token and one.attributes.get("Token") == token:
                one.attributes["PendingConfirmation"] = False
                one.confirmed = True
                return ActionResult({"SubscriptionArn": one.arn})
        raise SnsError("InvalidParameter", "Invalid parameter: Token")

    def _check(self, topic: Topic) -> None:
        caller, action = self.cloud.caller, self._get_action().removesuffix("Batch")
        if action == "ConfirmSubscription":  # the token decides
            return
        context: dict[str, Values] = {
            "aws:SourceOwner": caller.account,
            "aws:PrincipalArn": caller.principal_arn,
            "aws:PrincipalAccount": caller.account,
            "aws:SecureTransport": "true",
        }
        asked = policy.Request(
            f"SNS:{action}", caller.account, caller.principal_arn, context=context, resource=topic.arn
        )
        decision = policy.decide_by_resource(topic.policy, asked)
        own = topic.account_id == caller.account
        if decision is Decision.DENIED or (not own and decision is not Decision.ALLOWED):
            why = (
                "with an explicit deny in a resource-based policy"
                if decision is Decision.DENIED
                else f"because no resource-based policy allows the SNS:{action} action"
            )
            raise AuthorizationError(
                f"User: {caller.arn} is not authorized to perform: SNS:{action} on resource: {topic.arn} {why}"
            )


def find_topic(arn: str) -> Topic | None:
    """Topic by ARN, in any account."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "sns" or parts[4] not in sns_backends:
        return None
    return sns_backends[parts[4]][parts[3]].topics.get(arn)


def deliver(
    self: Subscription,
    message: str,
    message_id: str,
    subject: str | None = None,
    message_attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> None:
    """Deliver a message to a subscription; to a queue only if the queue's policy lets the topic send."""
    if self.protocol != "sqs":
        _publish(self, message, message_id, subject, message_attributes, group_id, deduplication_id, message_structure)
        return
    matcher = self._filter_policy_matcher
    if self.attributes.get("PendingConfirmation") is True or (
        matcher is not None and not matcher.matches(message_attributes, message)
    ):
        return
    if message_structure == "json":
        message = self._parse_message_structure(message, self.protocol)
    queue = _target(self)
    if queue is None:
        return
    raw = bool(self.attributes.get("RawMessageDelivery"))
    content = self.get_post_data(message, message_id, subject, message_attributes=message_attributes)
    sqs_backends[queue.account_id][queue.region].send_message(
        queue.name,
        message if raw else json.dumps(content, sort_keys=True, indent=2),
        message_attributes=_raw(message_attributes or {}) if raw else None,
        deduplication_id=deduplication_id,
        group_id=group_id,
        validate_group_id=False,
    )


def _target(one: Subscription) -> Queue | None:
    """Queue that a message goes to: the endpoint, or the subscription's dead letters if that does not take it."""
    redrive = json.loads(one.attributes.get("RedrivePolicy") or "{}")
    for arn in filter(None, (one.endpoint, redrive.get("deadLetterTargetArn"))):
        queue = find_queue(arn)
        if queue is not None and _may_send(queue, one.topic):
            return queue
        log.warning("%s does not take messages of %s: no such queue, or its policy refuses", arn, one.topic.arn)
    return None


def _may_send(queue: Queue, topic: Topic) -> bool:
    context: dict[str, Values] = {
        "aws:SourceArn": topic.arn,
        "aws:SourceAccount": topic.account_id,
        "aws:SecureTransport": "true",
    }
    asked = policy.Request(
        "sqs:SendMessage", topic.account_id, service=SENDER, context=context, resource=str(queue.queue_arn)
    )
    return decide(queue, asked) is Decision.ALLOWED


def _raw(attributes: dict[str, Any]) -> dict[str, Any]:
    """Message attributes of SNS in SQS's form."""
    found = {}
    for name, value in attributes.items():
        field = "BinaryValue" if value["Type"].startswith("Binary") else "StringValue"
        content = value["Value"] if field == "BinaryValue" else str(value["Value"])
        found[name] = {"DataType": value["Type"], field: content}
    return found


def _ask(one: Subscription, queue: Queue) -> None:
    """Send the owner of a queue what a subscription is confirmed with."""
    if not _may_send(queue, one.topic):
        return
    content = {
        "Type": "SubscriptionConfirmation",
        "TopicArn": one.topic.arn,
        "Token": one.attributes["Token"],
        "Message": f"You have chosen to subscribe to the topic {one.topic.arn}. To confirm, call ConfirmSubscription.",
    }
    sqs_backends[queue.account_id][queue.region].send_message(queue.name, json.dumps(content))
