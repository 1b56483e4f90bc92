"""The ready queries answer what they promise, over the Parquet that is written.

Athena is Trino; DuckDB stands in for it here. What the queries use, both have: parameters by place, windows, ``regexp_extract``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from aurora_ops.core.audit_logs.parquet import COLUMNS, Origin, write_parts
from aurora_ops.core.audit_logs.records import read_all
from aurora_ops.core.audit_logs.sorting import Sorter

from devstack.settings import REPO
from tests.unit.core.audit_samples import Written, aurora

QUERIES = sorted((REPO / "include" / "sql" / "athena").glob("*.sql"))
MARCH = ("2026-03-01", "2026-03-31")


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-{text}+00:00").timestamp()) * 10**6


def event(when: str, operation: bytes, subject: bytes = b"", **fields) -> Written:
    return aurora(at(when), operation=operation, subject=subject, **fields)


EVENTS = [
    event("03-02 09:00:00", b"CONNECT", user=b"ann", connection=7, code=0),
    event("03-02 09:00:01", b"READ", b"customers", user=b"ann", connection=7, query=1, code=None),
    event("03-02 09:00:01", b"QUERY", b"select *\nfrom customers -- it's", user=b"ann", connection=7, query=1),
    event("03-02 10:00:00", b"READ", b"customers", user=b"ann", connection=7, query=2, code=None),
    event("03-02 10:00:02", b"WRITE", b"customers", user=b"dba", code=None),
    event("03-02 10:00:00", b"READ", b"orders", user=b"bob", connection=8, code=None),
    event("03-02 17:00:00", b"DISCONNECT", user=b"ann", connection=7, code=0),
    event("02-28 12:00:00", b"READ", b"customers", user=b"eve", code=None),
    event("03-31 23:59:59", b"READ", b"customers", user=b"bob", host=b"10.0.0.9", code=None),
    event("03-09 13:00:00", b"CONNECT", user=b"bob", connection=8, code=0),
    event("03-09 14:30:00", b"FAILED_CONNECT", user=b"eve", connection=9, code=1045),
    event("03-09 14:30:01", b"DISCONNECT", user=b"eve", connection=9, code=0),
    event("03-09 14:31:00", b"CONNECT", user=b"eve", connection=10, code=1045),
    event("03-10 12:00:00", b"CONNECT", user=b"cat", connection=8, code=0),
    event("03-04 10:00:00", b"QUERY", b"  /* app */ alter TABLE t ADD c INT", user=b"ann"),
    event("03-04 10:00:01", b"ALTER", b"t", user=b"ann", code=None),
    event("03-04 10:00:02", b"QUERY", b"select 'drop table t'", user=b"ann"),
    event("03-04 10:00:03", b"QUERY", b"droplet", user=b"ann", code=1064),
    event("03-05 10:00:00", b"QUERY", b"grant select on shop.* to 'x'@'%'", user=b"dba"),
    event("03-05 10:00:01", b"QUERY", b"CREATE  USER x IDENTIFIED BY *****", user=b"dba"),
    event("03-05 10:00:02", b"QUERY", b"set @a = 1", user=b"dba"),
]


@pytest.fixture(scope="module")
def athena(tmp_path_factory):
    """The table, with its partitions, as the compaction writes it."""
    folder = tmp_path_factory.mktemp("records")
    runs = tmp_path_factory.mktemp("runs")
    sorter = Sorter(runs)
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in read_all(b"".join(one.line(raw_whitespace=True) for one in EVENTS)):
        assert not batch.rejects
        rows = batch.table.append_column("source", pa.repeat(pa.scalar(0, pa.int32()), batch.table.num_rows))
        sorter.add(rows.append_column("sequence", pc.add(rows["offset"], 0)))
    for day in sorter.days():
        place = folder / f"day={day}"
        place.mkdir()
        list(write_parts(sorter.rows(day), place, Origin("222222222222", "eu-west-1", "db-1"), [("key", "shop")]))
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
