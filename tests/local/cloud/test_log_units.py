"""Log files without a cloud around them: records, pages, rotation, and following the plugin's file."""

from __future__ import annotations

import io
import itertools
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.rds.models import rds_backends

from localcloud.config import CloudConfig, ConfigError, LogConfig
from localcloud.rds.logs import audit
from localcloud.rds.logs.portion import LARGEST_PAGE, NOTICE, marker_of, offset_of, portion
from localcloud.rds.logs.records import SLOTS, Converter, Place
from localcloud.rds.logs.shelf import AuroraFiles, log_files
from localcloud.rds.logs.tail import Tail

MINUTE = 1_776_081_600  # 2026-04-13 12:00:00 UTC
CONFIG = LogConfig(rotate_bytes=100, rotate_s=3600, retention_s=600, space_mib=1)
HERE = Place("db-1", b"shop-1", b"10.0.0.9")


def escaped(statement: bytes) -> bytes:
    """A statement as the plugin writes it."""
    marks = {b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t", b"'": rb"\'", b"\\": rb"\\"}
    return b"".join(marks.get(bytes([byte]), bytes([byte])) for byte in statement)


def query(statement: bytes, *, second: str = "12:00:00", connection: int = 7, number: int = 18) -> bytes:
    head = f"20260413 {second},vm,app,localhost,{connection},{number},QUERY,shop,'".encode()
    return head + escaped(statement) + b"',0"


def converted(lines: list[bytes], breaks: str = "raw") -> list[tuple[str, int, bytes]]:
    return list(Converter(breaks).convert(lines, lambda _: HERE))


class Clock:
    """Time that passes when told to."""

    def __init__(self, now: float = MINUTE) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


# ---- records ---------------------------------------------------------------------------------------------------------


def test_a_record_has_microseconds_and_the_instance_and_the_address_of_the_client() -> None:
    (made,) = converted([query(b"SELECT 1")])
    assert made == ("db-1", (7 + 18) % SLOTS, b"1776081600000000,shop-1,app,10.0.0.9,7,18,QUERY,shop,'SELECT 1',0\n")


def test_the_order_within_a_second_is_kept_as_microseconds() -> None:
    lines = [query(b"SELECT 1", number=number) for number in range(5)] + [query(b"SELECT 2", second="12:00:01")]
    moments = [int(record.split(b",")[0]) - MINUTE * 10**6 for _, _, record in converted(lines)]
    assert moments == [0, 1, 2, 3, 4, 1_000_000]


@settings(deadline=None, max_examples=60)
@given(st.binary())
def test_a_statement_is_in_its_record_byte_for_byte(statement: bytes) -> None:
    # the plugin's lines are told apart by their line feeds, and so it escapes them
    (made,) = converted([query(statement)])
    text = made[2].split(b",QUERY,shop,'", 1)[1].removesuffix(b"',0\n")
    assert re.sub(rb"\\(['\\])", rb"\1", text) == statement


@pytest.mark.parametrize(
    ("breaks", "text"), [("raw", b"a\nb\r\tc \\\\n"), ("blank", b"a b  c \\\\n"), ("escaped", rb"a\nb\r\tc \\n")]
)
def test_breaks_become_what_the_setting_says_and_a_backslash_stays(breaks: str, text: bytes) -> None:
    (made,) = converted([query(b"a\nb\r\tc \\n")], breaks)
    assert made[2].endswith(b"'" + text + b"',0\n")


def test_a_line_break_in_a_tables_name_stays_with_its_record() -> None:
    lines = [b"20260413 12:00:00,vm,app,localhost,7,23,CREATE,shop,a", b"b,c'd,", query(b"SELECT 1", number=24)]
    made = converted(lines)
    assert [slot for _, slot, _ in made] == [2, 2, 3]
    assert made[0][2].endswith(b"CREATE,shop,a\n")
    assert made[1][2] == b"b,c'd,\n"


def test_tables_that_aurora_does_not_have_are_left_out() -> None:
    lines = [
        b"20260413 12:00:00,vm,app,localhost,7,18,READ,mysql,table_stats,",
        b"20260413 12:00:00,vm,app,localhost,7,18,READ,mysql,user,",
        b"20260413 12:00:00,vm,app,localhost,7,18,READ,shop,table_stats,",
    ]
    assert [record.split(b",", 6)[6] for _, _, record in converted(lines)] == [
        b"READ,mysql,user,\n",
        b"READ,shop,table_stats,\n",
    ]


def test_records_of_a_connection_to_no_instance_are_dropped_with_what_goes_on_from_them() -> None:
    lines = [query(b"SELECT 2", connection=8), query(b"SELECT 1"), b"and more"]
    made = list(Converter("raw").convert(lines, lambda number: HERE if number == 8 else None))
    assert len(made) == 1
    assert b"SELECT 2" in made[0][2]


# ---- pages -----------------------------------------------------------------------------------------------------------


def page(content: bytes, start: int | None, lines: int | None = None) -> tuple[bytes, int, bool]:
    got = portion(io.BytesIO(content), len(content), start, lines)
    return got.data, got.offset, got.pending


LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=40)


