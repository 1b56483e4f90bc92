"""Trino's SQL as Athena has it: where DuckDB means something else, and what is refused rather than answered wrong."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.athena_helpers import Lake, parquet

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def lake(cloud) -> Lake:
    made = Lake.make(cloud)
    made.table("t", {"id": "bigint", "name": "string", "price": "decimal(10,2)", "at": "timestamp"}, {"day": "string"})
    made.put(
        "t/1/a.parquet",
        parquet(id=[1, 2, None], name=["a", "b", None]),
    )
    made.partition("t", ["2026-01-01"], "t/1", {"id": "bigint", "name": "string"})
    return made


# Written as Trino 435's documentation has it, or computed by its rules.
ANSWERS = [
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("7 / 2.0", "3.5"),
    ("1.0 / 3.0", "0.3"),
    ("2.00 / 3", "0.67"),
    ("-2.00 / 3", "-0.67"),
    ("7 / CAST(2 AS double)", "3.5"),
    ("CAST(1 AS double) / 0", "Infinity"),
    ("5 % 3", "2"),
    ("count(*) * 1.0 / 2", "0.5"),
    ("substr('abc', 0, 2)", ""),
    ("substr('abc', 1, 2)", "ab"),
    ("substr('abc', -2)", "bc"),
    ("substr('abc', -4)", ""),
    ("substr('abc', 9)", ""),
    ("split_part('a,b', ',', 2)", "b"),
    ("split_part('a,b', ',', 3)", None),
    ("date_diff('day', TIMESTAMP '2026-01-01 23:00:00', TIMESTAMP '2026-01-02 01:00:00')", "0"),
    ("date_diff('month', DATE '2026-01-31', DATE '2026-02-28')", "1"),
    ("date_diff('month', DATE '2026-01-30', DATE '2026-02-27')", "0"),
    ("date_diff('hour', TIMESTAMP '2026-01-01 23:00:00', TIMESTAMP '2026-01-02 01:30:00')", "2"),
    ("date_add('month', 1, DATE '2026-01-31')", "2026-02-28"),
    ("DATE '2026-01-31' + INTERVAL '1' DAY", "2026-02-01"),
    ("date_trunc('month', DATE '2026-03-04')", "2026-03-01"),
    ("date_format(TIMESTAMP '2026-01-02 03:04:05', '%Y-%m-%d %H:%i:%s')", "2026-01-02 03:04:05"),
    ("TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02 03:04:05.000"),
    ("from_unixtime(0)", "1970-01-01 00:00:00.000 UTC"),
    ("day_of_week(DATE '2026-11-22')", "7"),
    ("""json_extract_scalar('{"a": {"b": [1, true]}}', '$.a.b[1]')""", "true"),
    ("""json_extract_scalar('{"a": {}}', '$.a')""", None),
    ("""json_extract_scalar('{"a": null}', '$.a')""", None),
    ("json_extract_scalar('no json', '$.a')", None),
    ("regexp_extract('abc', 'z')", None),
    ("regexp_extract('abc', '(b)(c)', 2)", "c"),
    ("regexp_replace('abab', '(a)', '[$1]')", "[a]b[a]b"),
    ("regexp_like('abc', 'b')", "true"),
    ("concat('a', NULL)", None),
    ("greatest(1, NULL)", None),
    ("CAST(CAST(2.5 AS double) AS integer)", "3"),
    ("CAST(CAST(-2.5 AS double) AS integer)", "-2"),
    ("CAST('12' AS bigint)", "12"),
    ("try_cast('1.5' AS integer)", None),
    ("CAST(1 AS varchar)", "1"),
    ("CAST('abc' AS varchar(2))", "ab"),
    ("CAST(TIMESTAMP '2026-01-01 10:00:00' AS varchar)", "2026-01-01 10:00:00.000"),
    ("CAST(1e10 AS double)", "1.0E10"),
    ("CAST(0.0001 AS double)", "1.0E-4"),
    ("CAST(100 AS double)", "100.0"),
    ("1.50", "1.50"),
    ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
    ("x'00ff'", "00 ff"),
    ("array[1, NULL]", "[1, null]"),
    ("element_at(array[1, 2], 2)", "2"),
    ("length('é😀')", "2"),
    ("'a' || 'b'", "ab"),
    ("NULL", None),
    ("IF(1 = 2, 'a')", None),
]


def test_expressions_have_athenas_values(lake) -> None:
    query = ", ".join(f"{text}" for text, _ in ANSWERS)
    [row] = lake.ask(f"SELECT {query} FROM (VALUES 1) AS v(x) GROUP BY ()")
    assert dict(zip([text for text, _ in ANSWERS], row, strict=True)) == dict(ANSWERS)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT sum(id), avg(id), count(name), min(name) FROM t", [("3", "1.5", "2", "a")]),
        ("SELECT avg(CAST(id AS decimal(10,2))) FROM t", [("1.50",)]),
        ("SELECT sum(CAST(id AS decimal(20,0))) FROM t", [("3",)]),
        ("SELECT id FROM t ORDER BY id DESC", [("2",), ("1",), (None,)]),
        ("SELECT id FROM t ORDER BY id", [("1",), ("2",), (None,)]),
        ("SELECT count_if(id > 1), approx_distinct(id) FROM t", [("1", "2")]),
        ("SELECT sum(id) OVER (ORDER BY id) FROM t WHERE id > 0 ORDER BY 1", [("1",), ("3",)]),
        ("SELECT count(*) FILTER (WHERE id > 1) FROM t", [("1",)]),
        ("WITH a AS (SELECT id FROM t WHERE day = '2026-01-01') SELECT max(id) FROM a", [("2",)]),
        ("SELECT grouping(day), count(*) FROM t GROUP BY ROLLUP (day) ORDER BY 1", [("0", "3"), ("1", "3")]),
        ('SELECT Name AS "n" FROM T WHERE ID = 1', [("a",)]),
        ("VALUES (1, 'a'), (2, NULL)", [("1", "a"), ("2", None)]),
        ("SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE name = 'b') UNION ALL SELECT 9", [("2",), ("9",)]),
        ("SELECT * FROM t WHERE false", []),
        ("SELECT price, at FROM t LIMIT 1", [(None, None)]),
        ("SELECT x FROM unnest(split('a,b', ',')) WITH ORDINALITY AS u(x, n) ORDER BY n DESC", [("b",), ("a",)]),
    ],
)
def test_queries(lake, query, rows) -> None:
    assert lake.ask(query) == rows


def test_columns_without_names_have_athenas(lake) -> None:
    number = lake.start("SELECT id, count(*), 'x' AS Foo, 1 FROM t GROUP BY id ORDER BY 2, 1 LIMIT 1")
    lake.ended(number)
    assert lake.rows(number)[0] == ("id", "_col1", "foo", "_col3")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM missing", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{db}.missing' does not exist"),
        ("SELECT *\nFROM\n  x.y", "SCHEMA_NOT_FOUND: line 3:3: Schema 'x' does not exist"),
        ("SELECT * FROM other.x.y", "CATALOG_NOT_FOUND: line 1:15: Catalog 'other' does not exist"),
        ("SELECT id,\n  nope FROM t", "COLUMN_NOT_FOUND: line 2:3: Column 'nope' cannot be resolved"),
        ("SELECT id AS x FROM t GROUP BY x", "COLUMN_NOT_FOUND: line 1:32: Column 'x' cannot be resolved"),
        ("SELECT id AS x FROM t WHERE x = 1", "COLUMN_NOT_FOUND: line 1:29: Column 'x' cannot be resolved"),
        ("SELECT foo(id) FROM t", "FUNCTION_NOT_FOUND: line 1:8: Function 'foo' not registered"),
        ("SELECT list_sum(array[1])", "FUNCTION_NOT_FOUND: line 1:8: Function 'list_sum' not registered"),
        ("SELECT id FROM t WHERE day = 20260101", "TYPE_MISMATCH: line 1:24: Cannot apply operator: varchar = int"),
        (
            "SELECT id FROM t WHERE day > DATE '2026-01-01'",
            "TYPE_MISMATCH: line 1:24: Cannot apply operator: varchar > date",
        ),
        ("SELECT id FROM t WHERE id IN ('1')", "TYPE_MISMATCH: line 1:24: Cannot apply operator: bigint IN varchar"),
        ("SELECT id || 'a' FROM t", "TYPE_MISMATCH: line 1:8: Unexpected parameters (bigint) for function concat"),
        (
            "SELECT id FROM t UNION SELECT name FROM t",
            "TYPE_MISMATCH: line 1:8: Cannot apply operator: bigint UNION varchar",
        ),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT 1.0 / 0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT CAST('x' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast 'x' to an integer"),
        ("SELECT CAST('1.5' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast '1.5' to an integer"),
        ("SELECT CAST(99999999999 AS integer)", "INVALID_CAST_ARGUMENT"),
        ("SELECT count(*), id FROM t", "SYNTAX_ERROR"),
        (
            "SELECT * FROM read_parquet('/etc/passwd')",
            "NOT_SUPPORTED: line 1:15: localcloud's Athena does not support ReadParquet",
        ),
        ("SELECT CAST(1.5 AS decimal)", "NOT_SUPPORTED"),
        ("SELECT CAST(CAST(1 AS double) AS varchar)", "NOT_SUPPORTED"),
        ("SELECT array[1][1]", "NOT_SUPPORTED"),
        ("SELECT id FROM t TABLESAMPLE BERNOULLI (50)", "NOT_SUPPORTED"),
        ("INSERT INTO t VALUES (1)", "NOT_SUPPORTED: localcloud's Athena does not support INSERT"),
        ("CREATE TABLE x AS SELECT 1", "NOT_SUPPORTED"),
        ("CREATE VIEW v AS SELECT 1", "NOT_SUPPORTED"),
        ("EXPLAIN SELECT 1", "NOT_SUPPORTED: localcloud's Athena does not support EXPLAIN"),
    ],
)
def test_what_cannot_be_answered_fails(lake, query, reason) -> None:
    assert lake.fails(query).startswith(reason.format(db=lake.database))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELEC 1", "line 1:1: mismatched input 'SELEC'"),
        ("SELECT * FRM t", "line 1:14: mismatched input 't'"),
        ("SELECT id::int FROM t", "line 1:10: mismatched input '::'"),
        ("SELECT FROM t", "no viable alternative"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("", "mismatched input '<EOF>'"),
        ("-- nothing", "mismatched input '<EOF>'"),
        ("SELECT `id` FROM t", "mismatched input '`'"),
        ("DROP TABLE", "line 1:11: mismatched input '<EOF>'. Expecting: a name"),
        ("SHOW PARTITIONS t now", "line 1:19: mismatched input 'now'"),
        ("FROM t", "mismatched input 'FROM'"),
    ],
)
def test_what_is_no_statement_is_refused_at_once(lake, query, reason) -> None:
    with pytest.raises(ClientError) as refused:
        lake.athena._make_api_call(
            "StartQueryExecution", {"QueryString": query, "ResultConfiguration": {"OutputLocation": lake.results}}
        ) if query else lake.start(" ")
    told = refused.value.response["Error"]
    assert told["Code"] == "InvalidRequestException"
    assert reason in told["Message"]


def test_tables_are_made_found_and_dropped(lake) -> None:
    """The way of a person: a database, a table over a folder, its partitions, a query, a look at it, and away."""
    name = f"{lake.database}_ddl"
    assert lake.ask(f"CREATE DATABASE IF NOT EXISTS {name} COMMENT 'mine'") == []
    assert lake.ask(f"CREATE DATABASE IF NOT EXISTS {name}") == []
    assert "AlreadyExistsException" in lake.fails(f"CREATE DATABASE {name}")
    assert (name,) in lake.ask("SHOW DATABASES")
    other = Lake(lake.s3, lake.glue, lake.athena, lake.bucket, name)
    other.ask(
        f"""
        CREATE EXTERNAL TABLE IF NOT EXISTS `orders` (
            `id` bigint COMMENT 'number', total decimal(10, 2), tags array<string>
        )
        COMMENT 'what was ordered'
        PARTITIONED BY (day string, n int)
        STORED AS PARQUET
        LOCATION 's3://{lake.bucket}/ddl/'
        TBLPROPERTIES ('parquet.compression' = 'SNAPPY')
        """
    )
    assert other.ask("SHOW TABLES") == [("orders",)]
    assert other.ask("SHOW TABLES 'x*'") == []
    assert [row[0].strip() for row in other.ask("SHOW COLUMNS IN orders")] == ["id", "total", "tags", "day", "n"]
    described = other.ask("DESCRIBE orders")
    assert described[0][0].split("\t")[1].strip() == "bigint"
    assert described[1][0].split("\t")[1].strip() == "decimal(10,2)"
    for day in ("2026-01-01", "2026-01-02"):
        lake.put(f"ddl/day={day}/n=1/a.parquet", parquet(id=[1]))
    lake.put("ddl/elsewhere/b.parquet", parquet(id=[7]))
    assert other.ask("SELECT count(*) FROM orders") == [("0",)], "no partition is registered"
    added = other.ask("MSCK REPAIR TABLE orders")
    assert ("Repair: Added partition to metastore orders:day=2026-01-01/n=1",) in added
    assert other.ask("MSCK REPAIR TABLE orders") == []
    place = f"s3://{lake.bucket}/ddl/elsewhere"
    add = f"PARTITION (day = '2026-01-03', n = 2) LOCATION '{place}' PARTITION (n = 3, day = '2026-01-04')"
    other.ask(f"ALTER TABLE orders ADD {add}")
    assert "AlreadyExists" in other.fails(f"ALTER TABLE orders ADD {add}")
    other.ask(f"ALTER TABLE orders ADD IF NOT EXISTS {add}")
    assert "does not name the partition columns" in other.fails("ALTER TABLE orders ADD PARTITION (day = 'x')")
    assert other.ask("SELECT id, day, n FROM orders ORDER BY day") == [
        ("1", "2026-01-01", "1"),
        ("1", "2026-01-02", "1"),
        ("7", "2026-01-03", "2"),
    ]
    other.ask("ALTER TABLE orders DROP PARTITION (day = '2026-01-01', n = 1)")
    assert other.ask("SHOW PARTITIONS orders") == [
        ("day=2026-01-02/n=1",),
        ("day=2026-01-03/n=2",),
        ("day=2026-01-04/n=3",),
    ]
    assert "is not empty" in other.fails(f"DROP DATABASE {name}")
    other.ask("DROP TABLE orders")
    assert "Table not found" in other.fails("DROP TABLE orders")
    other.ask("DROP TABLE IF EXISTS orders")
    lake.ask(f"DROP DATABASE {name}")
    assert lake.s3.head_object(Bucket=lake.bucket, Key="ddl/elsewhere/b.parquet"), "the objects stay"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("CREATE EXTERNAL TABLE x (a int) LOCATION 's3://b/c/'", "tables that are not STORED AS PARQUET"),
        (
            "CREATE EXTERNAL TABLE x (a int) ROW FORMAT SERDE 'y' LOCATION 's3://b/c/'",
            "tables that are not STORED AS PARQUET",
        ),
        ("CREATE TABLE x (a int)", "CREATE TABLE other than CREATE EXTERNAL TABLE"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE other than"),
        ("SHOW CREATE TABLE t", "SHOW CREATE"),
        ("DESCRIBE FORMATTED t", "DESCRIBE FORMATTED"),
    ],
)
def test_other_definitions_are_refused_clearly(lake, query, reason) -> None:
    assert f"NOT_SUPPORTED: localcloud's Athena does not support {reason}" in lake.fails(query)
