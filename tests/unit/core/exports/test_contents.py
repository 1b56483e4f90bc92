"""Each object is of one table, and what is missing, unfinished or unknown is said, each table by its name."""

from __future__ import annotations

import pytest
from aurora_ops.core.exports import contents
from aurora_ops.core.exports.contents import Contents, Folder
from aurora_ops.core.exports.manifest import TableStatus
from hypothesis import given
from hypothesis import strategies as st

PATH = "exports/db=shop/snapshot_date=2026-06-01/x/"
names = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


def stored(*keys: str) -> Contents:
    found = Contents(PATH)
    for key in keys:
        found.add(f"{PATH}{key}", 0 if key.endswith("_SUCCESS") else 10)
    return found


def whole(database: str, table: str, batch: str = "1/") -> list[str]:
    folder = f"{contents.in_key(database)}/{contents.in_key(database)}.{contents.in_key(table)}/{batch}"
    return [f"{folder}part-00000-u-c000.gz.parquet", f"{folder}part-00007-u-c000.gz.parquet", f"{folder}_SUCCESS"]


def complete(target: str, **more) -> TableStatus:
    return TableStatus(target, **{"status": "COMPLETE", "size_gb": 0.1, **more})


def problems(statuses: list[TableStatus], found: Contents, **more) -> list[str]:
    return contents.problems(contents.assign(statuses, found), found, **more)


@pytest.mark.parametrize("batch", ["1/", "27/", ""], ids=["first", "any", "older layout"])
def test_a_whole_table_has_nothing_wrong(batch) -> None:
    found = stored(*whole("shop", "orders", batch), "export_info_x.json", "export_tables_info_x_from_1_to_1.json")
    assert problems([complete("shop.orders")], found) == []
    [table] = contents.assign([complete("shop.orders")], found)
    assert (table.database, table.table, table.files.size, len(table.files.parts)) == ("shop", "orders", 20, 2)
    assert len(found.manifests) == 2


def test_a_path_ends_with_a_slash_so_that_x_is_not_x1() -> None:
    with pytest.raises(ValueError, match="slash"):
        Contents(PATH.rstrip("/"))


@given(database=names, table=names, doubled=st.booleans())
def test_tables_of_any_name_are_found(database, table, doubled) -> None:
    target = f"{database}.{database}.{table}" if doubled else f"{database}.{table}"
    found = stored(*whole(database, table))
    [one] = contents.assign([complete(target)], found)
    assert (one.database, one.table) == (database, table)
    assert problems([complete(target)], found) == []


def test_a_table_with_a_dot_is_not_taken_for_the_long_form() -> None:
    found = stored(*whole("shop", "orders"), *whole("shop", "shop.orders"))
    tables = contents.assign([complete("shop.orders"), complete("shop.shop.orders")], found)
    assert [(one.database, one.table) for one in tables] == [("shop", "orders"), ("shop", "shop.orders")]
    assert [one.folder.name for one in tables] == ["shop.orders", "shop.shop.orders"]


def test_a_database_with_a_dot_is_known_by_its_folder() -> None:
    [one] = contents.assign([complete("a.b.c")], stored(*whole("a.b", "c")))
    assert (one.database, one.table) == ("a.b", "c")


def test_a_table_without_rows_has_no_files_and_that_is_well() -> None:
    assert problems([complete("shop.empty", size_gb=0.0), complete("shop.e2", size_gb=None)], stored()) == []


@pytest.mark.parametrize(
    ("status", "keys", "says"),
    [
        (complete("shop.orders"), [], "shop.orders: it has no files, but the manifest says that 0.1 GB"),
        (complete("shop.orders", status="FAILED"), whole("shop", "orders"), "shop.orders: its status is FAILED"),
        (complete("shop.orders", pieces=(3, 4)), whole("shop", "orders"), "shop.orders: 3 of 4 pieces"),
        (complete("shop.orders"), whole("shop", "orders")[:2], "shop.orders: batch 1 has no _SUCCESS"),
        (complete("shop.orders"), whole("shop", "orders", "")[:2], "shop.orders: its folder has no _SUCCESS"),
    ],
)
def test_what_is_not_whole_is_named(status, keys, says) -> None:
    [text] = problems([status], stored(*keys))
    assert says in text


def test_one_batch_of_several_without_success_is_named() -> None:
    found = stored(*whole("shop", "orders"), *whole("shop", "orders", "2/")[:1], *whole("shop", "orders", "3/"))
    assert problems([complete("shop.orders")], found) == ["shop.orders: batch 2 has no _SUCCESS"]


def test_what_the_manifest_does_not_know_is_named() -> None:
    found = stored(*whole("shop", "orders"), *whole("shop", "secrets"), "shop/notes.txt", "readme")
    known, strange = problems([complete("shop.orders")], found)
    assert "shop.secrets: there are 2 files" in known
    assert "2 objects are of no table" in strange


def test_strange_keys_are_bounded() -> None:
    found = stored(*(f"x{number}" for number in range(1000)))
    assert (len(found.strange), found.others) == (contents.MOST_STRANGE, 1000)


def test_two_tables_in_one_folder_cannot_be_told_apart() -> None:
    found = stored(*whole("shop", "a b"))
    [text] = problems([complete("shop.a b"), complete("shop.a_b")], found)
    assert "shop.a b and shop.a_b" in text


def test_skipped_tables_are_listed_and_no_failure() -> None:
    statuses = [complete("shop.orders"), TableStatus("shop.a b", "SKIPPED", "COLUMN"), TableStatus("mysql", "SKIPPED")]
    found = stored(*whole("shop", "orders"))
    tables = contents.assign(statuses, found)
    assert contents.problems(tables, found, left_out=["shop.lob"]) == []
    assert contents.skipped(tables, ["shop.lob"]) == ["shop.a b", "shop.lob"]


def test_skipped_tables_are_known_by_their_long_form() -> None:
    found = stored(*whole("shop", "orders"), *whole("shop", "lob")[:1])
    tables = contents.assign([complete("shop.shop.orders"), complete("shop.shop.lob")], found)
    assert contents.skipped(tables, ["shop.shop.lob"]) == ["shop.lob"]
    assert contents.problems(tables, found, left_out=["shop.shop.lob"]) == []


@pytest.mark.parametrize("named", ["shop.a b", "shop.orderz", "crm", "shop.lob"])
def test_what_export_only_names_must_be_there(named) -> None:
    statuses = [complete("shop.orders"), complete("shop.lob"), TableStatus("shop.a b", "SKIPPED", "COLUMN")]
    found = stored(*whole("shop", "orders"), *whole("shop", "lob"))
    asked = {"export_only": ["shop.orders", "shop", named], "left_out": ["shop.lob"]}
    assert problems(statuses, found, **asked) == [f"{named}: export_only names it, but it was not exported"]


def test_least_rows() -> None:
    assert contents.fewer({"a.b": 5, "a.c": 4}, {"a.b": 5, "a.c": 5, "a.d": 0}) == [
        "a.c: it has 4 rows, least_rows says 5",
        "a.d: it was not exported, least_rows says 0 rows",
    ]


def test_a_folder_s_own_object_is_nothing() -> None:
    found = Contents(PATH)
    for key in ("shop/", "shop/shop.orders/", "shop/shop.orders/1/"):
        found.add(f"{PATH}{key}", 0)
    assert (found.folders, found.others) == ({}, 0)


def test_keys_of_folders() -> None:
    assert Folder("shop", "shop.orders").key == "shop/shop.orders/"
