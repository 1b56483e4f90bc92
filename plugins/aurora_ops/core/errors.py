"""Every error this package raises, and whether trying again can help.

A message says what was being done to what, AWS's code where there is one, and the next step. The retry
policy in ``dagkit.defaults`` reads nothing but these classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class AuroraOpsError(Exception):
    """Base of all errors of this package."""


class PermanentError(AuroraOpsError):
    """Trying again cannot help; the task fails at once."""


class TransientError(AuroraOpsError):
    """Trying again may help; the task is retried by policy."""


class ConfigError(PermanentError):
    """A setting is wrong.

    :param field: name of the setting, dotted.
    :param value: the value given.
    :param allowed: what would have been accepted.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(f"{field}: {value!r} is not allowed; {allowed}")


class SafetyError(PermanentError):
    """A guard refused a destructive act."""


class StateError(PermanentError):
    """A resource is in a state from which the goal cannot be reached."""


class MissingError(PermanentError):
    """A resource that must exist does not."""


class VerificationError(PermanentError):
    """Data or users are not as they must be; nothing may be switched to them."""


class WaitFailedError(PermanentError):
    """A resource reached a terminal state other than the goal while it was waited for."""


class BusyError(TransientError):
    """AWS refused because the resource is being changed (``Invalid...State``)."""


class FullError(TransientError):
    """As many of something are there as the account may have; it is waited for until one of them is gone."""


class WaitTimeoutError(TransientError):
    """A wait ended without reaching its goal; the next try looks again and goes on waiting."""


def report(problems: list[PermanentError]) -> None:
    """Raise what was found wrong, all of it at once, so that a person corrects it in one go.

    :param problems: findings; none means nothing happens, one is raised as it is.
    :raises PermanentError: the findings; a ``SafetyError`` where one of them is.
    """
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    text = f"{len(problems)} problems:\n" + "\n".join(f"- {problem}" for problem in problems)
    kind = SafetyError if any(isinstance(problem, SafetyError) for problem in problems) else PermanentError
    raise kind(text)


class Problems(list[PermanentError]):
    """What was found wrong so far, while every check is attempted."""

    def attempt(self, check: Callable[[], Found]) -> Found | None:
        """Run a check; what it finds wrong is one more problem, and there is no result."""
        try:
            return check()
        except PermanentError as exc:
            self.append(exc)
            return None
