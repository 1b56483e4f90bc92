"""The ready queries answer what they promise, over the Parquet that is written.

DuckDB stands in for Athena here; ``tests/local/cloud/test_athena_queries.py`` asks Athena's API of localcloud.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from aurora_ops.core.audit_logs.parquet import COLUMNS

from devstack.settings import REPO
from tests.unit.core.audit_lake import MARCH, QUERIES, write_records


@pytest.fixture(scope="module")
def athena(tmp_path_factory):
    """The table, with its partitions, as the compaction writes it."""
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, tmp_path_factory.mktemp("runs"))
    found = duckdb.connect()
    found.execute("SET TimeZone = 'UTC'")
    found.execute("CREATE SCHEMA audit_logs")
    found.execute(
        f"CREATE VIEW audit_logs.records AS SELECT * FROM read_parquet('{folder}/*/*.parquet', "
        f"hive_partitioning = true, hive_types = {{'day': VARCHAR}})"
    )
    return found


def ask(athena, name: str, *parameters: str) -> list[dict]:
    text = (REPO / "include" / "sql" / "athena" / f"{name}.sql").read_text()
    found = athena.execute(text, list(parameters))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_the_table_has_the_columns_that_are_declared(athena) -> None:
    kinds = {
        "timestamp": "TIMESTAMP WITH TIME ZONE",
        "bigint": "BIGINT",
        "int": "INTEGER",
        "string": "VARCHAR",
        "binary": "BLOB",
    }
    found = {row[0]: row[1] for row in athena.execute("DESCRIBE audit_logs.records").fetchall()}
    assert found == {name: kinds[kind] for name, kind, _ in COLUMNS} | {"day": "VARCHAR"}


def test_who_read_this_table_in_march(athena) -> None:
    found = ask(athena, "table_readers", *MARCH, "shop", "customers")
    assert [(row["user_name"], row["client_host"], row["reads"]) for row in found] == [
        ("ann", "10.0.0.1", 2),
        ("bob", "10.0.0.9", 1),
    ]
    assert found[0]["first_read"] == datetime(2026, 3, 2, 9, 0, 1, tzinfo=UTC)


def test_who_failed_to_log_in(athena) -> None:
    found = ask(athena, "failed_logins", *MARCH)
    assert [(row["user_name"], row["return_code"], row["failures"]) for row in found] == [("eve", 1045, 2)]


def test_who_was_connected_when(athena) -> None:
    def connected(begin: str, end: str) -> list[tuple[str, bool]]:
        found = ask(athena, "connected", *MARCH, f"2026-{begin}", f"2026-{end}")
        return [(row["user_name"], row["disconnected_at"] is None) for row in found]

    assert connected("03-02 12:00:00", "03-02 12:00:01") == [("ann", False)]
    assert connected("03-02 18:00:00", "03-02 19:00:00") == []
    assert ("bob", True) in connected("03-09 14:00:00", "03-09 15:00:00")
    assert ("cat", True) not in connected("03-09 14:00:00", "03-09 15:00:00")


def test_what_changed_the_schema_in_a_week(athena) -> None:
    found = ask(athena, "schema_changes", "2026-03-02", "2026-03-08")
    assert [row["statement_or_table"] for row in found] == [
        "  /* app */ alter TABLE t ADD c INT",
        "t",
        "CREATE  USER x IDENTIFIED BY *****",
    ]


def test_what_changed_rights(athena) -> None:
    found = ask(athena, "privilege_changes", *MARCH)
    assert [row["statement"] for row in found] == [
        "grant select on shop.* to 'x'@'%'",
        "CREATE  USER x IDENTIFIED BY *****",
    ]


def test_what_a_user_did(athena) -> None:
    found = ask(athena, "user_activity", "2026-03-02", "2026-03-02", "ann")
    assert [row["operation"] for row in found] == ["CONNECT", "READ", "QUERY", "READ", "DISCONNECT"]
    assert found[2]["object"] == "select *\nfrom customers -- it's"


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_each_query_says_what_it_is_for_and_reads_named_days_only(path: Path) -> None:
    text = path.read_text()
    head = [line for line in text.splitlines() if line.startswith("--")]
    assert head[0].endswith((".", "?"))
    assert "first day, last day" in "\n".join(head)
    assert re.search(r"FROM audit_logs\.records\s+WHERE day BETWEEN \? AND \?", text), "only those days are paid for"
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    described = sum(len(re.split(r",(?! such)", line[2:29])) for line in head if re.match(r"--   \S", line))
    assert len(re.findall(r"\?(?![i:])", code)) == described
