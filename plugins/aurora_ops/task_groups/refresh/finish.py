"""The end of a refresh: where it is is published, what it needed is removed, how it went is written down."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.sdk import BaseOperator

from aurora_ops.core.operation import OPERATION_KEY
from aurora_ops.core.settings import Environment
from aurora_ops.operators.cluster_removal import DeleteClusterOperator, RetireClusterOperator
from aurora_ops.operators.coverage import RememberColumnsOperator
from aurora_ops.operators.publish import PublishClusterOperator
from aurora_ops.operators.record import RecordRunOperator
from aurora_ops.operators.runs import ReleaseLockOperator
from aurora_ops.operators.snapshots import DeleteSnapshotOperator, RevokeShareOperator
from aurora_ops.operators.tables import DeleteObjectsOperator
from aurora_ops.task_groups.refresh.files import Files, PublishedFiles, publish_files, remove_files
from aurora_ops.task_groups.typed import Outputs, at, group

PLAN_TASK = "prepare.check"
SNAPSHOT_TASK = "source.take_snapshot"
BEST_EFFORT = ("clean_up.",)
PUBLISHED_TASK = "publish.publish_cluster"
COMPENSATION = ("switch.undo_rename", "switch.undo_secrets")


class Published(NamedTuple):
    """Tasks that publish.

    :param first: those that begin.
    :param last: those that end.
    """

    cluster: PublishClusterOperator
    files: PublishedFiles
    first: list[BaseOperator]
    last: list[BaseOperator]


@group("publish")
def publish(settings: Environment, plan: Outputs, snapshot_id: Any, restored_files: Files, lock: Any) -> Published:
    """Publish where the refreshed database is, and its files.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param snapshot_id: source snapshot of its data.
    :param restored_files: tasks that have restored and proven the files.
    :param lock: what taking the target's lock has left.
    """
    cluster = PublishClusterOperator(
        task_id="publish_cluster",
        cluster_id=plan["target_cluster"],
        parameter=settings.target.endpoint_parameter,
        run_key=plan["run_key"],
        snapshot_id=snapshot_id,
        **at(settings.target),
    )
    files = publish_files(settings, restored_files, plan["run_key"], lock)
    return Published(cluster, files, [cluster, *files.first], [cluster, *files.last])


class CleanUp(NamedTuple):
    """Teardown tasks, each to be placed after what it undoes or removes."""

    retire_old: RetireClusterOperator
    revoke: RevokeShareOperator
    delete_copy: DeleteSnapshotOperator
    delete_kept: list[DeleteObjectsOperator]
    delete_temporary: DeleteClusterOperator
    remember: RememberColumnsOperator
    files: list[BaseOperator]
    all: list[BaseOperator]


@group("clean_up")
def clean_up(
    settings: Environment, plan: Outputs, shared_snapshot_id: Any, covered: Any, *, replaced_files: Any, serving: Any
) -> CleanUp:
    """Remove what the refresh needed. Teardown tasks: they run whatever happened, and cannot fail a refresh that succeeded.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param shared_snapshot_id: snapshot of the source that was shared.
    :param covered: coverage, as the scan left it.
    :param replaced_files: id of the file system that was published before.
    :param serving: resource id of the refreshed cluster, once it serves.
    """
    source, target = settings.source, settings.target
    at_source = at(source)
    at_target = at(target)

    retire = RetireClusterOperator(
        task_id="retire_old_cluster",
        cluster_id=plan["old_cluster"],
        policy=plan["old_cluster_policy"],
        successor_id=plan["target_cluster"],
        published_run=plan["run_key"],
        kept_days=target.old_cluster_kept_days,
        **at_target,
    )
    revoke = RevokeShareOperator(
        task_id="revoke_share",
        snapshot_id=shared_snapshot_id,
        account_id=target.account_id,
        was_shared=plan["snapshot_was_shared"],
        **at_source,
    )
    delete_rekeyed, delete_fresh = (
        DeleteSnapshotOperator(task_id=f"delete_{name}_snapshot", snapshot_id=plan[f"{name}_snapshot_id"], **at_source)
        for name in ("rekeyed", "fresh")
    )
    delete_copy = DeleteSnapshotOperator(
        task_id="delete_copied_snapshot", snapshot_id=plan["copy_snapshot_id"], **at_target
    )
    # dumps of jobs stay: the next ones replace them, and they are the target's own
    delete_kept = []
    if settings.keeping_eks is None:
        bucket, prefix = settings.database.keep_bucket, plan["keep_prefix"]
        delete_kept.append(
            DeleteObjectsOperator(task_id="delete_kept_tables", bucket=bucket, prefix=prefix, **at_target)
        )
    delete_temporary = DeleteClusterOperator(
        task_id="delete_temporary_cluster",
        cluster_id=None if settings.safety.keep_failed_cluster else plan["temporary_cluster"],
        only_run=plan["run_key"],
        **at_target,
    )
    remember = RememberColumnsOperator(
        task_id="remember_columns",
        covered=covered,
        published_task=PUBLISHED_TASK,
        table=settings.orchestrator.runs_table,
        target_key=plan["target_key"],
        **at(settings.orchestrator),
    )
    removed_files = remove_files(settings, plan, replaced_files, serving)
    revoke >> [delete_rekeyed, delete_fresh]
    tasks: list[BaseOperator] = [
        retire,
        revoke,
        delete_rekeyed,
        delete_fresh,
        delete_copy,
        *delete_kept,
        delete_temporary,
        remember,
        *removed_files,
    ]
    for task in tasks:
        task.as_teardown()
    return CleanUp(retire, revoke, delete_copy, delete_kept, delete_temporary, remember, removed_files, tasks)


@group("record")
def record(settings: Environment, plan: Outputs) -> tuple[RecordRunOperator, ReleaseLockOperator]:
    """Write the run down, announce it, and give the lock back; always.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    """
    orchestrator = settings.orchestrator
    at_home: dict[str, Any] = {
        **at(orchestrator),
        "table": orchestrator.runs_table,
        "target_key": plan["target_key"],
    }
    write = RecordRunOperator(
        task_id="record_run",
        environment=settings.environment,
        plan_task=PLAN_TASK,
        snapshot_task=SNAPSHOT_TASK,
        topic_arn=orchestrator.topic_arn,
        best_effort=BEST_EFFORT,
        compensation=COMPENSATION,
        keep_days=orchestrator.records_kept_days,
        report_bucket=orchestrator.report_bucket,
        metrics_namespace=orchestrator.metrics_namespace,
        operation=plan[OPERATION_KEY] if orchestrator.audit_refreshes else None,
        **at_home,
    )
    release = ReleaseLockOperator(task_id="release_lock", **at_home)
    write >> release
    for task in (write, release):
        task.as_teardown()
    return write, release
