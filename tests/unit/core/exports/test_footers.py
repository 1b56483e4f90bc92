"""The end of a file tells rows and columns; a file that was cut off is noticed wherever it was cut."""

from __future__ import annotations

import pyarrow as pa
import pytest
from aurora_ops.core.exports import footers
from aurora_ops.core.exports.footers import Leaf
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operators.stored_exports import parquet

COLUMNS = [
    ("id", "bigint unsigned", pa.decimal128(20, 0)),
    ("n", "int", pa.int32()),
    ("at", "datetime", pa.timestamp("us", "UTC")),
    ("name", "varchar", pa.string()),
    ("code", "char", pa.binary()),
]
FILE = parquet(COLUMNS, 100)


def test_rows_and_columns_are_read_from_the_end_alone() -> None:
    needed = footers.needed_bytes(FILE[-8:], len(FILE))
    found = footers.read(FILE[-needed:], len(FILE))
    assert found.rows == 100
    assert found.leaves == (
        Leaf("id", "FIXED_LEN_BYTE_ARRAY", "DECIMAL", 20, 0),
        Leaf("n", "INT32"),
        Leaf("at", "INT64", "TIMESTAMP"),
        Leaf("name", "BYTE_ARRAY", "STRING"),
        Leaf("code", "BYTE_ARRAY"),
    )


def test_nested_columns_are_told_apart_from_names_with_dots() -> None:
    file = parquet([("a.b", "int", pa.int32())], 1)
    assert footers.read(file, len(file)).leaves == (Leaf("a.b", "INT32"),)
    table = pa.table({"tags": pa.array([["x"]])})
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    [leaf] = footers.read(content, len(content)).leaves
    assert (leaf.name, leaf.nested) == ("tags", True)


@given(cut=st.integers(1, len(FILE)))
def test_a_file_that_was_cut_off_is_none(cut) -> None:
    with pytest.raises(ValueError, match=r"Parquet|footer|columns"):
        footers.read(FILE[:-cut], len(FILE) - cut)


@given(missing=st.integers(1, 500))
def test_a_file_whose_beginning_is_missing_is_noticed(missing) -> None:
    rest = FILE[missing:]
    with pytest.raises(ValueError, match=r"columns would end|footer would"):
        footers.read(rest, len(rest))


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"x" * 100, b"PAR1" + b"\xff" * 4 + b"PAR1", b"PAR1" + bytes(8) + b"PARE"]
)
def test_what_is_no_parquet_is_said_to_be_none(content) -> None:
    with pytest.raises(ValueError, match=r"Parquet|footer"):
        footers.read(content, len(content))


@given(st.binary(min_size=12, max_size=200))
def test_any_footer_is_read_or_refused(junk) -> None:
    content = b"PAR1" + junk + len(junk).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ValueError, match=r"footer|columns"):
        footers.read(content, len(content))


def test_a_file_without_rows_has_columns() -> None:
    file = parquet(COLUMNS, 0)
    found = footers.read(file, len(file))
    assert (found.rows, len(found.leaves)) == (0, 5)
