"""Task groups and task outputs as a type checker should see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from airflow.sdk import BaseOperator, task_group

Function = TypeVar("Function", bound=Callable[..., Any])


def group(group_id: str) -> Callable[[Function], Function]:
    """Make a function that places tasks a task group; what it returns, tasks to refer to, is handed on as it is.

    :param group_id: prefix of its task ids.
    """
    return cast("Callable[[Function], Function]", task_group(group_id=group_id))


class Place(Protocol):
    """A section of the settings that says where to act."""

    @property
    def aws_conn_id(self) -> str:
        """Its connection."""

    @property
    def region(self) -> str:
        """Its region."""


def at(place: Place) -> dict[str, Any]:
    """Say where a task acts: arguments ``aws_conn_id`` and ``region_name``."""
    return {"aws_conn_id": place.aws_conn_id, "region_name": place.region}


class Plan(Protocol):
    """Values by name, such as the outputs of a task, which are filled in when a task that is given them runs."""

    def __getitem__(self, key: str) -> Any:
        """Return the value, or the reference to it."""


class Outputs:
    """Values that a task will have returned, by key; each is filled in when the task that is given it runs.

    Typed as ``Any`` because an operator's parameter takes either a value or one of these.

    :param task: the task.
    """

    def __init__(self, task: BaseOperator) -> None:
        self.task = task

    @property
    def all(self) -> Any:
        """The whole result."""
        return cast("Any", self.task.output)

    def __getitem__(self, key: str) -> Any:
        return cast("Any", self.task.output)[key]
