"""How an event is told: as JSON in RDS's form, to the topic of every subscription that it matches."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from localcloud import policy
from localcloud.services.topics import find_topic

if TYPE_CHECKING:
    from moto.sns.models import Topic

    from localcloud.rds.core import Core
    from localcloud.rds.model import Event, Subscription

log = logging.getLogger(__name__)

PUBLISHER = "events.rds.amazonaws.com"
SUBJECT = "RDS Notification Message"
DOCUMENT = "http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.html"
CONSOLE = "https://console.aws.amazon.com/rds/home?region={region}"
# Behind the console's address, by source type; {id} is the source's identifier.
LINKS = {
    "db-instance": "#dbinstance:id={id}",
    "db-cluster": "#dbclusters:id={id}",
    "db-snapshot": "#snapshot:id={id}",
    "db-cluster-snapshot": "#snapshot:engine=aurora;id={id}",
}


class Delivery:
    """Tells events to SNS, without RDS's lock: the topic may lead to a function that calls RDS.

    What was not told when localcloud ended is told when it goes on, so that a message may come twice, as on AWS.

    :param core: subscriptions, timers.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    def tell(self, event: Event, account: str, region: str) -> None:
        """Tell an event to whoever has subscribed to it now; returns at once."""
        if not event.id:
            return
        for subscription in self.core.region(account, region).subscriptions.values():
            if matches(subscription, event):
                self.core.lifecycle.later(0.0, partial(self._publish, subscription.arn, subscription.topic, event))

    def _publish(self, subscription: str, topic_arn: str, event: Event) -> None:
        topic = find_topic(topic_arn)
        if topic is None or not may_publish(topic, subscription):
            log.warning("%s is not told to %s: there is no such topic, or its policy refuses", event.id, topic_arn)
            return
        attributes = {
            "EventID": {"Type": "String", "Value": event.id},
            "Resource": {"Type": "String", "Value": event.arn},
        }
        with self.core.cloud.lock("sns"):
            topic.publish(message(event), subject=SUBJECT, message_attributes=attributes)
        for service in ("sns", "sqs"):
            self.core.cloud.store.later(service)


def matches(subscription: Subscription, event: Event) -> bool:
    """Whether a subscription is about an event."""
    return (
        subscription.enabled
        and subscription.status == "active"
        and subscription.source_type in {None, event.source_type}
        and (not subscription.categories or bool(set(subscription.categories) & set(event.categories)))
        and (not subscription.sources or event.source in subscription.sources)
    )


def message(event: Event) -> str:
    """Text of the notification, as RDS writes it; ``Tags`` are those that the source has now."""
    region = event.arn.split(":")[3]
    content = {
        "Event Source": event.source_type,
        "Event Time": datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "Identifier Link": CONSOLE.format(region=region) + LINKS[event.source_type].format(id=event.source),
        "Source ID": event.source,
        "Source ARN": event.arn,
        "Event ID": f"{DOCUMENT}#{event.id}",
        "Event Message": event.message,
        "Tags": event.tags,
    }
    if not event.tags:
        del content["Tags"]
    return json.dumps(content, separators=(",", ":"))


def may_publish(topic: Topic, subscription: str) -> bool:
    """Whether a topic's policy lets RDS publish for a subscription, by its ARN."""
    account = subscription.split(":")[4]
    context = {
        "aws:SourceArn": subscription,
        "aws:SourceAccount": account,
        "aws:SourceOwner": account,
        "aws:SecureTransport": "true",
    }
    asked = policy.Request("sns:Publish", account, service=PUBLISHER, context=context, resource=topic.arn)
    return policy.decide_by_resource(topic.policy, asked) is policy.Decision.ALLOWED
