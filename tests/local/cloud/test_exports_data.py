"""Exports: the data, as Parquet has it after it was read from the snapshot itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from localcloud.client import admin_operation
from localcloud.rds.exports.types import Column
from tests.local.cloud import export_helpers as eh
from tests.local.cloud import rds_helpers as h
from tests.local.cloud.rds_helpers import PRODUCTION

if TYPE_CHECKING:
    from pathlib import Path

    from pymysql.connections import Connection

    from tests.local.cloud.conftest import LocalCloud
    from tests.local.cloud.export_helpers import Place

pytestmark = pytest.mark.local

# Column: declared type, value written, type in Parquet, type in the manifest, value read. Types and their Parquet types are all
# those of AWS's table.
TYPES: dict[str, tuple[str, str, str, str, Any]] = {
    "c_tinyint": ("TINYINT", "-128", "INT32", "int32", -128),
    "c_tinyint_u": ("TINYINT UNSIGNED", "255", "INT32", "int32", 255),
    "c_bool": ("BOOLEAN", "TRUE", "INT32", "int32", 1),
    "c_smallint": ("SMALLINT", "-32768", "INT32", "int32", -32768),
    "c_smallint_u": ("SMALLINT UNSIGNED", "65535", "INT32", "int32", 65535),
    "c_mediumint": ("MEDIUMINT", "-8388608", "INT32", "int32", -8388608),
    "c_mediumint_u": ("MEDIUMINT UNSIGNED", "16777215", "INT64", "int64", 16777215),
    "c_int": ("INT", "-2147483648", "INT32", "int32", -2147483648),
    "c_int_u": ("INT UNSIGNED", "4294967295", "INT64", "int64", 4294967295),
    "c_bigint": ("BIGINT", "-9223372036854775808", "INT64", "int64", -9223372036854775808),
    "c_bigint_u": (
        "BIGINT UNSIGNED",
        "18446744073709551615",
        "FIXED_LEN_BYTE_ARRAY(9) Decimal(precision=20, scale=0)",
        "fixed_len_byte_array(9) (DECIMAL(20,0))",
        Decimal("18446744073709551615"),
    ),
    "c_decimal_9": (
        "DECIMAL(9,2)",
        "-1234567.89",
        "INT32 Decimal(precision=9, scale=2)",
        "int32 (DECIMAL(9,2))",
        Decimal("-1234567.89"),
    ),
    "c_decimal_18": (
        "NUMERIC(18,4)",
        "12345678901234.5678",
        "INT64 Decimal(precision=18, scale=4)",
        "int64 (DECIMAL(18,4))",
        Decimal("12345678901234.5678"),
    ),
    "c_decimal_38": (
        "DECIMAL(38,10)",
        "1234567890123456789012345678.0123456789",
        "FIXED_LEN_BYTE_ARRAY(16) Decimal(precision=38, scale=10)",
        "fixed_len_byte_array(16) (DECIMAL(38,10))",
        Decimal("1234567890123456789012345678.0123456789"),
    ),
    "c_decimal_65": (
        "DECIMAL(65,30)",
        "12345678901234567890123456789012345.123456789012345678901234567890",
        "BYTE_ARRAY String",
        "binary (UTF8)",
        "12345678901234567890123456789012345.123456789012345678901234567890",
    ),
    "c_float": ("FLOAT", "16777217.5", "DOUBLE", "double", 16777218.0),
    "c_double": ("DOUBLE", "0.1", "DOUBLE", "double", 0.1),
    "c_bit": ("BIT(12)", "b'101000000001'", "BYTE_ARRAY", "binary", b"\x0a\x01"),
    "c_char": ("CHAR(10)", "'grün 🍀'", "BYTE_ARRAY", "binary", "grün 🍀".encode()),
    "c_varchar": ("VARCHAR(50)", "'naïve 🦊 \\t\\n\\0'", "BYTE_ARRAY String", "binary (UTF8)", "naïve 🦊 \t\n\0"),
    "c_tinytext": ("TINYTEXT", "'t'", "BYTE_ARRAY String", "binary (UTF8)", "t"),
    "c_text": ("TEXT", "REPEAT('é', 1000)", "BYTE_ARRAY String", "binary (UTF8)", "é" * 1000),
    "c_mediumtext": ("MEDIUMTEXT", "'m'", "BYTE_ARRAY String", "binary (UTF8)", "m"),
    "c_longtext": ("LONGTEXT", "'l'", "BYTE_ARRAY String", "binary (UTF8)", "l"),
    "c_enum": ("ENUM('a','b%s')", "'b%s'", "BYTE_ARRAY String", "binary (UTF8)", "b%s"),
    "c_set": ("SET('x','y','z')", "'z,x'", "BYTE_ARRAY String", "binary (UTF8)", "x,z"),
    "c_binary": ("BINARY(4)", "X'00FF01'", "BYTE_ARRAY", "binary", b"\x00\xff\x01\x00"),
    "c_varbinary": ("VARBINARY(10)", "X'FF00'", "BYTE_ARRAY", "binary", b"\xff\x00"),
    "c_blob": ("BLOB", "X'80'", "BYTE_ARRAY", "binary", b"\x80"),
    "c_longblob": ("LONGBLOB", "''", "BYTE_ARRAY", "binary", b""),
    "c_date": ("DATE", "'0999-12-31'", "BYTE_ARRAY String", "binary (UTF8)", "0999-12-31"),
    "c_time": ("TIME(3)", "'-838:59:59.5'", "BYTE_ARRAY String", "binary (UTF8)", "-838:59:59.500"),
    "c_datetime": (
        "DATETIME(6)",
        "'2026-02-28 23:59:59.999999'",
        "INT64 Timestamp(isAdjustedToUTC=true, timeUnit=microseconds)",
        "int64 (TIMESTAMP_MICROS)",
        datetime(2026, 2, 28, 23, 59, 59, 999999, UTC),
    ),
    "c_timestamp": (
        "TIMESTAMP NULL",
        "'2026-03-29 02:30:00'",
        "INT64 Timestamp(isAdjustedToUTC=true, timeUnit=microseconds)",
        "int64 (TIMESTAMP_MICROS)",
        datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
    ),
    "c_year": ("YEAR", "2155", "INT32", "int32", 2155),
    "c_json": ("JSON", '\'{"a": [1, "ü"]}\'', "BYTE_ARRAY String", "binary (UTF8)", '{"a": [1, "ü"]}'),
    "c_point": ("POINT", "ST_GeomFromText('POINT(1 2)')", "BYTE_ARRAY", "binary", None),
}


@pytest.fixture(scope="module")
def place(cloud: LocalCloud) -> Place:
    return eh.make_place(cloud, PRODUCTION, "data")


@pytest.fixture(scope="module")
def own(cloud: LocalCloud) -> Any:
    """A cluster with all that these tests export, and a connection to it."""
    rds = cloud.client(PRODUCTION, "rds")
    h.create_cluster(rds, "exported")
    h.create_instance(rds, "exported-1", "exported")
    made = h.cluster(rds, "exported")
    connection = h.connect(made["Endpoint"], made["Port"], charset="utf8mb4")
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE alpha")
        declared = ", ".join(f"{name} {of[0]}" for name, of in TYPES.items())
        cursor.execute(f"CREATE TABLE alpha.types (id INT PRIMARY KEY, {declared}) CHARACTER SET utf8mb4")
        cursor.execute(f"INSERT INTO alpha.types VALUES (1, {', '.join(of[1] for of in TYPES.values())})")
        cursor.execute("INSERT INTO alpha.types (id) VALUES (2)")
        cursor.execute("CREATE TABLE alpha.old (id INT, born DATE, seen DATETIME) CHARACTER SET latin1")
        cursor.execute("SET sql_mode = ''")
        cursor.execute(
            "INSERT INTO alpha.old VALUES (1, '0000-00-00', '0000-00-00 00:00:00'), (2, '2001-00-00', '2001-01-01')"
        )
        cursor.execute("CREATE TABLE alpha.empty (id INT PRIMARY KEY, v VARCHAR(3))")
        cursor.execute("CREATE TABLE alpha.`bad column` (`a=b` INT)")
        cursor.execute("CREATE TABLE alpha.`with/slash` (a INT)")
        cursor.execute("CREATE TABLE alpha.`two words` (a INT)")
        cursor.execute("INSERT INTO alpha.`two words` VALUES (5)")
        cursor.execute("CREATE VIEW alpha.seen AS SELECT id FROM alpha.old")
        cursor.execute("CREATE DATABASE beta")
        cursor.execute("CREATE TABLE beta.things (a INT)")
        cursor.execute("INSERT INTO beta.things VALUES (1), (2)")
        cursor.execute("CREATE TABLE beta.many (id BIGINT PRIMARY KEY, half DOUBLE, name VARCHAR(20))")
        # two stretches of keys with nothing between them
        for first, last in ((1, 700_000), (2_000_001, 2_600_000)):
            cursor.execute(
                f"INSERT INTO beta.many SELECT seq, seq / 2, CONCAT('n', seq) FROM beta.seq_{first}_to_{last}"
            )
        cursor.execute("CREATE TABLE beta.keyless (v INT)")
        cursor.execute("INSERT INTO beta.keyless SELECT seq FROM beta.seq_1_to_300000")
    return connection


@pytest.fixture(scope="module")
def arn(cloud: LocalCloud, own: Connection[Any]) -> str:
    rds = cloud.client(PRODUCTION, "rds")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="exported", DBClusterSnapshotIdentifier="exported")
    h.wait_snapshot(rds, "exported")
    # what comes after the snapshot is not in it
    with own.cursor() as cursor:
        cursor.execute("INSERT INTO beta.things VALUES (3)")
        cursor.execute("DELETE FROM alpha.types")
    return str(h.snapshot(rds, "exported")["DBClusterSnapshotArn"])


@pytest.fixture(scope="module")
def whole(place: Place, arn: str) -> dict[str, Any]:
    return place.run("whole", arn, S3Prefix="data")


def manifest(place: Place, folder: str, task: str, tables: int) -> dict[str, dict[str, Any]]:
    """Entries of the manifest by target."""
    content = place.json(f"{folder}/export_tables_info_{task}_from_1_to_{tables}.json")
    return {entry["target"]: entry for entry in content["perTableStatus"]}


def test_every_type_is_as_aws_documents_it(place: Place, whole: dict[str, Any]) -> None:
    assert whole["Status"] == "COMPLETE", whole
    folder = "data/whole/alpha/alpha.types"
    schema = place.schema(folder)
    mappings = {
        one["columnName"]: one
        for one in manifest(place, "data/whole", "whole", 9)["alpha.types"]["schemaMetadata"]["originalTypeMappings"]
    }
    first, second = place.table(folder).sort_by("id").to_pylist()
    for index, (name, (declared, _, parquet, exported, value)) in enumerate(TYPES.items(), 1):
        column = schema.column(index)
        logical = str(column.logical_type).replace(", is_from_converted_type=false, force_set_converted_type=false", "")
        length = f"({column.length})" if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else ""
        shown = f"{column.physical_type}{length} {logical}".removesuffix(" None")
        assert (name, shown) == (name, parquet), declared
        assert (name, mappings[name]["expectedExportedType"]) == (name, exported)
        assert second[name] is None
        if value is not None:
            assert (name, first[name]) == (name, value)
    assert len(first["c_point"]) == 25  # spatial reference and WKB
    assert mappings["c_json"]["originalType"] == "json"
    assert mappings["c_bigint_u"]["originalType"] == "bigint unsigned"
    assert mappings["c_varchar"]["originalCharMaxLength"] == 50
    assert mappings["c_datetime"]["originalDateTimePrecision"] == 6


def test_zero_dates_stay_in_texts_and_are_no_moments(place: Place, whole: dict[str, Any]) -> None:
    rows = place.table("data/whole/alpha/alpha.old").sort_by("id").to_pylist()
    assert [row["born"] for row in rows] == ["0000-00-00", "2001-00-00"]
    assert [row["seen"] for row in rows] == [None, datetime(2001, 1, 1, tzinfo=UTC)]


def test_only_tables_of_users_and_no_views(place: Place, whole: dict[str, Any]) -> None:
    entries = manifest(place, "data/whole", "whole", 9)
    assert sorted(entries) == [
        "alpha.bad column",
        "alpha.empty",
        "alpha.old",
        "alpha.two words",
        "alpha.types",
        "alpha.with/slash",
        "beta.keyless",
        "beta.many",
        "beta.things",
    ]
    assert [row["a"] for row in place.table("data/whole/beta/beta.things").to_pylist()] == [1, 2]
    # a blank in the path becomes an underscore
    assert place.table("data/whole/alpha/alpha.two_words").to_pylist() == [{"a": 5}]


def test_skipped_tables_are_told_and_have_no_objects(place: Place, whole: dict[str, Any]) -> None:
    warning = json.loads(whole["WarningMessage"])
    assert warning == {
        "skippedTables": [
            {"target": "alpha.bad column", "reason": "UNSUPPORTED_COLUMN_NAME"},
            {"target": "alpha.with/slash", "reason": "UNSUPPORTED_TABLE_NAME"},
        ],
        "skippedObjectives": [],
        "general": [],
    }
    assert manifest(place, "data/whole", "whole", 9)["alpha.bad column"]["status"] == "SKIPPED"
    assert not [key for key in place.objects("data/whole/alpha/") if "alpha.bad" in key or "slash" in key]


def test_an_empty_table_has_no_parquet(place: Place, whole: dict[str, Any]) -> None:
    assert list(place.objects("data/whole/alpha/alpha.empty/")) == ["data/whole/alpha/alpha.empty/1/_SUCCESS"]
    entry = manifest(place, "data/whole", "whole", 9)["alpha.empty"]
    assert (entry["status"], entry["sizeGB"]) == ("COMPLETE", 0)


def test_a_large_table_has_many_parts_with_gaps(place: Place, whole: dict[str, Any], tmp_path: Path) -> None:
    folder = "data/whole/beta/beta.many/"
    keys = [key.removeprefix(folder) for key in sorted(place.objects(folder))]
    numbers = [int(key.partition("part-")[2][:5]) for key in keys if "part-" in key]
    assert len(numbers) >= 4
    assert numbers == sorted(set(numbers))
    assert numbers[-1] >= len(numbers)  # a stretch of keys without rows has a number and no part
    folders = {key.partition("/")[0] for key in keys}
    assert len(folders) > 1
    assert {f"{number}/_SUCCESS" for number in folders} <= set(keys)
    assert len({key.partition("part-")[2][6:42] for key in keys if "part-" in key}) == 1
    for number, key in enumerate(keys):
        (tmp_path / f"{number}.parquet").write_bytes(place.read(folder + key)) if "part-" in key else None
    found = duckdb.sql(
        f"SELECT count(*), sum(id), sum(half), count(DISTINCT name) FROM read_parquet('{tmp_path}/*.parquet')"
    ).fetchall()
    ids = sum(range(1, 700_001)) + sum(range(2_000_001, 2_600_001))
    assert found == [(1_300_000, ids, ids / 2, 1_300_000)]
    assert place.table("data/whole/beta/beta.keyless").num_rows == 300_000


def test_a_partial_export_has_what_was_asked_for(place: Place, arn: str) -> None:
    task = place.run("partial", arn, ExportOnly=["beta.things", "alpha.old", "beta.nothing"])
    assert (task["Status"], task["ExportOnly"]) == ("COMPLETE", ["beta.things", "alpha.old", "beta.nothing"])
    assert json.loads(task["WarningMessage"])["skippedObjectives"] == [
        {"target": "beta.nothing", "reason": "NOT_FOUND"}
    ]
    folders = {"/".join(key.split("/")[1:3]) for key in place.objects("partial/") if key.count("/") > 1}
    assert folders == {"alpha/alpha.old", "beta/beta.things"}
    assert place.json("partial/export_info_partial.json")["exportOnly"] == task["ExportOnly"]


def test_a_partial_export_of_nothing_fails(place: Place, arn: str) -> None:
    task = place.run("nothing", arn, ExportOnly=["gamma"])
    assert task["Status"] == "FAILED"
    assert "gamma" in task["FailureCause"]


def test_a_cluster_is_exported_as_it_is_now(cloud: LocalCloud, place: Place, arn: str) -> None:
    source = f"arn:aws:rds:eu-west-1:{PRODUCTION}:cluster:exported"
    task = place.run("now", source, ExportOnly=["beta.things"])
    assert (task["Status"], task["SourceType"]) == ("COMPLETE", "CLUSTER")
    assert [row["a"] for row in place.table("now/beta/beta.things").to_pylist()] == [1, 2, 3]


def test_a_snapshot_of_aws_backup_is_a_source_too(cloud: LocalCloud, place: Place, arn: str) -> None:
    rds = cloud.client(PRODUCTION, "rds")
    at = {"account": PRODUCTION, "region": "eu-west-1", "cluster": "exported", "created": 1767225600}
    name = admin_operation("rds-backup-snapshot", cloud.config, **at)["DBClusterSnapshotIdentifier"]
    assert name.startswith("awsbackup:job-")
    h.wait_snapshot(rds, name)
    found = h.snapshot(rds, name)
    assert (found["SnapshotType"], found["SnapshotCreateTime"].timestamp()) == ("awsbackup", 1767225600)
    task = place.run("backup", found["DBClusterSnapshotArn"], ExportOnly=["beta.things"])
    assert (task["Status"], task["SnapshotTime"].timestamp()) == ("COMPLETE", 1767225600)
    with h.refused("InvalidDBClusterSnapshotStateFault", "recovery point"):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Column("c", "decimal", precision=39, scale=2), pa.string()),
        (Column("c", "decimal", precision=38, scale=2), pa.decimal128(38, 2)),
        (Column("c", "int", unsigned=True), pa.int64()),
        (Column("c", "smallint", unsigned=True), pa.int32()),
        (Column("c", "geometry"), pa.binary()),
    ],
)
def test_types(column: Column, kind: pa.DataType) -> None:
    assert column.arrow == kind
