"""A stack of its own in which production's events of snapshots are heard."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from devstack.settings import PRODUCTION
from devstack.snapshot_events import DAG_ID, EXPORT_DAG_ID, snapshot_arn
from devstack.snapshot_exports import provide
from tests.local.conftest import RunningStack, running_stack


def settle(include: Path) -> None:
    """Export every snapshot, and look for what woke nobody each minute."""
    file = include / "config" / "staging.yaml"
    text = file.read_text(encoding="utf-8")
    changes = {
        "events: {}\n": "events: {fallback_min: 1}\n",
        "- name: shop\n": "- name: shop\n      frequency: every\n",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


class Heard:
    """What the tests do with the stack.

    :param stack: the running stack.
    """

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack

    def switch_on(self) -> None:
        """Switch both DAGs on; watchers begin when the file is parsed after that."""
        for dag_id in (EXPORT_DAG_ID, DAG_ID):
            self.stack.api.wait_for_dag(dag_id)
            self.stack.api.set_paused(dag_id, paused=False)
        self.stack.api.parse_again(DAG_ID)

    def take_snapshot(self, name: str) -> tuple[str, datetime]:
        """Take a snapshot of production's database: its ARN, and when it was made."""
        rds = self.stack.aws(PRODUCTION, "rds")
        rds.create_db_cluster_snapshot(DBClusterIdentifier="prod-shop", DBClusterSnapshotIdentifier=name)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        (found,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
        return snapshot_arn(name), found["SnapshotCreateTime"]

    def stored(self) -> int:
        """How many events are in Airflow's database."""
        return int(self.stack.api.request("GET", "/assets/events", limit=1)["total_entries"])

    def stop_storing(self) -> None:
        """Freeze the half of the triggerer that writes to the database; the other one goes on receiving."""
        triggerer = next(child for child in self.stack.stack.children if child.name == "triggerer")
        os.kill(triggerer.recorded.pid, signal.SIGSTOP)

    def exports(self) -> list[str]:
        """Ids of the runs that export."""
        return [run.run_id for run in self.stack.api.runs(EXPORT_DAG_ID)]


@pytest.fixture(scope="session")
def heard() -> Iterator[Heard]:
    """The running stack: with a place for exports, without the queue."""
    with running_stack(along=False, settle=settle) as stack:
        provide(stack.aws)
        yield Heard(stack)
