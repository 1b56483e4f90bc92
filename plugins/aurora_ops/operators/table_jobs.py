"""Jobs that keep tables: dumped to a file system, and loaded from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from aurora_ops.core import job_commands
from aurora_ops.operators.base import Result
from aurora_ops.operators.kubernetes_jobs import RunJobOperator


class DumpTablesJobOperator(RunJobOperator):
    """Dump tables into the folder that the job has at ``core.job_commands.DUMP_PATH``, in place of a former dump.

    :param tables: ``schema.table`` names (templated).
    :return: as :class:`RunJobOperator`.
    :raises ConfigError: a name is not of that form.
    """

    template_fields: Sequence[str] = (*RunJobOperator.template_fields, "tables")

    def __init__(self, *, tables: list[str], **kwargs: Any) -> None:
        super().__init__(**{"command": [], **kwargs})
        self.tables = tables

    def take_pass(self, context: Context) -> Result:
        """Write the command, and take a pass of the job."""
        self.command = job_commands.dump(self.tables)
        return super().take_pass(context)


class LoadTablesJobOperator(RunJobOperator):
    """Load what a job has dumped, each table in place of the one of its name, and prove the rows the same.

    :param schemas: schemas whose dumps are loaded (templated).
    :return: as :class:`RunJobOperator`.
    """

    template_fields: Sequence[str] = (*RunJobOperator.template_fields, "schemas")

    def __init__(self, *, schemas: list[str], **kwargs: Any) -> None:
        super().__init__(**{"command": [], **kwargs})
        self.schemas = schemas

    def take_pass(self, context: Context) -> Result:
        """Write the command, and take a pass of the job."""
        self.command = job_commands.load(self.schemas)
        return super().take_pass(context)
