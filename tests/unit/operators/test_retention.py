"""Snapshot retention: what is planned, what is deleted and in spite of what, and what is told of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core import ownership
from aurora_ops.core.errors import ConfigError, PermanentError, StateError
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators.retention import (
    CopyRetainedOperator,
    PlanRetentionOperator,
    RecordRetentionOperator,
    RetireSnapshotsOperator,
)
from aurora_ops.operators.snapshots import CopySnapshotOperator

from tests.unit.core.samples import raw
from tests.unit.operators.driver import context, drive, once

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
HOME = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
TARGET = "refresh#222222222222#staging-shop"
START = datetime(2026, 6, 1, 2, tzinfo=UTC)
KEEP = {"daily": 2, "weekly": 0, "monthly": 0}
CLUSTER = {"account": "target", "cluster": "staging-shop", "keep": KEEP, "name_prefixes": ["nightly-"]}
ALL = [f"nightly-{number}" for number in range(5)]
SETUP = {
    "dynamodb:CreateTable",
    "dynamodb:PutItem",
    "s3:CreateBucket",
    "s3:GetObject",
    "sns:CreateTopic",
    "s3:ListBucket",
}


@pytest.fixture
def nights(rds):
    """Five nights' snapshots, of which the policy keeps two."""
    for number, name in enumerate(ALL):
        rds.snapshot(name, "staging-shop", SnapshotCreateTime=START + timedelta(days=number), TagList=[])
    return rds


