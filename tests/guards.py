"""What tests that start nothing may not do: sleep, and speak to anybody but this process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aurora_ops.hooks import lasting
from aurora_ops.hooks.base import _shared_session

LOCAL = ("127.", "::1", "localhost")


@contextmanager
def no_sleep_no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forbid ``time.sleep`` and connections that leave this machine; begin with no session of an earlier test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        assert self.family == socket.AF_UNIX or str(host).startswith(LOCAL), f"a test connects to {address}"
        connect(self, address)  # type: ignore[arg-type]

    def sleep(seconds: float) -> None:
        raise AssertionError(f"a test sleeps for {seconds} s")

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(time, "sleep", sleep)
    _forget_sessions()
    yield
    _forget_sessions()


def _forget_sessions() -> None:
    _shared_session.cache_clear()
    lasting.forget()
