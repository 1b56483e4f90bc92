"""RDS, secrets, parameters, security groups: what is read, and what absence means."""

from __future__ import annotations

import json

import pytest
from aurora_ops.core.errors import ConfigError, MissingError, StateError
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.network import NetworkHook
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.hooks.rds import Cluster, RdsHook, as_tag_list
from aurora_ops.hooks.secrets import CURRENT, PREVIOUS, SecretsHook
from aurora_ops.hooks.topics import TopicsHook
from botocore.stub import Stubber

REGION = "eu-west-1"
LEAST = {"DBClusterIdentifier": "a", "DBClusterArn": "arn:a", "DbClusterResourceId": "cluster-A", "Status": "available"}


class TestCluster:
    """A DBCluster as AWS sends it, with what it leaves out."""

    def test_least(self) -> None:
        cluster = Cluster.of(LEAST)
        assert (cluster.endpoint, cluster.port, cluster.members, cluster.roles, cluster.tags) == ("", 3306, [], {}, {})
        assert cluster.master_secret_arn == cluster.kms_key_arn == ""
        assert cluster.deletion_protection is False

    def test_writer_comes_first_then_by_tier(self) -> None:
        members = [
            {"DBInstanceIdentifier": "r2", "IsClusterWriter": False, "PromotionTier": 5},
            {"DBInstanceIdentifier": "r1", "IsClusterWriter": False, "PromotionTier": 0},
            {"DBInstanceIdentifier": "w", "IsClusterWriter": True, "PromotionTier": 15},
        ]
        assert Cluster.of({**LEAST, "DBClusterMembers": members}).instance_ids == ["w", "r1", "r2"]

    def test_tags_of_aws_itself_are_not_written_back(self) -> None:
        assert as_tag_list({"aws:cf": "x", "refresh": "true"}) == [{"Key": "refresh", "Value": "true"}]