@settings(deadline=None, max_examples=60)
@given(LINES, st.integers(1, 12))
def test_pages_from_the_beginning_are_the_file(lines: list[bytes], many: int) -> None:
    content, offset, got = b"".join(lines), 0, []
    for _ in range(len(lines) + 1):
        data, offset, pending = page(content, offset, many)
        assert data.count(b"\n") <= many
        got.append(data)
        if not pending:
            break
    assert b"".join(got) == content
    assert offset == len(content)


@settings(deadline=None, max_examples=60)
@given(LINES, st.integers(1, 12))
def test_without_a_marker_it_is_the_last_lines(lines: list[bytes], many: int) -> None:
    assert page(b"".join(lines), None, many) == (b"".join(lines[-many:]), len(b"".join(lines)), False)


def test_a_line_that_has_no_end_yet_is_a_line() -> None:
    assert page(b"one\ntwo\nth", None, 2) == (b"two\nth", 10, False)


def test_without_a_marker_and_lines_it_is_the_last_ten_thousand_lines() -> None:
    content = b"".join(b"%d\n" % number for number in range(25_000))
    data, _, pending = page(content, None)
    assert data.startswith(b"15000\n")
    assert not pending
    assert page(content, 0)[0].endswith(b"\n9999\n")
    assert page(content, 0, 99_999)[0].endswith(b"\n9999\n")


def test_a_page_that_is_too_large_is_cut_and_what_was_cut_off_is_had_with_fewer_lines() -> None:
    lines = [bytes([65 + number]) * 400_000 + b"\n" for number in range(5)]
    content = b"".join(lines)
    data, offset, pending = page(content, 0, 4)
    assert data == content[:LARGEST_PAGE] + NOTICE
    assert offset == 4 * 400_001
    assert pending
    assert page(content, 0, 2) == (content[: 2 * 400_001], 2 * 400_001, True)


def test_without_a_number_of_lines_the_next_page_begins_at_the_cut() -> None:
    content = b"x" * 3 * LARGEST_PAGE
    data, offset, pending = page(content, 0)
    assert (data, offset, pending) == (content[:LARGEST_PAGE] + NOTICE, LARGEST_PAGE, True)
    assert page(content, offset)[1] == 2 * LARGEST_PAGE


def test_a_line_of_more_than_a_page_cannot_be_had_whole() -> None:
    content = b"y" * (LARGEST_PAGE + 10) + b"\nnext\n"
    data, offset, pending = page(content, 0, 1)
    assert data.endswith(NOTICE)
    assert page(content, offset, 1) == (b"next\n", len(content), False)
    assert pending


def test_a_cut_leaves_characters_whole() -> None:
    content = b"z" * (LARGEST_PAGE - 2) + "😀".encode() + b"\n"
    assert page(content, 0, 1)[0] == b"z" * (LARGEST_PAGE - 2) + NOTICE
    content = b"z" * (LARGEST_PAGE - 4) + "😀".encode() + b"more\n"
    assert page(content, 0, 1)[0] == b"z" * (LARGEST_PAGE - 4) + "😀".encode() + NOTICE


def test_a_marker_behind_the_end_of_what_has_the_name_now_begins_anew() -> None:
    assert page(b"new\n", 500) == (b"new\n", 4, False)
    assert page(b"new\n", 4) == (b"", 4, False)


def test_a_marker_has_the_hour_after_the_last_record_and_its_beginning_is_not_looked_at() -> None:
    assert marker_of(326043, MINUTE) == "13:326043"
    assert [offset_of(marker) for marker in ("0", "13:326043", "2024-01-04.9:0", "x", "1:", "-3")] == [
        0,
        326043,
        0,
        None,
        None,
        None,
    ]


# ---- the four files --------------------------------------------------------------------------------------------------


