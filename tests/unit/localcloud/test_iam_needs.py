"""What calls need, where that is not an action of their own name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcloud.cloud import Caller
from localcloud.iam.model import Call, Need
from localcloud.iam.needs import needs_of

ROLE = "arn:aws:iam::111111111111:role/r"
URL = "http://127.0.0.1/111111111111/events"
KEY = "arn:aws:kms:eu-west-1:111111111111:key/1"
QUEUE = "arn:aws:sqs:eu-west-1:111111111111:events"


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("DeleteMessageBatch", "DeleteMessage"),
        ("ChangeMessageVisibilityBatch", "ChangeMessageVisibility"),
        ("ReceiveMessage", "ReceiveMessage"),
    ],
)
def test_several_messages_at_once_need_the_action_of_one(call, action) -> None:
    made = Call(Caller("111111111111", ROLE, ROLE), "eu-west-1", "sqs", call, {"QueueUrl": URL})
    assert needs_of(made, cast("Any", None)) == [Need(f"sqs:{action}", QUEUE)]


def test_an_object_under_a_key_is_read_only_with_the_key() -> None:
    made = Call(Caller("111111111111", ROLE, ROLE), "eu-west-1", "s3", "GetObject", {"Bucket": "b", "Key": "k"})
    key = SimpleNamespace(arn=KEY, aliases=["alias/exports"], key_manager="CUSTOMER")
    facts: Any = SimpleNamespace(
        has_object=lambda *_: True,
        object_key=lambda bucket, name: KEY if (bucket, name) == ("b", "k") else None,
        key=lambda account, region, name: key,
        key_allows_directly=lambda *_: False,
    )
    context = {"kms:ViaService": "s3.eu-west-1.amazonaws.com", "kms:ResourceAliases": ("alias/exports",)}
    assert needs_of(made, facts) == [
        Need("s3:GetObject", "arn:aws:s3:::b/k"),
        Need("kms:Decrypt", KEY, context, via="s3"),
    ]
    facts.object_key = lambda *_: None
    assert needs_of(made, facts) == [Need("s3:GetObject", "arn:aws:s3:::b/k")]
    facts.has_object = lambda *_: False
    assert needs_of(made, facts)[1:] == [Need("s3:ListBucket", "arn:aws:s3:::b")]
