"""A backfill of exports on this machine: days of snapshots gone by, somebody else's tasks, and what became of it all."""

from __future__ import annotations

import heapq
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from devstack import waiting
from devstack.settings import PRODUCTION, REGION
from devstack.snapshot_exports import ALIAS, BUCKET, NAME, ROLE_ARN, export_by_hand
from devstack.stack import Stack
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from localcloud.recorder import read_calls

DAG_ID = "snapshot_export_staging"
SOURCE, LIKE = "prod-shop", "backfill-data"
DATABASES = {"shop": SOURCE, "orders": "prod-orders", "billing": "prod-billing"}
BY_HAND = "by-hand"
HOUR = 4
MOST_RUNS = 6
"""Days of the backfill at a time."""
_LOOKS_EVERY_S = 2.0  # looking takes the processors that the backfill needs
_KILLED = ("scheduler", "triggerer", "api-server", "dag-processor")


@dataclass(frozen=True)
class Span:
    """An export task, from its start to its end, epoch seconds."""

    task_id: str
    begin: float
    end: float


def settle(include: Path, *, proof: bool = True) -> None:
    """Have three databases exported to one bucket, by one role, under one key.

    :param include: folder whose environment's file is changed.
    :param proof: whether each export is counted through Athena.
    """
    file = include / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    (first,) = content["exports"]["databases"]
    shared = {
        "bucket": BUCKET,
        "role_arn": ROLE_ARN,
        "kms_key_id": ALIAS,
        "catalogue": {"workgroup": NAME, "proof": proof},
    }
    content["exports"] |= {
        "most_runs": MOST_RUNS,
        "databases": [{**first, **shared, "name": name, "cluster": cluster} for name, cluster in DATABASES.items()],
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


class Backfill:
    """Snapshots of days gone by, and their export with one command.

    :param stack: the running stack.
    :param aws: gives clients with all rights, for an account and a service.
    :param days: how many days, up to the day before yesterday: the last one's interval is over.
    """

    def __init__(self, stack: Stack, aws: Callable[[str, str], Any], days: int) -> None:
        self.stack = stack
        self.aws = aws
        self.cloud = CloudConfig.from_env(stack.config.cloud_env())
        self._rds = aws(PRODUCTION, "rds")
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.days = [today - timedelta(days=number) for number in range(days + 1, 1, -1)]
        self.began = time.time()

    def prepare(self) -> None:
        """Make three databases, and an automated snapshot of each for every day."""
        rds = self._rds
        rds.create_db_cluster_snapshot(DBClusterIdentifier=SOURCE, DBClusterSnapshotIdentifier=LIKE)
        rds.get_waiter("db_cluster_snapshot_available").wait(
            DBClusterSnapshotIdentifier=LIKE, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        for cluster in DATABASES.values():
            if cluster != SOURCE:
                rds.restore_db_cluster_from_snapshot(
                    DBClusterIdentifier=cluster,
                    SnapshotIdentifier=LIKE,
                    Engine="aurora-mysql",
                    KmsKeyId="alias/shop-prod",
                )
                rds.get_waiter("db_cluster_available").wait(
                    DBClusterIdentifier=cluster, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
                )
            moments = [(day + timedelta(hours=HOUR)).timestamp() for day in self.days]
            self._admin("rds-past-snapshots", cluster=cluster, moments=moments, like=LIKE)

    def take_slots(self, count: int) -> None:
        """Have somebody else export by hand, all the time.

        :param count: tasks.
        """
        rds = self._rds
        for number in range(count):
            name = f"{BY_HAND}-{number}"
            rule = {"service": "rds", "action": "StartExportTask", "resource": name, "effect": "status"}
            admin_operation("faults-add", self.cloud, **rule, becomes="IN_PROGRESS")
            made = rds.copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=LIKE,
                TargetDBClusterSnapshotIdentifier=name,
                KmsKeyId="alias/shop-prod",
            )
            rds.get_waiter("db_cluster_snapshot_available").wait(
                DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
            export_by_hand(self.aws, name, made["DBClusterSnapshot"]["DBClusterSnapshotArn"])

    def create(self) -> None:
        """Ask for the backfill with one command, as a person does."""
        self.stack.api.wait_for_dag(DAG_ID)
        self.stack.api.set_paused(DAG_ID, paused=False)
        ends = self.days[-1] + timedelta(days=1)
        command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", DAG_ID]
        command += [
            "--from-date",
            self.days[0].isoformat(),
            "--to-date",
            ends.isoformat(),
            "--max-active-runs",
            str(MOST_RUNS),
        ]
        self.began = time.time()
        subprocess.run(
            command, env=self.stack.config.airflow_env(self.stack.postgres.url()), check=True, capture_output=True
        )

    def wait(self, kills: int, within_s: float) -> None:
        """Wait until all is exported; kill every process of Airflow on the way.

        :param kills: how often.
        :param within_s: seconds that it may take.
        """
        wanted = len(self.days) * len(DATABASES)
        marks = [wanted * (number + 1) // (kills + 1) for number in range(kills)]

        def reached(mark: int) -> bool:
            self.stack.check()
            return [task["Status"] for task in self.tasks()].count("COMPLETE") >= mark

        for mark in marks:
            self._until(reached, mark, within_s)
            for name in _KILLED:
                self.stack.bounce_component(name)
        self._until(reached, wanted, within_s)

        def over() -> bool:
            self.stack.check()
            runs = self.stack.api.runs(DAG_ID)
            return len(runs) >= len(self.days) and not [run for run in runs if not run.done]

        waiting.until(over, what="all runs", timeout_s=within_s, every_s=_LOOKS_EVERY_S)

    @staticmethod
    def _until(reached: Callable[[int], bool], mark: int, within_s: float) -> None:
        waiting.until(lambda: reached(mark), what=f"{mark} exports", timeout_s=within_s, every_s=_LOOKS_EVERY_S)

    def tasks(self) -> list[dict[str, Any]]:
        """Export tasks of this package."""
        pages = self._rds.get_paginator("describe_export_tasks").paginate()
        found = [task for page in pages for task in page["ExportTasks"]]
        return [task for task in found if not task["ExportTaskIdentifier"].startswith(BY_HAND)]

    def spans(self) -> list[Span]:
        """When each task was asked for, and when it ended."""
        asked = {
            call["parameters"]["ExportTaskIdentifier"]: float(call["time"])
            for call in read_calls(self.cloud.calls_file, since=0, mutating=True)
            if call["action"] == "StartExportTask" and not call.get("error")
        }
        return [
            Span(name, asked[name], task["TaskEndTime"].timestamp())
            for task in self.tasks()
            if (name := task["ExportTaskIdentifier"]) in asked
        ]

    def _admin(self, name: str, **parameters: Any) -> dict[str, Any]:
        return admin_operation(name, self.cloud, account=PRODUCTION, region=REGION, **parameters)


def most_at_once(spans: Iterable[Span]) -> int:
    """Count how many tasks there were at a time, at most."""
    moments = sorted(
        [(span.begin, 1) for span in spans] + [(span.end, -1) for span in spans], key=lambda one: (one[0], one[1])
    )
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def ideal_s(spans: Sequence[Span], slots: int) -> float:
    """Say how long the same tasks would have taken, each begun the moment that a slot was free.

    :param spans: the tasks, with the durations that they had.
    :param slots: how many at a time.
    """
    free = [0.0] * slots
    for span in sorted(spans, key=lambda one: one.begin):
        heapq.heapreplace(free, free[0] + span.end - span.begin)
    return max(free, default=0.0)


def gaps(spans: Sequence[Span], slots: int) -> Iterator[float]:
    """Say how long each slot stood empty before it was taken again, seconds."""
    ends: list[float] = []
    for span in sorted(spans, key=lambda one: one.begin):
        if len(ends) == slots:
            yield max(0.0, span.begin - heapq.heappop(ends))
        heapq.heappush(ends, span.end)


def repeated(tasks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the snapshots that more than one task has exported."""
    sources = [str(task["SourceArn"]) for task in tasks]
    return sorted({arn for arn in sources if sources.count(arn) > 1})
