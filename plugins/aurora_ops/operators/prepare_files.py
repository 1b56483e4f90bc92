"""The checks before a refresh on what goes along with the database: files, and the cluster in which jobs run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from aurora_ops.core import job_commands, naming, workloads
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, Problems, StateError, report
from aurora_ops.core.files import RecoveryPoint
from aurora_ops.core.kubernetes import Kind
from aurora_ops.core.settings import Eks, Environment
from aurora_ops.core.workloads import Workload
from aurora_ops.hooks.backup import BackupHook
from aurora_ops.hooks.kubernetes import KubernetesApi, KubernetesHook
from aurora_ops.operators.file_restore import newest_recovery_point
from aurora_ops.operators.workloads import require_named

_TO_KEEP = [
    *((verb, k8s.JOBS, "") for verb in ("create", "patch", "delete")),
    *((verb, k8s.SECRETS, "") for verb in ("create", "delete")),
]
_TO_SHOW = [(verb, kind, "") for kind in (k8s.VOLUMES, k8s.CLAIMS) for verb in ("create", "delete")]

Attempt = Callable[[Callable[[], Any]], Any]


def file_guards(settings: Environment) -> list[PermanentError]:
    """Say why settings alone forbid refreshing files, before any account is asked."""
    files, allowed = settings.refreshed_files, settings.safety.allowed_file_systems
    if files is None or files.name in allowed:
        return []
    return [ConfigError("files.name", files.name, f"safety.allowed_file_systems are {allowed}")]


def keep_guards(settings: Environment) -> list[PermanentError]:
    """Say why settings alone forbid keeping tables, before any account is asked."""
    database = settings.database
    if database.keep_tables and not database.keep_bucket and settings.keeping_eks is None:
        return [
            ConfigError("database.keep_bucket", None, "name a bucket for the tables that are kept, or an eks cluster")
        ]
    return []


class Along(NamedTuple):
    """What was found beside databases.

    :param point: recovery point that files would be restored from now.
    :param workloads: what is scaled to 0 while claims are made anew, and the count that each goes back to.
    """

    point: RecoveryPoint | None
    workloads: dict[str, int] | None


def check_along(settings: Environment, attempt: Attempt) -> Along:
    """Look at what the refresh needs beside databases.

    :param settings: settings of the run.
    :param attempt: runs a check; what it finds wrong is one more problem.
    """
    point = None
    if (files := settings.refreshed_files) is not None:
        point = attempt(
            lambda: newest_recovery_point(
                BackupHook(settings.source.aws_conn_id, settings.source.region),
                files.source_file_system,
                files.source_vault,
                now=datetime.now(UTC),
                max_age_h=files.recovery_point_max_age_h,
            )[1]
        )
        target = settings.target
        attempt(lambda: BackupHook(target.aws_conn_id, target.region).require_vault(files.vault))
    if (eks := settings.eks) is None:
        return Along(point, {})
    target, shown = settings.target, files.claims if files else []
    api = KubernetesHook(target.aws_conn_id, target.region).api(eks.cluster)
    if settings.keeping_eks and settings.database.keep_tables:
        attempt(lambda: _check_dumps(api, eks))
    for claim in shown:
        attempt(partial(_check_claim, api, eks, claim))
    return Along(point, attempt(lambda: _check_workloads(api, eks, shown)) if shown else {})


def plan_along(settings: Environment, moment: datetime, found: Along) -> dict[str, Any]:
    """Make what the tasks on files and jobs are given.

    :param settings: settings of the run.
    :param moment: its logical date, or when it was to run.
    :param found: what was found beside databases.
    """
    point = found.point
    files, tables, name = settings.refreshed_files, settings.database.keep_tables, settings.environment
    eks = settings.keeping_eks if tables else None
    return {
        "environment": name,
        "files_token": naming.file_system(name, files.name, moment) if files else None,
        "files_backed_up_at": point.created.isoformat(timespec="seconds") if point else None,
        "scaled_workloads": found.workloads or {},
        "keep_nodegroups": list(eks.nodegroups) if eks else [],
        "keep_nodes": eks.nodes if eks else None,
        "keep_schemas": job_commands.schemas_of(tables) if eks else [],
        "keep_rows": dict.fromkeys(tables) if eks else {},
        "dump_job": naming.job("keep-dump", name, moment) if eks else None,
        "load_job": naming.job("keep-load", name, moment) if eks else None,
    }


def _check_dumps(api: KubernetesApi, eks: Eks) -> None:
    """See that the claim of the dumps is there, and that jobs may be run."""
    _require_rights(api, eks, _TO_KEEP)
    found = api.find(k8s.CLAIMS, eks.claim, eks.namespace)
    if found is None:
        raise MissingError(
            f"eks.claim: no claim {eks.claim} in namespace {eks.namespace} of {eks.cluster}; eks_manage_storage makes it"
        )
    if (found.get("status") or {}).get("phase") != "Bound":
        raise StateError(f"eks.claim: {eks.claim} in {eks.namespace} is not bound to a volume; look at it first")


def _check_claim(api: KubernetesApi, eks: Eks, claim: str) -> None:
    """See that a claim may be made anew, where there is one."""
    found = api.find(k8s.CLAIMS, claim, eks.namespace)
    if found is not None:
        k8s.require_ours(k8s.CLAIMS.plural, found)


def _check_workloads(api: KubernetesApi, eks: Eks, claims: list[str]) -> dict[str, int]:
    """See that what uses claims may be stopped: name it, with the count that each goes back to."""
    needed = [*_TO_SHOW]
    for workload in map(Workload.parse, eks.workloads):
        needed += [(verb, workload.kind, workload.name) for verb in ("get", "patch")]
        if workload.kind is k8s.DEPLOYMENTS:
            needed.append(("get", k8s.REPLICA_SETS, ""))
    _require_rights(api, eks, needed)
    problems = Problems()
    problems.attempt(lambda: require_named(api, eks.namespace, claims, eks.workloads))
    scaled: dict[str, int] = {}
    for name in eks.workloads:
        scaled |= problems.attempt(partial(_look_at, api, eks, Workload.parse(name), claims)) or {}
    report(problems)
    return scaled


def _require_rights(api: KubernetesApi, eks: Eks, needed: list[tuple[str, Kind, str]]) -> None:
    """Ask for rights that are needed much later, when not to have them would leave things half done.

    :param needed: each a verb, a kind and a name, which is empty for any.
    """
    missing = [
        f"{verb} {kind.plural}" + (f" {name}" if name else "")
        for verb, kind, name in dict.fromkeys(needed)
        if not api.may(verb, kind, eks.namespace if kind.namespaced else None, name)
    ]
    if missing:
        raise PermanentError(
            f"eks.cluster: the connection's role may not {', '.join(missing)} in {eks.namespace} of {eks.cluster}; apply "
            f"include/templates/kubernetes-access.yaml"
        )


def _look_at(api: KubernetesApi, eks: Eks, workload: Workload, claims: list[str]) -> dict[str, int]:
    """Look at a workload that must exist: the count it will go back to, where it uses one of the claims."""
    found = api.find(workload.kind, workload.name, eks.namespace)
    if found is None:
        raise MissingError(f"eks.workloads: no {workload} in namespace {eks.namespace} of {eks.cluster}; correct it")
    return {str(workload): workloads.returns_to(found)} if workloads.mounts(found, claims) else {}
