"""Crawlers that crawl: tables, partitions and types from the objects, states over time, what is gone."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerCreateOperator, GlueCrawlerRunOperator

from localcloud.client import admin_operation
from localcloud.names import STAGING
from tests.local.cloud.athena_helpers import Lake, parquet
from tests.local.cloud.databases import until
from tests.local.cloud.eks_operators import connect

pytestmark = [pytest.mark.local, pytest.mark.slow]
ROLE = "crawler"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ORDERS = {"id": pa.array([1, 2]), "total": pa.array([1.5, None]), "note": ["x", None]}
CUSTOMERS = {"email": ["a@b"], "born": pa.array([None], pa.date32())}


@pytest.fixture(scope="module")
def role(cloud) -> str:
    made = cloud.admin(STAGING, "iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    return str(made["Role"]["Arn"])


@pytest.fixture
def lake(cloud, role) -> Lake:
    """Two days of an export of two tables, as AWS lays it out."""
    made = Lake.make(cloud)
    for day in ("2026-01-01", "2026-01-02"):
        root = f"lake/db=shop/snapshot_date={day}/task/shop"
        made.put(f"{root}/shop.orders/1/part-00000.gz.parquet", parquet(**ORDERS))
        made.put(f"{root}/shop.customers/1/part-00000.gz.parquet", parquet(**CUSTOMERS))
        made.put(f"{root}/shop.orders/1/_SUCCESS", b"")
        made.put(f"lake/db=shop/snapshot_date={day}/task/export_info_task.json", b"{}")
    return made


def make(lake: Lake, role: str, *targets: dict[str, Any], **more: Any) -> str:
    name = f"crawler-{uuid4().hex[:8]}"
    lake.glue.create_crawler(
        Name=name, Role=role, DatabaseName=lake.database, Targets={"S3Targets": list(targets)}, **more
    )
    return name


def run(lake: Lake, name: str) -> dict[str, Any]:
    """Crawl, and give the crawler when it is ready again."""
    lake.glue.start_crawler(Name=name)
    assert until(lambda: lake.glue.get_crawler(Name=name)["Crawler"]["State"] == "READY")
    return dict(lake.glue.get_crawler(Name=name)["Crawler"])


def tables(lake: Lake) -> dict[str, dict[str, Any]]:
    return {one["Name"]: one for one in lake.glue.get_tables(DatabaseName=lake.database)["TableList"]}


def columns(table: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["Name"], one["Type"]) for one in table["StorageDescriptor"]["Columns"]]


def partitions(lake: Lake, table: str) -> list[list[str]]:
    return [
        one["Values"] for one in lake.glue.get_partitions(DatabaseName=lake.database, TableName=table)["Partitions"]
    ]


def test_a_crawler_runs_stops_and_is_ready(lake, role) -> None:
    name = make(lake, role, {"Path": f"s3://{lake.bucket}/lake/"})
    assert "LastCrawl" not in lake.glue.get_crawler(Name=name)["Crawler"]
    lake.glue.start_crawler(Name=name)
    with pytest.raises(lake.glue.exceptions.CrawlerRunningException):
        lake.glue.start_crawler(Name=name)
    with pytest.raises(lake.glue.exceptions.CrawlerRunningException):
        lake.glue.delete_crawler(Name=name)
    seen: list[str] = []

    def ready() -> bool:
        state = lake.glue.get_crawler(Name=name)["Crawler"]["State"]
        if state not in seen:
            seen.append(state)
        return bool(state == "READY")

    assert until(ready)
    assert seen == ["RUNNING", "STOPPING", "READY"]
    last = lake.glue.get_crawler(Name=name)["Crawler"]["LastCrawl"]
    assert last["Status"] == "SUCCEEDED"
    assert [one["State"] for one in lake.glue.list_crawls(CrawlerName=name)["Crawls"]] == ["COMPLETED"]


def test_tables_of_one_folder_and_what_is_excluded(lake, role) -> None:
    target = {"Path": f"s3://{lake.bucket}/lake/db=shop/snapshot_date=2026-01-01", "Exclusions": ["**/export_*.json"]}
    found = run(lake, make(lake, role, target, TablePrefix="raw_"))
    assert found["LastCrawl"]["Status"] == "SUCCEEDED"
    made = tables(lake)
    assert list(made) == ["raw_shop_customers", "raw_shop_orders"]
    assert columns(made["raw_shop_orders"]) == [("id", "bigint"), ("total", "double"), ("note", "string")]
    assert columns(made["raw_shop_customers"]) == [("email", "string"), ("born", "date")]
    assert [one["Name"] for one in made["raw_shop_orders"]["PartitionKeys"]] == ["partition_0"]
    assert partitions(lake, "raw_shop_orders") == [["1"]]
    assert made["raw_shop_orders"]["Parameters"]["recordCount"] == "2"
    assert lake.ask("SELECT id, total, note, partition_0 FROM raw_shop_orders ORDER BY id") == [
        ("1", "1.5", "x", "1"),
        ("2", None, None, "1"),
    ]


def test_folders_named_key_value_are_partition_columns(lake, role) -> None:
    for day in ("01", "02"):
        lake.put(f"hive/events/year=2026/day={day}/a.parquet", parquet(x=[int(day)]))
    run(lake, make(lake, role, {"Path": f"s3://{lake.bucket}/hive/events"}))
    table = tables(lake)["events"]
    assert [(one["Name"], one["Type"]) for one in table["PartitionKeys"]] == [("year", "string"), ("day", "string")]
    assert lake.ask("SELECT x, year, day FROM events WHERE day = '02'") == [("2", "2026", "02")]


def test_the_level_of_tables_can_be_told(lake, role) -> None:
    """Without it the second day's table, which is in another folder, gets a name of its own."""
    target = {"Path": f"s3://{lake.bucket}/lake", "Exclusions": ["**.json"]}
    run(lake, make(lake, role, target))
    assert len(tables(lake)) == 4
    assert len([name for name in tables(lake) if name.startswith("shop_orders_")]) == 1, "the other bears its bare name"
    other = Lake.make_database(lake, "level")
    grouping = {"Version": 1.0, "Grouping": {"TableLevelConfiguration": 7}}
    run(other, make(other, role, target, Configuration=json.dumps(grouping)))
    assert sorted(name.split("_")[1] for name in tables(other)) == ["customers", "customers", "orders", "orders"]
    top = Lake.make_database(lake, "top")
    grouping["Grouping"] = {"TableLevelConfiguration": 2}
    run(top, make(top, role, target, Configuration=json.dumps(grouping)))
    assert [one["Name"] for one in tables(top)["lake"]["PartitionKeys"]] == [
        "db",
        "snapshot_date",
        "partition_2",
        "partition_3",
        "partition_4",
        "partition_5",
    ]


