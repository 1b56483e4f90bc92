"""Audit records are read as they were written, and no byte is lost, whatever the bytes are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aurora_ops.core.audit_logs.records import (
    CUT,
    NO_END,
    NO_TIME,
    NOT_A_RECORD,
    TOO_LONG,
    Batch,
    Reader,
    Reject,
    read_all,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.audit_samples import Written, aurora, shown

START = datetime(2026, 1, 1, tzinfo=UTC)


def read(data: bytes, piece: int = 2**20, **options) -> tuple[list[dict], list[Reject]]:
    batches: list[Batch] = list(read_all(data, piece=piece, **options))
    rows = [row for batch in batches for row in batch.table.to_pylist()]
    rejects = [reject for batch in batches for reject in batch.rejects]
    return sorted(rows, key=lambda row: row["offset"]), sorted(rejects)


def spans(rows: list[dict], rejects: list[Reject]) -> list[tuple[int, int]]:
    return sorted([(row["offset"], row["length"]) for row in rows] + [(one.offset, len(one.raw)) for one in rejects])


def assert_nothing_lost(data: bytes, rows: list[dict], rejects: list[Reject]) -> None:
    at = 0
    for offset, length in spans(rows, rejects):
        assert offset == at, "neither gap nor overlap"
        at += length
    assert at == len(data)
    for reject in rejects:
        assert data[reject.offset : reject.offset + len(reject.raw)] == reject.raw
    for row in rows:
        assert data[row["offset"] + row["length"] - 1 : row["offset"] + row["length"]] == b"\n"
        whole = data[row["offset"] : row["offset"] + row["length"] - 1]
        assert row["raw"] in (None, whole)
        assert (row["raw"] is None) == (shown(whole).encode() == whole), "kept where it is no text"


def expected(one: Written) -> dict:
    return {
        "event_us": one.event_us,
        "server_host": shown(one.server),
        "user_name": shown(one.user),
        "client_host": shown(one.host),
        "connection_id": one.connection,
        "query_id": one.query,
        "operation": shown(one.operation),
        "database_name": shown(one.database),
        "object": shown(one.subject),
        "return_code": one.code,
    }


def told(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in ("offset", "length", "raw")}


# ---- what servers write --------------------------------------------------------------------------------------------

names = st.binary(max_size=12).map(lambda value: value.translate(None, b",\n"))
hostile = st.sampled_from(
    [b"'", b"\\", b"\n", b"',0\n", b"\\'", b",", b"\xe9", b"\x00", b"\n1603439251360772,", "\N{GRINNING FACE}".encode()]
)
statements = st.lists(st.one_of(st.binary(max_size=8), hostile), max_size=8).map(b"".join)
tables = st.binary(max_size=12).map(lambda value: value.translate(None, b"\n")).filter(lambda v: v[:1] != b"'")
moments = st.one_of(
    st.integers(10**15, 10**16 - 1).map(lambda at: (b"%d" % at, at)),
    st.integers(0, 10**9).map(
        lambda s: (
            datetime.fromtimestamp(s, UTC).strftime("%Y%m%d %H:%M:%S").encode(),
            s * 1_000_000,
        )
    ),
)


@st.composite
def written(draw) -> Written:
    time, at_us = draw(moments)
    about = {
        "server": draw(names),
        "user": draw(names),
        "host": draw(names),
        "connection": draw(st.integers(0, 10**18 - 1)),
        "query": draw(st.integers(0, 10**18 - 1)),
        "database": draw(names),
        "code": draw(st.one_of(st.none(), st.integers(0, 10**9 - 1))),
    }
    if draw(st.booleans()):
        return Written(time, at_us, subject=draw(statements), **about)
    return Written(time, at_us, operation=b"READ", subject=draw(tables), **about)


@given(st.lists(written(), max_size=12), st.booleans(), st.integers(1, 400))
def test_what_was_written_is_read(records, raw_whitespace, piece) -> None:
    data = b"".join(one.line(raw_whitespace=raw_whitespace) for one in records)
    rows, rejects = read(data, piece)
    assert rejects == []
    assert [told(row) for row in rows] == [expected(one) for one in records]
    assert_nothing_lost(data, rows, rejects)


# ---- whatever there is ---------------------------------------------------------------------------------------------

anything = st.lists(
    st.one_of(
        st.binary(max_size=30),
        hostile,
        written().map(lambda one: one.line(raw_whitespace=True)),
        written().map(lambda one: one.line()[:-3]),
        st.sampled_from([b"20260101 10:00:00,a,b,c,1,2,QUERY,d,'", b"20260230 10:00:00,a,b,c,1,2,READ,d,t,\n"]),
    ),
    max_size=12,
).map(b"".join)


@given(anything, st.integers(1, 200))
def test_nothing_is_lost_and_pieces_do_not_matter(data, piece) -> None:
    rows, rejects = read(data, piece)
    assert_nothing_lost(data, rows, rejects)
    assert (rows, rejects) == read(data)


@given(anything, st.integers(1, 200), st.integers(20, 300))
def test_nothing_is_lost_where_records_are_too_long(data, piece, most) -> None:
    rows, rejects = read(data, piece, most_bytes=most)
    assert_nothing_lost(data, rows, rejects)


# ---- cases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 60, 61, 100, 133, 10**6])
def test_a_statement_ends_at_its_quote_not_at_its_line(piece) -> None:
    """Somebody who writes a record into a statement gets no record, wherever the stream is cut."""
    forged = aurora(user=b"root", subject=b"drop table x").line()
    data = aurora(subject=b"select '\n" + forged + b"'").line(raw_whitespace=True) + aurora().line()
    rows, rejects = read(data, piece)
    assert rejects == []
    assert [row["user_name"] for row in rows] == ["app", "app"]
    assert "drop table x" in rows[0]["object"]


def test_events_on_several_tables_are_rows_of_one_query() -> None:
    data = b"".join(aurora(operation=b"READ", subject=name, query=7, code=None).line() for name in (b"a", b"b"))
    rows, _ = read(data + aurora(query=7).line())
    assert [(row["query_id"], row["operation"], row["object"]) for row in rows] == [
        (7, "READ", "a"),
        (7, "READ", "b"),
        (7, "QUERY", "select 1"),
    ]


@pytest.mark.parametrize("piece", [1, 5, 61, 66, 70, 10**6])
@pytest.mark.parametrize("subject", [b"select it's so", b"it's\n so", b"it's',0\n',0\n so", b"'", b"a','b"])
def test_statements_whose_quotes_are_not_escaped_reach_to_the_next_record(subject, piece) -> None:
    odd = aurora().line().replace(b"select 1", subject)
    rows, rejects = read(odd + aurora(query=2).line(), piece)
    assert rejects == []
    assert [row["object"] for row in rows] == [subject.decode(), "select 1"]


def test_a_comma_in_a_users_name_is_part_of_it() -> None:
    [row], _ = read(aurora(user=b"a,b", operation=b"CONNECT", subject=b"", code=1045).line())
    assert (row["user_name"], row["client_host"], row["return_code"]) == ("a,b", "10.0.0.1", 1045)


def test_bytes_that_are_no_text_are_shown_and_kept() -> None:
    line = aurora(subject=b"select 'caf\xe9'").line()
    [row], _ = read(line)
    assert row["object"] == r"select 'caf\xe9'"
    assert row["raw"] == line[:-1]


def test_local_times_are_the_servers() -> None:
    line = aurora().line().replace(b"1603439251360772", b"20260701 12:00:00")
    [row], _ = read(line, zone="Europe/Paris")
    assert datetime.fromtimestamp(row["event_us"] / 1e6, UTC) == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"junk\n", NOT_A_RECORD),
        (b"\n", NOT_A_RECORD),
        (b"1603439251360772,a,b\n", NO_END),
        (b"20260230 10:00:00,a,b,c,1,2,READ,d,t,\n", NO_TIME),
        (aurora().line()[:-1], CUT),
        (b"1603439251360772,a,b,c,1,2,QUERY,d,'never closed\n", NO_END),
    ],
)
def test_rejected_lines_say_why(data, reason) -> None:
    good = aurora().line()
    rows, [reject] = read(good + data)
    assert reject == Reject(len(good), data, reason)
    assert len(rows) == 1


def test_a_statement_that_is_never_closed_takes_no_other_along() -> None:
    broken = b"1603439251360772,a,b,c,1,2,QUERY,d,'never closed\n"
    rows, rejects = read(broken + aurora().line() * 2)
    assert [one.reason for one in rejects] == [NO_END]
    assert len(rows) == 2


def test_what_has_no_end_is_given_up_in_bounded_memory() -> None:
    reader = Reader(most_bytes=1000)
    batches = [reader.feed(b"x" * 100) for _ in range(100)]
    rejects = [one for batch in batches if batch for one in batch.rejects] + list(reader.finish().rejects)
    assert sum(len(one.raw) for one in rejects) == 10_000
    assert {one.reason for one in rejects[:-1]} == {TOO_LONG}
    assert max(len(one.raw) for one in rejects) <= 2100


@pytest.mark.parametrize("piece", [10, 10**6])
@pytest.mark.parametrize("subject", [b"x\n" * 200, b"it's\n" * 100], ids=["escaped", "not escaped"])
def test_a_record_that_is_too_long_is_rejected_and_no_other(subject, piece) -> None:
    long = aurora().line().replace(b"select 1", subject)
    data = long + aurora(query=2).line()
    rows, rejects = read(data, piece, most_bytes=300)
    assert_nothing_lost(data, rows, rejects)
    assert b"".join(one.raw for one in rejects) == long
    assert rejects[0].reason == TOO_LONG
    assert [row["query_id"] for row in rows] == [2]


def test_a_stream_may_begin_anywhere_in_its_file() -> None:
    reader = Reader(offset=5_000)
    reader.feed(aurora().line())
    batch = reader.feed(b"junk\n")
    assert batch is not None
    assert batch.rejects[0].offset == 5_000 + len(aurora().line())
