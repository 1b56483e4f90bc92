"""The lock of a target, the record of a run, its announcement, and publishing where the database is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core.errors import BusyError, MissingError, PermanentError
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators.publish import PublishClusterOperator
from aurora_ops.operators.runs import RecordRunOperator, ReleaseLockOperator, TakeLockOperator

from tests.unit.operators.driver import FakeTaskInstance, context, drive

AT = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
TARGET = "refresh#222222222222#staging-shop"
RUN = {**AT, "table": "runs", "target_key": TARGET}


@pytest.fixture
def home(rds, aws_session, calls):
    """Table and topic, with a queue that hears the topic."""
    aws_session.client("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    topic = aws_session.client("sns").create_topic(Name="t")["TopicArn"]
    sqs = aws_session.client("sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws_session.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    calls.clear()

    class Home:
        topic_arn = topic

        @staticmethod
        def heard() -> list[dict]:
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(message["Body"]) for message in messages]

        @staticmethod
        def item(sk: str) -> dict | None:
            return RunsHook("aws_orchestrator", "eu-west-1").find("runs", TARGET, sk)

    return Home


def run_of(run_id: str):
    ctx = context()
    ctx["dag_run"].run_id = run_id
    return ctx


class TestLock:
    """One refresh of a target at a time."""

    def take(self, **given):
        return TakeLockOperator(task_id="l", **{**RUN, "lease_h": 12, **given})

    def release(self, **given):
        return ReleaseLockOperator(task_id="r", **{**RUN, **given})

    def test_is_taken_with_a_lease(self, home, calls) -> None:
        assert drive(self.take) == {"target_key": TARGET, "holder": "refresh_staging/manual__1"}
        lease = datetime.fromtimestamp(int(home.item("lock")["expires_at"]), UTC) - datetime.now(UTC)
        assert timedelta(hours=11, minutes=59) < lease <= timedelta(hours=12)
        assert set(calls) <= set(TakeLockOperator.permissions)

    def test_two_at_once_one_is_refused_and_told_by_whom(self, home) -> None:
        drive(self.take, run_of("one"))
        ctx = run_of("two")
        with pytest.raises(BusyError, match="refresh_staging/one"):
            drive(self.take, ctx)
        assert "refresh_staging/one" in ctx["ti"].xcoms["l", "error"]
        drive(self.release, run_of("one"))
        drive(self.take, run_of("two"))

    def test_same_run_twice(self, home) -> None:
        assert drive(self.take) == drive(self.take)

    def test_dead_run_does_not_lock_for_ever(self, home) -> None:
        drive(lambda: self.take(lease_h=-0.01), run_of("dead"))
        drive(self.take, run_of("next"))
        assert home.item("lock")["holder"] == "refresh_staging/next"

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_without_a_target(self, home, calls, nothing) -> None:
        with pytest.raises(PermanentError, match="no target to lock"):
            drive(lambda: self.take(target_key=nothing))
        assert drive(lambda: self.release(target_key=nothing)) == {"released": False}
        assert calls == []

    def test_release_twice_and_of_another(self, home) -> None:
        drive(self.take, run_of("one"))
        assert drive(self.release, run_of("two")) == {"released": False}
        assert drive(self.release, run_of("one")) == {"released": True}
        assert drive(self.release, run_of("one")) == {"released": False}

    def test_no_table(self, home) -> None:
        with pytest.raises(MissingError):
            drive(lambda: self.take(table="none"))


class TestRecord:
    """Always written, always announced."""

    def record(self, home, **given):
        return lambda: RecordRunOperator(
            task_id="record.record_run",
            **{
                **RUN,
                "topic_arn": home.topic_arn,
                "environment": "staging",
                "plan_task": "prepare.check",
                "snapshot_task": "source.take_snapshot",
                "best_effort": ("clean_up.",),
                "compensation": ("switch.undo_rename",),
                "keep_days": 1,
                **given,
            },
        )

    @pytest.fixture
    def finished(self):
        states = {
            "prepare.check": "success",
            "source.take_snapshot": "success",
            "publish.publish_cluster": "success",
            "switch.undo_rename": "skipped",
            "clean_up.revoke_share": "failed",
            "record.record_run": "running",
            "record.release_lock": None,
        }
        ctx = context(ti=FakeTaskInstance(states))
        ctx["ti"].xcoms |= {
            ("prepare.check", "return_value"): {"run_key": "k", "snapshot_created_at": None, "tags": {"a": "b"}},
            ("source.take_snapshot", "return_value"): {"created_at": "2026-07-01T00:00:00+00:00"},
            ("clean_up.revoke_share", "error"): "throttled",
            ("prepare.check", "timing"): {"spans": [{"kind": "api", "what": "x", "start": 1.0, "end": 2.5}]},
        }
        return ctx

    def test_success(self, home, finished, calls) -> None:
        result = drive(self.record(home), finished)
        assert result["outcome"] == "succeeded"
        assert result["warnings"] == ["clean_up.revoke_share: throttled"]
        item = home.item(result["sk"])
        assert item["run"] == "refresh_staging/manual__1"
        assert item["triggered_by"] == "ann"
        assert item["rpo_s"] > 0
        assert float(item["steps"]["prepare.check"]["api_s"]) == 1.5
        assert "record.record_run" not in item["steps"]
        (heard,) = home.heard()
        assert heard["Subject"].startswith("refresh staging succeeded in ")
        assert heard["Subject"].endswith("1 warnings")
        assert json.loads(heard["Message"])["outcome"] == "succeeded"
        assert set(calls) - {"sqs:ReceiveMessage", "dynamodb:GetItem"} <= set(RecordRunOperator.permissions)

    def test_failure_is_announced_with_step_and_what_serves(self, home, finished) -> None:
        finished["ti"].states |= {"switch.rename_restored": "failed", "switch.undo_rename": "success"}
        result = drive(self.record(home), finished)
        assert result["outcome"] == "failed"
        assert home.heard()[0]["Subject"] == "refresh staging failed: switch.rename_restored; serving: old cluster"

    def test_twice_writes_one_item(self, home, finished) -> None:
        first = drive(self.record(home), finished)
        assert drive(self.record(home), finished)["sk"] == first["sk"]

    def test_announced_even_if_the_table_is_gone(self, home, finished) -> None:
        with pytest.raises(MissingError):
            drive(self.record(home, table="none"), finished)
        assert len(home.heard()) == 1

    def test_no_topic(self, home, finished, calls) -> None:
        drive(self.record(home, topic_arn=None), finished)
        assert "sns:Publish" not in calls

    def test_check_that_refused_what_a_person_typed_touches_nothing(self, home, finished, calls) -> None:
        finished["ti"].states["prepare.check"] = "failed"
        with pytest.raises(AirflowSkipException, match="nothing to record"):
            drive(self.record(home), finished)
        assert calls == []

    def test_check_that_refused_a_nightly_run_is_recorded(self, home, finished) -> None:
        finished["ti"].states["prepare.check"] = "failed"
        finished["ti"].xcoms.pop(("prepare.check", "return_value"))
        finished["ti"].xcoms["prepare.check", "error"] = "the snapshot is too old"
        finished["dag_run"].run_type = "scheduled"
        result = drive(self.record(home, target_key=None), finished)
        assert (result["outcome"], result["pk"]) == ("failed", "refresh#staging")
        assert json.loads(home.heard()[0]["Message"])["cause"] == "the snapshot is too old"

    def test_run_without_logical_date_or_start(self, home, finished) -> None:
        finished["dag_run"].logical_date = finished["dag_run"].start_date = None
        assert drive(self.record(home), finished)["sk"].startswith("run#2026-07-01T02:00:00+00:00#")


class TestPublish:
    """Where the database is."""

    @pytest.fixture
    def publish(self, rds):
        rds.cluster("app")
        return lambda **given: (
            lambda: PublishClusterOperator(
                task_id="p",
                **{**AT, "cluster_id": "app", "parameter": "/db", "run_key": "k", "snapshot_id": "s", **given},
            )
        )

    def test_twice_is_once(self, rds, publish, calls, aws_session) -> None:
        result = drive(publish())
        assert result == {"cluster_id": "app", "endpoint": "app.cluster-x.rds", "parameter": "/db"}
        assert drive(publish()) == result
        assert calls.mutating == ["rds:AddTagsToResource", "ssm:PutParameter"]
        assert set(calls) <= set(PublishClusterOperator.permissions)
        parameter = aws_session.client("ssm").get_parameter(Name="/db")["Parameter"]
        assert parameter["Value"] == "app.cluster-x.rds"
        tags = {tag["Key"]: tag["Value"] for tag in rds.clusters["app"]["TagList"]}
        assert tags == {"refresh": "true", "aurora-ops:published": "k", "aurora-ops:snapshot": "s"}

    def test_is_temporary_no_more(self, rds, publish) -> None:
        expiry = {"Key": "aurora-ops:expires", "Value": "2020-01-01T00:00:00+00:00"}
        rds.clusters["app"]["TagList"].append(expiry)
        rds.instance("app-1", "app")["TagList"].append(expiry)
        drive(publish())
        drive(publish())
        for item in (rds.clusters["app"], rds.instances["app-1"]):
            assert "aurora-ops:expires" not in {tag["Key"] for tag in item["TagList"]}
        assert rds.names("RemoveTagsFromResource") == 2

    def test_moved_endpoint_is_written(self, rds, publish, aws_session) -> None:
        drive(publish())
        rds.clusters["app"]["Endpoint"] = "new"
        drive(publish())
        assert aws_session.client("ssm").get_parameter(Name="/db")["Parameter"]["Value"] == "new"

    def test_no_parameter(self, publish, calls) -> None:
        drive(publish(parameter=None))
        assert not any(action.startswith("ssm") for action in calls)

    def test_missing_cluster(self, rds, publish, calls) -> None:
        with pytest.raises(MissingError):
            drive(publish(cluster_id="none"))
        assert calls.mutating == []