def test_what_is_no_parquet_becomes_a_table_that_athena_refuses(lake, role) -> None:
    run(lake, make(lake, role, {"Path": f"s3://{lake.bucket}/lake/db=shop/snapshot_date=2026-01-01"}))
    assert tables(lake)["export_info_task_json"]["Parameters"]["classification"] == "json"
    assert "NOT_SUPPORTED" in lake.fails("SELECT * FROM export_info_task_json")


def test_a_second_crawl_brings_what_has_changed(lake, role) -> None:
    for number in (1, 2):
        lake.put(f"more/day={number}/a.parquet", parquet(x=[1], y=[1], z=["a"]))
    name = make(
        lake, role, {"Path": f"s3://{lake.bucket}/more"}, SchemaChangePolicy={"DeleteBehavior": "DELETE_FROM_DATABASE"}
    )
    run(lake, name)
    assert lake.glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]["TablesCreated"] == 1
    run(lake, name)
    assert tables(lake)["more"]["VersionId"] == "0", "nothing has changed"
    lake.put("more/day=3/a.parquet", parquet(x=[1], y=[1], z=["a"], w=[1.5]))
    lake.s3.delete_object(Bucket=lake.bucket, Key="more/day=1/a.parquet")
    run(lake, name)
    assert columns(tables(lake)["more"]) == [("x", "bigint"), ("y", "bigint"), ("z", "string"), ("w", "double")]
    assert partitions(lake, "more") == [["2"], ["3"]]
    metrics = lake.glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"]) == (0, 1)
    assert lake.ask("SELECT day, w FROM more ORDER BY day") == [("2", None), ("3", "1.5")]


@pytest.mark.parametrize(
    ("behaviour", "left"), [("DELETE_FROM_DATABASE", False), ("DEPRECATE_IN_DATABASE", True), ("LOG", True)]
)
def test_tables_whose_objects_are_gone(lake, role, behaviour, left) -> None:
    lake.put("gone/a/x.parquet", parquet(x=[1]))
    lake.put("gone/b/y.parquet", parquet(y=[1]))
    lake.table("by_hand", {"x": "bigint"})
    name = make(lake, role, {"Path": f"s3://{lake.bucket}/gone"}, SchemaChangePolicy={"DeleteBehavior": behaviour})
    run(lake, name)
    assert {"a", "b"} <= tables(lake).keys()
    lake.s3.delete_object(Bucket=lake.bucket, Key="gone/a/x.parquet")
    run(lake, name)
    assert ("a" in tables(lake)) is left
    assert "by_hand" in tables(lake), "it is none of the crawler's"
    if left:
        deprecated = "DEPRECATED_BY_CRAWLER" in tables(lake)["a"]["Parameters"]
        assert deprecated is (behaviour == "DEPRECATE_IN_DATABASE")


