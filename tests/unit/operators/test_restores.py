"""Restoring as a person asks: what the plan refuses, and what AWS is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, StateError
from aurora_ops.core.restores import MOST_CLONES
from aurora_ops.operators.restores import PlanRestoreOperator, RestoreAsAskedOperator

from tests.unit.operators.driver import drive

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
RUN = "db_restore_cluster/manual__1"
ABROAD = "arn:aws:rds:eu-west-1:111111111111:cluster:prod"


@pytest.fixture(autouse=True)
def no_aws_beside_rds(monkeypatch):
    """Keys and networks are those that the names say."""
    keys = {
        "alias/mine": {"Arn": "arn:mine"},
        "alias/off": {"Arn": "arn:off", "Enabled": False},
        "alias/aws/rds": {"Arn": "arn:default"},
    }
    monkeypatch.setattr("aurora_ops.operators.restores.KmsHook.find_key", lambda _, key: keys.get(key))
    monkeypatch.setattr(
        "aurora_ops.operators.restore_checks.NetworkHook.security_group_ids", lambda _, names, *__: list(names)
    )


@pytest.fixture
def plan(rds):
    rds.cluster("app", instances=1)
    return lambda **given: drive(lambda: PlanRestoreOperator(task_id="t", **{
        **AT, "cluster_id": "app-restore", "run_key": RUN, "restore_type": "snapshot", "source_cluster": "app",
        "kms_key_id": "alias/mine", "subnet_group": "staging-db", "security_groups": ["sg"], "like_cluster": "app",
        "instance_class": "db.r6g.large", "source_conn_id": "aws_source", "source_region": "eu-west-1", **given,
    }))  # fmt: skip


class TestPlan:
    """Everything is looked at, nothing is changed."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, rds):
        yield
        assert rds.mutations == []

    def test_takes_the_newest_snapshot_that_is_available(self, rds, plan) -> None:
        now = datetime.now(UTC)
        for hours, name, status in ((3, "old", "available"), (1, "new", "available"), (0, "newer", "creating")):
            rds.snapshot(name, "app", SnapshotCreateTime=now - timedelta(hours=hours), Status=status)
        rds.snapshot("other", "prod", SnapshotCreateTime=now)
        found = plan()
        assert found["source"] == "new"
        assert (found["kms_key_arn"], found["parameter_group"], found["shared_arn"]) == ("arn:mine", "group", None)

    def test_an_old_or_missing_snapshot_is_refused(self, rds, plan) -> None:
        rds.snapshot("old", "app", SnapshotCreateTime=datetime.now(UTC) - timedelta(hours=31))
        with pytest.raises(ConfigError, match=r"31\.0 h old"):
            plan()
        assert plan(max_age_h=48)["source"] == "old"
        assert plan(snapshot="old")["source"] == "old", "a named one has no age"
        with pytest.raises(MissingError, match="no nothing behind"):
            plan(snapshot="nothing")
        rds.snapshots["old"]["Status"] = "failed"
        with pytest.raises(StateError, match="is failed"):
            plan(snapshot="old")

    def test_a_taken_name_is_refused_unless_this_run_has_taken_it(self, rds, plan) -> None:
        rds.snapshot("s", "app")
        taken = rds.cluster("app-restore")
        with pytest.raises(StateError, match="exists already, of somebody else"):
            plan(snapshot="s")
        taken["TagList"].append({"Key": "aurora-ops:run", "Value": RUN})
        assert plan(snapshot="s")["source"] == "s"

    def test_all_that_is_wrong_is_said_at_once(self, rds, plan) -> None:
        with pytest.raises(PermanentError) as said:
            plan(snapshot="no", kms_key_id="alias/off", subnet_group="x", parameter_group="none", instance_class="db.x")
        for word in (
            "snapshot",
            "target.kms_key_id",
            "target.subnet_group",
            "target.parameter_group",
            "instance_class",
        ):
            assert word in str(said.value)

    def test_a_moment_must_be_within_reach(self, rds, plan) -> None:
        rds.clusters["app"] |= {
            "EarliestRestorableTime": datetime(2026, 7, 1, tzinfo=UTC), "LatestRestorableTime": datetime(2026, 7, 3, tzinfo=UTC),
        }  # fmt: skip
        assert plan(restore_type="point_in_time", restore_to="2026-07-02T00:00:00Z")["source"] == "app"
        for moment in ("2026-06-30T23:59:59Z", "2026-07-03T00:00:01Z"):
            with pytest.raises(ConfigError, match="can be restored to moments from 2026-07-01"):
                plan(restore_type="point_in_time", restore_to=moment)

    def test_more_clones_than_aws_makes_are_refused(self, rds, plan) -> None:
        rds.clusters["app"]["CloneGroupId"] = "g"
        for number in range(MOST_CLONES - 1):
            rds.cluster(f"c{number}", CloneGroupId="g")
        assert plan(restore_type="clone")["source"] == "app"
        rds.cluster("one-more", CloneGroupId="g")
        with pytest.raises(StateError, match="has 15 clones"):
            plan(restore_type="clone")

    def test_a_stopped_source_is_refused(self, rds, plan) -> None:
        rds.clusters["app"]["Status"] = "stopped"
        with pytest.raises(StateError, match="is stopped"):
            plan(restore_type="clone")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"Status": "stopped"}, "only an available cluster"),
            ({"DBClusterMembers": []}, "has no instances"),
            ({"CrossAccountClone": True}, "itself a clone"),
            ({"KmsKeyId": None}, "is not encrypted"),
            ({"KmsKeyId": "arn:default"}, "under the default key"),
            ({"CloneGroupId": "g"}, "has a clone in this account already, aside"),
        ],
    )
    def test_what_aws_does_not_clone_across_accounts(self, rds, plan, changes, said) -> None:
        rds.cluster("prod", instances=1, DBClusterArn=ABROAD)
        rds.cluster("aside", CloneGroupId="g", CrossAccountClone=True)
        asked = {"restore_type": "shared_clone", "source_cluster": "prod"}
        found = plan(**asked)
        assert (found["source"], found["shared_arn"], found["shared_key_arn"]) == (ABROAD, ABROAD, "arn:key")
        rds.clusters["prod"] |= changes
        with pytest.raises(StateError, match=said):
            plan(**asked)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"restore_type": "point_in_time"}, {"RestoreType": "full-copy", "UseLatestRestorableTime": True}),
        ({"restore_type": "point_in_time", "restore_to": "2026-07-02T00:00:00Z"},
         {"RestoreType": "full-copy", "RestoreToTime": datetime(2026, 7, 2, tzinfo=UTC)}),
        ({"restore_type": "clone"}, {"RestoreType": "copy-on-write", "UseLatestRestorableTime": True}),
        ({"restore_type": "shared_clone", "snapshot": ABROAD}, {"RestoreType": "copy-on-write", "UseLatestRestorableTime": True}),
    ],
)  # fmt: skip
def test_what_aws_is_asked_for(rds, calls, given, asked) -> None:
    rds.cluster("prod", instances=1)
    result = drive(lambda: RestoreAsAskedOperator(task_id="t", **{
        **AT, "cluster_id": "app-restore", "snapshot": "prod", "run_key": RUN, "kms_key_arn": "arn:mine", "subnet_group": "n",
        "security_groups": ["sg"], "serverless": {"min_acu": 0.5, "max_acu": 2}, **given,
    }))  # fmt: skip
    assert result["cluster_id"] == "app-restore"
    [(operation, sent)] = rds.mutations
    assert operation == "RestoreDBClusterToPointInTime"
    said = ("RestoreType", "UseLatestRestorableTime", "RestoreToTime")
    assert {name: sent[name] for name in said if name in sent} == asked
    assert sent["SourceDBClusterIdentifier"] == given.get("snapshot", "prod")
    assert (sent["KmsKeyId"], sent["DeletionProtection"]) == ("arn:mine", False)
    assert sent["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 2}
    assert {"Key": "refresh", "Value": "true"} in sent["Tags"]
    assert set(calls) <= set(RestoreAsAskedOperator.permissions)
