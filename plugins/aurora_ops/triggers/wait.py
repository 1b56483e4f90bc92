"""The one trigger: wait for any waiter of any of our hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.lasting import lasting
from aurora_ops.hooks.registry import HOOKS


class WaitTrigger(BaseTrigger):
    """Carry out a ``Wait`` in the triggerer.

    It looks with boto3 in a thread, so that it needs no other client and holds up nobody's event loop. It remembers nothing:
    another triggerer that takes it over looks and goes on.

    :param service: key in ``hooks.registry.HOOKS``.
    :param until: ``Wait.as_json()``.
    :param aws_conn_id: connection of the account to look in.
    :param region_name: region, where it is not the connection's own.
    :return: an event ``{"status": "success" | "timeout" | "failed", "message": str, "at": epoch seconds}``.
    """

    def __init__(
        self, *, service: str, until: dict[str, Any], aws_conn_id: str, region_name: str | None = None
    ) -> None:
        super().__init__()
        self.service = service
        self.until = until
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the path of this class and what rebuilds it."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "service": self.service,
                "until": self.until,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the goal is reached, a terminal state shows, or the looks are used up.

        The first look comes after one interval: the task looked just before it deferred. (Airflow 3.3.2 takes a task that resumes
        within about 5 s of its deferral for one that its executor has lost, and retries it: the worker's end is noticed that late.)
        """
        until = Wait(**self.until)
        for _ in range(until.attempts):
            await asyncio.sleep(until.interval_s)
            try:
                hook = lasting(HOOKS[self.service], self.aws_conn_id, self.region_name)
                seen = await asyncio.to_thread(hook.look, until)
            except AuroraOpsError as exc:
                yield self._event("failed", str(exc))
                return
            if seen is Look.REACHED:
                yield self._event("success", until.waiter)
                return
        yield self._event("timeout", f"{until.waiter} {until.args}: not within {until.within_s} s")

    @staticmethod
    def _event(status: str, message: str) -> TriggerEvent:
        return TriggerEvent({"status": status, "message": message, "at": time.time()})
