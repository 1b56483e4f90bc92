"""Finding and removing what dead runs left, account by account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator

from aurora_ops.core import reaping
from aurora_ops.core.reaping import Place
from aurora_ops.core.settings import Environment, Orchestrator
from aurora_ops.operators.cluster_power import StopAgainOperator
from aurora_ops.operators.reap_databases import ReapClustersOperator, ReapSnapshotsOperator
from aurora_ops.operators.reap_files import ReapFileSystemsOperator
from aurora_ops.operators.reap_jobs import Namespace, ReapJobsOperator
from aurora_ops.operators.reap_others import (
    ReapClusterSharesOperator,
    ReapGrantsOperator,
    ReapKeptTablesOperator,
    ReapLocksOperator,
    ReapSecretVersionsOperator,
)
from aurora_ops.operators.reaping import CheckReapOperator, Locks, ReapOperator, RecordReapOperator
from aurora_ops.task_groups.typed import Outputs, at, group


def check(environments: Sequence[Environment], config_folder: Path) -> CheckReapOperator:
    """Check the run, every environment's file and every account.

    :param environments: settings of all environments whose file is right.
    :param config_folder: ``include/config``, read again when the task runs.
    """
    places = reaping.places(environments)
    return CheckReapOperator(
        task_id="check",
        config_folder=str(config_folder),
        places=[{"aws_conn_id": p.aws_conn_id, "region": p.region, "account_id": p.account_id} for p in places],
        aws_conn_id=environments[0].orchestrator.aws_conn_id if environments else "aws_orchestrator",
        region_name=environments[0].orchestrator.region if environments else None,
    )


def reap_everywhere(environments: Sequence[Environment], checked: CheckReapOperator) -> None:
    """Reap each account and region once, then the locks, then write down what was found and done.

    :param environments: settings of all environments.
    :param checked: the check, which says what was asked for.
    """
    plan = Outputs(checked)
    asked: dict[str, Any] = {key: plan[key] for key in ("report_only", "only", "min_age_h")}
    tasks: dict[str, list[BaseOperator]] = {}
    for place in reaping.places(environments):
        placed = group(place.label)(_reap_place)(place, asked)
        tasks.setdefault(f"reap#{place.account_id}#{place.region}", []).extend(placed)
    homes = _homes(environments)
    for number, (home, here) in enumerate(sorted(homes.items(), key=lambda pair: pair[1][0].environment), 1):
        suffix = f"_{number}" if len(homes) > 1 else ""
        orchestrator = here[0].orchestrator
        locks = _reap_locks(f"reap_locks{suffix}", here, asked)
        written = {pk: found for pk, found in tasks.items() if _home_of(pk, environments) == home}
        written[f"reap#{orchestrator.account_id}#{orchestrator.region}#locks"] = [locks]
        record = RecordReapOperator(
            task_id=f"record_reap{suffix}",
            table=orchestrator.runs_table,
            topic_arn=orchestrator.topic_arn,
            keep_days=orchestrator.records_kept_days,
            tasks={
                pk: [task.task_id for task in found if isinstance(task, ReapOperator)] for pk, found in written.items()
            },
            report_only=plan["report_only"],
            **at(orchestrator),
        )
        every = [task for found in written.values() for task in found]
        checked >> every >> record
        record.as_teardown()


def _reap_place(place: Place, asked: dict[str, Any]) -> list[BaseOperator]:
    """Make the tasks of one account and region."""
    given: dict[str, Any] = {
        **at(place),
        "policy": "remove" if place.removes else "report",
        "environments": [environment.environment for environment in place.environments],
        "locks": locks_of(place.environments),
        **asked,
    }
    sources, targets = place.sources, place.targets
    account_ids = sorted({environment.target.account_id for environment in sources})
    found: list[BaseOperator] = [
        ReapClustersOperator(
            task_id="reap_clusters",
            served=place.served_names,
            protected=place.protected,
            endpoint_parameters=sorted({e.target.endpoint_parameter for e in targets if e.target.endpoint_parameter}),
            **given,
        ),
        ReapSnapshotsOperator(task_id="reap_snapshots", account_ids=account_ids, **given),
    ]
    if sources:
        grants = ReapGrantsOperator(
            task_id="reap_grants",
            key_ids=sorted({e.source.kms_key_id for e in sources if e.source.kms_key_id}),
            clusters=sorted({e.source.cluster for e in sources}),
            account_ids=account_ids,
            expires_h=place.expires_h,
            **given,
        )
        found += [grants, ReapClusterSharesOperator(task_id="reap_cluster_shares", **given)]
    folders = [
        {"bucket": e.database.keep_bucket, "prefix": f"aurora-ops/{e.environment}/"}
        for e in targets
        if e.database.keep_bucket
    ]
    if folders:
        kept = ReapKeptTablesOperator(task_id="reap_kept_tables", folders=folders, expires_h=place.expires_h, **given)
        found.append(kept)
    if targets and not place.protected:
        stop_again = StopAgainOperator(
            task_id="stop_again",
            served=place.served_names,
            report_only=asked["report_only"],
            **at(place),
        )
        found.append(stop_again)
    if with_files := [e for e in targets if e.files]:
        found.append(_reap_files(place, with_files, given))
    if with_jobs := [e for e in targets if e.eks]:
        found.append(_reap_jobs(place, with_jobs, given))
    secret_ids = sorted({user.secret for e in targets for user in e.database.users})
    if secret_ids:
        versions = ReapSecretVersionsOperator(
            task_id="reap_secret_versions", secret_ids=secret_ids, expires_h=place.expires_h, **given
        )
        found.append(versions)
    return found


def _reap_files(place: Place, environments: Sequence[Environment], given: dict[str, Any]) -> ReapFileSystemsOperator:
    """Make the task on file systems of environments that have some."""
    return ReapFileSystemsOperator(
        task_id="reap_file_systems",
        allowed_names=sorted({name for e in environments for name in e.safety.allowed_file_systems}),
        id_parameters=sorted({e.files.id_parameter for e in environments if e.files}),
        eks_clusters=sorted({e.eks.cluster for e in environments if e.eks}),
        protected=place.protected,
        **given,
    )


def _reap_jobs(place: Place, environments: Sequence[Environment], given: dict[str, Any]) -> ReapJobsOperator:
    """Make the task on jobs of environments that have an EKS cluster."""
    where = sorted({(e.eks.cluster, e.eks.namespace) for e in environments if e.eks})
    namespaces: list[Namespace] = [{"cluster": cluster, "namespace": namespace} for cluster, namespace in where]
    return ReapJobsOperator(task_id="reap_jobs", namespaces=namespaces, protected=place.protected, **given)


def _reap_locks(task_id: str, environments: Sequence[Environment], asked: dict[str, Any]) -> ReapLocksOperator:
    orchestrator = environments[0].orchestrator
    return ReapLocksOperator(
        task_id=task_id,
        table=orchestrator.runs_table,
        lock_keys=sorted({key for environment in environments for key in reaping.lock_keys(environment)}),
        policy="remove" if all(e.safety.reap == "remove" for e in environments) else "report",
        environments=[environment.environment for environment in environments],
        locks=[],
        **at(orchestrator),
        **asked,
    )


Home = tuple[str, str, str]


def _home(orchestrator: Orchestrator) -> Home:
    return orchestrator.aws_conn_id, orchestrator.region, orchestrator.runs_table


def _homes(environments: Sequence[Environment]) -> dict[Home, list[Environment]]:
    """Group environments by the table that their runs are recorded in."""
    found: dict[Home, list[Environment]] = {}
    for environment in environments:
        found.setdefault(_home(environment.orchestrator), []).append(environment)
    return found


def _home_of(pk: str, environments: Sequence[Environment]) -> Home:
    """Find the table for the record of a place: that of the first environment that works there."""
    place = next(p for p in reaping.places(environments) if pk == f"reap#{p.account_id}#{p.region}")
    return _home(place.environments[0].orchestrator)


def locks_of(environments: Sequence[Environment]) -> list[Locks]:
    """Name the locks of the environments' targets, and the tables that they are in."""
    return [
        {
            "aws_conn_id": home[0],
            "region_name": home[1],
            "table": home[2],
            "keys": sorted({key for environment in here for key in reaping.lock_keys(environment)}),
        }
        for home, here in sorted(_homes(environments).items())
    ]
