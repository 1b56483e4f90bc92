"""Every change that an audited task makes passes here, before it is made and after.

A task that is audited names a recorder (``recorded_by``). From then on, in every thread of its process, no changing call of an AWS
client, no changing request to Kubernetes and no changing statement of SQL is sent before the recorder has written it down: what it
raises is raised in the call's place. The recorder is one of the process, not of a thread, because boto3 uploads in threads of
its own; a task has a process to itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from aurora_ops.core.errors import BusyError, PermanentError

READS = ("Describe", "Download", "Get", "List", "Head", "Query", "AssumeRole")
"""How the names of operations begin that change nothing."""

_NO_CHANGE_OF_THEIR_OWN = ("UploadPart",)  # the object is there when its upload is completed
_CALL, _TOKEN = "aurora_ops_call", "aurora_ops_audit"

DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"


@dataclass(frozen=True)
class Change:
    """Something that is about to be changed.

    :param service: boto3 name of the service, or ``kubernetes``, ``mysql``.
    :param operation: what is done, such as ``DeleteDBCluster``.
    :param region: region, or nothing.
    :param parameters: as they are sent, secrets included: whoever writes them down reduces them.
    :param through: connection by which it is made.
    :param who: tells account and ARN of whoever acts; the same through one connection.
    """

    service: str
    operation: str
    region: str
    parameters: Mapping[str, Any]
    through: str
    who: Callable[[], tuple[str, str]]


class Recorder(Protocol):
    """Writes changes down."""

    def before(self, change: Change) -> Any:
        """Write down what is about to be changed; what it raises keeps it from being changed.

        :return: what ``after`` is given back.
        """

    def after(
        self, token: Any, outcome: str, *, duration_ms: int, error: str | None, answer: Mapping[str, Any]
    ) -> None:
        """Write down what came of it.

        :param token: what ``before`` returned.
        :param outcome: ``done``, ``refused``, or ``unknown`` where no answer came.
        :param duration_ms: milliseconds it took.
        :param error: code or kind of the error.
        :param answer: what was answered.
        """


_recorder: Recorder | None = None


@contextmanager
def recorded_by(recorder: Recorder) -> Iterator[None]:
    """Have every change of this process written down by a recorder meanwhile."""
    global _recorder
    before, _recorder = _recorder, recorder
    try:
        yield
    finally:
        _recorder = before


@contextmanager
def change(asked: Callable[[], Change]) -> Iterator[dict[str, Any]]:
    """Write a change down that is made in a block, where this process is recorded.

    :param asked: describes it; called only where it is written down.
    :return: what is put into it is written down as the answer.
    """
    recorder, answer = _recorder, dict[str, Any]()
    if recorder is None:
        yield answer
        return
    token, started = recorder.before(asked()), time.monotonic()
    try:
        yield answer
    except BaseException as exc:
        outcome = REFUSED if isinstance(exc, (PermanentError, BusyError)) else UNKNOWN
        recorder.after(token, outcome, duration_ms=_since(started), error=type(exc).__name__, answer=answer)
        raise
    recorder.after(token, DONE, duration_ms=_since(started), error=None, answer=answer)


def is_recorded() -> bool:
    """Tell whether changes of this process are written down."""
    return _recorder is not None


def changes(operation: str) -> bool:
    """Tell whether an operation of AWS changes something, as far as its name says."""
    return not operation.startswith(READS)


def watch(client: Any, through: str, who: Callable[[], tuple[str, str]]) -> None:
    """Have the changing calls of a boto3 client written down while this process is recorded.

    :param client: the client.
    :param through: connection that it was made by.
    :param who: tells account and ARN of whoever acts through it.
    """

    def remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[_CALL] = params

    def before(model: Any, context: dict[str, Any], **_: Any) -> None:
        recorder = _recorder
        if recorder is None or not changes(model.name) or model.name in _NO_CHANGE_OF_THEIR_OWN:
            return
        asked = Change(
            service=model.service_model.service_name,
            operation=model.name,
            region=client.meta.region_name,
            parameters=context.get(_CALL, {}),
            through=through,
            who=who,
        )
        context[_TOKEN] = (recorder, recorder.before(asked), time.monotonic())

    def after(http_response: Any, parsed: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        if (known := context.pop(_TOKEN, None)) is None:
            return
        recorder, token, started = known
        refused = http_response.status_code >= 300
        error = str(parsed.get("Error", {}).get("Code", http_response.status_code)) if refused else None
        outcome = REFUSED if refused else DONE
        recorder.after(token, outcome, duration_ms=_since(started), error=error, answer=parsed)

    def lost(exception: BaseException, context: dict[str, Any], **_: Any) -> None:
        if (known := context.pop(_TOKEN, None)) is None:
            return
        recorder, token, started = known
        recorder.after(token, UNKNOWN, duration_ms=_since(started), error=type(exception).__name__, answer={})

    events = client.meta.events
    events.register_last("before-parameter-build", remember, unique_id="aurora-ops-remember")
    events.register_last("before-call", before, unique_id="aurora-ops-before")
    events.register_first("after-call", after, unique_id="aurora-ops-after")
    events.register_first("after-call-error", lost, unique_id="aurora-ops-lost")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
