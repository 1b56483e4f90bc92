"""Settings of localcloud, all from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parent.parent


class ConfigError(ValueError):
    """A setting has a value that cannot be used; the message names it and what is allowed."""


@dataclass(frozen=True)
class LogConfig:
    """How the audit logs of Aurora are made and kept; those of RDS for MariaDB and MySQL are as their option groups say.

    :param always: every database is audited, whatever its parameter group or option group says.
    :param breaks: what line breaks and tabs in statements become: ``raw`` (themselves), ``blank``, ``escaped``.
    :param rotate_bytes: size at which a file is closed and the next one begins.
    :param rotate_s: seconds after which it is, if anything is in it.
    :param retention_s: seconds after its last record that a file is removed.
    :param space_mib: MiB that the logs of an instance may take; then the oldest are removed.
    """

    always: bool = False
    breaks: str = "raw"
    rotate_bytes: int = 100_000_000
    rotate_s: float = 3600
    retention_s: float = 86_400
    space_mib: int = 4915  # 15 % of the 32 GiB that a db.r6g.large has


@dataclass(frozen=True)
class CloudConfig:
    """Settings of one localcloud.

    :param home: folder of all data, logs and the pid file.
    :param port: TCP port of the AWS API on 127.0.0.1.
    :param db_port: TCP port of every database endpoint.
    :param wait_s: seconds; unit of emulated time, a status transition takes a small multiple of it.
    :param region: region of the seeded accounts.
    :param seed_rows: rows of the seeded production database, over all tables.
    :param binlog_mib: MiB of binary log that a cluster keeps for restoring it to a moment.
    :param mariadb_prefix: folder with an unpacked MariaDB, or None to look on the PATH and in .local/mariadb/root.
    :param iam: whether identity policies decide what users and roles may do.
    :param iam_policies: folder of identity policies that the seed attaches; see localcloud/README.md.
    :param faults_file: YAML file of fault rules, or None.
    :param keep: start with the state that an earlier server of this home left, rather than empty.
    :param logs: how audit logs are made and kept.
    """

    home: Path
    port: int = 5566
    db_port: int = 13306
    wait_s: float = 2.0
    region: str = "eu-west-1"
    seed_rows: int = 200_000
    binlog_mib: int = 512
    mariadb_prefix: Path | None = None
    iam: bool = False
    iam_policies: Path | None = None
    faults_file: Path | None = None
    keep: bool = False
    logs: LogConfig = LogConfig()

    @property
    def endpoint(self) -> str:
        """URL of the AWS API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid_file(self) -> Path:
        """File with the process id of the running server."""
        return self.home / "server.pid"

    @property
    def log_file(self) -> Path:
        """Log of the server, tracebacks included."""
        return self.home / "server.log"

    @property
    def logs_folder(self) -> Path:
        """Folder with a folder for every database instance, named by its resource id, that holds its log files."""
        return self.home / "logs"

    @property
    def calls_file(self) -> Path:
        """Record of every AWS call, JSON lines."""
        return self.home / "calls.jsonl"

    @property
    def seeded_file(self) -> Path:
        """File that is there once the running server has its accounts filled."""
        return self.home / "seeded"

    @property
    def has_state(self) -> bool:
        """Whether an earlier server of this home left its state."""
        return (self.home / "state" / "meta.json").exists()

    @property
    def credentials_file(self) -> Path:
        """Bootstrap credentials of every account, new on every start, readable by the owner only."""
        return self.home / "bootstrap.json"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> CloudConfig:
        """Read the settings from LOCALCLOUD_*, SEED_ROWS and MARIADB_PREFIX.

        :param environ: instead of the process environment.
        :raises ConfigError: a value is not a number or out of range.
        """
        env = os.environ if environ is None else environ
        prefix, policies, iam = env.get("MARIADB_PREFIX"), env.get("LOCALCLOUD_IAM_POLICIES"), env.get("LOCALCLOUD_IAM")
        if iam not in {None, "", "off", "enforce"}:
            raise ConfigError(f"LOCALCLOUD_IAM={iam!r} is not known; give enforce or off")
        faults = env.get("LOCALCLOUD_FAULTS")
        return cls(
            home=Path(env.get("LOCALCLOUD_HOME") or REPOSITORY / ".local" / "localcloud").absolute(),
            port=int(_number(env, "LOCALCLOUD_PORT", cls.port, 1, 65535)),
            db_port=int(_number(env, "LOCALCLOUD_DB_PORT", cls.db_port, 1, 65535)),
            wait_s=_number(env, "LOCALCLOUD_WAIT_S", cls.wait_s, 0, 3600),
            region=env.get("LOCALCLOUD_REGION") or cls.region,
            seed_rows=int(_number(env, "SEED_ROWS", cls.seed_rows, 1, 1_000_000_000)),
            binlog_mib=int(_number(env, "LOCALCLOUD_BINLOG_MIB", cls.binlog_mib, 1, 1_000_000)),
            mariadb_prefix=Path(prefix).absolute() if prefix else None,
            iam=iam == "enforce",
            iam_policies=Path(policies).absolute() if policies else None,
            faults_file=Path(faults).absolute() if faults else None,
            keep=bool(_number(env, "LOCALCLOUD_KEEP", 0, 0, 1)),
            logs=LogConfig(
                always=_choice(env, "LOCALCLOUD_AUDIT", ("groups", "always")) == "always",
                breaks=_choice(env, "LOCALCLOUD_AUDIT_BREAKS", ("raw", "blank", "escaped")),
                rotate_bytes=int(_number(env, "LOCALCLOUD_LOG_ROTATE_BYTES", LogConfig.rotate_bytes, 100, 10**12)),
                rotate_s=_number(env, "LOCALCLOUD_LOG_ROTATE_S", LogConfig.rotate_s, 0.1, 10**9),
                retention_s=_number(env, "LOCALCLOUD_LOG_RETENTION_S", LogConfig.retention_s, 0.1, 10**9),
                space_mib=int(_number(env, "LOCALCLOUD_LOG_SPACE_MIB", LogConfig.space_mib, 1, 10**9)),
            ),
        )


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Read a setting that is one of a few words; the first is the default."""
    value = env.get(name) or allowed[0]
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is not known; give {' or '.join(allowed)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a number; give one between {low} and {high}") from None
    if not low <= value <= high:
        raise ConfigError(f"{name}={text} is out of range; give a number between {low} and {high}")
    return value
