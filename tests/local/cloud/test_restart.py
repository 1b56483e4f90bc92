"""A localcloud that is killed or ended, and started again with its state; a database server that dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from botocore.exceptions import HTTPClientError

from localcloud import client as clients
from localcloud.client import admin_operation
from localcloud.config import CloudConfig
from localcloud.process import is_alive, running_pid, until
from localcloud.seed.accounts import seed_roles
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud
from tests.local.cloud.event_helpers import queue_policy
from tests.local.cloud.rds_helpers import (
    PASSWORD,
    PRODUCTION,
    STAGING,
    cluster,
    connect,
    create_cluster,
    create_instance,
    delete_cluster,
    instance,
    query,
    refused,
    shareable_key,
    snapshot,
    wait_cluster,
    wait_instance,
    wait_snapshot,
    watch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.local, pytest.mark.slow]

SHARED = "000000000000"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud of this module's own, which it may kill; filled by :func:`fill` once."""
    environment = localcloud_environment(tmp_path_factory.mktemp("restart"), free_port(), free_port())
    environment["LOCALCLOUD_WAIT_S"] = "0.1"
    environment["LOCALCLOUD_BINLOG_MIB"] = "1"
    config = CloudConfig.from_env(environment)
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stderr
    try:
        seed_roles(config)
        yield LocalCloud(config, environment)
    finally:
        run_localcloud(environment, "down")


def restart(own: LocalCloud, number: signal.Signals = signal.SIGKILL) -> None:
    """End the server by a signal, and start it again with its state."""
    pid = running_pid(own.config)
    assert pid is not None
    os.kill(pid, number)
    assert until(lambda: not is_alive(pid), 30)
    up = run_localcloud(own.environment, "up", "--keep")
    assert up.returncode == 0, up.stderr + own.config.log_file.read_text()[-3000:]
    assert "as they were" in up.stdout


def fill(own: LocalCloud) -> dict[str, Any]:
    """Make something in every service that a refresh uses; return what tells that it is there."""
    iam, kms = own.admin(STAGING, "iam"), own.admin(STAGING, "kms")
    key = kms.create_key(Description="kept")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
    kms.create_grant(
        KeyId=key, GranteePrincipal=f"arn:aws:iam::{PRODUCTION}:root", Operations=["Decrypt", "DescribeKey"]
    )
    cipher = kms.encrypt(KeyId=key, Plaintext=b"kept")["CiphertextBlob"]
    rsa = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    iam.create_user(UserName="kept")
    user_key = iam.create_access_key(UserName="kept")["AccessKey"]
    secrets = own.admin(STAGING, "secretsmanager")
    secrets.create_secret(Name="kept", SecretString="one")
    secrets.put_secret_value(SecretId="kept", SecretString="two")
    ssm = own.admin(STAGING, "ssm")
    ssm.put_parameter(Name="/kept", Value="value", Type="String", Tags=[{"Key": "a", "Value": "b"}])
    s3 = own.admin(STAGING, "s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="kept", Key="small", Body=b"small")
    s3.put_object(Bucket="kept", Key="large", Body=b"large" * 100_000)
    dynamodb = own.admin(SHARED, "dynamodb")
    dynamodb.create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="kept", Item={"id": {"S": "1"}, "n": {"N": "7"}})
    sns, sqs = own.admin(SHARED, "sns"), own.admin(SHARED, "sqs")
    topic, queue = sns.create_topic(Name="kept")["TopicArn"], sqs.create_queue(QueueName="kept")["QueueUrl"]
    arn = topic.replace(":sns:", ":sqs:")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": queue_policy(topic, arn)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="before")
    ec2 = own.admin(STAGING, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="kept", Description="kept", VpcId=vpc)["GroupId"]
    return {
        "cipher": cipher,
        "rsa": rsa,
        "user_key": user_key,
        "topic": topic,
        "queue": queue,
        "vpc": vpc,
        "group": group,
    }


