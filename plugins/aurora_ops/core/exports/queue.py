"""Whose turn it is when fewer exports may run than are waiting.

Each waiting export has a ticket. The database of which the fewest run comes first, then the one that has waited longest;
everybody who looks at the same tickets and tasks comes to the same order, so nobody has to hand out places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Ticket:
    """An export that waits.

    :param task_id: export task that is to be started.
    :param database: name of the export.
    :param since: when it began to wait.
    :param seen: when its owner last looked.
    """

    task_id: str
    database: str
    since: datetime
    seen: datetime


def admitted(waiting: Iterable[Ticket], running: Mapping[str, int], free: int) -> list[str]:
    """Give the tasks that may be started now, in the order of their turns.

    :param waiting: all tickets whose owners live.
    :param running: name of a database to its running tasks.
    :param free: how many may be started.
    """
    queues: dict[str, list[Ticket]] = {}
    for ticket in sorted(waiting, key=lambda one: (one.since, one.task_id)):
        queues.setdefault(ticket.database, []).append(ticket)
    counted = Counter(running)
    chosen: list[str] = []
    while queues and len(chosen) < free:
        name = min(queues, key=lambda one: (counted[one], queues[one][0].since, queues[one][0].task_id))
        chosen.append(queues[name].pop(0).task_id)
        counted[name] += 1
        if not queues[name]:
            del queues[name]
    return chosen


def alive(tickets: Sequence[Ticket], now: datetime, lost_after: timedelta) -> list[Ticket]:
    """Leave out tickets whose owners have not looked for so long that they are taken for dead; they come back when they look.

    :param tickets: all of them.
    :param now: present moment.
    :param lost_after: how long an owner may be silent.
    """
    return [ticket for ticket in tickets if now - ticket.seen <= lost_after]
