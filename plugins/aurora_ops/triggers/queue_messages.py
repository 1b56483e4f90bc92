"""Messages of an SQS queue as events of an asset: a message is deleted only after its event is in the metadata database.

Airflow 3.3's shared streams in acknowledging mode (``airflow.triggers.shared_stream``): one poller for each queue, however many
assets listen, which is told of each message once every listener's event is stored, or was refused, or failed. The provider's SQS
trigger deletes a message as soon as it has been received; what was not stored by then is lost with a triggerer that dies.

Settings of ``[triggerer]`` that matter: ``shared_stream_ack_timeout`` (300 s) is how long storing an event may take; one that takes
longer has failed, and its message comes again. ``shared_stream_subscriber_queue_size`` (1024) must be above ``MOST_UNFINISHED``.
With ``shared_stream_cohort_grace_period`` (0 s) of some seconds, all DAGs that listen to one queue are there before the first
message after a restart; one that comes later misses the messages before it, and its nightly run finds what they told of. The
queue's own visibility timeout does not matter: each receipt asks for ``VISIBILITY_S``, and what is not finished has it prolonged.
"""

from __future__ import annotations

import time
from asyncio import get_running_loop, sleep
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ClassVar, TypeVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer, reject_shared_stream_event
from structlog import get_logger

from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.hooks.queues import Message, QueuesHook

LONGEST_BODY = 64 * 1024
"""Characters of a body that are stored. An event of RDS has less than 2 KiB; SQS takes longer ones, which become dead letters."""

WAIT_S = 10
VISIBILITY_S = 60
MOST_UNFINISHED = 500
_PROLONG_AFTER_S = 20.0
_RIGHTS: tuple[str, ...] = ("sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
_BACK_AFTER_S = 30
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 60.0
_FULL_PAUSE_S = 0.5

log = get_logger(__name__)
Answer = TypeVar("Answer")
Receipt = tuple[int, str]
"""Number of the batch that a message came with, and its receipt."""


class QueueMessagesTrigger(BaseEventTrigger):
    """Give each message of a queue to the assets that listen, at least once.

    The payload of an event is ``{"queue", "account_id", "region", "message_id", "sent_at_ms", "receives", "body"}``: the body as it
    was sent, whatever it is. A body that is too long to be stored is refused: it comes again until the queue's redrive policy puts
    it among the dead letters.

    What fails is told in the log and tried again for ever, with pauses of up to a minute: a missing queue, a connection that leads
    to another account, denied access, credentials that cannot be had, throttling, no network.

    :param queue: name of the queue.
    :param account_id: account that the connection must lead to.
    :param aws_conn_id: connection of the account.
    :param region_name: region of the queue.
    """

    # the settings say whose snapshots are heard of
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _RIGHTS, "target": _RIGHTS}

    def __init__(self, *, queue: str, account_id: str, aws_conn_id: str, region_name: str) -> None:
        super().__init__()
        self.queue = queue
        self.account_id = account_id
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the path of this class and what rebuilds it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self._arguments

    def shared_stream_key(self) -> Hashable:
        """Name the queue: those who listen to the same one share its poller."""
        return ("sqs", *self._arguments.values())

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Make the poller of a queue; nothing is called yet."""
        return QueueProducer(**kwargs)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Message]) -> AsyncIterator[TriggerEvent]:
        """Make an event of each message that can be stored."""
        async for message in shared_stream:
            if len(message.body) > LONGEST_BODY:
                log.error(
                    "refused a message: its body is too long to be stored",
                    queue=self.queue,
                    message_id=message.message_id,
                    length=len(message.body),
                    longest=LONGEST_BODY,
                )
                reject_shared_stream_event()
                continue
            yield TriggerEvent(
                {
                    "queue": self.queue,
                    "account_id": self.account_id,
                    "region": self.region_name,
                    "message_id": message.message_id,
                    "sent_at_ms": message.sent_at_ms,
                    "receives": message.receives,
                    "body": message.body,
                }
            )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Refuse to run without a shared stream: nobody would say when an event is stored.

        :raises RuntimeError: always.
        """
        raise RuntimeError("QueueMessagesTrigger needs the shared streams of Airflow 3.3")
        yield  # pragma: no cover - makes this a generator

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "queue": self.queue,
            "account_id": self.account_id,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
        }


