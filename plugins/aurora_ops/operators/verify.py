"""Verification: that a cluster's data and users are as they must be, before and after it serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from aurora_ops.core import masking
from aurora_ops.core.errors import StateError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.tables import Table, quoted
from aurora_ops.core.verification import Finding, compare_rows, judge
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.checks import run_queries
from aurora_ops.operators.sql import SqlOperator, count_rows, user_tables
from aurora_ops.operators.user_probes import Tried, probe_users, read_targets

_ROW_COUNTS = f"{quoted(masking.SCRATCH)}.row_counts"


class VerifyDatabaseOperator(SqlOperator):
    """Check a cluster's data and users; any finding fails the task.

    Checked are: tables are there and none is missing or extra; row counts are those that the snapshot had (tables that were kept
    from the target aside); every query in ``include/sql/validation/<schema>/``, which returns rows of name, ok, detail; each user's
    login, with what it may and must not be able to do. At the end the scratch schema is dropped.

    :param folders: folders of validation queries; the name of each is its schema.
    :param kept_rows: table to rows of the tables that were kept, ``None`` where what loaded it has compared them (templated).
    :param users: ``core.users.User`` as dictionaries.
    :param exact: users whose rights are given must have nothing beyond them.
    :param versions: secret id to the version to log in with; ``None`` is what is current (templated).
    :return: ``{"checks": count, "tables": count, "rows": count}``.
    :raises VerificationError: a check failed; all that did are named.
    """

    template_fields: Sequence[str] = (*SqlOperator.template_fields, "kept_rows", "versions")

    def __init__(
        self,
        *,
        folders: list[str],
        users: list[dict[str, Any]],
        exact: bool = False,
        kept_rows: dict[str, int | None] | None = None,
        versions: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folders = folders
        self.users = users
        self.exact = exact
        self.kept_rows = kept_rows
        self.versions = versions

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Run every check, then judge."""
        master = self.master(cluster)
        require_refreshable(self.cluster_id, cluster.tags)
        with self.connect(master) as sql:
            counts = count_rows(sql, user_tables(sql))
            findings = [*self._compared(sql, counts), *run_queries(sql, self.folders)]
            targets, routines = read_targets(sql, [Path(folder).name for folder in self.folders])
            with self.timing.span("sql", "probe users"):
                tried = Tried(targets, routines, exact=self.exact)
                findings += probe_users(self.users, self.secrets, master, self.versions, tried)
            judge(self.cluster_id, findings)
            sql.run(f"DROP DATABASE IF EXISTS {quoted(masking.SCRATCH)}", what="drop scratch schema")
        for found in findings:
            self.log.info("ok: %s %s", found.name, found.detail)
        return {"checks": len(findings), "tables": len(counts), "rows": sum(counts.values())}

    def _compared(self, sql: MySqlHook, counts: dict[Table, int]) -> list[Finding]:
        """Compare tables and rows with what the snapshot had."""
        if not counts:
            return [Finding("tables", "tables", False, "there are none")]
        known = sql.rows(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'row_counts'",
            (masking.SCRATCH,),
            what="row counts",
        )[0][0]
        if not known:
            return [Finding("tables", "tables", True, str(len(counts)))]
        baseline = {
            Table(schema, name): int(count)
            for schema, name, count in sql.rows(f"SELECT * FROM {_ROW_COUNTS}", what="row counts")  # noqa: S608
        }
        for name, count in (self.kept_rows or {}).items():
            table = Table.parse(name, "kept_rows")
            baseline[table] = counts.get(table, 1) if count is None else count
        return compare_rows(counts, baseline)


class VerifyServingOperator(SqlOperator):
    """Check from where applications stand that the cluster behind a name is the one that should be.

    Compares the resource id, then logs in through the serving endpoint as each user with what its secret holds now.

    :param resource_id: ``DbClusterResourceId`` that must be behind the name (templated).
    :param users: ``core.users.User`` as dictionaries (templated).
    :return: ``{"endpoint", "resource_id", "checks"}``.
    :raises StateError: another cluster has the name.
    :raises VerificationError: a login failed, or a user may do what it must not.
    """

    template_fields: Sequence[str] = (*SqlOperator.template_fields, "resource_id", "users")

    def __init__(self, *, resource_id: str, users: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resource_id = resource_id
        self.users = users

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Compare and log in."""
        if cluster.resource_id != self.resource_id:
            raise StateError(
                f"{self.cluster_id} is cluster {cluster.resource_id}, not the refreshed {self.resource_id}"
            )
        master = self.master(cluster)
        with self.connect(master) as sql:
            tables = user_tables(sql)
        findings = [Finding("tables", "tables", bool(tables), f"{len(tables)}")]
        with self.timing.span("sql", "probe users"):
            findings += probe_users(self.users, self.secrets, master, None)
        judge(self.cluster_id, findings)
        return {"endpoint": cluster.endpoint, "resource_id": cluster.resource_id, "checks": len(findings)}
