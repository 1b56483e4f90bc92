"""A day's logs become records that can be asked, all of them, once; what is no record is kept aside; what is told agrees."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import yaml
from aurora_ops.core.audit_logs import parquet, sorting
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.operators.log_compaction import (
    AnnounceLogCompactionOperator,
    CompactLogsOperator,
    PlanLogCompactionOperator,
    PublishLogTableOperator,
)

from tests.unit.core.audit_samples import aurora
from tests.unit.core.samples import raw
from tests.unit.operators.driver import context
from tests.unit.operators.stored_logs import ACCOUNT, BUCKET, HOME, REGION, SETTINGS, TABLE, StoredLogs

DAY = "2026-06-01"
NOON_US = int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()) * 10**6
DAY_US = 86_400 * 10**6
ONE = {"account_id": ACCOUNT, "region": REGION, "instance": "db-1"}
MANIFEST = f"audit-records/manifests/day={DAY}/{ACCOUNT}-{REGION}-db-1.json"
REJECTS = f"audit-records/rejects/day={DAY}/{ACCOUNT}-{REGION}-db-1.jsonl.gz"
SETUP = {"s3:CreateBucket", "s3:PutBucketVersioning", "dynamodb:CreateTable", "dynamodb:PutItem", "s3:ListBucket"}


@pytest.fixture
def logs(aws_session) -> StoredLogs:
    return StoredLogs(aws_session)


@pytest.fixture
def path(tmp_path):
    content = raw()
    content["audit_logs"] = SETTINGS
    file = tmp_path / "staging.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def run_of(**changes) -> dict:
    ctx = context()
    ctx["dag_run"] = SimpleNamespace(**{**vars(ctx["dag_run"]), **changes})
    return ctx


def compact(day: str = DAY, *instances: dict, **changes) -> dict:
    task = CompactLogsOperator(
        task_id="t", settings={**SETTINGS, **changes}, day=day, instances=list(instances) or [ONE], **HOME
    )
    return task.execute(context())


def table(logs: StoredLogs, key: str) -> list[dict]:
    return pq.read_table(io.BytesIO(logs.read(key))).to_pylist()


def lines(*offsets_us: int, **fields) -> bytes:
    return b"".join(aurora(NOON_US + at, query=abs(at), **fields).line() for at in offsets_us)


def key_of(happened: str, stored: str = DAY, number: int = 0) -> str:
    return f"audit-records/records/day={happened}/{ACCOUNT}-{REGION}-db-1-{stored}-{number:03d}.parquet"


# ---- plan ----------------------------------------------------------------------------------------------------------


def plan(path, **changes) -> dict:
    return PlanLogCompactionOperator(task_id="t", path=str(path), **HOME).execute(run_of(**changes))


def test_the_day_of_a_scheduled_run_is_that_of_its_interval(logs, path) -> None:
    logs.store([lines(1)])
    found = plan(path, run_type="scheduled", data_interval_start=datetime(2026, 6, 1, 4, tzinfo=UTC))
    assert found["day"] == DAY
    assert found["batches"] == [{"day": DAY, "instances": [ONE]}]
    assert (found["instances"], found["objects"], found["bytes"]) == (1, 1, len(lines(1)))


def test_by_hand_it_is_yesterday_or_the_day_that_is_named(logs, path) -> None:
    assert plan(path)["day"] == "2026-06-30"
    assert plan(path, conf={"day": DAY})["day"] == DAY


def test_instances_without_anything_of_the_day_are_left_out(logs, path) -> None:
    logs.store([lines(1)], at=datetime(2026, 5, 1, tzinfo=UTC))
    logs.store([lines(1)], instance="db-2", status="growing", at=datetime(2026, 5, 1, tzinfo=UTC))
    [batch] = plan(path, conf={"day": DAY})["batches"]
    assert [one["instance"] for one in batch["instances"]] == ["db-2"], "more is to come of it: it has a manifest"


@pytest.mark.parametrize(
    ("conf", "message"),
    [({"day": "tomorrow"}, "day: 'tomorrow'"), ({"days": 1}, "known run parameters"), ({"day": "2999-01-01"}, "ended")],
)
def test_wrong_parameters_are_refused(logs, path, conf, message) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(path, conf=conf)


# ---- records -------------------------------------------------------------------------------------------------------


def test_records_of_four_files_come_out_in_order_each_once(logs, calls) -> None:
    offsets = [list(range(stripe, 400, 4)) for stripe in range(4)]
    for stripe, mine in enumerate(offsets):
        identity = f"audit~audit.log.{stripe}.2026-06-01-00-00.0"
        half = len(mine) // 2
        logs.store(
            [lines(*reversed(mine[:half])), lines(*mine[half:])],
            identity=identity,
            compression=["zstd", "gzip", "none", "zstd"][stripe],
        )
    found = compact()
    assert (found["records"], found["objects"], found["rejected"]) == (400, 8, 0)
    rows = table(logs, key_of(DAY))
    assert [row["query_id"] for row in rows] == list(range(400))
    assert [row["event_us"] - NOON_US for row in rows] == list(range(400))
    assert {row["cluster"] for row in rows} == {"shop"}
    for row in rows[::37]:
        begin = int(row["source_key"].rsplit("/", 1)[1].split("-")[0])
        assert row["source_offset"] >= begin, "it can be found where it says"


def test_records_are_kept_by_the_day_they_happened(logs) -> None:
    """Stored after midnight, or caught up with."""
    logs.store([lines(-DAY_US, -20 * DAY_US, 0)])
    assert compact()["days"] == ["2026-05-12", "2026-05-31", DAY]
    assert [row["event_us"] - NOON_US for row in table(logs, key_of("2026-05-31"))] == [-DAY_US]


def test_of_one_second_the_order_in_the_log_counts(logs) -> None:
    second = b"20260601 12:00:00"
    content = b"".join(aurora(query=n).line().replace(b"1603439251360772", second) for n in (5, 3, 4))
    logs.store([content], identity="server_audit-b")
    older = aurora(query=9).line().replace(b"1603439251360772", second)
    logs.store([older], identity="server_audit-a", first_seen="2026-06-01T01:00:00+00:00")
    compact()
    assert [row["query_id"] for row in table(logs, key_of(DAY))] == [5, 3, 4, 9]


def test_an_object_counts_on_the_day_it_was_stored_only(logs) -> None:
    logs.store([lines(1), lines(2)], at=[datetime(2026, 6, 1, 23, tzinfo=UTC), datetime(2026, 6, 2, 1, tzinfo=UTC)])
    assert compact()["records"] == 1
    assert compact("2026-06-02")["records"] == 1
    assert [row["query_id"] for row in table(logs, key_of(DAY))] == [1]
    assert [row["query_id"] for row in table(logs, key_of(DAY, "2026-06-02"))] == [2]


def test_a_record_over_two_objects_is_read_whole(logs) -> None:
    data = lines(1, 2, 3)
    keys = logs.store([data[:130], data[130:]])
    assert compact()["rejected"] == 0
    rows = table(logs, key_of(DAY))
    assert [row["query_id"] for row in rows] == [1, 2, 3]
    assert [row["source_key"] for row in rows] == [keys[0], keys[0], keys[1]]


def test_more_than_memory_holds(logs, monkeypatch) -> None:
    monkeypatch.setattr(sorting, "_RUN_BYTES", 20_000)
    monkeypatch.setattr("aurora_ops.operators.log_records.Sorter", lambda folder: sorting.Sorter(folder, 20_000, 50))
    monkeypatch.setattr(parquet.write_parts, "__kwdefaults__", {"most_rows": 700})
    numbers = [n * 7919 % 2000 for n in range(2000)]
    logs.store([lines(*numbers)])
    compact()
    found = [row["query_id"] for number in range(3) for row in table(logs, key_of(DAY, number=number))]
    assert found == sorted(numbers)


def test_a_further_run_writes_the_same_and_nothing_beside(logs) -> None:
    logs.store([lines(1, 2), b"junk\n"])
    first = compact()
    before = {key: logs.read(key) for key in logs.listed() if key != MANIFEST}
    versions = logs.s3.list_object_versions(Bucket=BUCKET, Prefix="audit-records/records/")["Versions"]
    assert compact() == first
    assert {key: logs.read(key) for key in logs.listed() if key != MANIFEST} == before
    again = logs.s3.list_object_versions(Bucket=BUCKET, Prefix="audit-records/records/")["Versions"]
    assert len(again) == len(versions), "what is the same is not written again"


def test_what_an_earlier_run_has_written_beyond_is_taken_away(logs) -> None:
    logs.store([lines(1) + b"junk\n"])
    compact()
    told = json.loads(logs.read(MANIFEST))
    told["parquet"].append({"key": key_of("2026-05-01"), "rows": 1, "sha256": "x", "day": "2026-05-01"})
    for key, body in ((MANIFEST, json.dumps(told).encode()), (key_of("2026-05-01"), b"old")):
        logs.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    compact()
    assert key_of("2026-05-01") not in logs.listed()
    assert {key_of(DAY), REJECTS, MANIFEST} == set(logs.listed())


# ---- what is no record, what does not agree ------------------------------------------------------------------------


def test_lines_that_are_no_records_are_kept_aside_with_the_reason(logs) -> None:
    [key] = logs.store([lines(1) + b"junk\n" + lines(2) + b"\xff\n"])
    found = compact()
    assert (found["records"], found["rejected"]) == (2, 2)
    text, binary = (json.loads(line) for line in gzip.decompress(logs.read(REJECTS)).splitlines())
    assert (text["text"], text["source_key"], text["source_offset"]) == ("junk\n", key, len(lines(1)))
    assert text["reason"]
    assert binary["base64"] == "/wo="
    assert any(REJECTS in worry for worry in found["worries"])


def test_an_object_that_is_not_as_it_was_stored_stops_its_instance_only(logs) -> None:
    [key] = logs.store([lines(1)])
    logs.store([lines(1)], instance="db-2")
    logs.s3.put_object(Bucket=BUCKET, Key=key, Body=logs.read(key.replace("db-1", "db-2"))[:-1] + b"x")
    with pytest.raises(PermanentError, match=rf"{key}.*not as it was"):
        compact(DAY, ONE, {**ONE, "instance": "db-2"})
    assert [name for name in logs.listed() if "db-1" in name] == []
    assert [name for name in logs.listed() if "db-2" in name]


def test_other_content_of_the_same_length_is_noticed(logs) -> None:
    [key] = logs.store([lines(1)], compression="none")
    logs.s3.put_object(Bucket=BUCKET, Key=key, Body=lines(2))
    with pytest.raises(PermanentError, match="SHA-256"):
        compact()


def test_what_is_written_must_be_what_was_read(logs, monkeypatch) -> None:
    logs.store([lines(1, 2)])
    rows = sorting.Sorter.rows
    monkeypatch.setattr(sorting.Sorter, "rows", lambda self, day: (one.slice(1) for one in rows(self, day)))
    with pytest.raises(PermanentError, match="2 records were stored or read, but 1"):
        compact()


# ---- manifest ------------------------------------------------------------------------------------------------------


def test_manifest_says_what_was_offered_stored_and_read(logs, calls) -> None:
    logs.store([lines(1), lines(2, 3)], size=5000, status="growing")
    logs.store([lines(4, operation=b"CONNECT", subject=b"")], identity="audit~b")
    logs.store([], identity="audit~c", status="lost", size=70)
    compact()
    told = json.loads(logs.read(MANIFEST))
    size = len(lines(1, 2, 3, 4, operation=b"CONNECT", subject=b"")) + 3 * len(b"QUERYselect 1''") - 3 * len(b"CONNECT")
    assert (told["offered"], told["stored"]) == (5000 + size - len(lines(1, 2, 3)) + 70, size)
    assert (told["objects"], told["bytes"]) == (3, size)
    assert told["records"] == {"CONNECT": 1, "QUERY": 3}
    assert told["files"] == {"growing": 1, "complete": 1, "lost": 1}
    assert (told["gaps"], told["duplicates"], told["chain_ok"], told["rejected"]) == ([], 0, True, {})
    assert [one["key"] for one in told["parquet"]] == [key_of(DAY)]
    assert len(told["heads"]) == 2
    item = logs.item(f"manifest#{ACCOUNT}#{REGION}#db-1", f"day#{DAY}")
    assert {name: item[name] for name in ("offered", "stored", "objects", "gaps", "rejected")} == {
        "offered": told["offered"],
        "stored": size,
        "objects": 3,
        "gaps": 0,
        "rejected": 0,
    }
    assert item["records"] == told["records"]
    assert item["key"] == MANIFEST


def test_gaps_duplicates_and_breaks_are_told(logs) -> None:
    keys = logs.store([lines(1), lines(2), lines(3)], identity="a")
    pk, size = f"logs#{ACCOUNT}#{REGION}#db-1", len(lines(1))
    logs.states.call("delete_item", TableName=TABLE, Key={"pk": {"S": pk}, "sk": {"S": f"object#a#{size:015d}"}})
    found = compact()
    told = json.loads(logs.read(MANIFEST))
    assert told["gaps"] == [{"file": "a", "begin": size, "end": 2 * size}]
    assert told["broken"] == [keys[2]]
    assert told["chain_ok"] is False
    assert any(f"{size} bytes before" in worry for worry in found["worries"])


# ---- table, announcement -------------------------------------------------------------------------------------------


def published(*days: str) -> dict:
    ctx = context()
    ctx["ti"].xcoms["compact", "return_value"] = [{"days": list(days), "worries": []}]
    about = {"database": "audit_logs", "table": "records", "bucket": BUCKET, "prefix": "audit-records"}
    return PublishLogTableOperator(task_id="t", **about, compact_task="compact", **HOME).execute(ctx)


def test_athena_finds_database_table_and_partitions(logs) -> None:
    assert published(DAY) == {"table": "made", "partitions": 1}
    assert published(DAY, "2026-06-02") == {"table": "kept", "partitions": 1}
    found = logs.glue.get_partitions(DatabaseName="audit_logs", TableName="records")["Partitions"]
    where = {one["Values"][0]: one["StorageDescriptor"]["Location"] for one in found}
    assert where == {day: f"s3://{BUCKET}/audit-records/records/day={day}/" for day in (DAY, "2026-06-02")}


def test_a_table_of_other_columns_is_changed(logs) -> None:
    published()
    about = logs.glue.get_table(DatabaseName="audit_logs", Name="records")["Table"]
    less = {**about["StorageDescriptor"], "Columns": about["StorageDescriptor"]["Columns"][1:]}
    logs.glue.update_table(
        DatabaseName="audit_logs",
        TableInput={"Name": "records", "StorageDescriptor": less, "PartitionKeys": about["PartitionKeys"]},
    )
    assert published() == {"table": "changed", "partitions": 0}
    assert published()["table"] == "kept"


def test_worries_are_announced_and_nothing_else(home) -> None:
    def announced(*worries: str) -> bool:
        ctx = context()
        ctx["ti"].xcoms["compact", "return_value"] = [{"days": [], "worries": list(worries)}]
        about = {"environment": "staging", "topic_arn": home.topic_arn, "compact_task": "compact"}
        return AnnounceLogCompactionOperator(task_id="t", **about, **HOME).execute(ctx)["announced"]

    assert announced() is False
    assert home.heard() == []
    assert announced("db-1: 2 files are lost") is True
    [message] = home.heard()
    assert "1 things to look at" in message["Subject"]
    assert "2 files are lost" in message["Message"]


def test_only_what_is_declared_is_called(rds, aws_session, calls) -> None:
    logs = StoredLogs(aws_session)
    logs.store([lines(1) + b"junk\n"])
    compact()
    logs.s3.put_object(
        Bucket=BUCKET, Key=MANIFEST, Body=logs.read(MANIFEST).replace(b"2026-06-01-000", b"2026-06-01-009")
    )
    calls.clear()
    compact()
    renamed = {"s3:HeadObject": "s3:GetObject"}
    # uploads that fail are not played here; moto tells everybody that an object is not there, and asks for no key
    unseen = {"s3:AbortMultipartUpload", "s3:ListBucket", "kms:Decrypt"}
    assert {renamed.get(action, action) for action in calls} == set(CompactLogsOperator.permissions) - unseen
    calls.clear()
    published(DAY)
    published(DAY)
    assert set(calls) <= set(PublishLogTableOperator.permissions)
