"""Reading log files by both APIs, storing objects once, and committing positions, each against the wire or moto."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from aurora_ops.core.audit_logs.chunks import UnreadableError
from aurora_ops.core.errors import BusyError, MissingError, PermanentError, TransientError
from aurora_ops.hooks import log_objects
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.hooks.log_objects import Keeping, LogObjectsHook
from aurora_ops.hooks.log_states import LogStatesHook
from botocore.config import Config

ANSWER = (
    b"<DownloadDBLogFilePortionResponse xmlns='http://rds.amazonaws.com/doc/2014-10-31/'><DownloadDBLogFilePortionResult>"
    b"<LogFileData>%s</LogFileData><Marker>9:7</Marker><AdditionalDataPending>true</AdditionalDataPending>"
    b"</DownloadDBLogFilePortionResult></DownloadDBLogFilePortionResponse>"
)
ERROR = b"<ErrorResponse><Error><Code>%s</Code><Message>no luck</Message></Error></ErrorResponse>"


class Wire:
    """An endpoint that answers as told."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Callable[[dict[str, str]], tuple[int, bytes]] = lambda _: (200, b"")
        self.promised: int | None = None
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wire.asked.append(self)
                self.reply({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                asked = {name: values[0] for name, values in parse_qs(body).items()}
                wire.asked.append(asked)
                self.reply(asked)

            def reply(self, asked: dict[str, str]) -> None:
                status, content = wire.answer(asked)
                self.send_response(status)
                self.send_header("Content-Length", str(wire.promised or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def wire(monkeypatch) -> Iterator[Wire]:
    found = Wire()
    session = boto3.session.Session("AKIDEXAMPLE", "secret", "the-token", region_name="eu-west-1")

    def client(_: Any, *__: Any, **___: Any) -> Any:
        return session.client("rds", endpoint_url=found.url, config=Config(retries={"total_max_attempts": 1}))

    monkeypatch.setattr("airflow.providers.amazon.aws.hooks.base_aws.AwsGenericHook.get_client_type", client)
    monkeypatch.setattr(AwsHook, "get_session", lambda *_, **__: session)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def hook(wire) -> LogFilesHook:
    return LogFilesHook("aws_source", "eu-west-1", lists_per_s=1000, downloads_per_s=1000)


class TestChunks:
    """DownloadDBLogFilePortion."""

    def test_is_asked_with_marker_and_lines(self, wire, hook) -> None:
        wire.answer = lambda _: (200, ANSWER % b"  a\n&lt;b&gt; \n")
        page = hook.read_page("db-1", "audit/x", "0", 7)
        assert (page.data, page.marker, page.pending) == (b"  a\n<b> \n", "9:7", True)
        asked = wire.asked[0]
        assert (asked["Marker"], asked["NumberOfLines"], asked["LogFileName"]) == ("0", "7", "audit/x")

    def test_carriage_returns_stay(self, wire, hook) -> None:
        wire.answer = lambda _: (200, ANSWER % b"a\r\nb\rc\n")
        assert hook.read_page("db-1", "audit/x", "0", 7).data == b"a\r\nb\rc\n"

    def test_an_answer_without_data_is_empty(self, wire, hook) -> None:
        wire.answer = lambda _: (200, ANSWER.replace(b"<LogFileData>%s</LogFileData>", b""))
        assert hook.read_page("db-1", "audit/x", "0", 7).data == b""

    @pytest.mark.parametrize("data", [b"a\0b", b"\x1b[0m", b"caf\xe9\n"])
    def test_what_is_not_text_is_unreadable(self, wire, hook, data) -> None:
        wire.answer = lambda _: (200, ANSWER % data)
        with pytest.raises(UnreadableError):
            hook.read_page("db-1", "audit/x", "0", 7)

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (400, ERROR.replace(b"no luck", b"has binary data") % b"InvalidParameterValue",
             UnreadableError),
            (400, ERROR % b"Throttling", TransientError),
            (400, ERROR % b"DBInstanceNotReady", BusyError),
            (404, ERROR % b"DBLogFileNotFoundFault", MissingError),
            (403, ERROR % b"AccessDenied", PermanentError),
            (502, b"<html>bad\0gateway", TransientError),
            (400, b"<ErrorResponse>\0", TransientError),
        ],
    )  # fmt: skip
    def test_errors(self, wire, hook, status, body, error) -> None:
        wire.answer = lambda _: (status, body)
        with pytest.raises(error) as caught:
            hook.read_page("db-1", "audit/x", "0", 7)
        assert isinstance(caught.value, UnreadableError) is (error is UnreadableError)

    def test_lists_are_read_to_the_last_page(self, wire, hook) -> None:
        page = (
            b"<DescribeDBLogFilesResponse><DescribeDBLogFilesResult><DescribeDBLogFiles><DescribeDBLogFilesDetails>"
            b"<LogFileName>%s</LogFileName><LastWritten>5</LastWritten><Size>7</Size></DescribeDBLogFilesDetails>"
            b"</DescribeDBLogFiles>%s</DescribeDBLogFilesResult></DescribeDBLogFilesResponse>"
        )
        more = b"<Marker>m</Marker>"
        wire.answer = lambda asked: (
            200,
            page % (b"audit/server_audit.log.1", b"") if "Marker" in asked else page % (b"audit/audit.log.0", more),
        )  # fmt: skip
        found = hook.list_audit_logs("db-1")
        assert [(one.name, one.size, one.last_written_ms) for one in found] == [
            ("audit/audit.log.0", 7, 5),
            ("audit/server_audit.log.1", 7, 5),
        ]


class TestStream:
    """downloadCompleteLogFile."""

    def test_is_signed_and_goes_where_the_connection_goes(self, wire, hook) -> None:
        data = bytes(range(256)) * 9000
        wire.answer = lambda _: (200, data)
        assert b"".join(hook.stream("db-1", "audit/audit.log.0.2026-04-13-12-00.0")) == data
        [asked] = wire.asked
        assert asked.path == "/v13/downloadCompleteLogFile/db-1/audit/audit.log.0.2026-04-13-12-00.0"
        signed = asked.headers["Authorization"]
        assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert "/eu-west-1/rds/aws4_request" in signed
        assert "x-amz-security-token" in signed
        assert asked.headers["X-Amz-Security-Token"] == "the-token"
        assert asked.headers["Accept-Encoding"] == "identity"

    def test_pieces_are_small(self, wire, hook) -> None:
        wire.answer = lambda _: (200, b"x" * (3 * 2**20))
        assert max(map(len, hook.stream("db-1", "audit/x"))) <= 2**20

    def test_one_that_breaks_is_no_end(self, wire, hook) -> None:
        wire.answer, wire.promised = lambda _: (200, b"x" * 1000), 2000
        stream = hook.stream("db-1", "audit/x")
        assert next(stream) == b"x" * 1000
        with pytest.raises(TransientError, match="broke after 1000 of 2000 bytes"):
            next(stream)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (404, b"DBLogFileNotFoundFault", MissingError),
            (404, b"DBInstanceNotFound", MissingError),
            (400, b"Throttling", TransientError),
            (400, b"DBInstanceNotReady", BusyError),
            (403, b"AccessDenied", PermanentError),
            (503, b"", TransientError),
        ],
    )
    def test_errors(self, wire, hook, status, code, error) -> None:
        wire.answer = lambda _: (status, ERROR % code)
        with pytest.raises(error):
            list(hook.stream("db-1", "audit/x"))

    def test_nobody_there(self, wire, hook) -> None:
        assert hook.conn
        wire.server.shutdown()
        wire.server.server_close()
        with pytest.raises(TransientError):
            list(hook.stream("db-1", "audit/x"))


