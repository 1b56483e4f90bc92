"""Queues of localcloud, asked by two at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from moto.sqs.models import Message, SQSBackend

from localcloud.services.queues import receive_message


def test_a_message_goes_to_one_of_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SQSBackend("eu-west-1", "111111111111")
    backend.create_queue("q", {})
    backend.send_message("q", "one")
    lock, both, mark = threading.RLock(), threading.Barrier(2), Message.mark_received

    def marked(message: Message, **how: Any) -> None:
        with suppress(threading.BrokenBarrierError):  # the other one is kept out, as it should be
            both.wait(0.5)
        mark(message, **how)

    monkeypatch.setattr(Message, "mark_received", marked)
    cloud: Any = SimpleNamespace(lock=lambda _: lock)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(receive_message, backend, cloud, "q", 1, 0, 30) for _ in range(2)]
        assert [message.body for one in asked for message in one.result()] == ["one"]
