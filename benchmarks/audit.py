"""The backup of audit logs: ``make bench-audit`` (``BENCH_MIB=1024``, ``BENCH_INSTANCES=1000``).

Three parts. A file read whole: through REST and through chunks by the package's own path, against a plain stream of the same
endpoint that drops what comes, and against the paginator that the AWS CLI uses. An hour in which files grow. Many instances of
which few have changed. The log is real: a MariaDB's audit plugin writes some of it under load, and whole records of that are
repeated. Everything is on this machine: the endpoint is localcloud's, one process of Python, which shares the processors with what
is measured. Figures do not decide the exit code; bytes that are missing or that come twice do.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aurora_ops.core.audit_logs import names, states
from aurora_ops.hooks.items import written

from benchmarks.audit_cloud import BenchmarkError, Place, cloud, place_log
from benchmarks.audit_log import RealLog, write_real
from devstack.report import table
from devstack.settings import PRODUCTION, isolate_this_process
from localcloud.seed.accounts import LOGS_TABLE

HOME = Path(".local/bench/audit")
TURNS = 2
MIB = 2**20
SMALLER = 4
"""How much smaller the other file is, by which memory is compared."""
ROUNDS = 12
ROUND_MIB = 2
CHANGED = 40
GOAL_MEMORY_MIB, GOAL_MANY_S = 200, 60


@dataclass(frozen=True)
class Way:
    """A way to read a file.

    :param name: for people.
    :param way: its name in ``audit_ways``.
    :param yardstick: name of the way that does the least of what this one has to do.
    :param goal: part of the plain stream's speed that it is to have.
    :param how: reader, compression and store of the package.
    :param work: what a plain stream is put through.
    :param at_once: files that it reads at a time.
    """

    name: str
    way: str
    yardstick: str = ""
    goal: float | None = None
    how: tuple[str, str, str] | None = None
    work: tuple[str, ...] = ()
    at_once: int = 1


STREAM, HASHED, PACKED, PAGES = "plain stream", "  and sha256", "  and sha256 and zstd", "the CLI's paginator"
WAYS = (
    Way(STREAM, "plain_stream"),
    Way(HASHED, "plain_stream", work=("sha256",)),
    Way(PACKED, "plain_stream", work=("sha256", "zstd")),
    Way("REST, no compression, null", "back_up", HASHED, 0.95, ("rest", "none", "null")),
    Way("REST, zstd, null", "back_up", PACKED, 0.8, ("rest", "zstd", "null")),
    Way("REST, zstd, S3", "back_up", PACKED, None, ("rest", "zstd", "s3")),
    Way("REST, zstd, S3, 4 files at once", "back_up", PACKED, None, ("rest", "zstd", "s3"), at_once=4),
    Way(PAGES, "plain_pages"),
    Way("chunks, no compression, null", "back_up", PAGES, None, ("chunks", "none", "null")),
    Way("chunks, zstd, null", "back_up", PAGES, None, ("chunks", "zstd", "null")),
    Way("chunks, zstd, S3", "back_up", PAGES, None, ("chunks", "zstd", "s3")),
)


@dataclass(frozen=True)
class Measured:
    """What a way took for a file.

    :param mib: size of it.
    """

    mib: float
    wall_s: float
    cpu_s: float
    peak_mib: float

    @property
    def speed(self) -> float:
        """MiB per second."""
        return self.mib / self.wall_s

    @property
    def cpu_speed(self) -> float:
        """MiB per second of a processor."""
        return self.mib / self.cpu_s


@dataclass(frozen=True)
class Logs:
    """Log files of an instance, all of the same content.

    :param one: name, size and time of a file.
    :param parts: of files that together are as big.
    """

    one: dict[str, Any]
    parts: list[dict[str, Any]]


def read_whole(place: Place, instance: str, logs: Logs, *, turns: int) -> dict[str, Measured]:
    """Read a file by every way, in turns; of each way the best turn counts: name to what it took."""
    best: dict[str, Measured] = {}
    for turn in range(turns):
        for number, way in enumerate(WAYS):
            if turn and PAGES in (way.name, way.yardstick):
                continue  # which take long enough for one turn to tell
            given: dict[str, Any] = {"instance": instance, "files": [logs.one] if way.at_once == 1 else logs.parts}
            if way.how:
                given |= dict(zip(("reader", "compression", "store"), way.how, strict=True))
                given["of"] = f"db-{logs.one['size']}-{turn}-{number}"
            if way.work:
                given["work"] = way.work
            seen = place.measure(way.way, **given)
            measured = Measured(seen["bytes"] / MIB, seen["wall_s"], seen["cpu_s"], seen["peak_mib"])
            print(f"  {measured.mib:,.0f} MiB, {way.name}: {measured.wall_s:.1f} s", flush=True)
            if way.name not in best or measured.wall_s < best[way.name].wall_s:
                best[way.name] = measured
    return best


def table_of_reads(small: dict[str, Measured], large: dict[str, Measured], floor_mib: float) -> list[str]:
    """Lay out what reading a file took."""
    rows, plain = [], large[STREAM]
    for way in WAYS:
        seen, yard = large[way.name], large.get(way.yardstick)
        speed = f"{seen.speed:.0f}", f"{seen.speed / plain.speed:.2f}"
        ratio = f"{seen.speed / yard.speed:.2f}" if yard else "-"
        of_cpu = f"{seen.cpu_speed:.0f}", f"{seen.cpu_speed / yard.cpu_speed:.2f}" if yard else "-"
        peaks = f"{small[way.name].peak_mib:.0f}", f"{seen.peak_mib:.0f}"
        rows.append(
            (
                way.name,
                *speed,
                ratio,
                *of_cpu,
                way.yardstick.strip() or "-",
                "-" if way.goal is None else way.goal,
                *peaks,
            )
        )
    sizes = [f"peak MiB at {each[STREAM].mib:.0f}" for each in (small, large)]
    head = ("way", "MiB/s", "of plain", "of least", "MiB/CPU s", "of least", "least is", "aim of plain", *sizes)
    most = max(seen.peak_mib for best in (small, large) for name, seen in best.items() if "at once" not in name)
    memory = f"  memory: {floor_mib:.0f} MiB are modules and clients; at most {most:.0f} with one file, aim {GOAL_MEMORY_MIB}"
    return [*table(head, rows), memory, "  null: what S3 would be sent is read and dropped"]


def grown(place: Place, real: RealLog) -> tuple[list[str], bool]:
    """Follow files that grow for an hour; what is downloaded of them, and whether each byte was stored once."""
    rows, right = [], True
    for torn in (False, True):
        name = "torn" if torn else "whole"
        instance = place.operation("rds-idle-instances", count=1, prefix=name, records=0, tags={"bench": name})
        (identifier,) = instance["instances"]
        folder = Path(place.operation("log-folder", instance=identifier)["folder"]) / "audit"
        shutil.rmtree(folder)
        folder.mkdir()
        place.settle(tags={"bench": name}, download_calls_per_s=200)
        seen = place.measure(
            "grow",
            folder=str(folder),
            real=str(real.path.resolve()),
            instance=identifier,
            rounds=ROUNDS,
            round_bytes=ROUND_MIB * MIB,
            torn=torn,
        )
        written = seen["written"]
        rows.append(
            (
                "each run finds a record half written" if torn else "each run finds whole records",
                f"{written / MIB:.0f}",
                f"{seen['came'] / MIB:.0f}",
                f"{seen['came'] / written:.3f}",
                f"{seen['whole'] / MIB:.0f}",
                f"{seen['whole'] / written:.2f}",
                f"{seen['stored'] / written:.3f}",
            )
        )
        right &= seen["stored"] == written
    head = ("", "MiB written", "downloaded", "ratio", "whole files", "ratio", "stored")
    return table(head, rows), right


def looked_over(place: Place, instances: int) -> tuple[list[str], bool]:
    """Back up many instances of which few have changed since all was stored, and say what that took."""
    made = place.operation("rds-idle-instances", count=instances, prefix="many", records=5, tags={"bench": "many"})
    place.settle(tags={"bench": "many"})
    remember(place, set(made["instances"]))
    changed = made["instances"][:: max(1, instances // CHANGED)][:CHANGED]
    place.operation("log-append", instances=changed, records=20)
    since = time.time()
    seen = place.measure("many")
    calls = [call for call in place.calls(since) if call["service"] != "sts"]
    counts = Counter(f"{call['service']}:{call['action']}" for call in calls)
    lists = [call["time"] for call in calls if call["action"] == "DescribeDBLogFiles"]
    row = (
        f"{seen['plan_s']:.1f}",
        f"{seen['backup_s']:.1f}",
        f"{seen['plan_s'] + seen['backup_s']:.1f}",
        f"{GOAL_MANY_S}",
        f"{seen['cpu_s']:.1f}",
        seen["batches"],
        seen["files"],
        len(calls),
        f"{len(lists) / (max(lists) - min(lists)):.1f}",
        busiest(lists),
        f"{seen['lists_per_s']:g}",
    )
    head = ("plan s", "backup s", "both s", "aim", "CPU s", "tasks", "files", "calls", "lists/s", "at most", "allowed")
    right = seen["failed"] == seen["deferred"] == 0 and (seen["changed"], seen["files"]) == (
        len(changed),
        4 * len(changed),
    )
    return [*table(head, [row]), "  " + ", ".join(f"{count:,} {call}" for call, count in counts.most_common())], right


def remember(place: Place, instances: set[str]) -> None:
    """Write down that all log files of instances are stored, as a run of the backup would."""
    pages = place.admin("rds", PRODUCTION).get_paginator("describe_db_instances").paginate()
    dynamodb = place.admin("dynamodb")
    items: list[dict[str, Any]] = []
    for one in (one for page in pages for one in page["DBInstances"] if one["DBInstanceIdentifier"] in instances):
        about = {"instance": one["DBInstanceIdentifier"], "cluster": one["DBClusterIdentifier"]}
        resource_id, where = one["DbiResourceId"], (PRODUCTION, place.config.region)
        items.append({"pk": names.register(*where), "sk": f"{states.INSTANCE}{resource_id}", **about})
        for path in (place.config.logs_folder / resource_id / "audit").iterdir():
            name, stat = f"audit/{path.name}", path.stat()
            marker = {"marker": f"1:{stat.st_size}", "marker_at": stat.st_size, "position": stat.st_size}
            state = {"status": "growing", "version": 2, "first_seen": "2026-01-01", "size": stat.st_size}
            key = {"pk": names.partition(*where, resource_id), "sk": states.file_key(names.fixed_identity(name))}
            items.append({**key, **about, **marker, **state, "name": name, "last_written": stat.st_mtime_ns // 10**6})
    for begin in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": written(item)}} for item in items[begin : begin + 25]]
        dynamodb.batch_write_item(RequestItems={LOGS_TABLE: requests})


def busiest(moments: Sequence[float]) -> int:
    """Count the calls of the second with most of them."""
    times = sorted(moments)
    begin = most = 0
    for end, moment in enumerate(times):
        while moment - times[begin] >= 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def main() -> int:
    """Measure and print; 1 where bytes are missing or came twice."""
    isolate_this_process()
    mib = int(os.environ.get("BENCH_MIB", "1024"))
    instances = int(os.environ.get("BENCH_INSTANCES", "1000"))
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    try:
        real = write_real(HOME / "real.log", HOME)
        print(
            f"{real.size / MIB:.0f} MiB of log written by MariaDB's audit plugin under load, {real.records:,} lines of"
            f" {real.size / real.records:.0f} bytes; whole records of it repeated to {mib // SMALLER:,} and {mib:,} MiB",
            flush=True,
        )
        with cloud(HOME.resolve() / "cloud") as place:
            (instance,) = place.operation("rds-idle-instances", count=1, prefix="read", records=0)["instances"]
            small, large = (
                place_logs(place, real, instance, number * 10, mib // by) for number, by in enumerate((SMALLER, 1))
            )
            floor = place.measure("nothing")["peak_mib"]
            at_small = read_whole(place, instance, small, turns=1)
            at_large = read_whole(place, instance, large, turns=TURNS)
            growth, each_once = grown(place, real)
            many, all_done = looked_over(place, instances)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    print("\nA file read whole")
    print("\n".join(table_of_reads(at_small, at_large, floor)))
    print(f"\nAn hour of growth: {ROUNDS} runs, four files, rotated once")
    print("\n".join(growth))
    print(
        f"\n{instances:,} instances, four files each, {CHANGED} of them changed; that the others are stored was put into the table."
        " The tasks run one after the other, without Airflow's own time"
    )
    print("\n".join(many))
    return 0 if each_once and all_done else 1


def place_logs(place: Place, real: RealLog, instance: str, number: int, mib: int) -> Logs:
    """Give an instance a file, and four that together are as big."""
    one = place_log(place, real, instance, number, mib)
    return Logs(one, [place_log(place, real, instance, number + part, mib // 4) for part in range(1, 5)])


if __name__ == "__main__":
    sys.exit(main())