def test_four_files_begin_at_once_and_a_record_is_never_cut(tmp_path: Path) -> None:
    files = AuroraFiles(tmp_path, CONFIG, Clock())
    files.append(2, [b"a" * 59 + b"\n", b"b" * 39 + b"\n", b"c" * 10 + b"\n", b"d" * 300 + b"\n"])
    found = {file.name: file.size for file in log_files(tmp_path)}
    assert found == {
        "audit/audit.log.0.2026-04-13-12-00.0": 0,
        "audit/audit.log.1.2026-04-13-12-00.0": 0,
        "audit/audit.log.2.2026-04-13-12-00.0": 100,
        "audit/audit.log.2.2026-04-13-12-00.1": 11,
        "audit/audit.log.2.2026-04-13-12-00.2": 301,
        "audit/audit.log.3.2026-04-13-12-00.0": 0,
    }
    assert files.names()[2] == "audit/audit.log.2.2026-04-13-12-00.2"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 150), st.sampled_from([-70, 0, 0, 30, 61])), min_size=1, max_size=40
    )
)
def test_names_are_never_used_again_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    folder, clock = tmp_path_factory.mktemp("files"), Clock(time.time())
    written = dict.fromkeys(range(SLOTS), b"")
    held: dict[str, bytes] = {}
    files = AuroraFiles(folder, replace(CONFIG, retention_s=20, rotate_s=50), clock)
    for number, (slot, length, passed) in enumerate(steps):
        record = b"%d" % number * length + b"\n"
        files.append(slot, [record])
        written[slot] += record
        clock.now += passed
        if number % 3 == 0:
            files.close()
        for path in (folder / "audit").iterdir():
            assert path.read_bytes().startswith(held.get(path.name, b""))
            held[path.name] = path.read_bytes()
        files.tend()
    by_name = sorted(held, key=lambda name: (name.split(".")[2], name.split(".")[3], int(name.split(".")[4])))
    for slot in range(SLOTS):
        assert b"".join(held[name] for name in by_name if name.startswith(f"audit.log.{slot}")) == written[slot]


def test_old_files_are_removed_but_not_those_that_are_written(tmp_path: Path) -> None:
    clock = Clock(time.time())
    files = AuroraFiles(tmp_path, CONFIG, clock)
    files.append(0, [b"a" * 90 + b"\n", b"b" * 90 + b"\n"])
    clock.now += CONFIG.retention_s - 5
    files.tend()
    assert len(log_files(tmp_path)) == 5
    clock.now += 10
    files.tend()
    assert [file.name for file in log_files(tmp_path)] == files.names()


def test_the_oldest_files_are_removed_where_they_take_too_much_space(tmp_path: Path) -> None:
    config = replace(CONFIG, rotate_bytes=300_000, retention_s=10**9)
    files = AuroraFiles(tmp_path, config, Clock())
    for number in range(6):
        files.append(1, [bytes([97 + number]) * 200_000])
        files.append(1, [b"." * 50_000])
    files.tend()
    left = [path.read_bytes()[:1] for path in sorted((tmp_path / "audit").glob("audit.log.1.*"))]
    assert left == [b"c", b"d", b"e", b"f"]


def test_a_file_is_closed_at_an_age_if_anything_is_in_it(tmp_path: Path) -> None:
    clock = Clock()
    files = AuroraFiles(tmp_path, CONFIG, clock)
    files.append(3, [b"one\n"])
    clock.now += CONFIG.rotate_s + 1
    files.tend()
    assert files.names() == [
        "audit/audit.log.0.2026-04-13-12-00.0",
        "audit/audit.log.1.2026-04-13-12-00.0",
        "audit/audit.log.2.2026-04-13-12-00.0",
        "audit/audit.log.3.2026-04-13-13-00.0",
    ]


# ---- following the plugin's file -------------------------------------------------------------------------------------


def read(tail: Tail) -> list[bytes]:
    return list(itertools.chain.from_iterable(tail.lines()))


def test_each_line_is_read_once_and_half_a_line_waits(tmp_path: Path) -> None:
    tail, raw = Tail(tmp_path, 10), tmp_path / "server_audit.log"
    assert read(tail) == []
    raw.write_bytes(b"one\ntwo\nthr")
    assert read(tail) == [b"one", b"two"]
    assert read(tail) == []
    with raw.open("ab") as file:
        file.write(b"ee\n")
    assert not tail.is_long
    assert read(tail) == [b"three"]
    assert tail.is_long


