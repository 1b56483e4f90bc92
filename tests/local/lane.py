"""One machine of tests: a localcloud of its own, and a process that runs DAGs against it without Airflow's services."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from devstack.settings import REPO, StackConfig, free_port
from localcloud import process
from localcloud.client import admin_client
from localcloud.config import CloudConfig
from localcloud.seed.accounts import seed
from tests.local.dag_process import DagProcess
from tests.local.include import place_include
from tests.local.refresh.conftest import Estate

ROWS = 400
WAIT_S, POLL_S, RETRY_S = 0.05, 0.05, 0.1


class Lane:
    """A localcloud of its own, and a process that runs DAGs against it.

    :param home: folder of its data.
    :param along: whether a refresh takes files and jobs along.
    """

    def __init__(self, home: Path, *, along: bool = False) -> None:
        base = StackConfig.from_env()
        self.config = StackConfig(
            home=home,
            dags=REPO / "dags",
            plugins=REPO / "plugins",
            airflow_port=free_port(),
            cloud_port=free_port(),
            db_port=free_port(everywhere=True),
            wait_s=WAIT_S,
            poll_s=POLL_S,
            seed_rows=ROWS,
            mariadb_prefix=base.mariadb_prefix,
            include=place_include(home / "include", along=along),
        )
        self.cloud = CloudConfig.from_env(self.config.cloud_env())
        self.estate = Estate(SimpleNamespace(aws=self.aws, cloud=self.cloud))
        self._clients: dict[tuple[str, str], Any] = {}
        self._process: DagProcess | None = None
        self.log_file = home / "runner.log"

    def aws(self, account: str, service: str) -> Any:
        """Return a boto3 client with all rights in an account; made once, since making one costs more than what it is for."""
        if (account, service) not in self._clients:
            self._clients[account, service] = admin_client(account, service, self.cloud)
        return self._clients[account, service]

    def start(self) -> None:
        """Start everything and seed it."""
        self.config.home.mkdir(parents=True, exist_ok=True)
        process.wipe(self.cloud)
        started = self._command("localcloud", "up")
        assert started.returncode == 0, started.stderr
        self._clients.clear()  # a new server has new credentials
        seed(self.cloud, say=lambda _: None)
        database = self.config.home / "airflow.db"
        database.unlink(missing_ok=True)
        self.log_file.unlink(missing_ok=True)
        self._process = DagProcess(self._env(f"sqlite:///{database}"), self.log_file)

    def stop(self) -> None:
        """End everything."""
        if self._process is not None:
            self._process.close()
        process.stop(self.cloud)

    def run(self, dag_id: str, conf: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        """Run a DAG to its end; see :meth:`tests.local.dag_process.DagProcess.run`."""
        assert self._process is not None
        return self._process.run(dag_id, conf, **how)

    def reread(self) -> None:
        """Have the DAGs read anew: the environment's file has changed."""
        assert self._process is not None
        self._process.reread()

    def _env(self, database: str) -> dict[str, str]:
        env = self.config.airflow_env(database)
        # the client's own retries pause for seconds: two tries of a call say as much as five
        few = {name: text.replace('"max_attempts": 5', '"max_attempts": 2') for name, text in env.items()}
        return few | {
            "AURORA_OPS_RETRY_S": str(RETRY_S),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "PYTHONPATH": str(REPO / "plugins"),
        }

    def _command(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = self.config.cloud_env()
        return subprocess.run(
            [sys.executable, "-m", module, *arguments], env=env, cwd=REPO, check=False, text=True, capture_output=True
        )
