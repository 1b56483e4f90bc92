"""Messages of a queue as events: deleted only once they are stored, given back otherwise, and never a reason to give up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome, SharedStreamManager
from aurora_ops.core.errors import TransientError
from aurora_ops.hooks.queues import QueuesHook
from aurora_ops.triggers import queue_messages as module
from aurora_ops.triggers.queue_messages import QueueMessagesTrigger, QueueProducer
from botocore.client import BaseClient
from botocore.exceptions import ClientError

ACCOUNT, REGION, QUEUE = "123456789012", "eu-west-1", "events"
WITHIN_S = 20


def trigger(queue: str = QUEUE, account_id: str = ACCOUNT) -> QueueMessagesTrigger:
    return QueueMessagesTrigger(queue=queue, account_id=account_id, aws_conn_id="aws_source", region_name=REGION)


class Queue:
    """A queue of moto with dead letters after three receives."""

    def __init__(self, sqs: Any, name: str = QUEUE) -> None:
        self.sqs = sqs
        self.dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}-dead", "maxReceiveCount": 3}
        self.url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(redrive)})["QueueUrl"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self) -> tuple[int, int, int]:
        """Messages that wait, that are in somebody's hands, and dead letters."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        here, dead = (
            self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            for url in (self.url, self.dead)
        )
        return int(here[names[0]]), int(here[names[1]]), int(dead[names[0]])


@pytest.fixture
def sqs(aws_session, monkeypatch) -> Any:
    """SQS of moto; polls that do not wait."""
    monkeypatch.setattr(module, "WAIT_S", 0)
    return aws_session.client("sqs")


@pytest.fixture
def queue(sqs) -> Queue:
    return Queue(sqs)


@pytest.fixture
def paused(monkeypatch) -> list[float]:
    """Seconds that the poller would have slept."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0.001)

    monkeypatch.setattr(module, "sleep", sleep)
    return slept


@pytest.fixture
def called(sqs, monkeypatch) -> list[str]:
    """Operations of SQS that were called; those in ``refused`` fail with that code."""
    beyond = BaseClient._make_api_call

    class Called(list[str]):
        def __init__(self) -> None:
            self.refused: dict[str, str] = {}

    seen = Called()

    def call(self, operation, params):
        if self.meta.service_model.service_name == "sqs":
            seen.append(operation)
            if code := seen.refused.get(operation):
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
        return beyond(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return seen


class Triggerer:
    """What the triggerer does with such triggers: the stream is Airflow's own; events are stored when the test says so."""

    def __init__(self, ack_timeout: float = 300) -> None:
        self.streams = SharedStreamManager(ack_timeout=ack_timeout)
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.waiting: list[int] = []
        self.failures: list[BaseException] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, one: QueueMessagesTrigger) -> None:
        number = len(self._tasks)
        key = one.shared_stream_key()
        stream = self.streams.subscribe(trigger_id=number, trigger=one, key=key)

        async def run() -> None:
            try:
                async for event in one.filter_shared_stream(stream):
                    seq = self.streams.bind_pending_event(trigger_id=number, key=key)
                    assert seq is not None
                    self.waiting.append(seq)
                    self.events.append((number, event.payload))
            except Exception as exc:  # noqa: BLE001 - what the triggerer would see
                self.failures.append(exc)
            finally:
                await self.streams.unsubscribe(number, key)

        self._tasks.append(asyncio.create_task(run()))

    def store(self, count: int | None = None) -> None:
        """Say that events are in the database; the oldest so many."""
        done, self.waiting[:count] = self.waiting[:count], []
        self.streams.confirm_persisted(done)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - what is looked at is moto's
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.stop_all()


@asynccontextmanager
async def running(*triggers: QueueMessagesTrigger, **options: Any) -> AsyncIterator[Triggerer]:
    triggerer = Triggerer(**options)
    for one in triggers:
        triggerer.start(one)
    try:
        yield triggerer
    finally:
        await triggerer.stop()


