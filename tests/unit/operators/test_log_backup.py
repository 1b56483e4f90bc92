"""The backup of audit logs: every byte once, whatever fails, and nothing written down that is not so."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml
from aurora_ops.core.audit_logs.chain import FIRST, link
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.errors import AuroraOpsError, ConfigError, PermanentError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.log_objects import LogObjectsHook
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.operators.log_backup import BackUpLogsOperator
from aurora_ops.operators.log_plan import PlanLogBackupOperator, digest_of
from aurora_ops.operators.log_record import RecordLogBackupOperator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.core.samples import raw
from tests.unit.operators.driver import context
from tests.unit.operators.fake_logs import CURRENT, FakeLogs, Killed, Stored, failure

HOME = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
BUCKET, TABLE = "audit-logs", "log-states"
PLACE = {"aws_conn_id": "aws_source", "account_id": "111111111111", "region": "eu-west-1"}
SECTION = {
    "bucket": BUCKET,
    "state_table": TABLE,
    "places": [PLACE],
    "list_calls_per_s": 200,
    "download_calls_per_s": 200,
}
STRIPE = "audit/audit.log.{}.2026-04-13-12-00.{}"
RECORD = b"20261121 11:10:%02d,host,u,h,1,%d,QUERY,shop,'SELECT \\'a\\'',0\n"
MOST_RETRIES = 4


def records(start: int, count: int) -> bytes:
    return b"".join(RECORD % (number % 60, number) for number in range(start, start + count))


class Bench:
    """Everything the backup needs, and runs of it."""

    def __init__(self, session: Any, folder: Any, monkeypatch: Any) -> None:
        self.logs = FakeLogs()
        self.folder = folder
        self.changes: dict[str, Any] = {}
        self.planned: dict[str, Any] = {}
        self.session = session
        self.stored = Stored(session, BUCKET, TABLE)
        self.fresh()
        monkeypatch.setattr(AwsHook, "require_account", lambda *_: None)
        monkeypatch.setattr("aurora_ops.hooks.log_files.LogFilesHook._wait_for", staticmethod(lambda _: None))
        self.logs.install(monkeypatch)

    def fresh(self) -> None:
        session = self.session
        session.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        session.client("s3").create_bucket(
            Bucket=BUCKET,
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
            ObjectLockEnabledForBucket=True,
        )

    def context(self, conf: dict[str, Any] | None = None) -> Any:
        found = context()
        found["dag_run"] = SimpleNamespace(
            dag_id="audit_log_backup_staging", run_id="r", run_type="scheduled", conf=conf, logical_date=None
        )
        return found

    def plan(self, conf: dict[str, Any] | None = None) -> dict[str, Any]:
        section = {**SECTION, **self.changes}
        (self.folder / "staging.yaml").write_text(yaml.safe_dump(raw({"audit_logs": section})))
        task = PlanLogBackupOperator(task_id="plan_backup", path=str(self.folder / "staging.yaml"), **HOME)
        found: dict[str, Any] = json.loads(json.dumps(task.execute(self.context(conf))))
        return found

    def batch(self, batch: dict[str, Any], ctx: Any = None) -> dict[str, Any]:
        from aurora_ops.core.settings_audit_logs import AuditLogs

        about = AuditLogs.model_validate({**SECTION, **self.changes}).model_dump(mode="json")
        task = BackUpLogsOperator(
            task_id="back_up_logs", settings=about, home_conn_id="aws_orchestrator", home_region="eu-west-1", **batch
        )
        found: dict[str, Any] = task.execute(ctx or self.context())
        return found

    def run(self, conf: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A run without failures."""
        return [self.batch(batch) for batch in self.plan(conf)["batches"]]

    def run_with_retries(self) -> None:
        """A run as Airflow makes it; what still fails then is left to the next."""
        for _ in range(MOST_RETRIES):
            try:
                planned = self.plan()
                break
            except AuroraOpsError:
                continue
        else:
            return
        for batch in planned["batches"]:
            for _ in range(MOST_RETRIES):
                try:
                    self.batch(batch)
                    break
                except AuroraOpsError:
                    continue

    def assert_all_is_stored(self) -> None:
        """Every byte of every file that ever was, once, and the chain holds."""
        written = sorted(bytes(data) for one in self.logs.instances.values() for data in one.ever if data)
        assert sorted(self.stored.contents().values()) == written
        self.assert_chains_hold()

    def assert_chains_hold(self) -> None:
        chains: dict[str, str] = {}
        items = list(self.stored.items())
        for item in sorted((one for one in items if one["sk"].startswith("object#")), key=lambda one: one["sk"]):
            file = item["pk"], item["sk"].split("#")[1]
            chains[file] = link(chains.get(file, FIRST), int(item["begin"]), int(item["end"]), item["sha256"])
            assert item["chain"] == chains[file]
        for item in items:
            if item["sk"].startswith("file#") and item["position"]:
                assert item["chain"] == chains[item["pk"], item["sk"].removeprefix("file#")]


