"""Which actions the DAGs need in which account: each task's ``permissions``, in the account of its connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aurora_ops.core.settings import Environment
from aurora_ops.operators.following import PERMISSIONS as FOLLOWED
from aurora_ops.operators.tables import DeleteObjectsOperator, DumpTablesOperator, LoadTablesOperator

from policygen.errors import GenerationError

PLACES = ("orchestrator", "source", "target")
"""Sections of the settings that have a connection."""

FREE = {"sts:GetCallerIdentity"}
"""Actions that AWS allows everybody."""

ALTERNATIVES: dict[str, tuple[type[Any], ...]] = {
    "target": (DumpTablesOperator, LoadTablesOperator, DeleteObjectsOperator),
}
"""Operators that a refresh has with other settings: tables are kept through a bucket where no jobs do it."""

Needs = dict[str, dict[str, set[str]]]
"""Place to action to the operators that need it there."""


def needs_of(dags: Iterable[Any], settings: Environment) -> Needs:
    """Collect what the tasks of DAGs need.

    :param dags: parsed DAGs; those of other environments do no harm, since they are made of the same operators.
    :param settings: says which connection leads where.
    :raises GenerationError: a task reaches AWS in a way that cannot be seen from here.
    """
    found: Needs = {place: {} for place in PLACES}
    for dag in dags:
        for task in dag.tasks:
            for place, actions in task_needs(task, settings).items():
                for action in actions:
                    found[place].setdefault(action, set()).add(_class_of(task).__name__)
        for trigger in _watching(dag):
            for place, actions in trigger.permissions_elsewhere.items():
                for action in actions:
                    found[place].setdefault(action, set()).add(type(trigger).__name__)
    for place, operators in ALTERNATIVES.items():
        for operator in operators:
            for action in set(operator.permissions) - FREE:
                found[place].setdefault(action, set()).add(operator.__name__)
    return found


def task_needs(task: Any, settings: Environment) -> dict[str, tuple[str, ...]]:
    """Say what one task needs, by place; nothing for one that does not reach AWS.

    :raises GenerationError: see :func:`needs_of`.
    """
    operator = _class_of(task)
    connection = _argument(task, "aws_conn_id")
    followed = {"orchestrator": FOLLOWED} if connection is not None and _is_followed(task) else {}
    elsewhere: Mapping[str, tuple[str, ...]] = getattr(operator, "permissions_elsewhere", {})
    if connection is None and not elsewhere:
        return {}
    if not hasattr(operator, "permissions"):
        raise GenerationError(f"{task.dag.dag_id}.{task.task_id}: {operator.__name__} declares no permissions")
    places = _places(connection, settings)
    if not places and not elsewhere:
        raise GenerationError(
            f"{task.dag.dag_id}.{task.task_id}: connection {connection!r} is none of the settings; if it is chosen while the "
            f"task runs, declare permissions_elsewhere on {operator.__name__}, by section of the settings"
        )
    instead: Mapping[str, tuple[str, ...]] = getattr(operator, "permissions_in", {})
    needed: dict[str, tuple[str, ...]] = {place: instead.get(place, operator.permissions) for place in places}
    for place, actions in (*elsewhere.items(), *followed.items()):
        needed[place] = tuple(dict.fromkeys([*needed.get(place, ()), *actions]))
    return {place: tuple(action for action in actions if action not in FREE) for place, actions in needed.items()}


def _watching(dag: Any) -> list[Any]:
    """List the triggers that watch for events of the assets that a DAG is scheduled by."""
    condition = getattr(dag.timetable, "asset_condition", None)
    return [watcher.trigger for asset in getattr(condition, "objects", ()) for watcher in asset.watchers]


def _is_followed(task: Any) -> bool:
    """Tell whether a task's state and changes are written down; one that is mapped has it from the defaults of its DAG."""
    if hasattr(task, "partial_kwargs"):
        return bool(getattr(_class_of(task), "is_step", False)) and "operation_task" in task.dag.default_args
    return bool(getattr(task, "operation_task", None))


def _places(connection: Any, settings: Environment) -> list[str]:
    """Say where a connection leads; that of a single workflow's task is an output of its check, named after the section."""
    key = getattr(connection, "key", None)
    if key == "chosen_conn_id":
        return ["source", "target"]
    if key is not None:
        return [place for place in PLACES if key == f"{place}_conn_id"]
    return [place for place in PLACES if getattr(settings, place).aws_conn_id == connection]


def _class_of(task: Any) -> type[Any]:
    found: type[Any] = getattr(task, "operator_class", None) or type(task)
    return found


def _argument(task: Any, name: str) -> Any:
    """Read an argument of a task; a mapped one keeps those that are the same for each of its instances apart."""
    if hasattr(task, "partial_kwargs"):
        return task.partial_kwargs.get(name, "chosen by mapping" if _is_mapped(task, name) else None)
    return getattr(task, name, None)


def _is_mapped(task: Any, name: str) -> bool:
    value = getattr(getattr(task, "expand_input", None), "value", None)
    return isinstance(value, Mapping) and name in value