class TestRds:
    """Looking things up."""

    @pytest.fixture
    def rds(self, aws_session) -> RdsHook:
        return RdsHook("aws_destination", REGION)

    @pytest.mark.parametrize(
        "look_up",
        [
            lambda rds: rds.find_cluster("x"),
            lambda rds: rds.find_instance("x"),
            lambda rds: rds.find_snapshot("x"),
            lambda rds: rds.find_subnet_group("x"),
            lambda rds: rds.find_cluster_parameter_group("x"),
        ],
    )
    def test_absent_is_none(self, rds, look_up) -> None:
        assert look_up(rds) is None

    def test_cluster_that_must_exist(self, rds) -> None:
        with pytest.raises(MissingError, match=r"no cluster x behind aws_destination in eu-west-1"):
            rds.require_cluster("x")

    def test_shared_snapshot_is_asked_for_by_arn(self, rds) -> None:
        arn = "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:s"
        with Stubber(rds.conn) as stub:
            given = {"DBClusterSnapshotIdentifier": arn, "IncludeShared": True}
            stub.add_response("describe_db_cluster_snapshots", {"DBClusterSnapshots": []}, given)
            stub.add_response(
                "describe_db_cluster_snapshots", {"DBClusterSnapshots": []}, {"DBClusterSnapshotIdentifier": "s"}
            )
            assert rds.find_snapshot(arn) is None
            assert rds.find_snapshot("s") is None

    def test_quota(self, rds) -> None:
        quotas = [
            {"AccountQuotaName": "DBClusters", "Used": 1, "Max": 40},
            {"AccountQuotaName": "ManualClusterSnapshots", "Used": 100, "Max": 100},
        ]
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_account_attributes", {"AccountQuotas": quotas})
            assert rds.find_quota("ManualClusterSnapshots") == (100, 100)

    def test_cluster_is_found_by_what_a_rename_does_not_change(self, rds) -> None:
        with Stubber(rds.conn) as stub:
            filters = [{"Name": "db-cluster-resource-id", "Values": ["cluster-A"]}]
            stub.add_response("describe_db_clusters", {"DBClusters": [LEAST]}, {"Filters": filters})
            assert rds.find_cluster_by_resource_id("cluster-A").cluster_id == "a"

    def test_only_the_restore_attribute_is_sharing(self, rds) -> None:
        attributes = [
            {"AttributeName": "other", "AttributeValues": ["1"]},
            {"AttributeName": "restore", "AttributeValues": ["222222222222", "all"]},
        ]
        answer = {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": attributes}}
        with Stubber(rds.conn) as stub:
            stub.add_response("describe_db_cluster_snapshot_attributes", answer)
            assert rds.list_shared_with("s") == {"222222222222", "all"}


class TestSecrets:
    """Secrets and their versions."""

    @pytest.fixture
    def secrets(self, aws_session) -> SecretsHook:
        aws_session.client("secretsmanager").create_secret(Name="s", SecretString=json.dumps({"password": "one"}))
        return SecretsHook("aws_destination", REGION)

    def test_absent(self, secrets) -> None:
        assert secrets.find_secret("none") is None
        assert secrets.find_secret("s", "AWSPENDING") is None
        assert secrets.find_version("s", "v" * 32) is None
        assert secrets.exists("none") is False
        assert secrets.exists("s") is True
        with pytest.raises(MissingError, match=r"no secret none \(AWSCURRENT\) behind aws_destination; create it"):
            secrets.require_secret("none")

    @pytest.mark.parametrize("text", ["hunter2", '"hunter2"', '["hunter2"]', "null"])
    def test_value_that_is_no_object_is_refused_without_being_shown(self, secrets, aws_session, text) -> None:
        aws_session.client("secretsmanager").put_secret_value(SecretId="s", SecretString=text)
        with pytest.raises(StateError, match="not a JSON object") as raised:
            secrets.require_secret("s")
        assert "hunter2" not in str(raised.value)

    def test_pending_version_is_read_by_nobody_until_moved(self, secrets) -> None:
        version = "a" * 32
        secrets.put_pending("s", {"password": "two"}, version)
        assert secrets.require_secret("s") == {"password": "one"}
        assert secrets.find_version("s", version) == {"password": "two"}
        before = secrets.stages("s")[CURRENT]
        secrets.move_current("s", version)
        assert secrets.require_secret("s") == {"password": "two"}
        assert secrets.stages("s")[PREVIOUS] == before

    def test_moving_twice_is_moving_once(self, secrets) -> None:
        version = secrets.stages("s")[CURRENT]
        with Stubber(secrets.conn) as stub:
            stub.add_response("describe_secret", {"VersionIdsToStages": {version: [CURRENT]}})
            secrets.move_current("s", version)
            stub.assert_no_pending_responses()


class TestParameters:
    """SSM parameters."""

    def test_absent_written_and_overwritten(self, aws_session) -> None:
        hook = ParametersHook("aws_destination", REGION)
        assert hook.find("/a") is None
        hook.put("/a", "one")
        hook.put("/a", "two")
        assert hook.find("/a") == "two"


class TestNetwork:
    """Security groups by name or id."""

    @pytest.fixture
    def groups(self, aws_session):
        ec2 = aws_session.client("ec2")
        vpcs = [ec2.create_vpc(CidrBlock=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in range(2)]
        ids = [ec2.create_security_group(GroupName="db", Description="x", VpcId=vpc)["GroupId"] for vpc in vpcs]
        return NetworkHook("aws_destination", REGION), vpcs, ids

    def test_by_name_within_the_network_and_by_id(self, groups) -> None:
        hook, vpcs, ids = groups
        assert hook.security_group_ids(["db"], vpcs[1], "f") == [ids[1]]
        assert hook.security_group_ids([ids[0]], vpcs[0], "f") == [ids[0]]
        assert hook.security_group_ids([], None, "f") == []

    def test_ambiguous_absent_or_elsewhere(self, groups) -> None:
        hook, vpcs, ids = groups
        for names, vpc in ((["db"], None), (["none"], vpcs[0]), ([ids[1]], vpcs[0])):
            with pytest.raises(ConfigError, match="exactly one of the security groups") as raised:
                hook.security_group_ids(names, vpc, "target.security_groups")
            assert raised.value.field == "target.security_groups"


def test_subject_of_an_announcement_is_one_short_line(aws_session) -> None:
    hook = TopicsHook("aws_orchestrator", REGION)
    with Stubber(hook.conn) as stub:
        given = {"TopicArn": "arn:t", "Subject": "one two " + "x" * 91, "Message": "m\nm"}
        stub.add_response("publish", {"MessageId": "1"}, given)
        hook.publish("arn:t", "one\ntwo " + "x" * 200, "m\nm")
        stub.assert_no_pending_responses()
    with pytest.raises(MissingError):
        hook.require_topic("arn:aws:sns:eu-west-1:123456789012:none")


def test_announcement_may_be_another_text_for_each_protocol(aws_session) -> None:
    hook = TopicsHook("aws_orchestrator", REGION)
    with Stubber(hook.conn) as stub:
        given = {
            "TopicArn": "arn:t",
            "Subject": "s",
            "Message": '{"default": "text", "sqs": "{}"}',
            "MessageStructure": "json",
            "MessageAttributes": {"outcome": {"DataType": "String", "StringValue": "failed"}},
        }
        stub.add_response("publish", {"MessageId": "1"}, given)
        hook.publish("arn:t", "s", {"default": "text", "sqs": "{}"}, {"outcome": "failed"})
        stub.assert_no_pending_responses()


def test_metrics_are_sent_as_many_a_call_as_aws_takes(aws_session) -> None:
    hook = MetricsHook("aws_orchestrator", REGION)
    data = [{"MetricName": "m", "Value": 1.0}] * 1200
    with Stubber(hook.conn) as stub:
        for count in (500, 500, 200):
            stub.add_response("put_metric_data", {}, {"Namespace": "Mine", "MetricData": data[:count]})
        hook.put("Mine", data)
        stub.assert_no_pending_responses()
