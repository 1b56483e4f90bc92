"""Graphs of the workflows on files: what runs whatever happens never decides about the run."""

from __future__ import annotations

import pytest

from tests.graph.conftest import read_dags


@pytest.fixture(scope="module")
def dags():
    return {dag_id: dag for dag_id, dag in read_dags().dags.items() if dag_id.startswith("efs_")}


def test_there_are_eight(dags) -> None:
    assert len(dags) == 8


def test_a_failure_is_a_failure_of_the_run(dags) -> None:
    """Airflow judges a run by its last tasks that are no teardowns: each must fail with what is before it."""
    for dag in dags.values():
        last = [
            task
            for task in dag.tasks
            if not task.is_teardown and all(dag.get_task(name).is_teardown for name in task.downstream_task_ids)
        ]
        assert last, dag.dag_id
        for task in dag.tasks:
            assert task.is_teardown or task.trigger_rule == "all_success", task.task_id


def test_functions_are_removed_after_whatever_used_them(dags) -> None:
    for dag_id in ("efs_check_replication_sync", "efs_wait_replication_complete"):
        dag = dags[dag_id]
        flag = dag.get_task("sync.remove_flag")
        assert flag.is_teardown
        assert "sync.remove_source_probe" in flag.downstream_task_ids
        assert dag.get_task("sync.remove_target_probe").upstream_task_ids >= {"sync.read_flag"}
    assert dags["efs_get_subpath_and_store_in_ssm"].get_task("proof.remove_probe").is_teardown
