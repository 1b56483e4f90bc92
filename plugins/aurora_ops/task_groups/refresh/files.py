"""The files that go with the database: restored and proven beside it, published after it."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator

from aurora_ops.core.requests.efs import place_of
from aurora_ops.core.settings import Environment
from aurora_ops.operators.file_probe import FindRestoreDirectoryOperator
from aurora_ops.operators.file_system_removal import DiscardFileSystemOperator, RetireFileSystemOperator
from aurora_ops.operators.kubernetes_storage import CreateStorageOperator
from aurora_ops.task_groups.efs.publish_subpath import prove_files, publish_subpath
from aurora_ops.task_groups.efs.restore_files import restore_files
from aurora_ops.task_groups.typed import Outputs, group


class Files(NamedTuple):
    """Tasks of the group that others refer to.

    :param found: finds the restored directory; ``None`` where a refresh has no files.
    :param removed: removes what looked into the files.
    :param results: what proved them, by name.
    """

    first: BaseOperator
    last: BaseOperator
    found: FindRestoreDirectoryOperator | None
    removed: list[BaseOperator]
    results: dict[str, Any]


class PublishedFiles(NamedTuple):
    """Tasks that publish files; none where there are none."""

    first: list[BaseOperator]
    last: list[BaseOperator]
    replaces: Any


@group("files")
def files(settings: Environment, plan: Outputs, code_folder: str) -> Files:
    """Restore the files of the source into a file system of their own, and prove that they are there; nothing shows it yet.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param code_folder: ``include/functions/efs_probe``.
    """
    wanted = settings.refreshed_files
    if wanted is None:
        no_files = EmptyOperator(task_id="no_files")
        return Files(no_files, no_files, None, [], {})
    source, target = _places(settings)
    made = {"created_as": plan["files_token"], "run_key": plan["run_key"], "expires_h": settings.expires_h}
    values = {**place_of(settings, wanted), "environment": plan["environment"], "items": None, **made}
    restored = restore_files(source, target, values, expires_h=settings.expires_h)
    which = {**values, "file_system_id": Outputs(restored.restore)["file_system_id"]}
    proven = prove_files(target, which, code_folder=code_folder)
    restored.last >> proven.find
    results = {"files_restored": Outputs(restored.first).all, "files_proved": Outputs(proven.verify).all}
    return Files(restored.first, proven.verify, proven.find, [proven.remove], results)


def publish_files(settings: Environment, restored: Files) -> PublishedFiles:
    """Tell applications where the files are now, then have the claims show them.

    :param settings: settings of the environment.
    :param restored: tasks that have restored and proven them.
    """
    wanted = settings.refreshed_files
    if wanted is None or restored.found is None:
        return PublishedFiles([], [], None)
    _, target = _places(settings)
    parameters = {"id_parameter": wanted.id_parameter, "subpath_parameter": wanted.subpath_parameter}
    published = publish_subpath(target, parameters, restored.found)
    claims = [
        CreateStorageOperator(
            task_id=f"show_in_{claim.replace('.', '_')}",
            cluster_name=eks.cluster,
            namespace=eks.namespace,
            claim_name=claim,
            storage_class_name=eks.storage_class,
            file_system_id=Outputs(restored.found)["file_system_id"],
            path=Outputs(restored.found)["subpath"],
            **target,
        )
        for eks, claim in itertools.product([settings.eks] if settings.eks else [], wanted.claims)
    ]
    published >> claims
    return PublishedFiles([published], [*claims] or [published], Outputs(published)["replaces"])


def remove_files(settings: Environment, plan: Outputs, replaced: Any, serving: Any) -> list[BaseOperator]:
    """Delete the file system that is not needed: what was published before, and, where it came to nothing, what was restored.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param replaced: id of the file system that was published before.
    :param serving: resource id of the refreshed cluster, once it serves.
    :return: the task for the former, then that for the latter; none where a refresh has no files.
    """
    wanted = settings.refreshed_files
    if wanted is None:
        return []
    _, target = _places(settings)
    common: dict[str, Any] = {
        "allowed_names": settings.safety.allowed_file_systems,
        "id_parameter": wanted.id_parameter,
        **target,
    }
    return [
        RetireFileSystemOperator(
            task_id="retire_old_file_system",
            file_system_id=replaced,
            policy=wanted.old_file_system,
            eks_cluster=settings.eks.cluster if settings.eks else None,
            **common,
        ),
        DiscardFileSystemOperator(
            task_id="discard_file_system",
            created_as=plan["files_token"],
            name=wanted.name,
            run_key=plan["run_key"],
            serving=serving,
            **common,
        ),
    ]


def _places(settings: Environment) -> tuple[dict[str, Any], dict[str, Any]]:
    source, target = settings.source, settings.target
    return (
        {"aws_conn_id": source.aws_conn_id, "region_name": source.region},
        {"aws_conn_id": target.aws_conn_id, "region_name": target.region},
    )
