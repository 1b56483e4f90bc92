"""A localcloud for the session: free ports, a temporary home, roles in every account, nothing else seeded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from localcloud import client as clients
from localcloud.config import CloudConfig
from localcloud.seed.accounts import seed_roles

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def localcloud_environment(home: Path, port: int, db_port: int) -> dict[str, str]:
    """Environment of a localcloud command with its own home and ports."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LOCALCLOUD_"))},
        "LOCALCLOUD_HOME": str(home),
        "LOCALCLOUD_PORT": str(port),
        "LOCALCLOUD_DB_PORT": str(db_port),
        "LOCALCLOUD_WAIT_S": "0.2",
        "PYTHONPATH": str(REPOSITORY),
    }


def run_localcloud(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m localcloud ...`` to its end; the caller judges the result."""
    return subprocess.run(
        [sys.executable, "-m", "localcloud", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass
class LocalCloud:
    """A running localcloud.

    ``client`` works as a workflow does (AssumeRole), ``admin`` as the root of the account.
    """

    config: CloudConfig
    environment: dict[str, str]
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def client(self, account: str, service: str) -> Any:
        """boto3 client through AssumeRole from the airflow user; cached."""
        return self._cached("role", account, service)

    def admin(self, account: str, service: str) -> Any:
        """boto3 client with bootstrap credentials; cached."""
        return self._cached("admin", account, service)

    def calls(self, since: float = 0, *, mutating: bool = False) -> list[dict[str, Any]]:
        """Recorded AWS calls that began at or after ``since`` (epoch seconds)."""
        query = urlencode({"since": since, **({"mutating": 1} if mutating else {})})
        with urlopen(f"{self.config.endpoint}/localcloud/calls?{query}", timeout=10) as answer:
            calls: list[dict[str, Any]] = json.load(answer)
        return calls

    def now(self) -> float:
        """Epoch seconds, to give to :meth:`calls`."""
        return time.time()

    def _cached(self, kind: str, account: str, service: str) -> Any:
        key = (kind, account, service)
        if key not in self._clients:
            make = clients.role_client if kind == "role" else clients.admin_client
            self._clients[key] = make(account, service, self.config)
        return self._clients[key]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A running localcloud with the roles of every account."""
    home = tmp_path_factory.mktemp("localcloud")
    environment = localcloud_environment(home, free_port(), free_port())
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, f"{up.stdout}\n{up.stderr}\n{_tail(config.log_file)}"
    try:
        seed_roles(config)
        yield LocalCloud(config, environment)
    finally:
        down = run_localcloud(environment, "down")
    assert down.returncode == 0, f"{down.stdout}\n{down.stderr}\n{_tail(config.log_file)}"


def _tail(path: Path) -> str:
    return path.read_text()[-4000:] if path.exists() else f"{path} does not exist"
