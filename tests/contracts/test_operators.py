"""What every operator promises."""

from __future__ import annotations

import inspect
import re

import botocore.session
import pytest
from aurora_ops.operators.base import RefreshOperator
from aurora_ops.operators.export_events import DecideExportsOperator

from tests.contracts.conftest import CONCRETE, every_concrete_operator, every_operator

UNITS = re.compile(r"_(s|ms|h|days|gib|mib|bytes|percent)$")
COUNTS = {"first", "count", "connections"}
# Actions that are no operation of the API.
ONLY_IN_POLICIES = {
    "iam:PassRole", "s3:ListBucket", "lambda:InvokeFunction", "s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock",
    "rds:DownloadCompleteDBLogFile", "s3:GetObjectVersion", "s3:ListBucketVersions",
}  # fmt: skip
API = {"tag": "resourcegroupstaggingapi", "elasticfilesystem": "efs"}  # prefix of actions to service
SECRET_NAMES = re.compile(r"password|passwd|token|salt|credential|secret_(string|value)", re.I)


def own_parameters(operator: type) -> list[inspect.Parameter]:
    """Parameters that the class itself adds."""
    if "__init__" not in vars(operator):
        return []
    given = list(inspect.signature(vars(operator)["__init__"]).parameters.values())
    return [parameter for parameter in given[1:] if parameter.kind is not inspect.Parameter.VAR_KEYWORD]


def all_parameters(operator: type) -> set[str]:
    """Parameters that tasks may be given, those of the bases of this package included."""
    chain = [base for base in operator.__mro__ if issubclass(base, RefreshOperator)]
    return {parameter.name for base in chain for parameter in own_parameters(base)}


def documented(operator: type) -> list[str]:
    """Parameters in the docstring, in its order."""
    return re.findall(r":param (\w+):", operator.__doc__ or "")


def test_the_registry_is_found() -> None:
    assert len(CONCRETE) >= 29
    assert {"RestoreClusterOperator", "SharedSnapshotSensor", "ProveMaskOperator"} <= {c.__name__ for c in CONCRETE}


@every_operator
def test_each_parameter_is_documented(operator) -> None:
    own, text = [parameter.name for parameter in own_parameters(operator)], documented(operator)
    if not operator.__name__.startswith("_"):
        assert set(own) <= set(text), f"{operator.__name__}: document {set(own) - set(text)}"
    assert len(set(text)) == len(text)
    assert set(text) <= all_parameters(operator), f"{operator.__name__} documents what it does not take"


@every_concrete_operator
def test_docstring_says_effect_and_result(operator) -> None:
    text = inspect.getdoc(operator) or ""
    assert text.split("\n", 1)[0].endswith("."), "one line that says the effect"
    assert ":return:" in text
    assert operator.__doc__ is not operator.__mro__[1].__doc__


@every_operator
def test_numbers_say_their_unit(operator) -> None:
    for parameter in own_parameters(operator):
        if re.search(r"\b(int|float)\b", str(parameter.annotation)) and "dict" not in str(parameter.annotation):
            assert UNITS.search(parameter.name) or parameter.name in COUNTS, f"{parameter.name}: add a unit to the name"


@every_operator
def test_parameters_are_typed_and_by_keyword(operator) -> None:
    for parameter in own_parameters(operator):
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name


@every_operator
def test_what_is_said_to_be_templated_is(operator) -> None:
    """And every template field is an attribute that a task is given by that name."""
    text = " ".join((operator.__doc__ or "").split())
    for name, description in re.findall(r":param (\w+): (.*?)(?= :param| :return| :raises|$)", text):
        if "(templated)" in description:
            assert name in operator.template_fields, f"{name} is not a template field"
    assert set(operator.template_fields) <= all_parameters(operator)
    assert len(set(operator.template_fields)) == len(operator.template_fields)


@every_operator
def test_no_secret_is_a_parameter_or_a_template_field(operator) -> None:
    for name in (*operator.template_fields, *all_parameters(operator)):
        assert not SECRET_NAMES.search(name), f"{name} would be shown in the UI"


@every_concrete_operator
def test_template_fields_are_attributes_of_a_task(operator) -> None:
    task = make(operator)
    for name in operator.template_fields:
        assert hasattr(task, name), name


@every_concrete_operator
def test_permissions_are_declared_and_are_actions_of_aws(operator) -> None:
    assert operator.permissions
    assert len(set(operator.permissions)) == len(operator.permissions)
    elsewhere = (*operator.permissions_elsewhere.items(), *operator.permissions_in.items())
    assert {place for place, _ in elsewhere} <= {"orchestrator", "source", "target"}
    for action in (*operator.permissions, *(action for _, actions in elsewhere for action in actions)):
        service, name = action.split(":")
        if action not in ONLY_IN_POLICIES:
            assert name in operations(service), f"{action} is no operation of {service}"


MAPPED_OVER = {DecideExportsOperator}  # their whole result is a list


@every_concrete_operator
def test_hook_and_result_keys(operator) -> None:
    assert operator.hook_class.service
    task = make(operator)
    assert task.multiple_outputs is (operator not in MAPPED_OVER)
    assert task.deferrable is True


@pytest.mark.parametrize("action", ["rds:DescribeDBCluster", "rds:describe_db_clusters", "rds:*"])
def test_a_wrong_action_would_be_noticed(action) -> None:
    service, name = action.split(":")
    assert name not in operations(service)


def operations(service: str) -> list[str]:
    return botocore.session.get_session().get_service_model(API.get(service, service)).operation_names


def make(operator):
    """A task with as little as it takes."""
    needed: dict[str, object] = {}
    for base in operator.__mro__:
        if issubclass(base, RefreshOperator):
            for parameter in own_parameters(base):
                if parameter.default is inspect.Parameter.empty:
                    needed.setdefault(parameter.name, 1 if "int" in str(parameter.annotation) else "x")
    return operator(task_id="t", **needed)
