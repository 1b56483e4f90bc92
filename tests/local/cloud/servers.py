"""A real server and the operators that work on it, without AWS around them: secrets and buckets are dictionaries."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.mysql import Login
from aurora_ops.operators.baseline import ReportingOperator
from aurora_ops.operators.sql import SqlOperator

from tests.local.cloud.databases import rows
from tests.unit.operators.driver import context

if TYPE_CHECKING:
    import pytest
    from pymysql.connections import Connection

AT: dict[str, Any] = {"task_id": "t", "aws_conn_id": "x", "region_name": "eu-west-1", "cluster_id": "app"}


class Secrets:
    """What operators use of Secrets Manager."""

    def __init__(self) -> None:
        self.current: dict[str, dict[str, Any]] = {}
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}

    def find_secret(self, secret_id: str, stage: str = "AWSCURRENT") -> dict[str, Any] | None:
        return self.current.get(secret_id)

    def require_secret(self, secret_id: str) -> dict[str, Any]:
        if secret_id not in self.current:
            raise MissingError(f"no secret {secret_id}")
        return self.current[secret_id]

    def find_version(self, secret_id: str, version: str) -> dict[str, Any] | None:
        return self.versions.get((secret_id, version))

    def put_pending(self, secret_id: str, value: dict[str, Any], version: str) -> None:
        self.versions[secret_id, version] = value


class Bucket:
    """What operators use of S3."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, bucket: str, key: str, body: bytes, content_type: str) -> None:
        self.objects[f"s3://{bucket}/{key}"] = body

    def open(self, bucket: str, key: str) -> io.BytesIO:
        return io.BytesIO(self.objects[f"s3://{bucket}/{key}"])


class Server:
    """A server behind an endpoint.

    :param sql: connection of the administrator.
    :param login: of the master user.
    """

    def __init__(self, sql: Connection, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sql = sql
        self.login = login
        self.secrets = Secrets()
        self.bucket = Bucket()
        self.context = context()
        monkeypatch.setattr(SqlOperator, "master", lambda operator, cluster: login)
        monkeypatch.setattr(SqlOperator, "secrets", self.secrets)
        monkeypatch.setattr(ReportingOperator, "bucket", self.bucket)

    def run(self, kind: type, **given: Any) -> Any:
        """Let an operator do its work; it is kept as ``task``."""
        self.task = kind(**{**AT, **given})
        cluster = SimpleNamespace(tags={"refresh": "true"}, endpoint="app.rds", reader_endpoint="", port=3306)
        return self.task.work(cluster, self.context)

    def does(self, *statements: str) -> None:
        """Run statements as the administrator."""
        for statement in statements:
            rows(self.sql, statement)

    def as_user(self, user: str, password: str) -> Login:
        """The login of another user."""
        return Login(self.login.host, self.login.port, user, password)

    def shown(self, user: str, host: str = "%") -> list[str]:
        """What the server shows of an account's rights, its password aside."""
        found = rows(self.sql, "SHOW GRANTS FOR %s@%s", (user, host))
        return [line.partition(" IDENTIFIED ")[0] for (line,) in found]
