"""Amazon RDS: export tasks, and whose turn it is to start one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aurora_ops.core.errors import AuroraOpsError, FullError, MissingError, TransientError
from aurora_ops.core.exports import queue
from aurora_ops.core.exports.queue import Ticket
from aurora_ops.core.exports.tasks import RUNNING, Task, bar
from aurora_ops.core.wait import Wait, poll_interval_s
from aurora_ops.hooks.base import AwsHook, Look
from aurora_ops.hooks.lasting import lasting
from aurora_ops.hooks.states import StatesHook

TURN, TURN_EVERY_S = "export_turn", 20.0
"""A computed wait: for the turn to start an export."""
_LIMITS = ("Limit", "Quota")
_SILENT_LOOKS, _SILENT_S = 6, 120.0
_TICKET_KEPT = timedelta(days=15)


class ExportTasksHook(AwsHook):
    """Export tasks of one account and region."""

    service = "rds"
    waits_as = "rds-exports"

    def find_task(self, task_id: str) -> Task | None:
        """Look a task up (``DescribeExportTasks``)."""
        try:
            found = self.call("describe_export_tasks", ExportTaskIdentifier=task_id)["ExportTasks"]
        except MissingError:
            return None
        return Task.of(found[0]) if found else None

    def list_tasks(self) -> list[Task]:
        """List the tasks of account and region, all pages (``DescribeExportTasks``)."""
        return [Task.of(raw) for raw in self.pages("describe_export_tasks", "ExportTasks")]

    def list_running(self) -> list[Task]:
        """List the tasks that count against the account's limit, whoever started them (``DescribeExportTasks``)."""
        filters = [{"Name": "status", "Values": [status.lower() for status in RUNNING]}]
        return [Task.of(raw) for raw in self.pages("describe_export_tasks", "ExportTasks", Filters=filters)]

    def start(self, task_id: str, source_arn: str, **arguments: Any) -> None:
        """Start a task (``StartExportTask``).

        :param task_id: its identifier.
        :param source_arn: what is exported.
        :param arguments: the other parameters, as the API names them; those that are ``None`` are left out.
        :raises FullError: as many run as the account may have.
        :raises AuroraOpsError: AWS refused otherwise.
        """
        try:
            self.call("start_export_task", ExportTaskIdentifier=task_id, SourceArn=source_arn, **arguments)
        except AuroraOpsError as exc:
            # the error of the limit is none of the API's model: any code that speaks of one
            if not any(word in str(exc).partition(": ")[2].partition(":")[0] for word in _LIMITS):
                raise
            raise FullError(f"{exc} (waits for its turn)") from exc

    def cancel(self, task_id: str) -> None:
        """End a task before it is done (``CancelExportTask``); what it has written stays."""
        self.call("cancel_export_task", ExportTaskIdentifier=task_id)

    def look(self, until: Wait) -> Look:
        """Look once, as every hook does; ``TURN`` is a computed wait."""
        return self._look_for_turn(until) if until.waiter == TURN else super().look(until)

    def shown(self, _until: Wait, response: Any) -> str:
        """Draw how far a task is."""
        task = Task.of(response["ExportTasks"][0])
        return f"{task.task_id} {task.status} {bar(task)}"

    def _look_for_turn(self, until: Wait) -> Look:
        about = until.args
        states = lasting(StatesHook, about["home_conn_id"], about["home_region"])
        try:
            line = ExportQueue(self, states, about["table"], about["place"], int(about["most_running"]))
            admitted = line.admits(about["task_id"], about["database"])
        except TransientError as exc:
            self.log.warning("%s; looking again", exc)
            return Look.PENDING
        return Look.REACHED if admitted else Look.PENDING


class ExportQueue:
    """The line in which exports wait for one of the account's few tasks: a ticket for each, in DynamoDB.

    :param tasks: RDS of the account and region.
    :param states: DynamoDB of the orchestrator's account.
    :param table: table of the tickets.
    :param place: ``<account id>/<region>``: each has a limit and a line of its own.
    :param most_running: tasks that may run at a time.
    """

    def __init__(self, tasks: ExportTasksHook, states: StatesHook, table: str, place: str, most_running: int) -> None:
        self.tasks = tasks
        self.states = states
        self.table = table
        self.partition = f"queue#{place}"
        self.most_running = most_running

    def admits(self, task_id: str, database: str) -> bool:
        """Tell whether it is a task's turn; its ticket says that its owner lives.

        :param task_id: task to be started.
        :param database: name of the export.
        """
        now = datetime.now(UTC)
        silent = timedelta(seconds=max(_SILENT_S, _SILENT_LOOKS * poll_interval_s(TURN_EVERY_S)))
        tickets = {item["sk"]: _ticket(item) for item in self.states.list_items(self.table, self.partition)}
        known = tickets.get(task_id)
        tickets[task_id] = mine = Ticket(task_id, database, known.since if known else now, now)
        if known is None or now - known.seen >= silent / 4:  # a write for each look would tell nobody more
            self.states.put(self.table, {"pk": self.partition, "sk": task_id, **_item(mine)})
        running = self.tasks.list_running()
        free = self.most_running - len(running)
        waiting = queue.alive(list(tickets.values()), now, silent)
        turn = task_id in queue.admitted(waiting, Counter(task.database for task in running), free)
        if not turn:
            self.tasks.log.info("%d run, %d wait, %d may run", len(running), len(waiting), self.most_running)
        return turn

    def leave(self, task_id: str) -> None:
        """Give a task's ticket back."""
        self.states.delete(self.table, self.partition, task_id)


def _item(ticket: Ticket) -> dict[str, Any]:
    return {
        "database": ticket.database,
        "since": ticket.since.isoformat(),
        "seen": ticket.seen.isoformat(),
        "expires_at": int((ticket.seen + _TICKET_KEPT).timestamp()),
    }


def _ticket(item: Mapping[str, Any]) -> Ticket:
    return Ticket(
        item["sk"], item["database"], datetime.fromisoformat(item["since"]), datetime.fromisoformat(item["seen"])
    )
