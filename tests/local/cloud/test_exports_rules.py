"""Exports: what StartExportTask refuses, the limit, cancelling, describing, and what fault rules do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.client import admin_operation
from tests.local.cloud import export_helpers as eh
from tests.local.cloud.export_helpers import Place
from tests.local.cloud.rds_helpers import PRODUCTION, STAGING, base, held, refused, shared, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

PREFIX = f"arn:aws:rds:eu-west-1:{PRODUCTION}"


@pytest.fixture(scope="module")
def place(cloud: LocalCloud) -> Place:
    return eh.make_place(cloud, PRODUCTION, "rules")


@pytest.fixture(scope="module")
def arn(cloud: LocalCloud) -> str:
    return base(cloud).arn


@pytest.fixture(scope="module")
def rds(cloud: LocalCloud) -> Any:
    return cloud.client(PRODUCTION, "rds")


@pytest.fixture(scope="module")
def past(cloud: LocalCloud, arn: str) -> list[str]:
    """ARNs of snapshots of eight days gone by."""
    made = admin_operation(
        "rds-past-snapshots",
        cloud.config,
        account=PRODUCTION,
        region="eu-west-1",
        cluster="rds-base",
        moments=[1767312000 + 86400 * day for day in range(8)],
        like="rds-base",
    )["DBClusterSnapshotIdentifiers"]
    return [f"{PREFIX}:cluster-snapshot:{name}" for name in made]


@pytest.fixture
def faults(cloud: LocalCloud) -> Iterator[Any]:
    def add(**rule: Any) -> None:
        admin_operation("faults-add", cloud.config, service="rds", **rule)

    yield add
    admin_operation("faults-clear", cloud.config)


@pytest.mark.parametrize(
    "identifier", ["1a", "a--b", "a-", "-a", "a_b", "ä", "a" * 61, "a.b"], ids=lambda value: value[:5]
)
def test_identifiers_are_checked(place: Place, arn: str, identifier: str) -> None:
    with refused("InvalidParameterValue", "ExportTaskIdentifier"):
        place.start(identifier, arn)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("cluster-snapshot:missing", "DBClusterSnapshotNotFoundFault"),
        ("snapshot:missing", "DBSnapshotNotFound"),
        ("cluster:missing", "DBClusterNotFoundFault"),
        ("db:rds-base-1", "InvalidParameterValue"),
    ],
)
def test_the_source_must_be_there(place: Place, source: str, code: str) -> None:
    with refused(code, source):
        place.start("no-source", f"{PREFIX}:{source}")


def test_a_snapshot_that_is_only_shared_is_not_a_source(cloud: LocalCloud, arn: str) -> None:
    elsewhere = eh.make_place(cloud, STAGING, "elsewhere")
    with shared(cloud, STAGING), refused("DBClusterSnapshotNotFoundFault"):
        elsewhere.start("shared", arn)


@pytest.mark.parametrize("only", [["shop.items.x"], ["shop."], ["sh-op"], ["shop.`items`"], [""]])
def test_export_only_takes_plain_names(place: Place, arn: str, only: list[str]) -> None:
    with refused("InvalidExportOnly"):
        place.start("partial", arn, ExportOnly=only)


def test_export_only_has_200_kb(place: Place, arn: str) -> None:
    with refused("InvalidExportOnly", "bytes"):
        place.start("partial", arn, ExportOnly=[f"shop.{number:0200}" for number in range(1100)])


def test_a_prefix_has_no_colon(place: Place, arn: str) -> None:
    with refused("InvalidParameterValue", "S3Prefix", "colon"):
        place.start("prefix", arn, S3Prefix="at/2026-01-01T10:00")


def test_a_slash_at_the_end_of_the_prefix_fails_later(place: Place, arn: str) -> None:
    task = place.run("slash", arn, S3Prefix="lake/")
    assert task["Status"] == "FAILED"
    assert "writing the export task's metadata" in task["FailureCause"]
    assert place.objects("lake/") == {}


def test_the_bucket_must_be_there_and_in_the_region(cloud: LocalCloud, place: Place, arn: str) -> None:
    with refused("InvalidS3BucketFault", "doesn't exist"):
        place.start("bucket", arn, S3BucketName="nobody-has-this")
    far = eh.make_bucket(cloud, PRODUCTION, "exports-far", "eu-central-1")
    with refused("InvalidS3BucketFault", "isn't located in the current AWS Region"):
        place.start("bucket", arn, S3BucketName=far)


def test_the_role_must_be_there_trusted_and_permitted(cloud: LocalCloud, place: Place, arn: str) -> None:
    with refused("IamRoleNotFound"):
        place.start("role", arn, IamRoleArn=f"arn:aws:iam::{PRODUCTION}:role/nobody")
    right = eh.permissions(place.bucket)
    wrong = {
        "of-another-account": eh.trust(StringEquals={"aws:SourceAccount": STAGING}),
        "of-another-source": eh.trust(ArnLike={"aws:SourceArn": f"{PREFIX}:cluster-snapshot:other*"}),
        "of-another-service": eh.trust().replace("export.rds", "rds"),
    }
    for name, trust in wrong.items():
        role = eh.make_role(cloud, PRODUCTION, name, trust, right)
        with refused("IamRoleMissingPermissions", "can't assume the IAM role", name):
            place.start("role", arn, IamRoleArn=role)
    for lacking in eh.ACTIONS:
        rest = [action for action in eh.ACTIONS if action != lacking]
        name = f"lacks-{lacking[3:].rstrip('*')}"
        role = eh.make_role(cloud, PRODUCTION, name, eh.trust(), eh.permissions(place.bucket, rest))
        with refused("IamRoleMissingPermissions", lacking.rstrip("*")):
            place.start("role", arn, IamRoleArn=role)


def test_the_buckets_policy_may_deny(cloud: LocalCloud, place: Place, arn: str) -> None:
    s3 = cloud.admin(PRODUCTION, "s3")

    def deny(**condition: Any) -> None:
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{place.bucket}", f"arn:aws:s3:::{place.bucket}/*"],
            "Condition": condition,
        }
        s3.put_bucket_policy(
            Bucket=place.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )

    try:
        deny(ArnLike={"aws:PrincipalArn": place.role})
        with refused("IamRoleMissingPermissions"):
            place.start("denied", arn)
        # what buckets usually deny keeps no export away
        deny(Bool={"aws:SecureTransport": "false"})
        assert place.run("secure", arn)["Status"] == "COMPLETE"
    finally:
        s3.delete_bucket_policy(Bucket=place.bucket)


def test_a_bucket_of_another_account_must_allow_the_role(cloud: LocalCloud, place: Place, arn: str) -> None:
    bucket = eh.make_bucket(cloud, STAGING, "exports-of-others")
    cloud.admin(PRODUCTION, "iam").put_role_policy(
        RoleName="rules", PolicyName="others", PolicyDocument=eh.permissions(bucket)
    )
    with refused("IamRoleMissingPermissions"):
        place.start("abroad", arn, S3BucketName=bucket)
    policy = json.loads(eh.permissions(bucket))
    policy["Statement"][0]["Principal"] = {"AWS": place.role}
    cloud.admin(STAGING, "s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert place.run("abroad", arn, S3BucketName=bucket)["Status"] == "COMPLETE"
    found = cloud.admin(STAGING, "s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert "abroad/export_info_abroad.json" in {item["Key"] for item in found}


def test_the_key_must_be_a_customers_enabled_and_of_the_region(cloud: LocalCloud, place: Place, arn: str) -> None:
    kms = cloud.admin(PRODUCTION, "kms")
    disabled = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=disabled)
    closed = kms.create_key(
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
                        "Action": ["kms:DescribeKey", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy"],
                        "Resource": "*",
                    }
                ],
            }
        ),
        BypassPolicyLockoutSafetyCheck=True,
    )["KeyMetadata"]["Arn"]
    far = place.key.replace("eu-west-1", "eu-central-1")
    for key in (disabled, closed, far, "alias/aws/rds", "alias/nobody"):
        with refused("KMSKeyNotAccessibleFault", key):
            place.start("key", arn, KmsKeyId=key)
    kms.create_alias(AliasName="alias/rules-exports", TargetKeyId=place.key)
    task = place.start("by-alias", arn, KmsKeyId="alias/rules-exports")
    assert task["KmsKeyId"] == place.key
    assert place.wait("by-alias")["Status"] == "COMPLETE"


def test_an_identifier_is_used_once_also_by_a_task_that_has_ended(place: Place, arn: str) -> None:
    place.run("once", arn)
    with refused("ExportTaskAlreadyExists", "once"):
        place.start("once", arn)


def test_one_task_a_snapshot_and_five_an_account(
    cloud: LocalCloud, place: Place, rds: Any, arn: str, past: list[str]
) -> None:
    with held(cloud):
        for number, source in enumerate(past[:4]):
            place.start(f"limit-{number}", source)
        with refused("InvalidExportSourceState", "limit-0"):
            place.start("again", past[0], ExportOnly=["shop"])
        cluster = place.start("limit-4", f"{PREFIX}:cluster:rds-base")
        assert cluster["SourceType"] == "CLUSTER"
        with refused("ExportTaskLimitReachedFault", "5 concurrent export tasks"):
            place.start("limit-5", past[5])
        rds.cancel_export_task(ExportTaskIdentifier="limit-0")
        with refused("ExportTaskLimitReachedFault"):  # it is only being canceled
            place.start("limit-5", past[5])
        running = rds.describe_export_tasks(Filters=[{"Name": "status", "Values": ["starting", "canceling"]}])
        assert len(running["ExportTasks"]) == 5
        assert rds.describe_export_tasks(Filters=[{"Name": "status", "Values": ["STARTING"]}])["ExportTasks"] == []
        with refused("ExportTaskNotFound"):
            rds.cancel_export_task(ExportTaskIdentifier="limit-5")
        with refused("InvalidExportTaskStateFault", "CANCELING"):
            rds.cancel_export_task(ExportTaskIdentifier="limit-0")
    assert [place.wait(f"limit-{n}")["Status"] for n in range(5)] == ["CANCELED", *["COMPLETE"] * 4]
    assert place.objects("limit-0/") == {}
    assert place.table("limit-4/shop/shop.items").num_rows == 3
    with refused("InvalidExportTaskStateFault", "COMPLETE"):
        rds.cancel_export_task(ExportTaskIdentifier="limit-1")


def test_tasks_are_described_by_pages_and_filters(place: Place, rds: Any, past: list[str]) -> None:
    place.run("described", past[6])
    found = rds.describe_export_tasks(SourceArn=past[6])["ExportTasks"]
    assert [task["ExportTaskIdentifier"] for task in found] == ["described"]
    assert found[0]["SnapshotTime"].timestamp() == 1767312000 + 86400 * 6
    for name, value in (("export-task-identifier", "described"), ("source-arn", past[6]), ("s3-bucket", place.bucket)):
        tasks = rds.describe_export_tasks(Filters=[{"Name": name, "Values": [value]}])["ExportTasks"]
        assert "described" in {task["ExportTaskIdentifier"] for task in tasks}
    for number in range(20):
        task = place.arguments(f"page-{number}", past[6], S3Prefix="ends/")
        rds.start_export_task(**task)
        place.wait(f"page-{number}")
    first = rds.describe_export_tasks(SourceArn=past[6], MaxRecords=20)
    second = rds.describe_export_tasks(SourceArn=past[6], MaxRecords=20, Marker=first["Marker"])
    assert (len(first["ExportTasks"]), len(second["ExportTasks"])) == (20, 1)
    assert "Marker" not in second
    assert rds.describe_export_tasks(SourceType="CLUSTER", SourceArn=past[6])["ExportTasks"] == []
    with refused("InvalidParameterValue", "filter"):
        rds.describe_export_tasks(Filters=[{"Name": "state", "Values": ["complete"]}])
    with refused("ExportTaskNotFound"):
        rds.describe_export_tasks(ExportTaskIdentifier="nobody")


def test_statuses_go_on_and_the_progress_grows(cloud: LocalCloud, place: Place, past: list[str]) -> None:
    place.start("watched", past[7])
    progress = []

    def status() -> str:
        task = place.describe("watched")
        progress.append(task["PercentProgress"])
        return str(task["Status"])

    assert [one for one in watch(status, *eh.ENDS) if one != "STARTING"] == ["IN_PROGRESS", "COMPLETE"]
    assert progress == sorted(progress)
    assert progress[-1] == 100


def test_a_rule_lets_a_task_fail_with_a_cause(place: Place, past: list[str], faults: Any) -> None:
    cause = "KMS key check failed. Check the credentials on your KMS key and try again."
    faults(action="StartExportTask", resource="fails", effect="status", becomes="FAILED", message=cause)
    task = place.run("fails", past[0])
    assert (task["Status"], task["FailureCause"]) == ("FAILED", cause)
    assert task["TaskEndTime"] > task["TaskStartTime"]
    assert not [key for key in place.objects("fails/") if "export_info" in key]
    assert place.run("fails-not", past[0])["Status"] == "COMPLETE"


def test_a_rule_lets_a_task_stick_until_it_is_canceled(
    cloud: LocalCloud, place: Place, rds: Any, past: list[str], faults: Any
) -> None:
    faults(action="StartExportTask", resource="sticks", effect="status", becomes="IN_PROGRESS")
    place.start("sticks", past[1])
    place.wait("sticks", "IN_PROGRESS")
    rest = place.run("beside", past[2])
    assert rest["Status"] == "COMPLETE"
    assert place.describe("sticks")["Status"] == "IN_PROGRESS"
    rds.cancel_export_task(ExportTaskIdentifier="sticks")
    assert place.wait("sticks")["Status"] == "CANCELED"
    assert any(key.endswith(".parquet") for key in place.objects("sticks/"))  # what was written stays
    assert not [key for key in place.objects("sticks/") if key.endswith(".json")]


def test_a_rule_on_describe_ends_a_task_that_runs(
    cloud: LocalCloud, place: Place, past: list[str], faults: Any
) -> None:
    with held(cloud):
        place.start("struck", past[3])
        faults(action="DescribeExportTasks", resource="struck", effect="status", becomes="FAILED")
        task = place.describe("struck")
        assert (task["Status"], task["FailureCause"]) == ("FAILED", "An unknown internal error occurred.")
    assert place.describe("struck")["Status"] == "FAILED"


def test_what_becomes_wrong_while_it_runs_is_the_failure_cause(
    cloud: LocalCloud, place: Place, past: list[str]
) -> None:
    iam, s3 = cloud.admin(PRODUCTION, "iam"), cloud.admin(PRODUCTION, "s3")
    role = eh.make_role(cloud, PRODUCTION, "going", eh.trust(), eh.permissions(place.bucket))
    bucket = eh.make_bucket(cloud, PRODUCTION, "exports-going")
    iam.put_role_policy(RoleName="rules", PolicyName="going", PolicyDocument=eh.permissions(bucket))
    with held(cloud):
        place.start("role-goes", past[4], IamRoleArn=role)
        place.start("bucket-goes", past[5], S3BucketName=bucket)
        iam.delete_role_policy(RoleName="going", PolicyName="export")
        s3.delete_bucket(Bucket=bucket)
    assert "isn't authorized to call s3:" in place.wait("role-goes")["FailureCause"]
    assert "doesn't exist" in place.wait("bucket-goes")["FailureCause"]


def test_the_snapshot_may_go_while_it_is_exported(cloud: LocalCloud, place: Place, rds: Any, arn: str) -> None:
    rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier="rds-base", TargetDBClusterSnapshotIdentifier="exports-goes"
    )
    source = f"{PREFIX}:cluster-snapshot:exports-goes"
    with refused("InvalidExportSourceState", "copying"):
        place.start("early", source)
    rds.get_waiter("db_cluster_snapshot_available").wait(
        DBClusterSnapshotIdentifier="exports-goes", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    place.start("goes", source)
    place.wait("goes", "IN_PROGRESS", "COMPLETE")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="exports-goes")
    assert place.wait("goes")["Status"] == "COMPLETE"
    assert place.table("goes/shop/shop.items").num_rows == 3