def play(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_serialised_round_trip() -> None:
    path, kwargs = trigger().serialize()
    where, name = path.rsplit(".", 1)
    again = getattr(import_module(where), name)(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == (path, kwargs)
    assert again.shared_stream_key() == trigger().shared_stream_key() != trigger("other").shared_stream_key()


def test_a_message_is_deleted_once_its_event_is_stored_and_not_before(queue) -> None:
    async def story() -> None:
        queue.send("first", "second")
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: len(triggerer.events) == 2)
            await asyncio.sleep(0.05)
            assert queue.counts() == (0, 2, 0)
            triggerer.store()
            await triggerer.until(lambda: queue.counts() == (0, 0, 0))
        payloads = [payload for _, payload in triggerer.events]
        assert sorted(payload["body"] for payload in payloads) == ["first", "second"]
        assert {payload["receives"] for payload in payloads} == {1}
        assert {(payload["queue"], payload["account_id"], payload["region"]) for payload in payloads} == {
            (QUEUE, ACCOUNT, REGION)
        }
        assert all(payload["message_id"] and payload["sent_at_ms"] > 1_700_000_000_000 for payload in payloads)
        assert json.loads(json.dumps(payloads)) == payloads

    play(story)


def test_what_a_dead_triggerer_had_in_its_hands_comes_again(queue, monkeypatch) -> None:
    monkeypatch.setattr(module, "VISIBILITY_S", 1)

    async def story() -> None:
        queue.send("first")
        async with running(trigger()) as dead:
            await dead.until(lambda: len(dead.events) == 1)
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: len(triggerer.events) == 1)
            triggerer.store()
            await triggerer.until(lambda: queue.counts() == (0, 0, 0))
        assert triggerer.events[0][1]["receives"] == 2
        assert triggerer.events[0][1]["message_id"] == dead.events[0][1]["message_id"]

    play(story)


def test_one_that_is_not_stored_in_time_fails_and_comes_again(queue, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BACK_AFTER_S", 0)

    async def story() -> None:
        queue.send("first")
        async with running(trigger(), ack_timeout=0.05) as triggerer:
            await triggerer.until(lambda: bool(triggerer.failures))
            assert type(triggerer.failures[0]).__name__ == "AckTimeout"
            await triggerer.until(lambda: queue.counts() == (1, 0, 0))

    play(story)


def test_what_cannot_be_stored_becomes_a_dead_letter_and_nothing_else_waits_for_it(queue, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BACK_AFTER_S", 0)

    async def story() -> None:
        queue.send("x" * (module.LONGEST_BODY + 1), "x" * module.LONGEST_BODY)
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: len(triggerer.events) == 1)
            triggerer.store()
            await triggerer.until(lambda: queue.counts() == (0, 0, 1))
        assert [len(payload["body"]) for _, payload in triggerer.events] == [module.LONGEST_BODY]
        assert triggerer.failures == []

    play(story)


def test_after_empty_polls_a_message_is_heard(queue, called) -> None:
    async def story() -> None:
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: called.count("ReceiveMessage") >= 3)
            queue.send("late")
            await triggerer.until(lambda: len(triggerer.events) == 1)

    play(story)


def test_who_listens_to_one_queue_shares_its_poller_and_all_must_have_stored(sqs, called) -> None:
    one, other = Queue(sqs), Queue(sqs, "other")

    async def story() -> None:
        async with running(trigger(), trigger(), trigger("other")) as triggerer:
            one.send("both")
            other.send("alone")
            await triggerer.until(lambda: len(triggerer.events) == 3)
            assert called.count("GetQueueUrl") == 2
            assert sorted((number, payload["body"]) for number, payload in triggerer.events) == [
                (0, "both"),
                (1, "both"),
                (2, "alone"),
            ]
            of_both = [seq for (number, _), seq in zip(triggerer.events, triggerer.waiting, strict=True) if number != 2]
            triggerer.streams.confirm_persisted(of_both[:1])
            await asyncio.sleep(0.05)
            assert one.counts() == (0, 1, 0)
            triggerer.streams.confirm_persisted(of_both[1:])
            await triggerer.until(lambda: one.counts() == (0, 0, 0))
            assert other.counts() == (0, 1, 0)

    play(story)


def test_a_burst_is_taken_in_bounded_parts(queue, paused, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_UNFINISHED", 20)

    async def story() -> None:
        queue.send(*(str(number) for number in range(60)))
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: bool(paused))
            assert len(triggerer.events) <= 20
            while len(triggerer.events) < 60:
                triggerer.store()
                await asyncio.sleep(0.005)
            triggerer.store()
            await triggerer.until(lambda: queue.counts() == (0, 0, 0))

    play(story)


