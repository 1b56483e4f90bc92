"""The reaper's tasks: what they remove, in which order, what they spare, and what one failure does to the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError, StateError
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.reap_databases import ReapClustersOperator, ReapSnapshotsOperator
from aurora_ops.operators.reap_others import (
    ReapGrantsOperator,
    ReapKeptTablesOperator,
    ReapLocksOperator,
    ReapSecretVersionsOperator,
)
from aurora_ops.operators.reaping import CheckReapOperator, RecordReapOperator

from tests.unit.core.samples import raw
from tests.unit.operators.driver import context, drive, once

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
HOME = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1", "table": "runs"}
TARGET = "refresh#222222222222#app"
PAST, FUTURE = "2020-01-01T00:00:00+00:00", "2100-01-01T00:00:00+00:00"
LATER = datetime.now(UTC) + timedelta(days=3)
MARKS = {"aurora-ops:owner": "aurora-ops", "aurora-ops:run": "dag/dead", "aurora-ops:expires": PAST}
OTHER = "222222222222"
NAME = "copy-staging-prod-20260701t020000"


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Clock(datetime):
    """Three days on: what this test has just made has had its day."""

    @classmethod
    def now(cls, tz=None):
        return LATER


@pytest.fixture
def runs(rds, aws_session, calls) -> RunsHook:
    aws_session.client("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    calls.clear()
    return RunsHook("aws_orchestrator", "eu-west-1")


@pytest.fixture
def reap(runs, calls):
    """Build tasks that remove; what they call must be what they declare."""
    used: list[type] = []

    def maker(kind, **given):
        used.append(kind)
        common = {"policy": "remove", "environments": ["staging"], "locks": [{**HOME, "keys": [TARGET]}]}
        return lambda: kind(task_id="t", **{**AT, **common, **given})

    yield maker
    elsewhere = {action for kind in used for more in kind.permissions_elsewhere.values() for action in more}
    assert set(calls) <= {action for kind in used for action in kind.permissions} | elsewhere | SETUP


SETUP = {
    "dynamodb:PutItem", "kms:CreateKey", "kms:CreateGrant", "s3:CreateBucket", "s3:PutObject",
    "secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "ssm:PutParameter", "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
}  # fmt: skip


def lock(runs, holder="refresh_staging/live", ends=4_000_000_000, pk=TARGET) -> None:
    runs.put("runs", {"pk": pk, "sk": "lock", "holder": holder, "taken_at": 1, "expires_at": ends})


def said(ctx) -> dict:
    return ctx["ti"].xcoms["t", "report"]


class TestClusters:
    """Temporary clusters with their instances, and those that served before."""

    @pytest.fixture
    def clusters(self, reap):
        return lambda **given: reap(ReapClustersOperator, **{"served": ["app", "prod"], "protected": False, **given})

    def leftover(self, rds, name="app-restore", **changes):
        tags = {**MARKS, **changes.pop("tags", {})}
        return rds.cluster(name, instances=2, tags=tags, **changes)

    def test_goes_with_its_instances_instances_first(self, rds, clusters) -> None:
        self.leftover(rds)
        found = drive(clusters())
        assert found["removed"] == ["cluster app-restore"]
        assert rds.clusters == rds.instances == {}
        assert [name for name, _ in rds.mutations] == ["DeleteDBInstance", "DeleteDBInstance", "DeleteDBCluster"]

    def test_protected_and_stopped_temporary_one_goes_too(self, rds, clusters) -> None:
        self.leftover(rds, Status="stopped", DeletionProtection=True)
        assert drive(clusters())["counts"]["removed"] == 1

    def test_a_second_run_finds_nothing(self, rds, clusters, calls) -> None:
        self.leftover(rds)
        drive(clusters())
        before = len(rds.mutations)
        assert drive(clusters())["counts"]["found"] == 0
        assert len(rds.mutations) == before

    def test_killed_between_it_goes_on(self, rds, clusters) -> None:
        self.leftover(rds)
        assert isinstance(once(clusters()), TaskDeferred)
        assert drive(clusters())["removed"] == ["cluster app-restore"]
        assert rds.names("DeleteDBInstance") == 2

    @pytest.mark.parametrize(("given", "mode"), [({"policy": "report"}, "report"), ({"report_only": True}, "report")])
    def test_report_changes_nothing(self, rds, clusters, calls, given, mode) -> None:
        self.leftover(rds)
        found = drive(clusters(**given))
        assert (found["mode"], found["counts"]["expired"], found["counts"]["removed"]) == (mode, 1, 0)
        assert "cluster app-restore: it expired 2020" in found["expired"][0]
        assert calls.mutating == []

    def test_the_form_wins_over_the_settings(self, rds, clusters) -> None:
        self.leftover(rds)
        assert drive(clusters(policy="report", report_only=False))["counts"]["removed"] == 1

    @pytest.mark.parametrize(
        ("name", "tags", "given", "why"),
        [
            ("app", {}, {}, "a name under which a cluster serves"),
            ("x", {"aurora-ops:published": "r"}, {}, "has served and has not been retired"),
            ("app-old", {}, {}, "has served and has not been retired"),
            ("x", {"refresh": "no"}, {}, "not tagged refresh=true"),
            ("x", {}, {"protected": True}, "source or protected"),
            ("x", {"aurora-ops:expires": "soon"}, {}, "cannot be read"),
            ("x", {"aurora-ops:expires": ""}, {}, "no expiry"),
            ("x", {"aurora-ops:run": ""}, {}, "no tag says which run"),
            ("x", {"aurora-ops:retired": "r"}, {}, "took its place is not there"),
        ],
    )
    def test_is_spared_and_reported(self, rds, clusters, calls, name, tags, given, why) -> None:
        self.leftover(rds, name, tags=tags)
        found = drive(clusters(**given))
        assert why in found["to_look_at"][0]
        assert calls.mutating == []

    def test_whose_endpoint_is_published_is_spared(self, rds, clusters, aws_session) -> None:
        cluster = self.leftover(rds, "x")
        aws_session.client("ssm").put_parameter(Name="/db", Value=cluster["Endpoint"], Type="String")
        assert "published in /db" in drive(clusters(endpoint_parameters=["/none", "/db"]))["to_look_at"][0]
        assert rds.mutations == []

    @pytest.mark.parametrize("tags", [{"aurora-ops:owner": "ann"}, {"aurora-ops:expires": FUTURE}])
    def test_what_is_not_ours_or_not_over_is_left_alone(self, rds, clusters, tags) -> None:
        self.leftover(rds, tags=tags)
        found = drive(clusters())
        assert found["to_look_at"] == found["expired"] == found["removed"] == []
        assert rds.mutations == []

    def test_what_serves_or_is_kept_for_good_is_no_leftover(self, rds, clusters) -> None:
        ours = {"aurora-ops:owner": "aurora-ops", "aurora-ops:run": "r", "aurora-ops:published": "r"}
        rds.cluster("app", tags=ours)
        rds.cluster("app-old", tags=ours)
        assert drive(clusters())["counts"]["found"] == 0

    def test_live_lock_spares_it(self, rds, clusters, runs) -> None:
        self.leftover(rds)
        lock(runs)
        found = drive(clusters())
        assert found["counts"] == {
            "found": 1, "kept": 1, "to_look_at": 0, "expired": 0, "removed": 0, "failed": 0,
        }  # fmt: skip
        assert rds.mutations == []

    def test_void_lock_does_not(self, rds, clusters, runs) -> None:
        self.leftover(rds)
        lock(runs, ends=1_600_000_000)
        assert drive(clusters())["counts"]["removed"] == 1

    def test_lock_taken_meanwhile_spares_it(self, rds, clusters, runs, monkeypatch) -> None:
        self.leftover(rds)
        beyond = ReapClustersOperator.look_again

        def look(self, item):
            lock(runs)
            return beyond(self, item)

        monkeypatch.setattr(ReapClustersOperator, "look_again", look)
        assert drive(clusters())["counts"]["kept"] == 1
        assert rds.mutations == []

    @pytest.mark.parametrize("change", [{"DbClusterResourceId": "cluster-new"}, {"TagList": []}])
    def test_another_one_of_the_name_is_spared(self, rds, clusters, monkeypatch, change) -> None:
        cluster = self.leftover(rds)
        beyond = ReapClustersOperator.look_again

        def look(self, item):
            cluster.update(change)
            return beyond(self, item)

        monkeypatch.setattr(ReapClustersOperator, "look_again", look)
        assert drive(clusters())["counts"]["removed"] == 0
        assert rds.mutations == []

    def test_one_that_cannot_go_does_not_stop_the_others(self, rds, clusters) -> None:
        self.leftover(rds, "a-restore")
        self.leftover(rds, "b-restore")
        rds.fail("DeleteDBInstance", "AccessDenied")
        ctx = context()
        with pytest.raises(StateError, match=r"1 could not be removed.*\n- cluster a-restore: .*AccessDenied"):
            drive(clusters(), ctx)
        assert set(rds.clusters) == {"a-restore"}
        assert said(ctx)["removed"] == ["cluster b-restore"]
        assert said(ctx)["counts"]["failed"] == 1

    def test_one_whose_end_is_not_reached_does_not_stop_the_others(self, rds, clusters) -> None:
        self.leftover(rds, "a-restore")
        self.leftover(rds, "b-restore")
        rds.script("a-restore-1", "deleting", "deleting", "deleting", "deleting", "deleting", "failed")
        ctx = context()
        with pytest.raises(StateError, match="- cluster a-restore: "):
            drive(clusters(), ctx)
        assert "b-restore" not in rds.clusters
        assert said(ctx)["removed"] == ["cluster b-restore"]

    def test_instance_whose_cluster_is_gone_goes(self, rds, clusters) -> None:
        self.leftover(rds, "x")
        rds.instances["x-1"]["TagList"] = tag_list({**MARKS, "refresh": "true"})
        del rds.clusters["x"], rds.instances["x-2"]
        assert drive(clusters())["removed"] == ["instance x-1"]
        assert rds.instances == {}

    def test_instance_of_a_cluster_that_serves_is_spared(self, rds, clusters) -> None:
        rds.cluster("app", instances=1)
        rds.instances["app-1"]["TagList"] = tag_list({**MARKS, "refresh": "true"})
        assert "its cluster app is no leftover" in drive(clusters())["to_look_at"][0]
        assert rds.mutations == []

    def test_account_without_leftovers_needs_no_lock_looked_at(self, rds, clusters, calls) -> None:
        rds.cluster("anything")
        drive(clusters())
        assert "dynamodb:GetItem" not in calls

    def test_environment_that_was_not_asked_for_is_skipped(self, rds, clusters, calls) -> None:
        with pytest.raises(AirflowSkipException):
            drive(clusters(only="dev"))
        assert calls == []


class TestRetired:
    """A cluster that has served goes only when its successor is proven."""

    @pytest.fixture
    def old(self, rds, reap):
        tags = {**MARKS, "aurora-ops:retired": "dag/new", "aurora-ops:published": "dag/before"}
        rds.cluster("app-old", instances=1, tags=tags)
        rds.cluster("app", tags={"aurora-ops:published": "dag/new"})
        return reap(ReapClustersOperator, served=["app"], protected=False)

    def test_goes(self, rds, old) -> None:
        assert drive(old)["removed"] == ["cluster app-old"]
        assert set(rds.clusters) == {"app"}

    @pytest.mark.parametrize("status", ["modifying", "stopped", "failed"])
    def test_stays_while_the_successor_is_not_well(self, rds, old, status) -> None:
        rds.clusters["app"]["Status"] = status
        assert status in drive(old)["to_look_at"][0]
        assert rds.mutations == []

    @pytest.mark.parametrize("published", ["dag/other", ""])
    def test_stays_while_the_successor_is_not_proven(self, rds, old, published) -> None:
        rds.clusters["app"]["TagList"] = tag_list({"refresh": "true", "aurora-ops:published": published})
        assert "not proven by dag/new" in drive(old)["to_look_at"][0]
        assert rds.mutations == []

    def test_deletion_protection_is_respected(self, rds, old) -> None:
        rds.clusters["app-old"]["DeletionProtection"] = True
        assert "deletion protection" in drive(old)["to_look_at"][0]
        assert rds.mutations == []


class TestSnapshots:
    """Copies and fresh ones, and shares on snapshots of others."""

    @pytest.fixture
    def snapshots(self, reap):
        return lambda **given: reap(ReapSnapshotsOperator, **{"account_ids": [OTHER], **given})

    def test_share_then_grant_then_snapshot(self, rds, snapshots, aws_session, calls) -> None:
        kms = aws_session.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        for name in (naming.grant(NAME, OTHER), "somebody-elses"):
            kms.create_grant(
                KeyId=key, GranteePrincipal="arn:aws:iam::222222222222:role/x", Operations=["Decrypt"], Name=name
            )
        rds.snapshot(NAME, KmsKeyId=key, TagList=tag_list(MARKS))
        rds.shares[NAME] = {OTHER}
        calls.clear()
        assert drive(snapshots())["removed"] == [f"snapshot {NAME}"]
        assert calls.mutating == [
            "rds:ModifyDBClusterSnapshotAttribute", "kms:RevokeGrant", "rds:DeleteDBClusterSnapshot",
        ]  # fmt: skip
        assert [grant["Name"] for grant in kms.list_grants(KeyId=key)["Grants"]] == ["somebody-elses"]
        assert rds.snapshots == {}

    def test_snapshot_of_a_person_that_inherited_the_tags_is_not_ours(self, rds, snapshots) -> None:
        rds.snapshot("before-migration", TagList=tag_list(MARKS))
        assert drive(snapshots())["counts"]["found"] == 0
        assert rds.mutations == []

    def test_snapshot_of_a_runs_name_without_our_tags_is_not_ours(self, rds, snapshots) -> None:
        rds.snapshot(NAME, TagList=[])
        assert drive(snapshots())["counts"]["found"] == 0

    def test_one_that_somebody_shares_as_well_is_spared(self, rds, snapshots) -> None:
        rds.snapshot(NAME, StorageEncrypted=False, TagList=tag_list(MARKS))
        rds.shares[NAME] = {OTHER, "999999999999"}
        drive(snapshots())
        assert rds.mutations == []

    def test_share_on_somebody_elses_ends_and_the_snapshot_stays(self, rds, snapshots) -> None:
        share = {f"aurora-ops:share-run:{OTHER}": "dag/dead", f"aurora-ops:share-expires:{OTHER}": PAST, "theirs": "1"}
        rds.snapshot("nightly", StorageEncrypted=False, TagList=tag_list(share))
        rds.shares["nightly"] = {OTHER, "999999999999"}
        assert drive(snapshots())["removed"] == [f"share nightly with {OTHER}"]
        assert rds.shares["nightly"] == {"999999999999"}
        assert rds.snapshots["nightly"]["TagList"] == [{"Key": "theirs", "Value": "1"}]

    def test_automated_ones_are_never_looked_at(self, rds, snapshots) -> None:
        rds.snapshot(NAME, SnapshotType="automated", TagList=tag_list(MARKS))
        assert drive(snapshots())["counts"]["found"] == 0

    def test_few_among_thousands_of_others(self, rds, snapshots) -> None:
        rds.lag = 0
        for number in range(3000):
            rds.snapshot(f"theirs-{number}", TagList=[])
        ours = [f"copy-staging-prod-2026070{number}t020000" for number in range(1, 6)]
        for name in ours:
            rds.snapshot(name, StorageEncrypted=False, TagList=tag_list(MARKS))
        assert sorted(drive(snapshots())["removed"]) == [f"snapshot {name}" for name in ours]
        assert len(rds.snapshots) == 3000


class TestGrants:
    """Grants by name, on the keys of the source."""

    @pytest.fixture
    def key(self, rds, runs, aws_session, calls):
        kms = aws_session.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        rds.cluster("prod", KmsKeyId=key, refresh=False)
        for name in (naming.grant("gone", OTHER), naming.grant("gone", "333333333333"), "somebody-elses"):
            kms.create_grant(
                KeyId=key, GranteePrincipal="arn:aws:iam::222222222222:role/x", Operations=["Decrypt"], Name=name
            )
        calls.clear()
        return key

    @pytest.fixture
    def dated(self, monkeypatch):
        """Grants with the date that moto leaves out."""
        beyond = KmsHook.list_grants_named
        made = {"at": datetime(2020, 1, 1, tzinfo=UTC)}

        def listed(self, key_arn, prefix, grant_id=None):
            found = [{**grant, "CreationDate": made["at"]} for grant in beyond(self, key_arn, prefix)]
            return [grant for grant in found if grant_id in (None, grant["GrantId"])]

        monkeypatch.setattr(KmsHook, "list_grants_named", listed)
        return made

    @pytest.fixture
    def grants(self, reap):
        return reap(ReapGrantsOperator, key_ids=[], clusters=["prod", "none"], account_ids=[OTHER], expires_h=24)

    def test_expired_one_ends_and_others_stay(self, key, dated, grants, aws_session) -> None:
        assert drive(grants)["counts"]["removed"] == 1
        left = [grant["Name"] for grant in aws_session.client("kms").list_grants(KeyId=key)["Grants"]]
        assert sorted(left) == ["aurora-ops-333333333333-gone", "somebody-elses"]

    def test_young_one_stays(self, key, dated, grants, calls) -> None:
        dated["at"] = datetime.now(UTC) - timedelta(hours=23)
        assert drive(grants)["counts"]["kept"] == 1
        assert calls.mutating == []

    def test_one_whose_age_is_not_known_stays(self, key, dated, grants, calls) -> None:
        dated["at"] = None
        assert drive(grants)["counts"]["to_look_at"] == 1
        assert calls.mutating == []


class TestNamedThings:
    """Dumps, versions of secrets and locks."""

    @pytest.fixture
    def later(self, monkeypatch):
        monkeypatch.setattr("aurora_ops.operators.reaping.datetime", Clock)

    def test_folders_of_dead_runs_are_deleted_and_nothing_beside_them(
        self, runs, reap, aws_session, later, calls
    ) -> None:
        s3 = aws_session.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        ours = [f"aurora-ops/staging/{NAME}/shop.{number}.jsonl.gz" for number in range(3)]
        others = ["aurora-ops/staging/annes/x", "aurora-ops/staging/file", f"aurora-ops/dev/{NAME}/x", f"{NAME}/x"]
        for name in [*ours, *others]:
            s3.put_object(Bucket="bucket", Key=name, Body=b"")
        calls.clear()
        folders = [{"bucket": "bucket", "prefix": "aurora-ops/staging/"}]
        found = drive(reap(ReapKeptTablesOperator, folders=folders, expires_h=24))
        assert found["removed"] == [f"kept tables s3://bucket/aurora-ops/staging/{NAME}/"]
        assert sorted(BucketsHook("aws_destination", "eu-west-1").list_keys("bucket", "")) == sorted(others)

    def test_young_folder_stays(self, runs, reap, aws_session, calls) -> None:
        s3 = aws_session.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket="bucket", Key=f"aurora-ops/staging/{NAME}/x", Body=b"")
        calls.clear()
        folders = [{"bucket": "bucket", "prefix": "aurora-ops/staging/"}]
        assert drive(reap(ReapKeptTablesOperator, folders=folders, expires_h=24))["counts"]["kept"] == 1
        assert calls.mutating == []

    @pytest.mark.parametrize(
        ("version", "removed"),
        [(naming.secret_version("dag/dead", "s"), 1), ("0b0cc1d8-7c4e-4d6f-9f5e-1a6a4b2c3d4e", 0)],
    )
    def test_only_pending_versions_that_a_run_wrote(
        self, runs, reap, aws_session, later, calls, version, removed
    ) -> None:
        hook = SecretsHook("aws_destination", "eu-west-1")
        aws_session.client("secretsmanager").create_secret(Name="s", SecretString="{}")
        hook.put_pending("s", {"password": "p"}, version)
        calls.clear()
        versions = reap(ReapSecretVersionsOperator, secret_ids=["s"], expires_h=24)
        ctx = context()
        assert drive(versions, ctx)["counts"]["removed"] == removed
        assert (hook.stages("s").get("AWSPENDING") is None) is bool(removed)
        assert hook.find_secret("s") == {}, "what is current stays"

    def test_pending_version_that_is_current_is_in_use(self, monkeypatch) -> None:
        both = {"VersionId": naming.secret_version("dag/done", "s"), "VersionStages": ["AWSCURRENT", "AWSPENDING"]}
        monkeypatch.setattr(SecretsHook, "call", lambda *_, **__: {"Versions": [both]})
        assert SecretsHook("aws_destination", "eu-west-1").find_pending("s") is None
        both["VersionStages"].remove("AWSCURRENT")
        assert SecretsHook("aws_destination", "eu-west-1").find_pending("s") == (both["VersionId"], None)

    def test_void_lock_goes_and_a_live_one_stays(self, runs, reap) -> None:
        lock(runs, ends=1_600_000_000)
        lock(runs, pk="live")
        keys = [TARGET, "live", "none"]
        assert drive(reap(ReapLocksOperator, table="runs", lock_keys=keys, locks=[]))["removed"] == [f"lock {TARGET}"]
        assert runs.find("runs", TARGET, "lock") is None
        assert runs.find("runs", "live", "lock")

    def test_lock_that_is_taken_meanwhile_stays(self, runs) -> None:
        lock(runs, "dag/new")
        for holder, now in (("dag/dead", 5e9), ("dag/new", 1.0)):
            assert runs.drop_void_lock("runs", TARGET, holder=holder, now=now) is False
        assert runs.find("runs", TARGET, "lock")


class TestCheck:
    """What was asked for, before anything is looked at."""

    @pytest.fixture
    def check(self, tmp_path):
        (tmp_path / "staging.yaml").write_text(yaml.safe_dump(raw()))
        task = CheckReapOperator(task_id="t", config_folder=str(tmp_path), places=[], **AT)

        def run(conf=None, run_type="manual", **files):
            for name, text in files.items():
                (tmp_path / f"{name}.yaml").write_text(text)
            ctx = context()
            ctx["dag_run"] = SimpleNamespace(dag_id="reap_expired", run_id="r", run_type=run_type, conf=conf)
            return task.execute(ctx)

        return run

    @pytest.mark.parametrize(
        ("conf", "run_type", "report_only"),
        [
            ({}, "manual", True),
            (None, "manual", True),
            ({"dry_run": None}, "manual", True),
            ({"dry_run": False}, "manual", False),
            ({}, "scheduled", None),
            ({"dry_run": True}, "scheduled", True),
        ],
    )
    def test_by_hand_it_only_reports_unless_told_otherwise(self, check, conf, run_type, report_only) -> None:
        assert check(conf, run_type) == {"report_only": report_only, "only": None, "min_age_h": 0}

    def test_what_was_asked_for_is_handed_on(self, check) -> None:
        conf = {"environment": "staging", "min_age_h": 2.5, "dry_run": False}
        assert check(conf) == {"report_only": False, "only": "staging", "min_age_h": 2.5}

    @pytest.mark.parametrize(
        ("conf", "said"),
        [
            ({"dryrun": False}, "known run parameters are"),
            ({"dry_run": "false"}, "write a bool"),
            ({"min_age_h": True}, "write a float"),
            ({"environment": "prod"}, r"environments are \['staging'\]"),
        ],
    )
    def test_wrong_parameters(self, check, conf, said) -> None:
        with pytest.raises(ConfigError, match=said):
            check(conf)

    def test_a_wrong_file_stops_everything(self, check) -> None:
        with pytest.raises(PermanentError, match=r"broken\.yaml.*its accounts cannot be judged"):
            check(broken="environment: broken")


class TestRecord:
    """What is written down and announced."""

    @pytest.fixture
    def record(self, runs, aws_session):
        topic = aws_session.client("sns").create_topic(Name="t")["TopicArn"]

        def run(report=None, **given):
            ctx = context()
            if report:
                ctx["ti"].xcoms["a.reap_clusters", "report"] = report
            task = RecordReapOperator(
                task_id="t",
                topic_arn=topic,
                keep_days=30,
                tasks={"reap#1#r": ["a.reap_clusters", "b"]},
                **HOME,
                **given,
            )
            return task.execute(ctx)

        return run

    @staticmethod
    def report(**counts):
        none = dict.fromkeys(("found", "kept", "to_look_at", "expired", "removed", "failed"), 0)
        return {"mode": "remove", "counts": {**none, **counts}, "removed": ["cluster x"]}

    def test_is_written_and_announced(self, record, runs) -> None:
        assert record(self.report(removed=1)) == {"recorded": 1, "announced": True}
        item = runs.find("runs", "reap#1#r", "run#2026-07-01T02:00:00+00:00#manual__1")
        assert "cluster x" in json.dumps(item, default=str)
        assert item["expires_at"] > datetime.now(UTC).timestamp()

    @pytest.mark.parametrize("count", ["failed", "expired", "to_look_at"])
    def test_whatever_a_person_should_know_is_announced(self, record, count) -> None:
        assert record(self.report(**{count: 1}))["announced"] is True

    def test_nothing_of_note_is_only_written(self, record) -> None:
        assert record(self.report(found=3, kept=3)) == {"recorded": 1, "announced": False}

    def test_dry_run_by_hand_leaves_no_trace(self, record, calls) -> None:
        before = len(calls.mutating)
        assert record(self.report(expired=1), report_only=True) == {"recorded": 0, "announced": False}
        assert calls.mutating[before:] in ([], ["sns:CreateTopic"])

    def test_check_that_failed_leaves_nothing_to_write(self, record) -> None:
        assert record() == {"recorded": 0, "announced": False}
