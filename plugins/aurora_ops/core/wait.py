"""What to wait for, and for how long."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from typing import Any

POLL_VARIABLE = "AURORA_OPS_POLL_S"
_LEAST_S = 0.001


def poll_interval_s(every_s: float) -> float:
    """Seconds between two looks: the given ones, unless the environment says otherwise.

    ``AURORA_OPS_POLL_S`` shortens all waits of a process, for an AWS that answers in seconds (localcloud).

    :param every_s: seconds that suit AWS.
    """
    override = os.environ.get(POLL_VARIABLE)
    return max(float(override), _LEAST_S) if override else every_s


@dataclass(frozen=True)
class Wait:
    """A bounded wait for a botocore waiter, ours (``waiters/<service>.json``) or botocore's own.

    :param waiter: name of the waiter.
    :param args: parameters of the operation that the waiter calls.
    :param parameters: values of the placeholders in the waiter's acceptors.
    :param show: JMESPath of the status, for the log.
    :param within_s: seconds the whole wait may take.
    :param every_s: seconds between two looks.
    :param lags: AWS may still show what was before the call, which looks like the goal: the first look comes after one interval.
    """

    waiter: str
    args: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    show: str = "@"
    within_s: int = 3600
    every_s: float = 30
    lags: bool = False

    @property
    def attempts(self) -> int:
        """How often to look; at least once."""
        return max(1, math.ceil(self.within_s / self.interval_s))

    @property
    def interval_s(self) -> float:
        """Seconds between two looks in this process."""
        return poll_interval_s(self.every_s)

    def as_json(self) -> dict[str, Any]:
        """Give the keyword arguments that rebuild this, for a trigger."""
        return asdict(self)
