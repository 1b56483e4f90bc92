"""Contracts: promises that hold for every operator, waiter, error and DAG there is; found, not listed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import aurora_ops.operators
import aurora_ops.sensors
import pytest
from aurora_ops.operators.base import RefreshOperator

from devstack.settings import REPO
from tests import guards

PACKAGE = REPO / "plugins" / "aurora_ops"


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sleep, no network."""
    with guards.no_sleep_no_network(monkeypatch):
        yield


def modules(package: ModuleType) -> list[ModuleType]:
    """Every module of a package."""
    return [
        importlib.import_module(info.name) for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]


def operators() -> list[type[RefreshOperator[Any]]]:
    """Every operator and sensor that is there, abstract ones too."""
    found = {
        member
        for package in (aurora_ops.operators, aurora_ops.sensors)
        for module in modules(package)
        for member in vars(module).values()
        if inspect.isclass(member) and issubclass(member, RefreshOperator)
    }
    return sorted(found, key=lambda operator: operator.__name__)


def concrete(operator: type[RefreshOperator[Any]]) -> bool:
    """Whether tasks can be made of it: one that takes its passes in its own way needs no part that its base leaves open."""
    passes = owner(operator, "take_pass")
    parts = {name: owner(operator, name) for name in ("take_pass", "work", "step", "event") if hasattr(operator, name)}
    return not inspect.isabstract(operator) and not any(
        "raise NotImplementedError" in inspect.getsource(getattr(operator, name))
        for name, kind in parts.items()
        if passes is kind or not issubclass(passes, kind)
    )


def owner(operator: type, name: str) -> type:
    """Return the class that an operator has a method from."""
    return next(kind for kind in operator.__mro__ if name in vars(kind))


CONCRETE = [operator for operator in operators() if concrete(operator)]
every_operator = pytest.mark.parametrize("operator", operators(), ids=lambda operator: operator.__name__)
every_concrete_operator = pytest.mark.parametrize("operator", CONCRETE, ids=lambda operator: operator.__name__)
