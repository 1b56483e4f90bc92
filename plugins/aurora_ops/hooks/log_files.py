"""Amazon RDS: log files of instances, listed, read by chunks, and streamed whole by the REST endpoint that no SDK has."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from botocore import exceptions as boto
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies

from aurora_ops.core.audit_logs.chunks import Page, UnreadableError
from aurora_ops.core.audit_logs.names import Offered, is_audit_log
from aurora_ops.core.audit_logs.pace import Pace
from aurora_ops.core.errors import PermanentError, TransientError
from aurora_ops.hooks.base import AwsHook, aws_errors

STREAM_BYTES = 2**20
_WHOLE = "/v13/downloadCompleteLogFile"
_BEGIN, _END = b"<LogFileData>", b"</LogFileData>"
_CONNECT_S, _READ_S = 10, 60
_LIST_PAGE = 1000
_SESSIONS = 16


@dataclass(frozen=True)
class LogInstance:
    """What matters of an instance whose logs are read.

    :param instance_id: identifier, which another one may have tomorrow.
    :param resource_id: ``db-...``, which no other one ever has.
    :param cluster_id: its cluster; empty: none.
    :param engine: such as ``aurora-mysql``.
    :param tags: tag to value.
    """

    instance_id: str
    resource_id: str
    cluster_id: str
    engine: str
    tags: Mapping[str, str]


class LogFilesHook(AwsHook):
    """Log files of one account and region.

    :param lists_per_s: lists asked for a second.
    :param downloads_per_s: chunks and files asked for a second.
    """

    service = "rds"

    def __init__(
        self,
        aws_conn_id: str | None,
        region_name: str | None = None,
        *,
        lists_per_s: float = 30,
        downloads_per_s: float = 30,
    ) -> None:
        super().__init__(aws_conn_id, region_name)
        self._lists = Pace(lists_per_s, time.monotonic)
        self._downloads = Pace(downloads_per_s, time.monotonic)
        self._last = threading.local()
        self._http: URLLib3Session | None = None

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Give a client that keeps carriage returns, which an XML parser makes newlines of."""
        client: Any = super().get_client_type(*args, **kwargs)
        client.meta.events.register("before-parse.rds.DownloadDBLogFilePortion", self._before_parse)
        return client

    def list_instances(self) -> list[LogInstance]:
        """List every instance (``DescribeDBInstances``), all pages."""
        return [
            LogInstance(
                instance_id=raw["DBInstanceIdentifier"],
                resource_id=raw["DbiResourceId"],
                cluster_id=raw.get("DBClusterIdentifier") or "",
                engine=raw.get("Engine") or "",
                tags={tag["Key"]: tag.get("Value", "") for tag in raw.get("TagList") or []},
            )
            for raw in self.pages("describe_db_instances", "DBInstances")
        ]

    def list_audit_logs(self, instance_id: str) -> list[Offered]:
        """List the audit logs of an instance (``DescribeDBLogFiles``), all pages, as fast as the settings allow.

        :raises BusyError: the instance is paused, stopped or not ready.
        :raises MissingError: there is no such instance.
        """
        found: list[Offered] = []
        marker: str | None = None
        while True:
            self._wait_for(self._lists)
            page = self.call(
                "describe_db_log_files",
                DBInstanceIdentifier=instance_id,
                FilenameContains="audit",
                MaxRecords=_LIST_PAGE,
                Marker=marker,
            )
            found += [
                Offered(raw["LogFileName"], int(raw.get("Size", 0)), int(raw.get("LastWritten", 0)))
                for raw in page.get("DescribeDBLogFiles", [])
                if is_audit_log(raw["LogFileName"])
            ]
            marker = page.get("Marker")
            if not marker:
                return found

    def read_page(self, instance_id: str, name: str, marker: str, lines: int) -> Page:
        """Read a chunk of a file (``DownloadDBLogFilePortion``).

        :param instance_id: the instance.
        :param name: the file's name now.
        :param marker: where to begin; ``0`` is the file's beginning.
        :param lines: how many at most.
        :raises UnreadableError: what is there is not text.
        :raises MissingError: there is no such file.
        """
        self._wait_for(self._downloads)
        self._last.status = None
        try:
            answer = self.call(
                "download_db_log_file_portion",
                DBInstanceIdentifier=instance_id,
                LogFileName=name,
                Marker=marker,
                NumberOfLines=lines,
            )
        except ResponseParserError as exc:  # which is no error of botocore's base class
            if self._last.status == 200:
                raise UnreadableError(f"{instance_id}/{name} at {marker}: {exc}") from exc
            raise TransientError(f"rds:download_db_log_file_portion {instance_id} {name}: {exc}") from exc
        except PermanentError as exc:
            if "binary data" in str(exc):
                raise UnreadableError(str(exc)) from exc
            raise
        data = (answer.get("LogFileData") or "").encode()
        return Page(data, answer.get("Marker"), bool(answer.get("AdditionalDataPending")))

    def find_end(self, instance_id: str, name: str) -> str | None:
        """Ask for the marker of a file's end as it is now: that of its last line (no ``Marker`` means the tail)."""
        self._wait_for(self._downloads)
        try:
            answer = self.call(
                "download_db_log_file_portion", DBInstanceIdentifier=instance_id, LogFileName=name, NumberOfLines=1
            )
        except (PermanentError, ResponseParserError) as exc:
            self.log.info("no marker of the end of %s/%s: %s", instance_id, name, exc)
            return None
        marker: str | None = answer.get("Marker")
        return marker

    def stream(self, instance_id: str, name: str) -> Generator[bytes, None, None]:
        """Stream a whole file (``GET /v13/downloadCompleteLogFile``), from its beginning.

        The call is in no SDK. It is signed for the service ``rds`` and goes where the connection's client goes.

        :param instance_id: the instance.
        :param name: the file's name now.
        :raises TransientError: the stream broke; what came before is right.
        :raises MissingError: there is no such instance or file.
        """
        self._wait_for(self._downloads)
        doing = f"rds:downloadCompleteLogFile {instance_id} {name}"
        with aws_errors(doing):
            response = self._session().send(self._signed(instance_id, name))
        with closing(response.raw) as raw:
            if response.status_code != 200:
                with aws_errors(doing):
                    raise boto.ClientError(_error(response.status_code, raw.read(4096)), "DownloadCompleteDBLogFile")
            promised, came = response.headers.get("Content-Length"), 0
            try:
                for data in raw.stream(STREAM_BYTES, decode_content=False):
                    came += len(data)
                    yield data
            except (urllib3.exceptions.HTTPError, OSError) as exc:
                raise TransientError(f"{doing}: the stream broke after {came} bytes: {exc}") from exc
            if promised is not None and came < int(promised):  # botocore's connections do not see to that
                raise TransientError(f"{doing}: the stream broke after {came} of {promised} bytes")

    def _signed(self, instance_id: str, name: str) -> Any:
        endpoint, region = str(self.conn.meta.endpoint_url).rstrip("/"), str(self.conn.meta.region_name)
        url = f"{endpoint}{_WHOLE}/{quote(instance_id)}/{quote(name, safe='/')}"
        request = AWSRequest("GET", url, headers={"Host": urlsplit(url).netloc, "Accept-Encoding": "identity"})
        credentials = self.get_session(region_name=self.region_name).get_credentials()
        if credentials is None:
            raise PermanentError(f"connection {self.aws_conn_id} has no credentials; give it a role or keys")
        SigV4Auth(credentials.get_frozen_credentials(), "rds", region).add_auth(request)
        prepared = request.prepare()
        prepared.stream_output = True
        return prepared

    def _session(self) -> URLLib3Session:
        if self._http is None:
            self._http = URLLib3Session(
                verify=True if self.verify is None else self.verify,
                proxies=get_environ_proxies(str(self.conn.meta.endpoint_url)),
                timeout=(_CONNECT_S, _READ_S),
                max_pool_connections=_SESSIONS,
            )
        return self._http

    def _before_parse(self, response_dict: dict[str, Any], **_: Any) -> None:
        self._last.status = response_dict.get("status_code")
        if b"\r" in (body := response_dict.get("body") or b""):
            before, begin, rest = body.partition(_BEGIN)
            data, end, after = rest.partition(_END)
            response_dict["body"] = before + begin + data.replace(b"\r", b"&#13;") + end + after

    @staticmethod
    def _wait_for(pace: Pace) -> None:
        if (seconds := pace.reserve()) > 0:
            threading.Event().wait(seconds)


def _error(status: int, body: bytes) -> dict[str, Any]:
    """Read an answer that is an error as botocore would."""

    def text(tag: bytes) -> str:
        found = re.search(rb"<" + tag + rb">(.*?)</" + tag + rb">", body, re.DOTALL)
        return found[1].decode("utf-8", "replace") if found else ""

    return {
        "Error": {"Code": text(b"Code") or str(status), "Message": text(b"Message") or f"HTTP {status}"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
