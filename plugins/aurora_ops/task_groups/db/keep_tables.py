"""The target's own tables over a refresh: dumped from what serves, loaded into what will serve."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from airflow.sdk import BaseOperator

from aurora_ops.core.requests.eks import dump_mount, place_of
from aurora_ops.core.settings import Eks, Environment
from aurora_ops.operators.table_jobs import DumpTablesJobOperator, LoadTablesJobOperator
from aurora_ops.operators.tables import DumpTablesOperator, LoadTablesOperator
from aurora_ops.task_groups.eks.run_job import JobTasks, run_job
from aurora_ops.task_groups.typed import Outputs, at, group


class Kept(NamedTuple):
    """Tasks that keep tables.

    :param rows: table to number of its rows, or to ``None`` where the task that loads it has proven them the same.
    :param last: what is cleared up, whatever has happened.
    """

    dump: BaseOperator
    dumped: BaseOperator
    load: BaseOperator
    loaded: BaseOperator
    rows: Any
    last: list[BaseOperator]


def keep_tables(settings: Environment, plan: Outputs) -> Kept:
    """Dump tables of the live cluster, and load them into the restored one: by jobs on EKS where there is one, else through S3.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    """
    target, eks = settings.target, settings.keeping_eks
    at_target = at(target)
    return _by_jobs(settings, eks, plan, at_target) if eks else _through_bucket(settings, plan, at_target)


def _through_bucket(settings: Environment, plan: Outputs, at_target: dict[str, Any]) -> Kept:
    database = settings.database
    how: dict[str, Any] = {"bucket": database.keep_bucket, "tls_ca": database.tls_ca, **at_target}
    dump = DumpTablesOperator(
        task_id="dump_kept_tables",
        cluster_id=plan["target_cluster"],
        tables=plan["keep_tables"],
        prefix=plan["keep_prefix"],
        **how,
    )
    load = LoadTablesOperator(
        task_id="load_kept_tables", cluster_id=plan["temporary_cluster"], objects=Outputs(dump)["objects"], **how
    )
    dump >> load
    return Kept(dump, dump, load, load, Outputs(dump)["rows"], [])


def _by_jobs(settings: Environment, eks: Eks, plan: Outputs, at_target: dict[str, Any]) -> Kept:
    values = {
        **place_of(eks),
        "allowed_nodegroups": plan["keep_nodegroups"],
        "nodes": plan["keep_nodes"],
        "mounts": dump_mount(eks, f"refresh-{settings.environment.replace('_', '-')}"),
        "run_key": plan["run_key"],
        "expires_h": settings.expires_h,
    }

    @group("dump_kept")
    def dump_kept() -> JobTasks:
        make = partial(DumpTablesJobOperator, tables=plan["keep_tables"])
        which = {**values, "job": plan["dump_job"]}
        return run_job(make, which, plan["target_cluster"], at_target, writes=False, keeps_nodes=True)

    @group("load_kept")
    def load_kept() -> JobTasks:
        make = partial(LoadTablesJobOperator, schemas=plan["keep_schemas"])
        return run_job(make, {**values, "job": plan["load_job"]}, plan["temporary_cluster"], at_target, writes=True)

    dump, load = dump_kept(), load_kept()
    dump.run >> load.first
    return Kept(dump.first, dump.run, load.first, load.run, plan["keep_rows"], [*dump.last, *load.last])
