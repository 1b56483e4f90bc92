"""DescribeDBLogFiles, DownloadDBLogFilePortion and the REST call that gives a whole file."""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4
from xml.sax.saxutils import escape

from moto.core.responses import ActionResult
from moto.rds.models import rds_backends

from localcloud.rds import standalone
from localcloud.rds.errors import (
    InstanceNotFoundError,
    InstanceNotReadyError,
    InvalidParameterValueError,
    LogFileNotFoundError,
)
from localcloud.rds.logs.portion import Portion, marker_of, offset_of, portion
from localcloud.rds.logs.shelf import LogFile, log_files
from localcloud.request import log_file_asked_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moto.core.responses import ActionContext

    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region

LARGEST_LIST = 1000
BLOCK = 1024 * 1024
READABLE = frozenset({"available", "backing-up", "modifying", "configuring-enhanced-monitoring", "storage-full"})
BINARY = "This file contains binary data and should be downloaded instead of viewed."


class Page(ActionResult):
    """A page of a log as RDS sends it: what XML does not allow is sent all the same, and no client can read it.

    :param data: None leaves the element out.
    :param pending: None leaves the element out.
    """

    def __init__(self, data: bytes | None, marker: str, *, pending: bool | None) -> None:
        text = b""
        if data is not None:
            escaped = data.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
            text = b"<LogFileData>%s</LogFileData>" % escaped
        rest = f"<Marker>{escape(marker)}</Marker>"
        if pending is not None:
            rest += f"<AdditionalDataPending>{str(pending).lower()}</AdditionalDataPending>"
        super().__init__(
            b'<?xml version="1.0"?>\n<DownloadDBLogFilePortionResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/">'
            b"<DownloadDBLogFilePortionResult>%s%s</DownloadDBLogFilePortionResult>"
            b"<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></DownloadDBLogFilePortionResponse>"
            % (text, rest.encode(), str(uuid4()).encode())
        )

    def execute_result(self, context: ActionContext) -> Any:
        """Give the answer."""
        del context
        return 200, {"Content-Type": "text/xml"}, self.result


class Found(NamedTuple):
    """An instance's logs.

    :param resource_id: of the instance.
    :param folder: of its log files.
    """

    resource_id: str
    folder: Path


class LogFiles:
    """The operations. None of them needs the lock of RDS for longer than a look-up.

    :param core: state and logs.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    def find(self, region: Region, identifier: str | None) -> Found:
        """Find an instance's logs, up to date.

        :raises InstanceNotFoundError: no such instance, or none whose logs localcloud has.
        :raises InstanceNotReadyError: it is not up.
        """
        core, logs = self.core, self.core.logs
        with core.lock:
            database = rds_backends[region.account][region.name].databases.get(identifier or "")
            if database is not None:
                if not standalone.is_served(database):
                    raise InstanceNotFoundError(f"DBInstance {identifier} has no log files in localcloud.")
                return Found(database.dbi_resource_id, logs.folder(database.dbi_resource_id))
            member = core.instance(region, identifier)
            cluster = region.cluster_of(member)
            if member.status not in READABLE:
                raise InstanceNotReadyError(
                    f"DB instance {member.identifier} is {member.status}: its log files cannot be read now."
                )
        logs.collect(cluster)
        return Found(member.resource_id, logs.folder(member.resource_id))

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeDBLogFiles: by name, at most 1,000 a page."""
        found = self.find(region, params.get("DBInstanceIdentifier"))
        size = int(params["MaxRecords"]) if params.get("MaxRecords") is not None else LARGEST_LIST
        if not 1 <= size <= LARGEST_LIST:
            raise InvalidParameterValueError(
                f"Invalid value {size} for MaxRecords. Must be between 1 and {LARGEST_LIST}"
            )
        after = _name_of(params["Marker"]) if params.get("Marker") else ""
        wanted = [file for file in log_files(found.folder) if file.name > after and _is_asked_for(file, params)]
        page = wanted[:size]
        more = len(wanted) > size
        return {
            "DescribeDBLogFiles": [
                {"LogFileName": file.name, "LastWritten": file.written_ms, "Size": file.size} for file in page
            ],
            "Marker": base64.urlsafe_b64encode(page[-1].name.encode()).decode() if more else None,
        }

    def portion(self, region: Region, params: Params) -> Page:
        """DownloadDBLogFilePortion.

        :raises InvalidParameterValueError: also for a page with a NUL, which RDS takes for that of a binary file.
        """
        found = self.find(region, params.get("DBInstanceIdentifier"))
        path = self._path(found, params.get("LogFileName"))
        lines = int(params["NumberOfLines"]) if params.get("NumberOfLines") is not None else None
        if lines is not None and lines < 1:
            raise InvalidParameterValueError(f"Invalid value {lines} for NumberOfLines. Must be at least 1")
        start = None
        if params.get("Marker") is not None:
            start = offset_of(str(params["Marker"]))
            if start is None:
                raise InvalidParameterValueError(f"Invalid Marker: {params['Marker']!r}")
        try:
            with path.open("rb") as file:
                stat = os.fstat(file.fileno())
                page = portion(file, stat.st_size, start, lines)
        except FileNotFoundError:
            raise _not_found(params.get("LogFileName")) from None
        if b"\0" in page.data:
            raise InvalidParameterValueError(BINARY)
        return _odd(self.core.cloud.odd, page, start or 0, stat.st_mtime)

    def whole(self, region: Region, path: str) -> Iterator[bytes]:
        """DownloadCompleteDBLogFile: the file as it is now, in blocks; it is read to its end also when it is renamed.

        :param path: of the request.
        """
        asked = log_file_asked_for(path)
        found = self.find(region, asked["DBInstanceIdentifier"])
        try:
            descriptor = os.open(self._path(found, asked["LogFileName"]), os.O_RDONLY)
        except FileNotFoundError:
            raise _not_found(asked["LogFileName"]) from None
        return _blocks(descriptor)

    def _path(self, found: Found, name: str | None) -> Path:
        """Path of a log file: only a listed name leads anywhere."""
        if not any(file.name == name for file in log_files(found.folder)):
            raise _not_found(name)
        return found.folder / str(name)


def _odd(odd: str, page: Portion, start: int, written_s: float) -> Page:
    """Answer with a page; if a rule says so, as users report that it happens."""
    marker, again = marker_of(page.offset, written_s), marker_of(start, written_s)
    answers: dict[str, tuple[bytes | None, str, bool | None]] = {
        "": (page.data, marker, page.pending),
        "early-end": (page.data, marker, False),
        "silent-end": (page.data, marker, None),
        "empty": (None, again, True),
        "zero-marker": (page.data, "0", page.pending),
        "again": (page.data, again, True),
    }
    data, marker, pending = answers[odd]
    return Page(data, marker, pending=pending)


def _blocks(descriptor: int) -> Iterator[bytes]:
    try:
        left = os.fstat(descriptor).st_size
        while left > 0 and (block := os.read(descriptor, min(BLOCK, left))):
            left -= len(block)
            yield block
    finally:
        os.close(descriptor)


def _not_found(name: str | None) -> LogFileNotFoundError:
    return LogFileNotFoundError(f"DBLog File: {name}, is not found on the DB instance")


def _is_asked_for(file: LogFile, params: Params) -> bool:
    return (
        str(params.get("FilenameContains") or "") in file.name
        and file.written_ms >= int(params.get("FileLastWritten") or 0)
        and file.size > int(params["FileSize"] if params.get("FileSize") is not None else -1)
    )


def _name_of(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidParameterValueError(f"Invalid Marker: {marker!r}") from None
