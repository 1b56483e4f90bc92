"""Hooks that the waits of one process share.

A client of RDS takes 0.2 s of a processor and 15 MB to make, and a triggerer may have hundreds of waits: with clients of its own
for each it would need gigabytes.
"""

from __future__ import annotations

import threading
import time
from typing import TypeVar

from aurora_ops.hooks.base import AwsHook

LASTS_S = 300.0
"""Seconds after which a hook is made anew: so long may a changed connection stay unseen."""

HookT = TypeVar("HookT", bound=AwsHook)
_lock = threading.Lock()
_made: dict[tuple[type[AwsHook], str, str | None], tuple[float, AwsHook]] = {}


def lasting(kind: type[HookT], aws_conn_id: str, region_name: str | None) -> HookT:
    """Give a hook for looking, with a session of its own, which whoever looks in the same place meanwhile is given too.

    To be asked for again for each look: a wait may last longer than credentials and connections stay what they are.

    :param kind: class of the hook.
    :param aws_conn_id: connection.
    :param region_name: region, where it is not the connection's own.
    """
    key, now = (kind, aws_conn_id, region_name), time.monotonic()
    with _lock:  # nothing is called yet: a hook makes its client when it is used first
        at, hook = _made.get(key, (0.0, None))
        if not isinstance(hook, kind) or now - at >= LASTS_S:
            hook = kind(aws_conn_id, region_name, fresh=True)
            _made[key] = (now, hook)
    return hook


def forget() -> None:
    """Have hooks made anew."""
    with _lock:
        _made.clear()
