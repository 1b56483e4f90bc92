"""What RDS tells of an export is read whatever the keys' case, and what is missing is named."""

from __future__ import annotations

import contextlib
import json

import pytest
from aurora_ops.core.errors import VerificationError
from aurora_ops.core.exports import manifest
from aurora_ops.core.exports.manifest import Original, TableStatus
from hypothesis import given
from hypothesis import strategies as st

TASK = "shop-2026-0123456789ab"
INFO, TABLES = f"export_info_{TASK}.json", f"export_tables_info_{TASK}_from_%d_to_%d.json"
ENTRY = {
    "tableStatistics": {"partitioningInfo": {"numberOfPartitions": 4, "numberOfCompletedPartitions": 4}},
    "schemaMetadata": {
        "originalTypeMappings": [
            {"columnName": "id", "originalType": "BIGINT unsigned", "expectedExportedType": "decimal", "new": [1]}
        ]
    },
    "status": "COMPLETE",
    "sizeGB": "0.25",
    "target": "shop.orders",
}


def entry(target: str, **changes) -> dict:
    return {**ENTRY, "target": target, **changes}


def files(*entries: dict, each: int = 100, **info) -> dict[str, bytes]:
    about = {"exportTaskIdentifier": TASK, "status": "COMPLETE", **info}
    found = {INFO: json.dumps(about).encode()}
    for start in range(0, len(entries), each):
        some = entries[start : start + each]
        found[TABLES % (start + 1, start + len(some))] = json.dumps({"perTableStatus": some}).encode()
    return found


def refusal(content: dict[str, bytes]) -> str:
    with pytest.raises(VerificationError) as caught:
        manifest.read(TASK, content)
    return str(caught.value)


def recased(value, change):
    if isinstance(value, dict):
        return {change(key): recased(one, change) for key, one in value.items()}
    return [recased(one, change) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("change", [str, str.lower, str.upper, str.title])
def test_a_table_is_read_whatever_the_case_of_keys(change) -> None:
    found = files()
    found[INFO] = json.dumps(recased(json.loads(found[INFO]), change)).encode()
    found[TABLES % (1, 1)] = json.dumps(recased({"perTableStatus": [ENTRY]}, change)).encode()
    assert manifest.read(TASK, found) == [
        TableStatus("shop.orders", "COMPLETE", "", 0.25, (4, 4), (Original("id", "bigint unsigned", "decimal"),))
    ]


@given(count=st.integers(1, 60), each=st.integers(1, 20))
def test_several_files_are_one_list(count, each) -> None:
    entries = [entry(f"shop.t{number}") for number in range(count)]
    found = manifest.read(TASK, files(*entries, each=each))
    assert [one.target for one in found] == [one["target"] for one in entries]


@given(count=st.integers(2, 40), each=st.integers(1, 10), data=st.data())
def test_a_file_that_is_missing_is_named_unless_it_is_the_last(count, each, data) -> None:
    content = files(*[entry(f"shop.t{number}") for number in range(count)], each=each)
    told = [name for name in content if name != INFO]
    lost = data.draw(st.sampled_from(told))
    del content[lost]
    if lost == told[-1] and len(told) > 1:
        assert len(manifest.read(TASK, content)) < count  # its objects are noticed: no manifest knows them
    else:
        assert "is missing" in refusal(content)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"target": None}, "perTableStatus[0]: target is missing"),
        ({"status": None}, "(shop.orders): status is missing"),
        ({"schemaMetadata": None}, "(shop.orders): schemaMetadata is missing"),
        ({"schemaMetadata": {}}, "schemaMetadata: originalTypeMappings is missing"),
        ({"schemaMetadata": {"originalTypeMappings": [{}]}}, "originalTypeMappings[0]: columnName is missing"),
        ({"sizeGB": "much"}, "sizeGB is 'much', which is no number"),
        ({"schemaMetadata": []}, "schemaMetadata is no object of JSON"),
    ],
)
def test_what_is_missing_is_named(broken, says) -> None:
    assert says in refusal(files({**ENTRY, **broken}))


def test_what_is_wrong_with_the_task_is_said() -> None:
    good = files(ENTRY)
    assert "status is FAILED, not COMPLETE" in refusal({**good, **files(status="failed")})
    assert "is of other, not of" in refusal({**good, **files(exportTaskIdentifier="other")})
    assert f"{INFO} is missing" in refusal({name: one for name, one in good.items() if name != INFO})
    assert "from_1_to_<n>.json is missing" in refusal(files())
    assert "is not JSON" in refusal({**good, INFO: b"{"})
    assert "perTableStatus is missing" in refusal({**good, TABLES % (1, 1): b"{}"})
    assert "no object of JSON" in refusal({**good, TABLES % (1, 1): b"[]"})
    assert "of another task" in refusal({**good, "export_tables_info_x1_from_1_to_2.json": b"{}"})
    assert "shop.orders is told twice" in refusal(files(ENTRY, ENTRY))


def test_left_out_databases_and_tables_keep_their_words() -> None:
    [database, table] = manifest.read(
        TASK,
        files(
            {"target": "mysql", "warningMessage": "not asked for"},
            {"target": "shop.a b", "status": "skipped", "warningMessage": [{"reason": "COLUMN"}]},
        ),
    )
    assert (database.status, database.warning) == ("SKIPPED", "not asked for")
    assert (table.status, table.warning) == ("SKIPPED", '[{"reason": "COLUMN"}]')


def test_a_failed_table_with_a_warning_is_not_one_that_was_skipped() -> None:
    [table] = manifest.read(TASK, files({"target": "shop.a", "status": "FAILED", "warningMessage": "LOB"}))
    assert table.status == "FAILED"


def test_warnings_are_bounded() -> None:
    [table] = manifest.read(TASK, files({"target": "shop.a", "status": "SKIPPED", "warningMessage": "x" * 10_000}))
    assert len(table.warning) == 300


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.text() | st.floats(), st.lists, max_leaves=5)))
def test_any_json_is_read_or_refused(content) -> None:
    with contextlib.suppress(VerificationError):
        manifest.table_statuses("f.json", json.dumps({"perTableStatus": [content], **content}).encode())


def test_only_these_files_are_manifests() -> None:
    assert manifest.is_manifest(INFO)
    assert manifest.is_manifest(TABLES % (1, 7))
    assert not manifest.is_manifest("part-00000.gz.parquet")
    assert not manifest.is_manifest("export_tables_info_x.json")
