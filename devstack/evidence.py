"""What the demo looks at from outside, over the same endpoints and secrets that an application uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import yaml
from pymysql.cursors import SSCursor

from devstack.settings import PRODUCTION, REPO, SHARED, STAGING, StackConfig
from localcloud.client import admin_client
from localcloud.config import CloudConfig
from localcloud.seed.files import directory

CHUNK = 500_000
"""Distinct values held in memory at once by the mask proof."""


@dataclass(frozen=True)
class Side:
    """One environment's database as seen from outside.

    :param secret: secret of its read-only user.
    """

    name: str
    account: str
    cluster: str
    secret: str


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster answers, and which cluster that is."""

    address: str
    port: int
    resource_id: str


@dataclass(frozen=True)
class Masked:
    """Proof of one column: of ``values`` distinct production values, ``survivors`` are in staging's column."""

    table: str
    column: str
    values: int
    survivors: int


@dataclass
class State:
    """One environment at one moment."""

    endpoint: Endpoint
    rows: dict[str, int]
    kept: dict[str, str] = field(default_factory=dict)


class Evidence:
    """Reads both environments of one refresh.

    :param config: the stack whose localcloud holds them.
    :param environment: name of the file in ``include/config``.
    """

    def __init__(self, config: StackConfig, environment: str = "staging") -> None:
        self.cloud = CloudConfig.from_env(config.cloud_env())
        settings = yaml.safe_load((REPO / "include" / "config" / f"{environment}.yaml").read_text(encoding="utf-8"))
        self.schema: str = settings["database"]["schemas"][0]
        self.kept_tables = [name.rpartition(".")[2] for name in settings["database"].get("keep_tables", [])]
        self.runs_table: str = settings["orchestrator"]["runs_table"]
        self.files_settings: dict[str, Any] = settings["files"]
        self.production = Side("production", PRODUCTION, settings["source"]["cluster"], f"prod/{self.schema}/readonly")
        self.target = Side(environment, STAGING, settings["target"]["cluster"], f"{environment}/{self.schema}/readonly")

    def state(self, side: Side) -> State:
        """Return endpoint, exact rows per table, and a digest of each kept table."""
        with self.connect(side) as connection:
            tables = [str(row[0]) for row in _rows(connection, _TABLES, self.schema)]
            rows = {table: count(connection, table) for table in tables}
            kept = {table: _digest(connection, table) for table in self.kept_tables if table in rows}
        return State(self.endpoint(side), rows, kept)

    def endpoint(self, side: Side) -> Endpoint:
        """Return where the cluster answers now, from DescribeDBClusters."""
        rds = admin_client(side.account, "rds", self.cloud)
        found = rds.describe_db_clusters(DBClusterIdentifier=side.cluster)["DBClusters"][0]
        return Endpoint(found["Endpoint"], found["Port"], found["DbClusterResourceId"])

    def secret(self, side: Side, name: str) -> dict[str, str]:
        """Return a secret of an environment's account."""
        answer = admin_client(side.account, "secretsmanager", self.cloud).get_secret_value(SecretId=name)
        value: dict[str, str] = json.loads(answer["SecretString"])
        return value

    @contextmanager
    def connect(self, side: Side, login: Mapping[str, str] | None = None) -> Iterator[pymysql.Connection[Any]]:
        """Connect to an environment's cluster endpoint, by default as its read-only user."""
        login = login or self.secret(side, side.secret)
        where = self.endpoint(side)
        connection = pymysql.connect(
            host=where.address,
            port=where.port,
            user=login["username"],
            password=login["password"],
            database=self.schema,
            charset="utf8mb4",
            connect_timeout=10,
        )
        try:
            yield connection
        finally:
            connection.close()

    def sensitive_columns(self) -> list[tuple[str, str]]:
        """Return ``(table, column)`` of what must be masked, from the file beside the masking scripts."""
        path = REPO / "include" / "sql" / "masking" / self.schema / "columns.yaml"
        tables = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [
            (table, column)
            for table, columns in tables.items()
            for column, rule in columns.items()
            if _changes_every_value(rule)
        ]

    def mask_proof(self) -> Iterator[Masked]:
        """Compare every sensitive column's distinct values of both environments, at most ``CHUNK`` in memory."""
        with self.connect(self.production) as source, self.connect(self.target) as target:
            for table, column in self.sensitive_columns():
                yield compare_column(source, target, table, column)

    def has_user(self, side: Side, username: str) -> bool:
        """Whether a database user exists, as the cluster's master sees it by its managed secret."""
        rds = admin_client(side.account, "rds", self.cloud)
        cluster = rds.describe_db_clusters(DBClusterIdentifier=side.cluster)["DBClusters"][0]
        secrets = admin_client(side.account, "secretsmanager", self.cloud)
        login = json.loads(secrets.get_secret_value(SecretId=cluster["MasterUserSecret"]["SecretArn"])["SecretString"])
        with self.connect(side, login) as connection:
            return bool(list(_rows(connection, "SELECT 1 FROM mysql.user WHERE user = %s", username)))

    def files(self) -> tuple[dict[str, str], str, dict[str, str]]:
        """Return digests of production's files, where the target's applications look for theirs, and digests of what is there."""
        efs = admin_client(self.production.account, "efs", self.cloud)
        [source] = [
            found["FileSystemId"]
            for page in efs.get_paginator("describe_file_systems").paginate()
            for found in page["FileSystems"]
            if found.get("Name") == self.files_settings["source_file_system"]
        ]
        ssm = admin_client(self.target.account, "ssm", self.cloud)
        published, subpath = (
            ssm.get_parameter(Name=self.files_settings[name])["Parameter"]["Value"]
            for name in ("id_parameter", "subpath_parameter")
        )
        return self._digests(source, "/"), f"{published}:{subpath}", self._digests(published, subpath)

    def _digests(self, file_system: str, subpath: str) -> dict[str, str]:
        root = directory(self.cloud, file_system) / subpath.strip("/")
        files = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def run_record(self, run_id: str) -> list[dict[str, Any]]:
        """Return the items of DynamoDB's run table that name a run."""
        client = admin_client(SHARED, "dynamodb", self.cloud)
        pages = client.get_paginator("scan").paginate(TableName=self.runs_table)
        return [item for page in pages for item in page["Items"] if run_id in json.dumps(item, default=str)]

    def save_report(self, run_id: str, folder: Path) -> Path | None:
        """Copy the report of a run, page and JSON, out of S3.

        :param folder: where to; each run has a folder of its own in it.
        :return: the page; None if the run's record names no report.
        """
        for item in self.run_record(run_id):
            if "report" not in item:
                continue
            bucket, _, key = item["report"]["S"].removeprefix("s3://").partition("/")
            page = folder / Path(key).parent.name / Path(key).name
            page.parent.mkdir(parents=True, exist_ok=True)
            s3 = admin_client(SHARED, "s3", self.cloud)
            for suffix in (".html", ".json"):
                stored = s3.get_object(Bucket=bucket, Key=str(Path(key).with_suffix(suffix)))
                page.with_suffix(suffix).write_bytes(stored["Body"].read())
            return page
        return None

    def notifications(self) -> list[str]:
        """Take every message out of the inbox that the topic feeds, and return their texts."""
        sqs = admin_client(SHARED, "sqs", self.cloud)
        url = sqs.get_queue_url(QueueName="aurora-ops-inbox")["QueueUrl"]
        texts: list[str] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                texts.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return texts