def check(own: LocalCloud, made: dict[str, Any]) -> None:
    """Assert that all of :func:`fill` is there."""
    kms = own.admin(STAGING, "kms")
    assert kms.decrypt(CiphertextBlob=made["cipher"])["Plaintext"] == b"kept"
    assert len(kms.list_grants(KeyId=kms.describe_key(KeyId="alias/kept")["KeyMetadata"]["Arn"])["Grants"]) == 1
    assert kms.sign(KeyId=made["rsa"], Message=b"m", SigningAlgorithm="RSASSA_PSS_SHA_256")["Signature"]
    user = made["user_key"]
    sts = clients.make_client(own.config, "sts", user["AccessKeyId"], user["SecretAccessKey"])
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{STAGING}:user/kept"
    assert own.admin(STAGING, "secretsmanager").get_secret_value(SecretId="kept")["SecretString"] == "two"
    ssm = own.admin(STAGING, "ssm")
    assert ssm.get_parameter(Name="/kept")["Parameter"]["Value"] == "value"
    assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/kept")["TagList"]
    s3 = own.admin(STAGING, "s3")
    assert s3.get_object(Bucket="kept", Key="small")["Body"].read() == b"small"
    assert s3.get_object(Bucket="kept", Key="large")["Body"].read() == b"large" * 100_000
    item = own.admin(SHARED, "dynamodb").get_item(TableName="kept", Key={"id": {"S": "1"}})["Item"]
    assert item["n"] == {"N": "7"}
    groups = own.admin(STAGING, "ec2").describe_security_groups(GroupIds=[made["group"]])["SecurityGroups"]
    assert [group["VpcId"] for group in groups] == [made["vpc"]]


def test_everything_is_there_after_kill_and_after_an_orderly_end(own: LocalCloud) -> None:
    made = fill(own)
    rds = own.client(STAGING, "rds")  # a session that was given out before the restart
    until(lambda: (own.config.home / "state" / "moto.ec2.models.ec2.moto").exists(), 5)
    threading.Event().wait(0.5)  # EC2's state is large, and is saved in the background
    for number in (signal.SIGKILL, signal.SIGTERM):
        calls = len(own.calls())
        restart(own, number)
        check(own, made)
        assert rds.describe_db_clusters()["DBClusters"] == []
        assert len(own.calls()) > calls
    own.admin(SHARED, "sns").publish(TopicArn=made["topic"], Message="after")
    sqs = own.admin(SHARED, "sqs")
    bodies = [
        message["Body"]
        for _ in range(2)
        for message in sqs.receive_message(QueueUrl=made["queue"], MaxNumberOfMessages=10).get("Messages", [])
    ]
    assert ["before" in body or "after" in body for body in bodies] == [True, True]
    own.admin(STAGING, "ssm").put_parameter(Name="/new", Value="v", Type="String")


