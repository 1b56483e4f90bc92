"""Queries under way, each in a thread of its own, a few at a time."""

from __future__ import annotations

import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from localcloud.services.athena.asking import Asking
from localcloud.services.athena.catalog import Catalog
from localcloud.services.athena.commands import read_command
from localcloud.services.athena.ddl import run_command
from localcloud.services.athena.engine import Result, run_query
from localcloud.services.athena.errors import MalformedQueryError, QueryError, unsupported
from localcloud.services.athena.model import BY_RULE, Outcome
from localcloud.services.athena.objects import put
from localcloud.services.athena.statements import OTHERS, Statement, bind, read_statement
from localcloud.services.athena.values import column_info

if TYPE_CHECKING:
    import duckdb

    from localcloud.cloud import Cloud
    from localcloud.services.athena.model import Execution

log = logging.getLogger(__name__)

AT_ONCE = 2
STOPPED = "Query cancelled by user"


class Runs:
    """Runs queries.

    :param cloud: whose objects and tables are read.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="athena")
        self._lock = threading.Lock()
        self._running: dict[str, duckdb.DuckDBPyConnection] = {}

    def start(self, execution: Execution) -> None:
        """Run a query as soon as there is room."""
        self._pool.submit(self._run, execution)

    def stop(self, execution: Execution) -> None:
        """Cancel a query, if it has not ended."""
        with self._lock:
            if execution.state(time.time()) in {"QUEUED", "RUNNING"}:
                execution.outcome = Outcome("CANCELLED", time.time(), STOPPED)
            connection = self._running.get(execution.id)
        if connection is not None:
            connection.interrupt()

    def close(self) -> None:
        """Interrupt what runs, and wait for it; after a restart with the state it begins anew."""
        with self._lock:
            running = list(self._running.values())
        for connection in running:
            connection.interrupt()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, execution: Execution) -> None:
        if execution.outcome is not None or execution.ends_in == "RUNNING":  # it runs until somebody stops it
            return
        asking = Asking(self._cloud, execution.caller, execution.region)
        try:
            outcome = self._outcome(execution, asking)
        except QueryError as error:
            code = str(error).partition(":")[0]
            outcome = Outcome("FAILED", time.time(), str(error), code=code)
        except Exception:
            log.exception("the query %s crashed", execution.id)
            reason = "GENERIC_INTERNAL_ERROR: localcloud crashed; the traceback is in server.log"
            outcome = Outcome("FAILED", time.time(), reason)
        finally:
            with self._lock:
                self._running.pop(execution.id, None)
        with self._lock:
            if execution.outcome is None:
                execution.outcome = outcome
        self._cloud.store.save("athena")

    def _outcome(self, execution: Execution, asking: Asking) -> Outcome:
        if execution.ends_in:
            return Outcome(execution.ends_in, time.time(), BY_RULE)
        try:
            statement = bind(read_statement(execution.query), execution.parameters)
        except MalformedQueryError as error:
            raise QueryError("", str(error)) from None
        result = self._result(execution, statement, asking)
        if execution.cutoff and result.scanned > execution.cutoff:
            return Outcome("CANCELLED", time.time(), "Bytes scanned limit was exceeded", scanned=result.scanned)
        put(execution.location, result.content, asking, execution.encryption)
        told = {"queryExecutionId": execution.id, "columns": [column_info(one) for one in result.columns]}
        put(f"{execution.location}.metadata", json.dumps(told).encode(), asking, execution.encryption)
        return Outcome(
            "SUCCEEDED",
            time.time(),
            columns=result.columns,
            rows=result.rows,
            result_bytes=len(result.content),
            input_rows=result.input_rows,
            scanned=result.scanned,
        )

    def _result(self, execution: Execution, statement: Statement, asking: Asking) -> Result:
        catalog = Catalog(asking, execution.database)
        if statement.verb in OTHERS:
            raise unsupported(statement.verb)
        if statement.kind != "DML":
            try:
                return run_command(read_command(statement), catalog, asking)
            except MalformedQueryError as error:
                raise QueryError("", str(error)) from None
        if execution.catalog.lower() != "awsdatacatalog":
            raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{execution.catalog}' does not exist")

        def started(connection: duckdb.DuckDBPyConnection) -> None:
            with self._lock:
                self._running[execution.id] = connection

        scratch = self._cloud.config.home / "athena"
        return run_query(statement, catalog, asking, scratch, started)
