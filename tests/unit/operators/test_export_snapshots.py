"""Exporting a snapshot: once, in its turn, to its end; what RDS would refuse is refused before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, StateError, WaitTimeoutError
from aurora_ops.core.exports import names
from aurora_ops.hooks.export_tasks import ExportQueue, ExportTasksHook
from aurora_ops.hooks.states import StatesHook
from aurora_ops.operators.export_snapshots import ExportSnapshotOperator

from tests.unit.operators.driver import context, drive, fire, once
from tests.unit.operators.fake_exports import FakeExports, snapshot_arn

AT = {"aws_conn_id": "aws_source", "region_name": "eu-west-1"}
ACCOUNT, TABLE = "222222222222", "exports"
NAME = "rds:prod-2026-07-01-02-00"
ARN = snapshot_arn(NAME)
TASK = names.task(ARN)
PREPARED = {"sts:GetCallerIdentity"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "export.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture
def fake() -> FakeExports:
    """RDS with export tasks."""
    return FakeExports()


@pytest.fixture
def rds(rds: FakeExports, aws_session, calls) -> FakeExports:
    """RDS with a snapshot, and what an export of it needs, in moto."""
    aws_session.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    aws_session.client("s3").create_bucket(
        Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    role = aws_session.client("iam").create_role(RoleName="exporter", AssumeRolePolicyDocument=json.dumps(TRUST))
    rds.role_arn = role["Role"]["Arn"]
    rds.key_id = aws_session.client("kms").create_key()["KeyMetadata"]["KeyId"]
    rds.cluster("prod", refresh=False)
    rds.snapshot(NAME, SnapshotType="automated", KmsKeyId=rds.key_id)
    calls.clear()
    return rds


@pytest.fixture
def export(rds, calls):
    """Make the task; what it calls it has declared."""

    def maker(settings=None, database=None, **given):
        about = {
            "state_table": TABLE,
            "databases": [
                {
                    "name": "shop",
                    "cluster": "prod",
                    "role_arn": rds.role_arn,
                    "kms_key_id": rds.key_id,
                    **(database or {}),
                }
            ],
            **(settings or {}),
        }
        of_task = {
            "account_id": ACCOUNT,
            "database": "shop",
            "snapshot_arn": ARN,
            "source_arn": ARN,
            "snapshot_time": "2026-07-01T00:00:00+00:00",
            "date": "2026-07-01",
            "bucket": "exports",
            "prefix": "exports/db=shop/snapshot_date=2026-07-01",
            "export_task": TASK,
            "settings": about,
            "home_conn_id": "aws_orchestrator",
            "home_region": "eu-west-1",
        }
        return lambda: ExportSnapshotOperator(task_id="export_snapshot", **{**AT, **of_task, **given})

    yield maker
    declared = {*ExportSnapshotOperator.permissions, *ExportSnapshotOperator.permissions_elsewhere["orchestrator"]}
    assert {call for call in calls if call.startswith(("rds:", "dynamodb:"))} <= declared
    assert {call for call in calls if call.split(":")[1].startswith(("Get", "Describe", "List"))} <= declared | PREPARED


def tickets() -> list[str]:
    found = StatesHook("aws_orchestrator", "eu-west-1").list_items(TABLE, f"queue#{ACCOUNT}/eu-west-1")
    return [item["sk"] for item in found]


def test_is_started_with_all_that_rds_needs_and_waited_for(rds, export) -> None:
    found = drive(export(database={"export_only": ["shop.customers"]}))
    ((name, asked),) = rds.mutations
    assert name == "StartExportTask"
    assert asked == {
        "ExportTaskIdentifier": TASK,
        "SourceArn": ARN,
        "S3BucketName": "exports",
        "S3Prefix": "exports/db=shop/snapshot_date=2026-07-01",
        "IamRoleArn": rds.role_arn,
        "KmsKeyId": rds.key_id,
        "ExportOnly": ["shop.customers"],
    }
    assert (found["task_id"], found["path"]) == (TASK, f"exports/db=shop/snapshot_date=2026-07-01/{TASK}/")
    assert (found["skipped"], found["warnings"]) == ([], [])
    assert tickets() == []


def test_role_and_key_of_the_setup_are_the_default(rds, export, aws_session) -> None:
    aws_session.client("iam").create_role(RoleName="aurora-ops-export-shop", AssumeRolePolicyDocument=json.dumps(TRUST))
    aws_session.client("kms").create_alias(AliasName="alias/aurora-ops-export-shop", TargetKeyId=rds.key_id)
    account = aws_session.client("sts").get_caller_identity()["Account"]
    make = export(database={"role_arn": None, "kms_key_id": None}, account_id=account)
    drive(make)
    ((_, asked),) = rds.mutations
    assert asked["IamRoleArn"] == f"arn:aws:iam::{account}:role/aurora-ops-export-shop"
    assert asked["KmsKeyId"] == "alias/aurora-ops-export-shop"


def test_twice_is_once(rds, export) -> None:
    assert drive(export()) == drive(export())
    assert rds.names("StartExportTask") == 1


def test_killed_after_it_was_started(rds, export) -> None:
    assert isinstance(once(export()), TaskDeferred)
    assert drive(export())["task_id"] == TASK
    assert rds.names("StartExportTask") == 1


def test_two_runs_at_once_start_it_once(rds, export) -> None:
    rds.fail("StartExportTask", "ExportTaskAlreadyExists")
    rds.after(3, lambda: rds.task(TASK, ARN, S3Bucket="exports"))
    rds.after(30, lambda: rds.end(TASK))
    rds.limit = 5
    drive(export())
    assert rds.names("StartExportTask") <= 1


def test_waits_for_its_turn_without_asking(rds, export) -> None:
    for number in range(5):
        rds.task(f"other-{number}", snapshot_arn(f"o{number}"))
    deferred = once(export())
    assert isinstance(deferred, TaskDeferred)
    assert rds.mutations == []
    assert tickets() == [TASK]
    rds.after(20, lambda: rds.end("other-0"))
    assert drive(export())["task_id"] == TASK
    assert rds.most_at_once == 5


def test_the_account_s_limit_is_waited_for_when_rds_says_it(rds, export) -> None:
    rds.limit = 2
    for number in range(2):
        rds.task(f"other-{number}", snapshot_arn(f"o{number}"))
    rds.after(40, lambda: rds.end("other-0"))
    assert drive(export())["task_id"] == TASK
    assert rds.names("StartExportTask") > 1
    assert rds.most_at_once == 2


def test_a_turn_that_does_not_come(rds, export) -> None:
    for number in range(5):
        rds.task(f"other-{number}", snapshot_arn(f"o{number}"))
    with pytest.raises(WaitTimeoutError, match="export_turn"):
        drive(export(settings={"wait_h": 0.00001}))
    assert rds.mutations == []


def test_databases_take_turns(rds) -> None:
    tasks, states = ExportTasksHook("aws_source", "eu-west-1"), StatesHook("aws_orchestrator", "eu-west-1")
    line = ExportQueue(tasks, states, TABLE, f"{ACCOUNT}/eu-west-1", 3)
    for number in range(2):
        rds.task(f"mine-{number}", snapshot_arn(f"o{number}"), S3Prefix="exports/db=shop/snapshot_date=2026-07-01")
    assert line.admits("shop-next", "shop")
    assert line.admits("orders-first", "orders")
    assert not line.admits("shop-next", "shop")
    line.leave("orders-first")
    assert line.admits("shop-next", "shop")


def test_a_ticket_is_written_again_before_its_owner_is_taken_for_dead_and_not_with_each_look(rds, calls) -> None:
    tasks, states = ExportTasksHook("aws_source", "eu-west-1"), StatesHook("aws_orchestrator", "eu-west-1")
    line = ExportQueue(tasks, states, TABLE, f"{ACCOUNT}/eu-west-1", 1)
    for _ in range(3):
        assert line.admits("mine", "shop")
    assert calls.count("dynamodb:PutItem") == 1
    (ticket,) = states.list_items(TABLE, line.partition)
    a_minute_ago = (datetime.now(UTC) - timedelta(seconds=60)).isoformat()
    states.put(TABLE, {**ticket, "seen": a_minute_ago})
    line.admits("mine", "shop")
    (again,) = states.list_items(TABLE, line.partition)
    assert (again["since"], again["seen"] > a_minute_ago) == (ticket["since"], True)


def test_the_dead_do_not_keep_their_place(rds, aws_session) -> None:
    tasks, states = ExportTasksHook("aws_source", "eu-west-1"), StatesHook("aws_orchestrator", "eu-west-1")
    line = ExportQueue(tasks, states, TABLE, f"{ACCOUNT}/eu-west-1", 1)
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    states.put(TABLE, {"pk": line.partition, "sk": "dead", "database": "shop", "since": long_ago, "seen": long_ago})
    assert line.admits("alive", "shop")
    assert line.admits("dead", "shop")  # it lives after all, and waited longer


def test_another_s_task_of_the_snapshot_is_waited_for(rds, export) -> None:
    rds.task("by-hand", ARN)
    rds.after(20, lambda: rds.end("by-hand"))
    assert drive(export())["task_id"] == TASK
    assert rds.names("StartExportTask") == 1


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        ("RDS can't assume the IAM role arn:x", "trust policy"),
        ("The IAM role isn't authorized to call s3:PutObject", "grant the role"),
        ("KMS key check failed", "key is enabled"),
        ("The bucket isn't located in the current Region", "own region"),
        ("Something new", "failure messages"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_remedy(rds, export, cause, remedy) -> None:
    rds.causes = [cause]
    with pytest.raises(PermanentError) as caught:
        drive(export())
    assert cause in str(caught.value)
    assert remedy in str(caught.value)
    assert rds.names("StartExportTask") == 1


def test_a_failure_that_may_pass_is_tried_again_as_often_as_the_settings_say(rds, export) -> None:
    rds.causes = ["An unknown internal error occurred"] * 2
    assert drive(export())["task_id"] == names.task(ARN, 3)
    rds.tasks.clear()
    rds.causes = ["An unknown internal error occurred"] * 3
    with pytest.raises(PermanentError, match="unknown internal error"):
        drive(export())


def test_whoever_clears_the_task_gets_another_attempt(rds, export) -> None:
    rds.causes = ["KMS key check failed"]
    with pytest.raises(PermanentError):
        drive(export())
    assert drive(export())["task_id"] == names.task(ARN, 2)


def test_a_cancelled_task_is_not_started_again_by_itself(rds, export) -> None:
    deferred = once(export())
    rds.end(TASK, "CANCELED")
    event = fire(deferred)
    with pytest.raises(PermanentError, match="cancelled"):
        export()().resume(context(), event)
    assert rds.names("StartExportTask") == 1


@pytest.mark.parametrize(("policy", "ends"), [("fail", "IN_PROGRESS"), ("cancel", "CANCELING")])
def test_a_task_that_runs_too_long(rds, export, policy, ends) -> None:
    rds.task(TASK, ARN, TaskStartTime=datetime.now(UTC) - timedelta(hours=25))
    with pytest.raises(PermanentError, match="deadline_h"):
        drive(export(settings={"on_deadline": policy}))
    assert rds.tasks[TASK]["Status"] == ends


def test_a_task_that_does_not_end_while_it_is_waited_for(rds, export) -> None:
    rds.lag = 100_000
    with pytest.raises(PermanentError, match="deadline_h"):
        drive(export(settings={"deadline_h": 0.00001, "on_deadline": "cancel"}))
    assert rds.tasks[TASK]["Status"] == "CANCELING"


def test_what_was_skipped_is_told(rds, export) -> None:
    told = {"skippedTables": ["shop.odd name"], "skippedObjectives": [], "general": ["one thread"]}
    rds.task(TASK, ARN, "COMPLETE", WarningMessage=json.dumps(told))
    found = drive(export())
    assert (found["skipped"], found["warnings"]) == (["shop.odd name"], ["one thread"])


def test_a_name_that_is_not_of_the_snapshot(export) -> None:
    with pytest.raises(PermanentError, match="not the name of a task"):
        drive(export(export_task="somebody-s"))


def test_a_snapshot_that_is_gone(rds, export) -> None:
    del rds.snapshots[NAME]
    with pytest.raises(MissingError, match="is gone"):
        drive(export())
    assert tickets() == []


def test_a_snapshot_that_is_not_there_yet(rds, export) -> None:
    rds.snapshots[NAME]["Status"] = "creating"
    with pytest.raises(StateError, match="creating"):
        drive(export())


class TestRefusedBeforeTheCall:
    """What RDS would refuse, or would fail by after hours."""

    @pytest.fixture(autouse=True)
    def nothing_started(self, rds):
        yield
        assert rds.mutations == []
        assert tickets() == []

    def test_no_bucket(self, export) -> None:
        with pytest.raises(ConfigError, match=r"bucket.*does not exist; trigger snapshot_export_setup"):
            drive(export(bucket="nowhere"))

    def test_bucket_of_another_region(self, export) -> None:
        boto3.client("s3", region_name="eu-central-1").create_bucket(
            Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        with pytest.raises(ConfigError, match="it is in eu-central-1"):
            drive(export(bucket="far"))

    def test_no_role(self, rds, export) -> None:
        with pytest.raises(ConfigError, match="there is no such role"):
            drive(export(database={"role_arn": rds.role_arn + "-not"}))

    def test_role_that_lets_others_in(self, rds, export, aws_session) -> None:
        other = json.loads(json.dumps(TRUST).replace("export.rds", "rds"))
        aws_session.client("iam").update_assume_role_policy(RoleName="exporter", PolicyDocument=json.dumps(other))
        with pytest.raises(ConfigError, match=r"must let export\.rds\.amazonaws\.com assume it"):
            drive(export())

    def test_no_key(self, export) -> None:
        with pytest.raises(ConfigError, match="there is no such key"):
            drive(export(database={"kms_key_id": "alias/none"}))

    def test_key_that_is_disabled(self, rds, export, aws_session) -> None:
        key = aws_session.client("kms").create_key()["KeyMetadata"]["KeyId"]
        aws_session.client("kms").disable_key(KeyId=key)
        with pytest.raises(ConfigError, match="enable it"):
            drive(export(database={"kms_key_id": key}))

    def test_snapshot_under_the_default_key_of_rds(self, rds, export, aws_session, calls) -> None:
        default = aws_session.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"]
        calls.clear()
        rds.snapshot(NAME, SnapshotType="automated", KmsKeyId=default)
        with pytest.raises(ConfigError, match=r"copy_first.*encrypted under AWS's default key"):
            drive(export())

    def test_serverless_v1(self, rds, export) -> None:
        rds.clusters["prod"]["EngineMode"] = "serverless"
        with pytest.raises(StateError, match="Serverless v1"):
            drive(export())

    def test_all_problems_at_once(self, rds, export) -> None:
        with pytest.raises(PermanentError) as caught:
            drive(export(bucket="nowhere", database={"kms_key_id": "alias/none", "role_arn": rds.role_arn + "-not"}))
        assert all(name in str(caught.value) for name in ("bucket", "kms_key_id", "role_arn"))
