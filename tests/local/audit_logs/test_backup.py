"""The backup of audit logs against real logs: as a DAG under its own policies, and killed while servers write and rotate."""

from __future__ import annotations

import random
import signal
from contextlib import suppress
from typing import Any

import pymysql
import pytest

from localcloud.names import PRODUCTION, STAGING
from tests.local.audit_logs.children import Worker
from tests.local.audit_logs.helpers import BINARY, NASTY, Kept, Load, assert_exact, long_statement
from tests.local.cloud.databases import until
from tests.local.cloud.rds_helpers import connect
from tests.local.iam.lab import Lab

pytestmark = pytest.mark.local
DAG_ID = "audit_log_backup_staging"
KILLS = 20


def test_the_dag_stores_every_byte_under_its_own_policies(lab: Lab, kept: Kept, store: Any, production: Any) -> None:
    where, login = production
    for endpoint, login_here in ((where, login), ((store["Endpoint"]["Address"], store["Endpoint"]["Port"]), {})):
        with connect(*endpoint, **login_here) as connection, connection.cursor() as cursor:
            for statement in [
                *NASTY,
                *BINARY,
                *(f"SELECT {number}" for number in range(200)),
                long_statement(1_200_000),
            ]:
                with suppress(pymysql.err.Error):  # what the server refuses is in the log all the same
                    cursor.execute(statement)
    run = lab.run(DAG_ID, {})
    assert run.refused == []
    assert run.state == "success", run.errors
    labels = {task["label"] for name, task in run.tasks.items() if name.startswith("back_up_logs[")}
    assert labels <= {f"{count} instances of {account}" for count in range(1, 9) for account in (PRODUCTION, STAGING)}
    assert labels
    assert until(lambda: lab.run(DAG_ID, {}).state == "success")
    assert_exact(kept)
    calls = run.calls
    assert {"rds:DownloadDBLogFilePortion", "rds:DownloadCompleteDBLogFile", "dynamodb:TransactWriteItems"} <= calls


def test_exactly_once_under_load_kills_and_rotation(
    lab: Lab, kept: Kept, store: Any, production: Any, worker: Worker
) -> None:
    endpoint, login = production
    loads = [
        Load(endpoint, login, seed=1),
        Load((store["Endpoint"]["Address"], store["Endpoint"]["Port"]), {}, seed=2),
    ]
    for load in loads:
        load.start()
    chance = random.Random(3)
    killed = [worker.kill_after(chance.uniform(0.3, 3)) for _ in range(KILLS)]
    for load in loads:
        load.stop()
    assert set(killed) == {-signal.SIGKILL}
    assert min(load.sent for load in loads) > 1000
    assert until(worker.once, 120)
    assert worker.once()
    written = kept.written()
    assert len(written) > 16, "logs were rotated"
    assert_exact(kept)


FAULTS = [
    *({"action": "DownloadDBLogFilePortion", "effect": "odd", "odd": odd}
      for odd in ("early-end", "silent-end", "empty", "zero-marker", "again")),
    {"action": "DownloadDBLogFilePortion", "effect": "broken", "cut_bytes": 500},
    {"action": "DownloadDBLogFilePortion", "effect": "throttle"},
    {"action": "DownloadCompleteDBLogFile", "effect": "broken", "cut_bytes": 5000},
    {"action": "DownloadCompleteDBLogFile", "effect": "error", "code": "AccessDenied"},
    {"action": "DescribeDBLogFiles", "effect": "error", "code": "DBInstanceNotReady"},
    {"service": "s3", "action": "PutObject", "effect": "lost"},
    {"service": "dynamodb", "action": "TransactWriteItems", "effect": "lost"},
    {"service": "dynamodb", "action": "UpdateItem", "effect": "lost"},
]  # fmt: skip


@pytest.mark.slow
def test_everything_that_goes_wrong_once_is_caught_up_with(
    lab: Lab, kept: Kept, store: Any, production: Any, worker: Worker
) -> None:
    where, login = production
    for number, fault in enumerate(FAULTS):
        for endpoint, login_here in ((where, login), ((store["Endpoint"]["Address"], store["Endpoint"]["Port"]), {})):
            with connect(*endpoint, **login_here) as connection, connection.cursor() as cursor:
                for statement in range(200):
                    cursor.execute(f"SELECT {number}, {statement}")
        lab.operation("faults-add", times=1, **{"service": "rds", **fault})
        worker.once()
    lab.operation("faults-clear")
    assert until(worker.once, 120)
    assert worker.once()
    assert_exact(kept)
