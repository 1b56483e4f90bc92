"""Talk with the process of ``worker.py``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.local.audit_logs.worker import MARK
from tests.local.iam.lab import Lab, airflow_environment


class Worker:
    """Children that back up, one after the other."""

    def __init__(self, lab: Lab) -> None:
        self._log = (lab.home / "worker.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py"))],
            env=airflow_environment(lab.cloud.config, lab.home, lab.include),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._answer() == "ready"

    def kill_after(self, seconds: float) -> int:
        """Begin a child, kill it after so many seconds; its exit status."""
        child = int(self._ask("forever"))
        threading.Event().wait(seconds)
        os.kill(child, signal.SIGKILL)
        return int(self._answer())

    def once(self) -> bool:
        """A run to its end; whether all was done."""
        self._ask("once")
        return self._answer() == "0"

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(MARK):
                return line.removeprefix(MARK).strip()
        raise AssertionError(Path(self._log.name).read_text()[-3000:])
