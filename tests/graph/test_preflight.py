"""The preflight: one task that only reads, behind a form."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import ParamValidationError

from devstack.settings import REPO
from tests.graph.conftest import mutating, read_dags


@pytest.fixture(scope="module")
def preflight(bag):
    return bag.dags["preflight"]


def test_one_task_that_writes_a_report_at_most(preflight) -> None:
    [task] = preflight.tasks
    assert task.task_id == "check_prerequisites"
    assert mutating(task) == {"s3:PutObject"}
    elsewhere = {action for actions in task.permissions_elsewhere.values() for action in actions}
    reading = {action for action in elsewhere if action.split(":")[1].startswith(("Describe", "Get", "List"))}
    assert elsewhere - reading == {"kms:Decrypt"}, "what GetSecretValue needs for a secret under a key of its own"


def test_only_by_hand(preflight) -> None:
    assert preflight.timetable.can_be_scheduled is False
    assert {"restore", "preflight"} <= set(preflight.tags)


def test_form_explains_and_checks_itself(preflight) -> None:
    params = {name: preflight.params.get_param(name) for name in preflight.params}
    assert set(params) == {"environment", "write_report"}
    assert params["environment"].value == "staging", "the only one is filled in"
    assert params["write_report"].value is False
    for name, bad in (("environment", "prod"), ("write_report", "yes")):
        assert params[name].schema["title"]
        assert params[name].description
        with pytest.raises(ParamValidationError):
            params[name].resolve(bad)


def test_an_environment_whose_file_is_wrong_can_be_chosen(include) -> None:
    """What is wrong with it is said by the run."""
    (include / "config" / "broken.yaml").write_text("environment: broken")
    bag = read_dags(REPO / "dags" / "restore")
    assert bag.import_errors == {}
    param = bag.dags["preflight"].params.get_param("environment")
    assert param.schema["enum"] == ["broken", "staging"]