class TestTrouble:
    """It is told, and the poller goes on."""

    def test_a_missing_queue_is_waited_for(self, sqs, paused) -> None:
        async def story() -> None:
            async with running(trigger()) as triggerer:
                await triggerer.until(lambda: len(paused) >= 8)
                Queue(sqs).send("at last")
                await triggerer.until(lambda: len(triggerer.events) == 1)
                assert triggerer.failures == []

        play(story)
        assert paused[:7] == [2, 4, 8, 16, 32, 60, 60]

    @pytest.mark.parametrize("code", ["Throttling", "ExpiredToken", "AccessDenied", "InternalFailure"])
    def test_refused_calls_are_tried_again(self, queue, called, paused, code) -> None:
        async def story() -> None:
            queue.send("first")
            called.refused = {"ReceiveMessage": code}
            async with running(trigger()) as triggerer:
                await triggerer.until(lambda: len(paused) >= 3)
                called.refused = {}
                await triggerer.until(lambda: len(triggerer.events) == 1)
                assert triggerer.failures == []
            # each time with new credentials and the queue's address anew
            assert called.count("GetQueueUrl") == called.count("ReceiveMessage") or called.count("GetQueueUrl") >= 3

        play(story)

    def test_a_connection_that_leads_elsewhere_reads_nothing(self, queue, called, paused) -> None:
        async def story() -> None:
            queue.send("not ours")
            async with running(trigger(account_id="999999999999")) as triggerer:
                await triggerer.until(lambda: len(paused) >= 3)
            assert "ReceiveMessage" not in called
            assert triggerer.events == []

        play(story)

    def test_a_message_that_cannot_be_deleted_comes_again(self, queue, called, monkeypatch) -> None:
        monkeypatch.setattr(module, "VISIBILITY_S", 1)

        async def story() -> None:
            queue.send("first")
            called.refused = {"DeleteMessageBatch": "InternalFailure"}
            async with running(trigger()) as triggerer:
                await triggerer.until(lambda: len(triggerer.events) == 1)
                triggerer.store()
                await triggerer.until(lambda: "DeleteMessageBatch" in called)
                called.refused = {}
                await triggerer.until(lambda: len(triggerer.events) == 2)
                triggerer.store()
                await triggerer.until(lambda: queue.counts() == (0, 0, 0))
                assert triggerer.failures == []

        play(story)

    def test_what_takes_long_to_be_stored_is_not_received_twice(self, queue, called, monkeypatch) -> None:
        monkeypatch.setattr(module, "VISIBILITY_S", 1)
        monkeypatch.setattr(module, "_PROLONG_AFTER_S", 0.2)

        async def story() -> None:
            queue.send("slow")
            async with running(trigger()) as triggerer:
                await triggerer.until(lambda: called.count("ChangeMessageVisibilityBatch") >= 8)
                triggerer.store()
                await triggerer.until(lambda: queue.counts() == (0, 0, 0))
            assert len(triggerer.events) == 1

        play(story)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (AdvanceOutcome(acked=1, failed=0), (0, 0, 0)),
        (AdvanceOutcome(acked=1, failed=1), (0, 1, 0)),
        (AdvanceOutcome(acked=1, failed=0, rejected=1), (0, 1, 0)),
        (AdvanceOutcome(acked=0, failed=0), (0, 1, 0)),
    ],
    ids=["stored", "failed for one", "refused by one", "nobody listened"],
)
def test_what_becomes_of_a_message(queue, outcome, counts) -> None:
    producer = QueueProducer(queue=QUEUE, account_id=ACCOUNT, aws_conn_id="aws_source", region_name=REGION)

    async def story() -> None:
        queue.send("first")
        stream = producer.open_stream()
        _, receipt = await anext(stream)
        await producer.advance([AdvanceItem(receipt, outcome)])
        await producer.aclose()

    play(story)
    assert queue.counts() == counts


def test_more_than_ten_are_finished_in_several_calls_and_failures_are_told(queue, called) -> None:
    hook = QueuesHook("aws_source", REGION)
    queue.send(*(str(number) for number in range(12)))
    receipts = [one.receipt for _ in range(2) for one in hook.receive(queue.url, wait_s=0, visibility_s=60)]
    assert len(receipts) == 12
    (problem,) = hook.delete(queue.url, [*receipts, "no-such-receipt"])
    assert "ReceiptHandleIsInvalid" in problem
    assert called.count("DeleteMessageBatch") == 2
    assert queue.counts() == (0, 0, 0)


def test_lost_connections_are_errors_that_the_poller_survives(queue, monkeypatch, paused) -> None:
    answers = [TransientError("no network")]
    receive = QueuesHook.receive

    def broken(self, *args, **kwargs):
        if answers:
            raise answers.pop()
        return receive(self, *args, **kwargs)

    monkeypatch.setattr(QueuesHook, "receive", broken)

    async def story() -> None:
        queue.send("first")
        async with running(trigger()) as triggerer:
            await triggerer.until(lambda: len(triggerer.events) == 1)
        assert paused == [2]

    play(story)


def test_it_does_not_run_where_nobody_would_say_what_is_stored() -> None:
    async def story() -> None:
        with pytest.raises(RuntimeError, match="shared streams"):
            await anext(trigger().run())

    play(story)
