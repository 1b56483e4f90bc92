"""The backup of audit logs: one DAG for each environment that has them, read in mapped tasks, measured whatever happens."""

from __future__ import annotations

import pytest
import yaml
from airflow.sdk import CronTriggerTimetable

from devstack.settings import REPO
from tests.graph.conftest import mutating, read_dags, simulator, write_environment

DAG_ID = "audit_log_backup_staging"
TASKS = {"plan_backup", "list_batches", "back_up_logs", "record_backup", "all_done"}


@pytest.fixture(scope="module")
def backup(bag):
    return bag.dags[DAG_ID]


def test_the_tasks_in_their_order(backup) -> None:
    assert set(backup.task_ids) == TASKS
    above = {name: backup.get_task(name).get_flat_relative_ids(upstream=True) for name in TASKS}
    assert above["back_up_logs"] == {"plan_backup", "list_batches"}
    assert above["record_backup"] == TASKS - {"record_backup", "all_done"}


def test_reading_is_mapped_and_in_the_pool_of_the_settings(backup) -> None:
    task = backup.get_task("back_up_logs")
    assert task.is_mapped
    assert task.partial_kwargs["pool"] == "default_pool"
    assert task.partial_kwargs["settings"]["bucket"] == "aurora-ops-audit-logs-000000000000"


def test_a_run_is_retried_for_less_long_than_the_next_one_takes_to_come(backup) -> None:
    for name in ("plan_backup", "back_up_logs"):
        task = backup.get_task(name)
        retries = getattr(task, "retries", None) or task.partial_kwargs["retries"]
        longest = getattr(task, "max_retry_delay", None) or task.partial_kwargs["max_retry_delay"]
        assert retries * longest.total_seconds() <= 300


@pytest.mark.parametrize("failed", ["plan_backup", "back_up_logs"])
def test_is_measured_whatever_failed(backup, failed) -> None:
    assert simulator(backup)({failed: "failed"})["record_backup"] == "success"


def test_planning_reads_and_keeps_books_only(backup) -> None:
    assert mutating(backup.get_task("plan_backup")) == {"dynamodb:PutItem"}


def test_schedule_and_form(backup) -> None:
    assert isinstance(backup.timetable, CronTriggerTimetable)
    assert backup.timetable.expression == "*/5 * * * *"
    assert {name: backup.params.get_param(name).value for name in backup.params} == {"dry_run": False, "instance": None}


class TestEnvironments:
    """One DAG for each file with such a section."""

    def dags(self) -> dict:
        bag = read_dags(REPO / "dags" / "audit_logs")
        assert bag.import_errors == {}
        return {dag_id: dag for dag_id, dag in bag.dags.items() if dag_id.startswith("audit_log_backup_")}

    def test_none_without_it_or_with_a_wrong_file(self, include) -> None:
        write_environment(include, "dev", audit_logs=None)
        (include / "config" / "broken.yaml").write_text("environment: broken")
        assert set(self.dags()) == {DAG_ID}

    def test_by_hand_only_where_there_is_no_schedule(self, include) -> None:
        content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())["audit_logs"]
        write_environment(include, "dev", audit_logs={**content, "schedule": None, "pool": "logs"})
        found = self.dags()["audit_log_backup_dev"]
        assert found.timetable.can_be_scheduled is False
        assert found.get_task("back_up_logs").partial_kwargs["pool"] == "logs"
