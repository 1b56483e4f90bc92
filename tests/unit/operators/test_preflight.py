"""The preflight: every look is made whatever the others show, nothing is changed, and nothing secret is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import yaml
from aurora_ops.core.errors import ConfigError, PermanentError, StateError
from aurora_ops.hooks.base import AwsHook, aws_errors
from aurora_ops.operators.preflight import PreflightOperator
from botocore.exceptions import ClientError

from tests.unit.core.samples import raw
from tests.unit.operators.driver import context

ACCOUNTS = {"aws_source": "111111111111", "aws_destination": "222222222222", "aws_orchestrator": "000000000000"}
ROLES = {"aws_source": "source", "aws_destination": "aurora-ops-destination", "aws_orchestrator": "orchestrator"}
LOCATION = {"LocationConstraint": "eu-west-1"}
SECRET = "hunter2-and-more-of-it"


@pytest.fixture
def world(rds, aws_session, calls, monkeypatch, tmp_path):
    """Accounts in which everything is as it should be; each test takes something away."""
    world = SimpleNamespace(
        rds=rds, client=aws_session.client, accounts=dict(ACCOUNTS), roles=dict(ROLES), denied=set(), calls=calls,
        folder=tmp_path,
    )  # fmt: skip
    ec2, kms, s3 = (aws_session.client(name) for name in ("ec2", "kms", "s3"))
    rds.vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    groups = {
        name: ec2.create_security_group(GroupName=name, Description=name, VpcId=rds.vpc_id)["GroupId"]
        for name in ("isolated", "serving")
    }
    for group in groups.values():
        allow(ec2, group, "10.0.0.0/8")
    world.groups, world.keys = groups, {}
    for alias in ("alias/shop-prod", "alias/shop-staging"):
        world.keys[alias] = kms.create_key()["KeyMetadata"]["Arn"]
        kms.create_alias(AliasName=alias, TargetKeyId=world.keys[alias])
    secrets = aws_session.client("secretsmanager")
    for name in ("staging/app", "prod/readonly"):
        secrets.create_secret(Name=name, SecretString=json.dumps({"username": "u", "password": SECRET}))
    for name in ("bucket", "reports", "trail"):
        make_bucket(s3, name)
    dynamodb = aws_session.client("dynamodb")
    dynamodb.create_table(
        TableName="aurora-ops-runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": world.keys["alias/shop-prod"]},
    )
    lifetime = {"Enabled": True, "AttributeName": "expires_at"}
    dynamodb.update_time_to_live(TableName="aurora-ops-runs", TimeToLiveSpecification=lifetime)
    dynamodb.update_continuous_backups(
        TableName="aurora-ops-runs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    sns, sqs = aws_session.client("sns"), aws_session.client("sqs")
    world.topic = sns.create_topic(Name="t")["TopicArn"]
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    world.subscription = sns.subscribe(TopicArn=world.topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    trail = aws_session.client("cloudtrail")
    trail.create_trail(Name="all", S3BucketName="trail")
    trail.start_logging(Name="all")

    rds.cluster("prod-shop", refresh=False, KmsKeyId=world.keys["alias/shop-prod"])
    rds.cluster("staging-shop", instances=1)
    rds.snapshot("newest", "prod-shop", SnapshotCreateTime=datetime.now(UTC), KmsKeyId=world.keys["alias/shop-prod"])
    world.raw = raw(
        {
            "source.kms_key_id": "alias/shop-prod",
            "source.schema_secret": "prod/readonly",
            "target.security_groups": ["serving"],
            "database.users": [{"username": "app", "secret": "staging/app"}],
            "orchestrator.topic_arn": world.topic,
            "orchestrator.report_bucket": "reports",
        }
    )

    def caller(hook):
        connection = hook.aws_conn_id
        with aws_errors(f"sts:get_caller_identity through {connection}"):
            if connection in world.denied:
                raise ClientError(
                    {"Error": {"Code": "AccessDenied", "Message": "not authorized to AssumeRole"}}, "AssumeRole"
                )
        account = world.accounts[connection]
        return account, f"arn:aws:sts::{account}:assumed-role/{world.roles[connection]}/airflow"

    monkeypatch.setattr(AwsHook, "caller", caller)
    calls.clear()
    world.writes = False
    yield world
    assert world.writes or calls.mutating == []
    elsewhere = {action for more in PreflightOperator.permissions_elsewhere.values() for action in more}
    renamed = {
        "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
        "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    }
    assert {renamed.get(action, action) for action in calls} <= {*PreflightOperator.permissions, *elsewhere}


def allow(ec2, group: str, cidr: str) -> None:
    ranges = [{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "IpRanges": [{"CidrIp": cidr}]}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ranges)


def make_bucket(s3, name: str) -> None:
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=LOCATION)
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=encryption)
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def look(world, **conf):
    """Run it: its result, or its error, and the rows of its table."""
    world.calls.clear()
    (world.folder / "staging.yaml").write_text(yaml.safe_dump(world.raw))
    ctx = context(params={"environment": "staging", "write_report": False})
    ctx["dag_run"].conf = conf
    ctx["ti"].task_id = "t"
    task = PreflightOperator(task_id="t", config_folder=str(world.folder), aws_conn_id="aws_orchestrator")
    try:
        result = task.execute(ctx)
    except StateError as exc:
        result = exc
    text = ctx["ti"].xcoms.get(("t", "table"), "")
    assert SECRET not in f"{text} {result}"
    rows = {}
    for line in text.splitlines()[4:]:
        status, where, check, subject, found, remedy = (cell.strip(" `") for cell in line.strip("|").split(" | "))
        rows[where, check.strip(), subject] = SimpleNamespace(status=status, found=found, remedy=remedy)
    return result, rows


def not_passed(rows) -> dict[tuple[str, str], str]:
    return {(where, check): row.status for (where, check, _), row in rows.items() if row.status != "pass"}


def test_everything_is_as_it_should_be(world) -> None:
    result, rows = look(world)
    assert not_passed(rows) == {}
    assert result == {"environment": "staging", "counts": {"fail": 0, "warn": 0, "pass": len(rows)}, "page": None}
    assert {where for where, _, _ in rows} == {"source", "target", "orchestrator"}
    assert {check for _, check, _ in rows} == {
        "role", "account", "role of the target", "cluster", "snapshots", "sharing", "key (source.kms_key_id)",
        "key (target.kms_key_id)", "quota ManualClusterSnapshots", "quota DBClusters", "quota DBInstances", "secret",
        "security group (target.isolation_security_groups)", "security group (target.security_groups)", "parameter group",
        "audit of masking",
        "subnet group",
        "instance class", "copies of snapshots", "bucket", "encryption", "public access", "versioning", "table", "time to live",
        "point-in-time recovery", "topic", "CloudTrail",
    }  # fmt: skip
    assert (
        rows["target", "security group (target.isolation_security_groups)", "isolated"].found == "on 3306: 10.0.0.0/8"
    )


def test_all_that_is_wrong_is_said_at_once(world) -> None:
    """One thing of each kind."""
    rds = world.rds
    rds.clusters["staging-shop"]["TagList"] = []
    rds.snapshots["newest"]["SnapshotCreateTime"] = datetime.now(UTC) - timedelta(days=9)
    world.raw["source"]["snapshot"] = "newest"
    rds.zones, rds.family, rds.quota = ("eu-west-1a",), "aurora-mysql5.7", (100, 100)
    world.raw["target"]["instances"]["class"] = "db.r3.large"
    world.client("kms").disable_key(KeyId=world.keys["alias/shop-staging"].rpartition("/")[2])
    world.client("kms").delete_alias(AliasName="alias/shop-prod")
    world.client("secretsmanager").put_secret_value(SecretId="staging/app", SecretString=json.dumps({"username": "u"}))
    world.client("secretsmanager").put_secret_value(SecretId="prod/readonly", SecretString=SECRET)
    allow(world.client("ec2"), world.groups["isolated"], "0.0.0.0/0")
    allow(world.client("ec2"), world.groups["serving"], "0.0.0.0/0")
    s3 = world.client("s3")
    s3.delete_bucket(Bucket="bucket")
    s3.delete_public_access_block(Bucket="reports")
    s3.delete_bucket_encryption(Bucket="reports")
    s3.put_bucket_versioning(Bucket="reports", VersioningConfiguration={"Status": "Suspended"})
    world.client("sns").unsubscribe(SubscriptionArn=world.subscription)
    world.client("cloudtrail").stop_logging(Name="all")
    dynamodb = world.client("dynamodb")
    dynamodb.update_time_to_live(
        TableName="aurora-ops-runs", TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires_at"}
    )
    dynamodb.update_continuous_backups(
        TableName="aurora-ops-runs", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    result, rows = look(world)
    assert not_passed(rows) == {
        ("target", "cluster"): "fail",
        ("source", "snapshots"): "fail",
        ("target", "subnet group"): "fail",
        ("target", "parameter group"): "fail",
        ("source", "quota ManualClusterSnapshots"): "fail",
        ("target", "quota ManualClusterSnapshots"): "fail",
        ("target", "instance class"): "fail",
        ("target", "key (target.kms_key_id)"): "fail",
        ("source", "key (source.kms_key_id)"): "fail",
        ("target", "secret"): "fail",
        ("source", "secret"): "fail",
        ("target", "security group (target.isolation_security_groups)"): "fail",
        ("target", "security group (target.security_groups)"): "warn",
        ("target", "bucket"): "fail",
        ("orchestrator", "public access"): "fail",
        ("orchestrator", "encryption"): "fail",
        ("orchestrator", "versioning"): "warn",
        ("orchestrator", "topic"): "warn",
        ("orchestrator", "time to live"): "fail",
        ("orchestrator", "point-in-time recovery"): "warn",
        ("source", "CloudTrail"): "warn",
        ("target", "CloudTrail"): "warn",
        ("orchestrator", "CloudTrail"): "warn",
    }
    assert all(row.remedy for row in rows.values() if row.status != "pass")
    assert "refresh=true" in rows["target", "cluster", "staging-shop"].found
    assert rows["source", "snapshots", "prod-shop"].found == "'newest'"
    assert rows["source", "snapshots", "prod-shop"].remedy.startswith("source.snapshot: the youngest is 216.0 h old")
    assert rows["target", "secret", "staging/app"].found == "without password"
    assert "is not a JSON object" in rows["source", "secret", "prod/readonly"].found
    assert isinstance(result, StateError)
    assert "16 prerequisites are not met:" in str(result)
    assert "- target, secret of staging/app: without password; write password into it, as text" in str(result)


def test_a_connection_that_leads_elsewhere_leaves_the_rest_unlooked_at(world) -> None:
    world.accounts["aws_destination"] = "999999999999"
    _, rows = look(world)
    assert rows["target", "account", "aws_destination"].status == "fail"
    of_target = {check: row.found for (where, check, _), row in rows.items() if where == "target"}
    assert set(of_target.values()) - {"999999999999", "aurora-ops-destination"} == {
        "arn:aws:sts::999999999999:assumed-role/aurora-ops-destination/airflow",
        "not looked at",
    }
    assert not [row for (where, _, _), row in rows.items() if where != "target" and row.status != "pass"]


def test_a_role_that_cannot_be_assumed(world) -> None:
    world.denied = {"aws_source"}
    _, rows = look(world)
    assert rows["source", "role", "aws_source"].status == "fail"
    assert "AccessDenied" in rows["source", "role", "aws_source"].found
    assert rows["source", "cluster", "prod-shop"].found == "not looked at"
    assert rows["target", "instance class", "db.r6g.large"].found == "can be ordered for any version"


def test_another_role_than_the_settings_name(world) -> None:
    world.roles["aws_destination"] = "someone"
    _, rows = look(world)
    assert not_passed(rows) == {("target", "role of the target"): "fail"}


def test_a_first_refresh_and_settings_left_out(world) -> None:
    del world.rds.clusters["staging-shop"]
    for name in ("topic_arn", "report_bucket"):
        del world.raw["orchestrator"][name]
    result, rows = look(world)
    assert not_passed(rows) == {("orchestrator", "topic"): "warn", ("orchestrator", "bucket"): "warn"}
    assert rows["target", "cluster", "staging-shop"].found == "there is none: a first refresh makes it"
    assert result["counts"]["warn"] == 2


def test_a_stopped_target_is_a_warning(world) -> None:
    world.rds.clusters["staging-shop"]["Status"] = "stopped"
    assert not_passed(look(world)[1]) == {("target", "cluster"): "warn"}


def test_a_source_that_is_not_there(world) -> None:
    del world.rds.clusters["prod-shop"]
    _, rows = look(world)
    assert not_passed(rows) == {("source", "cluster"): "fail", ("target", "parameter group"): "warn"}


def test_copies_under_way_are_counted(world) -> None:
    for number in range(5):
        world.rds.snapshot(f"c{number}", Status="copying")
    assert not_passed(look(world)[1]) == {("target", "copies of snapshots"): "warn"}


def test_keys_of_copies_in_other_regions(world) -> None:
    copy_to = [{"region": "eu-central-1", "kms_key_id": "alias/far"}]
    world.raw["retention"] = {"clusters": [{"account": "target", "cluster": "staging-shop", "copy_to": copy_to}]}
    assert not_passed(look(world)[1]) == {("target", "key (retention.clusters.copy_to.kms_key_id)"): "fail"}


def test_the_salt_of_masking(world) -> None:
    world.client("secretsmanager").create_secret(Name="salt", SecretString=json.dumps({"salt": "short"}))
    world.raw["database"]["masking"] = {"salt_secret": "salt"}
    _, rows = look(world)
    assert rows["target", "secret", "salt"].found == "its salt is short"


@pytest.mark.parametrize(
    ("values", "status", "found"),
    [
        ({}, "pass", "no audit log"),
        ({"logging": "0", "events": "QUERY"}, "pass", "no audit log"),
        ({"logging": "1"}, "pass", "nothing"),
        ({"logging": "ON", "events": "CONNECT,QUERY_DML"}, "pass", "CONNECT, QUERY_DML"),
        ({"logging": "1", "events": "CONNECT,QUERY"}, "warn", "CONNECT, QUERY"),
        ({"logging": "1", "events": "QUERY", "excl_users": "app, admin"}, "pass", "not of admin"),
        ({"logging": "1", "events": "QUERY", "incl_users": "app"}, "pass", "not of admin"),
        ({"logging": "1", "events": "QUERY", "incl_users": "admin", "excl_users": "admin"}, "warn", "QUERY"),
    ],
)
def test_the_salt_of_masking_stays_out_of_audit_logs(world, values, status, found) -> None:
    world.rds.clusters["prod-shop"]["MasterUsername"] = "admin"
    group = world.rds.clusters["staging-shop"]["DBClusterParameterGroup"]
    world.rds.parameters[group] = {f"server_audit_{name}": value for name, value in values.items()}
    _, rows = look(world)
    row = rows["target", "audit of masking", group]
    assert (row.status, row.found) == (status, found)


def test_where_audit_logs_are_kept(world) -> None:
    place = {"aws_conn_id": "aws_source", "account_id": "111111111111", "region": "eu-west-1"}
    world.client("dynamodb").create_table(
        TableName="logs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    world.raw["audit_logs"] = {"bucket": "bucket", "state_table": "logs", "places": [place]}
    _, rows = look(world)
    assert rows["orchestrator", "table", "logs"].status == "pass"
    assert rows["orchestrator", "bucket", "bucket"].status == "pass"
    world.raw["audit_logs"] |= {"bucket": "no-such-bucket", "state_table": "no-such-table"}
    _, rows = look(world)
    assert rows["orchestrator", "bucket", "no-such-bucket"].status == "fail"
    assert rows["orchestrator", "table", "no-such-table"].status == "fail"


def test_an_aws_that_is_busy_is_a_row_too(world) -> None:
    world.rds.fail("DescribeDBSubnetGroups", "Throttling", times=9)
    _, rows = look(world)
    row = rows["target", "subnet group", "staging-db"]
    assert (row.status, row.remedy) == ("fail", "run this again; AWS or the network may be busy")


def test_the_report_is_written_only_where_it_is_asked_for(world) -> None:
    world.writes = True
    result, _ = look(world, write_report=True)
    assert world.calls.mutating == ["s3:PutObject", "s3:PutObject"]
    assert result["page"] == "s3://reports/aurora-ops/staging/2026/07/01/manual__1/preflight.html"
    key = result["page"].removeprefix("s3://reports/").replace(".html", ".json")
    stored = json.loads(world.client("s3").get_object(Bucket="reports", Key=key)["Body"].read())
    world.calls.clear()
    assert stored["counts"]["fail"] == 0


def test_a_failed_preflight_names_its_report(world) -> None:
    world.writes, world.rds.zones = True, ()
    result, _ = look(world, write_report=True)
    assert "1 prerequisites are not met; the report is s3://reports/" in str(result)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"environment": "prod"}, r"environments with a file are \['staging'\]"),
        ({"writereport": True}, "known run parameters are"),
        ({"write_report": "maybe"}, "write_report: 'maybe'"),
    ],
)
def test_wrong_parameters(world, conf, said) -> None:
    with pytest.raises(PermanentError, match=said):
        look(world, **conf)
    assert not world.calls


def test_a_report_without_a_bucket_is_refused_before_anything_is_looked_at(world) -> None:
    del world.raw["orchestrator"]["report_bucket"]
    with pytest.raises(ConfigError, match="write_report: True is not allowed; only where"):
        look(world, write_report=True)
    assert not world.calls


def test_a_wrong_file_is_all_that_is_said(world) -> None:
    world.raw["target"]["kms_key"] = "x"
    with pytest.raises(ConfigError, match=r"target\.kms_key: 'x' is not allowed"):
        look(world)
    assert not world.calls
