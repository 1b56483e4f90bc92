"""Clusters: restored, given instances, changed, retired, deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core import ownership
from aurora_ops.core.errors import (
    BusyError,
    ConfigError,
    MissingError,
    SafetyError,
    StateError,
    WaitFailedError,
    WaitTimeoutError,
)
from aurora_ops.operators.cluster_removal import DeleteClusterOperator, RetireClusterOperator
from aurora_ops.operators.clusters import (
    AttachRoleOperator,
    CreateInstancesOperator,
    ModifyClusterOperator,
    RestoreClusterOperator,
)

from tests.unit.operators.driver import drive, once

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
RUN = "refresh_staging/manual__1"
ROLE = "arn:aws:iam::222222222222:role/s3"


@pytest.fixture
def make(rds, calls):
    """Build tasks; what they call must be what they declare."""
    used: list[type] = []

    def maker(kind, **given):
        used.append(kind)
        return lambda: kind(task_id="t", **{**AT, "cluster_id": "app", **given})

    yield maker
    assert set(calls) <= {action for kind in used for action in kind.permissions}


def tags(item) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["TagList"]}


class TestRestore:
    """A cluster from a snapshot, beside what exists."""

    @pytest.fixture
    def restore(self, make, rds):
        rds.snapshot("copy")
        return lambda **given: make(
            RestoreClusterOperator,
            **{
                "snapshot": "copy",
                "run_key": RUN,
                "kms_key_arn": "arn:mine",
                "subnet_group": "staging-db",
                "security_groups": ["sg-isolated"],
                "tags": {"environment": "staging", "aws:x": "y", "refresh": "false", "aurora-ops:run": "old"},
                **given,
            },
        )

    def test_is_restored_isolated_tagged_and_under_its_key(self, rds, restore) -> None:
        result = drive(restore(parameter_group="g", backup_retention_days=3, log_exports=["audit"]))
        assert result["cluster_id"] == "app"
        assert result["resource_id"] == rds.clusters["app"]["DbClusterResourceId"]
        ((_, asked),) = rds.mutations
        assert asked["VpcSecurityGroupIds"] == ["sg-isolated"]
        assert asked["KmsKeyId"] == "arn:mine"
        assert asked["DeletionProtection"] is False
        assert asked["BackupRetentionPeriod"] == 3
        assert asked["EnableCloudwatchLogsExports"] == ["audit"]
        assert asked["EngineVersion"] == "8.0.mysql_aurora.3.08.2"
        assert "ServerlessV2ScalingConfiguration" not in asked
        assert tags(rds.clusters["app"]) == {
            "environment": "staging",
            "refresh": "true",
            "aurora-ops:owner": "aurora-ops",
            "aurora-ops:run": RUN,
        }

    def test_is_marked_with_its_expiry(self, rds, restore) -> None:
        drive(restore(expires_h=24))
        left = ownership.parse_expiry(tags(rds.clusters["app"])["aurora-ops:expires"]) - datetime.now(UTC)
        assert timedelta(hours=23.9) < left <= timedelta(hours=24)

    def test_serverless(self, rds, restore) -> None:
        drive(restore(serverless={"min_acu": 0.5, "max_acu": 4.0}))
        assert rds.mutations[0][1]["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 4.0}

    def test_twice_is_once_and_killed_between(self, rds, restore) -> None:
        assert isinstance(once(restore()), TaskDeferred)
        assert drive(restore()) == drive(restore())
        assert len(rds.mutations) == 1

    @pytest.mark.parametrize("found", [{"aurora-ops:run": "refresh_staging/other"}, {}])
    def test_cluster_of_another_run_is_refused(self, rds, restore, found) -> None:
        rds.cluster("app", tags=found)
        with pytest.raises(StateError, match="not by this run"):
            drive(restore())
        assert rds.mutations == []

    def test_cluster_under_another_key_is_refused(self, rds, restore) -> None:
        rds.cluster("app", tags={"aurora-ops:run": RUN}, KmsKeyId="arn:theirs")
        with pytest.raises(StateError, match="under key arn:theirs, not arn:mine"):
            drive(restore())

    def test_missing_snapshot(self, rds, restore) -> None:
        with pytest.raises(MissingError, match="no snapshot none"):
            drive(restore(snapshot="none"))
        assert rds.mutations == []

    @pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore", "cloning-failed"])
    def test_terminal_state(self, rds, restore, status) -> None:
        rds.cluster("app", tags={"aurora-ops:run": RUN})
        rds.script("app", "creating", "creating", status)
        with pytest.raises(WaitFailedError):
            drive(restore())

    def test_too_slow(self, rds, restore) -> None:
        rds.lag = 10**6
        with pytest.raises(WaitTimeoutError):
            drive(restore(within_s=1))


class TestInstances:
    """Writer and readers."""

    def test_writer_is_created_in_the_cluster_and_never_public(self, rds, make) -> None:
        rds.cluster("app")
        create = make(CreateInstancesOperator, instance_class="db.r6g.large", tags={"k": "v"})
        assert drive(create) == {"cluster_id": "app", "instance_ids": ["app-1"]}
        ((_, asked),) = rds.mutations
        assert asked["PubliclyAccessible"] is False
        assert asked["DBInstanceClass"] == "db.r6g.large"
        assert tags({"TagList": asked["Tags"]}) == {"k": "v", "refresh": "true", "aurora-ops:owner": "aurora-ops"}
        assert drive(create) == {"cluster_id": "app", "instance_ids": ["app-1"]}
        assert len(rds.mutations) == 1

    def test_are_marked_with_run_and_expiry(self, rds, make) -> None:
        rds.cluster("app")
        drive(make(CreateInstancesOperator, instance_class="c", run_key=RUN, expires_h=24))
        marks = tags({"TagList": rds.mutations[0][1]["Tags"]})
        assert marks["aurora-ops:run"] == RUN
        assert ownership.parse_expiry(marks["aurora-ops:expires"]) > datetime.now(UTC) + timedelta(hours=23)

    def test_readers_follow_and_count_may_be_rendered_text(self, rds, make) -> None:
        rds.cluster("app", instances=1)
        create = make(CreateInstancesOperator, instance_class="c", first=2, count="3")
        assert drive(create)["instance_ids"] == ["app-2", "app-3", "app-4"]
        assert rds.names("CreateDBInstance") == 3

    def test_no_readers_is_nothing_to_do(self, rds, make) -> None:
        rds.cluster("app", Status="modifying")
        assert drive(make(CreateInstancesOperator, instance_class="c", first=2, count=0))["instance_ids"] == []
        assert rds.mutations == []

    def test_killed_after_the_first_of_two(self, rds, make) -> None:
        rds.cluster("app", instances=1)
        create = make(CreateInstancesOperator, instance_class="c", first=2, count=2)
        rds.after(4, lambda: rds.fail("CreateDBInstance", "Throttling"))
        with pytest.raises(Exception, match="try again later"):
            drive(create)
        assert drive(create)["instance_ids"] == ["app-2", "app-3"]
        assert rds.names("CreateDBInstance") == 2

    def test_cluster_that_is_not_yet_available_is_waited_for(self, rds, make) -> None:
        rds.cluster("app")
        rds.script("app", "creating", "creating", "creating", "available")
        assert drive(make(CreateInstancesOperator, instance_class="c"))["instance_ids"] == ["app-1"]

    def test_missing_cluster(self, rds, make) -> None:
        with pytest.raises(MissingError):
            drive(make(CreateInstancesOperator, instance_class="c"))

    def test_instance_of_another_cluster(self, rds, make) -> None:
        rds.cluster("app")
        rds.cluster("other")
        rds.instance("app-1", "other")
        with pytest.raises(StateError, match="instance app-1 belongs to other"):
            drive(make(CreateInstancesOperator, instance_class="c"))

    @pytest.mark.parametrize("status", ["failed", "incompatible-network", "storage-full", "deleting"])
    def test_terminal_state(self, rds, make, status) -> None:
        rds.cluster("app", instances=1)
        rds.script("app-1", "creating", "creating", status)
        with pytest.raises(WaitFailedError):
            drive(make(CreateInstancesOperator, instance_class="c"))

    @pytest.mark.parametrize("status", ["backing-up", "configuring-log-exports", "rebooting"])
    def test_passing_state_is_waited_for(self, rds, make, status) -> None:
        rds.cluster("app", instances=1)
        rds.script("app-1", status, status, "available")
        assert drive(make(CreateInstancesOperator, instance_class="c"))["instance_ids"] == ["app-1"]


class TestModify:
    """Settings of a cluster."""

    def test_goal_already_reached(self, rds, make) -> None:
        rds.cluster("app")
        same = make(ModifyClusterOperator, security_groups=["sg-old"], deletion_protection=False)
        assert drive(same) == {"cluster_id": "app", "security_groups": ["sg-old"]}
        assert drive(make(ModifyClusterOperator)) == {"cluster_id": "app", "security_groups": ["sg-old"]}
        assert rds.mutations == []

    def test_only_what_differs_is_sent(self, rds, make) -> None:
        rds.cluster("app")
        change = make(ModifyClusterOperator, security_groups=["sg-new"], deletion_protection=False)
        assert drive(change)["security_groups"] == ["sg-new"]
        ((_, asked),) = rds.mutations
        assert "DeletionProtection" not in asked
        drive(change)
        assert len(rds.mutations) == 1

    def test_order_of_groups_is_no_difference(self, rds, make) -> None:
        rds.cluster("app", VpcSecurityGroups=[{"VpcSecurityGroupId": "a"}, {"VpcSecurityGroupId": "b"}])
        drive(make(ModifyClusterOperator, security_groups=["b", "a"]))
        assert rds.mutations == []

    def test_protection(self, rds, make) -> None:
        rds.cluster("app")
        drive(make(ModifyClusterOperator, deletion_protection=True))
        assert rds.clusters["app"]["DeletionProtection"] is True

    def test_untagged_is_refused(self, rds, make) -> None:
        rds.cluster("app", refresh=False)
        with pytest.raises(SafetyError, match="app is not tagged"):
            drive(make(ModifyClusterOperator, security_groups=["x"]))
        assert rds.mutations == []

    def test_busy_is_waited_for(self, rds, make) -> None:
        rds.cluster("app")
        rds.script("app", "backing-up", "backing-up", "available")
        drive(make(ModifyClusterOperator, security_groups=["x"]))
        assert rds.names("ModifyDBCluster") == 1

    def test_busy_between_look_and_call_is_retried(self, rds, make) -> None:
        rds.cluster("app")
        rds.fail("ModifyDBCluster", "InvalidDBClusterStateFault")
        change = make(ModifyClusterOperator, security_groups=["x"])
        with pytest.raises(BusyError):
            drive(change)
        assert drive(change)["security_groups"] == ["x"]


class TestRole:
    """A role for LOAD DATA FROM S3."""

    def test_is_attached_once_and_waited_for(self, rds, make) -> None:
        rds.cluster("app")
        attach = make(AttachRoleOperator, role_arn=ROLE)
        assert isinstance(once(attach), TaskDeferred)
        assert drive(attach) == drive(attach) == {"cluster_id": "app", "role_arn": ROLE}
        assert [operation for operation, _ in rds.mutations] == ["AddRoleToDBCluster", "ModifyDBClusterParameterGroup"]
        assert rds.parameters == {"group": {"aws_default_s3_role": ROLE}}

    def test_a_default_group_is_left_alone(self, rds, make) -> None:
        rds.cluster(
            "app",
            AssociatedRoles=[{"RoleArn": ROLE, "Status": "ACTIVE"}],
            DBClusterParameterGroup="default.aurora-mysql8.0",
        )
        drive(make(AttachRoleOperator, role_arn=ROLE))
        assert rds.mutations == []

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_none_is_nothing_to_do(self, rds, make, nothing) -> None:
        rds.cluster("app")
        drive(make(AttachRoleOperator, role_arn=nothing))
        assert rds.mutations == []

    def test_pending_is_waited_for(self, rds, make) -> None:
        role = {"RoleArn": ROLE, "Status": "PENDING"}
        rds.cluster("app", AssociatedRoles=[role])
        rds.parameters["group"] = {"aws_default_s3_role": ROLE}
        rds.after(3, lambda: rds.clusters["app"]["AssociatedRoles"][0].update(Status="ACTIVE"))
        drive(make(AttachRoleOperator, role_arn=ROLE))
        assert rds.mutations == []

    def test_invalid_is_an_error(self, rds, make) -> None:
        rds.cluster("app", AssociatedRoles=[{"RoleArn": ROLE, "Status": "INVALID"}])
        with pytest.raises(WaitFailedError):
            drive(make(AttachRoleOperator, role_arn=ROLE))

    def test_missing_cluster(self, rds, make) -> None:
        with pytest.raises(MissingError):
            drive(make(AttachRoleOperator, role_arn=ROLE))


class TestDelete:
    """A cluster with its instances."""

    def test_instances_go_first_then_the_cluster(self, rds, make) -> None:
        rds.cluster("app", instances=2)
        delete = make(DeleteClusterOperator)
        assert drive(delete) == {"cluster_id": "app", "status": "absent"}
        assert (rds.clusters, rds.instances) == ({}, {})
        assert [name for name, _ in rds.mutations] == ["DeleteDBInstance"] * 2 + ["DeleteDBCluster"]
        assert rds.mutations[-1][1]["SkipFinalSnapshot"] is True
        assert drive(delete)["status"] == "absent"
        assert len(rds.mutations) == 3

    def test_killed_at_any_moment(self, rds, make) -> None:
        rds.cluster("app", instances=2, DeletionProtection=True)
        delete = make(DeleteClusterOperator)
        for _ in range(12):
            once(delete)
        assert rds.clusters == {}
        assert [name for name, _ in rds.mutations] == ["ModifyDBCluster", *["DeleteDBInstance"] * 2, "DeleteDBCluster"]

    def test_stopped_is_started_first(self, rds, make) -> None:
        rds.cluster("app", instances=1, Status="stopped")
        drive(make(DeleteClusterOperator))
        assert [name for name, _ in rds.mutations] == ["StartDBCluster", "DeleteDBInstance", "DeleteDBCluster"]

    def test_stopping_is_waited_for_then_started(self, rds, make) -> None:
        cluster = rds.cluster("app", instances=1)
        rds._finish(cluster, "stopping", "stopped")
        drive(make(DeleteClusterOperator))
        assert rds.names("StartDBCluster") == 1
        assert rds.clusters == {}

    def test_protection_is_taken_off(self, rds, make) -> None:
        rds.cluster("app", DeletionProtection=True)
        drive(make(DeleteClusterOperator))
        assert rds.clusters == {}

    def test_last_snapshot(self, rds, make) -> None:
        rds.cluster("app")
        drive(make(DeleteClusterOperator, final_snapshot_id="last"))
        assert rds.mutations[-1][1]["FinalDBSnapshotIdentifier"] == "last"

    def test_deleting_is_waited_for(self, rds, make) -> None:
        rds.cluster("app", Status="deleting")
        rds.after(5, lambda: rds.clusters.clear())
        assert drive(make(DeleteClusterOperator))["status"] == "absent"
        assert rds.mutations == []

    @pytest.mark.parametrize("nothing", [None, "", "absent"])
    def test_absent_is_the_goal(self, rds, make, nothing) -> None:
        assert drive(make(DeleteClusterOperator, cluster_id=nothing))["status"] == "absent"
        assert rds.mutations == []

    @pytest.mark.parametrize("status", ["available", "stopped"])
    def test_untagged_is_refused(self, rds, make, status) -> None:
        rds.cluster("app", refresh=False, instances=1, Status=status, DeletionProtection=True)
        with pytest.raises(SafetyError):
            drive(make(DeleteClusterOperator))
        assert rds.mutations == []

    @pytest.mark.parametrize(
        ("given", "status"),
        [
            ({"only_run": RUN}, "absent"),
            ({"only_run": "other"}, "left"),
            ({"spare_run": RUN}, "left"),
            ({"spare_run": "other"}, "absent"),
            ({}, "absent"),
        ],
    )
    def test_whose_run(self, rds, make, given, status) -> None:
        rds.cluster("app", tags={"aurora-ops:run": RUN})
        assert drive(make(DeleteClusterOperator, **given))["status"] == status
        assert bool(rds.mutations) is (status == "absent")

    def test_of_no_run_is_left_by_the_clean_up_of_one(self, rds, make) -> None:
        rds.cluster("app")
        assert drive(make(DeleteClusterOperator, only_run=RUN))["status"] == "left"
        assert drive(make(DeleteClusterOperator, spare_run=RUN))["status"] == "absent"

    def test_failed_deletion_ends(self, rds, make) -> None:
        rds.cluster("app", Status="deleting")
        rds.script("app", "deleting", "deleting", "failed")
        with pytest.raises(WaitFailedError):
            drive(make(DeleteClusterOperator))


class TestRetire:
    """What becomes of the cluster that served before."""

    @pytest.fixture
    def retire(self, rds, make):
        rds.cluster("app", instances=1)
        rds.cluster("new", tags={"aurora-ops:published": RUN})
        return lambda policy, **given: make(
            RetireClusterOperator, **{"policy": policy, "successor_id": "new", "published_run": RUN, **given}
        )

    def test_kept(self, rds, retire) -> None:
        assert drive(retire("keep")) == {"cluster_id": "app", "status": "kept"}
        assert rds.mutations == []

    @pytest.mark.parametrize("policy", ["keep", "stop"])
    def test_kept_for_days_is_marked_once(self, rds, retire, policy) -> None:
        drive(retire(policy, kept_days=3))
        marks = tags(rds.clusters["app"])
        assert (marks["aurora-ops:owner"], marks["aurora-ops:retired"]) == ("aurora-ops", RUN)
        left = ownership.parse_expiry(marks["aurora-ops:expires"]) - datetime.now(UTC)
        assert timedelta(days=2.9) < left <= timedelta(days=3)
        drive(retire(policy, kept_days=3))
        assert rds.names("AddTagsToResource") == 1

    def test_kept_for_good_loses_an_expiry_of_earlier_days(self, rds, make, retire) -> None:
        rds.cluster("app", instances=1, tags={"aurora-ops:expires": "2020-01-01T00:00:00+00:00"})
        drive(retire("keep"))
        assert tags(rds.clusters["app"]) == {"refresh": "true"}

    def test_stopped_once(self, rds, retire) -> None:
        stop = retire("stop")
        assert isinstance(once(stop), TaskDeferred)
        assert drive(stop) == drive(stop) == {"cluster_id": "app", "status": "stopped"}
        assert len(rds.mutations) == 1

    def test_deleted(self, rds, retire) -> None:
        assert drive(retire("delete"))["status"] == "absent"
        assert set(rds.clusters) == {"new"}

    @pytest.mark.parametrize("policy", ["keep", "stop", "delete"])
    @pytest.mark.parametrize(
        "successor",
        [{"successor_id": "none"}, {"successor_id": None}, {"successor_id": ""}, {"published_run": "other"}],
    )
    def test_left_alone_unless_the_successor_is_published(self, rds, retire, policy, successor) -> None:
        assert drive(retire(policy, **successor)) == {"cluster_id": "app", "status": "left"}
        assert rds.mutations == []

    def test_left_alone_if_nothing_is_known_of_the_run(self, rds, make) -> None:
        rds.cluster("app", instances=1)
        given = {"policy": None, "successor_id": None, "published_run": None, "cluster_id": None}
        assert drive(make(RetireClusterOperator, **given))["status"] == "left"

    @pytest.mark.parametrize("policy", ["stop", "delete"])
    def test_untagged_is_refused(self, rds, retire, policy) -> None:
        rds.clusters["app"]["TagList"] = []
        with pytest.raises(SafetyError):
            drive(retire(policy))
        assert rds.mutations == []

    @pytest.mark.parametrize(("policy", "status"), [("stop", "absent"), ("delete", "absent")])
    def test_absent(self, rds, retire, policy, status) -> None:
        del rds.clusters["app"]
        assert drive(retire(policy))["status"] == status

    def test_without_instances_cannot_be_stopped_and_is_kept(self, rds, retire) -> None:
        rds.clusters["app"]["DBClusterMembers"] = []
        assert drive(retire("stop"))["status"] == "kept"
        assert rds.mutations == []

    def test_busy_is_waited_for_then_stopped(self, rds, retire) -> None:
        rds.script("app", "modifying", "modifying", "available")
        rds.after(6, rds._scripts.clear)
        assert drive(retire("stop"))["status"] == "stopped"

    def test_unknown_policy(self, rds, retire) -> None:
        with pytest.raises(ConfigError, match="keep, stop or delete"):
            drive(retire("burn"))
