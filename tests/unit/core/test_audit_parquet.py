"""Parquet that holds what was read, and objects that are read as they were written."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import zstandard
from aurora_ops.core.audit_logs.parquet import COLUMNS, Origin, count_rows, write_parts
from aurora_ops.core.audit_logs.records import read_all
from aurora_ops.core.audit_logs.unpacking import unpacked
from aurora_ops.core.errors import VerificationError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.audit_samples import aurora

ORIGIN = Origin("222222222222", "eu-west-1", "db-1")
SOURCES = [("logs/a", "shop"), ("logs/b", "shop-new")]


def rows(count: int, source: int = 0):
    import pyarrow as pa

    [batch] = [
        batch
        for batch in read_all(b"".join(aurora(10**15 + n, query=n).line() for n in range(count)))
        if batch.table.num_rows
    ]
    return batch.table.append_column("source", pa.array([source] * count, pa.int32()))


def test_columns_and_their_values(tmp_path) -> None:
    [part] = write_parts([rows(2), rows(1, 1)], tmp_path, ORIGIN, SOURCES)
    found = pq.read_table(part.path)
    assert found.column_names == [name for name, _, _ in COLUMNS]
    assert str(found.schema.field("event_time").type) == "timestamp[us, tz=UTC]"
    first, _, last = found.to_pylist()
    assert first["event_time"] == datetime.fromtimestamp(10**9, UTC)
    assert (first["account_id"], first["region"], first["instance"]) == ("222222222222", "eu-west-1", "db-1")
    assert (first["source_key"], first["cluster"]) == ("logs/a", "shop")
    assert (last["source_key"], last["cluster"]) == ("logs/b", "shop-new")
    assert (first["source_offset"], first["raw_length"], first["raw"]) == (0, len(aurora().line()) - 2, None)
    assert part.rows == count_rows(part.path) == 3


def test_files_have_at_most_so_many_rows_and_hold_all(tmp_path) -> None:
    parts = list(write_parts([rows(5), rows(4), rows(3)], tmp_path, ORIGIN, SOURCES, most_rows=4))
    assert [part.rows for part in parts] == [4, 4, 4]
    assert [part.path.name for part in parts] == ["000.parquet", "001.parquet", "002.parquet"]
    found = [row for part in parts for row in pq.read_table(part.path)["query_id"].to_pylist()]
    assert found == [*range(5), *range(4), *range(3)]


def test_the_same_rows_make_the_same_bytes(tmp_path) -> None:
    def bytes_of(name: str) -> bytes:
        folder = tmp_path / name
        folder.mkdir()
        [part] = write_parts([rows(50)], folder, ORIGIN, SOURCES)
        return part.path.read_bytes()

    assert bytes_of("a") == bytes_of("b")


PACKERS = {".log.gz": gzip.compress, ".log.zst": zstandard.ZstdCompressor().compress, ".log": lambda data: data}


@pytest.mark.parametrize("suffix", PACKERS)
@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=3), st.integers(1, 50))
def test_objects_are_read_as_they_were_written(suffix, contents, step) -> None:
    """Also where several streams follow one another, as multipart uploads may leave them."""
    body = b"".join(PACKERS[suffix](content) for content in contents)
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    assert b"".join(unpacked(f"a{suffix}", pieces)) == b"".join(contents)


@pytest.mark.parametrize("suffix", [".log.gz", ".log.zst"])
@pytest.mark.parametrize("damage", [lambda body: body[:-3], lambda body: b"no" + body, lambda body: body[:4]])
def test_what_cannot_be_read_is_named(suffix, damage) -> None:
    body = damage(PACKERS[suffix](b"some bytes" * 100))
    with pytest.raises(VerificationError, match=f"a{suffix} .* not as it was written"):
        list(unpacked(f"a{suffix}", [body]))
