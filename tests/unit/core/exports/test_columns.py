"""Columns in Glue are what RDS writes for MySQL; tables take in what both types can be read as, and nothing else."""

from __future__ import annotations

import pyarrow as pa
import pytest
from aurora_ops.core.exports import columns, footers
from aurora_ops.core.exports.columns import Column
from aurora_ops.core.exports.footers import Leaf
from aurora_ops.core.exports.manifest import Original
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operators.stored_exports import parquet

# Type in MySQL, how RDS writes it, what it is in Glue: Aurora User Guide, "MySQL and MariaDB data type mapping to Parquet".
TYPES = [
    ("bigint", pa.int64(), "bigint"),
    ("bigint unsigned", pa.decimal128(20, 0), "decimal(20,0)"),
    ("bit", pa.binary(), "binary"),
    ("decimal", pa.decimal128(9, 2), "decimal(9,2)"),
    ("decimal", pa.decimal128(18, 4), "decimal(18,4)"),
    ("decimal", pa.decimal128(38, 10), "decimal(38,10)"),
    ("decimal", pa.string(), "string"),  # of more than 38 digits
    ("numeric", pa.decimal128(10, 0), "decimal(10,0)"),
    ("double", pa.float64(), "double"),
    ("float", pa.float64(), "double"),
    ("int", pa.int32(), "int"),
    ("int unsigned", pa.int64(), "bigint"),
    ("mediumint", pa.int32(), "int"),
    ("mediumint unsigned", pa.int64(), "bigint"),
    ("smallint", pa.int32(), "int"),
    ("smallint unsigned", pa.int32(), "int"),
    ("tinyint", pa.int32(), "int"),
    ("tinyint unsigned", pa.int32(), "int"),
    ("year", pa.int32(), "int"),
    ("char", pa.binary(), "string"),
    ("char(10)", pa.binary(), "string"),
    ("varchar", pa.string(), "string"),
    ("tinytext", pa.string(), "string"),
    ("text", pa.string(), "string"),
    ("mediumtext", pa.string(), "string"),
    ("longtext", pa.string(), "string"),
    ("enum", pa.string(), "string"),
    ("enum", pa.binary(), "string"),
    ("set", pa.string(), "string"),
    ("json", pa.string(), "string"),
    ("binary", pa.binary(), "binary"),
    ("varbinary", pa.binary(), "binary"),
    ("tinyblob", pa.binary(), "binary"),
    ("blob", pa.binary(), "binary"),
    ("mediumblob", pa.binary(), "binary"),
    ("longblob", pa.binary(), "binary"),
    ("geometry", pa.binary(), "binary"),
    ("point", pa.binary(), "binary"),
    ("date", pa.string(), "string"),
    ("time", pa.string(), "string"),
    ("datetime", pa.timestamp("us"), "timestamp"),
    ("timestamp", pa.timestamp("us", "UTC"), "timestamp"),
    ("boolean", pa.bool_(), "boolean"),
]


def of(*leaves: Leaf, **kinds: str) -> tuple[list[Column], list[str]]:
    return columns.of_file(leaves, [Original(name, kind, "") for name, kind in kinds.items()])


@pytest.mark.parametrize(("original", "arrow", "glue"), TYPES, ids=[f"{one}-{arrow}" for one, arrow, _ in TYPES])
def test_each_type_of_mysql(original, arrow, glue) -> None:
    file = parquet([("c", original, arrow)], 1)
    found, left_out = columns.of_file(footers.read(file, len(file)).leaves, [Original("c", original, "")])
    assert (found, left_out) == ([Column("c", glue)], [])


@pytest.mark.parametrize(
    ("original", "exported", "glue"),
    [
        ("bigint", "int64", "bigint"),
        ("bigint unsigned", "fixed_len_byte_array(9) (DECIMAL(20,0))", "decimal(20,0)"),
        ("bigint unsigned", "", "decimal(20,0)"),
        ("bit", "binary", "binary"),
        ("decimal", "int64 (DECIMAL(12, 3))", "decimal(12,3)"),
        ("decimal(12,3)", "", "decimal(12,3)"),
        ("float", "double", "double"),
        ("int", "int32", "int"),
        ("int unsigned", "int64", "bigint"),
        ("smallint unsigned", "int32", "int"),
        ("mediumint unsigned", "int64", "bigint"),
        ("char", "binary", "string"),
        ("varchar(20)", "binary (UTF8)", "string"),
        ("enum", "binary (UTF8)", "string"),
        ("varbinary", "binary", "binary"),
        ("longblob", "binary", "binary"),
        ("date", "binary (UTF8)", "string"),
        ("datetime", "int64 (TIMESTAMP_MICROS)", "timestamp"),
        ("year", "int32", "int"),
    ],
)
def test_of_a_table_without_rows_the_manifest_tells(original, exported, glue) -> None:
    assert columns.of_manifest([Original("c", original, exported)]) == ([Column("c", glue)], [])


