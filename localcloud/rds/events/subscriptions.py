"""CreateEventSubscription and the other operations on event subscriptions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from localcloud.rds import rules, views
from localcloud.rds.errors import (
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    InvalidTopicError,
    RdsError,
    SourceNotFoundError,
    SubscriptionAlreadyExistsError,
    SubscriptionCategoryNotFoundError,
    SubscriptionNotFoundError,
    SubscriptionQuotaExceededError,
    TopicNotAuthorizedError,
    TopicNotFoundError,
)
from localcloud.rds.events.delivery import may_publish
from localcloud.rds.events.kinds import CATEGORIES
from localcloud.rds.model import Subscription
from localcloud.services.topics import find_topic

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region

NAME_LENGTH = 255


class Subscriptions:
    """Operations on event subscriptions.

    :param core: state.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    def create(self, region: Region, params: Params) -> dict[str, Any]:
        """CreateEventSubscription."""
        with self.core.lock:
            name = rules.identifier(params.get("SubscriptionName"), "SubscriptionName", NAME_LENGTH)
            if name in region.subscriptions:
                raise SubscriptionAlreadyExistsError(f"Subscription already exists: {name}")
            if len(region.subscriptions) >= self.core.quotas.subscriptions:
                raise SubscriptionQuotaExceededError(
                    f"There are {self.core.quotas.subscriptions} event subscriptions; delete one."
                )
            made = Subscription(
                account=region.account,
                region=region.name,
                name=name,
                topic=params.get("SnsTopicArn") or "",
                created=time.time(),
                enabled=params.get("Enabled", True),
                tags=rules.tags(params.get("Tags")),
            )
            self._check_topic(made, made.topic)
            made.source_type = _source_type(params.get("SourceType"))
            made.categories = _categories(made.source_type, params.get("EventCategories") or [])
            sources = [value.lower() for value in params.get("SourceIds") or ()]
            for source in sources:
                self._check_source(region, made, source)
            made.sources = sources
            region.subscriptions[name] = made
            return view(made)

    def modify(self, region: Region, params: Params) -> dict[str, Any]:
        """ModifyEventSubscription; its sources are changed by operations of their own."""
        with self.core.lock:
            one = self.find(region, params.get("SubscriptionName"))
            kind = _source_type(params["SourceType"]) if params.get("SourceType") else one.source_type
            asked = params.get("EventCategories")
            categories = _categories(kind, one.categories if asked is None else asked)
            topic = params.get("SnsTopicArn") or one.topic
            self._check_topic(one, topic)
            if kind != one.source_type and one.sources:
                raise InvalidParameterCombinationError(
                    f"The subscription {one.name} names sources of type {one.source_type}; remove them first."
                )
            one.topic, one.source_type, one.categories = topic, kind, categories
            one.enabled = params.get("Enabled", one.enabled)
            return view(one)

    def delete(self, region: Region, params: Params) -> dict[str, Any]:
        """DeleteEventSubscription."""
        with self.core.lock:
            one = self.find(region, params.get("SubscriptionName"))
            del region.subscriptions[one.name]
            return view(one) | {"Status": "deleting"}

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeEventSubscriptions."""
        with self.core.lock:
            name = params.get("SubscriptionName")
            found = [self.find(region, name)] if name else list(region.subscriptions.values())
            page, marker = rules.page(found, params, lambda one: one.name)
            return {"EventSubscriptionsList": [view(one) for one in page], "Marker": marker}

    def add_source(self, region: Region, params: Params) -> dict[str, Any]:
        """AddSourceIdentifierToSubscription."""
        with self.core.lock:
            one = self.find(region, params.get("SubscriptionName"))
            source = str(params.get("SourceIdentifier") or "").lower()
            self._check_source(region, one, source)
            if source not in one.sources:
                one.sources.append(source)
            return view(one)

    def remove_source(self, region: Region, params: Params) -> dict[str, Any]:
        """RemoveSourceIdentifierFromSubscription."""
        with self.core.lock:
            one = self.find(region, params.get("SubscriptionName"))
            source = str(params.get("SourceIdentifier") or "").lower()
            if source not in one.sources:
                raise SourceNotFoundError(f"The subscription {one.name} does not name {source}.")
            one.sources.remove(source)
            return view(one)

    def find(self, region: Region, name: str | None) -> Subscription:
        """Subscription by name.

        :raises SubscriptionNotFoundError: there is none.
        """
        found = region.subscriptions.get((name or "").lower())
        if found is None:
            raise SubscriptionNotFoundError(f"Event Subscription {name} not found.")
        return found

    # ---- inside ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _check_topic(one: Subscription, arn: str) -> None:
        if arn.split(":")[3:4] != [one.region] or arn.endswith(".fifo"):
            raise InvalidTopicError(f"{arn} is not a standard topic of {one.region}.")
        topic = find_topic(arn)
        if topic is None:
            raise TopicNotFoundError(f"SNS topic {arn} does not exist.")
        if not may_publish(topic, one.arn):
            raise TopicNotAuthorizedError(
                f"The policy of {arn} does not let events.rds.amazonaws.com publish for {one.arn}."
            )

    def _check_source(self, region: Region, one: Subscription, source: str) -> None:
        """Check that a source is there.

        :raises InvalidParameterCombinationError: sources need a type.
        :raises SourceNotFoundError: there is no such source.
        """
        if one.source_type is None:
            raise InvalidParameterCombinationError("SourceIds need a SourceType.")
        core = self.core
        look_up = {"db-cluster": core.cluster, "db-instance": core.instance, "db-cluster-snapshot": core.own_snapshot}
        try:
            if one.source_type in look_up:
                look_up[one.source_type](region, source)
        except RdsError:
            raise SourceNotFoundError(f"{one.source_type} {source} not found.") from None


def view(one: Subscription) -> dict[str, Any]:
    """``EventSubscription``."""
    return {
        "CustomerAwsId": one.account,
        "CustSubscriptionId": one.name,
        "SnsTopicArn": one.topic,
        "Status": one.status,
        "SubscriptionCreationTime": f"{views.moment(one.created):%Y-%m-%d %H:%M:%S.%f}"[:-3],
        "SourceType": one.source_type,
        "SourceIdsList": list(one.sources),
        "EventCategoriesList": list(one.categories),
        "Enabled": one.enabled,
        "EventSubscriptionArn": one.arn,
    }


def _source_type(value: str | None) -> str | None:
    if value is not None and value not in CATEGORIES:
        raise InvalidParameterValueError(f"Invalid source type: {value}. Known: {', '.join(CATEGORIES)}.")
    return value


def _categories(source_type: str | None, values: list[str]) -> list[str]:
    known = CATEGORIES[source_type] if source_type else sorted({one for some in CATEGORIES.values() for one in some})
    unknown = [value for value in values if value not in known]
    if unknown:
        raise SubscriptionCategoryNotFoundError(
            f"Unknown category of events of {source_type or 'any source'}: {unknown[0]}. Known: {', '.join(known)}."
        )
    return list(values)