def _changes_every_value(rule: str | dict[str, Any]) -> bool:
    """Whether no value of a column may be found again after masking, by its rule."""
    given = {"mask": rule} if isinstance(rule, str) else rule
    default = "rows" if given.get("mask") in ("date_shift", "number_noise") else "values"
    return "keep" not in given and given.get("proof", default) == "values"


def compare_column(
    source: pymysql.Connection[Any], target: pymysql.Connection[Any], table: str, column: str, chunk: int = CHUNK
) -> Masked:
    """Count the distinct, non-empty values of a column that both databases hold.

    Values are compared by a 16-byte hash of their bytes. A column with more than ``chunk`` values is compared in parts,
    split by checksum in the server, so that memory is bounded however large the table is.
    """
    parts = count(source, table) // chunk + 1
    values = survivors = 0
    for part in range(parts):
        ours = set(_hashes(source, table, column, parts, part))
        values += len(ours)
        survivors += len({digest for digest in _hashes(target, table, column, parts, part) if digest in ours})
    return Masked(table, column, values, survivors)


def count(connection: pymysql.Connection[Any], table: str) -> int:
    """Return the exact number of rows of a table."""
    return int(next(_rows(connection, f"SELECT COUNT(*) FROM `{table}`"))[0])  # noqa: S608  a table's own name


_TABLES = (
    "SELECT table_name FROM information_schema.tables"
    " WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY table_name"
)


def _rows(connection: pymysql.Connection[Any], sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(sql, arguments or None)
        yield from cursor.fetchall_unbuffered()


def _hashes(connection: pymysql.Connection[Any], table: str, column: str, parts: int, part: int) -> Iterator[bytes]:
    name = f"CAST(`{column}` AS CHAR)"
    sql = f"SELECT DISTINCT BINARY {name} FROM `{table}` WHERE {name} <> '' AND CRC32({name}) %% %s = %s"  # noqa: S608
    for (value,) in _rows(connection, sql, parts, part):
        yield _hash(value)


def _hash(value: Any) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return hashlib.blake2b(data, digest_size=16).digest()


def _digest(connection: pymysql.Connection[Any], table: str) -> str:
    """Return a digest of a table's content, whatever the order of its rows."""
    rows: Iterable[bytes] = (_hash(repr(row)) for row in _rows(connection, f"SELECT * FROM `{table}`"))  # noqa: S608
    return hashlib.blake2b(b"".join(sorted(rows)), digest_size=16).hexdigest()
