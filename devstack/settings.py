"""Where everything of a stack lies, its ports, and the environment handed to Airflow."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.process import MARKER

REPO = Path(__file__).resolve().parent.parent
POLICIES = REPO / "include" / "iam" / "staging"
REGION = "eu-west-1"
EXTERNAL_ID = "localcloud-external-id"
ACCESS_KEY = "AKIALOCALCLOUDAIRFL0"
SECRET_KEY = "localcloud-secret-key"  # noqa: S105  of the emulated account; the real ones come from real connections

SHARED, PRODUCTION, STAGING, DEV = "000000000000", "111111111111", "222222222222", "333333333333"
ROLES = {
    "aws_orchestrator": f"arn:aws:iam::{SHARED}:role/aurora-ops-orchestrator",
    "aws_source": f"arn:aws:iam::{PRODUCTION}:role/aurora-ops-source",
    "aws_destination": f"arn:aws:iam::{STAGING}:role/aurora-ops-destination",
}
"""Role behind each Airflow connection."""

FOREIGN = ("AIRFLOW_", "AWS_", "LOCALCLOUD_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME")
"""Prefixes of the caller's variables that must not reach the stack: they change it, or name a real AWS account."""


@dataclass(frozen=True)
class StackConfig:
    """One stack.

    :param home: folder of all its data, logs and pid files.
    :param dags: folder of DAG files.
    :param plugins: plugins folder.
    :param airflow_port: port of the API and UI on 127.0.0.1.
    :param cloud_port: port of localcloud's API on 127.0.0.1.
    :param db_port: port of every database endpoint.
    :param wait_s: localcloud's unit of emulated time in seconds.
    :param poll_s: seconds between two looks of the package's waiters.
    :param seed_rows: rows of the seeded production database.
    :param mariadb_prefix: unpacked MariaDB; None leaves it to localcloud.
    :param localcloud: whether localcloud is started at all.
    :param airflow_options: options of Airflow beside ours, ``SECTION__KEY``.
    :param include: folder of settings, SQL and templates.
    """

    home: Path
    dags: Path
    plugins: Path
    airflow_port: int
    cloud_port: int
    db_port: int
    wait_s: float
    poll_s: float
    seed_rows: int
    mariadb_prefix: str | None = None
    localcloud: bool = True
    airflow_options: Mapping[str, str] = field(default_factory=dict)
    include: Path = REPO / "include"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> StackConfig:
        """Read the stack's settings from the environment, with this repository's defaults.

        :raises ValueError: a number is not one; the message names the variable.
        """
        env = os.environ if env is None else env
        return cls(
            home=REPO / ".local",
            dags=REPO / "dags",
            plugins=REPO / "plugins",
            airflow_port=free_port(int(_number(env, "AIRFLOW_PORT", 8080))),
            cloud_port=free_port(int(_number(env, "LOCALCLOUD_PORT", 5566))),
            db_port=free_port(int(_number(env, "LOCALCLOUD_DB_PORT", 13306)), everywhere=True),
            wait_s=_number(env, "LOCALCLOUD_WAIT_S", 2.0),
            poll_s=_number(env, "AURORA_OPS_POLL_S", 0.5),
            seed_rows=int(_number(env, "SEED_ROWS", 200_000)),
            mariadb_prefix=env.get("MARIADB_PREFIX"),
        )

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def logs(self) -> Path:
        """Logs of the components."""
        return self.airflow_home / "logs"

    @property
    def pids(self) -> Path:
        """Pid files."""
        return self.home / "run"

    @property
    def cloud_home(self) -> Path:
        """Folder of localcloud."""
        return self.home / "localcloud"

    @property
    def airflow_url(self) -> str:
        """UI and API of Airflow."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def cloud_url(self) -> str:
        """AWS endpoint."""
        return f"http://127.0.0.1:{self.cloud_port}"

    def base_env(self) -> dict[str, str]:
        """Return the caller's environment without what would change the stack or name a real AWS account."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        spare_loopback(env)
        env[MARKER] = str(self.home)
        return env

    def cloud_env(self) -> dict[str, str]:
        """Return the environment of localcloud and its commands."""
        env = self.base_env() | {
            "LOCALCLOUD_HOME": str(self.cloud_home),
            "LOCALCLOUD_PORT": str(self.cloud_port),
            "LOCALCLOUD_DB_PORT": str(self.db_port),
            "LOCALCLOUD_WAIT_S": f"{self.wait_s:g}",
            "LOCALCLOUD_REGION": REGION,
            # Roles may do what they may do in AWS, and nothing else.
            "LOCALCLOUD_IAM": "enforce",
            "LOCALCLOUD_IAM_POLICIES": str(POLICIES),
            "SEED_ROWS": str(self.seed_rows),
        }
        if self.mariadb_prefix:
            env["MARIADB_PREFIX"] = self.mariadb_prefix
        return env

    def airflow_env(self, database_url: str) -> dict[str, str]:
        """Return the environment of Airflow's processes.

        :param database_url: SQLAlchemy URL of the metadata database.
        """
        keys = _secrets(self.airflow_home / "secrets.json")
        nowhere = str(self.airflow_home / "no-such-file")
        options = {
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__PLUGINS_FOLDER": str(self.plugins),
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "8",
            "CORE__LOAD_EXAMPLES": "False",
            # Nightly DAGs must not start by themselves on a laptop.
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__FERNET_KEY": "",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            # A name that needs no DNS.
            "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
            "DATABASE__SQL_ALCHEMY_CONN": database_url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.airflow_port),
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": "1",
            "API__INSTANCE_NAME": "Aurora operations (local)",
            "API__SECRET_KEY": keys["secret_key"],
            "API_AUTH__JWT_SECRET": keys["jwt_secret"],
            # A task costs 0.2 s instead of 1 s.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            # A worker's end is noticed within this time; later than a short deferral, and Airflow takes the task for lost.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # What a scheduler that was killed had at work is taken up within a minute instead of six.
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
            # A new DAG file is seen within seconds instead of five minutes.
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # A file that has changed is parsed at once; parsing all of them again every half minute keeps a processor busy.
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "LOGGING__BASE_LOG_FOLDER": str(self.logs),
        }
        return (
            self.base_env()
            | {f"AIRFLOW__{key}": value for key, value in {**options, **self.airflow_options}.items()}
            | {f"AIRFLOW_CONN_{name.upper()}": connection(role) for name, role in ROLES.items()}
            | {
                "AIRFLOW_HOME": str(self.airflow_home),
                "AWS_ENDPOINT_URL": self.cloud_url,
                "AWS_DEFAULT_REGION": REGION,
                # No profile, no instance role: nothing here may ever reach a real account.
                "AWS_CONFIG_FILE": nowhere,
                "AWS_SHARED_CREDENTIALS_FILE": nowhere,
                "AWS_EC2_METADATA_DISABLED": "true",
                "AURORA_OPS_INCLUDE": str(self.include),
                "AURORA_OPS_POLL_S": f"{self.poll_s:g}",
                # What answers in milliseconds need not be left alone for half a minute.
                "AURORA_OPS_RETRY_S": "1",
            }
        )


