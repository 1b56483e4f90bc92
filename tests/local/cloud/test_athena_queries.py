"""The ready queries, asked through Athena's API of the table that the compaction declares."""

from __future__ import annotations

from typing import Any

import pytest
from aurora_ops.core.audit_logs.parquet import COLUMNS, PARTITION

from devstack.settings import REPO
from tests.local.cloud.athena_helpers import Lake
from tests.unit.core.audit_lake import MARCH, QUERIES, write_records

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def lake(cloud, tmp_path_factory) -> Lake:
    made = Lake.make(cloud)
    made.glue.create_database(DatabaseInput={"Name": "audit_logs"})
    made.database = "audit_logs"
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, tmp_path_factory.mktemp("runs"))
    columns = {name: kind for name, kind, _ in COLUMNS}
    made.table("records", columns, {PARTITION[0]: PARTITION[1]})
    for day in sorted(folder.iterdir()):
        for part in day.iterdir():
            made.put(f"records/{day.name}/{part.name}", part.read_bytes())
        made.partition("records", [day.name.removeprefix("day=")], f"records/{day.name}", columns)
    return made


def ask(lake: Lake, name: str, *parameters: str) -> list[dict[str, Any]]:
    text = (REPO / "include" / "sql" / "athena" / f"{name}.sql").read_text()
    number = lake.start(text, *(f"'{one}'" for one in parameters))
    found = lake.ended(number)
    assert found["Status"]["State"] == "SUCCEEDED", found["Status"]
    names, *rows = lake.rows(number)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_who_read_this_table_in_march(lake) -> None:
    found = ask(lake, "table_readers", *MARCH, "shop", "customers")
    assert [(row["user_name"], row["client_host"], row["reads"]) for row in found] == [
        ("ann", "10.0.0.1", "2"),
        ("bob", "10.0.0.9", "1"),
    ]
    assert found[0]["first_read"] == "2026-03-02 09:00:01.000"


def test_who_failed_to_log_in(lake) -> None:
    found = ask(lake, "failed_logins", *MARCH)
    assert [(row["user_name"], row["return_code"], row["failures"]) for row in found] == [("eve", "1045", "2")]


def test_who_was_connected_when(lake) -> None:
    def connected(begin: str, end: str) -> list[tuple[str, bool]]:
        found = ask(lake, "connected", *MARCH, f"2026-{begin}", f"2026-{end}")
        return [(row["user_name"], row["disconnected_at"] is None) for row in found]

    assert connected("03-02 12:00:00", "03-02 12:00:01") == [("ann", False)]
    assert connected("03-02 18:00:00", "03-02 19:00:00") == []
    assert ("bob", True) in connected("03-09 14:00:00", "03-09 15:00:00")
    assert ("cat", True) not in connected("03-09 14:00:00", "03-09 15:00:00")


def test_what_changed_the_schema_in_a_week(lake) -> None:
    found = ask(lake, "schema_changes", "2026-03-02", "2026-03-08")
    assert [row["statement_or_table"] for row in found] == [
        "  /* app */ alter TABLE t ADD c INT",
        "t",
        "CREATE  USER x IDENTIFIED BY *****",
    ]


def test_what_changed_rights(lake) -> None:
    found = ask(lake, "privilege_changes", *MARCH)
    assert [row["statement"] for row in found] == [
        "grant select on shop.* to 'x'@'%'",
        "CREATE  USER x IDENTIFIED BY *****",
    ]


def test_what_a_user_did(lake) -> None:
    found = ask(lake, "user_activity", "2026-03-02", "2026-03-02", "ann")
    assert [row["operation"] for row in found] == ["CONNECT", "READ", "QUERY", "READ", "DISCONNECT"]
    assert found[2]["object"] == "select *\nfrom customers -- it's"


def test_all_of_them_are_asked_here() -> None:
    asked = {"table_readers", "failed_logins", "connected", "schema_changes", "privilege_changes", "user_activity"}
    assert {path.stem for path in QUERIES} == asked
