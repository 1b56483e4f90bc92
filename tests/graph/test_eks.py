"""Jobs on EKS as the graph shows them: what they needed goes whatever happens, and cannot hide that they failed."""

from __future__ import annotations

import pytest

JOBS = ("db_run_mysqldump_on_eks", "db_run_mysqlimport_on_eks", "utils_run_archive_job")


@pytest.mark.parametrize("dag_id", JOBS)
def test_a_job_is_prepared_run_and_cleaned_up_after(bag, dag_id) -> None:
    dag = bag.dags[dag_id]
    task = {name.removeprefix("eks."): found for name, found in dag.task_dict.items()}
    assert "eks.scale_nodegroup" in task["run_job"].upstream_task_ids
    assert str(task["run_job"].name) == str(task["delete_secret"].name)
    assert str(task["run_job"].db_cluster_id)
    for name in ("delete_secret", "restore_nodegroup_size"):
        assert task[name].is_teardown
        assert task[name].upstream_task_ids == {"check", "eks.run_job"}
        assert task[name].trigger_rule == "all_done_setup_success"
        assert task[name].on_failure_fail_dagrun is False
    assert not [found.task_id for found in dag.tasks if found.is_setup], "what a failed one has begun is undone too"


@pytest.mark.parametrize(("dag_id", "writes"), [(JOBS[0], False), (JOBS[1], True), (JOBS[2], False)])
def test_only_what_loads_may_write(bag, dag_id, writes) -> None:
    assert bag.dags[dag_id].get_task("eks.run_job").writes is writes


@pytest.mark.parametrize("dag_id", [*JOBS, "eks_scale_nodegroup_asg", "eks_manage_storage"])
def test_no_two_runs_scale_the_same_node_group(bag, dag_id) -> None:
    assert {"take_lock", "release_lock"} <= set(bag.dags[dag_id].task_dict)


def test_claims_are_managed_between_stopping_and_starting_what_uses_them(bag) -> None:
    dag = bag.dags["eks_manage_storage"]
    task = dag.task_dict
    assert "take_lock" in task["stop_workloads"].upstream_task_ids, "no refresh meanwhile"
    assert "stop_workloads" in task["manage_storage"].upstream_task_ids
    start, settled = task["start_workloads"], task["claims_settled"]
    assert start.is_teardown
    assert start.upstream_task_ids == {"check", "manage_storage"}
    assert settled.upstream_task_ids == {"manage_storage", "start_workloads"}
    assert not settled.is_teardown, "the run is judged by it"
    for name in ("record", "release_lock"):
        assert task[name].upstream_task_ids >= {"start_workloads", "claims_settled"}, "not while workloads still start"
    assert task["stop_workloads"].claims == [task["manage_storage"].claim_name]
    assert not [found.task_id for found in dag.tasks if found.is_setup]
