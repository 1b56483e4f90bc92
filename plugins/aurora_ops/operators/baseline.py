"""The baseline of a source: rows and checksums of its tables, for what is restored from it to be compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from airflow.sdk import Context

from aurora_ops.core import baseline, run_record
from aurora_ops.core.baseline import Baseline, Figures
from aurora_ops.core.errors import VerificationError
from aurora_ops.core.tables import Table
from aurora_ops.core.verification import Suite, read_suite
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.checks import prepare_session, sum_table
from aurora_ops.operators.runs import run_moment, run_name
from aurora_ops.operators.sql import SqlOperator, count_rows, read_keys, user_tables

FILE_NAME = "baseline.json"


class ReportingOperator(SqlOperator):
    """What the operators share that check a cluster in one account and write about it in another.

    :param suite: file of the suite, ``include/sql/validation/<name>.yaml`` (templated).
    :param environment: what the run is for, a part of the keys in the bucket (templated).
    :param report_bucket: bucket (templated).
    :param report_conn_id: connection of the bucket's account; ``None`` is that of the cluster (templated).
    :param report_region: region of the bucket; ``None`` is that of the cluster (templated).
    """

    template_fields: Sequence[str] = (
        *SqlOperator.template_fields,
        "suite",
        "environment",
        "report_bucket",
        "report_conn_id",
        "report_region",
    )

    def __init__(
        self,
        *,
        suite: str,
        environment: str,
        report_bucket: str | None,
        report_conn_id: str | None = None,
        report_region: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.suite = suite
        self.environment = environment
        self.report_bucket = report_bucket
        self.report_conn_id = report_conn_id
        self.report_region = report_region

    @property
    def bucket(self) -> BucketsHook:
        """Buckets of the account that is written to."""
        return BucketsHook(self.report_conn_id or self.aws_conn_id, self.report_region or self.region_name)

    def read_suite(self) -> Suite:
        """Read the suite."""
        return read_suite(Path(self.suite))

    def folder(self, context: Context) -> str:
        """Name the folder of the run in the bucket."""
        dag_run = context["dag_run"]
        return run_record.folder(self.environment, run_moment(dag_run), run_name(dag_run))

    def sum_tables(self, sql: MySqlHook, suite: Suite, tables: Sequence[Table]) -> dict[Table, Figures]:
        """Make the checksums of tables."""
        keys = read_keys(sql) if tables else {}
        return {table: sum_table(sql, table, keys, suite.chunk_rows, self.log.info) for table in tables}


class TakeBaselineOperator(ReportingOperator):
    """Count the rows of a serving cluster's tables, sum up those that a suite names, and keep both as a small JSON file in S3.

    Only reads, each table at a moment of its own: what is written to meanwhile needs a tolerance in the suite. Goes to the reader
    endpoint unless told otherwise. The cluster needs no tag.

    :param cluster_id: the cluster; ``None`` takes no baseline (templated).
    :param known: baseline that is there already, which is given back where none is taken (templated).
    :param endpoint: which endpoint of the cluster is asked.
    :return: ``{"uri", "tables", "rows", "checksums", "taken_at", "seconds"}``.
    :raises VerificationError: a schema of the suite has no table.
    :raises MissingError: a table that the suite sums up does not exist.
    """

    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"orchestrator": ("s3:PutObject",)}
    permissions_in: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": ("rds:DescribeDBClusters", "secretsmanager:GetSecretValue")
    }

    template_fields: Sequence[str] = (*ReportingOperator.template_fields, "known")

    def __init__(
        self, *, known: str | None = None, endpoint: Literal["reader", "writer"] = "reader", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.known = known
        self.endpoint = endpoint

    def take_pass(self, context: Context) -> Result:
        """Take it, unless there is nothing to take it of."""
        return super().take_pass(context) if self.cluster_id else {"uri": self.known}

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Count, sum up, write."""
        suite, started, taken_at = self.read_suite(), time.monotonic(), datetime.now(UTC)
        login = self.master(cluster)
        if self.endpoint == "reader" and cluster.reader_endpoint:
            login = replace(login, host=cluster.reader_endpoint)
        with self.connect(login) as sql:
            prepare_session(sql)
            tables = [table for table in user_tables(sql) if table.schema in suite.schemas]
            if empty := sorted(set(suite.schemas) - {table.schema for table in tables}):
                raise VerificationError(f"{self.cluster_id} has no table in {', '.join(empty)}: that is no baseline")
            summed = [Table.parse(name, "checksums") for name in suite.checksums]
            figures = {table: Figures(rows=rows) for table, rows in count_rows(sql, tables).items()}
            figures |= self.sum_tables(sql, suite, summed)
        found = Baseline(
            cluster_id=self.cluster_id,
            taken_at=taken_at,
            tables={str(table): each for table, each in sorted(figures.items())},
        )
        key = f"{self.folder(context)}/{FILE_NAME}"
        self.bucket.put(str(self.report_bucket), key, baseline.as_json(found), "application/json")
        return {
            "uri": f"s3://{self.report_bucket}/{key}",
            "tables": len(figures),
            "rows": sum(each.rows for each in figures.values()),
            "checksums": len(summed),
            "taken_at": taken_at.isoformat(),
            "seconds": round(time.monotonic() - started, 1),
        }
