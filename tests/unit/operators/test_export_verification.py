"""An export is whole only if every object of every table is there, readable and encrypted as it must be; each table is named."""

from __future__ import annotations

import json
import tracemalloc

import pyarrow as pa
import pytest
from aurora_ops.core.errors import ConfigError, MissingError, TransientError, VerificationError
from aurora_ops.core.exports import footers
from aurora_ops.hooks.buckets import Stored
from aurora_ops.operators.export_verification import READS, VerifyExportOperator

from tests.unit.operators.driver import context
from tests.unit.operators.stored_exports import (
    ACCOUNTS,
    BUCKET,
    HOME,
    ORDERS,
    StoredExports,
    Table,
    entry,
    parquet,
    settings,
)

ITEMS = [("id", "bigint", pa.int64()), ("name", "varchar", pa.string())]


@pytest.fixture
def stored(rds, aws_session) -> StoredExports:
    return StoredExports(aws_session)


def verify(exported: dict, report_bucket: str | None = None, **changes) -> dict:
    task = VerifyExportOperator(
        task_id="verify_export",
        settings=settings(**changes),
        accounts=ACCOUNTS,
        exported=exported,
        report_bucket=report_bucket,
        **HOME,
    )
    return task.execute(context())


def refusal(exported: dict, **changes) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(exported, **changes)
    return str(caught.value)


def test_what_is_whole_is_counted(stored, calls) -> None:
    exported = stored.write(
        Table("shop.orders", rows=(3, 4, 5), batches=2), Table("shop.items", ITEMS, (1,)), Table("shop.none", rows=())
    )
    size = sum(len(stored.read(key)) for key in stored.keys(exported["path"]) if key.endswith(".parquet"))
    calls.clear()
    found = verify(exported)
    assert found == {
        "tables": 3,
        "rows": 13,
        "bytes": size,
        "files": 4,
        "empty": ["shop.none"],
        "skipped": [],
        "warnings": [],
        "largest": {"shop.orders": 12, "shop.items": 1},
        "report": None,
    }
    assert set(calls) - {"kms:Decrypt"} <= set(READS)
    assert calls.mutating == []


def test_the_whole_list_is_in_the_report(stored, home) -> None:
    exported = stored.write(Table("shop.orders", rows=(3,)), Table("shop.none", rows=()))
    found = verify(exported, report_bucket="reports")
    key = found["report"].removeprefix("s3://reports/")
    assert key == "aurora-ops/staging/2026/07/01/manual__1/export-task.json"
    kind, content = home.stored(key)
    assert kind == "application/json"
    told = json.loads(content)
    assert (told["problems"], told["run"], told["date"]) == ([], "refresh_staging/manual__1", "2026-06-01")
    [none, orders] = told["tables"]
    assert (none["table"], none["rows"], none["files"]) == ("shop.none", 0, 0)
    assert (orders["rows"], orders["batches"], orders["folder"]) == (3, 1, "shop/shop.orders/")
    assert orders["columns"] == [["id", "int"], ["total", "decimal(10,2)"], ["note", "string"]]


def test_a_report_is_written_of_what_is_not_whole_too(stored, home) -> None:
    exported = stored.write(Table("shop.orders", changes={"status": "FAILED"}))
    with pytest.raises(VerificationError, match=r"s3://reports/aurora-ops/.*export-task\.json"):
        verify(exported, report_bucket="reports")
    told = json.loads(home.stored("aurora-ops/staging/2026/07/01/manual__1/export-task.json")[1])
    assert told["problems"] == ["shop.orders: its status is FAILED"]


@pytest.mark.parametrize(
    "left", [0, 1, 3, 100, -1, -9], ids=["empty", "1 byte", "3 bytes", "100 bytes", "all but 1", "footer"]
)
def test_a_file_that_was_cut_off_fails_and_is_named(stored, left) -> None:
    exported = stored.write(Table("shop.orders", rows=(900, 900)), Table("shop.items", ITEMS))
    key = stored.parts(exported, "shop.orders")[1]
    stored.put(key, stored.read(key)[:left])
    text = refusal(exported)
    assert key in text
    assert "\n- shop.orders: " in text
    assert "shop.items" not in text


