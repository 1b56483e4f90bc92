"""What can go wrong here; each message says what to do, so a command prints it without a traceback."""

from __future__ import annotations


class DevstackError(RuntimeError):
    """Anything below."""


class StackError(DevstackError):
    """The stack cannot start or has broken down; the message names the log."""


class PostgresError(DevstackError):
    """PostgreSQL cannot run here; the message says why."""


class TimedOutError(DevstackError):
    """A condition was not met in time."""


class ApiError(DevstackError):
    """Airflow refused a request; ``status`` is the HTTP status, 0 if there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
