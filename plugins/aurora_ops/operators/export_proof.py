"""Proving that an export can be asked: its rows counted through Athena."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from airflow.triggers.base import BaseTrigger

from aurora_ops.core.errors import PermanentError, TransientError, VerificationError, WaitTimeoutError
from aurora_ops.core.exports import names
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.core.wait import Wait, poll_interval_s
from aurora_ops.hooks.base import aws_errors
from aurora_ops.hooks.queries import SUCCEEDED, QueriesHook
from aurora_ops.operators.exported import BY_DATABASE, place_of
from aurora_ops.triggers.wait import WaitTrigger

QUERIES: tuple[str, ...] = (
    "athena:StartQueryExecution",
    "athena:GetQueryExecution",
    "athena:GetQueryResults",
    "athena:StopQueryExecution",
    "glue:GetDatabase",
    "glue:GetTable",
    "glue:GetPartitions",
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:GetObject",
    "s3:PutObject",
    "kms:Decrypt",
    "kms:GenerateDataKey",
)

QUERY_KEY = "query"

_WITHIN_S = 1800
_EVERY_S = 5
_GRACE_S = 600


class ProveExportOperator(AthenaOperator):
    """Count an export's largest tables through Athena, and compare with what their Parquet files say.

    The AWS operations are ``StartQueryExecution``, ``GetQueryExecution`` and ``GetQueryResults``, and ``StopQueryExecution`` where
    nobody waits for a query any more. Traps of the provider's operator that this one mends:

    - it is done when a query has succeeded, and gives its identifier back; nobody reads what was answered. Here it is read;
    - a call that is repeated because its answer was lost runs the query again. Here each try has a token
      (``ClientRequestToken``); a further try has another one, since with the same Athena would answer with the query that failed;
    - deferred, it waits 999,999 times, by a trigger of its own that needs aiobotocore and whose failure is no more than a
      status; not deferred, what goes wrong while it polls is logged and swallowed. Here the wait is bounded, and Athena's reason
      is raised, permanent or not as Athena says;
    - account, region, database and work group are those of the task; here those of the export's database.

    Skips itself where the settings want no proof.

    :param settings: ``core.settings_exports.Exports`` as a dictionary.
    :param accounts: ``source`` and ``target`` to ``aws_conn_id`` and ``region`` of each.
    :param exported: result of ``export_snapshot`` (templated).
    :param smoke: ``{"query", "rows"}`` of ``catalogue_export``: SQL that answers table and count, and what is expected (templated).
    :return: ``{"tables", "rows", "query_id"}``: what was counted; ``query_id`` is ``None`` where there was nothing to count.
    :raises VerificationError: a table has another number of rows; each is named with both.
    :raises PermanentError: the query failed.
    :raises TransientError: the query failed, and Athena says that it may pass another time.
    """

    permissions: ClassVar[tuple[str, ...]] = QUERIES
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": QUERIES, "target": QUERIES}
    template_fields: Sequence[str] = (*AthenaOperator.template_fields, "exported", "smoke")

    def __init__(
        self, *, settings: dict[str, Any], accounts: dict[str, dict[str, str]], exported: Any, smoke: Any, **kwargs: Any
    ) -> None:
        given = {"aws_conn_id": BY_DATABASE, "query": "", "deferrable": True, "multiple_outputs": True, **kwargs}
        super().__init__(**given)
        self.settings = settings
        self.accounts = accounts
        self.exported = exported
        self.smoke = smoke

    def execute(self, context: Context) -> Any:
        """Ask, and wait."""
        about = self._go_there()
        if not about.catalogue.proof:
            raise AirflowSkipException(f"catalogue.proof of {about.name} is off")
        if not self.smoke["query"]:
            self.log.info("there is nothing to count")
            return {"tables": 0, "rows": 0, "query_id": None}
        self.query, self.database = self.smoke["query"], about.glue_database
        self.workgroup = about.catalogue.workgroup or names.workgroup(about.name)
        self.sleep_time = round(poll_interval_s(_EVERY_S))
        self.max_polling_attempts = max(1, _WITHIN_S // max(self.sleep_time, 1))
        self.client_request_token = self._token(context)
        self._ti = context["ti"]
        try:
            with aws_errors(f"athena:start_query_execution in {self.workgroup}"):
                super().execute(context)
        except AirflowException:  # not deferred, and it did not succeed: why is said below
            self.log.info("query %s did not succeed", self.query_execution_id)
        return self._compared(str(self.query_execution_id))

    def defer(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
        timeout: timedelta | float | None = None,
    ) -> NoReturn:
        """Wait as everything here does, instead of as the provider does."""
        self._ti.xcom_push(key=QUERY_KEY, value=self.query_execution_id)
        until = Wait(
            waiter="query_succeeded",
            args={"QueryExecutionId": str(self.query_execution_id)},
            show="QueryExecution.Status",
            within_s=_WITHIN_S,
            every_s=_EVERY_S,
        )
        super().defer(
            trigger=WaitTrigger(
                service="athena",
                until=until.as_json(),
                aws_conn_id=str(self.aws_conn_id),
                region_name=self.region_name,
            ),
            method_name="read_answer",
            kwargs=None,
            timeout=timedelta(seconds=_WITHIN_S + _GRACE_S),
        )

    def read_answer(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the wait.

        :param context: Airflow's context.
        :param event: what the trigger saw.
        """
        self._go_there()
        ti = context["ti"]
        self.query_execution_id = ti.xcom_pull(task_ids=self.task_id, key=QUERY_KEY, map_indexes=ti.map_index)
        if event["status"] == "timeout":
            self._queries.stop(str(self.query_execution_id))
            raise WaitTimeoutError(event["message"])
        return self._compared(str(self.query_execution_id))

    def _compared(self, query_id: str) -> dict[str, Any]:
        """Read what was answered, and judge."""
        hook = self._queries
        found = hook.find_query(query_id)
        if found.under_way:  # what watched it has failed; a further try asks anew
            hook.stop(query_id)
        if found.state != SUCCEEDED:
            kind = TransientError if found.may_pass else PermanentError
            raise kind(f"athena: query {query_id} is {found.state}: {found.reason}")
        counts = {str(table): int(count or 0) for table, count in hook.read_rows(query_id)}
        wrong = [
            f"- {table}: Athena counts {counts.get(table, 'nothing')}, the files have {rows}"
            for table, rows in sorted(self.smoke["rows"].items())
            if counts.get(table) != rows
        ]
        if wrong:
            raise VerificationError(
                f"Athena does not read export {self.exported['task_id']} as it is (query {query_id}); look at the partitions of "
                f"{self.exported['date']}, or clear catalogue_export where another snapshot of that day was exported meanwhile:\n"
                + "\n".join(wrong)
            )
        return {"tables": len(counts), "rows": sum(counts.values()), "query_id": query_id}

    @property
    def _queries(self) -> QueriesHook:
        return QueriesHook(str(self.aws_conn_id), self.region_name)

    def _go_there(self) -> ExportedDatabase:
        """Find out whose export it is."""
        about = Exports.model_validate(self.settings).database(self.exported["database"])
        self.aws_conn_id, self.region_name = place_of(about, self.accounts)
        return about

    def _token(self, context: Context) -> str:
        ti, dag_run = context["ti"], context["dag_run"]
        whole = [dag_run.dag_id, dag_run.run_id, self.task_id, ti.map_index, ti.try_number, self.query]
        return hashlib.sha256("\n".join(str(part) for part in whole).encode()).hexdigest()
