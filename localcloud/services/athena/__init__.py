"""Athena that answers: queries run in DuckDB over the objects of S3, by the tables of Glue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.athena.models import athena_backends
from moto.athena.urls import url_paths

from localcloud.services.athena.backend import LocalAthenaBackend
from localcloud.services.athena.model import BY_RULE, Execution, Outcome
from localcloud.services.athena.responses import LocalAthenaResponse
from localcloud.services.athena.runs import Runs

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Let queries be answered."""
    LocalAthenaBackend.cloud = cloud
    runs = LocalAthenaBackend.runs = Runs(cloud)
    athena_backends.backend = LocalAthenaBackend
    url_paths["{0}/$"] = LocalAthenaResponse.dispatch

    def resume() -> None:
        """Begin anew what an earlier server left unfinished."""
        for _, _, backend in list(athena_backends.iter_backends()):
            assert isinstance(backend, LocalAthenaBackend)
            for execution in backend.unfinished():
                runs.start(execution)

    def end(account: str, region: str, parameters: dict[str, Any], status: str) -> None:
        """Let the query that a call names end so at once, as a fault rule wants."""
        found: Any = athena_backends[account][region].executions.get(str(parameters.get("QueryExecutionId")))
        if isinstance(found, Execution):
            found.outcome = Outcome(status, time.time(), BY_RULE)

    cloud.on_terminal("athena", end)
    cloud.on_startup(resume)
    cloud.on_shutdown(runs.close)