def test_no_answered_call_is_forgotten_when_the_server_is_killed_under_writes(own: LocalCloud) -> None:
    ssm, s3 = own.admin(STAGING, "ssm"), own.admin(STAGING, "s3")
    s3.create_bucket(Bucket="written", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    calls = {
        "/written": lambda name: ssm.put_parameter(Name=name, Value="v", Type="String"),
        "written": lambda name: s3.put_object(Bucket="written", Key=name, Body=b"v"),
    }
    answered: dict[str, list[str]] = {prefix: [] for prefix in calls}

    def write(prefix: str) -> None:
        for number in range(100_000):
            try:
                calls[prefix](f"{prefix}/{number}")
            except HTTPClientError:
                return
            answered[prefix].append(f"{prefix}/{number}")

    writers = [threading.Thread(target=write, args=(prefix,)) for prefix in calls]
    for writer in writers:
        writer.start()
    assert until(lambda: all(len(names) > 20 for names in answered.values()), 60)
    restart(own)
    for writer in writers:
        writer.join(60)
    pages = ssm.get_paginator("describe_parameters").paginate()
    assert set(answered["/written"]) <= {found["Name"] for page in pages for found in page["Parameters"]}
    keys = s3.get_paginator("list_objects_v2").paginate(Bucket="written")
    assert set(answered["written"]) <= {found["Key"] for page in keys for found in page["Contents"]}


def test_fault_rules_and_their_counts_survive(own: LocalCloud) -> None:
    rule = admin_operation("faults-add", own.config, service="rds", action="DescribeDBClusters", after=1, times=2)
    rds = own.admin(STAGING, "rds")
    rds.describe_db_clusters()
    with refused("Throttling"):
        rds.describe_db_clusters()
    restart(own)
    [kept] = admin_operation("faults-list", own.config)["rules"].values()
    assert (rule["rule"], kept["seen"], kept["hits"]) == (1, 2, 1)
    with refused("Throttling"):
        rds.describe_db_clusters()
    rds.describe_db_clusters()
    admin_operation("faults-clear", own.config)


def test_clusters_come_back_with_their_data_and_at_their_addresses(own: LocalCloud) -> None:
    rds = own.client(STAGING, "rds")
    create_cluster(rds, "kept", DatabaseName="shop", ManageMasterUserPassword=True)
    create_instance(rds, "kept-1", "kept")
    create_cluster(rds, "asleep")
    create_instance(rds, "asleep-1", "asleep")
    rds.stop_db_cluster(DBClusterIdentifier="asleep")
    wait_cluster(rds, "asleep", "stopped")
    before = cluster(rds, "kept")
    password = json_password(own, before["MasterUserSecret"]["SecretArn"])
    query(before["Endpoint"], before["Port"], "CREATE TABLE shop.t (id INT PRIMARY KEY)", password)
    query(before["Endpoint"], before["Port"], "INSERT INTO shop.t VALUES (1), (2)", password)
    restart(own)
    after = cluster(rds, "kept")
    assert (after["Status"], after["Endpoint"], after["DbClusterResourceId"]) == (
        "available",
        before["Endpoint"],
        before["DbClusterResourceId"],
    )
    assert instance(rds, "kept-1")["DBInstanceStatus"] == "available"
    assert query(after["Endpoint"], after["Port"], "SELECT COUNT(*) FROM shop.t", password) == ((2,),)
    assert json_password(own, after["MasterUserSecret"]["SecretArn"]) == password
    assert cluster(rds, "asleep")["Status"] == "stopped"
    rds.start_db_cluster(DBClusterIdentifier="asleep")
    wait_cluster(rds, "asleep")
    assert query(cluster(rds, "asleep")["Endpoint"], after["Port"], "SELECT 1") == ((1,),)
    for name in ("kept", "asleep"):
        wait_cluster(rds, name)
        delete_cluster(rds, name)


def json_password(own: LocalCloud, arn: str) -> str:
    return str(
        json.loads(own.admin(STAGING, "secretsmanager").get_secret_value(SecretId=arn)["SecretString"])["password"]
    )


def test_operations_under_way_are_finished_by_the_next_server(own: LocalCloud) -> None:
    key = shareable_key(own, PRODUCTION, STAGING)
    staging_key = shareable_key(own, STAGING)
    production, staging = own.client(PRODUCTION, "rds"), own.client(STAGING, "rds")
    create_cluster(production, "source", StorageEncrypted=True, KmsKeyId=key, DatabaseName="shop")
    create_instance(production, "source-1", "source")
    at = cluster(production, "source")
    query(at["Endpoint"], at["Port"], "CREATE TABLE shop.t (id INT PRIMARY KEY)")
    query(at["Endpoint"], at["Port"], "INSERT INTO shop.t VALUES (1), (2), (3)")
    # as the call itself says: on a busy machine it may be done before the next one
    begun = production.create_db_cluster_snapshot(DBClusterIdentifier="source", DBClusterSnapshotIdentifier="moving")
    assert begun["DBClusterSnapshot"]["Status"] == "creating"
    restart(own)
    wait_snapshot(production, "moving")
    wait_cluster(production, "source")
    production.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier="moving", AttributeName="restore", ValuesToAdd=[STAGING]
    )
    arn = snapshot(production, "moving")["DBClusterSnapshotArn"]
    begun = staging.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=arn, TargetDBClusterSnapshotIdentifier="copy", KmsKeyId=staging_key
    )
    assert begun["DBClusterSnapshot"]["Status"] == "copying"
    restart(own)
    wait_snapshot(staging, "copy")
    staging.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="restored", SnapshotIdentifier="copy", Engine="aurora-mysql"
    )
    restart(own)
    wait_cluster(staging, "restored")
    create_instance(staging, "restored-1", "restored", wait=False)
    restart(own)
    wait_instance(staging, "restored-1")
    staging.modify_db_cluster(DBClusterIdentifier="restored", NewDBClusterIdentifier="renamed", ApplyImmediately=True)
    restart(own)
    watch(lambda: str([c["DBClusterIdentifier"] for c in staging.describe_db_clusters()["DBClusters"]]), "['renamed']")
    wait_cluster(staging, "renamed")
    at = cluster(staging, "renamed")
    assert query(at["Endpoint"], at["Port"], "SELECT COUNT(*) FROM shop.t") == ((3,),)
    members = staging.describe_db_clusters()["DBClusters"][0]["DBClusterMembers"]
    staging.delete_db_instance(DBInstanceIdentifier=members[0]["DBInstanceIdentifier"])
    staging.delete_db_cluster(DBClusterIdentifier="renamed", SkipFinalSnapshot=True)
    restart(own)
    wait_cluster(staging, "renamed", "gone")
    wait_instance(staging, "restored-1", "gone")