def test_only_the_end_of_a_file_is_read(stored, monkeypatch) -> None:
    wide = [(f"column_{number:03d}_{'x' * 60}", "int", pa.int32()) for number in range(600)]
    exported = stored.write(Table("shop.wide", wide, (2,)), Table("shop.orders"))
    asked = []
    beyond = VerifyExportOperator.hook_class._tail

    def tail(self, bucket, part, length):
        content = beyond(self, bucket, part, length)
        asked.append((part.size, length, len(content[0])))
        return content

    monkeypatch.setattr(VerifyExportOperator.hook_class, "_tail", tail)
    assert verify(exported)["rows"] == 4
    sizes = sorted(asked)
    assert len(sizes) == 3, "once more where the footer is longer than what is read at first"
    assert all(length == footers.TAIL_BYTES for _, length, _ in sizes[:2])
    assert sizes[2][1] > footers.TAIL_BYTES
    assert all(read <= max(length, 0) for _, length, read in sizes)


def test_an_object_that_changed_since_it_was_listed_is_named(stored, monkeypatch) -> None:
    exported = stored.write(Table("shop.orders", rows=(3,)))
    [key] = stored.parts(exported, "shop.orders")
    beyond = VerifyExportOperator.hook_class.contents

    def contents(self, bucket, path):
        found = beyond(self, bucket, path)
        stored.put(key, parquet(ORDERS, 50))
        return found

    monkeypatch.setattr(VerifyExportOperator.hook_class, "contents", contents)
    assert "were listed" in refusal(exported)


def test_an_object_that_has_gone_is_named(stored, monkeypatch) -> None:
    exported = stored.write(Table("shop.orders", rows=(3,)))
    [key] = stored.parts(exported, "shop.orders")
    beyond = VerifyExportOperator.hook_class.contents

    def contents(self, bucket, path):
        found = beyond(self, bucket, path)
        stored.s3.delete_object(Bucket=BUCKET, Key=key)
        return found

    monkeypatch.setattr(VerifyExportOperator.hook_class, "contents", contents)
    assert key in refusal(exported)


def test_everything_wrong_is_told_at_once(stored) -> None:
    exported = stored.write(
        Table("shop.a", changes={"status": "FAILED"}),
        Table("shop.b"),
        Table("shop.c", rows=(), changes={"sizeGB": 3.5}),
        Table("shop.d"),
        Table("shop.e", rows=(2, 2)),
        Table("shop.g"),
    )
    stored.s3.delete_object(Bucket=BUCKET, Key=f"{exported['path']}shop/shop.b/1/_SUCCESS")
    stored.put(f"{exported['path']}shop/shop.x/1/part-00000-x.gz.parquet", parquet(ORDERS, 1))
    stored.put(stored.parts(exported, "shop.d")[0], b"PAR1")
    stored.put(stored.parts(exported, "shop.e")[1], parquet(ITEMS, 1))
    text = refusal(exported, export_only=["shop", "shop.f"], least_rows={"shop.g": 3, "shop.h": 0})
    assert [line.split(":")[0] for line in text.splitlines()[1:]] == [
        "- shop.a",
        "- shop.b",
        "- shop.c",
        "- shop.x",
        "- shop.f",
        "- shop.d",
        "- shop.e",
        "- shop.g",
        "- shop.h",
    ]
    assert "other columns than the table's other files" in text


def test_what_is_told_is_bounded(stored) -> None:
    exported = stored.write(*(Table(f"shop.t{number}", rows=(), changes={"status": "FAILED"}) for number in range(200)))
    text = refusal(exported)
    assert len(text.splitlines()) == 22
    assert text.endswith("- and 180 more")
    assert len(text) < 3000


def test_skipped_tables_are_listed_and_no_failure(stored) -> None:
    exported = stored.write(
        Table("shop.orders"), Table("shop.a b", rows=(), changes={"status": "SKIPPED", "warningMessage": "COLUMN"}),
        skipped=["shop.lob"],
    )  # fmt: skip
    found = verify(exported)
    assert (found["tables"], found["skipped"]) == (1, ["shop.a b", "shop.lob"])
    assert "shop.lob: export_only names it" in refusal(exported, export_only=["shop.lob"])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": None}, "is encrypted by AES256, not by KMS"),
        (
            {"SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/other"},
            "is encrypted by arn:aws:kms:eu-west-1:1:key/other, not by",
        ),
    ],
)
def test_each_file_must_be_encrypted_by_the_exports_key(stored, how, says) -> None:
    exported = stored.write(Table("shop.orders", rows=(1, 1, 1)))
    key = stored.parts(exported, "shop.orders")[1]
    stored.put(key, stored.read(key), **how)
    assert f"{key} {says}" in refusal(exported)


