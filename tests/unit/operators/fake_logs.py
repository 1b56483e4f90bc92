"""Instances with audit logs that are written and rotated, behind the calls of RDS; any call can fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import zstandard
from aurora_ops.core.audit_logs.chunks import UnreadableError
from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import aws_errors
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.unit.core.audit_logs.model import Model

START_MS = 10**13  # never long ago
CURRENT = "audit/server_audit.log"


class Killed(BaseException):
    """The worker is gone."""


class FakeInstance:
    """An instance and its logs: name to what is in it, and when it was written.

    :param kept: rotated files that are kept, where names shift.
    """

    def __init__(self, name: str, engine: str = "aurora-mysql", cluster: str = "prod-shop", kept: int = 99) -> None:
        self.name = name
        self.engine = engine
        self.cluster = cluster
        self.kept = kept
        self.tags = {"team": "shop"}
        self.files: dict[str, bytearray] = {}
        self.times: dict[str, int] = {}
        self.ever: list[bytearray] = []
        self.ready = True
        self.clock = START_MS

    def write(self, name: str, data: bytes) -> None:
        if name not in self.files:
            self.files[name] = bytearray()
            self.ever.append(self.files[name])
        self.files[name] += data
        self.clock += 1000
        self.times[name] = self.clock

    def settle(self) -> None:
        """Have written everything long ago."""
        self.times = {name: at - START_MS + 10**12 for name, at in self.times.items()}

    def rotate(self) -> None:
        """Shift the names, as MariaDB's plugin does."""
        for number in range(self.kept, -1, -1):
            name = f"{CURRENT}.{number}" if number else CURRENT
            if name in self.files:
                content, time = self.files.pop(name), self.times.pop(name)
                if number < self.kept:
                    self.files[f"{CURRENT}.{number + 1}"] = content
                    self.times[f"{CURRENT}.{number + 1}"] = time


class FakeLogs:
    """RDS as far as logs go; every other call goes on to moto.

    :param on_call: told the name of each call before it is made, and may raise.
    """

    def __init__(self) -> None:
        self.instances: dict[str, FakeInstance] = {}
        self.calls: list[str] = []
        self.on_call: Callable[[str], None] = lambda _: None
        self.after_call: Callable[[str], None] = lambda _: None
        self.rest_works = True
        self.streamed = 0
        self.paged = 0

    def add(self, name: str, **kwargs: Any) -> FakeInstance:
        self.instances[name] = FakeInstance(name, **kwargs)
        return self.instances[name]

    def install(self, monkeypatch: Any) -> None:
        beyond, lock = BaseClient._make_api_call, threading.Lock()

        def call(client: Any, operation: str, params: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            self._called(f"{service}:{operation}")
            with lock:  # moto is not made for threads
                answer = getattr(self, operation)(**params) if service == "rds" else beyond(client, operation, params)
            self.after_call(f"{service}:{operation}")
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        monkeypatch.setattr("aurora_ops.hooks.log_files.LogFilesHook.stream", lambda _, *given: self.stream(*given))

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.on_call(name)

    def DescribeDBInstances(self, **_: Any) -> dict[str, Any]:  # noqa: N802
        return {
            "DBInstances": [
                {
                    "DBInstanceIdentifier": one.name,
                    "DbiResourceId": f"db-{one.name.upper()}",
                    "DBClusterIdentifier": one.cluster,
                    "Engine": one.engine,
                    "TagList": [{"Key": key, "Value": value} for key, value in one.tags.items()],
                }
                for one in self.instances.values()
            ]
        }

    def DescribeDBLogFiles(self, *, DBInstanceIdentifier: str, **_: Any) -> dict[str, Any]:  # noqa: N802, N803
        one = self._instance(DBInstanceIdentifier)
        files = [
            {"LogFileName": name, "Size": len(data), "LastWritten": one.times[name]} for name, data in one.files.items()
        ]
        return {"DescribeDBLogFiles": [*files, {"LogFileName": "error/mysql-error.log", "Size": 9, "LastWritten": 1}]}

    def DownloadDBLogFilePortion(  # noqa: N802
        self,
        *,
        DBInstanceIdentifier: str,  # noqa: N803
        LogFileName: str,  # noqa: N803
        NumberOfLines: int,  # noqa: N803
        Marker: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        data = self._file(DBInstanceIdentifier, LogFileName)
        if Marker is None:
            return {"LogFileData": "", "Marker": f"9:{len(data)}", "AdditionalDataPending": False}
        model = Model(data, page_bytes=2000)
        try:
            page = model.ask(Marker, NumberOfLines)
        except UnreadableError as exc:
            raise failure("InvalidParameterValue", str(exc)) from exc
        self.paged += model.served
        return {"LogFileData": page.data.decode(), "Marker": page.marker, "AdditionalDataPending": page.pending}

    def stream(self, instance: str, name: str) -> Generator[bytes, None, None]:
        with aws_errors("rds:downloadCompleteLogFile"):
            yield from self._streamed(instance, name)

    def _streamed(self, instance: str, name: str) -> Generator[bytes, None, None]:
        self._called("rds:DownloadCompleteDBLogFile")
        if not self.rest_works:
            raise MissingError("rds:downloadCompleteLogFile: 404")
        data = self._file(instance, name)
        for at in range(0, len(data), 1500):
            self._called("rds:stream")
            self.streamed += len(data[at : at + 1500])
            yield data[at : at + 1500]

    def _instance(self, name: str) -> FakeInstance:
        if name not in self.instances:
            raise failure("DBInstanceNotFound", f"DBInstance {name} not found.")
        if not self.instances[name].ready:
            raise failure("DBInstanceNotReady", f"{name} is stopped")
        return self.instances[name]

    def _file(self, instance: str, name: str) -> bytes:
        files = self._instance(instance).files
        if name not in files:
            raise failure("DBLogFileNotFoundFault", f"DBLog File: {name}, is not found on the DB instance")
        return bytes(files[name])


def failure(code: str, message: str = "") -> ClientError:
    """What AWS answers."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class Stored:
    """What is in the bucket and in the table.

    :param session: of moto.
    """

    def __init__(self, session: Any, bucket: str, table: str) -> None:
        self.s3 = session.client("s3")
        self.dynamodb = session.client("dynamodb")
        self.bucket, self.table = bucket, table

    def objects(self) -> dict[str, bytes]:
        """Key to content, uncompressed."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for item in page.get("Contents", []):
                body = self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
                found[item["Key"]] = zstandard.ZstdDecompressor().decompressobj().decompress(body) if body else b""
        return found

    def items(self) -> Iterator[dict[str, Any]]:
        from aurora_ops.hooks.items import read

        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.table):
            yield from map(read, page["Items"])

    def files(self) -> dict[str, dict[str, Any]]:
        """Items of files, by identity."""
        return {item["sk"].removeprefix("file#"): item for item in self.items() if item["sk"].startswith("file#")}

    def contents(self) -> dict[str, bytes]:
        """Identity to the bytes of its objects, which must follow each other, in the bucket as in the table."""
        objects = self.objects()
        listed = [item for item in self.items() if item["sk"].startswith("object#")]
        assert {item["key"] for item in listed} == set(objects), (
            "each object is written down, and nothing else is there"
        )
        found: dict[str, bytes] = {}
        for item in sorted(listed, key=lambda item: (item["sk"], int(item["begin"]))):
            identity = item["sk"].split("#")[1]
            assert int(item["begin"]) == len(found.get(identity, b""))
            found[identity] = found.get(identity, b"") + objects[item["key"]]
            assert int(item["end"]) == len(found[identity])
        return found