@pytest.fixture
def runs(nights, aws_session, calls) -> RunsHook:
    aws_session.client("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    calls.clear()
    return RunsHook("aws_orchestrator", "eu-west-1")


class TestPlan:
    """What is decided, before anything is changed."""

    @pytest.fixture
    def plan(self, nights, tmp_path, monkeypatch, calls):
        asserted: list[tuple[str, str]] = []
        monkeypatch.setattr(
            AwsHook, "require_account", lambda hook, account: asserted.append((hook.aws_conn_id, account))
        )

        def run(policy=None, conf=None, run_type="manual", ctx=None, **changes):
            content = raw({"retention": {"clusters": [CLUSTER], **(policy or {})}, **changes})
            (tmp_path / "staging.yaml").write_text(yaml.safe_dump(content))
            ctx = ctx or context()
            ctx["dag_run"] = SimpleNamespace(
                dag_id="snapshot_retention_staging",
                run_id="r",
                run_type=run_type,
                conf=conf,
                logical_date=START,
                run_after=START,
            )
            task = lambda: PlanRetentionOperator(task_id="t", path=str(tmp_path / "staging.yaml"), **HOME)  # noqa: E731
            found = drive(task, ctx)
            assert set(asserted) == {("aws_destination", "222222222222")}
            return found

        yield run
        elsewhere = {action for more in PlanRetentionOperator.permissions_elsewhere.values() for action in more}
        assert set(calls) <= {*PlanRetentionOperator.permissions, *elsewhere} | SETUP

    @staticmethod
    def chosen(found) -> list[str]:
        return [name for batch in found["deletions"] for name in batch["snapshot_ids"]]

    def test_by_hand_it_only_shows_the_plan(self, plan, calls) -> None:
        ctx = context()
        found = plan(ctx=ctx)
        assert (found["dry_run"], found["silent"], found["copies"], found["deletions"], found["page"]) == (
            True, True, [], [], None,
        )  # fmt: skip
        assert found["counts"] | {"found": 0} == {
            "found": 0, "kept": 2, "to_look_at": 0, "deleted": 3, "later": 0, "copied": 0,
        }  # fmt: skip
        assert calls.mutating == []
        assert not {"report", "timing", "error", "progress"} & set(found), "XComs that are something else"

    @pytest.mark.parametrize(
        ("policy", "conf", "run_type", "dry_run"),
        [
            ({}, {"dry_run": False}, "manual", False),
            ({"dry_run": False}, {}, "manual", True),
            ({"dry_run": False}, {"dry_run": None}, "manual", True),
            ({"dry_run": False}, None, "scheduled", False),
            ({}, None, "scheduled", True),
            ({"dry_run": False}, {"dry_run": True}, "scheduled", True),
        ],
    )
    def test_who_says_whether_anything_is_done(self, plan, policy, conf, run_type, dry_run) -> None:
        found = plan(policy, conf, run_type)
        assert found["dry_run"] is dry_run
        assert found["silent"] is (dry_run and run_type == "manual")
        assert self.chosen(found) == ([] if dry_run else ALL[:3])

    def test_the_oldest_go_first_and_no_more_than_allowed(self, plan) -> None:
        found = plan({"most_deletions": 2}, {"dry_run": False})
        assert self.chosen(found) == ALL[:2]
        assert found["counts"]["later"] == 1

    def test_what_is_shared_exported_or_named_stays(self, plan, rds) -> None:
        rds.shares["nightly-0"] = {"333333333333"}
        rds.exporting = ("nightly-1",)
        found = plan(conf={"dry_run": False}, **{"source.snapshot": "nightly-2"})
        assert self.chosen(found) == []
        assert found["counts"]["kept"] == 5

    def test_only_what_may_go_is_asked_whom_it_is_shared_with(self, plan, calls) -> None:
        plan(conf={"dry_run": False})
        assert calls.count("rds:DescribeDBClusterSnapshotAttributes") == 3
        assert calls.count("rds:DescribeExportTasks") == 1

    def test_snapshots_of_other_clusters_are_not_looked_at(self, plan, rds) -> None:
        rds.snapshot("nightly-other", "other", SnapshotCreateTime=START)
        assert plan()["counts"]["found"] == 5

    def test_copies_at_home_of_automated_ones(self, plan, rds) -> None:
        rds.snapshot(
            "rds:staging-shop-1", "staging-shop", SnapshotType="automated", SnapshotCreateTime=START + timedelta(days=9)
        )
        copy_to = [{"region": "eu-west-1", "kms_key_id": "alias/shop"}]
        policy = {"clusters": [{**CLUSTER, "copy_to": copy_to}]}
        dry = plan(policy)
        assert (dry["copies"], dry["counts"]["copied"]) == ([], 1)
        found = plan(policy, {"dry_run": False})
        assert found["copies"] == [
            {
                "aws_conn_id": "aws_destination",
                "region_name": "eu-west-1",
                "source": "rds:staging-shop-1",
                "source_region": "eu-west-1",
                "snapshot_id": "kept-staging-staging-shop-20260610t020000",
                "kms_key_id": "alias/shop",
                "tags": {
                    "aurora-ops:taken-at": "2026-06-10T02:00:00+00:00",
                    "aurora-ops:copy-of": "arn:aws:rds:eu-west-1:222222222222:cluster-snapshot:rds:staging-shop-1",
                },
            }
        ]

    def test_at_most_five_copies_at_once_those_in_the_making_included(self, plan, rds) -> None:
        copy_to = [{"region": "eu-west-1", "kms_key_id": "alias/shop"}]
        for number in range(10, 20):
            moment = START + timedelta(days=number)
            rds.snapshot(f"rds:{number}", "staging-shop", SnapshotType="automated", SnapshotCreateTime=moment)
        policy = {"clusters": [{**CLUSTER, "keep": {**KEEP, "daily": 99}, "copy_to": copy_to}]}
        assert len(plan(policy, {"dry_run": False})["copies"]) == 5

    def test_copies_of_encrypted_ones_need_a_key(self, plan, rds) -> None:
        rds.snapshot("rds:1", "staging-shop", SnapshotType="automated", SnapshotCreateTime=START + timedelta(days=9))
        with pytest.raises(ConfigError, match="kms_key_id: None is not allowed; name a key of eu-west-1"):
            plan({"clusters": [{**CLUSTER, "copy_to": [{"region": "eu-west-1"}]}]})

    def test_an_unencrypted_one_is_copied_without(self, plan, rds) -> None:
        moment = START + timedelta(days=9)
        rds.snapshot(
            "rds:1", "staging-shop", SnapshotType="automated", SnapshotCreateTime=moment, StorageEncrypted=False
        )
        copy_to = [{"region": "eu-west-1", "kms_key_id": "alias/shop"}]
        [copy] = plan({"clusters": [{**CLUSTER, "copy_to": copy_to}]}, {"dry_run": False})["copies"]
        assert copy["kms_key_id"] is None

    def test_what_is_being_copied_elsewhere_stays(self, plan, rds) -> None:
        source = rds.snapshots["nightly-0"]["DBClusterSnapshotArn"]
        tags = {ownership.OWNER_TAG: ownership.OWNER, **ownership.kept_copy(START, source)}
        rds.snapshot(
            "kept-staging-staging-shop-20260601t020000", "staging-shop", Status="copying",
            TagList=[{"Key": key, "Value": value} for key, value in tags.items()],
        )  # fmt: skip
        assert self.chosen(plan(conf={"dry_run": False})) == ALL[1:3]

    @pytest.mark.parametrize(
        ("conf", "said"), [({"dryrun": False}, r"known run parameters are \['dry_run'\]"), ({"dry_run": "no"}, "true or false")]
    )  # fmt: skip
    def test_wrong_parameters(self, plan, conf, said, calls) -> None:
        with pytest.raises(ConfigError, match=said):
            plan(conf=conf)
        assert not calls

    def test_two_environments_do_not_rule_over_the_same_snapshots(self, plan, tmp_path, calls) -> None:
        other = raw({"environment": "dev", "retention": {"clusters": [CLUSTER]}})
        (tmp_path / "dev.yaml").write_text(yaml.safe_dump(other))
        with pytest.raises(
            ConfigError, match=r"'222222222222 eu-west-1 staging-shop' is not allowed; dev\.yaml has a policy"
        ):
            plan()
        assert not calls

    def test_a_wrong_file_beside_stops_it(self, plan, tmp_path) -> None:
        (tmp_path / "dev.yaml").write_text("environment: dev")
        with pytest.raises(PermanentError, match=r"dev\.yaml.*it may have a policy for the same snapshots"):
            plan()

    def test_an_environment_beside_without_a_policy_does_no_harm(self, plan, tmp_path) -> None:
        (tmp_path / "dev.yaml").write_text(yaml.safe_dump(raw({"environment": "dev"})))
        assert plan()["counts"]["found"] == 5

    def test_the_report_of_a_scheduled_run(self, plan, aws_session, calls) -> None:
        s3 = aws_session.client("s3")
        s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        changes = {"orchestrator.report_bucket": "reports"}
        found = plan(run_type="scheduled", **changes)
        assert found["page"] == "s3://reports/aurora-ops/staging/2026/06/01/r/retention.html"
        stored = s3.get_object(Bucket="reports", Key="aurora-ops/staging/2026/06/01/r/retention.json")["Body"].read()
        assert json.loads(stored)["counts"]["deleted"] == 3

    def test_a_dry_run_by_hand_writes_no_report(self, plan, calls) -> None:
        assert plan(**{"orchestrator.report_bucket": "reports"})["page"] is None
        assert calls.mutating == []

    def test_a_report_that_cannot_be_written_stops_nothing(self, plan) -> None:
        found = plan(run_type="scheduled", **{"orchestrator.report_bucket": "no-such-bucket"})
        assert found["page"] is None
        assert found["counts"]["deleted"] == 3

    def test_the_result_is_small(self, plan, rds) -> None:
        for number in range(5, 900):
            rds.snapshot(
                f"nightly-{number}", "staging-shop", SnapshotCreateTime=START + timedelta(hours=number), TagList=[]
            )
        assert len(json.dumps(plan({"most_deletions": 500}, {"dry_run": False}))) < 48 * 1024


class TestRetire:
    """What is deleted, looked at again."""

    @pytest.fixture
    def retire(self, runs, calls):
        def maker(names=ALL[:3], **given):
            return lambda: RetireSnapshotsOperator(
                task_id="t",
                **{
                    **AT,
                    "policy": "remove",
                    "environments": ["staging"],
                    "locks": [{**HOME, "table": "runs", "keys": [TARGET]}],
                    "cluster_id": "staging-shop",
                    "snapshot_ids": names,
                    "keep": KEEP,
                    "name_prefixes": ["nightly-"],
                    "spared": {},
                    "timezone": "Europe/Berlin",
                    **given,
                },
            )

        yield maker
        assert set(calls) <= {*RetireSnapshotsOperator.permissions, "dynamodb:GetItem"} | SETUP

    def test_all_of_the_batch_go_at_once(self, rds, retire) -> None:
        found = drive(retire())
        assert found["removed"] == [f"snapshot {name}" for name in ALL[:3]]
        assert set(rds.snapshots) == set(ALL[3:])
        assert rds.names("DeleteDBClusterSnapshot") == 3

    def test_a_second_time_finds_nothing(self, rds, retire) -> None:
        drive(retire())
        assert drive(retire())["counts"]["found"] == 0
        assert rds.names("DeleteDBClusterSnapshot") == 3

    def test_what_takes_time_is_waited_for(self, rds, retire) -> None:
        rds.lag = 30
        assert drive(retire())["counts"]["removed"] == 3
        assert set(rds.snapshots) == set(ALL[3:])
        assert rds.names("DeleteDBClusterSnapshot") == 3

    def test_what_goes_between_list_and_look_was_removed_too(self, rds, retire, monkeypatch) -> None:
        rds.lag, ctx, look = 30, context(), RetireSnapshotsOperator.look_again
        ctx["ti"].task_id = "t"

        def late(self, item):
            if item.key in self._asked:
                rds.pass_time(30)
            return look(self, item)

        with pytest.raises(TaskDeferred):
            retire()().execute(ctx)
        monkeypatch.setattr(RetireSnapshotsOperator, "look_again", late)
        found = retire()().resume(ctx, {"status": "success", "message": ""})
        assert found["removed"] == [f"snapshot {name}" for name in ALL[:3]]
        assert rds.names("DeleteDBClusterSnapshot") == 3

    def test_killed_between_it_goes_on(self, rds, retire) -> None:
        rds.lag = 30
        assert isinstance(once(retire()), TaskDeferred)
        drive(retire())
        rds.pass_time(30)
        assert set(rds.snapshots) == set(ALL[3:])
        assert rds.names("DeleteDBClusterSnapshot") == 3

    def test_a_plan_that_would_delete_too_much_does_not(self, rds, retire) -> None:
        """It is decided anew: what the policy keeps stays, whatever the task was told."""
        found = drive(retire(ALL))
        assert set(rds.snapshots) == set(ALL[3:])
        assert found["counts"]["kept"] == 2

    def test_the_last_good_one_stays_if_newer_ones_have_gone(self, rds, retire) -> None:
        for name in ALL[1:]:
            del rds.snapshots[name]
        assert drive(retire())["counts"]["removed"] == 0
        assert set(rds.snapshots) == {"nightly-0"}

    @pytest.mark.parametrize("when", ["before", "right before"])
    def test_what_is_shared_meanwhile_stays(self, rds, retire, when) -> None:
        share = lambda: rds.shares.setdefault("nightly-1", {"333333333333"})  # noqa: E731
        share() if when == "before" else rds.after(4, share)
        found = drive(retire())
        assert "nightly-1" in rds.snapshots
        assert found["counts"]["removed"] == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"Status": "copying"},
            {"TagList": [{"Key": "aurora-ops:expires", "Value": "2030-01-01T00:00:00+00:00"}]},
            {"SnapshotType": "automated"},
            {"SnapshotCreateTime": START + timedelta(days=30)},
            {"DBClusterIdentifier": "another"},
        ],
    )
    def test_what_is_otherwise_right_before_stays(self, rds, retire, change) -> None:
        rds.after(3, lambda: rds.snapshots["nightly-0"].update(change))
        drive(retire(["nightly-0"]))
        assert "nightly-0" in rds.snapshots
        assert rds.names("DeleteDBClusterSnapshot") == 0

    def test_what_is_exported_or_spared_stays(self, rds, retire) -> None:
        rds.exporting = ("nightly-0",)
        drive(retire(spared={"nightly-1": "source.snapshot names it"}))
        assert {"nightly-0", "nightly-1"} < set(rds.snapshots)

    def test_nothing_goes_while_a_refresh_could_be_using_it(self, rds, retire, runs) -> None:
        runs.put("runs", {"pk": TARGET, "sk": "lock", "holder": "refresh_staging/live", "expires_at": 4_000_000_000})
        ctx = context()
        assert drive(retire(), ctx)["counts"]["kept"] == 3
        assert rds.names("DeleteDBClusterSnapshot") == 0

    def test_one_failure_is_its_own(self, rds, retire) -> None:
        rds.fail("DeleteDBClusterSnapshot", "AccessDenied")
        with pytest.raises(StateError, match=r"1 could not be removed.*\n- snapshot nightly-0: .*AccessDenied"):
            drive(retire())
        assert set(rds.snapshots) == {"nightly-0", *ALL[3:]}

    def test_a_failed_copy_of_ours_goes(self, rds, retire) -> None:
        name = "kept-staging-staging-shop-20260601t020000"
        rds.snapshot(name, "staging-shop", Status="failed", SnapshotCreateTime=START)
        drive(retire([name], name_prefixes=[]))
        assert name not in rds.snapshots


