"""Kept tables come back as they were, whatever is in them."""

from __future__ import annotations

import gzip
import io

import pytest
from aurora_ops.core import kept_tables
from hypothesis import example, given
from hypothesis import strategies as st

HEADER = {"table": "shop.flags", "columns": ["id", "name"], "create": "CREATE TABLE `flags` (\n)", "triggers": ["é\n"]}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUE = st.one_of(st.none(), TEXT, st.binary())
ROWS = st.lists(st.tuples(VALUE, VALUE), max_size=20)
NASTY = [
    ("", b""),
    (None, None),
    ("\x00", b"\x00\xff\xfe"),
    ("line\nline\r\n\u2028\u0085", b"\n"),
    ("😀 naïve", "😀".encode()),
    ('{"b64": "eA=="}', '["x"]'),
    ("null", "0"),
    ("1e309", "-0.00"),
    ("x" * 100_000, b"\x80" * 100_000),
]


def round_trip(rows, header=HEADER):
    stream = io.BytesIO()
    count = kept_tables.write(stream, header, rows)
    stream.seek(0)
    found_header, *found = kept_tables.read(stream)
    return count, found_header, found


@example(NASTY)
@given(ROWS)
def test_rows_come_back_as_they_were(rows) -> None:
    assert round_trip(rows) == (len(rows), HEADER, rows)


def test_empty_table() -> None:
    assert round_trip([]) == (0, HEADER, [])


def test_same_rows_give_the_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    kept_tables.write(first, HEADER, NASTY)
    kept_tables.write(second, HEADER, NASTY)
    assert first.getvalue() == second.getvalue()


def test_rows_are_taken_and_given_one_by_one() -> None:
    taken = []

    def rows():
        for number in range(1000):
            taken.append(number)
            yield (str(number),)

    stream = io.BytesIO()
    kept_tables.write(stream, HEADER, rows())
    stream.seek(0)
    content = kept_tables.read(stream)
    assert next(content) == HEADER
    assert next(content) == ("0",)
    assert len(taken) == 1000


def test_what_was_cut_off_is_noticed() -> None:
    stream = io.BytesIO()
    kept_tables.write(stream, HEADER, [("x" * 50,)] * 1000)
    with pytest.raises((EOFError, gzip.BadGzipFile)):
        list(kept_tables.read(io.BytesIO(stream.getvalue()[:-20])))


@given(st.integers(0, 30), st.integers(1, 7))
def test_batches_lose_nothing_and_keep_order(count, size) -> None:
    rows = [(n,) for n in range(count)]
    found = list(kept_tables.batches(iter(rows), size))
    assert [row for batch in found for row in batch] == rows
    assert all(0 < len(batch) <= size for batch in found)
    assert all(len(batch) == size for batch in found[:-1])
