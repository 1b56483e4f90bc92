"""Planning the setup of exports: what is made, what is changed, what is refused before anything is, and what is warned of."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import yaml
from aurora_ops.core.announcement import NOTE_KEY, is_note
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.exports import setup
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.stacks import Stack, StacksHook
from aurora_ops.operators.export_setup import PlanExportSetupOperator

from devstack.settings import REPO
from tests.unit.operators.driver import context, drive

TEMPLATES = REPO / "include" / "templates"
EVENTS, SHOP = "aurora-ops-staging-snapshot-events", "aurora-ops-export-shop"
OURS = {"aurora-ops:owner": "aurora-ops", "aurora-ops:environment": "staging"}
PRODUCTION, STAGING = "111111111111", "222222222222"


class Cloud:
    """Stacks of all accounts, by connection, region and name; the templates they were made from."""

    def __init__(self) -> None:
        self.stacks: dict[tuple[str, str, str], Stack] = {}
        self.templates: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.accounts: list[tuple[str, str]] = []

    def has(self, conn_id: str, found: dict[str, Any], status: str = "CREATE_COMPLETE", **changes: Any) -> None:
        """Have a stack that was planned."""
        one = {"name": found["stack"], "arn": "arn", "status": status, "reason": "", "outputs": {}, "tags": OURS,
               "parameters": found["parameters"], **changes}  # fmt: skip
        self.stacks[conn_id, found["region"], found["stack"]] = Stack(**one)


@pytest.fixture
def cloud(monkeypatch) -> Cloud:
    found = Cloud()
    monkeypatch.setattr(
        StacksHook, "find_stack", lambda hook, name: found.stacks.get((hook.aws_conn_id, hook.region_name, name))
    )
    monkeypatch.setattr(StacksHook, "template", lambda _, name: found.templates.get(name) or text(name))
    monkeypatch.setattr(KmsHook, "find_key", lambda hook, key: {"Arn": found.keys[key]} if key in found.keys else None)
    monkeypatch.setattr(
        AwsHook, "require_account", lambda hook, account: found.accounts.append((hook.aws_conn_id, account))
    )
    return found


def text(stack: str) -> str:
    return (TEMPLATES / (setup.EVENTS_TEMPLATE if stack == EVENTS else setup.DATABASE_TEMPLATE)).read_text()


@pytest.fixture
def file(tmp_path):
    """The environment's file, to be changed."""
    path = tmp_path / "staging.yaml"
    shutil.copy(REPO / "include" / "config" / "staging.yaml", path)

    def change(*databases: dict[str, Any], **changes: Any):
        content = yaml.safe_load(path.read_text())
        content["exports"] |= changes
        content["exports"]["databases"] += databases
        path.write_text(yaml.safe_dump(content))
        return path

    change()
    return change


def planned(file, conf: dict[str, Any] | None = None, ctx: Any = None) -> dict[str, Any]:
    ctx = ctx or context()
    ctx["dag_run"].conf = conf or {}
    made: dict[str, Any] = drive(
        lambda: PlanExportSetupOperator(
            task_id="plan_setup", path=str(file()), templates=str(TEMPLATES), aws_conn_id="aws_orchestrator"
        ),
        ctx,
    )
    return made


def changes(found: dict[str, Any]) -> dict[str, str]:
    return {one["stack"]: one["change"] for one in found["stacks"]}


def test_first_everything_is_made(cloud, file) -> None:
    found = planned(file)
    assert changes(found) == {EVENTS: "make", SHOP: "make"}
    (events,), (shop,) = found["events"], found["databases"]
    assert (events["stack_name"], shop["stack_name"]) == (EVENTS, SHOP)
    assert {one["aws_conn_id"] for one in (events, shop)} == {"aws_source"}
    assert (shop["account_id"], shop["region_name"]) == (PRODUCTION, "eu-west-1")
    assert shop["parameters"]["GlacierDays"] == "7"
    assert cloud.accounts == [("aws_source", PRODUCTION)], "no account is looked at that has no database"


