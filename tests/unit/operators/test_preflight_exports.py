"""What the preflight says of exports: set up, not yet, in part, and wrongly."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from aurora_ops.core import environments
from aurora_ops.core.exports import names
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.operators.preflight_exports import LOOKS, ExportRows
from aurora_ops.operators.preflight_rows import Survey

from devstack.settings import REPO

ACCOUNT = "123456789012"  # moto's
BUCKET = names.setup("shop", ACCOUNT)
REMEDY = "trigger snapshot_export_setup_staging"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "export.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


class World:
    """An account of moto, and what the preflight says of it."""

    def __init__(self, session: Any) -> None:
        self.client = session.client
        self.about: dict[str, Any] = {}

    def rows(self) -> dict[str, tuple[str, str, str]]:
        """Check to status, what was found, remedy."""
        content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())
        content["source"]["account_id"] = ACCOUNT
        content["exports"]["databases"][0] |= self.about
        content["safety"]["protected_accounts"] = [ACCOUNT]
        content.pop("audit_logs")
        content.pop("retention")
        settings = environments.resolve(content).settings
        assert settings.exports is not None
        survey = Survey(settings)
        survey._reached.update({"source", "target", "orchestrator"})
        ExportRows(settings, settings.exports, survey._row).all()
        return {row.check.partition(" (export")[0]: tuple(row.finding) for row in survey.rows}

    def bucket(self) -> None:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
        block = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)

    def role(self, trust: dict[str, Any]) -> None:
        self.client("iam").create_role(RoleName=names.role("shop"), AssumeRolePolicyDocument=json.dumps(trust))

    def queue(self, **redrive: Any) -> None:
        sqs = self.client("sqs")
        sqs.create_queue(QueueName=names.dead_letters("staging"))
        policy = {"deadLetterTargetArn": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{names.dead_letters('staging')}", **redrive}
        given = {"RedrivePolicy": json.dumps(policy)} if redrive else {}
        sqs.create_queue(QueueName=names.queue("staging"), Attributes={"SqsManagedSseEnabled": "true", **given})

    def table(self) -> None:
        dynamodb = self.client("dynamodb")
        dynamodb.create_table(
            TableName="aurora-ops-exports",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        lifetime = {"Enabled": True, "AttributeName": "expires_at"}
        dynamodb.update_time_to_live(TableName="aurora-ops-exports", TimeToLiveSpecification=lifetime)
        dynamodb.update_continuous_backups(
            TableName="aurora-ops-exports", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )

    def workgroup(self, **changes: Any) -> None:
        result = {"OutputLocation": "s3://b/athena/", "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS"}}
        about = {"EnforceWorkGroupConfiguration": True, "ResultConfiguration": result, **changes}
        self.client("athena").create_work_group(Name=names.workgroup("shop"), Configuration=about)

    def all(self) -> None:
        self.bucket()
        self.role(TRUST)
        self.queue(maxReceiveCount=20)
        self.table()
        self.workgroup()
        self.client("glue").create_database(DatabaseInput={"Name": "shop"})
        kms = self.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=names.alias("shop"), TargetKeyId=key)


@pytest.fixture
def world(aws_session) -> World:
    return World(aws_session)


def test_all_is_well_once_it_is_set_up(world) -> None:
    world.all()
    rows = world.rows()
    assert {check: row for check, row in rows.items() if row[0] != "pass"} == {}
    assert set(rows) == {
        "table", "time to live", "point-in-time recovery", "bucket", "encryption", "public access", "role", "key",
        "Glue database", "work group", "queue of snapshots' events", "export tasks",
    }  # fmt: skip


def test_before_the_setup_nothing_fails_but_the_table_that_it_does_not_make(world) -> None:
    rows = world.rows()
    failed = {check for check, (status, *_) in rows.items() if status == "fail"}
    assert failed == {"table", "time to live", "point-in-time recovery"}
    for check in ("bucket", "role", "key", "Glue database", "work group", "queue of snapshots' events"):
        assert rows[check] == ("warn", "not set up yet", REMEDY), check
    assert "encryption" not in rows


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("role", "no such role"),
        ("key", "no such key"),
        ("Glue database", "there is none"),
        ("work group", "there is none"),
        ("queue of snapshots' events", "there is none"),
    ],
)
def test_what_is_missing_beside_a_bucket_fails_with_the_remedy(world, check, words) -> None:
    world.bucket()
    status, found, remedy = world.rows()[check]
    assert status == "fail"
    assert words in f"{found} {remedy}"
    assert "snapshot_export_setup" in remedy


def test_a_bucket_that_is_named_must_be_there(world) -> None:
    world.about = {"bucket": "mine-own"}
    status, _, remedy = world.rows()["bucket"]
    assert (status, "does not exist" in remedy) == ("fail", True)


def test_a_bucket_elsewhere_is_none(world, monkeypatch) -> None:
    world.bucket()
    monkeypatch.setattr(BucketsHook, "region_of", lambda *_: "eu-central-1")
    status, _, remedy = world.rows()["bucket"]
    assert status == "fail"
    assert "RDS exports to eu-west-1 only" in remedy


def test_a_role_that_rds_may_not_assume(world) -> None:
    world.all()
    iam = world.client("iam")
    other = json.dumps(TRUST).replace("export.rds", "rds")
    iam.update_assume_role_policy(RoleName=names.role("shop"), PolicyDocument=other)
    status, _, remedy = world.rows()["role"]
    assert status == "fail"
    assert "must let export.rds.amazonaws.com assume it" in remedy


@pytest.mark.parametrize(
    ("redrive", "words"), [({}, "no dead letters"), ({"maxReceiveCount": 2}, "dead letters after 2 receives")]
)
def test_a_queue_that_loses_or_gives_up_too_soon_is_warned_of(world, redrive, words) -> None:
    world.bucket()
    world.queue(**redrive)
    status, found, _ = world.rows()["queue of snapshots' events"]
    assert status == "warn"
    assert words in found


def test_a_work_group_whose_answers_may_go_anywhere_is_warned_of(world) -> None:
    world.bucket()
    world.workgroup(EnforceWorkGroupConfiguration=False)
    assert world.rows()["work group"][0] == "warn"


def test_as_many_tasks_as_may_run_are_warned_of(world, monkeypatch) -> None:
    monkeypatch.setattr(ExportTasksHook, "list_running", lambda _: [None] * 5)
    assert world.rows()["export tasks"][:2] == ("warn", "5 of 5 run in eu-west-1")


def test_calls_no_more_than_is_declared(world, monkeypatch) -> None:
    used: set[str] = set()
    beyond = AwsHook.call

    def call(self, operation, /, **given):
        name = {"head_bucket": "ListBucket", "get_bucket_encryption": "GetEncryptionConfiguration",
                "get_public_access_block": "GetBucketPublicAccessBlock"}.get(operation)  # fmt: skip
        used.add(f"{self.service}:{name or ''.join(part.title() for part in operation.split('_'))}")
        return beyond(self, operation, **given)

    monkeypatch.setattr(AwsHook, "call", call)
    world.all()
    world.rows()
    of_table = {one for one in used if one.startswith("dynamodb:")}
    assert used - of_table <= set(LOOKS)
    assert set(LOOKS) - used == {"rds:DescribeExportTasks"}, "which are listed by pages"
