"""A localcloud of its own for benchmarks of the audit-log backup, and processes in which one thing is measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from benchmarks.audit_log import RealLog, repeat
from devstack.settings import PRODUCTION, REPO, SHARED, StackConfig, free_port
from localcloud.client import admin_client, admin_operation
from localcloud.config import CloudConfig
from localcloud.seed.accounts import LOGS_BUCKET, LOGS_TABLE, seed_roles

RESULT = "@@result "
LONG_AGO_S = 86_400
LOG_NAME = "audit/audit.log.0.2026-01-01-{:02d}-{:02d}.0"


class BenchmarkError(RuntimeError):
    """Something that is measured did not do what it should; the message says what."""


@dataclass(frozen=True)
class Place:
    """A running localcloud.

    :param config: of it.
    :param env: environment of processes that run the package against it.
    :param include: folder of the environment's settings that they see.
    """

    config: CloudConfig
    env: Mapping[str, str]
    include: Path

    def admin(self, service: str, account: str = SHARED) -> Any:
        """Make a boto3 client as the root of an account."""
        return admin_client(account, service, self.config)

    def operation(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Run an admin operation in production."""
        return admin_operation(name, self.config, account=PRODUCTION, **parameters)

    def settle(self, **changes: Any) -> None:
        """Have the environment ``staging`` back up production's instances that have a tag, and nothing else.

        :param changes: settings of ``audit_logs``; ``tags`` are those of the instances.
        """
        shutil.rmtree(self.include, ignore_errors=True)
        shutil.copytree(REPO / "include", self.include)
        file = self.include / "config" / "staging.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        logs = content["audit_logs"]
        where = {"aws_conn_id": "aws_source", "account_id": PRODUCTION, "region": self.config.region}
        logs |= {"places": [where | {"tags": changes.pop("tags")}], "storage": {}, **changes}
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def calls(self, since: float) -> list[dict[str, Any]]:
        """List the AWS calls that began at or after a moment, epoch seconds."""
        with urlopen(f"{self.config.endpoint}/localcloud/calls?since={since}", timeout=60) as answer:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def measure(self, way: str, **parameters: Any) -> dict[str, Any]:
        """Run one way of ``audit_ways`` in a process of its own; what it found.

        :raises BenchmarkError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.audit_ways", way, json.dumps(parameters)],
            env=dict(self.env), cwd=REPO, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
        if done.returncode or not lines:
            raise BenchmarkError(f"{way} {parameters}: {done.stdout[-3000:]}")
        found: dict[str, Any] = json.loads(lines[-1].removeprefix(RESULT))
        return found


@contextmanager
def cloud(home: Path) -> Iterator[Place]:
    """Run a localcloud with the roles of its accounts, a bucket and a table until the block ends.

    :param home: folder of its data.
    """
    stack = replace(
        StackConfig.from_env(),
        home=home,
        cloud_port=free_port(),
        db_port=free_port(everywhere=True),
        wait_s=0.1,
        include=home / "include",
    )
    # what roles may do is no matter of speed
    env = stack.cloud_env() | {"LOCALCLOUD_IAM": "off", "PYTHONPATH": str(REPO)}
    config = CloudConfig.from_env(env)
    _command(env, "up")
    try:
        seed_roles(config)
        shared = admin_client(SHARED, "dynamodb", config)
        shared.create_table(
            TableName=LOGS_TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        admin_client(SHARED, "s3", config).create_bucket(
            Bucket=LOGS_BUCKET, CreateBucketConfiguration={"LocationConstraint": config.region}
        )
        package = stack.airflow_env(f"sqlite:///{home}/airflow.db")
        yield Place(config, package | {"PYTHONPATH": f"{REPO}:{REPO / 'plugins'}"}, stack.include)
    finally:
        _command(env, "down")


def place_log(place: Place, real: RealLog, instance: str, number: int, mib: int) -> dict[str, Any]:
    """Give an instance a log file that was written to its end long ago.

    :param real: what it is made of.
    :param instance: identifier.
    :param number: which of its files this is.
    :param mib: size, at least.
    :return: name and size.
    """
    name = LOG_NAME.format(number // 60, number % 60)
    path = Path(place.operation("log-folder", instance=instance)["folder"]) / name
    size = repeat(real, path, mib)
    then = time.time() - LONG_AGO_S
    os.utime(path, (then, then))
    return {"name": name, "size": size, "last_written_ms": int(then * 1000)}


def _command(env: Mapping[str, str], command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localcloud", command],
        env=dict(env), cwd=REPO, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"localcloud {command}: {done.stdout}{done.stderr}")
