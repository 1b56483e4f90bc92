"""The two ends of an operation: what was asked for, how it ended, the trail in S3, and what is said where evidence is missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import PermanentError, StateError, TransientError
from aurora_ops.core.operation import Operation
from aurora_ops.core.requests.utils import Notify
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import TrailHook
from aurora_ops.operators import operations
from aurora_ops.operators.base import RefreshOperator
from aurora_ops.operators.record import RecordRunOperator
from aurora_ops.operators.workflows import CheckRequestOperator, RecordWorkflowOperator

from tests.unit.core import samples
from tests.unit.operators.driver import FakeTaskInstance, context
from tests.unit.operators.following import BUCKET, HOME, NAME, REGION, RUNS, TRAILS, Home, task

KEY = "audit/refresh_staging/2026-07-01/manual__1.jsonl"
AUDITED = {
    "orchestrator.account_id": "123456789012", "orchestrator.runs_table": RUNS, "orchestrator.audit_table": TRAILS,
    "orchestrator.audit_bucket": BUCKET,
}  # fmt: skip


@pytest.fixture
def home(aws_session) -> Home:
    return Home(aws_session)


def run(states: dict[str, str] | None = None) -> Any:
    """A context at the end of a run."""
    ctx = context(ti=FakeTaskInstance(states or {"check": "success", "put": "success", "record": "running"}))
    ctx["ti"].max_tries = 5
    return ctx


class TestBegin:
    """The check, where everything is right."""

    @pytest.fixture
    def check(self, home, tmp_path):
        def make(changes: dict[str, Any] | None = None, **given: Any) -> CheckRequestOperator:
            raw = samples.raw({**AUDITED, "orchestrator.topic_arn": "arn:t", **(changes or {})})
            (tmp_path / "staging.yaml").write_text(yaml.safe_dump(raw))
            at = {"request": Notify, "config_folder": str(tmp_path), "audits": True, "aws_conn_id": "aws_orchestrator"}
            return CheckRequestOperator(task_id="check", **{**at, **given})

        return make

    @staticmethod
    def asked(**conf: Any) -> Any:
        ctx = context()
        ctx["dag_run"].conf = {"environment": "staging", "subject": "s", "message": "m", **conf}
        return ctx

    def test_the_first_event_says_who_asked_for_what(self, home, check) -> None:
        result = check().execute(self.asked())
        assert Operation.of(result["operation"]) == home.operation()
        [event] = home.events()
        assert event["kind"] == trails.BEGUN
        assert json.loads(event["conf"]) == {"environment": "staging", "subject": "s", "message": "m"}
        assert (event["triggered_by"], event["dag_id"], event["run_id"]) == ("ann", "refresh_staging", "manual__1")
        assert (event["version"], event["account"]) == (event["version"], "123456789012")
        assert len(event["config_sha256"]) == 64
        state = home.state()
        assert (state["outcome"], state["triggered_by"], state["config_sha256"]) == (
            "running",
            "ann",
            event["config_sha256"],
        )

    def test_another_setting_is_another_hash(self, home, check) -> None:
        for changes in ({}, {}, {"target.backup_retention_days": 2}):
            check(changes).execute(self.asked())
        hashes = [event["config_sha256"] for event in home.events()]
        assert hashes[0] == hashes[1] != hashes[2]

    def test_what_may_be_data_is_not_written(self, home, check, monkeypatch) -> None:
        monkeypatch.setattr(Notify, "hidden", ("message",))
        check().execute(self.asked(message="hunter2"))
        assert "hunter2" not in trails.as_jsonl(home.events()).decode()

    def test_events_expire_where_that_is_wanted(self, home, check) -> None:
        check({"orchestrator.audit_kept_days": 30}).execute(self.asked())
        days = (home.events()[0]["expires_at"] - datetime.now(UTC).timestamp()) / 86_400
        assert 29.9 < days <= 30

    def test_a_refused_run_leaves_nothing(self, home, check) -> None:
        with pytest.raises(PermanentError):
            check().execute(self.asked(unknown=1))
        assert home.state() == {}
        assert TrailHook(**HOME).list_events(TRAILS, NAME) == []

    def test_one_that_cannot_begin_fails_before_anything_is_changed(self, home, check) -> None:
        with pytest.raises(PermanentError, match="ResourceNotFound"):
            check({"orchestrator.audit_table": "none"}).execute(self.asked())
        assert home.state() == {}

    def test_a_workflow_that_is_not_audited_begins_nothing(self, home, check) -> None:
        assert "operation" not in check(audits=False).execute(self.asked())
        assert home.state() == {}

    def test_without_a_table_of_trails_there_is_the_state(self, home, check) -> None:
        check({"orchestrator.audit_table": None, "orchestrator.audit_bucket": None}).execute(self.asked())
        assert home.state()["outcome"] == "running"


class TestEnd:
    """The record of the run."""

    @pytest.fixture
    def begun(self, home):
        """An operation with one step done."""
        ctx = run()
        home.begin(ctx)
        ctx["ti"].task_id = "put"
        task().execute(ctx)
        return ctx

    @staticmethod
    def record(ctx: Any, **changes: Any) -> Any:
        ctx["ti"].task_id = "record"
        given = {
            "table": RUNS, "topic_arn": None, "keep_days": 1, "environment": "staging", **HOME,
            "operation": ctx["ti"].xcoms["check", "operation"], **changes,
        }  # fmt: skip
        return RecordWorkflowOperator(task_id="record", **given).execute(ctx)

    @staticmethod
    def stored(home: Home, key: str = KEY) -> Any:
        return home.session.client("s3").get_object(Bucket=BUCKET, Key=key)

    @staticmethod
    def keys(home: Home) -> list[str]:
        return BucketsHook(**HOME).list_keys(BUCKET, "audit/")

    def item(self, home: Home, result: dict[str, Any]) -> dict[str, Any]:
        found = OperationsHook(**HOME).find(RUNS, result["pk"], result["sk"])
        assert found
        return found

    def test_a_restore_is_measured(self, home, begun) -> None:
        self.record(begun, metrics_namespace="AuroraOps")
        found = home.session.client("cloudwatch", region_name=REGION).list_metrics(Namespace="AuroraOps")["Metrics"]
        assert {metric["MetricName"] for metric in found} == {"RestoreDuration", "RestoreSucceeded", "RestoreFailed"}

    def test_metrics_that_cannot_be_sent_are_a_warning(self, home, begun, monkeypatch) -> None:
        def put(*_: Any) -> None:
            raise TransientError("CloudWatch is busy")

        monkeypatch.setattr("aurora_ops.hooks.metrics.MetricsHook.put", put)
        result = self.record(begun, metrics_namespace="AuroraOps")
        assert result["outcome"] == "succeeded"
        assert "CloudWatch is busy" in str(self.item(home, result)["warnings"])

    def test_the_trail_ends_and_is_exported(self, home, begun) -> None:
        result = self.record(begun)
        events = home.events()
        assert events[-1]["kind"] == trails.FINISHED
        assert events[-1]["outcome"] == "succeeded"
        found = self.stored(home)
        assert trails.read_jsonl(found["Body"].read()) == events
        head = trails.head_of(NAME, events)
        assert result["trail"] == {
            "table": TRAILS, "events": 4, "head": head.hash, "operation": NAME, "bucket": BUCKET, "key": KEY,
            "version_id": found["VersionId"],
        }  # fmt: skip
        manifest = json.loads(self.stored(home, trails.manifest_key(KEY))["Body"].read())
        assert manifest == {key: value for key, value in result["trail"].items() if key != "table"}
        assert self.item(home, result)["trail"] == home.state()["trail"] == result["trail"]
        assert "ObjectLockMode" not in found
        assert home.state()["outcome"] == "succeeded"
        assert home.state()["expires_at"]
        assert home.step("check")["status"] == "succeeded"

    def test_again_is_the_same(self, home, begun) -> None:
        assert self.record(begun) == self.record(begun)
        assert len(self.keys(home)) == 2
        assert [event["kind"] for event in home.events()].count(trails.FINISHED) == 1

    def test_a_trail_that_grew_is_another_object(self, home, begun) -> None:
        first = self.record(begun)
        begun["ti"].task_id, begun["ti"].try_number = "put", 2
        task().execute(begun)
        assert home.state()["outcome"] == "running"
        assert "expires_at" not in home.state()
        second = self.record(begun)
        assert second["trail"]["key"] == KEY.replace(".jsonl", ".00000007.jsonl")
        assert second["trail"]["events"] == 7
        assert len(self.keys(home)) == 4
        assert len(trails.read_jsonl(self.stored(home)["Body"].read())) == first["trail"]["events"] == 4
        assert self.record(begun) == second

    def test_an_export_can_be_locked(self, home, begun) -> None:
        begun["ti"].xcoms["check", "operation"] |= {"lock_days": 7, "lock_mode": "COMPLIANCE"}
        self.record(begun)
        for key in (KEY, trails.manifest_key(KEY)):
            found = self.stored(home, key)
            assert found["ObjectLockMode"] == "COMPLIANCE"
            left = found["ObjectLockRetainUntilDate"] - datetime.now(UTC)
            assert timedelta(days=6, hours=23) < left <= timedelta(days=7)

    def test_somebody_elses_object_is_left_as_it_is_and_fails_the_task(self, home, begun) -> None:
        s3 = home.session.client("s3")
        for key in (KEY, KEY.replace(".jsonl", ".00000004.jsonl")):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"theirs")
        with pytest.raises(StateError, match="holds something else"):
            self.record(begun)
        assert self.stored(home)["Body"].read() == b"theirs"
        assert home.state()["outcome"] == "succeeded"
        assert home.state()["trail"]["events"] == 4

    def test_a_failed_run_says_where_and_why(self, home, begun) -> None:
        begun["ti"].states["put"] = "failed"
        begun["ti"].xcoms["put", "error"] = "it broke"
        self.record(begun)
        assert {key: home.events()[-1][key] for key in ("outcome", "failed_step", "cause")} == {
            "outcome": "failed", "failed_step": "put", "cause": "it broke",
        }  # fmt: skip
        assert home.state()["cause"] == "it broke"

    def test_a_refused_run_ends_nothing(self, home) -> None:
        ctx = run({"check": "failed", "record": "running"})
        ctx["ti"].xcoms["check", "operation"] = None
        with pytest.raises(AirflowSkipException):
            self.record(ctx)

    def test_a_run_that_is_not_followed_is_recorded_as_before(self, home) -> None:
        ctx = run()
        ctx["ti"].xcoms["check", "operation"] = None
        result = self.record(ctx)
        assert set(result) == {"outcome", "pk", "sk", "announced"}
        assert self.keys(home) == []

    def test_a_bucket_without_versions_is_a_warning(self, home, begun) -> None:
        place = {"LocationConstraint": REGION}
        home.session.client("s3").create_bucket(Bucket="unversioned", CreateBucketConfiguration=place)
        begun["ti"].xcoms["check", "operation"]["audit_bucket"] = "unversioned"
        [warning] = self.item(home, self.record(begun))["warnings"]
        assert "unversioned keeps no versions" in warning

    def test_a_state_that_was_not_written_is_a_warning(self, home, begun, monkeypatch) -> None:
        begun["ti"].states["other"] = "success"
        steps = [SimpleNamespace(task_id=name, operation_task="check") for name in ("put", "other")]
        monkeypatch.setattr(RefreshOperator, "get_dag", lambda _: SimpleNamespace(tasks=steps))
        [warning] = self.item(home, self.record(begun))["warnings"]
        assert warning == "other: its state was not written while it ran, see its log"
        assert home.step("other")["status"] == "succeeded"

    def test_a_broken_trail_is_exported_said_aloud_and_fails_the_task(self, home, begun) -> None:
        key = {"pk": {"S": trails.partition(NAME)}, "sk": {"S": trails.sort_key(3)}}
        home.session.client("dynamodb").delete_item(TableName=TRAILS, Key=key)
        told = self.announced(home, begun)
        with pytest.raises(StateError, match="event 3 is not the one whose hash was written down"):
            self.record(begun, topic_arn=told.topic)
        [text] = told.heard()
        assert "is broken: event 3" in text
        assert len(self.keys(home)) == 2

    @staticmethod
    def announced(home: Home, ctx: Any) -> Any:
        sns, sqs = home.session.client("sns"), home.session.client("sqs")
        topic = sns.create_topic(Name="t")["TopicArn"]
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

        def heard() -> list[str]:
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(message["Body"])["Message"] for message in messages]

        return SimpleNamespace(topic=topic, heard=heard)

    @pytest.mark.parametrize(("tries", "times"), [(1, 0), (6, 1)])
    def test_what_may_pass_is_tried_again_before_it_is_announced(self, home, begun, monkeypatch, tries, times) -> None:
        def busy(*_: Any, **__: Any) -> None:
            raise TransientError("S3 asks to try again later")

        monkeypatch.setattr(BucketsHook, "put_new", busy)
        told = self.announced(home, begun)
        begun["ti"].try_number = tries
        with pytest.raises(TransientError, match="S3 asks"):
            self.record(begun, topic_arn=told.topic)
        assert len(told.heard()) == times
        assert home.state()["outcome"] == "succeeded"
        monkeypatch.undo()

    def test_a_table_of_trails_that_is_gone_fails_the_task_but_the_rest_is_written(self, home, begun) -> None:
        home.session.client("dynamodb").delete_table(TableName=TRAILS)
        with pytest.raises(PermanentError, match="ResourceNotFound"):
            self.record(begun)
        assert home.state()["outcome"] == "succeeded"
        assert OperationsHook(**HOME).find(RUNS, "workflow#refresh_staging", "run#2026-07-01T02:00:00+00:00#manual__1")

    def test_where_the_trail_had_ended_is_not_forgotten_when_it_cannot_be_read(self, home, begun) -> None:
        self.record(begun)
        home.session.client("dynamodb").delete_table(TableName=TRAILS)
        with pytest.raises(PermanentError, match="ResourceNotFound"):
            self.record(begun)
        assert home.state()["trail"]["events"] == 4

    def test_where_trails_are_not_exported_the_record_has_the_head(self, home, begun) -> None:
        begun["ti"].xcoms["check", "operation"]["audit_bucket"] = None
        result = self.record(begun)
        assert result["trail"] == {"table": TRAILS, "events": 4, "head": home.events()[-1]["hash"]}
        assert self.keys(home) == []


class TestEndOfARefresh:
    """The record of a refresh that is followed."""

    @pytest.fixture
    def begun(self, home):
        ctx = run({"prepare.check": "success", "put": "success", "record.record_run": "running"})
        home.begin(ctx)
        ctx["ti"].task_id = "put"
        task().execute(ctx)
        return ctx

    @staticmethod
    def record(ctx: Any, **changes: Any) -> Any:
        ctx["ti"].task_id = "record.record_run"
        given = {
            "table": RUNS, "target_key": "refresh#1#a", "environment": "staging", "plan_task": "prepare.check",
            "snapshot_task": "source.take_snapshot", "topic_arn": None, "best_effort": ("clean_up.",),
            "compensation": (), "keep_days": 1, "operation": ctx["ti"].xcoms["check", "operation"], **HOME, **changes,
        }  # fmt: skip
        return RecordRunOperator(task_id="record.record_run", **given).execute(ctx)

    def test_the_trail_ends_and_is_exported(self, home, begun) -> None:
        result = self.record(begun)
        assert result["warnings"] == []
        assert home.events()[-1]["kind"] == trails.FINISHED
        item = OperationsHook(**HOME).find(RUNS, result["pk"], result["sk"])
        assert item["trail"] == home.state()["trail"]
        assert item["trail"]["key"] == KEY
        assert item["trail"]["head"] == home.events()[-1]["hash"]
        assert home.state()["outcome"] == "succeeded"

    def test_missing_evidence_fails_the_task_when_all_else_is_written(self, home, begun) -> None:
        home.session.client("dynamodb").delete_table(TableName=TRAILS)
        told = TestEnd.announced(home, begun)
        with pytest.raises(PermanentError, match="ResourceNotFound"):
            self.record(begun, topic_arn=told.topic)
        [text] = told.heard()
        assert "audit trail: dynamodb:query" in text
        assert home.state()["outcome"] == "succeeded"

    def test_what_may_pass_is_announced_by_a_later_try(self, home, begun, monkeypatch) -> None:
        def busy(*_: Any, **__: Any) -> None:
            raise TransientError("S3 asks to try again later")

        monkeypatch.setattr(BucketsHook, "put_new", busy)
        told = TestEnd.announced(home, begun)
        with pytest.raises(TransientError):
            self.record(begun, topic_arn=told.topic)
        assert told.heard() == []
        monkeypatch.undo()

    def test_one_that_is_not_followed_ends_nothing(self, home, begun) -> None:
        self.record(begun, operation=None)
        assert home.state()["outcome"] == "running"


def test_followed_steps_are_those_that_are_told_who_begins() -> None:
    tasks = [SimpleNamespace(task_id="a", operation_task="check"), SimpleNamespace(task_id="b", operation_task=None)]
    of_a_dag = SimpleNamespace(get_dag=lambda: SimpleNamespace(tasks=[*tasks, SimpleNamespace(task_id="c")]))
    assert operations.followed_steps(of_a_dag, "check") == ["a"]
