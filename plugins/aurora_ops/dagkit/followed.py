"""DAGs whose runs are followed as operations: each step's state and each change are written down."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from aurora_ops.core.errors import ConfigError
from aurora_ops.dagkit.defaults import DAG_DEFAULTS, TASK_DEFAULTS, defaults_of


def dag_defaults(operation_task: str | None, environment: str | None = None) -> dict[str, Any]:
    """Make the defaults of a DAG: each task of one that is followed is told which one begins the operation.

    :param operation_task: id of the task that begins it and leaves the XCom ``operation``; ``None``: the DAG is not followed.
    :param environment: the one that the DAG is for; ``None``: each run says its own.
    """
    defaults = defaults_of(environment) if environment else DAG_DEFAULTS
    if operation_task is None:
        return defaults
    return {**defaults, "default_args": {**TASK_DEFAULTS, "operation_task": operation_task}}


def require_followed(tasks: Iterable[Any]) -> None:
    """Refuse tasks that reach AWS by themselves: what they change would be in no trail.

    :param tasks: tasks of a followed DAG.
    :raises ConfigError: one of them does; the message names it.
    """
    for task in tasks:
        operator = getattr(task, "operator_class", type(task))
        makers = [vars(base)["__init__"] for base in operator.__mro__ if "__init__" in vars(base)]
        taken = {name for make in makers for name in inspect.signature(make).parameters}
        if "aws_conn_id" in taken and "operation_task" not in taken:
            raise ConfigError(
                task.task_id,
                operator.__name__,
                "in a DAG that is followed, use an operator of this package (RefreshOperator): its changes go into the audit trail",
            )
