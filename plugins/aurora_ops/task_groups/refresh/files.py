"""The files that go with the database: restored and proven beside it, published after it."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, TriggerRule

from aurora_ops.core.requests.efs import place_of
from aurora_ops.core.settings import Eks, Environment
from aurora_ops.operators.file_probe import FindRestoreDirectoryOperator
from aurora_ops.operators.file_publish import PublishFilesOperator
from aurora_ops.operators.file_system_removal import DiscardFileSystemOperator, RetireFileSystemOperator
from aurora_ops.operators.kubernetes_storage import CreateStorageOperator, UndoStorageOperator
from aurora_ops.task_groups.efs.publish_subpath import prove_files, publish_subpath
from aurora_ops.task_groups.efs.restore_files import restore_files
from aurora_ops.task_groups.eks.scale_workloads import scale_workloads, settle
from aurora_ops.task_groups.typed import Outputs, at, group


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
    source, target = at(settings.source), at(settings.target)
    made = {"created_as": plan["files_token"], "run_key": plan["run_key"], "expires_h": settings.expires_h}
    values = {**place_of(settings, wanted), "environment": plan["environment"], "items": None, **made}
    restored = restore_files(source, target, values, expires_h=settings.expires_h)
    which = {**values, "file_system_id": Outputs(restored.restore)["file_system_id"]}
    proven = prove_files(target, which, code_folder=code_folder)
    restored.last >> proven.find
    results = {"files_restored": Outputs(restored.first).all, "files_proved": Outputs(proven.verify).all}
    return Files(restored.first, proven.verify, proven.find, [proven.remove], results)


def publish_files(settings: Environment, restored: Files, run_key: Any, lock: Any) -> PublishedFiles:
    """Tell applications where the files are now, then have the claims show them, and what uses the claims start anew on them.

    A claim that cannot be made anew goes back to what it showed, and what uses it starts on that.

    :param settings: settings of the environment.
    :param restored: tasks that have restored and proven them.
    :param run_key: the run, as ``refresh_plan.run_key`` writes it.
    :param lock: what taking the target's lock has left.
    """
    wanted = settings.refreshed_files
    if wanted is None or restored.found is None:
        return PublishedFiles([], [], None)
    target = at(settings.target)
    parameters = {"id_parameter": wanted.id_parameter, "subpath_parameter": wanted.subpath_parameter}
    former_expires_h = settings.expires_h if wanted.old_file_system == "delete" else None
    published = publish_subpath(target, parameters, restored.found, former_expires_h=former_expires_h)
    last: list[BaseOperator] = []
    if settings.eks and wanted.claims:
        run = {"run_key": run_key, "lock": lock}
        last = _show(settings.eks, wanted.claims, restored.found, published, target, run)
    return PublishedFiles([published], last or [published], Outputs(published)["replaces"])


def _show(
    eks: Eks,
    claims: list[str],
    found: FindRestoreDirectoryOperator,
    published: PublishFilesOperator,
    target: dict[str, Any],
    run: dict[str, Any],
) -> list[BaseOperator]:
    """Have claims show what was found, under nobody's hands; what is over last."""
    inside = {"cluster_name": eks.cluster, "namespace": eks.namespace, **target}
    shows: list[BaseOperator] = []
    undo: list[BaseOperator] = []
    for claim in claims:
        name = f"show_in_{claim.replace('.', '_')}"
        arguments: dict[str, Any] = {
            "claim_name": claim,
            "storage_class_name": eks.storage_class,
            "file_system_id": Outputs(found)["file_system_id"],
            "path": Outputs(found)["subpath"],
            **inside,
        }
        show = CreateStorageOperator(task_id=name, **arguments)
        back = UndoStorageOperator(
            task_id=f"undo_{name}",
            tried=Outputs(published)["file_system_id"],
            trigger_rule=TriggerRule.ONE_FAILED,
            **arguments,
        )
        show >> back
        shows.append(show)
        undo.append(back)
    if not eks.workloads:
        published >> shows
        return settle(shows, undo)
    scaled = scale_workloads(inside, workloads=eks.workloads, claims=claims, work=shows, undo=undo, **run)
    published >> scaled.stop
    return scaled.last


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
    target = at(settings.target)
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
