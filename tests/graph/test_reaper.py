"""The reaper: every account once, each kind by itself, written down whatever happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from airflow.sdk import CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError

from devstack.settings import REPO
from tests.graph.conftest import mutating, read_dags

STAGING = {
    f"aws_destination_eu_west_1.reap_{kind}"
    for kind in ("clusters", "snapshots", "kept_tables", "secret_versions", "file_systems", "jobs")
}
STOP_AGAIN = "aws_destination_eu_west_1.stop_again"  # RDS starts what is stopped after seven days
SOURCE = {f"aws_source_eu_west_1.reap_{kind}" for kind in ("clusters", "snapshots", "grants", "cluster_shares")}


@pytest.fixture(scope="module")
def reaper(bag):
    return bag.dags["reap_expired"]


def test_every_kind_in_every_account(reaper) -> None:
    assert set(reaper.task_ids) == {"check", "reap_locks", "record_reap", STOP_AGAIN, *STAGING, *SOURCE}


def test_one_kind_does_not_wait_for_another_and_all_wait_for_the_check(reaper) -> None:
    for name in (*STAGING, *SOURCE, "reap_locks"):
        assert reaper.get_task(name).upstream_task_ids == {"check"}


def test_a_red_task_makes_a_red_run_and_is_written_down(reaper) -> None:
    record = reaper.get_task("record_reap")
    assert record.is_teardown
    assert record.upstream_task_ids >= {*STAGING, *SOURCE, STOP_AGAIN, "reap_locks"}
    assert sorted(task for tasks in record.tasks.values() for task in tasks) == sorted(
        {*STAGING, *SOURCE, "reap_locks"}
    )
    assert {pk.split("#")[1] for pk in record.tasks} == {"111111111111", "222222222222", "000000000000"}


def test_no_cluster_can_go_from_the_source(reaper) -> None:
    there = reaper.get_task("aws_source_eu_west_1.reap_clusters")
    assert there.protected is True
    assert reaper.get_task("aws_destination_eu_west_1.reap_clusters").protected is False
    for name in SOURCE - {"aws_source_eu_west_1.reap_clusters"}:
        assert not {
            action
            for action in mutating(reaper.get_task(name))
            if "DBInstance" in action or action == "rds:DeleteDBCluster"
        }


def test_jobs_are_looked_for_where_they_run(reaper) -> None:
    task = reaper.get_task("aws_destination_eu_west_1.reap_jobs")
    assert task.namespaces == [{"cluster": "staging-apps", "namespace": "staging"}]
    assert task.protected is False


def test_what_serves_is_known(reaper) -> None:
    task = reaper.get_task("aws_destination_eu_west_1.reap_clusters")
    assert {"staging-shop", "prod-shop"} <= set(task.served)
    assert task.endpoint_parameters == ["/staging/shop/database/endpoint"]
    assert [place["keys"] for place in task.locks] == [["refresh#222222222222#staging-shop"]]


def test_scheduled_runs_only_report_unless_the_environment_says_otherwise(reaper) -> None:
    assert {reaper.get_task(name).policy for name in (*STAGING, *SOURCE, "reap_locks")} == {"report"}


def test_daily_from_the_next_time_on(reaper) -> None:
    assert isinstance(reaper.timetable, CronTriggerTimetable)
    assert reaper.timetable.expression == "0 15 * * *"


def test_form_only_reports_and_checks_itself(reaper) -> None:
    params = {name: reaper.params.get_param(name) for name in reaper.params}
    assert set(params) == {"dry_run", "environment", "min_age_h"}
    assert params["dry_run"].value is True
    for name, bad in (("dry_run", "yes"), ("environment", "prod"), ("min_age_h", -1)):
        assert params[name].schema["title"]
        assert params[name].description
        with pytest.raises(ParamValidationError):
            params[name].resolve(bad)


class TestEnvironments:
    """Several files, and wrong ones."""

    def write(self, include: Path, name: str, **sections) -> None:
        content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())
        for section, changes in sections.items():
            content[section].update(changes)
        (include / "config" / f"{name}.yaml").write_text(yaml.safe_dump({**content, "environment": name}))

    def test_accounts_that_are_shared_are_looked_at_once(self, include) -> None:
        self.write(include, "dev", safety={"reap": "remove"})
        dag = read_dags().dags["reap_expired"]
        assert set(dag.task_ids) == {"check", "reap_locks", "record_reap", STOP_AGAIN, *STAGING, *SOURCE}
        task = dag.get_task("aws_destination_eu_west_1.reap_clusters")
        assert task.environments == ["dev", "staging"]
        assert task.policy == "report", "all must agree"
        assert len(dag.get_task("aws_destination_eu_west_1.reap_kept_tables").folders) == 2

    def test_removes_where_the_file_says_so(self, include) -> None:
        self.write(include, "staging", safety={"reap": "remove"})
        dag = read_dags().dags["reap_expired"]
        assert {dag.get_task(name).policy for name in (*STAGING, *SOURCE, "reap_locks")} == {"remove"}

    def test_a_table_of_its_own_is_cleared_and_written_by_itself(self, include) -> None:
        self.write(include, "dev", orchestrator={"runs_table": "dev-runs"})
        dag = read_dags().dags["reap_expired"]
        assert {"reap_locks_1", "reap_locks_2", "record_reap_1", "record_reap_2"} <= set(dag.task_ids)
        assert len(dag.get_task("aws_destination_eu_west_1.reap_clusters").locks) == 2

    @pytest.mark.parametrize("only", [True, False])
    def test_a_wrong_file_leaves_the_check_that_says_so(self, include, only) -> None:
        (include / "config" / "broken.yaml").write_text("environment: broken")
        if only:
            (include / "config" / "staging.yaml").unlink()
        bag = read_dags()
        assert bag.import_errors == {}
        assert "check" in bag.dags["reap_expired"].task_ids