def test_a_crawl_can_be_stopped(lake, role) -> None:
    name = make(lake, role, {"Path": f"s3://{lake.bucket}/lake"})
    with pytest.raises(lake.glue.exceptions.CrawlerNotRunningException):
        lake.glue.stop_crawler(Name=name)
    lake.glue.start_crawler(Name=name)
    lake.glue.stop_crawler(Name=name)
    assert lake.glue.get_crawler(Name=name)["Crawler"]["State"] == "STOPPING"
    assert until(lambda: lake.glue.get_crawler(Name=name)["Crawler"]["State"] == "READY")
    assert lake.glue.get_crawler(Name=name)["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"


def test_a_crawl_fails_with_a_message(lake, role) -> None:
    found = run(lake, make(lake, role, {"Path": "s3://no-such-bucket-anywhere/x"}))["LastCrawl"]
    assert (found["Status"], found["ErrorMessage"]) == (
        "FAILED",
        "HIVE_FILESYSTEM_ERROR: The specified bucket does not exist: no-such-bucket-anywhere",
    )
    lake.database = "nowhere"
    found = run(lake, make(lake, role, {"Path": f"s3://{lake.bucket}/lake"}))["LastCrawl"]
    assert (found["Status"], found["ErrorMessage"]) == ("FAILED", "Database nowhere not found.")


def test_a_rule_lets_a_crawl_fail(lake, role, cloud) -> None:
    name = make(lake, role, {"Path": f"s3://{lake.bucket}/lake"})
    rule = {"service": "glue", "action": "StartCrawler", "effect": "status", "becomes": "FAILED"}
    admin_operation("faults-add", cloud.config, **rule)
    try:
        assert run(lake, name)["LastCrawl"]["Status"] == "FAILED"
        assert tables(lake) == {}
    finally:
        admin_operation("faults-clear", cloud.config)


def test_a_crawler_needs_a_role_that_glue_may_assume(lake, cloud) -> None:
    with pytest.raises(lake.glue.exceptions.InvalidInputException, match="unable to assume provided role"):
        make(lake, f"arn:aws:iam::{STAGING}:role/none", {"Path": f"s3://{lake.bucket}/lake"})
    with pytest.raises(lake.glue.exceptions.InvalidInputException, match="SchemaChangePolicy"):
        make(
            lake,
            ROLE,
            {"Path": f"s3://{lake.bucket}/lake"},
            RecrawlPolicy={"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"},
        )


def test_the_role_of_a_crawler_is_judged(lake, role, cloud) -> None:
    iam, name = cloud.admin(STAGING, "iam"), make(lake, role, {"Path": f"s3://{lake.bucket}/lake"})
    admin_operation("iam-enforce", cloud.config, on=True)
    try:
        assert "Access denied on S3 path" in run(lake, name)["LastCrawl"]["ErrorMessage"]
        allowed = [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}]
        put = {"RoleName": ROLE, "PolicyName": "p"}
        iam.put_role_policy(**put, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}))
        assert "not authorized to perform: glue:CreateTable" in run(lake, name)["LastCrawl"]["ErrorMessage"]
        allowed[0]["Action"] += ["glue:*"]
        iam.put_role_policy(**put, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}))
        assert run(lake, name)["LastCrawl"]["Status"] == "SUCCEEDED"
        iam.delete_role_policy(**put)
    finally:
        admin_operation("iam-enforce", cloud.config, on=False)


def test_the_providers_operator_works_with_it(lake, role, cloud, monkeypatch) -> None:
    connect(monkeypatch, cloud)
    config = {
        "Name": f"operator-{uuid4().hex[:8]}",
        "Role": role,
        "DatabaseName": lake.database,
        "Targets": {"S3Targets": [{"Path": f"s3://{lake.bucket}/lake", "Exclusions": ["**.json"]}]},
    }
    make = GlueCrawlerCreateOperator(task_id="make", config=config, aws_conn_id="aws_destination")
    assert make.execute({}) == config["Name"]
    run = GlueCrawlerRunOperator(
        task_id="run", crawler_name=config["Name"], poll_interval=1, aws_conn_id="aws_destination"
    )
    assert run.execute({}) == config["Name"]
    assert len(tables(lake)) == 4