def test_what_nobody_knows_is_left_out_and_said() -> None:
    found, left_out = columns.of_manifest([Original("a", "vector", "list"), Original("b", "decimal", "?")])
    assert found == []
    assert [text.split(":")[0] for text in left_out] == ["column a is left out", "column b is left out"]
    _, left_out = of(Leaf("a", "INT64", "TIME"), Leaf("tags", "BYTE_ARRAY", "STRING", nested=True))
    assert "INT64 TIME, is not known" in left_out[0]
    assert "a part of a nested BYTE_ARRAY STRING" in left_out[1]


def test_names_are_in_lower_case_and_a_second_one_is_left_out() -> None:
    found, left_out = of(
        Leaf("Id", "INT32"), Leaf("ID", "INT64"), Leaf("GRÖSSE", "INT32"), Leaf("snapshot_DATE", "INT32")
    )
    assert found == [Column("id", "int"), Column("grösse", "int")]
    assert "column ID is left out: another one differs from it by case" in left_out[0]
    assert "column snapshot_DATE is left out: that is what partitions" in left_out[1]
    assert "longer than Glue" in of(Leaf("x" * 256, "INT32"))[1][0]


# ---- drift ---------------------------------------------------------------------------------------------------------

kinds = st.one_of(
    st.sampled_from(["int", "bigint", "float", "double", "string", "binary", "timestamp", "boolean", "date"]),
    st.builds(lambda p, s: f"decimal({p},{min(p, s)})", st.integers(1, 38), st.integers(0, 38)),
)
tables = st.dictionaries(st.sampled_from("abcdef"), kinds).map(lambda found: [Column(*one) for one in found.items()])


@given(kinds, kinds)
def test_the_common_type_does_not_depend_on_the_order(one, other) -> None:
    both = columns.common(one, other)
    assert both == columns.common(other, one)
    assert both is None or (columns.common(both, one) == both and columns.common(both, other) == both)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("int", "bigint", "bigint"),
        ("float", "double", "double"),
        ("decimal(10,2)", "decimal(12,2)", "decimal(12,2)"),
        ("decimal(10,2)", "decimal(10,4)", "decimal(12,4)"),
        ("decimal(38,0)", "decimal(38,10)", None),
        ("bigint", "decimal(20,0)", None),
        ("int", "string", None),
        ("string", "binary", None),
        ("int", "double", None),
    ],
)
def test_common_types(one, other, both) -> None:
    assert columns.common(one, other) == both


@given(tables, tables)
def test_what_fits_has_all_of_both_and_keeps_its_order(table, snapshot) -> None:
    found = columns.fit(table, snapshot)
    if found.clashes:
        assert found.columns == tuple(table), "nothing is changed"
        return
    assert [one.name for one in found.columns[: len(table)]] == [one.name for one in table]
    assert {one.name for one in found.columns} == {one.name for one in [*table, *snapshot]}
    wanted = dict(found.columns)
    assert all(columns.common(wanted[one.name], one.kind) == wanted[one.name] for one in [*table, *snapshot])
    again = columns.fit(found.columns, snapshot)
    assert (again.columns, again.added, again.widened) == (found.columns, (), ())


@given(tables, tables, tables)
def test_snapshots_fit_in_any_order(first, second, third) -> None:
    def after(*order) -> dict[str, str] | None:
        table: list[Column] = []
        for one in order:
            found = columns.fit(table, one)
            if found.clashes:
                return None
            table = list(found.columns)
        return dict(table)

    found = [after(first, second, third), after(third, first, second), after(second, third, first)]
    assert found[0] == found[1] == found[2] or None in found


def test_drift_is_told() -> None:
    table = [Column("id", "int"), Column("note", "string"), Column("price", "decimal(10,2)")]
    found = columns.fit(table, [Column("price", "decimal(8,1)"), Column("id", "bigint"), Column("size", "int")])
    assert found.columns == (
        Column("id", "bigint"),
        Column("note", "string"),
        Column("price", "decimal(10,2)"),
        Column("size", "int"),
    )
    assert found.added == (Column("size", "int"),)
    assert found.widened == (("id", "int", "bigint"),)
    assert found.absent == ("note",)
    assert columns.fit(table, [Column("note", "int")]).clashes == (("note", "string", "int"),)
