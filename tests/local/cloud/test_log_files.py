"""Audit log files of Aurora instances on real servers, through the APIs."""

from __future__ import annotations

import base64
import itertools
import re
import threading
import time
from collections import Counter
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pymysql
import pytest
from botocore.exceptions import ConnectionClosedError, ResponseStreamingError
from botocore.parsers import ResponseParserError

from localcloud.client import AdminError, admin_operation, make_client
from localcloud.config import CloudConfig
from localcloud.seed.accounts import seed_roles
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.cloud.databases import in_background, until
from tests.local.cloud.log_helpers import (
    audit_files,
    audited,
    by_chunks,
    folder_of,
    listed,
    open_whole,
    records,
    session,
    settled,
    switch,
    whole,
)
from tests.local.cloud.rds_helpers import (
    MASTER,
    PASSWORD,
    PRODUCTION,
    STAGING,
    connect,
    create_cluster,
    create_instance,
    refused,
    wait_instance,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.local

ROTATE_BYTES = 60_000
NAME = re.compile(r"audit/audit\.log\.[0-3]\.\d{4}-\d\d-\d\d-\d\d-\d\d\.\d+")
# botocore does not compare an answer with its length: half a page is one that cannot be parsed
BROKEN = (ConnectionClosedError, ResponseStreamingError, ResponseParserError)
NASTY = [
    b"line\nfeeds\r\nand\ttabs",
    b'it\'s "quoted", `ticked`, and \\ back',
    b"nul \0 in between",
    b"caf\xe9 and \xff of Latin-1",
    b"escape \x1b and bell \x07",
    "emoji 😀 and umlaut ü".encode(),
    b"commas,',0 and \\n that is no break",
    b"</LogFileData>&amp;<![CDATA[",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud that rotates often."""
    environment = {
        **localcloud_environment(tmp_path_factory.mktemp("logs"), free_port(), free_port()),
        "LOCALCLOUD_LOG_ROTATE_BYTES": str(ROTATE_BYTES),
    }
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    try:
        seed_roles(config)
        yield LocalCloud(config, environment)
    finally:
        down = run_localcloud(environment, "down")
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def shop(home: LocalCloud) -> dict[str, Any]:
    """An audited cluster with a writer and a reader, and a table."""
    made = audited(home, "shop", instances=2)
    with session(made) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.notes (id INT AUTO_INCREMENT PRIMARY KEY, note LONGBLOB)")
    return made


@pytest.fixture
def rds(home: LocalCloud) -> Any:
    return home.client(PRODUCTION, "rds")


def run(where: dict[str, Any], *statements: bytes, endpoint: str = "Endpoint") -> int:
    """Run statements, byte for byte, in a session of their own; its number."""
    with connect(where[endpoint], where["Port"], charset="latin1") as connection:
        for statement in statements:
            connection.query(statement)
        return int(connection.thread_id())


def query_text(statement: bytes) -> bytes:
    """A statement as it stands in a record."""
    return statement.replace(b"\\", b"\\\\").replace(b"'", b"\\'")


def file_with(cloud: LocalCloud, text: bytes, instance: str = "shop-1") -> str:
    """Name of the file that holds something."""

    def names() -> list[str]:
        return [name for name, content in audit_files(cloud, instance).items() if text in content]

    assert until(lambda: bool(names()))
    (name,) = names()
    return name


def page_at(cloud: LocalCloud, name: str, mark: bytes) -> dict[str, Any]:
    """The line of the writer's file that holds a mark, as a page."""
    content = audit_files(cloud, "shop-1")[name]
    start = content.rfind(b"\n", 0, content.index(mark)) + 1
    page: dict[str, Any] = cloud.client(PRODUCTION, "rds").download_db_log_file_portion(
        DBInstanceIdentifier="shop-1", LogFileName=name, Marker=f"5:{start}", NumberOfLines=1
    )
    return page


# ---- what is written -------------------------------------------------------------------------------------------------


def test_each_instance_has_the_records_of_its_connections(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    first = run(shop, b"SELECT 'for the writer'")
    second = run(shop, b"SELECT 'for the reader'", endpoint="ReaderEndpoint")
    written = b"".join(settled(home, "shop-1", first).values())
    read = b"".join(settled(home, "shop-2", second).values())
    assert b"for the writer" in written
    assert b"for the writer" not in read
    assert b"for the reader" in read
    assert b"for the reader" not in written


def test_records_have_auroras_form(home: LocalCloud, shop: dict[str, Any]) -> None:
    before = time.time()
    run(shop, b"INSERT INTO shop.notes (note) VALUES ('form')")
    session_ = run(shop, b"SELECT note FROM shop.notes WHERE note = 'form'")
    found = [fields for fields in records(list(settled(home, "shop-1", session_).values())) if fields[2] == b"admin"]
    mine = [fields for fields in found if b"\\'form\\'" in fields[8]]
    assert [fields[6:] for fields in mine] == [
        [b"QUERY", b"shop", rb"'INSERT INTO shop.notes (note) VALUES (\'form\')',0"],
        [b"QUERY", b"shop", rb"'SELECT note FROM shop.notes WHERE note = \'form\'',0"],
    ]
    stamp, host, user, client, connection, query = mine[0][:6]
    assert len(stamp) == 16
    assert before - 1 <= int(stamp) / 1e6 <= time.time() + 1
    assert (host, user, client) == (b"shop-1", b"admin", b"127.0.0.1")
    of_the_query = [fields[6:] for fields in found if fields[4:6] == [connection, query]]
    assert [b"WRITE", b"shop", b"notes,"] in of_the_query
    until_disconnected = [fields[6] for fields in found if fields[4] == connection]
    assert until_disconnected[0] == b"CONNECT"


def test_four_files_are_written_at_once_and_a_query_stays_in_one(home: LocalCloud, shop: dict[str, Any]) -> None:
    files = settled(home, "shop-1", run(shop, *(b"SELECT %d, 'spread'" % number for number in range(8))))
    assert all(NAME.fullmatch(name) for name in files)
    slots = Counter(name.split(".")[2] for name, content in files.items() for _ in range(content.count(b"spread")))
    assert set(slots) == {"0", "1", "2", "3"}
    of_query = Counter(
        (fields[4], fields[5], name.split(".")[2])
        for name, content in files.items()
        for fields in records([content])
        if fields[6] != b"CONNECT"
    )
    queries = Counter((connection, query) for connection, query, _ in of_query)
    assert all(count == 1 for (_, query), count in queries.items() if query != b"0")


def test_auditing_follows_the_group_while_the_server_runs(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    def logged(mark: int) -> bool:
        run(shop, b"SELECT 'switch %d'" % mark)
        run(shop)  # by its answer, the statement before has been recorded
        return b"switch %d" % mark in b"".join(audit_files(home, "shop-1").values())

    numbers = itertools.count()
    assert logged(next(numbers))
    switch(rds, "shop-audit", None)
    try:
        assert until(lambda: not logged(next(numbers)), timeout_s=4)
        switch(rds, "shop-audit", "QUERY_DDL")
        assert until(lambda: b"audited" in _ddl(home, shop), timeout_s=4)
        assert not logged(next(numbers))
        switch(rds, "shop-audit", "CONNECT,QUERY,TABLE", server_audit_excl_users="admin")
        assert until(lambda: not logged(next(numbers)) and b",admin,127.0.0.1," in _tail(home), timeout_s=4)
    finally:
        switch(rds, "shop-audit", "CONNECT,QUERY,TABLE", server_audit_excl_users="")
    assert until(lambda: logged(next(numbers)), timeout_s=4)


def _ddl(home: LocalCloud, shop: dict[str, Any]) -> bytes:
    run(shop, b"CREATE OR REPLACE TABLE shop.audited (id INT)")
    return _tail(home)


def _tail(home: LocalCloud) -> bytes:
    """The last kilobytes of what was written."""
    return b"".join(content[-2000:] for content in audit_files(home, "shop-1").values())


def test_without_a_group_that_says_so_nothing_is_audited(home: LocalCloud, rds: Any) -> None:
    made = create_cluster(rds, "quiet")
    create_instance(rds, "quiet-1", "quiet")
    run(made, b"SELECT 'not audited'")
    assert listed(rds, "quiet-1", FilenameContains="audit.log", FileSize=0) == []


# ---- the two ways to read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", NASTY, ids=range(len(NASTY)))
def test_the_stream_is_what_lies_on_the_disk_byte_for_byte(
    home: LocalCloud, shop: dict[str, Any], statement: bytes
) -> None:
    run(shop, b"SELECT 1 /* %s */" % statement)
    text = query_text(statement)
    name = file_with(home, text)
    got = whole(home, "shop-1", name)
    assert text in got
    assert audit_files(home, "shop-1")[name].startswith(got)


def test_chunks_are_the_file_but_for_carriage_returns(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    create = [b"SELECT 'chunk %d <&> \xc3\xbc'" % number for number in range(40)]
    admin = audited(home, "plain")
    for name, content in settled(home, "plain-1", run(admin, *create, b"SELECT 'carriage\r\nreturn'")).items():
        got = by_chunks(rds, "plain-1", name, lines=7).encode()
        assert got == content.replace(b"\r\n", b"\n")
    assert any(b"carriage\r\nreturn" in content for content in audit_files(home, "plain-1").values())


@pytest.mark.parametrize("text", [b"bell \x07", b"latin \xe9"])
def test_a_page_that_xml_cannot_carry_is_lost(home: LocalCloud, shop: dict[str, Any], rds: Any, text: bytes) -> None:
    mark = b"page lost %d " % time.time_ns()
    run(shop, b"SELECT '%s%s'" % (mark, text))
    name = file_with(home, mark)
    with pytest.raises(ResponseParserError):
        page_at(home, name, mark)
    assert mark + text in whole(home, "shop-1", name)


def test_a_page_with_a_nul_is_taken_for_one_of_a_binary_file(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    mark = b"zero %d " % time.time_ns()
    run(shop, b"SELECT '%s\0'" % mark)
    name = file_with(home, mark)
    with refused("InvalidParameterValue", "binary data", "downloaded instead of viewed"):
        page_at(home, name, mark)


def test_a_statement_of_more_than_a_page_is_whole_in_the_stream_and_cut_in_a_chunk(
    home: LocalCloud, shop: dict[str, Any], rds: Any
) -> None:
    mark = b"huge %d " % time.time_ns()
    number = run(shop, b"INSERT INTO shop.notes (note) VALUES ('%s%s end')" % (mark, b"x" * 1_500_000))
    name = file_with(home, mark)
    content = settled(home, "shop-1", number)[name]
    assert b"x end" in whole(home, "shop-1", name) == content
    before = content.rfind(b"\n", 0, content.index(mark)) + 1
    page = page_at(home, name, mark)
    assert page["LogFileData"].endswith(" [Your log message was truncated]\n")
    assert 2**20 <= len(page["LogFileData"]) < 2**20 + 100
    assert int(page["Marker"].split(":")[1]) == content.index(b"\n", before) + 1


def test_without_a_marker_it_is_the_end_and_a_marker_goes_on_where_it_ended(
    home: LocalCloud, shop: dict[str, Any], rds: Any
) -> None:
    files = settled(home, "shop-1", run(shop, *(b"SELECT 'end %d'" % number for number in range(12))))
    name, content = next(item for item in files.items() if item[1])
    asked = {"DBInstanceIdentifier": "shop-1", "LogFileName": name}
    last = rds.download_db_log_file_portion(**asked, NumberOfLines=2)
    assert last["LogFileData"].encode() == b"".join(content.splitlines(keepends=True)[-2:])
    first = rds.download_db_log_file_portion(**asked, Marker="0", NumberOfLines=1)
    assert first["AdditionalDataPending"]
    second = rds.download_db_log_file_portion(**asked, Marker=first["Marker"], NumberOfLines=1)
    assert (first["LogFileData"] + second["LogFileData"]).encode() == b"".join(content.splitlines(keepends=True)[:2])
    at_the_end = rds.download_db_log_file_portion(**asked, Marker=last["Marker"])
    since = at_the_end.get("LogFileData", "").encode()  # mostly nothing; RDS's own user may have looked meanwhile
    assert whole(home, "shop-1", name).startswith(content + since)
    assert not at_the_end["AdditionalDataPending"]


def test_what_is_followed_while_it_is_written_and_rotated_is_what_was_written(
    home: LocalCloud, shop: dict[str, Any], rds: Any
) -> None:
    had = audit_files(home, "shop-1")
    got: dict[str, bytes] = {}
    markers = {name: f"1:{len(content)}" for name, content in had.items()}

    def write(stop: threading.Event) -> None:
        with session(shop) as connection, connection.cursor() as cursor:
            for number in itertools.count():
                if stop.is_set():
                    return
                cursor.execute(f"SELECT {number}, 'followed\nover two lines'")

    def follow() -> dict[str, bytes]:
        for file in listed(rds, "shop-1", FilenameContains="audit.log"):
            name, pending = file["LogFileName"], True
            while pending:
                page = rds.download_db_log_file_portion(
                    DBInstanceIdentifier="shop-1", LogFileName=name, Marker=markers.get(name, "0"), NumberOfLines=200
                )
                got[name] = got.get(name, b"") + page.get("LogFileData", "").encode()
                markers[name], pending = page["Marker"], page["AdditionalDataPending"]
        return got

    with in_background(write, threads=2):
        assert until(lambda: len(follow()) >= len(had) + 12, timeout_s=60)

    def written() -> dict[str, bytes]:
        return {name: content[len(had.get(name, b"")) :] for name, content in audit_files(home, "shop-1").items()}

    assert until(lambda: follow() == written())  # the sessions' ends come after they have ended
    new = got.keys() - had.keys()
    assert all(len(got[name]) <= ROTATE_BYTES for name in new)
    assert all(whole(home, "shop-1", name) == got[name] for name in new)
    texts = re.findall(rb"SELECT (\d+), ..followed\nover", b"".join(got.values()))
    each = Counter(map(int, texts))
    assert set(each.values()) <= {1, 2}
    assert len(each) == max(each) + 1


# ---- the list --------------------------------------------------------------------------------------------------------


def test_the_list_is_paged_and_filtered(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    files = settled(home, "shop-1", run(shop, b"SELECT 'listed'"))
    all_ = listed(rds, "shop-1")
    assert [file["LogFileName"] for file in all_] == [*sorted(files), "error/mysql-error-running.log"]
    assert {file["LogFileName"]: file["Size"] for file in all_[:-1]} == {name: len(files[name]) for name in files}
    assert listed(rds, "shop-1", MaxRecords=2) == all_
    assert listed(rds, "shop-1", FilenameContains="error") == all_[-1:]
    assert abs(max(file["LastWritten"] for file in all_) - time.time() * 1000) < 60_000
    moment = sorted(file["LastWritten"] for file in all_)[-2]
    assert listed(rds, "shop-1", FileLastWritten=moment) == [file for file in all_ if file["LastWritten"] >= moment]
    size = sorted(file["Size"] for file in all_)[-2]
    assert listed(rds, "shop-1", FileSize=size) == [file for file in all_ if file["Size"] > size]
    for wrong in ({"MaxRecords": 0}, {"MaxRecords": 1001}, {"Marker": "%"}):
        with refused("InvalidParameterValue", next(iter(wrong))):
            rds.describe_db_log_files(DBInstanceIdentifier="shop-1", **wrong)


def test_what_is_not_there_is_said(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    with refused("DBInstanceNotFound", "nobody"):
        rds.describe_db_log_files(DBInstanceIdentifier="nobody")
    with refused("DBInstanceNotFound", "shop"):  # a cluster is none
        rds.download_db_log_file_portion(DBInstanceIdentifier="shop", LogFileName="audit/x")
    for name in ("audit/audit.log.0.2020-01-01-00-00.0", "../shop-2/audit", "/etc/passwd", "audit/../../../server.log"):
        with refused("DBLogFileNotFoundFault", "not found on the DB instance"):
            rds.download_db_log_file_portion(DBInstanceIdentifier="shop-1", LogFileName=name)
        with pytest.raises(HTTPError) as caught:
            open_whole(home, "shop-1", name)
        assert caught.value.code == 404
        assert b"<Code>DBLogFileNotFoundFault</Code>" in caught.value.read()
    with pytest.raises(HTTPError) as caught:
        open_whole(home, "nobody", "audit/x")
    assert caught.value.code == 404
    assert b"<Code>DBInstanceNotFound</Code>" in caught.value.read()


def test_a_listed_file_may_be_gone_when_it_is_asked_for(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    name = "audit/audit.log.0.2020-01-01-00-00.0"
    path = folder_of(home, "shop-1") / name
    path.write_bytes(b"old\n")
    assert name in [file["LogFileName"] for file in listed(rds, "shop-1")]
    assert whole(home, "shop-1", name) == b"old\n"
    path.unlink()
    with refused("DBLogFileNotFoundFault"):
        by_chunks(rds, "shop-1", name)


def test_wrong_markers_and_numbers_of_lines_are_refused(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    asked = {"DBInstanceIdentifier": "shop-1", "LogFileName": next(iter(audit_files(home, "shop-1")))}
    with refused("InvalidParameterValue", "Marker"):
        rds.download_db_log_file_portion(**asked, Marker="yesterday")
    with refused("InvalidParameterValue", "NumberOfLines"):
        rds.download_db_log_file_portion(**asked, NumberOfLines=0)


def test_an_instance_that_is_not_up_is_not_ready_and_one_that_is_gone_has_no_logs(home: LocalCloud, rds: Any) -> None:
    audited(home, "short")
    folder = folder_of(home, "short-1")
    create_instance(rds, "short-2", "short", wait=False)
    with refused("DBInstanceNotReady", "short-2", "creating"):
        rds.describe_db_log_files(DBInstanceIdentifier="short-2")
    with pytest.raises(HTTPError) as caught:
        open_whole(home, "short-2", "audit/x")
    assert caught.value.code == 400
    assert b"<Code>DBInstanceNotReady</Code>" in caught.value.read()
    wait_instance(rds, "short-2")
    rds.delete_db_instance(DBInstanceIdentifier="short-1")
    wait_instance(rds, "short-1", "gone")
    with refused("DBInstanceNotFound"):
        rds.describe_db_log_files(DBInstanceIdentifier="short-1")
    assert until(lambda: not folder.exists())


# ---- the stream ------------------------------------------------------------------------------------------------------


def test_the_stream_has_no_ranges_and_needs_credentials(home: LocalCloud, shop: dict[str, Any]) -> None:
    run(shop, b"SELECT 'ranges'")
    name, content = max(audit_files(home, "shop-1").items(), key=lambda file: len(file[1]))
    with open_whole(home, "shop-1", name, Range="bytes=10-20") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] is None
        assert answer.read().startswith(content[:30])
    url = f"{home.config.endpoint}/v13/downloadCompleteLogFile/shop-1/{name}"
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(url, headers={"Host": "rds.eu-west-1.amazonaws.com"}), timeout=10)
    assert caught.value.code == 403
    stranger = make_client(home.config, "rds", "AKIASTRANGER00000000", "x")
    with pytest.raises(HTTPError) as caught:
        open_whole(home, "shop-1", name, stranger)
    assert caught.value.code == 403
    assert b"<Code>InvalidClientTokenId</Code>" in caught.value.read()


def test_the_stream_of_a_large_file_takes_little_memory_and_holds_up_nobody(
    home: LocalCloud, shop: dict[str, Any], rds: Any
) -> None:
    name, block = "audit/audit.log.1.2020-01-01-00-00.0", b"0123456789abcde\n" * 65_536
    path = folder_of(home, "shop-1") / name
    with path.open("wb") as file:
        for _ in range(300):
            file.write(block)
    try:
        status = Path(f"/proc/{int(home.config.pid_file.read_text())}/status")
        Path(f"{status.parent}/clear_refs").write_text("5")  # the peak begins anew
        before = _peak_kib(status)
        with open_whole(home, "shop-1", name) as answer:
            got = len(answer.read(2**20))
            rds.describe_db_clusters()
            while data := answer.read(2**20):
                got += len(data)
        assert got == 300 * len(block)
        assert _peak_kib(status) - before < 40_000
    finally:
        path.unlink()


def _peak_kib(status: Path) -> int:
    return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0])


def test_calls_are_recorded_and_struck_by_rules(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    name = next(iter(audit_files(home, "shop-1")))
    for action in ("DownloadCompleteDBLogFile", "DownloadDBLogFilePortion", "DescribeDBLogFiles"):
        admin_operation("faults-add", home.config, service="rds", action=action, resource="shop-1")
    since = home.now()
    with pytest.raises(HTTPError) as caught:
        open_whole(home, "shop-1", name)
    assert caught.value.code == 400
    assert b"<Code>Throttling</Code>" in caught.value.read()
    with refused("Throttling", "Rate exceeded"):
        by_chunks(rds, "shop-1", name)
    with refused("Throttling", "Rate exceeded"):
        listed(rds, "shop-1")
    whole(home, "shop-1", name)
    calls = [call for call in home.calls(since) if call["action"] == "DownloadCompleteDBLogFile"]
    assert [(call["status"], call["error"], call["mutating"]) for call in calls] == [
        (400, "Throttling", False),
        (200, None, False),
    ]
    assert calls[0]["parameters"] == {"DBInstanceIdentifier": "shop-1", "LogFileName": name}
    assert calls[0]["caller"].startswith(f"arn:aws:sts::{PRODUCTION}:assumed-role/")


def test_a_stream_may_break_off(home: LocalCloud, shop: dict[str, Any], rds: Any) -> None:
    run(shop, b"SELECT 'broken off'")
    name, content = max(audit_files(home, "shop-1").items(), key=lambda file: len(file[1]))
    for action in ("DownloadCompleteDBLogFile", "DescribeDBLogFiles"):
        admin_operation("faults-add", home.config, service="rds", action=action, effect="broken", cut_bytes=700)
    with open_whole(home, "shop-1", name) as answer, pytest.raises(IncompleteRead) as caught:
        answer.read()
    assert caught.value.partial == content[:700]
    with pytest.raises(BROKEN):
        rds.describe_db_log_files(DBInstanceIdentifier="shop-1")
    admin_operation("faults-add", home.config, service="rds", action="DescribeDBLogFiles", effect="broken")
    with pytest.raises(BROKEN):  # an error breaks off too, and is recorded
        rds.describe_db_log_files(DBInstanceIdentifier="nobody")
    assert home.calls()[-1]["error"] == "ConnectionClosed"
    assert whole(home, "shop-1", name).startswith(content)


@pytest.mark.parametrize(
    ("odd", "data", "marker", "pending"),
    [
        ("early-end", b"two\n", "8", False),
        ("silent-end", b"two\n", "8", None),
        ("empty", None, "4", True),
        ("zero-marker", b"two\n", "0", True),
        ("again", b"two\n", "4", True),
    ],
)
def test_a_page_may_be_odd(
    home: LocalCloud, shop: dict[str, Any], rds: Any, odd: str, data: bytes | None, marker: str, pending: bool | None
) -> None:
    name = "audit/audit.log.2.2020-01-01-00-00.0"
    path = folder_of(home, "shop-1") / name
    path.write_bytes(b"one\ntwo\nthree\n")
    asked = {"DBInstanceIdentifier": "shop-1", "LogFileName": name, "NumberOfLines": 1}
    admin_operation(
        "faults-add", home.config, service="rds", action="DownloadDBLogFilePortion", effect="odd", odd=odd, nth=2
    )
    first, second, third = (
        rds.download_db_log_file_portion(**asked, Marker=marker_) for marker_ in ("0", "1:4", "1:4")
    )
    assert (first["LogFileData"], first["AdditionalDataPending"]) == ("one\n", True)
    assert (third["LogFileData"], third["AdditionalDataPending"]) == ("two\n", True)
    assert third["Marker"].endswith(":8")
    assert second.get("LogFileData") == (None if data is None else data.decode())
    assert second["Marker"].rpartition(":")[2] == marker
    assert second.get("AdditionalDataPending") is pending
    path.unlink()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"action": "DescribeDBLogFiles", "effect": "odd", "odd": "empty"}, "action='DescribeDBLogFiles'"),
        ({"action": "DownloadDBLogFilePortion", "effect": "odd", "odd": "late"}, "odd='late' is none of early-end"),
        ({"action": "DownloadDBLogFilePortion", "odd": "empty"}, "odd='empty' is for effect odd"),
        ({"action": "DescribeDBLogFiles", "effect": "broken", "cut_bytes": -1}, "cut_bytes=-1 is below 0"),
    ],
)
def test_a_wrong_rule_is_named(home: LocalCloud, rule: dict[str, Any], said: str) -> None:
    with pytest.raises(AdminError, match=re.escape(said)):
        admin_operation("faults-add", home.config, service="rds", **rule)


# ---- many, and restarts ----------------------------------------------------------------------------------------------


def test_a_thousand_idle_instances_have_four_files_each_and_no_server(home: LocalCloud) -> None:
    engines = len(admin_operation("engines", home.config)["engines"])
    made = admin_operation(
        "rds-idle-instances", home.config, account=STAGING, count=1000, prefix="calm", tags={"team": "shop"}
    )["instances"]
    rds = home.client(STAGING, "rds")
    found = [one for page in rds.get_paginator("describe_db_instances").paginate() for one in page["DBInstances"]]
    assert [one["DBInstanceIdentifier"] for one in found] == sorted(made)
    assert len({one["DbiResourceId"] for one in found}) == len(made) == 1000
    assert {(one["DBInstanceStatus"], one["Engine"], one["TagList"][0]["Value"]) for one in found} == {
        ("available", "aurora-mysql", "shop")
    }
    assert Counter(Counter(one["DBClusterIdentifier"] for one in found).values()) == {16: 62, 8: 1}
    assert len(admin_operation("engines", home.config)["engines"]) - engines == 63
    assert not [
        one for one in admin_operation("engines", home.config)["engines"] if one["account"] == STAGING and one["pid"]
    ]
    before = {name: listed(rds, name) for name in made[:5]}
    assert all(NAME.fullmatch(file["LogFileName"]) for files in before.values() for file in files)
    assert {len(files) for files in before.values()} == {4}
    admin_operation("log-append", home.config, account=STAGING, instances=made[1:3], records=50)
    grown = [name for name in made[:5] if sum(file["Size"] for file in listed(rds, name)) > 4000]
    assert grown == made[1:3]
    data = base64.b64encode(b"nul \0\n").decode()
    files = admin_operation("log-append", home.config, account=STAGING, instances=made[:1], data=data, slot=2)["files"]
    with refused("InvalidParameterValue", "binary"):
        by_chunks(rds, made[0], files[made[0]][2])
    for wrong, word in (
        ({"count": 0}, "count"),
        ({"count": 1, "prefix": "calm"}, "already exists"),
        ({"count": 1, "prefix": "9"}, "identifier"),
    ):
        with pytest.raises(AdminError, match=word):
            admin_operation("rds-idle-instances", home.config, account=STAGING, **wrong)


def test_after_a_restart_with_the_state_each_record_is_there_once(home: LocalCloud, shop: dict[str, Any]) -> None:
    production = home.client(PRODUCTION, "rds")
    production.create_db_instance(
        DBInstanceIdentifier="alone",
        Engine="mysql",
        DBInstanceClass="db.m5.large",
        AllocatedStorage=20,
        MasterUsername=MASTER,
        MasterUserPassword=PASSWORD,
    )
    before = settled(home, "shop-1", run(shop, *(b"SELECT 'before %d'" % number for number in range(50))))
    assert run_localcloud(home.environment, "down").returncode == 0
    up = run_localcloud(home.environment, "up", "--keep")
    assert up.returncode == 0, up.stderr
    home._clients.clear()
    run(shop, *(b"SELECT 'after %d'" % number for number in range(50)))
    file_with(home, b"after 49")
    after = audit_files(home, "shop-1")
    assert set(before) <= set(after)
    assert all(after[name].startswith(content) for name, content in before.items())
    texts = Counter(re.findall(rb"SELECT \\'((?:before|after) \d+)", b"".join(after.values())))
    assert set(texts.values()) == {1}
    assert len(texts) == 100
    alone = home.client(PRODUCTION, "rds").describe_db_instances(DBInstanceIdentifier="alone")["DBInstances"][0]
    connect(alone["Endpoint"]["Address"], alone["Endpoint"]["Port"]).close()
    staging = home.client(STAGING, "rds")
    assert len(staging.describe_db_clusters()["DBClusters"]) == 63
    assert {one["DBInstanceStatus"] for one in staging.describe_db_instances()["DBInstances"]} == {"available"}


def test_a_server_that_has_died_is_audited_again(home: LocalCloud, shop: dict[str, Any]) -> None:
    admin_operation("engine-kill", home.config, account=PRODUCTION, cluster="shop")

    def answers() -> bool:
        try:
            run(shop, b"SELECT 'risen'")
        except pymysql.err.OperationalError:
            return False
        return True

    assert until(answers, timeout_s=30)
    assert file_with(home, b"risen")