@pytest.fixture
def bench(aws_session, tmp_path, monkeypatch) -> Bench:
    return Bench(aws_session, tmp_path, monkeypatch)


class TestAurora:
    """Files whose names are theirs for ever."""

    def test_a_rotated_file_is_streamed_and_a_growing_one_followed(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 50))
        db.write(STRIPE.format(0, 1), records(50, 20))
        [told] = bench.run()
        assert (told["files"], told["failed"], told["alarms"]) == (2, 0, [])
        bench.assert_all_is_stored()
        files = bench.stored.files()
        assert [files[name]["status"] for name in sorted(files)] == ["complete", "growing"]
        assert bench.logs.streamed == len(db.files[STRIPE.format(0, 0)])

    def test_what_grows_is_read_once(self, bench) -> None:
        db = bench.logs.add("db-1")
        for turn in range(6):
            db.write(STRIPE.format(0, 0), records(turn * 10, 10))
            bench.run()
        bench.assert_all_is_stored()
        assert bench.logs.paged == sum(map(len, db.ever))
        assert bench.logs.streamed == 0

    def test_a_record_that_is_half_written_is_followed_all_the_same(self, bench) -> None:
        db = bench.logs.add("db-1")
        text = records(0, 12)
        for begin in range(0, len(text), 100):
            db.write(STRIPE.format(0, 0), text[begin : begin + 100])
            bench.run()
        bench.assert_all_is_stored()
        assert bench.logs.streamed == 0
        assert bench.logs.paged < 3 * len(text)

    def test_an_object_belongs_to_the_day_on_which_it_was_stored(self, bench, monkeypatch) -> None:
        """Not to that on which a long run began: that day may be compacted already."""
        put, stored_at = LogObjectsHook.put_new, []

        def told(*given: Any) -> bool:
            stored_at.append(datetime.now(UTC).isoformat())
            return put(*given)

        monkeypatch.setattr(LogObjectsHook, "put_new", told)
        bench.logs.add("db-1").write(STRIPE.format(0, 0), records(0, 5))
        bench.run()
        [item] = [item for item in bench.stored.items() if item["sk"].startswith("object#")]
        assert [item["stored_at"]] >= stored_at

    def test_nothing_new_costs_one_list(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 5))
        db.settle()
        bench.run()
        bench.plan()  # remembers the list
        bench.logs.calls.clear()
        planned = bench.plan()
        assert planned["batches"] == []
        assert bench.logs.calls == [
            "dynamodb:Query", "rds:DescribeDBInstances", "rds:DescribeDBLogFiles", "dynamodb:PutItem",
        ]  # fmt: skip

    def test_the_key_says_whose_which_and_where(self, bench) -> None:
        bench.logs.add("db-1").write(STRIPE.format(2, 0), records(0, 1))
        bench.run()
        [(key, content)] = bench.stored.objects().items()
        day = next(iter(bench.stored.files().values()))["first_seen"][:10]
        assert key == (
            f"audit-logs/account=111111111111/region=eu-west-1/cluster=prod-shop/instance=DB-DB-1/date={day}/".replace(
                "DB-DB", "db-DB"
            )
            + f"audit~audit.log.2.2026-04-13-12-00.0/{0:015d}-{len(content):015d}.log.zst"
        )
        metadata = bench.stored.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
        assert metadata["file"] == STRIPE.format(2, 0)
        assert set(metadata) == {"sha256", "begin", "end", "chain", "source", "instance", "file"}

    def test_what_chunks_cannot_carry_comes_from_the_stream(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 30))
        bench.run()
        db.write(STRIPE.format(0, 0), records(30, 5) + b"20261121 11:10:00,h,u,h,1,2,QUERY,s,'\0',0\n" + records(36, 5))
        bench.run()
        db.write(STRIPE.format(0, 0), records(41, 5))
        streamed = bench.logs.streamed
        bench.run()
        bench.assert_all_is_stored()
        assert bench.logs.streamed == streamed, "behind it the marker of the end goes on"

    def test_where_rest_is_off_it_is_marked_and_told(self, bench) -> None:
        bench.changes = {"reader": "chunks"}
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 3) + b"20261121 11:10:00,h,u,h,1,2,QUERY,s,'\0',0\n" + records(5, 3))
        db.settle()
        [told] = bench.run()
        [alarm] = told["alarms"]
        assert alarm["status"] == "partial"
        [content] = bench.stored.contents().values()
        assert len(content) == len(db.ever[0])
        [marks] = [item["marks"] for item in bench.stored.items() if item.get("marks")]
        assert marks[0]["kind"] == "binary"
        assert bench.logs.streamed == 0

    def test_where_rest_is_not_there_chunks_are_read(self, bench) -> None:
        bench.logs.on_call = lambda name: (
            (_ for _ in ()).throw(PermanentError("AccessDenied")) if name == "rds:DownloadCompleteDBLogFile" else None
        )
        bench.logs.add("db-1").write(STRIPE.format(0, 0), records(0, 50))
        bench.run()
        bench.assert_all_is_stored()

    def test_the_stored_beginning_is_proven(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 30))
        bench.run()
        db.files[STRIPE.format(0, 0)][5] ^= 1
        db.write(STRIPE.format(0, 0), b"\0\n")
        with pytest.raises(PermanentError, match="other content"):
            bench.run()

    def test_a_file_that_goes_before_it_is_read_is_lost(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 30))
        bench.run()
        db.files.clear()
        [told] = bench.run()
        assert [(one["file"], one["status"]) for one in told["alarms"]] == [(STRIPE.format(0, 0), "lost")]
        [file] = bench.stored.files().values()
        assert (file["status"], "not known" in file["error"]) == ("lost", True)
        assert bench.run() == [], "it is told once"

    def test_a_file_that_shrinks_is_truncated(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 30))
        bench.run()
        del db.files[STRIPE.format(0, 0)][100:]
        [told] = bench.run()
        assert [one["status"] for one in told["alarms"]] == ["truncated"]

    def test_an_instance_that_is_deleted(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 3))
        bench.run()
        bench.logs.instances.clear()
        [told] = bench.run()
        assert [one["status"] for one in told["alarms"]] == ["lost"]
        assert bench.run() == []

    def test_an_instance_that_is_paused_is_put_off(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 3))
        db.ready = False
        assert bench.plan() | {"batches": []} == {
            "batches": [], "instances": 1, "changed": 0, "deferred": 1, "bytes": 0,
        }  # fmt: skip
        db.ready = True
        bench.run()
        bench.assert_all_is_stored()

    def test_one_that_pauses_meanwhile_too(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 3))
        planned = bench.plan()
        bench.logs.on_call = lambda name: setattr(db, "ready", "Download" not in name)
        told = bench.batch(planned["batches"][0])
        assert (told["deferred"], told["failed"]) == (1, 0)
        [file] = bench.stored.files().values()
        assert (file["status"], file["attempts"], file["position"]) == ("deferred", 1, 0)

    def test_lag_is_how_long_it_may_have_waited(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 3))
        bench.run()
        db.write(STRIPE.format(0, 0), records(3, 3))
        [batch] = bench.plan()["batches"]
        batch["looked_at_ms"] -= 300_000
        assert bench.batch(batch)["lag_s"] == pytest.approx(300, abs=30)

    def test_locked_and_encrypted_as_the_settings_say(self, bench) -> None:
        bench.changes = {"storage": {"kms_key_id": "alias/logs", "lock_days": 3, "storage_class": "STANDARD_IA"}}
        bench.logs.add("db-1").write(STRIPE.format(0, 0), records(0, 3))
        bench.run()
        [key] = bench.stored.objects()
        found = bench.stored.s3.head_object(Bucket=BUCKET, Key=key)
        assert (found["SSEKMSKeyId"], found["ServerSideEncryption"]) == ("alias/logs", "aws:kms")
        assert (found["ObjectLockMode"], found["StorageClass"]) == ("GOVERNANCE", "STANDARD_IA")


