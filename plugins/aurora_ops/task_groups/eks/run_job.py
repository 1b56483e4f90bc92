"""A job beside the database: nodes for it, a login for it, the job, and nothing left of any of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from airflow.sdk import BaseOperator

from aurora_ops.operators.kubernetes_jobs import DeleteJobSecretOperator, RunJobOperator
from aurora_ops.operators.nodegroups import RestoreNodegroupSizeOperator, ScaleNodegroupOperator
from aurora_ops.task_groups.typed import Plan, group


class JobTasks(NamedTuple):
    """Tasks of the group that others refer to.

    :param last: what is cleared up, whatever has happened.
    """

    first: ScaleNodegroupOperator
    run: RunJobOperator
    last: list[BaseOperator]


@group("eks")
def run_job(
    make: Callable[..., RunJobOperator],
    values: Plan,
    db_cluster_id: Any,
    at: dict[str, Any],
    *,
    writes: bool,
    secret_id: Any = None,
    keeps_nodes: bool = False,
) -> JobTasks:
    """Run a job that logs in to a database.

    The node group gets nodes if it has too few, the job runs with its login in a Kubernetes secret and its log in the task's.
    Whatever happens, the secret goes and the node group has its former size again.

    :param make: makes the job's operator: a :class:`RunJobOperator` with what it runs.
    :param values: where and as what it runs: ``core.requests.eks.place_of``, ``job``, ``mounts``, ``run_key``, ``expires_h``.
    :param db_cluster_id: Aurora cluster whose login the job is given.
    :param at: connection and region of the target's account.
    :param writes: the job changes the database, which must be tagged ``refresh=true``.
    :param keeps_nodes: leave the nodes to another job of the run, which gives the node group its size back.
    :param secret_id: secret of Secrets Manager to log in with; none: the cluster's master secret.
    """
    inside: dict[str, Any] = {"cluster_name": values["eks_cluster"], "namespace": values["namespace"], **at}
    scaling: dict[str, Any] = {
        "cluster_name": values["eks_cluster"],
        "allowed_nodegroups": values["allowed_nodegroups"],
        "run_key": values["run_key"],
        **at,
    }
    placing = {"node_selector": values["node_selector"], "tolerations": values["tolerations"]}
    scale = ScaleNodegroupOperator(task_id="scale_nodegroup", count=values["nodes"], **placing, **scaling)
    run = make(
        task_id="run_job",
        name=values["job"],
        image=values["image"],
        run_key=values["run_key"],
        expires_h=values["expires_h"],
        db_cluster_id=db_cluster_id,
        secret_id=secret_id,
        writes=writes,
        tls_ca=values["job_tls_ca"],
        environment=values["environment_of_job"],
        mounts=values["mounts"],
        service_account=values["service_account"],
        cpu=values["cpu"],
        memory=values["memory"],
        run_as=values["run_as"],
        deadline_s=values["deadline_s"],
        **placing,
        **inside,
    )
    delete_secret = DeleteJobSecretOperator(task_id="delete_secret", name=values["job"], **inside)
    last: list[BaseOperator] = [delete_secret]
    if not keeps_nodes:
        last.append(RestoreNodegroupSizeOperator(task_id="restore_nodegroup_size", **scaling))
    for task in last:
        task.as_teardown()
    scale >> run >> last
    return JobTasks(scale, run, last)
