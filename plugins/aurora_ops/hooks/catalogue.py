"""AWS Glue: the catalogue in which Athena finds tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aurora_ops.core.audit_logs.compacted import same_table
from aurora_ops.core.errors import AuroraOpsError, MissingError, PermanentError
from aurora_ops.hooks.base import AwsHook

_EXISTS = "AlreadyExistsException"
_MOST_AT_ONCE = 100


class CatalogueHook(AwsHook):
    """Databases and tables of one account and region."""

    service = "glue"

    def require_database(self, database: str) -> bool:
        """Make sure that a database exists (``GetDatabase``, ``CreateDatabase``).

        :return: whether it was made.
        """
        try:
            self.call("get_database", Name=database)
        except MissingError:
            return self._made("create_database", DatabaseInput={"Name": database})
        return False

    def require_table(self, database: str, table: Mapping[str, Any]) -> str:
        """Make sure that a table is as it is wanted (``GetTable``, ``CreateTable``, ``UpdateTable``).

        :param database: its database.
        :param table: its ``TableInput``.
        :return: ``kept``, ``made`` or ``changed``.
        """
        try:
            found = self.call("get_table", DatabaseName=database, Name=table["Name"])["Table"]
        except MissingError:
            self._made("create_table", DatabaseName=database, TableInput=dict(table))
            return "made"
        if same_table(found, table):
            return "kept"
        self.call("update_table", DatabaseName=database, TableInput=dict(table))
        return "changed"

    def put_partitions(self, database: str, table: str, partitions: Sequence[Mapping[str, Any]]) -> int:
        """Make partitions, and those that exist as they are wanted (``BatchCreatePartition``, ``UpdatePartition``).

        :param database: database of the table.
        :param table: the table.
        :param partitions: each one's ``PartitionInput``.
        :return: how many were made.
        :raises PermanentError: one was refused.
        """
        where, made = {"DatabaseName": database, "TableName": table}, 0
        for start in range(0, len(partitions), _MOST_AT_ONCE):
            batch = {tuple(one["Values"]): dict(one) for one in partitions[start : start + _MOST_AT_ONCE]}
            answer = self.call("batch_create_partition", **where, PartitionInputList=list(batch.values()))
            for refused in answer.get("Errors", []):
                values, error = tuple(refused["PartitionValues"]), refused["ErrorDetail"]
                if error["ErrorCode"] != _EXISTS:
                    raise PermanentError(
                        f"glue:batch_create_partition {table} {values}: {error['ErrorCode']}: {error.get('ErrorMessage', '')}; "
                        f"allow glue:BatchCreatePartition, or correct audit_logs.compaction"
                    )
                self.call("update_partition", **where, PartitionValueList=list(values), PartitionInput=batch[values])
            made += len(batch) - len(answer.get("Errors", []))
        return made

    def _made(self, operation: str, **arguments: Any) -> bool:
        """Make something; that somebody else was first is no error."""
        try:
            self.call(operation, **arguments)
        except AuroraOpsError as exc:
            if _EXISTS not in str(exc):
                raise
            return False
        return True