class TestShifting:
    """Files whose names shift."""

    @pytest.fixture
    def db(self, bench):
        return bench.logs.add("maria", engine="mariadb", cluster="")

    def test_are_known_by_their_content(self, bench, db) -> None:
        for turn in range(5):
            db.write(CURRENT, records(turn * 100, 20))
            bench.run()
            if turn % 2:
                db.rotate()
        bench.run()
        bench.assert_all_is_stored()
        assert all("cluster=none" in key for key in bench.stored.objects())

    @pytest.mark.parametrize("at", range(1, 22))
    def test_a_rotation_in_the_middle_of_anything(self, bench, db, at) -> None:
        db.write(CURRENT, records(0, 40))
        db.rotate()
        db.write(CURRENT, records(100, 40))
        seen = iter(range(10**9))

        def rotate(name: str) -> None:
            if next(seen) == at and db.files.get(CURRENT):
                db.rotate()
                db.write(CURRENT, records(1000, 60))

        bench.logs.on_call = rotate
        bench.run_with_retries()
        assert {item["status"] for item in bench.stored.files().values()} <= {"complete", "growing"}
        bench.logs.on_call = lambda _: None
        bench.run_with_retries()
        bench.assert_all_is_stored()

    def test_a_rotation_between_list_and_look_is_no_loss(self, bench, db) -> None:
        db.write(CURRENT, records(0, 10))
        db.rotate()
        db.write(CURRENT, records(100, 40))
        bench.run()
        db.write(CURRENT, records(140, 5))
        rotations = iter([True])

        def rotate(name: str) -> None:
            if name == "rds:DownloadDBLogFilePortion" and next(rotations, False):
                db.rotate()
                db.write(CURRENT, records(1000, 60))

        [batch] = bench.plan()["batches"]
        bench.logs.on_call = rotate
        assert bench.batch(batch)["alarms"] == []
        bench.assert_all_is_stored()

    def test_too_little_to_be_told_apart_is_left_for_later(self, bench, db) -> None:
        db.write(CURRENT, b"20261121 11:")
        bench.run()
        assert bench.stored.files() == {}
        db.write(CURRENT, b"10:57,h,u,h,1,1,QUERY,s,'x',0\n")
        bench.run()
        bench.assert_all_is_stored()


