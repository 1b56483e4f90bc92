"""Follows a run in the terminal: a line per task that ended; on a terminal also a last line with what goes on."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from devstack import waiting
from devstack.airflow_api import AirflowApi, Run, TaskTry
from devstack.errors import ApiError

ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
ACTIVE = frozenset({"running", "deferred", "up_for_retry", "up_for_reschedule", "awaiting_input"})


class Progress:
    """Prints steps and a run's tasks.

    :param out: where to print.
    """

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out
        self.live = out.isatty()
        self.began = time.monotonic()
        self._drawn = False

    def say(self, message: str = "") -> None:
        """Print a line, above the live one."""
        self._erase()
        print(message, file=self.out, flush=True)

    def title(self, text: str) -> None:
        """Print the head of a part, with the seconds since the start."""
        self.say(f"\n[{time.monotonic() - self.began:5.1f} s] {text}")

    def step(self, what: str, do: Callable[[], object]) -> None:
        """Do something and say how long it took."""
        began = time.monotonic()
        self._draw(f"  {what} ...")
        do()
        self.say(f"  {what}: {time.monotonic() - began:.1f} s")

    def follow(self, api: AirflowApi, run: Run, *, check: Callable[[], None], stop: threading.Event) -> Run:
        """Show a run's tasks until it has ended, and return it.

        :param check: called between looks; raises if the stack has broken down.
        :param stop: set on Ctrl-C.
        """
        began = time.monotonic()
        shown: dict[str, str] = {}

        def look() -> Run | None:
            check()
            try:
                tasks = api.task_instances(run)
                now = api.run(run.dag_id, run.run_id)
            except ApiError as error:
                if error.status:
                    raise
                return None  # busy; the next look tells
            for task in sorted(tasks, key=lambda t: t.ended or 0):
                if task.state == shown.get(task.name):
                    continue
                if line := self._line(task, began):
                    self.say(line)
                if line or task.state in ENDED:
                    shown[task.name] = task.state or ""
            active = [f"{task.name} ({task.state} {task.seconds or 0:.0f} s)" for task in tasks if task.state in ACTIVE]
            waits = ", ".join(active) or f"{now.state}: Airflow schedules"
            self._draw(f"  {time.monotonic() - began:6.1f} s  {len(shown)}/{len(tasks)} tasks  {waits}")
            return now if now.done else None

        ended = waiting.until(look, what=f"run {run.run_id}", timeout_s=3600, every_s=0.4, stop=stop)
        self._erase()
        if held_up := sum(state == "upstream_failed" for state in shown.values()):
            self.say(f"            {held_up} tasks did not start because of what failed before them")
        return ended

    def _line(self, task: TaskTry, began: float) -> str | None:
        at = f"  {time.monotonic() - began:6.1f} s"
        if task.state == "upstream_failed":
            return None
        if task.state in ENDED:
            took = f"{task.seconds:6.1f} s" if task.seconds is not None and task.state != "skipped" else " " * 8
            return f"{at}  {task.state:<15}{took}  {task.name}"
        if task.state == "up_for_retry":
            return f"{at}  will be retried          {task.name}"
        if task.state == "deferred" and not self.live:
            return f"{at}  waits                    {task.name}"
        return None

    def _draw(self, text: str) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.out.write(f"\r\x1b[K{text[:width]}")
            self.out.flush()
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self.out.write("\r\x1b[K")
            self.out.flush()
            self._drawn = False