def test_a_killed_database_server_comes_back_and_no_committed_row_is_lost(own: LocalCloud) -> None:
    rds = own.client(STAGING, "rds")
    create_cluster(rds, "mortal", DatabaseName="shop")
    create_instance(rds, "mortal-1", "mortal")
    at = cluster(rds, "mortal")
    query(at["Endpoint"], at["Port"], "CREATE TABLE shop.t (id INT PRIMARY KEY, s VARCHAR(100))")
    committed: list[int] = []
    broken = threading.Event()

    def writes() -> None:
        with connect(at["Endpoint"], at["Port"], PASSWORD) as connection, connection.cursor() as cursor:
            for number in range(1_000_000):
                try:
                    cursor.execute("INSERT INTO shop.t VALUES (%s, REPEAT('x', 100))", (number,))
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
                    broken.set()
                    return
                committed.append(number)

    writer = threading.Thread(target=writes)
    writer.start()
    assert until(lambda: len(committed) > 200, 30)
    pid = admin_operation("engine-kill", own.config, account=STAGING, cluster="mortal")["pid"]
    writer.join(30)
    assert broken.is_set()

    def back() -> bool:
        [engine] = [e for e in admin_operation("engines", own.config)["engines"] if e["cluster"] == "mortal"]
        return engine["restarts"] == 1 and engine["pid"] not in {None, pid}

    assert until(back, 30)
    assert cluster(rds, "mortal")["Status"] == instance(rds, "mortal-1")["DBInstanceStatus"] == "available"
    rows = {row[0] for row in query(at["Endpoint"], at["Port"], "SELECT id FROM shop.t")}
    assert set(committed) <= rows <= {*committed, len(committed)}
    messages = [e["Message"] for e in rds.describe_events(SourceType="db-instance")["Events"]]
    assert "DB instance restarted" in messages
    status = run_localcloud(own.environment, "status").stdout
    assert "started again 1 times" in status
    delete_cluster(rds, "mortal")