def test_what_is_as_it_should_be_is_not_changed(cloud, file) -> None:
    for one in planned(file)["stacks"]:
        cloud.has("aws_source", one)
    found = planned(file)
    assert changes(found) == {EVENTS: "none", SHOP: "none"}
    assert found["databases"], "the task looks once more all the same"


def test_what_would_be_changed_is_named(cloud, file) -> None:
    _, shop = planned(file)["stacks"]
    cloud.has("aws_source", shop, parameters={**shop["parameters"], "GlacierDays": "40"})
    found = planned(file)
    assert changes(found)[SHOP] == "change"
    assert found["stacks"][1]["differing"] == {"GlacierDays": ["40", "7"]}
    cloud.templates[SHOP] = "Resources: {}"
    assert changes(planned(file))[SHOP] == "change, by a new template"


@pytest.mark.parametrize(
    ("status", "change"),
    [("ROLLBACK_COMPLETE", "make anew"), ("UPDATE_IN_PROGRESS", "wait, then look again")],
)
def test_what_is_not_settled_is_said(cloud, file, status, change) -> None:
    cloud.has("aws_source", planned(file)["stacks"][1], status)
    assert changes(planned(file))[SHOP] == change


def test_a_dry_run_shows_all_and_hands_nothing_on(cloud, file) -> None:
    ctx = context()
    found = planned(file, {"dry_run": True}, ctx)
    assert changes(found) == {EVENTS: "make", SHOP: "make"}
    assert found["events"] == found["databases"] == []
    note = ctx["ti"].xcoms["plan_setup", NOTE_KEY]
    assert is_note(note)
    assert "nothing was changed" in note


def test_one_database_is_chosen_with_the_events_of_its_account(cloud, file) -> None:
    file({"name": "stock", "cluster": "staging-shop", "account": "target"})
    assert len(planned(file)["databases"]) == 2
    found = planned(file, {"database": "stock"})
    assert [one["stack_name"] for one in found["databases"]] == ["aurora-ops-export-stock"]
    assert {one["aws_conn_id"] for one in (*found["events"], *found["databases"])} == {"aws_destination"}


def test_warnings_are_told_in_the_result_the_log_and_the_note(cloud, file, caplog) -> None:
    ctx = context()
    found = planned(file, ctx=ctx)
    (warning,) = found["warnings"]
    assert warning.startswith("shop: Athena sees the exports of the last 7 days only")
    assert warning in ctx["ti"].xcoms["plan_setup", NOTE_KEY]


def test_a_queue_of_ones_own_is_not_made_and_that_is_said(cloud, file) -> None:
    file(events={"queue": "mine"})
    found = planned(file)
    assert found["events"] == []
    assert any("queue mine" in one for one in found["warnings"])


def test_a_key_that_is_named_is_looked_up(cloud, file) -> None:
    file({"name": "stock", "cluster": "stock", "kms_key_id": "alias/mine"})
    with pytest.raises(ConfigError, match=r"alias/mine.*no such key in eu-west-1"):
        planned(file)
    cloud.keys["alias/mine"] = "arn:aws:kms:eu-west-1:111111111111:key/1"
    assert planned(file)["databases"][1]["parameters"]["KeyArn"] == cloud.keys["alias/mine"]


def test_somebody_elses_stack_is_refused_before_anything_is_made(cloud, file) -> None:
    cloud.has("aws_source", planned(file)["stacks"][1], tags={})
    with pytest.raises(SafetyError, match="has not made it"):
        planned(file)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"database": "stock"}, r"databases that are exported are \['shop'\]"),
        ({"databse": "shop"}, "known run parameters"),
        ({"dry_run": "yes"}, "write a bool"),
    ],
)
def test_wrong_parameters_are_refused(cloud, file, conf, words) -> None:
    with pytest.raises(PermanentError, match=words):
        planned(file, conf)


def test_a_copy_elsewhere_is_set_up_there(cloud, file) -> None:
    file({"name": "stock", "cluster": "stock", "copy_first": {"region": "eu-central-1", "kms_key_id": "k"}})
    found = planned(file, {"database": "stock"})
    assert found["databases"][0]["region_name"] == "eu-central-1"
    assert found["events"][0]["region_name"] == "eu-west-1", "events are told where snapshots are made"
