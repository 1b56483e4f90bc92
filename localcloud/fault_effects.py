"""What happens to a call that a fault rule strikes. No lock of a service is held while anything here waits."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.recorder import is_mutating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from localcloud.cloud import Cloud
    from localcloud.faults import Strike


class DroppedError(ConnectionError):
    """The caller gets no answer; werkzeug takes it for a connection that the client has closed, and says nothing."""


@dataclass(frozen=True)
class Asked:
    """A call: who asks what of which service."""

    account: str
    region: str
    service: str
    action: str
    parameters: dict[str, Any]


def struck(
    strike: Strike,
    asked: Asked,
    cloud: Cloud,
    call: Callable[[], Iterable[bytes]],
    refuse: Callable[[int, str, str], Iterable[bytes]],
) -> Iterable[bytes]:
    """Answer a struck call.

    :param call: makes the call as if there were no rule.
    :param refuse: answers with an HTTP status, an error code and a message.
    :raises DroppedError: the caller shall get no answer.
    """
    rule = strike.rule
    if rule.effect == "hang":
        strike.ended.wait(rule.hang_s)
        raise DroppedError(asked.action)
    if rule.effect == "slow":
        strike.ended.wait(rule.delay_s)
        return call()
    if rule.effect == "broken":
        return _first(call(), rule.cut_bytes)
    if rule.effect == "odd":
        with cloud.answering(rule.odd):
            return call()
    if rule.effect == "lost":
        body = call()
        close = getattr(body, "close", None)
        if close is not None:
            close()
        raise DroppedError(asked.action)
    if rule.effect == "status":
        if is_mutating(asked.action):
            with cloud.ending(rule.becomes, rule.message):
                return call()
        cloud.end_resource(asked.service, asked.account, asked.region, asked.parameters, rule.becomes)
        return call()
    code, message, status = rule.answer(asked.service)
    return refuse(status, code, message)


def _first(body: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Give so many bytes of an answer, then break off."""
    try:
        for block in body:
            yield block[:count]
            count -= len(block)
            if count <= 0:
                break
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    raise DroppedError("broken off")


def break_off(environ: dict[str, Any]) -> None:
    """Close the connection of a request; else the server would wait for the next request on it."""
    connection: socket.socket = environ["werkzeug.socket"]
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)
