"""``make bench-events``: how long it takes from an event of RDS to the run that exports, and what becomes of a burst.

One Airflow with all its services against localcloud, with real messages through SNS and SQS. Single events are published one after
the other, each of a snapshot that exists; a run counts as there when Airflow says that it was queued. Then a burst of a hundred
events with twenty duplicates, most of them of snapshots that have gone, until each is decided and no message is left.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aurora_ops.core.exports import names

from benchmarks.exports import running
from devstack import waiting
from devstack.errors import DevstackError
from devstack.report import table
from devstack.settings import PRODUCTION, isolate_this_process
from devstack.snapshot_events import DAG_ID, EXPORT_DAG_ID, Wires, event, make_table, make_wires, snapshot_arn
from devstack.stack import Stack
from localcloud.client import admin_client
from localcloud.config import CloudConfig

SINGLE, BURST, REPEATED = 12, 100, 20
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
EXPORT_DAG = f"""
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(dag_id="{EXPORT_DAG_ID}", schedule=None, max_active_runs=16):
    EmptyOperator(task_id="export")
"""


class Bench:
    """The running stack, and what is measured on it.

    :param stack: the stack.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._config = CloudConfig.from_env(stack.config.cloud_env())
        self.wires: Wires = make_wires(self.aws)
        make_table(self.aws)

    def aws(self, account: str, service: str) -> Any:
        """Make a boto3 client with all rights."""
        return admin_client(account, service, self._config)

    def switch_on(self) -> None:
        """Switch the DAGs on, and wait until somebody listens."""
        for dag_id in (EXPORT_DAG_ID, DAG_ID):
            self.stack.api.wait_for_dag(dag_id)
            self.stack.api.set_paused(dag_id, paused=False)
        self.stack.api.parse_again(DAG_ID)
        self.wires.publish(["anybody there?"])
        waiting.until(self.wires.items, what="the first decision", timeout_s=180, every_s=0.2)

    def take_snapshots(self) -> list[tuple[str, datetime]]:
        """Take snapshots of production's database: ARN and moment of each."""
        rds, taken = self.aws(PRODUCTION, "rds"), []
        for number in range(SINGLE):
            name = f"bench-{number}"
            rds.create_db_cluster_snapshot(DBClusterIdentifier="prod-shop", DBClusterSnapshotIdentifier=name)
            rds.get_waiter("db_cluster_snapshot_available").wait(
                DBClusterSnapshotIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )
            (found,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
            taken.append((snapshot_arn(name), found["SnapshotCreateTime"]))
        return taken

    def single(self, arn: str, at: datetime) -> float:
        """Publish an event; seconds until the run is queued that exports its snapshot."""
        began = datetime.now(UTC)
        self.wires.publish([event(arn, at)])
        wanted = names.run(arn)

        def queued() -> datetime | None:
            found = self.stack.api.request("GET", f"/dags/{EXPORT_DAG_ID}/dagRuns", limit=100)["dag_runs"]
            moments = [run["queued_at"] for run in found if run["dag_run_id"] == wanted]
            return datetime.fromisoformat(moments[0]) if moments else None

        there = waiting.until(queued, what=f"run {wanted}", timeout_s=300, every_s=0.2)
        return (there - began).total_seconds()

    def burst(self) -> tuple[float, int, int]:
        """Publish a burst: seconds until all is decided, decisions, runs that decided."""
        decided, runs = len(self.wires.items()), len(self.stack.api.runs(DAG_ID))
        told = [event(snapshot_arn(f"gone-{n}"), LONG_AGO + timedelta(minutes=n)) for n in range(BURST)]
        began = time.monotonic()
        self.wires.publish([*told, *told[:REPEATED]])

        def done() -> bool:
            return len(self.wires.items()) >= decided + BURST and self.wires.counts() == (0, 0, 0)

        waiting.until(done, what="the burst", timeout_s=300, every_s=0.2)
        return (
            time.monotonic() - began,
            len(self.wires.items()) - decided,
            len(self.stack.api.runs(DAG_ID)) - runs,
        )


def settle(include: Path) -> None:
    """Have every snapshot exported, by a DAG that stands for the export."""
    (include.parent / "dags" / "snapshot_export.py").write_text(EXPORT_DAG, encoding="utf-8")
    file = include / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["exports"]["databases"][0]["frequency"] = "every"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def main() -> int:
    """Measure and print; 0 if each event was decided once."""
    isolate_this_process()
    try:
        with running(
            "bench-events", "snapshot_export_events.py", settle, wait_s=0.1, poll_s=0.1, seed_rows=1000
        ) as stack:
            bench = Bench(stack)
            bench.switch_on()
            taken = bench.take_snapshots()
            single = []
            for arn, at in taken:
                single.append(bench.single(arn, at))
                print(f"  {arn.rpartition(':')[2]}: {single[-1]:.2f} s", flush=True)
            burst_s, decided, runs = bench.burst()
    except DevstackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print()
    rows = [
        ("single events, published to run queued", f"{len(single)}"),
        ("median", f"{statistics.median(single):.2f} s"),
        ("fastest and slowest", f"{min(single):.2f} s, {max(single):.2f} s"),
        (f"burst of {BURST} events and {REPEATED} duplicates, until all is decided", f"{burst_s:.1f} s"),
        ("decisions of it", f"{decided}"),
        ("runs that made them", f"{runs}"),
    ]
    for line in table(("what", "measured"), rows):
        print(line)
    return 0 if decided == BURST else 1


if __name__ == "__main__":
    sys.exit(main())
