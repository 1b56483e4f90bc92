"""What calls need, where that is not an action of their own name."""

from __future__ import annotations

from typing import Any, cast

import pytest

from localcloud.cloud import Caller
from localcloud.iam.model import Call, Need
from localcloud.iam.needs import needs_of

ROLE = "arn:aws:iam::111111111111:role/r"
URL = "http://127.0.0.1/111111111111/events"
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
