"""Faults by rule: the calls that match are refused as AWS refuses them, the others are not."""

from __future__ import annotations

import json
import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from localcloud.client import AdminError, admin_operation
from tests.local.cloud.conftest import run_localcloud
from tests.local.cloud.rds_helpers import (
    cluster,
    create_cluster,
    create_instance,
    delete_cluster,
    delete_snapshots,
    instance,
    snapshot,
    wait_cluster,
    wait_instance,
    watch,
)

pytestmark = pytest.mark.local

STAGING = "222222222222"


@pytest.fixture
def plant(cloud):
    def add(**rule):
        return admin_operation("faults-add", cloud.config, **rule)

    yield add
    admin_operation("faults-clear", cloud.config)


def code_of(call, **arguments) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def test_a_rule_strikes_as_often_as_it_says(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    plant(service="rds", action="DescribeDBClusters", code="Throttling", times=2)
    assert [code_of(rds.describe_db_clusters) for _ in range(3)] == ["Throttling", "Throttling", "ok"]
    [rule] = admin_operation("faults-list", cloud.config)["rules"].values()
    assert rule["hits"] == 2


def test_a_rule_for_good_ends_when_it_is_cleared(cloud, plant) -> None:
    ssm = cloud.admin(STAGING, "ssm")
    plant(service="ssm", action="PutParameter", match='"/a"', code="AccessDeniedException", times=0)
    parameter = {"Value": "v", "Type": "String", "Overwrite": True}
    assert [code_of(ssm.put_parameter, Name="/a", **parameter) for _ in range(3)] == ["AccessDeniedException"] * 3
    assert code_of(ssm.put_parameter, Name="/b", **parameter) == "ok"
    admin_operation("faults-clear", cloud.config)
    assert code_of(ssm.put_parameter, Name="/a", **parameter) == "ok"


def test_a_struck_call_changes_nothing_and_is_recorded(cloud, plant) -> None:
    s3 = cloud.admin(STAGING, "s3")
    plant(service="s3", action="CreateBucket", code="SlowDown", status=503, times=1)
    assert (
        code_of(s3.create_bucket, Bucket="faulty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        == "SlowDown"
    )
    assert "faulty" not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert [call["error"] for call in cloud.calls() if call["action"] == "CreateBucket"][-1] == "SlowDown"


def test_a_rule_of_another_account_does_not_strike(cloud, plant) -> None:
    plant(service="rds", action="DescribeDBClusters", account="111111111111", times=0)
    assert code_of(cloud.admin(STAGING, "rds").describe_db_clusters) == "ok"
    assert code_of(cloud.admin("111111111111", "rds").describe_db_clusters) == "Throttling"


def test_a_rule_that_is_none_is_refused(cloud, plant) -> None:
    with pytest.raises(AdminError, match="a rule has service, action"):
        plant(service="rds", action="DescribeDBClusters", wrong=1)


def patient(cloud, service: str, *, attempts: int = 1, read_timeout: float = 30):
    """A root client of staging with retries of its own."""
    keys = json.loads(cloud.config.credentials_file.read_text())[STAGING]
    return boto3.client(
        service,
        region_name=cloud.config.region,
        endpoint_url=cloud.config.endpoint,
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=read_timeout),
    )


def last_call(cloud, action: str) -> dict:
    return [call for call in cloud.calls() if call["action"] == action][-1]


def fault_request(cloud, method: str, path: str = "", body: dict | None = None, *, secret: bool = True):
    keys = json.loads(cloud.config.credentials_file.read_text())[STAGING]
    request = Request(
        f"{cloud.config.endpoint}/localcloud/faults{path}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"X-Localcloud-Secret": keys["secret_access_key"] if secret else "guess"},
    )
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize(
    ("service", "action", "call", "arguments", "code", "status"),
    [
        ("rds", "DescribeDBClusters", "describe_db_clusters", {}, "Throttling", 400),
        ("dynamodb", "ListTables", "list_tables", {}, "ProvisionedThroughputExceededException", 400),
        ("s3", "ListBuckets", "list_buckets", {}, "SlowDown", 503),
        ("secretsmanager", "ListSecrets", "list_secrets", {}, "ThrottlingException", 400),
        ("sns", "ListTopics", "list_topics", {}, "Throttled", 429),
        ("ec2", "DescribeVpcs", "describe_vpcs", {}, "RequestLimitExceeded", 503),
        ("ssm", "DescribeParameters", "describe_parameters", {}, "ThrottlingException", 400),
        ("kms", "ListKeys", "list_keys", {}, "ThrottlingException", 400),
        ("sts", "GetCallerIdentity", "get_caller_identity", {}, "Throttling", 400),
        ("iam", "ListRoles", "list_roles", {}, "Throttling", 400),
    ],
)
def test_each_service_throttles_in_its_own_words(cloud, plant, service, action, call, arguments, code, status) -> None:
    rule = plant(service=service, action=action)["rule"]
    with pytest.raises(ClientError) as caught:
        getattr(cloud.admin(STAGING, service), call)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert last_call(cloud, action)["fault"] == rule


def test_a_client_that_retries_does_not_notice_a_single_throttle(cloud, plant) -> None:
    plant(service="rds", action="DescribeDBClusters", times=1)
    assert patient(cloud, "rds", attempts=2).describe_db_clusters()["ResponseMetadata"]["RetryAttempts"] == 1


def test_the_nth_call_is_struck_and_only_that(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    plant(service="rds", action="DescribeDB*", nth=2)
    calls = (rds.describe_db_clusters, rds.describe_db_instances, rds.describe_db_clusters)
    assert [code_of(call) for call in calls] == ["ok", "Throttling", "ok"]


def test_a_rule_is_about_a_resource(cloud, plant) -> None:
    ssm = cloud.admin(STAGING, "ssm")
    plant(service="ssm", action="GetParameter*", resource="/shop/*", times=0)
    assert code_of(ssm.get_parameter, Name="/other/url") == "ParameterNotFound"
    assert code_of(ssm.get_parameter, Name="/shop/url") == "ThrottlingException"


def test_a_hanging_call_holds_up_nobody_else_and_ends_with_its_connection(cloud, plant) -> None:
    rule = plant(service="ssm", action="GetParameter", effect="hang", hang_s=30, times=0)["rule"]
    failures: list[Exception] = []

    def ask() -> None:
        try:
            patient(cloud, "ssm").get_parameter(Name="/hanging")
        except ConnectionClosedError as error:
            failures.append(error)

    hanging = threading.Thread(target=ask)
    hanging.start()
    hits = lambda: str(admin_operation("faults-list", cloud.config)["rules"][str(rule)]["hits"])  # noqa: E731
    watch(hits, "1")
    assert code_of(cloud.admin(STAGING, "ssm").describe_parameters) == "ok"
    assert not failures
    admin_operation("faults-clear", cloud.config)
    hanging.join(10)
    assert len(failures) == 1
    call = last_call(cloud, "GetParameter")
    assert (call["fault"], call["error"]) == (rule, "ConnectionClosed")


def test_a_hanging_call_runs_into_the_clients_time_limit(cloud, plant) -> None:
    plant(service="ssm", action="GetParameter", effect="hang")
    with pytest.raises(ReadTimeoutError):
        patient(cloud, "ssm", read_timeout=0.3).get_parameter(Name="/hanging")


def test_a_slow_call_is_answered_late_and_as_usual(cloud, plant) -> None:
    rule = plant(service="ssm", action="PutParameter", effect="slow", delay_s=0.3)["rule"]
    ssm = cloud.admin(STAGING, "ssm")
    ssm.put_parameter(Name="/slow", Value="v", Type="String")
    call = last_call(cloud, "PutParameter")
    assert call["duration_s"] >= 0.3
    assert (call["fault"], call["status"]) == (rule, 200)
    assert ssm.get_parameter(Name="/slow")["Parameter"]["Value"] == "v"


def test_a_lost_answer_is_of_a_call_that_was_done(cloud, plant) -> None:
    plant(service="ssm", action="PutParameter", effect="lost")
    with pytest.raises(ConnectionClosedError):
        patient(cloud, "ssm").put_parameter(Name="/lost", Value="v", Type="String")
    call = last_call(cloud, "PutParameter")
    assert (call["status"], call["error"]) == (200, "ConnectionClosed")
    assert cloud.admin(STAGING, "ssm").get_parameter(Name="/lost")["Parameter"]["Value"] == "v"


def test_a_client_that_retries_a_lost_call_makes_it_twice(cloud, plant) -> None:
    plant(service="ssm", action="PutParameter", effect="lost")
    with pytest.raises(ClientError, match="ParameterAlreadyExists"):
        patient(cloud, "ssm", attempts=2).put_parameter(Name="/lost-twice", Value="v", Type="String")


def test_a_cluster_ends_in_the_status_of_a_rule(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    plant(service="rds", action="CreateDBCluster", effect="status", becomes="incompatible-restore")
    create_cluster(rds, "doomed", wait=False)
    assert wait_cluster(rds, "doomed", "incompatible-restore")[0] == "creating"
    with pytest.raises(rds.exceptions.InvalidDBClusterStateFault, match="incompatible-restore"):
        create_instance(rds, "doomed-1", "doomed", wait=False)
    delete_cluster(rds, "doomed")


def test_a_describe_puts_what_it_names_into_a_status(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    create_cluster(rds, "ill", wait=False)
    plant(service="rds", action="DescribeDBClusters", resource="ill", nth=2, effect="status", becomes="failed")
    assert [cluster(rds, "ill")["Status"] for _ in range(3)] == ["creating", "failed", "failed"]
    wait_all_done = threading.Event()
    wait_all_done.wait(3 * cloud.config.wait_s)
    assert cluster(rds, "ill")["Status"] == "failed"
    delete_cluster(rds, "ill")


def test_an_instance_and_a_snapshot_end_in_the_status_of_a_rule(cloud, plant) -> None:
    rds = cloud.admin(STAGING, "rds")
    create_cluster(rds, "frail")
    create_instance(rds, "frail-1", "frail")
    plant(service="rds", action="CreateDBClusterSnapshot", effect="status", becomes="failed")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="frail", DBClusterSnapshotIdentifier="frail")
    watch(lambda: snapshot(rds, "frail")["Status"].replace("failed", "over"), "over")
    wait_cluster(rds, "frail")
    plant(service="rds", action="CreateDBInstance", resource="frail-2", effect="status", becomes="storage-full")
    create_instance(rds, "frail-2", "frail", wait=False)
    wait_instance(rds, "frail-2", "storage-full")
    assert instance(rds, "frail-1")["DBInstanceStatus"] == "available"
    delete_snapshots(rds, "frail")
    delete_cluster(rds, "frail")


def test_rules_by_http_need_the_secret_and_go_one_by_one(cloud, plant) -> None:
    first = fault_request(cloud, "POST", body={"service": "rds", "action": "Describe*"})["rule"]
    second = fault_request(cloud, "POST", body={"service": "s3", "action": "*"})["rule"]
    assert set(fault_request(cloud, "GET")["rules"]) == {str(first), str(second)}
    fault_request(cloud, "DELETE", f"/{first}")
    assert set(fault_request(cloud, "GET")["rules"]) == {str(second)}
    fault_request(cloud, "DELETE")
    assert fault_request(cloud, "GET")["rules"] == {}
    for method, path, secret, status in (
        ("GET", "", False, 403),
        ("POST", "", False, 403),
        ("DELETE", "/99", True, 400),
        ("PUT", "", True, 404),
    ):
        with pytest.raises(HTTPError) as caught:
            fault_request(cloud, method, path, secret=secret)
        assert caught.value.code == status


def test_rules_by_the_command_line(cloud, plant) -> None:
    def run(*arguments: str):
        return run_localcloud(cloud.environment, "faults", *arguments)

    added = run("add", "--service", "rds", "--action", "CopyDBClusterSnapshot", "--effect", "slow", "--delay-s", "0.5")
    assert added.returncode == 0, added.stderr
    rule = added.stdout.split()[1]
    assert "service=rds action=CopyDBClusterSnapshot times=1 effect=slow" in run("list").stdout
    assert run("clear", rule).returncode == 0
    assert run("list").stdout == ""
    wrong = run("add", "--service", "rds", "--action", "CopyDBClusterSnapshots")
    assert wrong.returncode == 1
    assert "action='CopyDBClusterSnapshots'" in wrong.stderr
    assert "CopyDBClusterSnapshot" in wrong.stderr
