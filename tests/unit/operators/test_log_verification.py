"""What was done to stored logs is found, whatever it was, and named."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import yaml
from aurora_ops.core.errors import ConfigError, StateError, VerificationError
from aurora_ops.operators.log_compaction import CompactLogsOperator
from aurora_ops.operators.log_verification import (
    PlanLogVerificationOperator,
    ReportLogVerificationOperator,
    VerifyLogsOperator,
)

from tests.unit.core.audit_samples import aurora
from tests.unit.core.samples import raw
from tests.unit.operators.driver import context
from tests.unit.operators.stored_logs import ACCOUNT, BUCKET, HOME, REGION, SETTINGS, TABLE, StoredLogs

DAY = "2026-06-01"
ONE = {"account_id": ACCOUNT, "region": REGION, "instance": "db-1"}
PARTITION = f"logs#{ACCOUNT}#{REGION}#db-1"
CONTENTS = [b"".join(aurora(query=n).line() for n in range(start, start + 3)) for start in (0, 10, 20)]


@pytest.fixture
def logs(aws_session) -> StoredLogs:
    return StoredLogs(aws_session)


@pytest.fixture
def stored(logs) -> tuple[StoredLogs, list[str]]:
    """A file in three objects, compacted."""
    keys = logs.store(CONTENTS, identity="a", compression="none")
    CompactLogsOperator(task_id="t", settings=SETTINGS, day=DAY, instances=[ONE], **HOME).execute(context())
    return logs, keys


def verify(first: str = DAY, last: str = DAY) -> dict:
    about = {"settings": SETTINGS, "first_day": first, "last_day": last, "instances": [ONE]}
    return VerifyLogsOperator(task_id="t", **about, **HOME).execute(context())


def findings(**span: str) -> list[tuple[str, str, str]]:
    """Verdict, subject and what was found."""
    return [(one[0], one[2], one[3]) for one in verify(**span)["findings"]]


def report(told: dict, instances: int = 1) -> dict:
    ctx = context()
    ctx["ti"].xcoms["plan", "return_value"] = {"first_day": DAY, "last_day": DAY, "instances": instances}
    ctx["ti"].xcoms["verify", "return_value"] = [told] if told else None
    about = {"environment": "staging", "bucket": BUCKET, "prefix": "audit-records"}
    return ReportLogVerificationOperator(task_id="t", **about, plan_task="plan", verify_task="verify", **HOME).execute(
        ctx
    )


def test_nothing_is_found_where_nothing_was_done(stored) -> None:
    told = verify()
    assert told == {"seen": [["db-1", 1, 3, sum(map(len, CONTENTS))]], "findings": [], "left_out": 0}
    found = report(told)
    assert found["counts"] == {
        "instances": 1,
        "files": 1,
        "objects": 3,
        "bytes": sum(map(len, CONTENTS)),
        "fail": 0,
        "warn": 0,
    }
    logs, _ = stored
    page = logs.read(found["page"].split(f"{BUCKET}/")[1]).decode()
    assert "db-1" in page
    assert json.loads(logs.read(found["page"].split(f"{BUCKET}/")[1].replace(".html", ".json")))["findings"] == []


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_changed_byte_is_found(logs, compression, place) -> None:
    keys = logs.store(CONTENTS, compression=compression)
    body = bytearray(logs.read(keys[1]))
    body[place] ^= 1
    logs.s3.put_object(Bucket=BUCKET, Key=keys[1], Body=bytes(body))
    assert [(one[0], one[1]) for one in findings() if one[0] == "fail"] == [("fail", keys[1])]


def test_a_deleted_object_is_found(stored) -> None:
    logs, keys = stored
    logs.s3.delete_object(Bucket=BUCKET, Key=keys[2])
    assert findings() == [("fail", keys[2], "it is gone")]


def test_swapped_objects_are_found(stored) -> None:
    logs, keys = stored
    first, second = logs.read(keys[1]), logs.read(keys[2])
    assert len(first) == len(second)
    for key, body in ((keys[1], second), (keys[2], first)):
        logs.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert {one[1] for one in findings()} == {keys[1], keys[2]}


def test_a_shortened_object_is_found(stored) -> None:
    logs, keys = stored
    logs.s3.put_object(Bucket=BUCKET, Key=keys[0], Body=CONTENTS[0][:-5])
    [(verdict, subject, text)] = findings()
    assert (verdict, subject) == ("fail", keys[0])
    assert f"it has {len(CONTENTS[0]) - 5} bytes" in text


def test_state_that_was_made_to_fit_a_changed_object_is_found(stored) -> None:
    """By the chain, though length and hash agree."""
    logs, keys = stored
    changed = CONTENTS[0].replace(b"select", b"SELECT")
    logs.s3.put_object(Bucket=BUCKET, Key=keys[0], Body=changed)
    item = logs.item(PARTITION, f"object#a#{0:015d}")
    logs.states.put(TABLE, {**item, "sha256": hashlib.sha256(changed).hexdigest()})
    assert [(one[0], one[1]) for one in findings()] == [("fail", keys[0])]


def test_a_chain_that_was_made_anew_is_found_by_the_manifest(stored) -> None:
    """An object, its state and the whole chain after it: the manifest, which is locked, says otherwise."""
    logs, _ = stored
    logs.store([CONTENTS[0].replace(b"select", b"SELECT"), *CONTENTS[1:]], identity="a", compression="none")
    [(verdict, subject, text)] = findings()
    assert (verdict, subject) == ("fail", "a")
    assert "manifest of 2026-06-01" in text


def test_manifests_that_were_made_anew_too_are_found_by_their_first_version(stored) -> None:
    """Everything made to fit: what Object Lock keeps says otherwise."""
    logs, _ = stored
    logs.store([CONTENTS[0].replace(b"select", b"SELECT"), *CONTENTS[1:]], identity="a", compression="none")
    CompactLogsOperator(task_id="t", settings=SETTINGS, day=DAY, instances=[ONE], **HOME).execute(context())
    [(verdict, subject, _)] = findings()
    assert (verdict, subject) == ("fail", "a")


def test_a_day_that_was_compacted_twice_is_well(stored) -> None:
    logs, _ = stored
    logs.store([CONTENTS[0]], identity="b", compression="none")
    CompactLogsOperator(task_id="t", settings=SETTINGS, day=DAY, instances=[ONE], **HOME).execute(context())
    assert findings() == []


def test_a_file_that_ends_earlier_than_it_did_is_found(stored) -> None:
    logs, keys = stored
    end = sum(map(len, CONTENTS[:2]))
    logs.states.call("delete_item", TableName=TABLE, Key={"pk": {"S": PARTITION}, "sk": {"S": f"object#a#{end:015d}"}})
    found = findings()
    assert ("fail", "a", f"bytes {end} to {end + len(CONTENTS[2])} are in no object") in found
    assert ("warn", keys[2], "it is in the bucket, and no state says so") in found


def test_a_changed_manifest_is_found(stored) -> None:
    logs, _ = stored
    key = f"audit-records/manifests/day={DAY}/{ACCOUNT}-{REGION}-db-1.json"
    logs.s3.put_object(Bucket=BUCKET, Key=key, Body=logs.read(key).replace(b'"objects": 3', b'"objects": 2'))
    assert findings() == [("fail", key, "it is not what was written")]


def test_a_missing_manifest_and_objects_that_came_after_it_are_told(stored) -> None:
    logs, _ = stored
    logs.store([CONTENTS[0]], identity="b", compression="none")
    assert findings() == [("warn", f"manifest of {DAY}", "1 objects were stored after it was written")]
    logs.s3.delete_object(Bucket=BUCKET, Key=f"audit-records/manifests/day={DAY}/{ACCOUNT}-{REGION}-db-1.json")
    [(verdict, _, text)] = findings()
    assert verdict == "fail"
    assert "not in the bucket" in text


def test_days_that_were_not_asked_for_are_not_read(logs) -> None:
    later = datetime(2026, 6, 3, tzinfo=UTC)
    keys = logs.store(CONTENTS[:2], at=[datetime(2026, 6, 1, tzinfo=UTC), later])
    logs.s3.delete_object(Bucket=BUCKET, Key=keys[1])
    assert verify()["seen"][0][2] == 1
    assert not [one for one in findings() if one[0] == "fail"]
    assert ("fail", keys[1], "it is gone") in findings(last="2026-06-03")


def test_the_report_names_what_is_wrong_and_fails(stored) -> None:
    logs, keys = stored
    logs.s3.delete_object(Bucket=BUCKET, Key=keys[2])
    told = rf"1 things .*the report is s3://{BUCKET}/audit-records/ver[^\n]*\n- {keys[2]}: it is gone"
    with pytest.raises(VerificationError, match=told):
        report(verify())
    assert any(name.endswith(".html") for name in logs.listed("audit-records/verifications/staging/"))


def test_warnings_do_not_fail_it(stored) -> None:
    logs, _ = stored
    logs.store([CONTENTS[0]], identity="b")
    assert report(verify())["counts"]["warn"] == 1


def test_what_was_not_looked_at_is_no_success(stored) -> None:
    with pytest.raises(StateError, match="only 1 of 2 instances"):
        report(verify(), instances=2)


# ---- plan ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "staging.yaml"
    file.write_text(yaml.safe_dump({**raw(), "audit_logs": SETTINGS}))
    return file


def plan(path, **conf) -> dict:
    ctx = context()
    ctx["dag_run"] = SimpleNamespace(**{**vars(ctx["dag_run"]), "conf": conf})
    return PlanLogVerificationOperator(task_id="t", path=str(path), **HOME).execute(ctx)


def test_plan_finds_what_was_stored(logs, path) -> None:
    logs.store(CONTENTS)
    logs.store(CONTENTS, instance="db-2")
    found = plan(path, first_day=DAY, last_day="2026-06-02")
    assert (found["instances"], found["objects"], found["bytes"]) == (2, 6, 2 * sum(map(len, CONTENTS)))
    assert {one["instance"] for batch in found["batches"] for one in batch["instances"]} == {"db-1", "db-2"}
    assert {(batch["first_day"], batch["last_day"]) for batch in found["batches"]} == {(DAY, "2026-06-02")}
    assert plan(path, first_day=DAY, instance="db-2")["instances"] == 1
    assert plan(path)["first_day"] == plan(path)["last_day"] == "2026-06-30", "yesterday"


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"first_day": "x"}, "first_day: 'x'"),
        ({"first_day": DAY, "last_day": "2026-05-01"}, "last_day: '2026-05-01'"),
        ({"instance": "db-9"}, r"instance: 'db-9' .*\['db-1'\]"),
        ({"days": 3}, "known run parameters"),
    ],
)
def test_wrong_parameters_are_refused(logs, path, conf, message) -> None:
    logs.store(CONTENTS)
    with pytest.raises(ConfigError, match=message):
        plan(path, **conf)


def test_only_what_is_declared_is_called(rds, aws_session, calls) -> None:
    logs = StoredLogs(aws_session)
    logs.store(CONTENTS)
    calls.clear()
    told = verify()
    unseen = {"s3:GetObjectVersion", "kms:Decrypt"}
    assert {*calls, *unseen} == set(VerifyLogsOperator.permissions)
    calls.clear()
    report(told)
    assert set(calls) == {"s3:PutObject"}