def scenario(bench: Bench) -> None:
    aurora, maria = bench.logs.add("db-1"), bench.logs.add("maria", engine="mariadb", cluster="")
    aurora.write(STRIPE.format(0, 0), records(0, 40))
    aurora.write(STRIPE.format(0, 1), records(40, 30))
    maria.write(CURRENT, records(500, 30))
    maria.rotate()
    maria.write(CURRENT, records(600, 30))


class TestFaults:
    """Every call fails, once and for good."""

    @pytest.mark.parametrize("code", ["Throttling", "AccessDenied", "lost"])
    @pytest.mark.parametrize("at", range(0, 48, 3))
    def test_once(self, bench, at, code) -> None:
        scenario(bench)
        seen = iter(range(10**9))

        def fail(name: str) -> None:
            if next(seen) == at and code != "lost":
                raise failure(code, name)

        def lose(name: str) -> None:
            if code == "lost" and len(bench.logs.calls) == at:
                raise failure("InternalFailure", f"{name}: done, but nobody hears of it")

        bench.logs.on_call, bench.logs.after_call = fail, lose
        bench.run_with_retries()
        bench.logs.on_call = bench.logs.after_call = lambda _: None
        bench.run_with_retries()
        bench.assert_all_is_stored()

    @pytest.mark.parametrize(
        "operation",
        [
            "rds:DescribeDBInstances", "rds:DescribeDBLogFiles", "rds:DownloadDBLogFilePortion",
            "rds:DownloadCompleteDBLogFile", "dynamodb:Query", "dynamodb:UpdateItem", "dynamodb:TransactWriteItems",
            "s3:PutObject",
        ],
    )  # fmt: skip
    def test_for_good(self, bench, operation) -> None:
        scenario(bench)

        def fail(name: str) -> None:
            if name == operation:
                raise failure("AccessDenied", name)

        bench.logs.on_call = fail
        bench.run_with_retries()
        written = {bytes(data) for one in bench.logs.instances.values() for data in one.ever}
        bench.logs.on_call = lambda _: None
        objects = bench.stored.objects()
        for item in bench.stored.files().values():
            whole = next(data for data in written if len(data) == item["size"] or len(data) > item["position"])
            assert item["position"] <= len(whole)
            if item["status"] == "complete":
                assert item["position"] == item["size"]
        if operation in ("s3:PutObject", "dynamodb:TransactWriteItems", "dynamodb:UpdateItem"):
            assert all(item["position"] == 0 for item in bench.stored.files().values())
        assert operation != "s3:PutObject" or not objects
        bench.run_with_retries()
        bench.assert_all_is_stored()

    def test_a_failure_is_told_with_the_file_and_stays_visible(self, bench) -> None:
        scenario(bench)

        def fail(name: str) -> None:
            if name == "s3:PutObject":
                raise failure("AccessDenied", name)

        bench.logs.on_call = fail
        ctx = bench.context()
        [batch] = bench.plan()["batches"]
        with pytest.raises(PermanentError, match=r"db-1/audit/audit\.log\.0"):
            bench.batch(batch, ctx)
        assert ctx["ti"].xcoms[ctx["ti"].task_id, "report"]["failed"] == 4
        assert all("AccessDenied" in item["error"] for item in bench.stored.files().values())

    @pytest.mark.parametrize("operation", ["s3:PutObject", "dynamodb:TransactWriteItems"])
    def test_an_object_that_was_not_written_down_is_adopted_although_the_file_has_grown(self, bench, operation) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 9))

        def kill(name: str) -> None:
            if name == operation:
                raise Killed

        bench.logs.on_call = kill
        with pytest.raises(Killed):
            bench.run()
        bench.logs.on_call = lambda _: None
        db.write(STRIPE.format(0, 0), records(9, 9))
        bench.run()
        bench.assert_all_is_stored()
        assert len(bench.stored.objects()) == 2

    def test_one_of_a_file_that_has_gone_is_adopted_too(self, bench) -> None:
        db = bench.logs.add("db-1")
        db.write(STRIPE.format(0, 0), records(0, 9))

        def kill(name: str) -> None:
            if name == "dynamodb:TransactWriteItems":
                raise Killed

        bench.logs.on_call = kill
        with pytest.raises(Killed):
            bench.run()
        bench.logs.on_call = lambda _: None
        db.files.clear()
        bench.run()
        bench.assert_all_is_stored()
        [file] = bench.stored.files().values()
        assert (file["status"], file["position"]) == ("lost", file["size"])

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("write"), st.integers(1, 30)),
                st.tuples(st.just("rotate"), st.just(0)),
                st.tuples(st.just("run"), st.just(0)),
                st.tuples(st.just("kill"), st.integers(1, 40)),
            ),
            min_size=3,
            max_size=14,
        )
    )
    def test_killed_at_any_call(self, bench, steps) -> None:
        self.reset(bench)
        aurora, maria = bench.logs.add("db-1"), bench.logs.add("maria", engine="mariadb", cluster="")
        number, generation = 0, 0
        for step, value in steps:
            if step == "write":
                for one, name in ((aurora, STRIPE.format(0, generation)), (maria, CURRENT)):
                    one.write(name, records(number, value))
                number += value
            elif step == "rotate":
                generation += 1
                maria.rotate()
            elif step == "run":
                bench.run_with_retries()
            else:
                left = iter(range(value, -1, -1))

                def kill(_: str, left=left) -> None:
                    if next(left, 0) == 0:
                        raise Killed

                bench.logs.on_call = kill
                with suppress(Killed):
                    bench.run_with_retries()
                bench.logs.on_call = lambda _: None
        bench.run_with_retries()
        bench.assert_all_is_stored()

    @staticmethod
    def reset(bench: Bench) -> None:
        bench.logs.instances.clear()
        s3 = bench.stored.s3
        for key in bench.stored.objects():
            s3.delete_object(Bucket=BUCKET, Key=key)
        dynamodb = bench.stored.dynamodb
        for item in list(bench.stored.items()):
            dynamodb.delete_item(TableName=TABLE, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}})


