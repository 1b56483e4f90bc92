"""Tables that are kept: dumped from what serves today, loaded into what will serve."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import kept_tables
from aurora_ops.core.errors import ConfigError, MissingError, VerificationError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.tables import Table, quoted
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.sql import SqlOperator

_BATCH_ROWS = 500
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_LONGEST_TABLE_NAME = 64
# Two tables of a schema cannot have a foreign key of the same name, and for a moment there are two.
_FOREIGN_KEY_NAME = re.compile(r"CONSTRAINT `(?:[^`]|``)+` FOREIGN KEY")
# The master user of Aurora may not create triggers in another user's name.
_DEFINER = re.compile(r"DEFINER=\S+ ")


class DumpTablesOperator(SqlOperator):
    """Write tables of a cluster to S3, one object each.

    One consistent read of all of them; memory stays at one row, disk at the largest table, packed. Running again writes the same
    keys.

    :param tables: ``schema.table`` names (templated); none is nothing to do.
    :param bucket: bucket of the same account (templated).
    :param prefix: key prefix of the run (templated).
    :return: ``{"objects": {table: key}, "rows": {table: count}}``.
    :raises MissingError: a table does not exist.
    """

    permissions: ClassVar[tuple[str, ...]] = (*SqlOperator.permissions, "s3:PutObject")
    template_fields: Sequence[str] = (*SqlOperator.template_fields, "tables", "bucket", "prefix")

    def __init__(self, *, tables: list[str], bucket: str | None, prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tables = tables
        self.bucket = bucket
        self.prefix = prefix

    def take_pass(self, context: Context) -> Result:
        """Nothing to keep needs no cluster."""
        return super().take_pass(context) if self.tables else {"objects": {}, "rows": {}}

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Dump each table."""
        if not self.bucket:
            raise ConfigError("database.keep_bucket", self.bucket, "name a bucket for the tables that are kept")
        objects, counts = {}, {}
        with self.connect(self.master(cluster), raw=True) as sql:
            sql.run("START TRANSACTION WITH CONSISTENT SNAPSHOT", what="begin")
            for name in self.tables:
                key = f"{self.prefix}/{name}.jsonl.gz"
                counts[name] = self._dump(sql, Table.parse(name, "keep_tables"), key)
                objects[name] = key
        return {"objects": objects, "rows": counts}

    def _dump(self, sql: MySqlHook, table: Table, key: str) -> int:
        columns = _columns(sql, table)
        if not columns:
            raise MissingError(f"keep_tables: no table {table} in cluster {self.cluster_id}")
        header = {
            "table": str(table),
            "columns": [name for name, _ in columns],
            "create": sql.rows(f"SHOW CREATE TABLE {table.sql}", what=f"describe {table}")[0][1],
            "triggers": _triggers(sql, table),
        }
        # FLOAT is sent with six digits unless asked for as DOUBLE
        wanted = ", ".join(f"{quoted(n)} + 0e0" if kind == "float" else quoted(n) for n, kind in columns)
        rows = sql.stream(f"SELECT {wanted} FROM {table.sql}", what=f"dump {table}")  # noqa: S608 - names are quoted
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as body:
            count = kept_tables.write(body, header, rows)  # type: ignore[arg-type]
            body.seek(0)
            BucketsHook(self.aws_conn_id, self.region_name).upload(str(self.bucket), key, body)  # type: ignore[arg-type]
        return count


