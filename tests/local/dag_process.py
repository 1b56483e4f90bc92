"""One process that stays and runs DAGs without Airflow's services, and the talk with it (see ``driver.py``)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devstack.settings import REPO
from tests.local.driver import MARK

DRIVER = REPO / "tests" / "local" / "driver.py"


class DagProcess:
    """A process with a database of its own, made for the environment's.

    :param env: its environment, the database's URL and the folder of DAGs among it.
    :param log_file: what it and its tasks print; appended to.
    """

    def __init__(self, env: Mapping[str, str], log_file: Path) -> None:
        self.log_file = log_file
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
        with log_file.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(DRIVER)],
                env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=REPO,
            )  # fmt: skip
        self.dag_ids = self._read()

    def run(self, dag_id: str, conf: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        """Run a DAG to its end.

        :param how: moment, xcoms; see ``driver.py``.
        """
        return self._ask({"dag_id": dag_id, "conf": dict(conf), **how})

    def reread(self) -> None:
        """Read the files of DAGs anew: the environment's file has changed."""
        self._tell({})
        self.dag_ids = self._read()

    def close(self) -> None:
        """End the process, and what it is doing."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> list[str]:
        found = self._answer()
        assert not found["errors"], found["errors"]
        return list(found["dags"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self._tell(question)
        return self._answer()

    def _tell(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with self.log_file.open("a") as log:
            for line in self._process.stdout:
                if line.startswith(MARK):
                    found: dict[str, Any] = json.loads(line.removeprefix(MARK))
                    return found
                log.write(line)
        raise AssertionError(f"the process ended: {self.log_file.read_text()[-4000:]}")


def task_at(tasks: Mapping[str, dict[str, Any]], moment: float) -> str | None:
    """Name the task that ran at a moment; one runs at a time.

    :param tasks: as an answer has them.
    :param moment: seconds since the epoch.
    """
    for name, task in tasks.items():
        if any(began <= moment <= ended for began, ended in task["spans"]):
            return name
    return None
