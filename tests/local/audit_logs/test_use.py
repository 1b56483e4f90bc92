"""What servers really wrote, stored by the backup, becomes records that can be asked; what is done to it is found."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from pymysql.err import Error

from devstack.settings import REPO
from localcloud.names import PRODUCTION, SHARED, STAGING
from tests.local.audit_logs.helpers import BINARY, NASTY, Kept, date_stored, login_of
from tests.local.cloud.databases import until
from tests.local.cloud.rds_helpers import connect
from tests.local.iam.lab import Lab

pytestmark = pytest.mark.local
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
NUMBERED = [f"SELECT 7{number:05}" for number in range(300)]  # other tests have numbers of their own
COMPACT, VERIFY = "audit_log_compact_staging", "audit_log_verify_staging"


@pytest.fixture(scope="module")
def stored(lab: Lab) -> Kept:
    """Statements that are hard on logs, on both kinds of server, all of it stored: yesterday, as the states say."""
    rds, secrets = lab.admin(PRODUCTION, "rds"), lab.admin(PRODUCTION, "secretsmanager")
    cluster = rds.describe_db_clusters(DBClusterIdentifier="prod-shop")["DBClusters"][0]
    single = lab.admin(STAGING, "rds").describe_db_instances(DBInstanceIdentifier="store")["DBInstances"][0]["Endpoint"]
    for host, port, login in (
        (cluster["Endpoint"], cluster["Port"], login_of(cluster, secrets)),
        (single["Address"], single["Port"], {}),
    ):
        with connect(host, port, **login) as connection, connection.cursor() as cursor:
            for statement in [*NASTY, *BINARY, *NUMBERED]:
                try:
                    cursor.execute(statement)
                except Error:
                    continue
    kept = Kept(lab)
    assert until(
        lambda: (
            lab.run("audit_log_backup_staging", {}).state == "success"
            and all_of(kept).count(NUMBERED[-1].encode()) == 2
        )
    )
    date_stored(kept, YESTERDAY)
    return kept


@pytest.fixture(scope="module")
def compacted(lab: Lab, stored: Kept) -> Any:
    """A run of the compaction, under its own policies."""
    run = lab.run(COMPACT, {})
    assert run.state == "success", run.errors
    return run


def all_of(kept: Kept) -> bytes:
    return b"".join(kept.by_file().values())


def rows_of(kept: Kept) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key in sorted(keys_in(kept, "records")):
        found += pq.read_table(io.BytesIO(read(kept, key))).to_pylist()
    return found


def keys_in(kept: Kept, folder: str) -> list[str]:
    every = kept.keys()
    return [key for key in every if f"/{folder}/" in key]


def read(kept: Kept, key: str) -> bytes:
    return bytes(kept.s3.get_object(Bucket=kept.bucket, Key=key)["Body"].read())


def test_every_record_is_a_row_and_none_is_rejected(compacted: Any, stored: Kept) -> None:
    assert compacted.refused == []
    rejects = [gzip.decompress(read(stored, key)) for key in keys_in(stored, "rejects")]
    assert rejects == []
    rows = rows_of(stored)
    assert sum(row["raw_length"] for row in rows) == len(all_of(stored)), "every byte is in a record"
    by_instance: dict[str, list[str]] = {}
    for row in rows:
        if row["operation"] == "QUERY":
            by_instance.setdefault(row["instance"], []).append(row["object"])
    hard = [one for one in by_instance.values() if NUMBERED[-1] in one]
    assert len(hard) == 2, "of both kinds"
    for statements in hard:
        assert [one for one in statements if one in set(NUMBERED)] == NUMBERED, "each once, in order"
        assert any("forged" in one for one in statements)
        assert "SELECT 'it''s', \"double\", 'a,b,c', '\\\\'" in statements
    assert not [row for row in rows if row["user_name"] == "u"], "what is written into a statement is no record"
    assert any(row["raw"] for row in rows), "what is no text is kept as it was"


def test_rows_are_where_they_say(compacted: Any, stored: Kept) -> None:
    files = stored.by_file()
    for row in rows_of(stored)[::29]:
        identity = row["source_key"].split("/")[-2]
        content = files[row["instance"], identity]
        record = content[row["source_offset"] : row["source_offset"] + row["raw_length"]]
        assert record.endswith(b"\n")
        assert f",{row['connection_id']},{row['query_id']},{row['operation']},".encode() in record


@pytest.mark.slow
def test_athena_finds_them(lab: Lab, compacted: Any, stored: Kept) -> None:
    assert {"glue:CreateTable", "glue:BatchCreatePartition"} <= compacted.calls
    athena, days = lab.admin(SHARED, "athena"), (YESTERDAY, YESTERDAY + timedelta(days=2))
    number = athena.start_query_execution(
        QueryString=(REPO / "include" / "sql" / "athena" / "user_activity.sql").read_text(),
        ExecutionParameters=[*(f"'{day:%Y-%m-%d}'" for day in days), "'admin'"],
        ResultConfiguration={"OutputLocation": f"s3://{stored.bucket}/answers"},
    )["QueryExecutionId"]

    def state() -> str:
        return str(athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]["Status"]["State"])

    assert until(lambda: state() not in {"QUEUED", "RUNNING"})
    assert state() == "SUCCEEDED"
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=number)
    rows = [[one.get("VarCharValue") for one in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
    place = rows[0].index("object")
    wanted = [row["object"] for row in rows_of(stored) if row["user_name"] == "admin"]
    assert sorted(str(row[place]) for row in rows[1:]) == sorted(map(str, wanted))
    assert wanted


def test_what_is_stored_is_proven_and_a_planted_corruption_found(lab: Lab, compacted: Any, stored: Kept) -> None:
    whole = lab.run(VERIFY, {})
    assert whole.refused == []
    assert whole.state == "success", whole.errors
    key = sorted(stored.object_keys())[0]
    before = read(stored, key)
    stored.s3.put_object(Bucket=stored.bucket, Key=key, Body=before[:-1] + bytes([before[-1] ^ 1]))
    try:
        assert key in lab.run(VERIFY, {}).error("report_verification")
    finally:
        stored.s3.put_object(Bucket=stored.bucket, Key=key, Body=before)
    assert lab.run(VERIFY, {}).state == "success"
