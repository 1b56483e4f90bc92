"""Single workflows: one DAG each, which begins with a check of what was asked for and ends with a record of the run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from airflow.sdk import dag

from aurora_ops.core import environments
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.operation import OPERATION_KEY
from aurora_ops.core.requests.base import Request
from aurora_ops.dagkit.followed import dag_defaults, require_followed
from aurora_ops.dagkit.forms import form
from aurora_ops.dagkit.paths import include
from aurora_ops.operators.runs import ReleaseLockOperator, TakeLockOperator
from aurora_ops.operators.workflows import CheckRequestOperator, RecordWorkflowOperator
from aurora_ops.task_groups.typed import Outputs

LEASE_H = 12
CHECK = "check"


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


def workflow(
    doc: str | None,
    *,
    locks: bool = False,
    records: bool = True,
    announces: bool = False,
    check: type[CheckRequestOperator] = CheckRequestOperator,
    facts_task: str | None = None,
    tag: str | None = None,
    audits: bool = False,
    measures: bool = False,
) -> Callable[[Callable[[Job], None]], None]:
    """Make a function that places tasks a DAG; its name is the DAG's, and begins with the area.

    The run's parameters are the request of that name: those of ``db_share_snapshot`` are ``core.requests.db.ShareSnapshot``.

    :param doc: documentation of the file; its first line is the DAG's description.
    :param locks: hold the target's lock meanwhile, so that no refresh begins.
    :param records: write the run down; not for a workflow that only reads.
    :param announces: announce a success too.
    :param check: the task that checks what was asked for.
    :param facts_task: task whose result belongs into the record.
    :param tag: what it belongs to, where that is not the area.
    :param audits: follow the run as an operation: the state of each step, and the audit trail where the environment has a table
        for it. It needs ``records``, which end it.
    :param measures: send the metrics of a restore.
    :raises ConfigError: a task reaches AWS in a way that is not followed, or nothing ends the operation.
    """
    if audits and not records:
        raise ConfigError("audits", audits, "what is followed must be recorded too: its end is written with the record")

    def build(place_tasks: Callable[[Job], None]) -> None:
        text, area = (doc or "").strip(), place_tasks.__name__.split("_", 1)[0]
        folder, request = include() / "config", request_of(place_tasks.__name__)
        known = environments.names(folder)
        if not known:
            return  # without an environment there is nowhere to act

        @dag(
            **dag_defaults(CHECK if audits else None),
            dag_id=place_tasks.__name__,
            schedule=None,
            params=form(request, known),
            description=text.split("\n", 1)[0],
            doc_md=text,
            tags=[tag or area, "workflow"],
        )
        def definition() -> None:
            checked = check(
                task_id=CHECK,
                request=request,
                config_folder=str(folder),
                audits=audits,
                aws_conn_id="aws_orchestrator",
            )
            place(
                checked,
                place_tasks,
                locks=locks,
                records=records,
                announces=announces,
                facts_task=facts_task,
                measures=measures,
            )

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


def place(
    check: CheckRequestOperator,
    place_tasks: Callable[[Job], None],
    *,
    locks: bool,
    records: bool,
    announces: bool,
    facts_task: str | None,
    measures: bool = False,
) -> None:
    """Place the tasks of a workflow between its check and its record.

    :param check: the task that checks what was asked for.
    :param place_tasks: places the others.
    :param locks: hold the target's lock meanwhile.
    :param records: write the run down.
    :param announces: announce a success too.
    :param facts_task: task whose result belongs into the record.
    :param measures: send the metrics of a restore.
    """
    job, dag_of = Job(check), check.get_dag()
    before = set(dag_of.task_ids)  # type: ignore[union-attr]
    place_tasks(job)
    own = [task for task in dag_of.tasks if task.task_id not in before]  # type: ignore[union-attr]
    if check.audits:
        require_followed(own)
    first = [task for task in own if not task.upstream_task_ids - {check.task_id}]
    # a teardown may still be at work when what follows it has failed with something else
    last = [task for task in own if task.is_teardown or not task.downstream_task_ids]
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
            announce=announces,
            check_task=check.task_id,
            facts_task=facts_task,
            hidden=check.request.hidden,
            operation=job[OPERATION_KEY] if check.audits else None,
            metrics_namespace=job["metrics_namespace"] if measures else None,
            **job.at("orchestrator"),
        )
        last >> record.as_teardown()
    if locks:
        last >> ReleaseLockOperator(task_id="release_lock", **at_home).as_teardown()