def spare_loopback(env: MutableMapping[str, str]) -> None:
    """Keep requests to this machine away from proxies."""
    for key in ("NO_PROXY", "no_proxy"):
        names = [name for name in env.get(key, "").split(",") if name]
        env[key] = ",".join(dict.fromkeys([*names, "127.0.0.1", "localhost"]))


def isolate_this_process() -> None:
    """Keep this process's own clients to this machine: no proxy, and no AWS profile that may not even exist."""
    spare_loopback(os.environ)
    for key in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        os.environ.pop(key, None)


def connection(role_arn: str) -> str:
    """Return an Airflow connection, as JSON, of the ``airflow`` user who assumes ``role_arn``."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": ACCESS_KEY,
            "password": SECRET_KEY,
            "extra": {
                "region_name": REGION,
                "role_arn": role_arn,
                "assume_role_method": "assume_role",
                "assume_role_kwargs": {"ExternalId": EXTERNAL_ID},
                "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 5}},
            },
        }
    )


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name}={text!r} is not a number") from None
    if value <= 0:
        raise ValueError(f"{name}={text} must be above 0")
    return value


def _secrets(path: Path) -> dict[str, str]:
    """Return the keys that Airflow's processes share, made once and readable by their owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps({name: secrets.token_hex(32) for name in ("secret_key", "jwt_secret")}))
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def free_port(preferred: int = 0, *, everywhere: bool = False) -> int:
    """Return ``preferred`` if it is free, else the next free port.

    :param preferred: port to begin with; 0 for any.
    :param everywhere: free on all loopback addresses rather than on 127.0.0.1 alone.
    :raises OSError: none of the 200 ports from ``preferred`` is free.
    """
    for port in range(preferred, preferred + 200) if preferred else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("" if everywhere else "127.0.0.1", port))
                bound: int = probe.getsockname()[1]
            except OSError:
                continue
            return bound
    raise OSError(f"no free port between {preferred} and {preferred + 199}")