def test_the_key_of_the_settings_counts(stored) -> None:
    exported = stored.write(Table("shop.orders"))
    assert verify(exported, kms_key_id=stored.key_arn)["rows"] == 2
    assert verify(exported, kms_key_id=stored.key_arn.rsplit("/", 1)[1])["rows"] == 2
    assert "not by arn:aws:kms:eu-west-1:1:key/x" in refusal(exported, kms_key_id="arn:aws:kms:eu-west-1:1:key/x")
    with pytest.raises(MissingError, match="alias/nobody"):
        verify(exported, kms_key_id="alias/nobody")


def test_of_another_task_whose_name_only_begins_so_nothing_is_taken(stored) -> None:
    exported = stored.write(Table("shop.orders"), task="x")
    stored.write(Table("shop.orders"), Table("shop.more"), task="x1")
    assert verify(exported)["rows"] == 2


def test_nothing_there_is_no_empty_export(stored) -> None:
    exported = stored.write(Table("shop.orders"))
    assert "export_info_other.json is missing" in refusal({**exported, "task_id": "other", "path": "exports/other/"})


def test_names_of_any_script_and_the_long_form(stored) -> None:
    exported = stored.write(
        Table("shop.注文 表", rows=(2,), target="shop.shop.注文 表"),
        Table("shop.größe.x", rows=(3,), target="shop.shop.größe.x"),
    )
    assert verify(exported, least_rows={})["largest"] == {"shop.größe.x": 3, "shop.注文 表": 2}


def test_columns_that_cannot_be_told_are_warned_of(stored) -> None:
    odd = [("Id", "int", pa.int32()), ("id", "int", pa.int32()), ("snapshot_date", "int", pa.int32())]
    exported = stored.write(Table("shop.odd", odd, changes=entry("shop.odd", [*odd, ("lost", "int", pa.int32())])))
    warnings = verify(exported)["warnings"]
    assert [text.split(" ")[2] for text in warnings] == ["id", "snapshot_date", "lost"]


def test_what_may_pass_is_tried_again(stored, monkeypatch) -> None:
    exported = stored.write(Table("shop.orders"))

    def ending(self, bucket, part):
        raise TransientError("slow down")

    monkeypatch.setattr(VerifyExportOperator.hook_class, "ending", ending)
    with pytest.raises(TransientError, match="1 files could not be read, such as: slow down"):
        verify(exported)


def test_an_export_that_the_settings_do_not_know_is_refused(stored) -> None:
    exported = stored.write(Table("shop.orders"))
    with pytest.raises(ConfigError, match="crm"):
        verify({**exported, "database": "crm"})


def test_two_thousand_tables_take_bounded_calls_and_memory(stored, monkeypatch) -> None:
    """Each file is read once, by its end; what is kept are names, sizes, sums and each table's columns."""
    exported = stored.write()
    path, body = exported["path"], parquet(ORDERS, 1)
    sources = [f"shop.t{number:04d}" for number in range(2000)]
    told = {f"{path}export_info_task.json": stored.read(f"{path}export_info_task.json")}
    for start in range(0, 2000, 500):
        entries = [entry(source, ORDERS) for source in sources[start : start + 500]]
        key = f"{path}export_tables_info_task_from_{start + 1}_to_{start + 500}.json"
        told[key] = json.dumps({"perTableStatus": entries}).encode()
    read: list[str] = []

    def list_sizes(self, bucket, prefix):
        assert prefix == path
        yield from ((key, len(content)) for key, content in told.items())
        for source in sources:
            folder = f"{path}shop/{source}/1/"
            yield f"{folder}_SUCCESS", 0
            yield from ((f"{folder}part-{number:05d}-u-c000.gz.parquet", len(body)) for number in range(5))

    def tail(self, bucket, part, length):
        read.append(part.key)
        return body[-length:], "aws:kms", stored.key_arn

    hook = VerifyExportOperator.hook_class
    monkeypatch.setattr(hook, "list_sizes", list_sizes)
    monkeypatch.setattr(hook, "find", lambda self, bucket, key: Stored(told[key], None))
    monkeypatch.setattr(hook, "_tail", tail)
    tracemalloc.start()
    found = verify(exported)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found["tables"], found["rows"], found["files"]) == (2000, 10_000, 10_000)
    assert len(read) == len(set(read)) == 10_000
    assert len(json.dumps(found)) < 1000
    assert peak < 40 * 2**20