def test_the_copy_is_the_refreshs_own_with_other_rights() -> None:
    """Nothing is written twice."""
    assert issubclass(CopyRetainedOperator, CopySnapshotOperator)
    assert CopyRetainedOperator.permissions_elsewhere["target"] == CopySnapshotOperator.permissions


class TestRecord:
    """What is written down and announced."""

    @pytest.fixture
    def record(self, runs, aws_session):
        topic = aws_session.client("sns").create_topic(Name="t")["TopicArn"]

        def run(plan=None, deleted=None, states=None, errors=None, **given):
            ctx = context()
            ctx["ti"].states = states or {}
            for task_id, key, value in (
                ("plan", "report", plan),
                ("delete", "report", deleted),
                ("copy", "error", errors),
            ):
                if value is not None:
                    ctx["ti"].xcoms[task_id, key] = value
            task = RecordRetentionOperator(
                task_id="t", table="runs", topic_arn=topic, keep_days=30, copies="copy",
                tasks={"retention#staging": ["plan", "delete"]}, **HOME, **given,
            )  # fmt: skip
            return task.execute(ctx)

        return run

    @staticmethod
    def report(**counts):
        none = dict.fromkeys(("found", "kept", "to_look_at", "expired", "removed", "failed"), 0)
        return {"mode": "remove", "counts": {**none, **counts}, "removed": []}

    def item(self, runs) -> dict:
        return runs.find("runs", "retention#staging", "run#2026-07-01T02:00:00+00:00#manual__1") or {}

    def test_each_batch_is_written_down(self, record, runs, monkeypatch) -> None:
        said: list[str] = []
        monkeypatch.setattr(
            "aurora_ops.hooks.topics.TopicsHook.publish", lambda _, __, subject, message: said.append(subject)
        )
        batches = [self.report(removed=20), self.report(removed=2, failed=1)]
        assert record(self.report(to_look_at=1, expired=3), batches) == {"recorded": 1, "announced": True}
        assert set(self.item(runs)["reports"]) == {"plan", "delete 1", "delete 2"}
        assert said == ["snapshot retention: 22 removed, 1 failed, 3 superseded, 1 to look at"]

    def test_one_batch_is_named_as_its_task(self, record, runs) -> None:
        record(self.report(), self.report(removed=1))
        assert set(self.item(runs)["reports"]) == {"plan", "delete"}

    def test_a_copy_that_failed_is_announced_with_its_cause(self, record, runs) -> None:
        states = {"plan": "success", "copy_0": "success", "copy_1": "failed", "delete": "upstream_failed"}
        assert record(self.report(), None, states, ["the key is disabled"])["announced"] is True
        told = self.item(runs)["reports"]["copy"]
        assert (told["failed"], told["counts"]["failed"]) == (["the key is disabled"], 1)

    def test_nothing_of_note_is_only_written(self, record) -> None:
        assert record(self.report(found=3, kept=3)) == {"recorded": 1, "announced": False}

    def test_a_dry_run_by_hand_leaves_no_trace(self, record) -> None:
        assert record(self.report(expired=3), report_only=True) == {"recorded": 0, "announced": False}
