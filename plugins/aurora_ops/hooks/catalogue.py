"""AWS Glue: the catalogue in which Athena finds tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aurora_ops.core.audit_logs.compacted import same_table
from aurora_ops.core.errors import AuroraOpsError, BusyError, MissingError, PermanentError
from aurora_ops.hooks.base import AwsHook

_EXISTS = "AlreadyExistsException"
_GONE = "EntityNotFoundException"
_MOST_AT_ONCE, _MOST_DELETED = 100, 25
_ROUNDS = 6


class CatalogueHook(AwsHook):
    """Databases and tables of one account and region."""

    service = "glue"

    def has_database(self, database: str) -> bool:
        """Tell whether a database exists (``GetDatabase``)."""
        try:
            self.call("get_database", Name=database)
        except MissingError:
            return False
        return True

    def require_database(self, database: str) -> bool:
        """Make sure that a database exists (``GetDatabase``, ``CreateDatabase``).

        :return: whether it was made.
        """
        return not self.has_database(database) and self._made("create_database", DatabaseInput={"Name": database})

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
            _refuse("batch_create_partition", table, answer, _EXISTS)
            for refused in answer.get("Errors", []):
                values = tuple(refused["PartitionValues"])
                self.call("update_partition", **where, PartitionValueList=list(values), PartitionInput=batch[values])
            made += len(batch) - len(answer.get("Errors", []))
        return made

    def list_tables(self, database: str) -> list[dict[str, Any]]:
        """List the tables of a database, all pages (``GetTables``)."""
        return self.pages("get_tables", "TableList", DatabaseName=database)

    def find_table(self, database: str, name: str) -> dict[str, Any] | None:
        """Look a table up (``GetTable``); ``None`` where there is none."""
        try:
            return dict(self.call("get_table", DatabaseName=database, Name=name)["Table"])
        except MissingError:
            return None

    def create_table(self, database: str, table: Mapping[str, Any]) -> bool:
        """Make a table (``CreateTable``).

        :param table: its ``TableInput``.
        :return: whether it was made; if not, there is one of that name.
        """
        return self._made("create_table", DatabaseName=database, TableInput=dict(table))

    def change_table(
        self, database: str, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any] | None]
    ) -> dict[str, Any]:
        """Change a table as it is now, whoever else changes it meanwhile (``GetTable``, ``UpdateTable`` of that version).

        :param database: its database.
        :param name: the table.
        :param change: is given the table (``Table``); returns what is different in its ``TableInput``, or ``None``: nothing is.
            It is asked again where somebody was first.
        :return: the table as ``change`` has seen it last.
        :raises BusyError: others were first each time.
        """
        members = self.conn.meta.service_model.shape_for("TableInput").members
        for turn in range(1, _ROUNDS + 1):
            found: dict[str, Any] = self.call("get_table", DatabaseName=database, Name=name)["Table"]
            wanted = change(found)
            if wanted is None:
                return found
            kept = {key: value for key, value in found.items() if key in members}
            try:
                self.call(
                    "update_table",
                    DatabaseName=database,
                    TableInput={**kept, **wanted},
                    VersionId=found.get("VersionId"),
                )
            except BusyError:
                if turn == _ROUNDS:
                    raise
                continue
            return found
        raise AssertionError("the last turn returns or raises")

    def find_partition(self, database: str, table: str, values: Sequence[str]) -> dict[str, Any] | None:
        """Look a partition up (``GetPartition``); ``None`` where there is none."""
        try:
            found = self.call("get_partition", DatabaseName=database, TableName=table, PartitionValues=list(values))
        except MissingError:
            return None
        return dict(found["Partition"])

    def require_partition(
        self,
        database: str,
        table: str,
        partition: Mapping[str, Any],
        stands: Callable[[dict[str, Any]], bool],
        same: Callable[[dict[str, Any]], bool],
    ) -> str:
        """Make a partition, or make what is there as it is wanted, unless that stands.

        The AWS operations are ``BatchCreatePartition``, and where there is one, ``GetPartition`` and ``UpdatePartition``. Glue has
        no condition for the last, so it is looked again afterwards whether somebody else was later.

        :param database: database of the table.
        :param table: the table.
        :param partition: its ``PartitionInput``.
        :param stands: tells of the one that is there (``Partition``) whether it stays.
        :param same: tells whether it is as it is wanted.
        :return: ``made``, ``changed``, ``kept`` or ``stands``.
        :raises BusyError: others change it each time.
        """
        where, values = {"DatabaseName": database, "TableName": table}, list(partition["Values"])
        changed = False
        for _ in range(_ROUNDS):
            found = self.find_partition(database, table, values) if changed else None
            if found is None and self._partition_made(where, partition):
                return "made"
            found = found or self.find_partition(database, table, values)
            if found is None:
                continue  # somebody has just deleted it
            if same(found):
                return "changed" if changed else "kept"
            if stands(found):
                return "stands"
            try:
                self.call("update_partition", **where, PartitionValueList=values, PartitionInput=dict(partition))
            except (BusyError, MissingError) as exc:
                self.log.info("%s %s: %s; looking again", table, values, exc)
                continue
            changed = True
        raise BusyError(f"glue:update_partition {table} {values}: others change it too (retried)")

    def list_partitions(self, database: str, table: str, expression: str) -> list[dict[str, Any]]:
        """List the partitions that an expression is true of, without their columns, all pages (``GetPartitions``)."""
        return self.pages(
            "get_partitions",
            "Partitions",
            DatabaseName=database,
            TableName=table,
            Expression=expression,
            ExcludeColumnSchema=True,
        )

    def delete_partitions(self, database: str, table: str, partitions: Sequence[Sequence[str]]) -> None:
        """Delete partitions, not what they are of (``BatchDeletePartition``, 25 a call); those that are gone are no error.

        :param partitions: values of each.
        :raises PermanentError: one was refused.
        """
        for start in range(0, len(partitions), _MOST_DELETED):
            batch = [{"Values": list(values)} for values in partitions[start : start + _MOST_DELETED]]
            answer = self.call(
                "batch_delete_partition", DatabaseName=database, TableName=table, PartitionsToDelete=batch
            )
            _refuse("batch_delete_partition", table, answer, _GONE)

    def _partition_made(self, where: Mapping[str, str], partition: Mapping[str, Any]) -> bool:
        answer = self.call("batch_create_partition", **where, PartitionInputList=[dict(partition)])
        _refuse("batch_create_partition", where["TableName"], answer, _EXISTS)
        return not answer.get("Errors")

    def _made(self, operation: str, **arguments: Any) -> bool:
        """Make something; that somebody else was first is no error."""
        try:
            self.call(operation, **arguments)
        except AuroraOpsError as exc:
            if _EXISTS not in str(exc):
                raise
            return False
        return True


def _refuse(operation: str, table: str, answer: Mapping[str, Any], harmless: str) -> None:
    """Raise what a batch has refused, but for what is harmless: the call itself succeeds."""
    for refused in answer.get("Errors", []):
        error = refused["ErrorDetail"]
        if error["ErrorCode"] != harmless:
            action = "".join(word.title() for word in operation.split("_"))
            raise PermanentError(
                f"glue:{operation} {table} {refused['PartitionValues']}: {error['ErrorCode']}: "
                f"{error.get('ErrorMessage', '')}; allow glue:{action}, or correct what it says"
            )
