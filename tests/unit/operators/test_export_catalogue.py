"""Athena finds each table of each date, whatever arrives when, whatever changes; and nothing that is not there any more."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core.errors import BusyError, PermanentError, TransientError, VerificationError
from aurora_ops.core.exports import catalogue
from aurora_ops.core.exports.catalogue import Snapshot
from aurora_ops.core.exports.columns import Column
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.operators.export_catalogue import CATALOGUES, CatalogueExportOperator
from aurora_ops.operators.export_tables import Cataloguer, Wanted
from aurora_ops.operators.exported import each
from botocore.exceptions import ClientError

from tests.unit.operators.driver import context
from tests.unit.operators.stored_exports import ACCOUNTS, EXPORT, ORDERS, StoredExports, Table, settings

ID, NOTE = ORDERS[0], ORDERS[2]
BIG = ("id", "bigint", pa.int64())
TEXT_ID = ("id", "varchar", pa.string())
SIZE = ("size", "int", pa.int32())
DATES = ("2026-06-01", "2026-06-02", "2026-06-03")


@pytest.fixture
def stored(rds, aws_session) -> StoredExports:
    return StoredExports(aws_session)


def put(exported: dict, largest: dict[str, int] | None = None, **changes) -> dict:
    task = CatalogueExportOperator(
        task_id="catalogue_export",
        settings=settings(**changes),
        accounts=ACCOUNTS,
        exported=exported,
        verified={"largest": largest or {}},
    )
    return task.execute(context())


def location(exported: dict, source: str) -> str:
    return f"s3://exported/{exported['path']}shop/{source}/"


def test_tables_columns_and_a_partition_at_the_exports_folder(stored, calls) -> None:
    exported = stored.write(Table("shop.orders", rows=(3, 4)), Table("shop.Order Items", [BIG]))
    calls.clear()
    found = put(exported, {"shop.orders": 7, "shop.Order Items": 2})
    assert found == {
        "database": "shop",
        "tables": 2,
        "partitions": 2,
        "drift": [],
        "dropped": 0,
        "warnings": [],
        "smoke": {
            "query": catalogue.count_query("shop", ["shop_orders", "shop_order_items"], "2026-06-01"),
            "rows": {"shop_orders": 7, "shop_order_items": 2},
        },
    }
    assert set(calls) <= {*CATALOGUES, "glue:GetTable"}
    assert stored.columns("shop_orders") == {"id": "int", "total": "decimal(10,2)", "note": "string"}
    table = stored.table("shop_orders")
    assert [(one["Name"], one["Type"]) for one in table["PartitionKeys"]] == [("snapshot_date", "string")]
    [partition] = stored.partitions("shop_orders").values()
    assert partition["StorageDescriptor"]["Location"] == location(exported, "shop.orders")
    assert partition["StorageDescriptor"]["Columns"] == table["StorageDescriptor"]["Columns"]
    [items] = stored.partitions("shop_order_items").values()
    assert items["StorageDescriptor"]["Location"] == location(exported, "shop.Order_Items")


def test_again_changes_nothing(stored, calls) -> None:
    exported = stored.write(Table("shop.orders"), Table("shop.none", rows=()))
    put(exported)
    version = stored.table("shop_orders")["VersionId"]
    calls.clear()
    found = put(exported)
    assert (found["partitions"], found["drift"]) == (0, [])
    assert stored.table("shop_orders")["VersionId"] == version
    assert not {"glue:UpdateTable", "glue:UpdatePartition", "glue:CreateTable"} & set(calls)


def test_each_date_has_a_partition(stored) -> None:
    for date in DATES:
        put(stored.write(Table("shop.orders"), date=date, task=date))
    assert sorted(stored.partitions("shop_orders")) == list(DATES)


def test_a_table_that_moved_to_another_export_of_the_same_snapshot(stored) -> None:
    put(stored.write(Table("shop.orders"), task="first"))
    again = stored.write(Table("shop.orders"), task="first-a2")
    assert put(again)["partitions"] == 1
    assert stored.partitions("shop_orders")["2026-06-01"]["StorageDescriptor"]["Location"] == location(
        again, "shop.orders"
    )


@pytest.mark.parametrize("order", list(itertools.permutations([2, 9, 14])), ids=str)
def test_the_newest_snapshot_of_a_day_stands_whatever_arrives_when(stored, order) -> None:
    exports = {hour: stored.write(Table("shop.orders"), hour=hour, task=f"at-{hour}") for hour in order}
    results = {hour: put(exports[hour], {"shop.orders": 2}) for hour in order}
    [partition] = stored.partitions("shop_orders").values()
    assert partition["StorageDescriptor"]["Location"] == location(exports[14], "shop.orders")
    for place, hour in enumerate(order):
        late = any(earlier > hour for earlier in order[:place])
        assert results[hour]["smoke"]["query"] is None if late else results[hour]["smoke"]["rows"] == {"shop_orders": 2}
        assert any("newer snapshot of 2026-06-01" in text for text in results[hour]["warnings"]) is late


# ---- columns that change -------------------------------------------------------------------------------------------


def days(stored: StoredExports, *columns, source: str = "shop.orders") -> list[list[str]]:
    """Put an export of each day into the catalogue; the drift that each told."""
    return [
        put(stored.write(Table(source, list(each)), date=date, task=date))["drift"]
        for date, each in zip(DATES, columns, strict=False)
    ]


def own_columns(stored: StoredExports, name: str) -> dict[str, list[str]]:
    return {
        date: [one["Type"] for one in partition["StorageDescriptor"]["Columns"]]
        for date, partition in sorted(stored.partitions(name).items())
    }


def test_an_added_column_is_added_and_older_partitions_keep_theirs(stored) -> None:
    assert days(stored, [ID], [ID, SIZE], [ID, SIZE]) == [[], ["shop.orders: size int is new"], []]
    assert stored.columns("shop_orders") == {"id": "int", "size": "int"}
    assert own_columns(stored, "shop_orders") == {DATES[0]: ["int"], DATES[1]: ["int", "int"], DATES[2]: ["int", "int"]}


def test_a_wider_column_widens_the_table_not_older_partitions(stored) -> None:
    assert days(stored, [ID], [BIG], [ID]) == [[], ["shop.orders: id was int and is bigint now"], []]
    assert stored.columns("shop_orders") == {"id": "bigint"}
    assert own_columns(stored, "shop_orders") == {DATES[0]: ["int"], DATES[1]: ["bigint"], DATES[2]: ["int"]}


def test_a_column_that_went_away_stays_and_is_told_once(stored) -> None:
    drift = days(stored, [ID, SIZE], [ID], [ID])
    assert drift[1:] == [
        ["shop.orders: the snapshot of 2026-06-02 has no size; it stays in the table, as NULL there"],
        [],
    ]
    assert stored.columns("shop_orders") == {"id": "int", "size": "int"}
    assert stored.table("shop_orders")["VersionId"] == "2", "not a version of the table each night"


def test_what_no_type_reads_is_in_a_table_of_its_own(stored) -> None:
    """The first table is asked over all its dates as before; Athena would refuse that if it had this partition too."""
    drift = days(stored, [ID], [TEXT_ID], [TEXT_ID])
    assert drift[1] == [
        "shop.orders: id is string, not int as in shop_orders: snapshots of these columns are in shop_orders_v2"
    ]
    assert drift[2] == []
    assert stored.columns("shop_orders") == {"id": "int"}
    assert stored.columns("shop_orders_v2") == {"id": "string"}
    assert sorted(stored.partitions("shop_orders")) == [DATES[0]]
    assert sorted(stored.partitions("shop_orders_v2")) == [DATES[1], DATES[2]]
    put(stored.write(Table("shop.orders", [ID]), date="2026-06-09", task="back"))
    assert sorted(stored.partitions("shop_orders")) == [DATES[0], "2026-06-09"], "the first that it fits into"
    put(stored.write(Table("shop.orders", [("id", "blob", pa.binary())]), date="2026-06-10", task="third"))
    assert stored.columns("shop_orders_v3") == {"id": "binary"}


@pytest.mark.parametrize("first", [TEXT_ID, ID], ids=["text first", "number first"])
@pytest.mark.parametrize("late", [False, True], ids=["in order", "out of order"])
def test_of_a_day_only_one_table_has_a_partition(stored, first, late) -> None:
    second = ID if first is TEXT_ID else TEXT_ID
    exports = [
        stored.write(Table("shop.orders", [columns]), hour=hour, task=f"at-{hour}")
        for hour, columns in ((2, first), (9, second))
    ]
    put(stored.write(Table("shop.orders", [first]), date="2026-05-01", task="before"))
    for exported in reversed(exports) if late else exports:
        put(exported)
    found = {
        name: partition["StorageDescriptor"]["Location"]
        for name in ("shop_orders", "shop_orders_v2")
        for date, partition in stored.partitions(name).items()
        if date == "2026-06-01"
    }
    assert found == {"shop_orders_v2": location(exports[1], "shop.orders")}


def test_a_table_without_rows_is_there_and_gets_its_types_with_its_rows(stored) -> None:
    announced = ("id", "bigint", pa.int64())
    really = ("id", "bigint unsigned", pa.decimal128(20, 0))
    put(stored.write(Table("shop.orders", [announced], rows=()), task="none"))
    assert stored.columns("shop_orders") == {"id": "bigint"}
    assert stored.partitions("shop_orders") == {}
    found = put(stored.write(Table("shop.orders", [really]), date=DATES[1], task="some"))
    assert (found["drift"], found["partitions"]) == ([], 1)
    assert stored.columns("shop_orders") == {"id": "decimal(20,0)"}
    put(stored.write(Table("shop.orders", [announced], rows=()), date=DATES[2], task="none-again"))
    assert own_columns(stored, "shop_orders") == {DATES[1]: ["decimal(20,0)"], DATES[2]: ["decimal(20,0)"]}


def test_a_day_whose_newest_snapshot_has_no_rows_has_none(stored) -> None:
    put(stored.write(Table("shop.orders"), hour=2, task="some"))
    empty = stored.write(Table("shop.orders", rows=()), hour=9, task="none")
    put(empty)
    [partition] = stored.partitions("shop_orders").values()
    assert partition["StorageDescriptor"]["Location"] == location(empty, "shop.orders")


def test_names_that_would_meet_do_not(stored) -> None:
    first = stored.write(Table("shop.a_b"), Table("shop.a-b"), Table("shop.日本"), Table("shop.größe"))
    put(first)
    names = sorted(one["Name"] for one in stored.glue.get_tables(DatabaseName=EXPORT)["TableList"])
    assert len(names) == 4
    put(stored.write(Table("shop.größe"), Table("shop.a-b"), date=DATES[1], task="two"))
    assert sorted(one["Name"] for one in stored.glue.get_tables(DatabaseName=EXPORT)["TableList"]) == names
    known = {
        one["Parameters"][catalogue.SOURCE]: one["Name"]
        for one in stored.glue.get_tables(DatabaseName=EXPORT)["TableList"]
    }
    assert sorted(stored.partitions(known["shop.a-b"])) == [DATES[0], DATES[1]]
    assert sorted(stored.partitions("shop_a_b")) == [DATES[0]]


def test_a_table_of_somebody_else_is_left_alone(stored) -> None:
    stored.glue.create_database(DatabaseInput={"Name": EXPORT})
    stored.glue.create_table(DatabaseName=EXPORT, TableInput={"Name": "shop_orders", "Description": "theirs"})
    put(stored.write(Table("shop.orders")))
    assert stored.table("shop_orders")["Description"] == "theirs"
    assert stored.table("shop_orders")["VersionId"] == "1"
    assert len(stored.glue.get_tables(DatabaseName=EXPORT)["TableList"]) == 2


def test_what_people_have_written_about_a_table_stays(stored) -> None:
    put(stored.write(Table("shop.orders", [ID])))
    table = stored.table("shop_orders")
    kept = {key: table[key] for key in ("Name", "StorageDescriptor", "PartitionKeys", "TableType")}
    stored.glue.update_table(
        DatabaseName=EXPORT,
        TableInput={
            **kept,
            "Description": "ours",
            "Owner": "ann",
            "Parameters": {**table["Parameters"], "team": "shop"},
        },
    )
    put(stored.write(Table("shop.orders", [ID, SIZE]), date=DATES[1], task="two"))
    found = stored.table("shop_orders")
    assert (found["Description"], found["Owner"], found["Parameters"]["team"]) == ("ours", "ann", "shop")
    assert stored.columns("shop_orders") == {"id": "int", "size": "int"}


# ---- several at a time ---------------------------------------------------------------------------------------------


def overtaken(monkeypatch, operation: str, *others, code: str = "ConcurrentModificationException") -> None:
    """Have somebody else be first at an operation of Glue, once for each."""
    left = list(others)
    beyond = CatalogueHook.call

    def call(self, name, /, **arguments):
        if name == operation and left:
            left.pop(0)()
            if code:
                raise BusyError(code)
        return beyond(self, name, **arguments)

    monkeypatch.setattr(CatalogueHook, "call", call)


def test_exports_of_other_dates_do_not_undo_each_other(stored, monkeypatch) -> None:
    put(stored.write(Table("shop.orders", [ID])))
    other = stored.write(Table("shop.orders", [ID, NOTE]), date=DATES[1], task="other")
    mine = stored.write(Table("shop.orders", [BIG, SIZE]), date=DATES[2], task="mine")
    overtaken(monkeypatch, "update_table", lambda: put(other))
    put(mine)
    assert stored.columns("shop_orders") == {"id": "bigint", "note": "string", "size": "int"}
    assert sorted(stored.partitions("shop_orders")) == list(DATES)


def test_a_table_is_changed_in_the_version_that_was_read(stored, monkeypatch) -> None:
    put(stored.write(Table("shop.orders", [ID])))
    given = []
    beyond = CatalogueHook.call

    def call(self, name, /, **arguments):
        if name == "update_table":
            given.append(arguments["VersionId"])
        return beyond(self, name, **arguments)

    monkeypatch.setattr(CatalogueHook, "call", call)
    put(stored.write(Table("shop.orders", [ID, SIZE]), date=DATES[1], task="two"))
    assert given == ["1"]


def test_the_same_table_made_by_two_at_a_time_is_one(stored, monkeypatch) -> None:
    other = stored.write(Table("shop.orders", [ID]), date=DATES[1], task="other")
    mine = stored.write(Table("shop.orders", [TEXT_ID]), date=DATES[2], task="mine")
    overtaken(monkeypatch, "create_table", lambda: put(other), code="")
    drift = put(mine)["drift"]
    assert "snapshots of these columns are in shop_orders_v2" in drift[0]
    assert sorted(stored.partitions("shop_orders")) == [DATES[1]]
    assert sorted(stored.partitions("shop_orders_v2")) == [DATES[2]]


def test_a_newer_snapshot_that_comes_in_between_stands(stored, monkeypatch) -> None:
    put(stored.write(Table("shop.orders"), hour=2, task="first"))
    newest = stored.write(Table("shop.orders"), hour=14, task="newest")
    mine = stored.write(Table("shop.orders"), hour=9, task="mine")
    overtaken(monkeypatch, "update_partition", lambda: put(newest))
    put(mine)
    [partition] = stored.partitions("shop_orders").values()
    assert partition["StorageDescriptor"]["Location"] == location(newest, "shop.orders")


def test_an_older_one_that_writes_over_it_is_written_over(stored, monkeypatch) -> None:
    """UpdatePartition has no condition: whoever wrote looks again."""
    put(stored.write(Table("shop.orders"), hour=2, task="first"))
    older = stored.write(Table("shop.orders"), hour=5, task="older")
    mine = stored.write(Table("shop.orders"), hour=9, task="mine")
    beyond, done = CatalogueHook.call, []

    def call(self, name, /, **arguments):
        answer = beyond(self, name, **arguments)
        if name == "update_partition" and not done:
            done.append(name)
            storage = catalogue.storage([Column("id", "int")], location(older, "shop.orders"))
            stale = {
                "Values": ["2026-06-01"],
                "StorageDescriptor": storage,
                "Parameters": {catalogue.SNAPSHOT_TIME: older["snapshot_time"]},
            }
            where = {"DatabaseName": EXPORT, "TableName": "shop_orders", "PartitionValueList": ["2026-06-01"]}
            beyond(self, name, **where, PartitionInput=stale)
        return answer

    monkeypatch.setattr(CatalogueHook, "call", call)
    put(mine)
    [partition] = stored.partitions("shop_orders").values()
    assert partition["StorageDescriptor"]["Location"] == location(mine, "shop.orders")


def test_others_that_are_first_each_time_are_given_way_to(stored, monkeypatch) -> None:
    put(stored.write(Table("shop.orders", [ID])))
    overtaken(monkeypatch, "update_table", *[lambda: None] * 50)
    with pytest.raises(BusyError, match="ConcurrentModification"):
        CatalogueHook("aws_source", "eu-west-1").change_table(EXPORT, "shop_orders", lambda found: {"Owner": "x"})
    with pytest.raises(TransientError, match="ConcurrentModification"):
        put(stored.write(Table("shop.orders", [ID, SIZE]), date=DATES[1], task="two"))


def test_one_table_that_fails_keeps_no_other_from_being_found(stored, monkeypatch) -> None:
    exported = stored.write(*(Table(f"shop.t{number}") for number in range(5)))
    beyond = CatalogueHook.create_table

    def create_table(self, database, table):
        if table["Name"] == "shop_t3":
            raise PermanentError("glue:create_table shop_t3: no")
        return beyond(self, database, table)

    monkeypatch.setattr(CatalogueHook, "create_table", create_table)
    with pytest.raises(PermanentError, match="- glue:create_table shop_t3: no"):
        put(exported)
    assert sorted(stored.partitions("shop_t4")) == ["2026-06-01"]
    with pytest.raises(ClientError):
        stored.table("shop_t3")


def test_what_glue_refuses_of_a_batch_is_raised(stored, monkeypatch) -> None:
    put(stored.write(Table("shop.orders")))
    hook = CatalogueHook("aws_source", "eu-west-1")
    error = {"PartitionValues": ["x"], "ErrorDetail": {"ErrorCode": "InternalServiceException", "ErrorMessage": "no"}}
    monkeypatch.setattr(CatalogueHook, "call", lambda self, name, /, **_: {"Errors": [error]})
    with pytest.raises(PermanentError, match=r"\['x'\]: InternalServiceException: no; allow glue:BatchDeletePartition"):
        hook.delete_partitions(EXPORT, "shop_orders", [["x"]])
    with pytest.raises(PermanentError, match="allow glue:BatchCreatePartition"):
        hook.require_partition(EXPORT, "shop_orders", {"Values": ["x"]}, stands=bool, same=bool)


# ---- what is over --------------------------------------------------------------------------------------------------


def past(stored: StoredExports, days_ago: int, **more) -> dict:
    """An export that ended some days ago, of a snapshot some days older."""
    ended = datetime.now(UTC) - timedelta(days=days_ago)
    date = (ended - timedelta(days=3)).strftime("%Y-%m-%d")
    return stored.write(Table("shop.orders"), date=date, task=f"task-{date}", ended_at=ended.isoformat(), **more)


def retention(**more) -> dict:
    return {"retention": {"queryable_days": 7, "glacier_after_days": 7, **more}}


def test_partitions_that_athena_has_lost_sight_of_are_dropped_and_no_table(stored, calls) -> None:
    exports = [past(stored, days_ago) for days_ago in (40, 12, 9, 6, 1)]
    for exported in exports:
        put(exported)
    assert len(stored.partitions("shop_orders")) == 5
    found = put(
        stored.write(Table("shop.items"), date="2026-06-01", task="now", ended_at=datetime.now(UTC).isoformat()),
        **retention(),
    )
    assert found["dropped"] == 3
    assert sorted(stored.partitions("shop_orders")) == sorted(one["date"] for one in exports[3:])
    assert stored.table("shop_orders"), "no table is ever deleted"
    assert stored.parts(exports[0], "shop.orders"), "nor an object"
    assert set(calls) & {"glue:DeleteTable", "glue:BatchDeleteTable"} == set()


def test_a_snapshot_of_long_ago_that_was_exported_today_is_readable(stored) -> None:
    exported = stored.write(
        Table("shop.orders"), date="2024-01-31", task="backfill", ended_at=datetime.now(UTC).isoformat()
    )
    assert put(exported, **retention())["dropped"] == 0
    assert sorted(stored.partitions("shop_orders")) == ["2024-01-31"]


def test_partitions_of_others_are_not_dropped(stored) -> None:
    exported = past(stored, 40)
    put(exported)
    storage = stored.partitions("shop_orders")[exported["date"]]["StorageDescriptor"]
    stored.glue.create_partition(
        DatabaseName=EXPORT,
        TableName="shop_orders",
        PartitionInput={"Values": ["2001-01-01"], "StorageDescriptor": storage},
    )
    assert put(past(stored, 1), **retention())["dropped"] == 1
    assert "2001-01-01" in stored.partitions("shop_orders")


def test_they_are_kept_and_warned_of_by_choice(stored) -> None:
    for days_ago in (40, 12):
        put(past(stored, days_ago))
    found = put(past(stored, 1), **retention(archived_partitions="keep"))
    assert found["dropped"] == 0
    assert (
        "2 partitions are listed of which S3 has archived or deleted the objects after 7 days" in found["warnings"][0]
    )
    assert len(stored.partitions("shop_orders")) == 3


def test_many_are_deleted_25_a_call(stored, calls) -> None:
    put(past(stored, 1))
    hook = CatalogueHook("aws_source", "eu-west-1")
    calls.clear()
    hook.delete_partitions(EXPORT, "shop_orders", [[f"x{number}"] for number in range(60)])
    assert calls.count("glue:BatchDeletePartition") == 3


# ---- settings, size ------------------------------------------------------------------------------------------------


def test_database_of_the_settings(stored) -> None:
    found = put(stored.write(Table("shop.orders")), catalogue={"database": "lake"})
    assert found["database"] == "lake"
    assert stored.glue.get_tables(DatabaseName="lake")["TableList"][0]["Name"] == "shop_orders"


def test_a_crawler_s_database_is_left_to_it(stored, calls) -> None:
    with pytest.raises(AirflowSkipException, match="crawler"):
        put(stored.write(Table("shop.orders")), catalogue={"by": "crawler"})
    assert not any(action.startswith("glue:") for action in calls)


def test_skipped_tables_have_none(stored) -> None:
    exported = stored.write(
        Table("shop.orders"),
        Table("shop.a b", rows=(), changes={"status": "SKIPPED"}),
        Table("shop.lob"),
        skipped=["shop.lob"],
    )
    assert put(exported)["tables"] == 1


def test_a_file_that_cannot_be_read_is_named(stored) -> None:
    exported = stored.write(Table("shop.orders"))
    [key] = stored.parts(exported, "shop.orders")
    stored.put(key, b"PAR1")
    with pytest.raises(PermanentError, match=key):
        put(exported)


def test_a_manifest_that_is_not_whole_puts_nothing_there(stored, calls) -> None:
    exported = stored.write(Table("shop.orders"))
    with pytest.raises(VerificationError, match="export_info_other"):
        put({**exported, "task_id": "other"})
    assert not any(action.startswith("glue:") for action in calls)


def test_results_are_small(stored) -> None:
    tables = [Table(f"shop.t{number}", [ID]) for number in range(120)]
    put(stored.write(*tables))
    wider = [Table(one.source, [ID, SIZE]) for one in tables]
    found = put(stored.write(*wider, date=DATES[1], task="two"))
    assert len(found["drift"]) == 51
    assert found["drift"][-1] == "and 70 more"
    assert len(json.dumps(found)) < 5000


def test_two_thousand_tables_take_a_call_or_two_each(stored, calls) -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    about = Snapshot("shop", "arn", moment, DATES[0], "task", moment, "exported", "exports/x/")
    sources = [("shop", f"t{number:04d}") for number in range(2000)]
    wanted = [
        Wanted(f"{one}.{two}", f"{one}/{one}.{two}/", (Column("id", "int"),), has_rows=True) for one, two in sources
    ]
    hook = CatalogueHook("aws_source", "eu-west-1")
    hook.require_database(EXPORT)
    for turn in range(2):
        calls.clear()
        there = hook.list_tables(EXPORT)
        names = catalogue.table_names("shop", sources, [catalogue.known(one) for one in there])
        cataloguer = Cataloguer(hook, EXPORT, about, there, names)
        outcomes = [found.outcome for _, found in each(cataloguer.place, wanted)]
        assert set(outcomes) == {"made" if turn == 0 else "kept"}
        assert len(calls) <= 2 * len(sources) + 25
