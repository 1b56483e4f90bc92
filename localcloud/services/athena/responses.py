"""Athena's operations, from the call to the answer."""

from __future__ import annotations

import json
import time
from typing import Any

from moto.athena.models import athena_backends
from moto.athena.responses import AthenaResponse

from localcloud.services.athena.backend import LocalAthenaBackend
from localcloud.services.athena.errors import InvalidRequest

MOST_IDS = 50


class LocalAthenaResponse(AthenaResponse):
    """moto's answers, where localcloud has others."""

    @property
    def _given(self) -> dict[str, Any]:
        given: dict[str, Any] = json.loads(self.body or "{}")
        return given

    @property
    def _athena(self) -> LocalAthenaBackend:
        backend = athena_backends[self.current_account][self.region]
        assert isinstance(backend, LocalAthenaBackend)
        return backend

    def start_query_execution(self) -> str:
        """StartQueryExecution."""
        return json.dumps({"QueryExecutionId": self._athena.start(self._given)})

    def get_query_execution(self) -> str:
        """GetQueryExecution."""
        execution = self._athena.execution(self._given["QueryExecutionId"])
        return json.dumps({"QueryExecution": execution.shown(time.time())})

    def batch_get_query_execution(self) -> str:
        """BatchGetQueryExecution."""
        wanted = self._given["QueryExecutionIds"]
        if len(wanted) > MOST_IDS:
            raise InvalidRequest(f"QueryExecutionIds has {len(wanted)} items; {MOST_IDS} are allowed")
        found, missing = [], []
        for number in wanted:
            try:
                found.append(self._athena.execution(number).shown(time.time()))
            except InvalidRequest as error:
                missing.append(
                    {"QueryExecutionId": number, "ErrorCode": "INVALID_INPUT", "ErrorMessage": str(error.message)}
                )
        return json.dumps({"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing})

    def list_query_executions(self) -> str:
        """ListQueryExecutions."""
        given = self._given
        numbers, token = self._athena.list_executions(
            given.get("WorkGroup") or "primary", given.get("MaxResults"), given.get("NextToken")
        )
        return json.dumps({"QueryExecutionIds": numbers, **({"NextToken": token} if token else {})})

    def stop_query_execution(self) -> str:
        """StopQueryExecution; of a query that has ended nothing changes."""
        self._athena.runs.stop(self._athena.execution(self._given["QueryExecutionId"]))
        return "{}"

    def get_query_results(self) -> str:
        """GetQueryResults."""
        given = self._given
        return json.dumps(
            self._athena.results(given["QueryExecutionId"], given.get("MaxResults"), given.get("NextToken"))
        )

    def get_query_runtime_statistics(self) -> str:
        """GetQueryRuntimeStatistics."""
        return json.dumps(self._athena.execution(self._given["QueryExecutionId"]).runtime(time.time()))

    def create_work_group(self) -> str:
        """CreateWorkGroup."""
        given = self._given
        if given["Name"] in self._athena.work_groups:
            raise InvalidRequest("WorkGroup is already created")
        self._athena.create_work_group(
            given["Name"], given.get("Configuration") or {}, given.get("Description", ""), given.get("Tags") or []
        )
        return "{}"

    def get_work_group(self) -> str:
        """GetWorkGroup."""
        self._athena.group(self._given["WorkGroup"])
        return json.dumps({"WorkGroup": self._athena.get_work_group(self._given["WorkGroup"])})

    def update_work_group(self) -> str:
        """UpdateWorkGroup."""
        self._athena.update_group(self._given)
        return "{}"

    def delete_work_group(self) -> str:
        """DeleteWorkGroup."""
        self._athena.delete_group(self._given["WorkGroup"], recursive=bool(self._given.get("RecursiveDeleteOption")))
        return "{}"

    def get_database(self) -> str:
        """GetDatabase."""
        return json.dumps({"Database": self._athena.database(self._given["DatabaseName"])})

    def list_databases(self) -> str:
        """ListDatabases."""
        return json.dumps({"DatabaseList": self._athena.catalogue()})

    def get_table_metadata(self) -> str:
        """GetTableMetadata."""
        given = self._given
        return json.dumps({"TableMetadata": self._athena.table(given["DatabaseName"], given["TableName"])})

    def list_table_metadata(self) -> str:
        """ListTableMetadata."""
        return json.dumps({"TableMetadataList": self._athena.tables(self._given["DatabaseName"])})
