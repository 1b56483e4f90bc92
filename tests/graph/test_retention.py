"""Snapshot retention: one DAG for each environment with a policy; nothing is deleted before copies are made."""

from __future__ import annotations

import pytest
import yaml
from airflow.sdk import CronTriggerTimetable

from devstack.settings import REPO
from tests.graph.conftest import mutating, read_dags, write_environment

DAG_ID = "snapshot_retention_staging"
TASKS = {"plan_retention", "list_copies", "copy_snapshot", "list_deletions", "delete_snapshots", "record_retention"}


@pytest.fixture(scope="module")
def retention(bag):
    return bag.dags[DAG_ID]


def test_the_tasks(retention) -> None:
    assert set(retention.task_ids) == TASKS


def test_copies_come_before_deletions_and_both_after_the_plan(retention) -> None:
    above = {name: retention.get_task(name).get_flat_relative_ids(upstream=True) for name in TASKS}
    assert above["plan_retention"] == set()
    assert above["copy_snapshot"] == {"plan_retention", "list_copies"}
    assert above["delete_snapshots"] == TASKS - {"delete_snapshots", "record_retention"}


def test_a_failed_copy_stops_deletions_and_none_to_make_does_not(retention) -> None:
    assert retention.get_task("delete_snapshots").trigger_rule.value == "none_failed"


def test_copies_and_deletions_are_mapped_and_nothing_else_changes_snapshots(retention) -> None:
    assert {name for name in TASKS if retention.get_task(name).is_mapped} == {"copy_snapshot", "delete_snapshots"}
    assert {name for name in TASKS if mutating(retention.get_task(name)) & {"rds:DeleteDBClusterSnapshot"}} == set(), (
        "a mapped task's class has the permissions"
    )
    assert mutating(retention.get_task("plan_retention")) == {"s3:PutObject"}
    assert "rds:DeleteDBClusterSnapshot" in retention.get_task("delete_snapshots").operator_class.permissions


def test_is_written_down_whatever_happened(retention) -> None:
    record = retention.get_task("record_retention")
    assert record.is_teardown
    assert record.tasks == {"retention#staging": ["plan_retention", "delete_snapshots"]}
    assert record.copies == "copy_snapshot"


def test_locks_of_whatever_works_in_the_account_are_looked_at(retention) -> None:
    [place] = retention.get_task("delete_snapshots").partial_kwargs["locks"]
    assert place["keys"] == ["refresh#222222222222#staging-shop"]


def test_schedule_zone_and_form(retention) -> None:
    assert isinstance(retention.timetable, CronTriggerTimetable)
    assert retention.timetable.expression == "30 5 * * *"
    assert set(retention.params) == {"dry_run"}
    param = retention.params.get_param("dry_run")
    assert (param.value, param.schema["type"]) == (True, "boolean")
    assert param.description


class TestEnvironments:
    """One DAG for each file with a policy."""

    def dags(self) -> dict:
        bag = read_dags(REPO / "dags" / "restore")
        assert bag.import_errors == {}
        return {dag_id: dag for dag_id, dag in bag.dags.items() if dag_id.startswith("snapshot_retention_")}

    def test_none_without_a_policy_or_with_a_wrong_file(self, include) -> None:
        write_environment(include, "dev", retention=None)
        (include / "config" / "broken.yaml").write_text("environment: broken")
        assert set(self.dags()) == {DAG_ID}

    def test_by_hand_only_where_there_is_no_schedule(self, include) -> None:
        clusters = [{"account": "target", "cluster": "staging-shop"}]
        write_environment(include, "dev", retention={"clusters": clusters}, timezone="Europe/Paris")
        found = self.dags()
        assert set(found) == {DAG_ID, "snapshot_retention_dev"}
        assert found["snapshot_retention_dev"].timetable.can_be_scheduled is False
        assert found["snapshot_retention_dev"].get_task("delete_snapshots").partial_kwargs["timezone"] == "Europe/Paris"

    def test_every_environment_that_works_in_the_account_is_asked(self, include) -> None:
        content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())
        orchestrator = {**content["orchestrator"], "runs_table": "dev-runs"}
        write_environment(include, "dev", retention=None, orchestrator=orchestrator)
        locks = self.dags()[DAG_ID].get_task("delete_snapshots").partial_kwargs["locks"]
        assert {place["table"] for place in locks} == {"aurora-ops-runs", "dev-runs"}
