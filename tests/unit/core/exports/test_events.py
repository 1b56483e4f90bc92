"""Reading messages: whatever is in them, each part is told once, and nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aurora_ops.core.exports.events import CREATED, TOLD, Event, Unreadable, read, refusal
from hypothesis import given
from hypothesis import strategies as st

PLACES = frozenset({("111111111111", "eu-west-1")})
ARN = "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:rds:prod-shop-2026-01-02-03-04"


def said(event_id: str = "RDS-EVENT-0169", arn: str = ARN, **more) -> dict:
    """What RDS sends to SNS."""
    return {
        "Event Source": "db-cluster-snapshot",
        "Event Time": "2026-01-02 03:04:05.678",
        "Identifier Link": "https://console.aws.amazon.com/rds/home",
        "Source ID": arn.split(":", 6)[-1],
        "Source ARN": arn,
        "Event ID": f"http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#{event_id}",
        "Event Message": "Automated cluster snapshot created",
        **more,
    }


def notified(event: dict) -> dict:
    return {"Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": json.dumps(event)}


EVENT = Event(
    "RDS-EVENT-0169",
    ARN,
    "rds:prod-shop-2026-01-02-03-04",
    datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "Automated cluster snapshot created",
)


@pytest.mark.parametrize(
    "content",
    [
        said(),
        notified(said()),
        {"Records": [{"EventSource": "aws:sns", "Sns": notified(said())}]},
        {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(notified(said()))}]},
        [said()],
    ],
)
def test_one_event_however_it_is_wrapped(content) -> None:
    assert read(json.dumps(content)) == [EVENT]


def test_the_form_of_eventbridge() -> None:
    content = {
        "source": "aws.rds",
        "detail-type": "RDS DB Cluster Snapshot Event",
        "detail": {
            "EventCategories": ["backup"],
            "SourceType": "CLUSTER_SNAPSHOT",
            "SourceArn": ARN,
            "Date": "2026-01-02T03:04:05.678Z",
            "Message": "Automated cluster snapshot created",
            "SourceIdentifier": "rds:prod-shop-2026-01-02-03-04",
            "EventID": "RDS-EVENT-0169",
        },
    }
    assert read(json.dumps(content)) == [EVENT]


def test_every_record_of_a_batch_is_read() -> None:
    content = {
        "Records": [{"Sns": notified(said(event))} for event in ("RDS-EVENT-0042", "RDS-EVENT-0197", "RDS-EVENT-0091")]
    }
    assert [one.event_id for one in read(json.dumps(content))] == ["RDS-EVENT-0042", "RDS-EVENT-0197", "RDS-EVENT-0091"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("[]", "empty"),
        ("7", "int"),
        ("null", "NoneType"),
        ("{}", "no Event ID"),
        ('{"Message": "Amazon RDS has been enabled"}', "not JSON"),
        ('{"Event ID": "RDS-EVENT-69"}', "none of RDS"),
        ('{"Event ID": null}', "none of RDS"),
        (
            json.dumps(
                {"Message": json.dumps({"Message": {"Message": {"Message": {"Message": {"Message": {"Message": 1}}}}}})}
            ),
            "deeply",
        ),
    ],
)
def test_what_is_no_event_is_told(body, why) -> None:
    (found,) = read(body)
    assert isinstance(found, Unreadable)
    assert why in found.why


def test_a_part_that_cannot_be_read_does_not_hide_the_others() -> None:
    found = read(json.dumps({"Records": [{"Sns": {"Message": "?"}}, {"Sns": notified(said())}]}))
    assert found == [Unreadable("it is not JSON"), EVENT]


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Records", "Message", "Sns", "body", "detail", "Event ID", "Source ARN", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(nested | st.text())
def test_nothing_raises_and_something_is_always_told(content) -> None:
    assert read(content if isinstance(content, str) else json.dumps(content))
    assert all(refusal(one, PLACES) for one in read(json.dumps(content)))


@pytest.mark.parametrize("event_id", sorted(CREATED))
def test_what_was_created_may_be_exported(event_id) -> None:
    (found,) = read(json.dumps(said(event_id)))
    assert refusal(found, PLACES) is None


@pytest.mark.parametrize("event_id", sorted(TOLD))
def test_what_is_only_told_starts_nothing(event_id) -> None:
    (found,) = read(json.dumps(said(event_id)))
    assert TOLD[event_id] in refusal(found, PLACES)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (said("RDS-EVENT-9999"), "not known"),
        (said(arn=ARN.replace("111111111111", "333333333333")), "account 333333333333"),
        (said(arn=ARN.replace("eu-west-1", "us-east-1")), "us-east-1"),
        (said(arn="arn:aws:rds:eu-west-1:111111111111:cluster:prod-shop"), "names no snapshot"),
        (said(**{"Source ARN": None}), "names no snapshot"),
    ],
)
def test_others_are_refused_with_the_reason(event, why) -> None:
    (found,) = read(json.dumps(event))
    assert why in refusal(found, PLACES)


def test_a_moment_that_cannot_be_read_is_none() -> None:
    (found,) = read(json.dumps(said(**{"Event Time": "yesterday"})))
    assert found.at is None