class TestObjects:
    """Objects are written once."""

    @pytest.fixture
    def s3(self, aws_session):
        client = aws_session.client("s3")
        client.create_bucket(Bucket="audit-logs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        return client

    @pytest.fixture
    def objects(self, s3) -> LogObjectsHook:
        return LogObjectsHook("aws_orchestrator", "eu-west-1")

    def put(self, objects, body: bytes) -> bool:
        return objects.put_new("audit-logs", "k", io.BytesIO(body), len(body), {"sha256": "ab"}, Keeping())

    @pytest.mark.parametrize("size", [5, 2 * log_objects.PART_BYTES + 5])
    def test_whole_or_in_parts_but_never_over_another(self, s3, objects, size) -> None:
        assert self.put(objects, b"a" * size) is True
        assert self.put(objects, b"b" * size) is False
        assert s3.get_object(Bucket="audit-logs", Key="k")["Body"].read() == b"a" * size
        assert objects.find_metadata("audit-logs", "k") == ({"sha256": "ab"}, size)

    def test_an_upload_that_fails_is_ended(self, s3, objects, monkeypatch) -> None:
        call = AwsHook.call

        def fail(hook: Any, operation: str, /, **given: Any) -> Any:
            if operation == "upload_part" and given["PartNumber"] == 2:
                raise TransientError("lost")
            return call(hook, operation, **given)

        monkeypatch.setattr(AwsHook, "call", fail)
        with pytest.raises(TransientError):
            self.put(objects, b"a" * (2 * log_objects.PART_BYTES))
        assert "Uploads" not in s3.list_multipart_uploads(Bucket="audit-logs")

    def test_no_object_no_metadata(self, objects) -> None:
        assert objects.find_metadata("audit-logs", "none") is None


class TestStates:
    """Positions move together with objects, from the version that was read."""

    KEY = ("logs#1#r#db-1", "file#a")

    @pytest.fixture
    def states(self, aws_session) -> LogStatesHook:
        aws_session.client("dynamodb").create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        return LogStatesHook("aws_orchestrator", "eu-west-1")

    def commit(self, states, version: int, sk: str = "object#a#0") -> None:
        states.commit("t", {"pk": self.KEY[0], "sk": sk, "end": 5}, self.KEY, {"position": 5, "error": None}, version)

    def test_a_change_from_another_version_is_refused(self, states) -> None:
        states.change("t", self.KEY, {"name": "a", "error": "x"}, 0)
        with pytest.raises(BusyError, match="another run"):
            states.change("t", self.KEY, {"name": "b"}, 0)
        states.change("t", self.KEY, {"error": None}, 1)
        [item] = states.list_items("t", self.KEY[0], "file#")
        assert item == {"pk": self.KEY[0], "sk": self.KEY[1], "name": "a", "version": 2}

    def test_a_commit_is_both_or_neither(self, states) -> None:
        states.change("t", self.KEY, {"name": "a", "error": "x"}, 0)
        with pytest.raises(BusyError):
            self.commit(states, 7)
        assert states.list_items("t", self.KEY[0], "object#") == []
        self.commit(states, 1)
        with pytest.raises(BusyError):
            self.commit(states, 2)
        [item] = states.list_items("t", self.KEY[0], "file#")
        assert (item["position"], item["version"], "error" in item) == (5, 2, False)

    def test_lists_are_read_to_the_last_page(self, states) -> None:
        for number in range(40):
            states.put("t", {"pk": "p", "sk": f"file#{number:02d}", "error": "x" * 60_000})
        assert [item["sk"] for item in states.list_items("t", "p")] == [f"file#{number:02d}" for number in range(40)]
