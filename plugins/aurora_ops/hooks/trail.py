"""Amazon DynamoDB: the audit trail of an operation, to which events are only ever added.

One table of its own, partition key ``pk`` (``audit#<dag id>/<run id>``), sort key ``sk`` (``event#<8 digits>``). An event is put on
condition that its place is free; tasks that write at once find the next place free, and chain to what took theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aurora_ops.core import redaction
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import AuroraOpsError, TransientError
from aurora_ops.core.trail import Event, Head
from aurora_ops.hooks.auditing import Change
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.items import read, written

_TAKEN = "ConditionalCheckFailed"
_MOST_RIVALS = 200


class TrailHook(AwsHook):
    """Audit trails of one account and region."""

    service = "dynamodb"
    audited = False

    def put_new(self, table: str, event: Event) -> bool:
        """Add an event (``PutItem``), unless its place is taken.

        :return: whether it was added.
        """
        try:
            self.call(
                "put_item",
                TableName=table,
                Item=written(event),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except AuroraOpsError as exc:
            if _TAKEN not in str(exc):
                raise
            return False
        return True

    def head(self, table: str, operation: str) -> Head:
        """Find where a trail ends (``Query``, strongly consistent)."""
        pk = trails.partition(operation)
        page = self.call("query", **_of(table, pk), ScanIndexForward=False, Limit=1)
        return trails.head_of(operation, [_event(item) for item in page["Items"]])

    def list_events(self, table: str, operation: str, *, after: int = 0) -> list[Event]:
        """List the events of a trail in order, all pages (``Query``, strongly consistent).

        :param table: table of trails.
        :param operation: ``<dag id>/<run id>``.
        :param after: only those behind this place.
        """
        found: list[Event] = []
        start: dict[str, Any] = {}
        while True:
            page = self.call("query", **_of(table, trails.partition(operation), trails.sort_key(after)), **start)
            found += map(_event, page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _of(table: str, pk: str, after: str = "") -> dict[str, Any]:
    """Ask for the events of a trail, all of them or those behind one."""
    behind = " AND sk > :after" if after else ""
    return {
        "TableName": table,
        "KeyConditionExpression": f"pk = :pk{behind}",
        "ExpressionAttributeValues": written({":pk": pk, **({":after": after} if after else {})}),
        "ConsistentRead": True,
    }


def _event(item: dict[str, Any]) -> Event:
    found: Event = _whole(read(item))
    return found


def _whole(value: Any) -> Any:
    """Make the decimals of an item whole numbers again; there are no others in events."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


class Trail:
    """The trail of an operation as one task writes it. Safe for threads.

    It is the recorder of the task's changes (``hooks.auditing.Recorder``).

    :param hook: account and region of the table.
    :param table: table of trails.
    :param operation: ``<dag id>/<run id>``.
    :param task: who writes; ``None`` for the run itself.
    :param tries: which try of the task.
    :param expires_at: epoch seconds at which the events end; ``None``: never.
    """

    def __init__(
        self,
        hook: TrailHook,
        table: str,
        operation: str,
        *,
        task: str | None = None,
        tries: int | None = None,
        expires_at: int | None = None,
    ) -> None:
        self._hook = hook
        self._table = table
        self.operation = operation
        self._about = {"task": task, "try": tries, "expires_at": expires_at}
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._written: Head | None = None
        self._callers: dict[str, tuple[str, str]] = {}

    @property
    def written(self) -> Head | None:
        """Where the trail ended after the last event that was added here; ``None`` where none was."""
        return self._written

    def append(self, kind: str, content: Mapping[str, Any]) -> int:
        """Add an event.

        :param kind: what it is.
        :param content: what it says; no secrets, which nothing here looks for.
        :return: its place.
        :raises AuroraOpsError: it was not added.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            for _ in range(_MOST_RIVALS):
                head = self._head or self._hook.head(self._table, self.operation)
                about = {**content, **self._about, "kind": kind, "at": at}
                event = trails.seal(self.operation, head.sequence + 1, head.hash, about)
                if self._put(event):
                    self._head = self._written = Head(event["sequence"], event["hash"])
                    return int(event["sequence"])
        raise TransientError(
            f"audit trail of {self.operation}: {_MOST_RIVALS} events of others came first; nothing was changed, try again"
        )

    def _put(self, event: Event) -> bool:
        """Add an event; also where the answer was lost, it is known afterwards whether it stands."""
        self._head = None
        try:
            if self._hook.put_new(self._table, event):
                return True
        except TransientError:
            if not self._stands(event):
                raise
            return True
        return self._stands(event)

    def _stands(self, event: Event) -> bool:
        since = self._hook.list_events(self._table, self.operation, after=event["sequence"] - 1)
        if since:
            self._head = trails.head_of(self.operation, since)
        return bool(since) and since[0]["hash"] == event["hash"]

    # ---- the recorder of a task's changes -----------------------------------------------------------------------------

    def before(self, change: Change) -> tuple[int, dict[str, Any]]:
        """Write down what is about to be changed, secrets and data withheld."""
        parameters = redaction.shown(change.parameters)
        account, caller = self._caller(change)
        about = {
            "service": change.service,
            "operation_name": change.operation,
            "what": f"{change.service}:{change.operation} {redaction.subject(parameters)}".rstrip(),
            "account": account,
            "region": change.region,
            "caller": caller,
        }
        return self.append(trails.MUTATION, {**about, "phase": trails.BEFORE, "parameters": parameters}), about

    def after(
        self,
        token: tuple[int, dict[str, Any]],
        outcome: str,
        *,
        duration_ms: int,
        error: str | None,
        answer: Mapping[str, Any],
    ) -> None:
        """Write down what came of it."""
        sequence, about = token
        request_id = answer.get("ResponseMetadata", {}).get("RequestId")
        self.append(
            trails.MUTATION,
            {
                **about,
                "phase": trails.AFTER,
                "of": sequence,
                "outcome": outcome,
                "error": error,
                "duration_ms": duration_ms,
                "made": redaction.made(answer) or None,
                "counts": answer.get("counts"),
                "request_id": request_id if isinstance(request_id, str) else None,
            },
        )

    def _caller(self, change: Change) -> tuple[str, str]:
        """Ask once a connection who acts through it."""
        if change.through not in self._callers:
            self._callers[change.through] = change.who()
        return self._callers[change.through]
