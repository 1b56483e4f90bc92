"""The steps of a restore, each with an AWS call of it that can be refused: found by playing one and reading what it called."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from localcloud.recorder import read_calls
from tests.local.dag_process import task_at
from tests.local.restore.conftest import RESTORE, RestoreLane

# Made for every connection, by the session and not by a step.
NO_STEP = ("sts", "AssumeRole")


@dataclass(frozen=True)
class Step:
    """A task, and the call of it that is refused: its first one that changes something, or else its first.

    :param task: its name.
    :param rule: fault rule.
    """

    task: str
    rule: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.task} at {self.rule['service']}:{self.rule['action']} number {self.rule['nth']}"


def play_and_read(lane: RestoreLane, conf: dict[str, Any]) -> list[Step]:
    """Restore once, and tell of each task that worked on AWS, and not on its own record only, which call to refuse."""
    began = time.time()
    found = lane.run(RESTORE, conf)
    errors = {name: task["error"] for name, task in found["tasks"].items() if task["error"]}
    assert found["state"] == "success", errors
    counted: Counter[tuple[str, str, str]] = Counter()
    chosen: dict[str, tuple[int, dict[str, Any]]] = {}
    for call in read_calls(lane.cloud.calls_file, since=began):
        what = (call["account"], call["service"], call["action"])
        if ":assumed-role/" not in (call["caller"] or "") or what[1:] == NO_STEP:
            continue
        counted[what] += 1
        task, worth = task_at(found["tasks"], call["time"]), _worth(call)
        if task is not None and (task not in chosen or chosen[task][0] < worth):
            chosen[task] = (
                worth,
                {**dict(zip(("account", "service", "action"), what, strict=True)), "nth": counted[what]},
            )
    return [Step(task, rule) for task, (worth, rule) in chosen.items() if worth]


def _worth(call: dict[str, Any]) -> int:
    """Rank a call of a step: what it changes says most; that it writes down what it does, every step has."""
    return 0 if call["service"] == "dynamodb" else 2 if call["mutating"] else 1