class QueueProducer(SharedStreamProducer):
    """The poller of a queue: receives, keeps what is under way from being received again, deletes what is stored.

    It calls boto3 in two threads of its own, since a poll takes one for ``WAIT_S``: the loop's are few, and others wait there.

    :param queue: name of the queue.
    :param account_id: account that the connection must lead to.
    :param aws_conn_id: connection of the account.
    :param region_name: region of the queue.
    """

    def __init__(self, *, queue: str, account_id: str, aws_conn_id: str, region_name: str) -> None:
        self._queue = queue
        self._account_id = account_id
        self._aws_conn_id = aws_conn_id
        self._region_name = region_name
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="queue")
        self._opened: tuple[QueuesHook, str] | None = None
        self._batch = 0
        self._unfinished: dict[str, float] = {}
        self._log = log.bind(queue=queue, account_id=account_id, region=region_name, aws_conn_id=aws_conn_id)

    async def open_stream(self) -> AsyncIterator[tuple[Message, Receipt]]:
        """Poll for ever; each message with the receipt to finish it by."""
        pause_s, said = _SHORTEST_PAUSE_S, ""
        while True:
            if len(self._unfinished) >= MOST_UNFINISHED:
                await sleep(_FULL_PAUSE_S)
                continue
            try:
                found = await self._in_thread(self._poll)
            except AuroraOpsError as exc:
                self._opened = None  # credentials and the queue's address are asked for anew
                told = self._log.error if str(exc) != said else self._log.info
                told("the queue cannot be read; trying again", error=str(exc), pause_s=pause_s)
                said = str(exc)
                await sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                continue
            if said:
                self._log.info("the queue can be read again")
            pause_s, said = _SHORTEST_PAUSE_S, ""
            self._batch += 1
            for message in found:
                yield message, (self._batch, message.receipt)

    def get_advance_lane(self, broker_payload: Receipt) -> Hashable:
        """Finish together what was received together; no batch waits for another."""
        return broker_payload[0]

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Delete messages whose events are stored; have the others received again, in half a minute.

        A message is given back where its event could not be stored in time, was refused, or where nobody listened. Not at once: the
        queue's redrive policy counts how often it is received, and a database that is away for a minute must not make dead letters.
        What cannot be said of a message now is left as it is: it comes again when its time is over, which leads to nothing new.
        """
        clean = [item.broker_payload[1] for item in batch if item.outcome.is_clean]
        others = [item.broker_payload[1] for item in batch if not item.outcome.is_clean]
        for receipt in (*clean, *others):
            self._unfinished.pop(receipt, None)
        await self._say("delete", lambda hook, url: hook.delete(url, clean), clean)
        await self._say("give back", lambda hook, url: hook.show_after(url, others, _BACK_AFTER_S), others)

    async def aclose(self) -> None:
        """Let the threads go; a poll under way ends by itself, and what it brings comes again."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _poll(self) -> list[Message]:
        hook, url = self._open()
        self._prolong(hook, url)
        found = hook.receive(url, wait_s=WAIT_S, visibility_s=VISIBILITY_S)
        now = time.monotonic()
        self._unfinished.update({message.receipt: now for message in found})
        return found

    def _open(self) -> tuple[QueuesHook, str]:
        if self._opened is None:
            hook = QueuesHook(self._aws_conn_id, self._region_name, fresh=True)
            hook.require_account(self._account_id)
            self._opened = hook, hook.require_url(self._queue)
        return self._opened

    def _prolong(self, hook: QueuesHook, url: str) -> None:
        """Keep what is not finished yet from being received again: for as long as this triggerer lives."""
        now = time.monotonic()
        due = [receipt for receipt, since in list(self._unfinished.items()) if now - since >= _PROLONG_AFTER_S]
        if due:
            hook.show_after(url, due, VISIBILITY_S)
            self._unfinished.update({receipt: now for receipt in due if receipt in self._unfinished})

    async def _say(self, doing: str, call: Callable[[QueuesHook, str], list[str]], receipts: Sequence[str]) -> None:
        if not receipts:
            return

        def said() -> list[str]:
            return call(*self._open())

        try:
            problems = await self._in_thread(said)
        except AuroraOpsError as exc:
            problems = [str(exc)]
        if problems:
            self._log.warning(f"could not {doing} messages, which come again", messages=len(receipts), errors=problems)

    async def _in_thread(self, function: Callable[[], Answer]) -> Answer:
        loop = get_running_loop()
        return await loop.run_in_executor(self._threads, partial(copy_context().run, function))