class TestPlan:
    """What is asked for, and of whom."""

    @pytest.mark.parametrize(
        ("place", "found"),
        [
            ({}, 2),
            ({"clusters": ["prod-shop"]}, 1),
            ({"engines": ["mariadb"]}, 1),
            ({"tags": {"team": "shop"}}, 2),
            ({"tags": {"team": "other"}}, 0),
        ],
    )
    def test_only_what_the_settings_name(self, bench, place, found) -> None:
        scenario(bench)
        bench.changes = {"places": [{**PLACE, **place}]}
        assert bench.plan()["instances"] == found

    def test_one_instance(self, bench) -> None:
        scenario(bench)
        planned = bench.plan({"instance": "maria", "dry_run": None})
        assert [one["instance"] for batch in planned["batches"] for one in batch["instances"]] == ["maria"]

    def test_a_dry_run_writes_and_gives_nothing(self, bench) -> None:
        scenario(bench)
        planned = bench.plan({"dry_run": True})
        assert (planned["batches"], planned["changed"]) == ([], 2)
        assert list(bench.stored.items()) == []

    @pytest.mark.parametrize("conf", [{"instanc": "x"}, {"dry_run": "yes"}])
    def test_wrong_parameters(self, bench, conf) -> None:
        with pytest.raises(ConfigError, match=r"known run parameters|write a bool"):
            bench.plan(conf)

    def test_one_that_cannot_be_listed_keeps_no_other(self, bench) -> None:
        scenario(bench)
        maria = bench.logs.instances["maria"]
        fail = lambda **given: (  # noqa: E731
            (_ for _ in ()).throw(failure("AccessDenied"))
            if given["DBInstanceIdentifier"] == "maria"
            else FakeLogs.DescribeDBLogFiles(bench.logs, **given)
        )
        bench.logs.DescribeDBLogFiles = fail
        [batch] = bench.plan()["batches"]
        with pytest.raises(PermanentError, match="maria: "):
            bench.batch(batch)
        assert len(bench.stored.contents()) == 2
        assert maria.ever

    def test_of_many_instances_only_the_changed_ones_cost_more_than_a_list(self, bench) -> None:
        for number in range(100):
            db = bench.logs.add(f"db-{number}")
            for stripe in range(4):
                db.write(STRIPE.format(stripe, 0), records(number, 1))
            item = {"pk": "logs#111111111111#eu-west-1", "sk": f"instance#db-DB-{number}", "instance": db.name}
            listed = [Offered(name, len(data), db.times[name]) for name, data in db.files.items()]
            LogStatesHook("aws_orchestrator", "eu-west-1").put(TABLE, {**item, "listing": digest_of(listed)})
        for number in (3, 14, 15):
            bench.logs.instances[f"db-{number}"].write(STRIPE.format(0, 1), records(0, 3))
        bench.logs.calls.clear()
        planned = bench.plan()
        calls = Counter(bench.logs.calls)
        assert (calls["rds:DescribeDBLogFiles"], calls["dynamodb:Query"]) == (100, 1 + 3)
        [batch] = planned["batches"]
        assert {one["instance"] for one in batch["instances"]} == {"db-3", "db-14", "db-15"}
        bench.logs.calls.clear()
        assert bench.batch(batch)["files"] == 15
        assert Counter(bench.logs.calls)["rds:DescribeDBLogFiles"] == 3

    def test_a_throttle_of_lists_is_shared_by_batches(self, bench) -> None:
        bench.changes = {"most_batches": 2}
        for number in range(2):
            bench.logs.add(f"db-{number}").write(STRIPE.format(0, 0), b"x" * 2**27 + b"\n")
        assert [batch["share_percent"] for batch in bench.plan()["batches"]] == [50, 50]


