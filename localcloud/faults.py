"""Faults by rule: a call that matches is refused as AWS would refuse it, once, a few times, or for good.

Rules are set by :func:`localcloud.client.admin_operation`: ``faults-add`` (``service``, ``action``, optional ``account``,
``match``, ``code``, ``message``, ``status``, ``times``; answers ``{"rule": id}``), ``faults-clear``, ``faults-list``.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any


@dataclass
class Rule:
    """Which calls fail, and how.

    :param service: such as ``rds``.
    :param action: such as ``ModifyDBCluster``.
    :param account: of one account only.
    :param match: text that the call's parameters, written as JSON, contain.
    :param code: AWS error code of the answer.
    :param message: its message.
    :param status: HTTP status of the answer.
    :param times: how many calls fail; 0 is all of them.
    :param hits: how many have.
    """

    service: str
    action: str
    account: str = ""
    match: str = ""
    code: str = "Throttling"
    message: str = "Rate exceeded"
    status: int = 400
    times: int = 1
    hits: int = 0

    def applies(self, account: str, service: str, action: str, parameters: dict[str, Any]) -> bool:
        """Tell whether a call fails by this rule."""
        return (
            (self.service, self.action) == (service, action)
            and self.account in ("", account)
            and (not self.times or self.hits < self.times)
            and self.match in json.dumps(parameters, default=str)
        )


class Faults:
    """The rules in force; thread-safe."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._ids = count(1)
        self._lock = threading.Lock()

    def add(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Add a rule.

        :raises ValueError: a parameter that no rule has, or none of the two that every rule has.
        """
        try:
            rule = Rule(**parameters)
        except TypeError as error:
            raise ValueError(f"a rule has {', '.join(Rule.__dataclass_fields__)}: {error}") from None
        with self._lock:
            number = next(self._ids)
            self._rules[number] = rule
        return {"rule": number}

    def clear(self, _: dict[str, Any]) -> dict[str, Any]:
        """Remove every rule."""
        with self._lock:
            self._rules.clear()
        return {}

    def list(self, _: dict[str, Any]) -> dict[str, Any]:
        """List the rules with their hits."""
        with self._lock:
            return {"rules": {str(number): asdict(rule) for number, rule in self._rules.items()}}

    def strike(self, account: str, service: str, action: str, parameters: dict[str, Any]) -> Rule | None:
        """Find the rule by which a call fails, and count it."""
        with self._lock:
            for rule in self._rules.values():
                if rule.applies(account, service, action, parameters):
                    rule.hits += 1
                    return rule
        return None