def test_a_cluster_is_restored_to_a_moment_before_the_restart(own: LocalCloud) -> None:
    rds = own.client(STAGING, "rds")
    create_cluster(rds, "timely", DatabaseName="shop")
    create_instance(rds, "timely-1", "timely")
    at = cluster(rds, "timely")
    query(at["Endpoint"], at["Port"], "CREATE TABLE shop.t (id INT PRIMARY KEY)")
    query(at["Endpoint"], at["Port"], "INSERT INTO shop.t VALUES (1)")
    begun = int(time.time()) + 1
    assert until(lambda: time.time() >= begun, 5)
    query(at["Endpoint"], at["Port"], "INSERT INTO shop.t VALUES (2)")
    never = datetime.fromtimestamp(0, UTC)
    asked = datetime.fromtimestamp(begun, UTC)
    assert until(lambda: cluster(rds, "timely").get("LatestRestorableTime", never) >= asked, 30)
    earliest = cluster(rds, "timely")["EarliestRestorableTime"]
    restart(own)
    assert until(lambda: cluster(rds, "timely")["LatestRestorableTime"] > asked, 30)
    assert cluster(rds, "timely")["EarliestRestorableTime"] == earliest
    query(at["Endpoint"], at["Port"], "INSERT INTO shop.t VALUES (3)")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="timely-then", SourceDBClusterIdentifier="timely", RestoreToTime=asked
    )
    restart(own)
    wait_cluster(rds, "timely-then")
    create_instance(rds, "timely-then-1", "timely-then")
    then = cluster(rds, "timely-then")
    assert query(then["Endpoint"], then["Port"], "SELECT id FROM shop.t") == ((1,),)

    # backups that outlive their cluster outlive localcloud too
    rds.delete_db_instance(DBInstanceIdentifier="timely-1")
    rds.delete_db_cluster(DBClusterIdentifier="timely", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    wait_cluster(rds, "timely", "gone")
    delete_cluster(rds, "timely-then")  # with the answer to this, what came before is saved
    restart(own)
    wait_cluster(rds, "timely-then", "gone")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="timely-then",
        SourceDbClusterResourceId=at["DbClusterResourceId"],
        UseLatestRestorableTime=True,
    )
    wait_cluster(rds, "timely-then")
    create_instance(rds, "timely-then-1", "timely-then")
    assert query(then["Endpoint"], then["Port"], "SELECT id FROM shop.t") == ((1,), (2,), (3,))
    delete_cluster(rds, "timely-then")
    rds.delete_db_cluster_automated_backup(DbClusterResourceId=at["DbClusterResourceId"])


def test_the_log_that_is_kept_is_bounded(own: LocalCloud) -> None:
    def kept() -> set[Path]:
        return set((own.config.home / "mariadb" / "clusters").glob("*/backups/log/binlog.0*"))

    others = kept()
    rds = own.client(STAGING, "rds")
    create_cluster(rds, "wordy", DatabaseName="shop")
    create_instance(rds, "wordy-1", "wordy")
    at = cluster(rds, "wordy")
    query(at["Endpoint"], at["Port"], "CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, s CHAR(255))")
    assert until(lambda: "EarliestRestorableTime" in cluster(rds, "wordy"), 10)
    earliest = cluster(rds, "wordy")["EarliestRestorableTime"]

    def renewed() -> bool:
        fill = "INSERT INTO shop.t (s) SELECT REPEAT('x', 255) FROM shop.seq_1_to_1500"
        query(at["Endpoint"], at["Port"], fill)
        return bool(cluster(rds, "wordy")["EarliestRestorableTime"] > earliest)

    assert until(renewed, 60)
    logs = {log for log in kept() if log.parent not in {other.parent for other in others}}
    with refused("InvalidParameterValue", "earlier than"):
        rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="never", SourceDBClusterIdentifier="wordy", RestoreToTime=earliest
        )
    delete_cluster(rds, "wordy")
    assert logs
    assert until(lambda: not logs & kept(), 30)


def test_a_start_without_keep_is_empty(own: LocalCloud) -> None:
    own.admin(STAGING, "ssm").put_parameter(Name="/old", Value="v", Type="String")
    assert run_localcloud(own.environment, "down").returncode == 0
    assert run_localcloud(own.environment, "up").returncode == 0
    ssm = clients.admin_client(STAGING, "ssm", own.config)
    assert ssm.describe_parameters()["Parameters"] == []
