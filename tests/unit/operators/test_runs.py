"""The lock of a target, and publishing where the database is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core.errors import BusyError, MissingError, PermanentError
from aurora_ops.operators.publish import PublishClusterOperator
from aurora_ops.operators.runs import ReleaseLockOperator, TakeLockOperator

from tests.unit.operators.conftest import AT, RUN, TARGET
from tests.unit.operators.driver import context, drive


def run_of(run_id: str):
    ctx = context()
    ctx["dag_run"].run_id = run_id
    return ctx


class TestLock:
    """One refresh of a target at a time."""

    def take(self, **given):
        return TakeLockOperator(task_id="l", **{**RUN, "lease_h": 12, **given})

    def release(self, **given):
        return ReleaseLockOperator(task_id="r", **{**RUN, **given})

    def test_is_taken_with_a_lease(self, home, calls) -> None:
        assert drive(self.take) == {"target_key": TARGET, "holder": "refresh_staging/manual__1"}
        lease = datetime.fromtimestamp(int(home.item("lock")["expires_at"]), UTC) - datetime.now(UTC)
        assert timedelta(hours=11, minutes=59) < lease <= timedelta(hours=12)
        assert set(calls) <= set(TakeLockOperator.permissions)

    def test_two_at_once_one_is_refused_and_told_by_whom(self, home) -> None:
        drive(self.take, run_of("one"))
        ctx = run_of("two")
        with pytest.raises(BusyError, match="refresh_staging/one"):
            drive(self.take, ctx)
        assert "refresh_staging/one" in ctx["ti"].xcoms["l", "error"]
        drive(self.release, run_of("one"))
        drive(self.take, run_of("two"))

    def test_same_run_twice(self, home) -> None:
        assert drive(self.take) == drive(self.take)

    def test_dead_run_does_not_lock_for_ever(self, home) -> None:
        drive(lambda: self.take(lease_h=-0.01), run_of("dead"))
        drive(self.take, run_of("next"))
        assert home.item("lock")["holder"] == "refresh_staging/next"

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_without_a_target(self, home, calls, nothing) -> None:
        with pytest.raises(PermanentError, match="no target to lock"):
            drive(lambda: self.take(target_key=nothing))
        assert drive(lambda: self.release(target_key=nothing)) == {"released": False}
        assert calls == []

    def test_release_twice_and_of_another(self, home) -> None:
        drive(self.take, run_of("one"))
        assert drive(self.release, run_of("two")) == {"released": False}
        assert drive(self.release, run_of("one")) == {"released": True}
        assert drive(self.release, run_of("one")) == {"released": False}

    def test_no_table(self, home) -> None:
        with pytest.raises(MissingError):
            drive(lambda: self.take(table="none"))


class TestPublish:
    """Where the database is."""

    @pytest.fixture
    def publish(self, rds):
        rds.cluster("app")
        return lambda **given: (
            lambda: PublishClusterOperator(
                task_id="p",
                **{**AT, "cluster_id": "app", "parameter": "/db", "run_key": "k", "snapshot_id": "s", **given},
            )
        )

    def test_twice_is_once(self, rds, publish, calls, aws_session) -> None:
        result = drive(publish())
        assert result == {"cluster_id": "app", "endpoint": "app.cluster-x.rds", "parameter": "/db"}
        assert drive(publish()) == result
        assert calls.mutating == ["ssm:PutParameter", "rds:AddTagsToResource"]
        assert set(calls) <= set(PublishClusterOperator.permissions)
        parameter = aws_session.client("ssm").get_parameter(Name="/db")["Parameter"]
        assert parameter["Value"] == "app.cluster-x.rds"
        tags = {tag["Key"]: tag["Value"] for tag in rds.clusters["app"]["TagList"]}
        assert tags == {"refresh": "true", "aurora-ops:published": "k", "aurora-ops:snapshot": "s"}

    def test_is_temporary_no_more(self, rds, publish) -> None:
        expiry = {"Key": "aurora-ops:expires", "Value": "2020-01-01T00:00:00+00:00"}
        rds.clusters["app"]["TagList"].append(expiry)
        rds.instance("app-1", "app")["TagList"].append(expiry)
        drive(publish())
        drive(publish())
        for item in (rds.clusters["app"], rds.instances["app-1"]):
            assert "aurora-ops:expires" not in {tag["Key"] for tag in item["TagList"]}
        assert rds.names("RemoveTagsFromResource") == 2

    def test_is_not_marked_as_finished_before_all_is_done(self, rds, publish) -> None:
        expiry = {"Key": "aurora-ops:expires", "Value": "2020-01-01T00:00:00+00:00"}
        rds.clusters["app"]["TagList"].append(expiry)
        rds.fail("RemoveTagsFromResource", "AccessDenied")
        with pytest.raises(PermanentError):
            drive(publish())
        assert "aurora-ops:published" not in {tag["Key"] for tag in rds.clusters["app"]["TagList"]}

    def test_moved_endpoint_is_written(self, rds, publish, aws_session) -> None:
        drive(publish())
        rds.clusters["app"]["Endpoint"] = "new"
        drive(publish())
        assert aws_session.client("ssm").get_parameter(Name="/db")["Parameter"]["Value"] == "new"

    def test_no_parameter(self, publish, calls) -> None:
        drive(publish(parameter=None))
        assert not any(action.startswith("ssm") for action in calls)

    def test_missing_cluster(self, rds, publish, calls) -> None:
        with pytest.raises(MissingError):
            drive(publish(cluster_id="none"))
        assert calls.mutating == []
