"""Exporting snapshots: planned, each exported, proven and catalogued on its own, remembered and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, TriggerRule, task_group

from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.operators.export_copies import CopyForExportOperator, DeleteExportCopyOperator
from aurora_ops.operators.export_plan import PlanExportsOperator, place_of
from aurora_ops.operators.export_record import RecordExportOperator, RecordExportsOperator
from aurora_ops.operators.export_snapshots import ExportSnapshotOperator
from aurora_ops.task_groups.export.catalogue import catalogue_export
from aurora_ops.task_groups.mapped import end_whole, listed
from aurora_ops.task_groups.typed import Outputs, at

EACH = "export"
_COPIED_WITHIN_S = 12 * 3600


def export_snapshots(settings: Environment, about: Exports, environment_file: Path) -> None:
    """Plan; export each snapshot in a chain of its own, so that none waits for another; write down how it went.

    :param settings: settings of the environment.
    :param about: their section of exports.
    :param environment_file: where they stand; they are read again when the plan is made.
    """
    home = settings.orchestrator
    planned = PlanExportsOperator(task_id="plan_exports", path=str(environment_file), **at(home))
    exports = listed("list_exports", Outputs(planned)["exports"])

    last: list[BaseOperator] = []

    @task_group(group_id=EACH)
    def export_one(
        conn_id: Any,
        region: Any,
        account_id: Any,
        database: Any,
        snapshot_arn: Any,
        snapshot_time: Any,
        date: Any,
        bucket: Any,
        prefix: Any,
        export_task: Any,
    ) -> None:
        """Export one snapshot, prove it, and make it known."""
        last.extend(
            _export_one(
                settings,
                about,
                {
                    "conn_id": conn_id,
                    "region": region,
                    "account_id": account_id,
                    "database": database,
                    "snapshot_arn": snapshot_arn,
                    "snapshot_time": snapshot_time,
                    "date": date,
                    "bucket": bucket,
                    "prefix": prefix,
                    "export_task": export_task,
                },
            )
        )

    each = export_one.expand_kwargs(exports)
    recorded = RecordExportsOperator(
        task_id="record_exports",
        environment=settings.environment,
        namespace=home.metrics_namespace,
        topic_arn=about.topic_arn or home.topic_arn,
        plan_task=planned.task_id,
        record_task=f"{EACH}.record_export",
        trigger_rule=TriggerRule.ALL_DONE,
        **at(home),
    )
    planned >> recorded
    each >> recorded
    end_whole(*last, recorded)


def _export_one(settings: Environment, about: Exports, one: dict[str, Any]) -> list[BaseOperator]:
    """Place the tasks of one export; gives those that must all have ended well."""
    home, section = settings.orchestrator, about.model_dump(mode="json")
    there: dict[str, Any] = {"aws_conn_id": one["conn_id"], "region_name": one["region"]}
    snapshot: dict[str, Any] = {key: one[key] for key in ("database", "snapshot_arn", "snapshot_time", "date")}
    snapshot["map_index_template"] = "{{ task.database }} {{ task.date }}"
    source_arn, copied = one["snapshot_arn"], None
    if any(database.copy_first for database in about.databases):
        copied = CopyForExportOperator(
            task_id="copy_snapshot",
            settings=section,
            database=one["database"],
            environment=settings.environment,
            source=one["snapshot_arn"],
            source_regions={database.name: place_of(settings, database).region for database in about.databases},
            run_key="{{ dag_run.dag_id }}/{{ dag_run.run_id }}",
            expires_h=about.wait_h + about.deadline_h,
            within_s=_COPIED_WITHIN_S,
            **there,
        )
        source_arn = Outputs(copied)["snapshot_arn"]
    exported = ExportSnapshotOperator(
        task_id="export_snapshot",
        **snapshot,
        account_id=one["account_id"],
        source_arn=source_arn,
        bucket=one["bucket"],
        prefix=one["prefix"],
        export_task=one["export_task"],
        settings=section,
        home_conn_id=home.aws_conn_id,
        home_region=home.region,
        schema_secrets=_schema_secrets(settings, about),
        tls_ca=settings.database.tls_ca,
        **there,
    )
    last = catalogue_export(settings, about, Outputs(exported).all)
    recorded = RecordExportOperator(
        task_id="record_export",
        **snapshot,
        table=about.state_table,
        needed={database.name: [f"{EACH}.{name}" for name in _needed(database)] for database in about.databases},
        trigger_rule=TriggerRule.ALL_DONE,
        **at(home),
    )
    last >> recorded
    if copied is not None:
        removed = DeleteExportCopyOperator(
            task_id="delete_copy", snapshot_id=Outputs(copied)["remove_id"], trigger_rule=TriggerRule.ALL_DONE, **there
        )
        exported >> removed
        last.append(removed)
    return [*last, recorded]


def _needed(database: ExportedDatabase) -> list[str]:
    """Name the tasks that an export of a database needs, in order; the others skip themselves."""
    catalogue = database.catalogue
    if catalogue.by == "crawler":
        return ["export_snapshot", "verify_export", "crawl_export"]
    return ["export_snapshot", "verify_export", "catalogue_export", *(["prove_export"] if catalogue.proof else [])]


def _schema_secrets(settings: Environment, about: Exports) -> dict[str, str]:
    """Name the secrets of users who see the tables of databases of which only some are exported."""
    source = settings.source
    found = {
        one.name: one.schema_secret
        or (source.schema_secret if one.account == "source" and one.cluster == source.cluster else None)
        for one in about.databases
    }
    return {name: secret for name, secret in found.items() if secret}
