"""The DAG of snapshots' events: one for each environment that hears of them, woken by queues, moved on only when runs are there."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk import AssetOrTimeSchedule
from aurora_ops.core.errors import StateError

from devstack.settings import REPO
from tests.graph.conftest import mutating, read_dags, simulator, write_environment

DAG_ID = "snapshot_export_events_staging"


@pytest.fixture(scope="module")
def dag(bag):
    return bag.dags[DAG_ID]


def section(**changes) -> dict:
    content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())["exports"]
    return {**content, **changes}


def watchers(dag) -> dict[str, dict]:
    """Arguments of the triggers by the watchers' names."""
    (asset,) = dag.timetable.asset_condition.objects
    return {watcher.name: watcher.trigger.serialize()[1] for watcher in asset.watchers}


def test_the_tasks_in_their_order(dag) -> None:
    above = {name: dag.get_task(name).get_flat_relative_ids(upstream=True) for name in dag.task_ids}
    assert above == {
        "decide_exports": set(),
        "start_exports": {"decide_exports"},
        "keep_position": {"decide_exports", "start_exports"},
    }


def test_runs_are_started_once_each_by_their_own_ids(dag) -> None:
    started = dag.get_task("start_exports")
    assert started.is_mapped
    given = started.partial_kwargs
    assert (given["trigger_dag_id"], given["logical_date"]) == ("snapshot_export_staging", None)
    assert given["skip_when_already_exists"] is True


def test_nothing_is_moved_past_before_its_runs_are_there(dag) -> None:
    play = simulator(dag)
    assert play({"start_exports": "failed"})["keep_position"] == "upstream_failed"
    assert play({"decide_exports": "failed"})["keep_position"] == "upstream_failed"
    assert play({"start_exports": "skipped"})["keep_position"] == "success"


@pytest.mark.parametrize("failed", [0, 2])
def test_the_position_is_kept_and_what_could_not_be_asked_about_fails_the_run(dag, failed) -> None:
    kept: dict = {}
    why = {"event_id": "RDS-EVENT-0075", "source_arn": "arn:s", "why": "AccessDenied"}
    decided = {"position": {"after": "then"}, "failed": failed, "left": [why]}
    keep = dag.get_task("keep_position").python_callable
    with (
        pytest.raises(StateError, match=r"2 events .*\n- RDS-EVENT-0075 arn:s: AccessDenied")
        if failed
        else nullcontext()
    ):
        keep(decided, asset_state_store=SimpleNamespace(set=kept.__setitem__))
    assert kept == {"position": {"after": "then"}}


def test_those_who_read_and_keep_the_position_know_the_asset(dag) -> None:
    (asset,) = dag.timetable.asset_condition.objects
    for name in ("decide_exports", "keep_position"):
        assert [inlet.name for inlet in dag.get_task(name).inlets] == [asset.name] == ["snapshot_events_staging"]


def test_a_run_is_retried_for_less_long_than_the_next_one_takes_to_come(dag) -> None:
    for name in ("decide_exports", "start_exports"):
        task = dag.get_task(name)
        retries = getattr(task, "retries", None) or task.partial_kwargs["retries"]
        longest = getattr(task, "max_retry_delay", None) or task.partial_kwargs["max_retry_delay"]
        assert retries * longest.total_seconds() <= 300


def test_deciding_keeps_books_only(dag) -> None:
    assert mutating(dag.get_task("decide_exports")) == {"dynamodb:UpdateItem"}


def test_it_is_woken_by_the_queue_of_the_databases_account_and_every_some_minutes(dag) -> None:
    assert isinstance(dag.timetable, AssetOrTimeSchedule)
    assert dag.timetable.timetable.expression == "*/5 * * * *"
    assert watchers(dag) == {
        "111111111111_eu-west-1": {
            "queue": "aurora-ops-staging-snapshot-events",
            "account_id": "111111111111",
            "aws_conn_id": "aws_source",
            "region_name": "eu-west-1",
        }
    }


class TestEnvironments:
    """One DAG for each file with such a section."""

    def dags(self) -> dict:
        bag = read_dags(REPO / "dags" / "export")
        assert bag.import_errors == {}
        return {dag_id: dag for dag_id, dag in bag.dags.items() if dag_id.startswith("snapshot_export_events_")}

    def test_none_without_it_or_with_a_wrong_file(self, include) -> None:
        write_environment(include, "dev", exports=None)
        write_environment(include, "quiet", exports=section(events=None))
        (include / "config" / "broken.yaml").write_text("environment: broken")
        assert set(self.dags()) == {DAG_ID}

    def test_one_watcher_for_each_account_however_many_databases(self, include) -> None:
        databases = [
            {"name": "shop", "cluster": "prod-shop"},
            {"name": "orders", "instance": "orders"},
            {"name": "test", "account": "target", "cluster": "staging-shop"},
        ]
        about = section(databases=databases, events={"queue": "heard", "fallback_min": 60})
        write_environment(include, "dev", exports=about)
        found = self.dags()["snapshot_export_events_dev"]
        assert found.timetable.timetable.expression == "0 * * * *"
        assert {name: (one["queue"], one["aws_conn_id"]) for name, one in watchers(found).items()} == {
            "111111111111_eu-west-1": ("heard", "aws_source"),
            "222222222222_eu-west-1": ("heard", "aws_destination"),
        }
