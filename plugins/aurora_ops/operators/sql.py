"""What every operator that speaks SQL to a cluster shares: where it logs in and as whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.core.masking import SCRATCH
from aurora_ops.core.scan import ColumnFacts
from aurora_ops.core.secret_shapes import credentials
from aurora_ops.core.tables import Column, Table
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator

SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys", SCRATCH)


class SqlOperator(ClusterOperator):
    """Work on the data of a cluster, logged in as its master user.

    The password is read from the cluster's managed master secret at the moment it is needed and goes nowhere else.

    :param secret_id: secret to log in with, where the master secret is not managed (templated).
    :param tls_ca: file of certificate authorities that the server's certificate is checked against (templated).
    """

    # a master secret under a customer key is decrypted in the caller's name
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "secretsmanager:GetSecretValue",
        "kms:Decrypt",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "secret_id", "tls_ca")

    def __init__(self, *, secret_id: str | None = None, tls_ca: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.secret_id = secret_id
        self.tls_ca = tls_ca

    def take_pass(self, context: Context) -> Result:
        """Work on an available cluster; others are errors, since nothing here makes one available."""
        cluster = self.hook.require_cluster(self.cluster_id)
        if cluster.status not in ("available", "backing-up", "modifying"):
            raise StateError(f"cluster {self.cluster_id} is {cluster.status}; it must be available to run SQL on it")
        return self.work(cluster, context)

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Do what the operator is for."""
        raise NotImplementedError

    @property
    def secrets(self) -> SecretsHook:
        """Secrets of the account."""
        return SecretsHook(self.aws_conn_id, self.region_name)

    def master(self, cluster: Cluster) -> Login:
        """Find the login of the master user.

        :raises MissingError: no secret is managed and none is given.
        :raises ConfigError: it lacks a field.
        """
        return master_login(cluster, self.secrets, self.secret_id, self.tls_ca)

    def connect(self, login: Login, *, raw: bool = False) -> MySqlHook:
        """Build a connection whose time counts as this task's."""
        return MySqlHook(login, timing=self.timing, raw=raw)


def master_login(cluster: Cluster, secrets: SecretsHook, secret_id: str | None, tls_ca: str | None) -> Login:
    """Find the login of a cluster's master user; see ``SqlOperator.master``."""
    secret = secret_id or cluster.master_secret_arn
    if not secret:
        raise MissingError(
            f"cluster {cluster.cluster_id} has no managed master secret and no secret_id is given; "
            f"run db_enable_master_secret on it, or name a secret"
        )
    found = credentials(secret, secrets.require_secret(secret))
    return Login(cluster.endpoint, cluster.port, found.username, found.password, tls_ca)


def user_tables(sql: MySqlHook) -> list[Table]:
    """List the base tables of a server that are not its own."""
    marks = ", ".join(["%s"] * len(SYSTEM_SCHEMAS))
    return [
        Table(schema, name)
        for schema, name in sql.rows(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "  # noqa: S608 - only placeholders are joined
            f"WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ({marks}) ORDER BY 1, 2",
            SYSTEM_SCHEMAS,
            what="list tables",
        )
    ]


def count_rows(sql: MySqlHook, tables: Sequence[Table]) -> dict[Table, int]:
    """Count the rows of tables, exactly."""
    return {
        table: int(sql.rows(f"SELECT COUNT(*) FROM {table.sql}", what=f"count {table}")[0][0])  # noqa: S608
        for table in tables
    }


def read_columns(sql: MySqlHook) -> list[tuple[ColumnFacts, str]]:
    """List every column of every user table, with its type as it is declared."""
    marks = ", ".join(["%s"] * len(SYSTEM_SCHEMAS))
    rows = sql.rows(
        "SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE, c.CHARACTER_MAXIMUM_LENGTH, c.COLUMN_TYPE "  # noqa: S608
        "FROM information_schema.COLUMNS AS c JOIN information_schema.TABLES AS t "
        "ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME "
        f"WHERE t.TABLE_TYPE = 'BASE TABLE' AND c.TABLE_SCHEMA NOT IN ({marks}) "
        "ORDER BY c.TABLE_SCHEMA, c.TABLE_NAME, c.ORDINAL_POSITION",
        SYSTEM_SCHEMAS,
        what="list columns",
    )
    return [
        (
            ColumnFacts(
                Column(Table(schema, table), name), data_type.lower(), None if longest is None else int(longest)
            ),
            column_type if len(column_type) <= 64 else data_type,
        )
        for schema, table, name, data_type, longest, column_type in rows
    ]


def read_keys(sql: MySqlHook) -> dict[Table, tuple[int, list[str]]]:
    """Read how many rows each user table has, about, and the columns of its primary key."""
    marks = ", ".join(["%s"] * len(SYSTEM_SCHEMAS))
    found: dict[Table, tuple[int, list[str]]] = {}
    for schema, name, rows in sql.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES "  # noqa: S608
        f"WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ({marks})",
        SYSTEM_SCHEMAS,
        what="list tables",
    ):
        found[Table(schema, name)] = (int(rows or 0), [])
    for schema, name, column in sql.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS "  # noqa: S608
        f"WHERE INDEX_NAME = 'PRIMARY' AND TABLE_SCHEMA NOT IN ({marks}) ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX",
        SYSTEM_SCHEMAS,
        what="list primary keys",
    ):
        if Table(schema, name) in found:
            found[Table(schema, name)][1].append(column)
    return found
