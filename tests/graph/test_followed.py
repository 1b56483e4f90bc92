"""A workflow that is followed: each of its tasks is told who begins the operation, the ends are none of its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, XComArg
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.operation import OPERATION_KEY
from aurora_ops.dagkit import workflows
from aurora_ops.dagkit.followed import require_followed
from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.base import RefreshOperator
from aurora_ops.operators.cluster_power import StopClusterOperator
from policygen.needs import task_needs

from tests.graph.conftest import DAGS, read_dags
from tests.local.include import place_include
from tests.unit.core import samples


def place(job: Job) -> None:
    """Place two tasks, one of them mapped."""
    at = {"keep_stopped_days": None, **job.at("target")}
    one = StopClusterOperator(task_id="stop", cluster_id=job["cluster"], **at)
    one >> StopClusterOperator.partial(task_id="mapped", **at).expand(cluster_id=["a", "b"])
    one >> EmptyOperator(task_id="empty")


def built(place_tasks: Callable[[Job], None] = place, **switches: Any) -> DAG:
    """The DAG of a workflow."""
    found: list[DAG] = []
    place_tasks.__name__ = "db_stop_cluster"
    with pytest.MonkeyPatch.context() as patch:
        make = workflows.dag

        def kept(**arguments: Any) -> Any:
            wrap = make(**arguments)
            return lambda function: lambda: found.append(wrap(function)())

        patch.setattr(workflows, "dag", kept)
        workflow("Text.", **switches)(place_tasks)
    return found[0]


def told(dag: DAG, task_id: str) -> str | None:
    task = dag.get_task(task_id)
    return task.operation_task if hasattr(task, "operation_task") else None


def test_each_step_is_told_who_begins_and_the_ends_are_none() -> None:
    dag = built(locks=True, audits=True)
    assert {task.task_id: told(dag, task.task_id) for task in dag.tasks if task.task_id != "mapped"} == {
        "check": None, "take_lock": "check", "stop": "check", "empty": None, "record": None, "release_lock": None,
    }  # fmt: skip
    mapped: Any = dag.get_task("mapped")
    assert mapped.unmap({"cluster_id": "a"}).operation_task == "check"
    check: Any = dag.get_task("check")
    record: Any = dag.get_task("record")
    assert check.audits is True
    assert isinstance(record.operation, XComArg)
    assert (record.operation.operator.task_id, record.operation.key) == ("check", OPERATION_KEY)


def test_other_workflows_stay_as_they_are() -> None:
    dag = built(locks=True)
    assert {told(dag, task.task_id) for task in dag.tasks} == {None}
    assert "operation_task" not in dag.default_args
    assert dag.get_task("check").audits is False
    assert dag.get_task("record").operation is None


def test_no_dag_of_the_repository_is_followed_by_mistake(bag) -> None:
    """A DAG that is followed has a check that begins, and a record that ends."""
    for dag in bag.dags.values():
        begins = [task.task_id for task in dag.tasks if getattr(task, "audits", False)]
        ends = [task.task_id for task in dag.tasks if getattr(task, "operation", None)]
        followed = {name for task in dag.tasks if (name := getattr(task, "operation_task", None))}
        assert len(begins) == len(ends) == len(followed)
        assert followed <= set(begins)


def test_a_refresh_is_followed_where_the_settings_want_it(tmp_path, monkeypatch) -> None:
    include = place_include(tmp_path / "include", along=True)
    file = include / "config" / "staging.yaml"
    file.write_text(file.read_text().replace("  audit_table:", "  audit_refreshes: true\n  audit_table:"))
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(include))
    dag = read_dags(DAGS / "refresh").dags["refresh_staging"]
    require_followed(dag.tasks)
    ends = {"prepare.check", "record.record_run", "record.release_lock"}
    for task in dag.tasks:
        wanted = "prepare.check" if isinstance(task, RefreshOperator) and task.task_id not in ends else None
        if task.task_id == "approve.approve_switch":
            wanted = "prepare.check"
        assert told(dag, task.task_id) == wanted, task.task_id
    assert dag.get_task("prepare.check").audits is True
    record: Any = dag.get_task("record.record_run")
    assert (record.operation.operator.task_id, record.operation.key) == ("prepare.check", OPERATION_KEY)


def test_what_is_followed_must_be_recorded() -> None:
    with pytest.raises(ConfigError, match="must be recorded too"):
        workflow("Text.", audits=True, records=False)


def test_a_task_that_reaches_aws_by_itself_is_refused() -> None:
    with DAG("d", schedule=None):
        single = SnsPublishOperator(task_id="single", target_arn="arn:t", message="m")
        mapped = SnsPublishOperator.partial(task_id="mapped", target_arn="t").expand(message=["m"])
    for task in (single, mapped):
        with pytest.raises(ConfigError, match=rf"{task.task_id}: 'SnsPublishOperator' is not allowed"):
            require_followed([task])

    def publish(_: Job) -> None:
        SnsPublishOperator(task_id="single", target_arn="arn:t", message="m")

    with pytest.raises(ConfigError, match="single: 'SnsPublishOperator'"):
        built(publish, audits=True)
    assert built(publish).has_task("single")


def test_a_followed_task_needs_the_tables_too() -> None:
    settings = samples.settings()
    dag, plain = built(audits=True), built()
    wanted = {"dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:Query"}
    for task_id in ("stop", "mapped"):
        more, less = (task_needs(one.get_task(task_id), settings) for one in (dag, plain))
        assert set(more["orchestrator"]) == wanted
        assert "orchestrator" not in less
        assert more["target"] == less["target"]
    assert task_needs(dag.get_task("empty"), settings) == {}