class LoadTablesOperator(SqlOperator):
    """Put dumped tables into a cluster, in place of those of the same name.

    Each is built beside the present one, which is then dropped, and takes its name; foreign keys of other tables find it again by
    name. (Were the present one renamed, they would follow it.) The table comes back as it was dumped, definition and triggers
    included.

    :param objects: table to key, as ``DumpTablesOperator`` returns it (templated).
    :param bucket: bucket of the same account (templated).
    :return: ``{"rows": {table: count}}``.
    :raises SafetyError: the cluster is not tagged ``refresh=true``.
    :raises VerificationError: fewer rows arrived than were sent.
    """

    permissions: ClassVar[tuple[str, ...]] = (*SqlOperator.permissions, "s3:GetObject")
    template_fields: Sequence[str] = (*SqlOperator.template_fields, "objects", "bucket")

    def __init__(self, *, objects: dict[str, str], bucket: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.objects = objects
        self.bucket = bucket

    def take_pass(self, context: Context) -> Result:
        """Nothing kept needs no cluster."""
        return super().take_pass(context) if self.objects else {"rows": {}}

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Load each table."""
        require_refreshable(self.cluster_id, cluster.tags)
        counts = {}
        with self.connect(self.master(cluster), raw=True) as sql:
            sql.run("SET foreign_key_checks = 0", what="prepare load")
            for name, key in self.objects.items():
                counts[name] = self._load(sql, Table.parse(name, "objects"), key)
        return {"rows": counts}

    def _load(self, sql: MySqlHook, table: Table, key: str) -> int:
        content = kept_tables.read(BucketsHook(self.aws_conn_id, self.region_name).open(str(self.bucket), key))
        header = next(content)
        fresh = table._replace(name=("aurora_ops_new_" + table.name)[:_LONGEST_TABLE_NAME])
        sql.run(f"CREATE DATABASE IF NOT EXISTS {quoted(table.schema)}", what="prepare load")
        sql.run(f"DROP TABLE IF EXISTS {fresh.sql}", what="prepare load")
        create = _FOREIGN_KEY_NAME.sub("FOREIGN KEY", str(header["create"])).replace(quoted(table.name), fresh.sql, 1)
        sql.run(create, what=f"create {table}")
        names = ", ".join(quoted(name) for name in header["columns"])
        marks = ", ".join(["%s"] * len(header["columns"]))
        count = 0
        for batch in kept_tables.batches(content, _BATCH_ROWS):
            sql.run_many(f"INSERT INTO {fresh.sql} ({names}) VALUES ({marks})", batch, what=f"load {table}")  # noqa: S608
            count += len(batch)
        arrived = int(sql.rows(f"SELECT COUNT(*) FROM {fresh.sql}", what=f"count {table}")[0][0])  # noqa: S608
        if arrived != count:
            raise VerificationError(f"{table}: {count} rows were kept and {arrived} arrived")
        sql.run(f"DROP TABLE IF EXISTS {table.sql}", what=f"swap {table}")
        sql.run(f"RENAME TABLE {fresh.sql} TO {table.sql}", what=f"swap {table}")
        sql.run(f"USE {quoted(table.schema)}", what="prepare load")
        for statement in header["triggers"]:
            sql.run(_DEFINER.sub("", statement, count=1), what=f"trigger of {table}")
        return count


class DeleteObjectsOperator(RefreshOperator[BucketsHook]):
    """Delete what a run has put into a bucket.

    :param bucket: the bucket; ``None`` is nothing to do (templated).
    :param prefix: key prefix of the run, never empty; ``None`` is nothing to do (templated).
    :return: ``{"deleted": count}``.
    :raises ConfigError: the prefix is empty, which would mean the whole bucket.
    """

    hook_class = BucketsHook
    permissions: ClassVar[tuple[str, ...]] = ("s3:ListBucket", "s3:DeleteObject")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "bucket", "prefix")

    def __init__(self, *, bucket: str | None, prefix: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bucket = bucket
        self.prefix = prefix

    def take_pass(self, context: Context) -> Result:
        """List and delete."""
        if self.prefix is None or not self.bucket:
            return {"deleted": 0}
        if not self.prefix or not self.prefix.strip("/"):
            raise ConfigError("prefix", self.prefix, "name the run's own prefix")
        keys = self.hook.list_keys(self.bucket, self.prefix + "/")
        self.hook.delete_keys(self.bucket, keys)
        return {"deleted": len(keys)}


def _columns(sql: MySqlHook, table: Table) -> list[tuple[str, str]]:
    """List a table's columns that can be written: (name, type); generated ones are left out."""
    return [
        (name, kind)
        for name, kind in sql.rows(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
            "AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
            (table.schema, table.name),
            what=f"describe {table}",
        )
    ]


def _triggers(sql: MySqlHook, table: Table) -> list[str]:
    names = sql.rows(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s "
        "ORDER BY ACTION_ORDER, TRIGGER_NAME",
        (table.schema, table.name),
        what=f"describe {table}",
    )
    return [
        sql.rows(f"SHOW CREATE TRIGGER {quoted(table.schema)}.{quoted(name)}", what=f"describe {table}")[0][2]
        for name in chain.from_iterable(names)
    ]
