"""What Airflow sees of the package: a plugin that loads it once per component.

The scheduler's workers are forked from it. Loaded before the fork, the Amazon provider and this package cost every task about
0.3 s of processor time less.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin
from aurora_ops.callbacks import run_note
from aurora_ops.links import console

LOADED_BEFORE_THE_FORK = ("aurora_ops.task_groups.refresh.prepare", "aurora_ops.task_groups.refresh.finish")

for module in LOADED_BEFORE_THE_FORK:
    import_module(module)


class AuroraOpsPlugin(AirflowPlugin):
    """Aurora operations."""

    name = "aurora_ops"
    listeners: ClassVar[list[Any]] = [run_note]
    operator_extra_links: ClassVar[list[Any]] = list(console.ALL)
