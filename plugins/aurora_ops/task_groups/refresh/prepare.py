"""The beginning of a refresh: checked, planned, locked, names cleared."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aurora_ops.core.settings import Environment
from aurora_ops.operators.cluster_names import RecoverNamesOperator
from aurora_ops.operators.cluster_removal import DeleteClusterOperator
from aurora_ops.operators.prepare import CheckRefreshOperator
from aurora_ops.operators.runs import TakeLockOperator
from aurora_ops.task_groups.typed import Outputs, at, group


class Prepared(NamedTuple):
    """Tasks of the group that others refer to."""

    plan: Outputs
    lock: TakeLockOperator
    clear_temporary: DeleteClusterOperator
    clear_old: DeleteClusterOperator


@group("prepare")
def prepare_refresh(settings: Environment, environment_file: Path, sql_folder: Path) -> Prepared:
    """Check everything, then lock the target and clear the names that the refresh will use.

    What an earlier switch left without a name gets it back before anything is cleared away: until this run's own switch it serves.

    :param settings: settings of the environment.
    :param environment_file: where they stand; a run's parameters are laid over them.
    :param sql_folder: ``include/sql``.
    """
    target, orchestrator = settings.target, settings.orchestrator
    check = CheckRefreshOperator(
        task_id="check",
        path=str(environment_file),
        sql_folder=str(sql_folder),
        audits=orchestrator.audit_refreshes,
        **at(target),
    )
    plan = Outputs(check)
    lock = TakeLockOperator(
        task_id="take_lock",
        table=orchestrator.runs_table,
        target_key=plan["target_key"],
        lease_h=orchestrator.lease_h,
        **at(orchestrator),
    )
    recover = RecoverNamesOperator(
        task_id="recover_names",
        cluster_id=plan["target_cluster"],
        resource_id=plan["live_resource_id"],
        aside_id=plan["temporary_cluster"],
        instance_ids=plan["live_instance_ids"],
        **at(target),
    )
    clear_temporary, clear_old = (
        DeleteClusterOperator(
            task_id=f"clear_{name}",
            cluster_id=plan[f"{name}_cluster"],
            spare_run=plan["run_key"] if name == "temporary" else None,
            **at(target),
        )
        for name in ("temporary", "old")
    )
    check >> lock >> recover >> [clear_temporary, clear_old]
    return Prepared(plan, lock, clear_temporary, clear_old)
