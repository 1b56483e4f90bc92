"""Events of RDS: told to the topics of those who have subscribed, in RDS's words."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.client import admin_operation
from tests.local.cloud.event_helpers import make_inbox
from tests.local.cloud.export_helpers import Place, make_place
from tests.local.cloud.rds_helpers import PRODUCTION, base, delete_snapshots, refused, wait_cluster, wait_snapshot

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def place(cloud: LocalCloud) -> Place:
    return make_place(cloud, PRODUCTION, "event-exports")


@pytest.fixture(scope="module")
def rds(cloud: LocalCloud) -> Any:
    base(cloud)
    return cloud.client(PRODUCTION, "rds")


def test_an_automated_snapshot_and_its_export_reach_a_queue(cloud: LocalCloud, rds: Any, place: Place) -> None:
    inbox = make_inbox(cloud, PRODUCTION, "events-automated")
    made = rds.create_event_subscription(
        SubscriptionName="Automated", SnsTopicArn=inbox.topic, SourceType="db-cluster-snapshot"
    )["EventSubscription"]
    assert (made["CustSubscriptionId"], made["Status"], made["Enabled"]) == ("automated", "active", True)
    snapshot = admin_operation(
        "rds-automated-snapshot", cloud.config, account=PRODUCTION, region=REGION, cluster="rds-base"
    )["DBClusterSnapshotIdentifier"]
    wait_snapshot(rds, snapshot)
    arn = f"arn:aws:rds:{REGION}:{PRODUCTION}:cluster-snapshot:{snapshot}"
    assert place.run("from-event", arn)["Status"] == "COMPLETE"
    assert inbox.wait_for("0164") == ["0164", "0168", "0169"]
    message = next(item for item in inbox.messages if item["Event ID"].endswith("0169"))
    envelope = message.pop("envelope")
    assert envelope["Subject"] == "RDS Notification Message"
    assert envelope["MessageAttributes"]["EventID"] == {"Type": "String", "Value": "RDS-EVENT-0169"}
    assert envelope["MessageAttributes"]["Resource"]["Value"] == arn
    assert message.pop("Event Time")[:2] == "20"
    assert message == {
        "Event Source": "db-cluster-snapshot",
        "Identifier Link": f"https://console.aws.amazon.com/rds/home?region={REGION}#snapshot:engine=aurora;id={snapshot}",
        "Source ID": snapshot,
        "Source ARN": arn,
        "Event ID": "http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.html#RDS-EVENT-0169",
        "Event Message": "Automated cluster snapshot created",
    }
    exported = next(item for item in inbox.messages if item["Event ID"].endswith("0164"))
    assert (exported["Source ID"], exported["Source ARN"]) == (snapshot, arn)
    rds.delete_event_subscription(SubscriptionName="automated")


def test_a_manual_snapshot_has_other_events_and_filters_apply(cloud: LocalCloud, rds: Any, place: Place) -> None:
    everything = make_inbox(cloud, PRODUCTION, "events-all")
    notified = make_inbox(cloud, PRODUCTION, "events-notification")
    of_another = make_inbox(cloud, PRODUCTION, "events-other")
    off = make_inbox(cloud, PRODUCTION, "events-off")
    subscribe = rds.create_event_subscription
    subscribe(SubscriptionName="all", SnsTopicArn=everything.topic)
    subscribe(
        SubscriptionName="notification",
        SnsTopicArn=notified.topic,
        SourceType="db-cluster-snapshot",
        EventCategories=["notification"],
    )
    subscribe(
        SubscriptionName="other",
        SnsTopicArn=of_another.topic,
        SourceType="db-cluster-snapshot",
        SourceIds=["rds-base"],
    )
    subscribe(SubscriptionName="off", SnsTopicArn=off.topic, Enabled=False)
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier="rds-base",
        DBClusterSnapshotIdentifier="events-manual",
        Tags=[{"Key": "made", "Value": "here"}],
    )
    wait_snapshot(rds, "events-manual")
    wait_cluster(rds, "rds-base")
    arn = f"arn:aws:rds:{REGION}:{PRODUCTION}:cluster-snapshot:events-manual"
    place.start("to-cancel", arn)
    rds.cancel_export_task(ExportTaskIdentifier="to-cancel")
    assert place.wait("to-cancel")["Status"] == "CANCELED"
    assert everything.wait_for("0074", "0075", "0163") == ["0074", "0075", "0163"]
    assert {tuple(item["Tags"].items()) for item in everything.messages} == {(("made", "here"),)}
    assert notified.wait_for("0163") == ["0163"]
    assert of_another.ids() == off.ids() == []
    rds.add_source_identifier_to_subscription(SubscriptionName="other", SourceIdentifier="events-manual")
    rds.modify_event_subscription(SubscriptionName="off", Enabled=True, EventCategories=["backup"])
    assert place.run("again", arn)["Status"] == "COMPLETE"
    assert of_another.wait_for("0164") == ["0164"]
    assert off.ids() == []
    for name in ("all", "notification", "other", "off"):
        rds.delete_event_subscription(SubscriptionName=name)
    delete_snapshots(rds, "events-manual")


def test_a_subscription_needs_a_topic_that_lets_rds_publish(cloud: LocalCloud, rds: Any) -> None:
    sns = cloud.admin(PRODUCTION, "sns")
    topic = sns.create_topic(Name="events-closed")["TopicArn"]
    with refused("SNSTopicArnNotFound"):
        rds.create_event_subscription(SubscriptionName="x", SnsTopicArn=topic + "-not")
    with refused("SNSInvalidTopic"):
        rds.create_event_subscription(SubscriptionName="x", SnsTopicArn=topic.replace(REGION, "eu-central-1"))

    def let(**condition: Any) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.rds.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic,
            "Condition": condition,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)

    for condition in (
        {"StringEquals": {"aws:SourceAccount": "222222222222"}},
        {"ArnLike": {"aws:SourceArn": f"arn:aws:rds:{REGION}:{PRODUCTION}:es:y"}},
    ):
        let(**condition)
        with refused("SNSNoAuthorization"):
            rds.create_event_subscription(SubscriptionName="x", SnsTopicArn=topic)
    let(
        StringEquals={"aws:SourceAccount": PRODUCTION},
        ArnLike={"aws:SourceArn": f"arn:aws:rds:{REGION}:{PRODUCTION}:es:x"},
    )
    rds.create_event_subscription(SubscriptionName="x", SnsTopicArn=topic)
    rds.delete_event_subscription(SubscriptionName="x")


def test_subscriptions_are_checked_and_described(cloud: LocalCloud, rds: Any) -> None:
    topic = cloud.admin(PRODUCTION, "sns").create_topic(Name="events-described")["TopicArn"]
    subscribe = partial(rds.create_event_subscription, SnsTopicArn=topic)
    with refused("InvalidParameterValue", "SubscriptionName"):
        subscribe(SubscriptionName="a--b")
    with refused("InvalidParameterValue", "source type"):
        subscribe(SubscriptionName="x", SourceType="cluster")
    with refused("SubscriptionCategoryNotFound", "creation"):
        subscribe(SubscriptionName="x", SourceType="db-cluster-snapshot", EventCategories=["creation"])
    with refused("InvalidParameterCombination", "SourceType"):
        subscribe(SubscriptionName="x", SourceIds=["rds-base"])
    with refused("SourceNotFound", "nobody"):
        subscribe(SubscriptionName="x", SourceType="db-cluster", SourceIds=["nobody"])
    subscribe(SubscriptionName="x", SourceType="db-cluster", SourceIds=["rds-base"], EventCategories=["notification"])
    with refused("SubscriptionAlreadyExist"):
        subscribe(SubscriptionName="X")
    (found,) = rds.describe_event_subscriptions(SubscriptionName="x")["EventSubscriptionsList"]
    assert found["EventSubscriptionArn"] == f"arn:aws:rds:{REGION}:{PRODUCTION}:es:x"
    assert (found["SourceType"], found["SourceIdsList"], found["EventCategoriesList"]) == (
        "db-cluster",
        ["rds-base"],
        ["notification"],
    )
    with refused("SourceNotFound"):
        rds.remove_source_identifier_from_subscription(SubscriptionName="x", SourceIdentifier="other")
    rds.remove_source_identifier_from_subscription(SubscriptionName="x", SourceIdentifier="rds-base")
    assert rds.describe_event_subscriptions()["EventSubscriptionsList"][0]["SourceIdsList"] == []
    rds.delete_event_subscription(SubscriptionName="x")
    for call in (rds.describe_event_subscriptions, rds.delete_event_subscription, rds.modify_event_subscription):
        with refused("SubscriptionNotFound"):
            call(SubscriptionName="x")


def test_a_snapshot_of_aws_backup_is_told_as_a_manual_one(cloud: LocalCloud, rds: Any) -> None:
    inbox = make_inbox(cloud, PRODUCTION, "events-backup")
    rds.create_event_subscription(
        SubscriptionName="backup",
        SnsTopicArn=inbox.topic,
        SourceType="db-cluster-snapshot",
        EventCategories=["backup"],
    )
    job = "11112222-3333-4444-5555-666677778888"
    name = admin_operation(
        "rds-backup-snapshot", cloud.config, account=PRODUCTION, region=REGION, cluster="rds-base", job=job
    )["DBClusterSnapshotIdentifier"]
    wait_snapshot(rds, name)
    wait_cluster(rds, "rds-base")
    assert inbox.wait_for("0075") == ["0074", "0075"]
    assert {item["Source ID"] for item in inbox.messages} == {f"awsbackup:job-{job}"}
    rds.delete_event_subscription(SubscriptionName="backup")
