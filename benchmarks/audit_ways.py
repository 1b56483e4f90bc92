"""Ways to read log files, each in a process of its own: ``python -m benchmarks.audit_ways <way> <parameters as JSON>``."""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import zstandard
from aurora_ops.core.audit_logs import names
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.audit_logs.packing import LEVELS
from aurora_ops.core.audit_logs.plan import Job
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.hooks.log_objects import PART_BYTES, Keeping, LogObjectsHook
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.operators.log_copying import Depot, FileCopy, Whose

from benchmarks import audit_runs
from benchmarks.audit_cloud import RESULT
from devstack.settings import PRODUCTION, REGION
from localcloud.seed.accounts import LOGS_BUCKET, LOGS_TABLE

BLOCK = 2**20
MANY = 10**6
"""Calls a second: nothing is to wait for its turn here."""


class NullStore(LogObjectsHook):
    """Takes what S3 would, and keeps nothing of it."""

    def put_new(
        self, bucket: str, key: str, body: BinaryIO, size: int, metadata: Mapping[str, str], keeping: Keeping
    ) -> bool:
        """Read the content as an upload would, part by part."""
        del bucket, key, size, metadata, keeping
        while body.read(PART_BYTES):
            pass
        return True


def source() -> LogFilesHook:
    """Make the package's reader of production's logs."""
    hook = LogFilesHook("aws_source", REGION, lists_per_s=MANY, downloads_per_s=MANY)
    _ = hook.conn
    return hook


def plain_stream(*, instance: str, files: list[dict[str, Any]], work: Sequence[str] = ()) -> int:
    """Read the REST endpoint and drop what comes, with the least that Python can do.

    :param work: what is done with each block before it is dropped: ``sha256``, ``zstd``.
    """
    hook, (file,) = source(), files
    hashed, packed = hashlib.sha256(), zstandard.ZstdCompressor(level=LEVELS["zstd"]).compressobj()
    steps = [{"sha256": hashed.update, "zstd": packed.compress}[step] for step in work]
    began = Clock()
    signed = hook._signed(instance, file["name"])  # noqa: SLF001 - the call is in no SDK
    where = urlsplit(signed.url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port)
    connection.request("GET", where.path, headers=dict(signed.headers))
    room, came = memoryview(bytearray(BLOCK)), 0
    with closing(connection), connection.getresponse() as answer:
        while count := answer.readinto(room):
            came += count
            for step in steps:
                step(room[:count])
    return began.stop(came, file["size"])


def plain_pages(*, instance: str, files: list[dict[str, Any]]) -> int:
    """Page as the AWS CLI does: its paginator, from the first marker on."""
    pages, (file,) = source().conn.get_paginator("download_db_log_file_portion"), files
    began = Clock()
    came = 0
    for page in pages.paginate(
        DBInstanceIdentifier=instance, LogFileName=file["name"], PaginationConfig={"StartingToken": "0"}
    ):
        came += len((page.get("LogFileData") or "").encode())
    return began.stop(came, file["size"], exact=False)


def back_up(*, instance: str, files: list[dict[str, Any]], reader: Any, compression: str, store: str, of: str) -> int:
    """Copy files as the package's tasks do, states and all; several at a time, in threads.

    :param files: name, size and time of each.
    :param store: ``s3`` (localcloud's) or ``null``.
    :param of: name by which states of this are kept apart from those of others.
    """
    objects = (LogObjectsHook if store == "s3" else NullStore)("aws_orchestrator", REGION)
    depot = Depot(
        objects=objects,
        states=LogStatesHook("aws_orchestrator", REGION),
        bucket=LOGS_BUCKET,
        prefix="bench",
        table=LOGS_TABLE,
        compression=compression,
        object_bytes=64 * BLOCK,
        keeping=Keeping(),
        account_id=PRODUCTION,
        region=REGION,
    )
    hook = source()
    for other in (depot.objects, depot.states):
        _ = other.conn
    jobs = [
        Job(
            names.fixed_identity(file["name"]),
            Offered(file["name"], file["size"], file["last_written_ms"]),
            None,
            reader,
            final=True,
        )
        for file in files
    ]
    copies = [FileCopy(hook, depot, Whose(instance, of, ""), job, reader, datetime.now(UTC)) for job in jobs]
    began = Clock()
    with ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(FileCopy.run, copies))
    return began.stop(sum(copy.saved.position for copy in copies), sum(file["size"] for file in files))


class Clock:
    """Time and processor time from now on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def stop(self, came: int, size: int, *, exact: bool = True) -> int:
        """Print what was found; 1 where not all bytes came."""
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        say({"bytes": came, "wall_s": wall, "cpu_s": cpu, "peak_mib": peak_mib()})
        return 0 if came == size or (not exact and came >= size) else 1


def peak_mib() -> float:
    """Most memory that this process has had, MiB (resident; Linux only, 0 elsewhere)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def say(found: Mapping[str, Any]) -> None:
    """Hand a result to the process that asked for it."""
    print(f"\n{RESULT}{json.dumps(found)}", flush=True)


def nothing(**_: Any) -> int:
    """Do nothing: what the package and its clients take by themselves."""
    source()
    for hook in (LogObjectsHook("aws_orchestrator", REGION), LogStatesHook("aws_orchestrator", REGION)):
        _ = hook.conn
    return Clock().stop(0, 0)


def grow(**parameters: Any) -> int:
    """Follow growing files; see ``audit_runs``."""
    say(audit_runs.grow(**parameters))
    return 0


def many() -> int:
    """Look at many instances; see ``audit_runs``."""
    say(audit_runs.many())
    return 0


WAYS: dict[str, Callable[..., int]] = {
    way.__name__: way for way in (nothing, plain_stream, plain_pages, back_up, grow, many)
}

if __name__ == "__main__":
    sys.exit(WAYS[sys.argv[1]](**json.loads(sys.argv[2])))
