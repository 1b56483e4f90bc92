"""Trigger forms made from models: what a person sees and what the form itself refuses."""

from __future__ import annotations

import importlib
import inspect

import pytest
from airflow.sdk.exceptions import ParamValidationError
from aurora_ops.core.requests import db
from aurora_ops.core.requests.base import Request
from aurora_ops.dagkit.forms import form
from aurora_ops.dagkit.workflows import request_of

MODELS = sorted(
    {
        model
        for area in ("db", "efs", "eks", "utils")
        if importlib.util.find_spec(f"aurora_ops.core.requests.{area}")
        for _, model in inspect.getmembers(importlib.import_module(f"aurora_ops.core.requests.{area}"), inspect.isclass)
        if issubclass(model, Request) and model is not Request
    },
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_explains_and_checks_itself(model) -> None:
    for name, param in form(model, ["staging", "dev"]).items():
        assert param.schema["title"], name
        assert param.description, name
        assert param.schema["type"], name


def test_an_only_environment_is_filled_in() -> None:
    assert form(db.ListSharedSnapshots, ["staging"])["environment"].value == "staging"
    assert form(db.ListSharedSnapshots, ["dev", "staging"])["environment"].schema["enum"] == ["dev", "staging"]


def test_required_fields_have_no_default_and_others_theirs() -> None:
    fields = form(db.CreateInstance, ["staging"])
    with pytest.raises(ParamValidationError, match="No value"):
        fields["cluster"].resolve()
    assert fields["count"].resolve() == 1
    assert fields["instance_class"].resolve() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster", "Prod"),
        ("cluster", "a" * 64),
        ("count", 0),
        ("count", 17),
        ("instance_class", "huge"),
        ("cluster", None),
    ],
)
def test_the_form_refuses_what_the_model_refuses(name, value) -> None:
    with pytest.raises(ParamValidationError):
        form(db.CreateInstance, ["staging"])[name].resolve(value)


def test_choices_are_choices() -> None:
    assert form(db.CreateManualSnapshot, ["staging"])["account"].schema["enum"] == ["source", "target"]


def test_a_dags_request_follows_from_its_name() -> None:
    assert request_of("db_share_snapshot") is db.ShareSnapshot
