"""The restore pipeline's own steps: marks, copies, what is left, and the evidence of a drill."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core import ownership
from aurora_ops.core.errors import ConfigError, SafetyError, StateError, VerificationError
from aurora_ops.hooks.rds import as_tag_list
from aurora_ops.operators.cluster_removal import DeleteClusterOperator
from aurora_ops.operators.drill import FileDrillOperator
from aurora_ops.operators.recovery import LookAtOutcomeOperator, MarkVerifiedOperator, SettleCopyOperator
from aurora_ops.operators.snapshots import CopySnapshotOperator

from tests.unit.operators.driver import context, drive

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
HOME = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
RUN = "aurora_restore/r1"
OURS = {ownership.OWNER_TAG: ownership.OWNER, ownership.EXPIRES_TAG: "2026-01-01T00:00:00+00:00"}


def tags_of(item) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["TagList"]}


class TestMark:
    """What is verified says so."""

    def test_marks_once(self, rds) -> None:
        rds.cluster("app-restored")
        mark = lambda: drive(lambda: MarkVerifiedOperator(task_id="t", cluster_id="app-restored", run_key=RUN, **AT))  # noqa: E731
        found = mark()
        assert tags_of(rds.clusters["app-restored"])[ownership.VERIFIED_TAG] == RUN
        assert found["resource_id"] == rds.clusters["app-restored"]["DbClusterResourceId"]
        mark()
        assert len(rds.mutations) == 1

    def test_not_what_must_not_be_changed(self, rds) -> None:
        rds.cluster("app-restored", refresh=False)
        with pytest.raises(SafetyError):
            drive(lambda: MarkVerifiedOperator(task_id="t", cluster_id="app-restored", run_key=RUN, **AT))
        assert rds.mutations == []

    @pytest.mark.parametrize(("verified", "status"), [(True, "left"), (False, "absent")])
    def test_what_was_verified_is_spared(self, rds, verified, status) -> None:
        tags = {ownership.RUN_TAG: RUN} | ({ownership.VERIFIED_TAG: RUN} if verified else {})
        rds.cluster("app-restored", instances=1, tags=tags)
        found = drive(
            lambda: DeleteClusterOperator(
                task_id="t", cluster_id="app-restored", only_run=RUN, spare_verified=True, **AT
            )
        )
        assert found["status"] == status
        assert ("app-restored" in rds.clusters) is verified


class TestCopy:
    """The copied snapshot: deleted, left to its expiry, or kept for good."""

    @staticmethod
    def settle(policy, name="copy"):
        return drive(lambda: SettleCopyOperator(task_id="t", snapshot_id=name, policy=policy, **AT))

    def test_deleted(self, rds) -> None:
        rds.snapshot("copy", "prod", TagList=as_tag_list(OURS))
        assert self.settle("delete")["status"] == "absent"
        assert "copy" not in rds.snapshots

    def test_left_to_its_expiry(self, rds) -> None:
        rds.snapshot("copy", "prod", TagList=as_tag_list(OURS))
        assert self.settle("keep")["status"] == "kept"
        assert rds.mutations == []

    def test_kept_for_good(self, rds) -> None:
        rds.snapshot("copy", "prod", TagList=as_tag_list(OURS))
        assert self.settle("archive")["status"] == "archived"
        tags = tags_of(rds.snapshots["copy"])
        assert ownership.EXPIRES_TAG not in tags
        assert tags[ownership.ARCHIVED_TAG] == "true"
        before = len(rds.mutations)
        self.settle("archive")
        assert len(rds.mutations) == before

    def test_somebody_elses_is_left_alone(self, rds) -> None:
        rds.snapshot("copy", "prod", TagList=[])
        with pytest.raises(SafetyError):
            self.settle("archive")
        assert rds.mutations == []

    @pytest.mark.parametrize("policy", ["delete", "keep", "archive"])
    def test_none_is_nothing_to_do(self, rds, policy) -> None:
        assert self.settle(policy, None)["status"] == "absent"

    def test_an_unknown_policy(self, rds) -> None:
        with pytest.raises(ConfigError, match="delete, keep or archive"):
            self.settle("burn")

    def test_a_copy_of_another_snapshot_is_not_adopted(self, rds) -> None:
        rds.snapshot("a", "prod")
        rds.snapshot("copy", "prod", SourceDBClusterSnapshotArn="arn:aws:rds:eu-west-1:1:cluster-snapshot:b")
        with pytest.raises(StateError, match="is a copy of arn:aws:rds:eu-west-1:1:cluster-snapshot:b"):
            drive(lambda: CopySnapshotOperator(task_id="t", source="a", snapshot_id="copy", kms_key_id="k", **AT))


class TestOutcome:
    """What a restore left is said, whatever happened."""

    @staticmethod
    def look(**given):
        ctx = context()
        return drive(
            lambda: LookAtOutcomeOperator(
                task_id="t", cluster_id="app-restored", live_id="app", old_id="app-old", live_resource_id="cluster-0001",
                copy_id="copy", data_at=(ctx["dag_run"].start_date - timedelta(hours=2)).isoformat(), **AT, **given,
            ), ctx,
        )  # fmt: skip

    def test_a_restore_that_failed(self, rds) -> None:
        rds.cluster("app", instances=1)
        rds.cluster("app-restored", tags=OURS)
        rds.snapshot("copy", "prod")
        found = self.look()
        assert found["swapped"] is False
        assert found["left"] == [
            "cluster app-restored (cluster-0002, available, until 2026-01-01T00:00:00+00:00)", "snapshot copy (available)",
        ]  # fmt: skip
        assert (found["rpo_s"], found["rto_s"]) == (7200, None)

    def test_what_it_cost(self, rds) -> None:
        about = {"copied_gib": 3, "instances": 2, "hourly": 0.5, "currency": "USD", "prices": "list prices"}
        assert self.look(costs=about)["cost"].startswith("3 GiB copied, ")
        assert self.look()["cost"] is None

    def test_a_swap(self, rds) -> None:
        rds.cluster("app-old")
        rds.cluster("app")
        found = self.look(verified={"verified_at": datetime(2026, 7, 1, 2, 30, tzinfo=UTC).isoformat()})
        assert found["swapped"] is True
        assert found["serves"].startswith("cluster app (cluster-0002")
        assert found["left"] == ["cluster app-old (cluster-0001, available)"]
        assert found["rto_s"] == 1800

    def test_nothing_was_restored(self, rds) -> None:
        with pytest.raises(AirflowSkipException):
            drive(
                lambda: LookAtOutcomeOperator(
                    task_id="t",
                    cluster_id=None,
                    live_id=None,
                    old_id=None,
                    live_resource_id=None,
                    copy_id=None,
                    data_at=None,
                    **AT,
                )
            )


class TestEvidence:
    """A drill's evidence is filed whatever it shows; a miss is an alarm and a failure."""

    @staticmethod
    def file(home, outcome):
        return drive(
            lambda: FileDrillOperator(
                task_id="t", environment="staging", cluster="app", outcome=outcome, verification=None, rpo_h=1, rto_h=1,
                bucket="reports", namespace="AuroraOps", topic_arn=home.topic_arn, **HOME,
            ),
            context(),
        )  # fmt: skip

    def test_met(self, home) -> None:
        found = self.file(home, {"rpo_s": 60, "rto_s": 120})
        assert found["missed"] == []
        kind, body = home.stored(found["evidence"].removeprefix("s3://reports/"))
        assert kind == "application/json"
        assert json.loads(body)["rto_s"] == 120
        assert set(home.metrics()) == {"DrillRpo", "DrillRto", "DrillTargetMissed"}
        assert {one["Name"] for one in home.metrics()["DrillRto"]} == {"Environment", "Cluster"}
        assert home.heard() == []

    def test_missed(self, home) -> None:
        with pytest.raises(VerificationError, match=r"RTO: restoring took 2\.0 h"):
            self.file(home, {"rpo_s": 60, "rto_s": 7200})
        [alarm] = home.heard()
        assert alarm["Subject"] == "Restore drill of app (staging) missed its targets"
        assert "RTO" in alarm["Message"]
        _, body = home.stored("drills/staging/app/2026-07-01T020000/manual__1.json")
        assert json.loads(body)["missed"]
