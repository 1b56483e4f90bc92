"""Athena answers over real Parquet, by Glue's tables, in Athena's types, words and files."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from localcloud.client import admin_operation
from localcloud.names import PRODUCTION
from tests.local.cloud.athena_helpers import Lake, parquet

pytestmark = pytest.mark.local

KINDS = {"id": "bigint", "name": "string", "price": "decimal(20,0)"}
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
NAMES = ["é€😀", 'a,"b"\nc', None]


@pytest.fixture(scope="module")
def lake(cloud) -> Lake:
    """A table with three days of three rows."""
    made = Lake.make(cloud)
    made.table("sales", KINDS, {"day": "string"})
    price = pa.array([Decimal(2**64 - 1), Decimal(1), None], pa.decimal128(20, 0))
    for day in DAYS:
        made.put(f"sales/{day}/1/part-00000.gz.parquet", parquet(id=[1, 2, 3], name=NAMES, price=price))
        made.put(f"sales/{day}/1/_SUCCESS", b"")
        made.partition("sales", [day], f"sales/{day}", KINDS)
    return made


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


# ---- an execution --------------------------------------------------------------------------------------------------------


def test_a_query_is_queued_runs_and_succeeds(lake) -> None:
    number = lake.start("SELECT count(*) AS n FROM sales")
    seen = []

    def state() -> str:
        found = lake.athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]["Status"]["State"]
        if found not in seen:
            seen.append(found)
        return found

    while state() != "SUCCEEDED":
        assert seen[-1] in {"QUEUED", "RUNNING"}
    assert seen == [one for one in ("QUEUED", "RUNNING", "SUCCEEDED") if one in seen]
    found = lake.ended(number)
    assert found["ResultConfiguration"]["OutputLocation"] == f"{lake.results}{number}.csv"
    assert found["StatementType"] == "DML"
    assert found["WorkGroup"] == "primary"
    assert found["Status"]["CompletionDateTime"] > found["Status"]["SubmissionDateTime"]
    assert lake.rows(number) == [("n",), ("9",)]


def test_results_of_what_is_not_over_are_refused(lake) -> None:
    number = lake.start("SELECT 1")
    with pytest.raises(ClientError) as early:
        lake.athena.get_query_results(QueryExecutionId=number)
    assert code(early)[0] == "InvalidRequestException"
    assert re.fullmatch(r"Query has not yet finished. Current state: (QUEUED|RUNNING)", code(early)[1])
    lake.ended(number)
    failed = lake.start("SELECT 1 / 0")
    lake.ended(failed)
    with pytest.raises(ClientError) as late:
        lake.athena.get_query_results(QueryExecutionId=failed)
    assert code(late)[1] == "Query did not finish successfully. Final query state: FAILED"


def test_the_result_is_a_file_as_athena_quotes_it(lake) -> None:
    number = lake.start("SELECT name, id FROM sales WHERE day = '2026-01-01' ORDER BY id")
    lake.ended(number)
    text = lake.s3.get_object(Bucket=lake.bucket, Key=f"results/{number}.csv")["Body"].read().decode()
    assert text == '"name","id"\n"é€😀","1"\n"a,""b""\nc","2"\n,"3"\n'
    assert lake.s3.head_object(Bucket=lake.bucket, Key=f"results/{number}.csv.metadata")["ContentLength"] > 0
    assert lake.rows(number)[1:] == [("é€😀", "1"), ('a,"b"\nc', "2"), (None, "3")]
    page = lake.athena.get_query_results(QueryExecutionId=number)
    assert page["ResultSet"]["Rows"][3]["Data"] == [{}, {"VarCharValue": "3"}], "NULL is no value"
    lake.s3.delete_object(Bucket=lake.bucket, Key=f"results/{number}.csv")
    with pytest.raises(ClientError, match="Could not find results"):
        lake.athena.get_query_results(QueryExecutionId=number)


def test_results_come_by_pages(lake) -> None:
    number = lake.start("SELECT n FROM unnest(sequence(1, 2500)) AS t(n) ORDER BY n")
    lake.ended(number)
    sizes, rows, token = [], [], {}
    while token is not None:
        page = lake.athena.get_query_results(QueryExecutionId=number, **token)
        sizes.append(len(page["ResultSet"]["Rows"]))
        rows += [row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert sizes == [1000, 1000, 501]
    assert rows == ["n", *map(str, range(1, 2501))]
    with pytest.raises(ClientError, match="MaxResults"):
        lake.athena.get_query_results(QueryExecutionId=number, MaxResults=1001)


def test_the_same_token_starts_one_query(lake) -> None:
    token = "the-same-token-for-both-of-these-calls"
    first = lake.start("SELECT 1", ClientRequestToken=token)
    assert lake.start("SELECT 1", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        lake.start("SELECT 2", ClientRequestToken=token)


def test_a_query_can_be_stopped(lake) -> None:
    number = lake.start(
        "SELECT count(*) FROM unnest(sequence(1, 100000)) AS a(x) CROSS JOIN unnest(sequence(1, 100000)) AS b(y)"
    )
    lake.athena.stop_query_execution(QueryExecutionId=number)
    assert lake.ended(number)["Status"]["State"] == "CANCELLED"
    done = lake.start("SELECT 1")
    lake.ended(done)
    lake.athena.stop_query_execution(QueryExecutionId=done)
    assert lake.ended(done)["Status"]["State"] == "SUCCEEDED"
    assert lake.ask("SELECT 1") == [("1",)], "others go on"


def test_executions_are_listed_the_newest_first_and_told_in_batches(lake) -> None:
    name = f"wg-{lake.bucket}"
    lake.athena.create_work_group(
        Name=name, Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{lake.bucket}/group/"}}
    )
    numbers = [
        lake.athena.start_query_execution(QueryString=f"SELECT {n}", WorkGroup=name)["QueryExecutionId"]
        for n in range(3)
    ]
    page = lake.athena.list_query_executions(WorkGroup=name, MaxResults=2)
    rest = lake.athena.list_query_executions(WorkGroup=name, NextToken=page["NextToken"])
    assert page["QueryExecutionIds"] + rest["QueryExecutionIds"] == numbers[::-1]
    assert "NextToken" not in rest
    told = lake.athena.batch_get_query_execution(QueryExecutionIds=[*numbers, "x" * 36])
    assert [one["QueryExecutionId"] for one in told["QueryExecutions"]] == numbers
    assert [one["QueryExecutionId"] for one in told["UnprocessedQueryExecutionIds"]] == ["x" * 36]
    location = told["QueryExecutions"][0]["ResultConfiguration"]["OutputLocation"]
    assert location == f"s3://{lake.bucket}/group/{numbers[0]}.csv"
    lake.ended(numbers[0])
    statistics = lake.athena.get_query_runtime_statistics(QueryExecutionId=numbers[0])["QueryRuntimeStatistics"]
    assert statistics["Rows"]["OutputRows"] == 1


def test_the_work_group_decides_where_results_go(lake) -> None:
    name = f"own-{lake.bucket}"
    own = {"ResultConfiguration": {"OutputLocation": f"s3://{lake.bucket}/own/"}, "EnforceWorkGroupConfiguration": True}
    lake.athena.create_work_group(Name=name, Configuration=own)
    found = lake.ended(lake.start("SELECT 1", WorkGroup=name))
    assert found["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{lake.bucket}/own/")
    lake.athena.update_work_group(WorkGroup=name, ConfigurationUpdates={"EnforceWorkGroupConfiguration": False})
    found = lake.ended(lake.start("SELECT 1", WorkGroup=name))
    assert found["ResultConfiguration"]["OutputLocation"].startswith(lake.results)
    with pytest.raises(ClientError, match="is not empty"):
        lake.athena.delete_work_group(WorkGroup=name)
    lake.athena.update_work_group(WorkGroup=name, State="DISABLED")
    with pytest.raises(ClientError, match="is disabled"):
        lake.start("SELECT 1", WorkGroup=name)
    lake.athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)
    with pytest.raises(ClientError, match="is not found"):
        lake.start("SELECT 1", WorkGroup=name)


def test_a_work_group_can_bound_what_is_read(lake) -> None:
    name = f"bound-{lake.bucket}"
    lake.athena.create_work_group(
        Name=name, Configuration={"BytesScannedCutoffPerQuery": 10_000_000, "EnforceWorkGroupConfiguration": False}
    )
    lake.put("big/a.parquet", parquet(x=pa.array([os.urandom(2**20) for _ in range(12)])))
    lake.table("big", {"x": "binary"})
    found = lake.ended(lake.start("SELECT max(x) FROM big", WorkGroup=name))
    assert (found["Status"]["State"], found["Status"]["StateChangeReason"]) == (
        "CANCELLED",
        "Bytes scanned limit was exceeded",
    )


def test_a_place_for_results_is_needed(lake) -> None:
    with pytest.raises(ClientError, match="No output location provided"):
        lake.athena.start_query_execution(QueryString="SELECT 1")
    with pytest.raises(ClientError, match="Unable to verify/create output bucket nowhere-at-all"):
        lake.athena.start_query_execution(
            QueryString="SELECT 1", ResultConfiguration={"OutputLocation": "s3://nowhere-at-all/x"}
        )


# ---- what is read --------------------------------------------------------------------------------------------------------


def test_columns_have_athenas_types(lake) -> None:
    number = lake.start("SELECT * FROM sales WHERE day = '2026-01-01' AND id = 1")
    lake.ended(number)
    page = lake.athena.get_query_results(QueryExecutionId=number)["ResultSet"]
    told = [
        (one["Name"], one["Type"], one["Precision"], one["Scale"]) for one in page["ResultSetMetadata"]["ColumnInfo"]
    ]
    assert told == [
        ("id", "bigint", 19, 0),
        ("name", "varchar", 2147483647, 0),
        ("price", "decimal", 20, 0),
        ("day", "varchar", 2147483647, 0),
    ]
    assert lake.rows(number)[1] == ("1", "é€😀", "18446744073709551615", "2026-01-01")


def test_every_type_is_read_as_glue_declares_it(lake) -> None:
    """Athena reads by the type of the table: bytes without annotation are text where the table says so."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_500, tzinfo=UTC)
    columns = {
        "bi": ("bigint", pa.array([2**63 - 1]), "9223372036854775807"),
        "n": ("int", pa.array([-1], pa.int32()), "-1"),
        "wide": ("bigint", pa.array([7], pa.int32()), "7"),
        "ti": ("tinyint", pa.array([1], pa.int8()), "1"),
        "d": ("double", pa.array([0.1]), "0.1"),
        "big": ("double", pa.array([1e10]), "1.0E10"),
        "f": ("float", pa.array([0.1], pa.float32()), "0.1"),
        "b": ("boolean", pa.array([True]), "true"),
        "dec": ("decimal(10,2)", pa.array([Decimal("1.50")], pa.decimal128(10, 2)), "1.50"),
        "day": ("date", pa.array([date(2026, 1, 2)]), "2026-01-02"),
        "text": ("string", pa.array(["2026-01-02"]), "2026-01-02"),
        "bytes_as_text": ("string", pa.array(["é".encode()], pa.binary()), "é"),
        "bytes": ("binary", pa.array([b"\x00\xff"]), "00 ff"),
        "text_as_bytes": ("binary", pa.array(["A"]), "41"),
        "short": ("varchar(2)", pa.array(["abc"]), "ab"),
        "wall": ("timestamp", pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")), "2026-01-02 03:04:05.679"),
        "utc": (
            "timestamp",
            pa.array([moment], pa.timestamp("us", "UTC")),
            "2026-01-02 03:04:05.679",
        ),
        "list": ("array<bigint>", pa.array([[1, None]]), "[1, null]"),
        "row": ("struct<a:bigint,b:string>", pa.array([{"a": 1, "b": "x"}]), "{a=1, b=x}"),
    }
    lake.put("types/a.parquet", parquet(**{name: one[1] for name, one in columns.items()}))
    lake.table("types", {**{name: one[0] for name, one in columns.items()}, "absent": "int"})
    found = lake.ask("SELECT * FROM types")
    assert found == [(*[one[2] for one in columns.values()], None)]


@pytest.mark.parametrize(
    ("kind", "values", "physical", "told"),
    [
        ("int", pa.array([1]), "INT64", "integer"),
        ("string", pa.array([1]), "INT64", "varchar"),
        ("string", pa.array([date(2026, 1, 1)]), "INT32", "varchar"),
        ("bigint", pa.array(["1"]), "BINARY", "bigint"),
        ("double", pa.array([1]), "INT64", "double"),
        ("timestamp", pa.array([1]), "INT64", "timestamp"),
        ("decimal(20,0)", pa.array(["1"]), "BINARY", "decimal(20,0)"),
        ("array<int>", pa.array(["1"]), "BINARY", "array(integer)"),
    ],
)
def test_a_column_of_another_type_fails(lake, kind, values, physical, told, request) -> None:
    name = f"wrong_{abs(hash(request.node.name))}"
    lake.put(f"{name}/a.parquet", parquet(x=values, y=["fine"]))
    lake.table(name, {"x": kind, "y": "string"})
    assert lake.fails(f"SELECT x FROM {name}") == (
        f"HIVE_BAD_DATA: Field x's type {physical} in parquet file s3://{lake.bucket}/{name}/a.parquet is incompatible"
        f" with type {told} defined in table schema"
    )
    assert lake.ask(f"SELECT y FROM {name}") == [("fine",)], "a column that is not asked for is not looked at"


def test_what_is_no_parquet_fails(lake) -> None:
    lake.put("mixed/a.parquet", parquet(x=[1]))
    lake.put("mixed/export_info.json", b'{"status": "COMPLETE"}')
    lake.table("mixed", {"x": "bigint"})
    reason = lake.fails("SELECT x FROM mixed")
    assert reason.startswith(f"HIVE_BAD_DATA: Not valid Parquet file: s3://{lake.bucket}/mixed/export_info.json")


def test_files_of_an_older_schema_give_null(lake) -> None:
    lake.put("drift/a.parquet", parquet(id=[1], Name=["x"]))
    lake.put("drift/b.parquet", parquet(more=[2.5], id=[2]))
    lake.table("drift", {"id": "bigint", "name": "string", "more": "double"})
    assert lake.ask("SELECT * FROM drift ORDER BY id") == [("1", "x", None), ("2", None, "2.5")]


def test_a_partition_that_declares_another_type_fails(lake) -> None:
    lake.put("parted/a.parquet", parquet(x=[1]))
    lake.table("parted", {"x": "bigint"}, {"day": "string"})
    lake.partition("parted", ["2026-01-01"], "parted", {"x": "string"})
    reason = lake.fails("SELECT * FROM parted")
    assert reason.startswith(
        "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas."
    )
    assert "declared as type 'bigint', but partition 'day=2026-01-01' declared column 'x' as type 'string'" in reason


def test_archived_objects_are_passed_over(lake) -> None:
    """https://docs.aws.amazon.com/athena/latest/ug/querying-restored-objects.html."""
    kinds = ["STANDARD", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA"]
    for number, kind in enumerate(kinds):
        lake.put(f"cold/{number}.parquet", parquet(x=[number]), StorageClass=kind)
    lake.table("cold", {"x": "bigint"})
    restoring = lake.storage("cold", {"x": "bigint"})
    lake.table(
        "thawed", {"x": "bigint"}, StorageDescriptor=restoring, Parameters={"read_restored_glacier_objects": "true"}
    )
    assert lake.ask("SELECT x FROM cold ORDER BY x") == [("0",), ("3",), ("4",)]
    assert lake.ask("SELECT x FROM thawed ORDER BY x") == [("0",), ("3",), ("4",)], "none is restored"
    lake.s3.restore_object(Bucket=lake.bucket, Key="cold/1.parquet", RestoreRequest={"Days": 1})
    assert lake.ask("SELECT x FROM thawed ORDER BY x") == [("0",), ("1",), ("3",), ("4",)]
    assert lake.ask("SELECT x FROM cold ORDER BY x") == [("0",), ("3",), ("4",)]


def test_hidden_objects_and_other_tables_are_passed_over(lake) -> None:
    lake.table("part", {"x": "bigint"})
    lake.put("part/1/a.parquet", parquet(x=[1]))
    lake.put("part/2/deep/b.parquet", parquet(x=[2]))
    lake.put("part/_temporary/c.parquet", parquet(x=[3]))
    lake.put("part/.hidden.parquet", parquet(x=[4]))
    lake.put("part/empty", b"")
    lake.put("part2/a.parquet", parquet(x=[5]))
    assert lake.ask("SELECT x FROM part ORDER BY x") == [("1",), ("2",)]


def test_only_registered_partitions_that_match_are_read(lake) -> None:
    lake.table("pruned", {"x": "bigint"}, {"day": "date", "n": "int"})
    for day, n, content in [
        ("2026-01-01", 1, parquet(x=[1])),
        ("2026-01-02", 2, b"broken"),
        ("2026-01-03", 10, b"broken"),
    ]:
        lake.put(f"pruned/{day}/{n}/a.parquet", content)
        lake.partition("pruned", [day, str(n)], f"pruned/{day}/{n}", {"x": "bigint"})
    lake.put("pruned/unregistered/a.parquet", b"broken")
    for condition in (
        "day = DATE '2026-01-01'",
        "p.day < DATE '2026-01-02' AND x > 0",
        "n < 2",
        "(n IN (1, 7) AND x = 1)",
        "day BETWEEN DATE '2025-12-01' AND DATE '2026-01-01'",
        "year(day) = 2026 AND n * 2 = 2",
    ):
        assert lake.ask(f"SELECT x, day, n FROM pruned AS p WHERE {condition}") == [("1", "2026-01-01", "1")], condition
    assert "HIVE_BAD_DATA" in lake.fails("SELECT x FROM pruned WHERE n = 1 OR x = 1")


def test_an_outer_join_reads_what_its_condition_names_behind_it(lake) -> None:
    """A condition on the side that may be missing holds for rows without a partner too."""
    query = (
        "SELECT a.id, b.day FROM sales a LEFT JOIN sales b ON a.id = b.id AND b.day = '2026-01-01' AND b.id = 1"
        " WHERE a.day = '2026-01-02' AND (b.day IS NULL) ORDER BY 1"
    )
    assert lake.ask(query) == [("2", None), ("3", None)]


def test_what_is_paid_for_are_the_columns_that_are_read(lake) -> None:
    def scanned(query: str) -> int:
        return int(lake.ended(lake.start(query))["Statistics"]["DataScannedInBytes"])

    whole, one, day = (
        scanned("SELECT * FROM sales"),
        scanned("SELECT id FROM sales"),
        scanned("SELECT id FROM sales WHERE day = '2026-01-01'"),
    )
    assert whole > one > day > 0
    assert one == 3 * day
    assert scanned("SELECT count(*) FROM sales") == 0


def test_the_path_of_a_row_can_be_asked(lake) -> None:
    found = lake.ask("SELECT DISTINCT \"$path\" FROM sales WHERE day = '2026-01-02'")
    assert found == [(f"s3://{lake.bucket}/sales/2026-01-02/1/part-00000.gz.parquet",)]
    first = lake.ask("SELECT *, \"$path\" FROM sales WHERE day = '2026-01-02' AND id = 1")[0]
    assert len(first) == len(KINDS) + 2


def test_parameters_are_literals_in_their_places(lake) -> None:
    query = "SELECT id FROM sales WHERE day BETWEEN ? AND ? AND id > ? ORDER BY id -- what?"
    assert lake.ask(query, "'2026-01-02'", "'2026-01-02'", "1") == [("2",), ("3",)]
    with pytest.raises(ClientError, match="expected 3 but found 1"):
        lake.start(query, "'2026-01-02'")
    with pytest.raises(ClientError, match="is no literal"):
        lake.start("SELECT ?", "current_date")


def test_athena_tells_the_catalogue(lake) -> None:
    told = lake.athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=lake.database, TableName="sales")
    assert [one["Name"] for one in told["TableMetadata"]["Columns"]] == list(KINDS)
    assert told["TableMetadata"]["Parameters"]["location"] == f"s3://{lake.bucket}/sales/"
    names = [one["Name"] for one in lake.athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]]
    assert lake.database in names
    with pytest.raises(ClientError) as missing:
        lake.athena.get_database(CatalogName="AwsDataCatalog", DatabaseName="nothing")
    assert code(missing)[0] == "MetadataException"


def test_a_crash_of_the_reader_is_no_answer(lake) -> None:
    lake.put("cut/a.parquet", parquet(x=list(range(1000)))[:200] + b"PAR1")
    lake.table("cut", {"x": "bigint"})
    assert "HIVE_BAD_DATA" in lake.fails("SELECT x FROM cut")


def test_the_catalogue_is_that_of_the_account(lake, cloud) -> None:
    other = Lake.make(cloud, PRODUCTION)
    assert (
        other.fails(f"SELECT * FROM {lake.database}.sales")
        == f"SCHEMA_NOT_FOUND: line 1:15: Schema '{lake.database}' does not exist"
    )


def test_a_rule_lets_a_query_fail(lake, cloud) -> None:
    rule = {"service": "athena", "action": "StartQueryExecution", "effect": "status", "becomes": "FAILED"}
    admin_operation("faults-add", cloud.config, **rule)
    try:
        assert lake.fails("SELECT 1") == "GENERIC_INTERNAL_ERROR: a fault rule let it end so"
        assert lake.ask("SELECT 1") == [("1",)]
    finally:
        admin_operation("faults-clear", cloud.config)