class TestRecord:
    """Metrics and news."""

    def record(self, bench, told, planned=None, conf=None, topic=None):
        ctx = bench.context(conf)
        ctx["ti"].xcoms["plan_backup", "return_value"] = planned
        ctx["ti"].xcoms["back_up_logs", "report"] = told
        task = RecordLogBackupOperator(
            task_id="record_backup",
            environment="staging",
            namespace="AuroraOps",
            topic_arn=topic,
            plan_task="plan_backup",
            backup_task="back_up_logs",
            **HOME,
        )
        return task.execute(ctx)

    TOLD: ClassVar[dict[str, Any]] = {
        "files": 1, "objects": 1, "read_bytes": 5, "stored_bytes": 5, "deferred": 0, "failed": 1, "lag_s": 7.0,
        "alarms": [{"instance": "db-1", "file": "audit/x", "status": "lost", "why": "gone"}],
    }  # fmt: skip

    def test_sums_are_sent_and_losses_told(self, bench) -> None:
        sns, sqs = bench.session.client("sns"), bench.session.client("sqs")
        topic = sns.create_topic(Name="alarms")["TopicArn"]
        queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        found = self.record(bench, [self.TOLD, {**self.TOLD, "lag_s": 9.0, "alarms": []}], {"deferred": 2}, topic=topic)
        assert (found["stored_bytes"], found["deferred"], found["lag_s"], found["announced"]) == (10, 2, 9.0, True)
        [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
        body = json.loads(message["Body"])
        assert body["Subject"] == "audit logs of staging: 1 lost"
        assert "db-1/audit/x is lost: gone" in body["Message"]
        metrics = bench.session.client("cloudwatch").list_metrics(Namespace="AuroraOps")["Metrics"]
        assert {one["MetricName"] for one in metrics} == {
            "AuditLogLag", "AuditLogBytes", "AuditLogFilesFailed", "AuditLogAlarms",
        }  # fmt: skip

    def test_nothing_new_is_no_lag(self, bench) -> None:
        assert self.record(bench, None, {"deferred": 0})["lag_s"] == 0

    def test_a_dry_run_sends_nothing(self, bench) -> None:
        self.record(bench, None, {"deferred": 0}, conf={"dry_run": True})
        assert "cloudwatch:PutMetricData" not in bench.logs.calls

    def test_without_a_plan_no_lag_is_claimed(self, bench) -> None:
        with pytest.raises(AuroraOpsError, match="how far behind"):
            self.record(bench, None, None)
        assert "cloudwatch:PutMetricData" not in bench.logs.calls
