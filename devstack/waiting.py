"""Waiting for a condition, bounded, and without holding up Ctrl-C."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from devstack.errors import TimedOutError

T = TypeVar("T")


def until(
    condition: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    every_s: float = 0.1,
    stop: threading.Event | None = None,
) -> T:
    """Return the first truthy value of ``condition``.

    :param condition: asked every ``every_s`` seconds; may raise to give up early.
    :param what: what is waited for, for the message.
    :param timeout_s: seconds after which to give up.
    :param every_s: seconds between two questions.
    :param stop: when set, the wait ends at once.
    :raises TimedOutError: the condition was not met in time.
    :raises KeyboardInterrupt: ``stop`` was set.
    """
    pause = stop or threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() >= deadline:
            raise TimedOutError(f"{what}: not within {timeout_s:g} s")
        if pause.wait(every_s) and stop is not None:
            raise KeyboardInterrupt