def test_a_renamed_file_is_read_to_its_end_and_removed(tmp_path: Path) -> None:
    tail, raw = Tail(tmp_path, 10), tmp_path / "server_audit.log"
    raw.write_bytes(b"one\n")
    assert read(tail) == [b"one"]
    with raw.open("ab") as file:
        file.write(b"two\n")
    raw.rename(tmp_path / "server_audit.log.1")
    raw.write_bytes(b"three\n")
    assert read(tail) == [b"two", b"three"]
    assert not (tmp_path / "server_audit.log.1").exists()


def test_another_localcloud_goes_on_where_the_first_ended_also_over_a_rename(tmp_path: Path) -> None:
    raw = tmp_path / "server_audit.log"
    raw.write_bytes(b"one\n")
    first = Tail(tmp_path, 10)
    assert read(first) == [b"one"]
    first.close()
    with raw.open("ab") as file:
        file.write(b"two\n")
    raw.rename(tmp_path / "server_audit.log.1")
    raw.write_bytes(b"three\n")
    assert read(Tail(tmp_path, 10)) == [b"two", b"three"]
    assert read(Tail(tmp_path, 10)) == []


def test_what_was_not_used_is_read_again(tmp_path: Path) -> None:
    tail = Tail(tmp_path, 10)
    (tmp_path / "server_audit.log").write_bytes(b"one\n")
    lines = tail.lines()
    next(lines)
    lines.close()  # such as: the disk was full
    assert read(tail) == [b"one"]


def test_a_line_of_more_than_a_block_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.rds.logs.tail.BLOCK", 7)
    (tmp_path / "server_audit.log").write_bytes(b"a" * 50 + b"\nb\n" + b"c" * 30)
    tail = Tail(tmp_path, 10)
    assert read(tail) == [b"a" * 50, b"b"]


# ---- what is audited -------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Any:
    """A cluster with a parameter group of its own, in moto."""
    rds = rds_backends["111111111111"]["eu-west-1"]
    rds.create_db_cluster_parameter_group("audited", "aurora-mysql8.0", "audited", [])
    yield SimpleNamespace(account="111111111111", region="eu-west-1", parameter_group="audited")
    rds.delete_db_cluster_parameter_group("audited")


@pytest.mark.parametrize(
    ("logging", "events", "on", "said"),
    [
        ("1", "CONNECT,QUERY", True, "CONNECT,QUERY"),
        ("ON", "table", True, "TABLE"),
        ("0", "CONNECT", False, "CONNECT"),
        ("1", "", False, ""),  # MariaDB would log everything
        ("1", "NOTHING,QUERY_DDL", True, "QUERY_DDL"),  # MariaDB would not start
    ],
)
def test_a_group_says_what_is_audited(cluster: Any, logging: str, events: str, *, on: bool, said: str) -> None:
    group = rds_backends["111111111111"]["eu-west-1"].db_cluster_parameter_groups["audited"]
    values = {
        "server_audit_logging": logging,
        "server_audit_events": events,
        "server_audit_incl_users": "app,batch",
        "server_audit_excl_users": "monitor",
    }
    group.update_cluster_parameters([{"ParameterName": key, "ParameterValue": values[key]} for key in values])
    found = audit.of_cluster(cluster, always=False)
    assert (found.on, found.events, found.include, found.exclude) == (on, said, "app,batch", "monitor")
    options = found.options(Path("/x/server_audit.log"))
    assert f"--loose-server-audit-logging={'ON' if on else 'OFF'}" in options
    assert "--loose-server-audit-file-path=/x/server_audit.log" in options


def test_the_setting_outdoes_the_group_and_a_group_without_parameters_says_no(cluster: Any) -> None:
    assert not audit.of_cluster(cluster, always=False).on
    assert audit.of_cluster(cluster, always=True) == audit.Audit(on=True, events="CONNECT,QUERY,TABLE")
    assert CloudConfig.from_env({"LOCALCLOUD_AUDIT": "always"}).logs.always
    assert not CloudConfig.from_env({}).logs.always


# ---- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOCALCLOUD_AUDIT", "yes"),
        ("LOCALCLOUD_AUDIT_BREAKS", "html"),
        ("LOCALCLOUD_LOG_ROTATE_BYTES", "5"),
        ("LOCALCLOUD_LOG_RETENTION_S", "soon"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}='?{value}"):
        CloudConfig.from_env({name: value})
