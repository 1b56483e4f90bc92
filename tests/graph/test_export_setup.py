"""The setup of exports: by hand, planned first, stacks in mapped tasks."""

from __future__ import annotations

import pytest
from policygen.needs import needs_of

from tests.graph.conftest import read_dags, simulator, write_environment

DAG_ID = "snapshot_export_setup_staging"


@pytest.fixture(scope="module")
def setting_up(bag):
    return bag.dags[DAG_ID]


def test_is_by_hand_only_and_one_at_a_time(setting_up) -> None:
    assert setting_up.timetable.can_be_scheduled is False
    assert setting_up.max_active_runs == 1


def test_the_tasks_in_their_order(setting_up) -> None:
    ensure = setting_up.get_task("ensure_databases")
    assert ensure.is_mapped
    assert ensure.get_flat_relative_ids(upstream=True) == {
        "plan_setup",
        "list_events",
        "ensure_events",
        "list_databases",
    }
    assert ensure.partial_kwargs["template_path"].endswith("include/templates/snapshot-export-database.yaml")


def test_databases_are_set_up_where_there_are_no_events_to_set_up(setting_up) -> None:
    states = simulator(setting_up)({"ensure_events": "skipped"})
    assert states["ensure_databases"] == states["all_done"] == "success"
    assert simulator(setting_up)({"ensure_events": "failed"})["ensure_databases"] == "upstream_failed"


def test_the_form_knows_the_databases(setting_up) -> None:
    assert setting_up.params.get_param("database").schema["enum"] == [None, "shop"]


def test_its_rights_are_in_a_policy_of_their_own(bag) -> None:
    from aurora_ops.core import environments

    from devstack.settings import REPO

    settings = environments.resolve(environments.read(REPO / "include/config/staging.yaml")).settings
    dags = bag.dags.values()
    nightly, setup = needs_of(dags, settings), needs_of(dags, settings, set_up=True)
    assert not [action for place in nightly.values() for action in place if action.startswith("cloudformation:")]
    assert "cloudformation:CreateStack" in setup["source"]
    assert setup["orchestrator"] == {}


def test_without_the_section_there_is_none(include) -> None:
    write_environment(include, "other", exports=None)
    dags = read_dags().dags
    assert "snapshot_export_setup_other" not in dags
    assert DAG_ID in dags
