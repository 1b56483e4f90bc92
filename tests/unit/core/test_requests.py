"""Requests of single workflows: what is refused, with which words, before AWS is asked anything."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import environments, naming
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.requests import db, eks
from aurora_ops.core.requests.base import Request, guards, live_name, parse
from hypothesis import given
from hypothesis import strategies as st

from devstack.settings import REPO

SETTINGS = environments.resolve(environments.read(REPO / "include/config/staging.yaml")).settings
MOMENT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
MODELS = [
    model
    for _, model in inspect.getmembers(db, inspect.isclass)
    if issubclass(model, Request) and model.__module__ == db.__name__ and not model.__name__.startswith("Of")
]


def asked(model, **fields):
    return parse(model, {"environment": "staging", **fields})


def test_empty_fields_of_the_form_are_defaults() -> None:
    assert asked(db.CreateInstance, cluster="staging-shop", instance_class=None).count == 1


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(PermanentError) as refused:
        asked(db.CreateInstance, count=99, clustre="x", first=None)
    text = str(refused.value)
    for said in ("clustre: 'x'", "known run parameters are", "cluster: None", "it is required", "count: 99"):
        assert said in text


@pytest.mark.parametrize("name", ["", "Staging", "staging_shop", "-a", "a--b", "a-", "a" * 64, "staging shop", "ä", 7])
def test_names_that_aws_does_not_know_are_refused(name) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        asked(db.EnsureClusterAvailable, cluster=name)


@given(st.from_regex(r"[a-z](-?[a-z0-9]){0,40}", fullmatch=True))
def test_only_names_of_the_allow_list_and_beside_them_pass(name) -> None:
    allowed = {"staging-shop", "staging-shop-restore", "staging-shop-old"}
    found = guards(asked(db.EnsureClusterAvailable, cluster=name), SETTINGS)
    assert (found == []) == (name in allowed)
    assert all(isinstance(one, SafetyError) for one in found)


def test_nothing_is_changed_in_a_protected_account() -> None:
    source = SETTINGS.source.account_id
    target = SETTINGS.target.model_copy(update={"account_id": source})
    settings = SETTINGS.model_copy(update={"target": target})
    [refusal] = guards(asked(db.StopCluster, cluster="staging-shop", confirm="staging-shop"), settings)
    assert "protected_accounts" in str(refusal)
    assert guards(asked(db.ListSharedSnapshots), settings) == [], "what only reads may"


def test_long_names_keep_their_cut_neighbours() -> None:
    long = "a" * 63
    safety = SETTINGS.safety.model_copy(update={"allowed_clusters": [long]})
    settings = SETTINGS.model_copy(update={"safety": safety})
    assert live_name(naming.temporary_cluster(long), settings) == long
    assert live_name(naming.old_cluster(long), settings) == long
    assert live_name("a" * 62, settings) is None


@pytest.mark.parametrize("model", [db.DeleteCluster, db.StopCluster])
def test_destructive_ones_ask_for_the_name_twice(model) -> None:
    [problem] = guards(asked(model, cluster="staging-shop", confirm="yes"), SETTINGS)
    assert "type the cluster's name" in str(problem)
    assert guards(asked(model, cluster="staging-shop", confirm="staging-shop"), SETTINGS) == []


def test_a_swap_happens_inside_a_window_only() -> None:
    closed = f"{(datetime.now(UTC) + timedelta(days=3)):%a} 00:00-00:01 UTC"
    safety = SETTINGS.safety.model_copy(update={"maintenance_windows": [closed]})
    settings = SETTINGS.model_copy(update={"safety": safety})
    [refusal] = asked(db.RenameCluster, cluster="staging-shop").problems(settings)
    assert closed in str(refusal)
    assert asked(db.RenameCluster, cluster="staging-shop", ignore_window=True).problems(settings) == []
    assert asked(db.RenameCluster, cluster="staging-shop").problems(SETTINGS) == []


def test_a_swap_needs_two_clusters_and_a_free_name() -> None:
    swap = asked(db.RenameCluster, cluster="staging-shop")
    assert set(swap.required_clusters().values()) == {"staging-shop", "staging-shop-restore"}
    assert set(swap.free_names().values()) == {"staging-shop-old"}
    assert swap.inputs(SETTINGS, MOMENT)["users"] == []
    checked = asked(db.RenameCluster, cluster="staging-shop", check_users=True).inputs(SETTINGS, MOMENT)
    assert [user["username"] for user in checked["users"]] == ["shop_app", "shop_readonly"]


def test_only_users_of_the_environment_are_rotated() -> None:
    [problem] = guards(asked(db.RotateSecrets, cluster="staging-shop", usernames=["root"]), SETTINGS)
    assert "['shop_app', 'shop_readonly']" in str(problem)


CREATES = {"claim": "media", "file_system_id": "fs-01234567"}


@pytest.mark.parametrize("scale", [False, True])
def test_workloads_are_scaled_where_that_is_asked_for(scale) -> None:
    request = asked(eks.ManageStorage, **CREATES, scale_workloads=scale)
    assert guards(request, SETTINGS) == []
    assert request.inputs(SETTINGS, MOMENT)["workloads"] == (["Deployment/media-web"] if scale else [])


@pytest.mark.parametrize(
    ("fields", "workloads", "words"),
    [
        ({"claim": "media", "action": "delete", "confirm": "media"}, ["Deployment/media-web"], "without the claim"),
        (CREATES, [], "eks.workloads of the environment names none"),
    ],
)
def test_workloads_that_cannot_be_scaled_are_refused(fields, workloads, words) -> None:
    apps = SETTINGS.eks.model_copy(update={"workloads": workloads})
    [problem] = guards(
        asked(eks.ManageStorage, **fields, scale_workloads=True), SETTINGS.model_copy(update={"eks": apps})
    )
    assert "scale_workloads: True is not allowed" in str(problem)
    assert words in str(problem)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_what_tasks_are_given_fits_an_xcom_and_hides_no_field(model) -> None:
    fields = {"cluster": "staging-shop", "confirm": "staging-shop", "snapshot": "before"}
    request = asked(model, **{name: value for name, value in fields.items() if name in model.model_fields})
    given = request.inputs(SETTINGS, MOMENT)
    shown = request.model_dump(mode="json")
    assert not {name for name in given if shown.get(name) is not None and shown[name] != given[name]}
    assert len(str(given)) < 4000
