"""The checks before a refresh on what goes along with the database: files, and the cluster in which jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aurora_ops.core import job_commands, naming
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, StateError
from aurora_ops.core.files import RecoveryPoint, choose_recovery_point
from aurora_ops.core.settings import Eks, Environment, Files
from aurora_ops.hooks.backup import BackupHook
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.operators.file_systems import find_file_system

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


def check_along(settings: Environment, attempt: Attempt) -> RecoveryPoint | None:
    """Look at what the refresh needs beside databases.

    :param settings: settings of the run.
    :param attempt: runs a check; what it finds wrong is one more problem.
    :return: the recovery point that files would be restored from now.
    """
    point = None
    if (files := settings.refreshed_files) is not None:
        point = attempt(lambda: _recovery_point(settings, files))
        target = settings.target
        attempt(lambda: BackupHook(target.aws_conn_id, target.region).require_vault(files.vault))
    for eks, claim, must_exist in _claims(settings):
        attempt(partial(_check_claim, settings, eks, claim, must_exist=must_exist))
    return point


def plan_along(settings: Environment, moment: datetime, point: RecoveryPoint | None) -> dict[str, Any]:
    """Make what the tasks on files and jobs are given.

    :param settings: settings of the run.
    :param moment: its logical date, or when it was to run.
    :param point: recovery point that files would be restored from now.
    """
    files, tables, name = settings.refreshed_files, settings.database.keep_tables, settings.environment
    eks = settings.keeping_eks if tables else None
    return {
        "environment": name,
        "files_token": naming.file_system(name, files.name, moment) if files else None,
        "files_backed_up_at": point.created.isoformat(timespec="seconds") if point else None,
        "keep_nodegroups": list(eks.nodegroups) if eks else [],
        "keep_nodes": eks.nodes if eks else None,
        "keep_schemas": job_commands.schemas_of(tables) if eks else [],
        "keep_rows": dict.fromkeys(tables) if eks else {},
        "dump_job": naming.job("keep-dump", name, moment) if eks else None,
        "load_job": naming.job("keep-load", name, moment) if eks else None,
    }


def _recovery_point(settings: Environment, files: Files) -> RecoveryPoint:
    source = settings.source
    system = find_file_system(EfsHook(source.aws_conn_id, source.region), files.source_file_system)
    return choose_recovery_point(
        BackupHook(source.aws_conn_id, source.region).list_recovery_points(files.source_vault, system.arn),
        now=datetime.now(UTC),
        max_age_h=files.recovery_point_max_age_h,
        resource=f"{system.file_system_id} in vault {files.source_vault}",
    )


def _claims(settings: Environment) -> Iterator[tuple[Eks, str, bool]]:
    """List claims that matter: that of the dumps, which must be there, and those that will show files."""
    eks, files = settings.eks, settings.refreshed_files
    if eks is None:
        return
    if settings.keeping_eks and settings.database.keep_tables:
        yield eks, eks.claim, True
    if files is not None:
        yield from ((eks, claim, False) for claim in files.claims)


def _check_claim(settings: Environment, eks: Eks, claim: str, *, must_exist: bool) -> None:
    target = settings.target
    api = KubernetesHook(target.aws_conn_id, target.region).api(eks.cluster)
    found = api.find(k8s.CLAIMS, claim, eks.namespace)
    if must_exist:
        if found is None:
            raise MissingError(
                f"eks.claim: no claim {claim} in namespace {eks.namespace} of {eks.cluster}; eks_manage_storage makes it"
            )
        if (found.get("status") or {}).get("phase") != "Bound":
            raise StateError(f"eks.claim: {claim} in {eks.namespace} is not bound to a volume; look at it first")
        return
    if found is not None:
        k8s.require_ours(k8s.CLAIMS.plural, found)
    users = k8s.users_of(claim, api.list(k8s.PODS, eks.namespace))
    if users:
        raise StateError(
            f"files.claims: {claim} in {eks.namespace} is used by {users}, and a claim cannot be pointed elsewhere under running "
            f"pods; scale what runs them to 0 for the refresh, or take it off files.claims"
        )
