"""Names of tables stay and never meet; partitions say whose they are and when they are over."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core.exports import catalogue
from aurora_ops.core.exports.catalogue import Known, Snapshot
from aurora_ops.core.exports.columns import Column
from hypothesis import given
from hypothesis import strategies as st

ABOUT = Snapshot(
    "shop",
    "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:s",
    datetime(2026, 6, 1, 2, tzinfo=UTC),
    "2026-06-01",
    "s-0123456789ab",
    datetime(2026, 6, 1, 3, tzinfo=UTC),
    "exported",
    "exports/db=shop/snapshot_date=2026-06-01/s-0123456789ab/",
)
COLUMNS = [Column("id", "int")]
words = st.text("aAbB_-ü.日", min_size=1, max_size=6)
sources = st.lists(st.tuples(words, words), unique_by=lambda one: ".".join(one), max_size=12)


@given(sources)
def test_names_are_legal_and_no_two_are_the_same(tables) -> None:
    found = catalogue.table_names("shop", tables, [])
    assert len(set(found.values())) == len(found) == len(tables)
    assert all(re.fullmatch(r"[a-z0-9_]{1,255}", name) for name in found.values())


@given(sources, sources)
def test_a_name_once_given_stays_whatever_comes_and_goes(before, after) -> None:
    first = catalogue.table_names("shop", before, [])
    there = [Known(name, "shop", source, 1) for source, name in first.items()]
    second = catalogue.table_names("shop", after, there)
    assert all(second[source] == name for source, name in first.items() if source in second)
    assert len({*second.values(), *first.values()}) == len({*second, *first})


@given(sources, st.randoms())
def test_names_do_not_depend_on_the_order(tables, random) -> None:
    other = list(tables)
    random.shuffle(other)
    assert catalogue.table_names("shop", tables, []) == catalogue.table_names("shop", other, [])


def test_who_needs_no_change_has_the_plain_name() -> None:
    found = catalogue.table_names("shop", [("shop", "Order-Items"), ("shop", "order_items"), ("shop", "日本")], [])
    assert found["shop.order_items"] == "shop_order_items"
    assert re.fullmatch(r"shop_order_items_[0-9a-f]{8}", found["shop.Order-Items"])
    assert found["shop.日本"] == "shop___"


def test_tables_of_others_are_left_alone() -> None:
    there = [Known("shop_orders", "", "", 1), Known("shop_items", "crm", "shop.items", 1)]
    found = catalogue.table_names("shop", [("shop", "orders"), ("shop", "items")], there)
    assert re.fullmatch(r"shop_orders_[0-9a-f]{8}", found["shop.orders"])
    assert re.fullmatch(r"shop_items_[0-9a-f]{8}", found["shop.items"])
    assert catalogue.further_name("shop_a", "shop.a", 2, []) == "shop_a_v2"
    assert re.fullmatch(r"shop_a_v2_[0-9a-f]{8}", catalogue.further_name("shop_a", "shop.a", 2, ["shop_a_v2"]))


def test_a_long_name_is_cut() -> None:
    [name] = catalogue.table_names("shop", [("d" * 200, "t" * 200)], []).values()
    assert len(name) == 255


def test_a_table_says_what_it_is() -> None:
    table = catalogue.table_input("shop_orders", "shop.orders", 2, ABOUT, COLUMNS)
    assert catalogue.known(table) == Known("shop_orders", "shop", "shop.orders", 2)
    assert table["StorageDescriptor"]["Location"] == "s3://exported/exports/db=shop/"
    assert [one["Name"] for one in table["PartitionKeys"]] == ["snapshot_date"]
    assert catalogue.known({"Name": "x", "Parameters": {catalogue.VERSION: "new"}}) == Known("x", "", "", 1)


def test_the_newest_snapshot_of_a_day_stands() -> None:
    mine = catalogue.partition_input(ABOUT, "shop/shop.orders/", COLUMNS)
    assert mine["StorageDescriptor"]["Location"] == f"s3://exported/{ABOUT.path}shop/shop.orders/"
    assert catalogue.same_partition(mine, mine)
    assert not catalogue.stands(mine, ABOUT)
    newer = {"Parameters": {catalogue.SNAPSHOT_TIME: "2026-06-01T04:00:00+02:01"}}
    assert not catalogue.stands(newer, ABOUT), "the same moment is written in many ways"
    newer = {"Parameters": {catalogue.SNAPSHOT_TIME: "2026-06-01T04:00:00+01:59"}}
    assert catalogue.stands(newer, ABOUT)
    assert not catalogue.stands({}, ABOUT)
    assert not catalogue.stands({"Parameters": {catalogue.SNAPSHOT_TIME: "lately"}}, ABOUT)


@given(hours=st.integers(0, 24 * 40), days=st.integers(1, 30), minute=st.integers(0, 24 * 60 - 1))
def test_a_partition_is_over_at_the_midnight_on_which_s3_acts(hours, days, minute) -> None:
    exported = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minute)
    partition = {"Parameters": {catalogue.EXPORTED_AT: exported.isoformat()}}
    now = exported + timedelta(hours=hours)
    midnights = (now.date() - exported.date()).days
    assert catalogue.is_over(partition, now, days) is (midnights > days)
    if catalogue.is_over(partition, now, days):
        assert exported.strftime("%Y-%m-%d") <= catalogue.oldest_readable(now, days), "it is looked at"


def test_partitions_of_others_are_never_over() -> None:
    assert not catalogue.is_over({"Values": ["2001-01-01"]}, datetime(2026, 6, 1, tzinfo=UTC), 1)
    assert not catalogue.is_over({"Parameters": {catalogue.EXPORTED_AT: "?"}}, datetime(2026, 6, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize("text", ["", "{", "{}", "3", None])
def test_what_is_absent_is_read_or_nothing(text) -> None:
    assert catalogue.absent({"Parameters": {catalogue.ABSENT: text}} if text is not None else {}) == []
    assert catalogue.absent({"Parameters": {catalogue.ABSENT: catalogue.as_absent(["b", "a", "b"])}}) == ["a", "b"]


def test_rows_are_counted_by_one_query() -> None:
    assert catalogue.count_query("shop", ["b", "a"], "2026-06-01").splitlines() == [
        "SELECT 'a' AS table_name, count(*) AS row_count FROM \"shop\".\"a\" WHERE snapshot_date = '2026-06-01'",
        "UNION ALL",
        "SELECT 'b' AS table_name, count(*) AS row_count FROM \"shop\".\"b\" WHERE snapshot_date = '2026-06-01'",
    ]
