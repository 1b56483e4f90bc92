"""Single workflows: one DAG each, which begins with a check of what was asked for and ends with a record of the run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from airflow.sdk import dag

from aurora_ops.core import environments
from aurora_ops.core.requests.base import Request
from aurora_ops.dagkit.defaults import DAG_DEFAULTS
from aurora_ops.dagkit.forms import form
from aurora_ops.dagkit.paths import include
from aurora_ops.operators.runs import ReleaseLockOperator, TakeLockOperator
from aurora_ops.operators.workflows import CheckRequestOperator, RecordWorkflowOperator
from aurora_ops.task_groups.typed import Outputs

LEASE_H = 12


class Job:
    """What a workflow's tasks are given: what was asked for, checked, and where to do it.

    :param check: the task that checks.
    """

    def __init__(self, check: CheckRequestOperator) -> None:
        self.checked = Outputs(check)

    def __getitem__(self, key: str) -> Any:
        return self.checked[key]

    def at(self, place: str) -> dict[str, Any]:
        """Say where a task acts: arguments ``aws_conn_id`` and ``region_name``.

        :param place: ``source``, ``target``, ``orchestrator``, or ``chosen``, where the request chooses between source and target.
        """
        return {"aws_conn_id": self[f"{place}_conn_id"], "region_name": self[f"{place}_region"]}

    @property
    def made(self) -> dict[str, Any]:
        """How new resources are marked: arguments ``run_key`` and ``expires_h``."""
        return {"run_key": self["run_key"], "expires_h": self["expires_h"]}


def workflow(doc: str | None, *, locks: bool = False, records: bool = True) -> Callable[[Callable[[Job], None]], None]:
    """Make a function that places tasks a DAG; its name is the DAG's, and begins with the area.

    The run's parameters are the request of that name: those of ``db_share_snapshot`` are ``core.requests.db.ShareSnapshot``.

    :param doc: documentation of the file; its first line is the DAG's description.
    :param locks: hold the target's lock meanwhile, so that no refresh begins.
    :param records: write the run down; not for a workflow that only reads.
    """

    def build(place_tasks: Callable[[Job], None]) -> None:
        text, area = (doc or "").strip(), place_tasks.__name__.split("_", 1)[0]
        folder, request = include() / "config", request_of(place_tasks.__name__)
        known = environments.names(folder)
        if not known:
            return  # without an environment there is nowhere to act

        @dag(
            **DAG_DEFAULTS,
            dag_id=place_tasks.__name__,
            schedule=None,
            params=form(request, known),
            description=text.split("\n", 1)[0],
            doc_md=text,
            tags=[area, "workflow"],
        )
        def definition() -> None:
            _place(place_tasks, request, str(folder), locks=locks, records=records)

        definition()

    return build


def request_of(dag_id: str) -> type[Request]:
    """Find the model of a workflow's parameters.

    :param dag_id: ``<area>_<name>``.
    """
    area, name = dag_id.split("_", 1)
    models = importlib.import_module(f"aurora_ops.core.requests.{area}")
    found: type[Request] = getattr(models, "".join(word.capitalize() for word in name.split("_")))
    return found


def _place(
    place_tasks: Callable[[Job], None], request: type[Request], config_folder: str, *, locks: bool, records: bool
) -> None:
    check = CheckRequestOperator(
        task_id="check", request=request, config_folder=config_folder, aws_conn_id="aws_orchestrator"
    )
    job = Job(check)
    place_tasks(job)
    own = [task for task in check.get_dag().tasks if task is not check]  # type: ignore[union-attr]
    first = [task for task in own if not task.upstream_task_ids - {check.task_id}]
    last = [task for task in own if not task.downstream_task_ids]
    begin: Any = check
    if locks:
        at_home = {**job.at("orchestrator"), "table": job["runs_table"], "target_key": job["target_key"]}
        begin = TakeLockOperator(task_id="take_lock", lease_h=LEASE_H, **at_home)
        check >> begin
    begin >> first
    if records:
        record = RecordWorkflowOperator(
            task_id="record",
            table=job["runs_table"],
            topic_arn=job["topic_arn"],
            keep_days=job["records_kept_days"],
            environment=job["environment"],
            hidden=request.hidden,
            **job.at("orchestrator"),
        )
        last >> record.as_teardown()
    if locks:
        last >> ReleaseLockOperator(task_id="release_lock", **at_home).as_teardown()
