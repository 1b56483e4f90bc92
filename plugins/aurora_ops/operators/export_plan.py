"""Which snapshots a run exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk import Context

from aurora_ops.core import environments
from aurora_ops.core.errors import AuroraOpsError, ConfigError, report
from aurora_ops.core.exports import names, plan, states
from aurora_ops.core.exports.plan import Asked, Decision
from aurora_ops.core.exports.tasks import Task
from aurora_ops.core.settings import Environment, Source, Target
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.hooks.exports import ExportsHook
from aurora_ops.hooks.states import StatesHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.runs import run_conf, run_type, wrong_parameters

_PARAMS: dict[str, tuple[type, ...]] = {
    "database": (str,),
    "snapshot_arn": (str,),
    "again": (bool,),
    "dry_run": (bool,),
}
_LOOKS: tuple[str, ...] = ("rds:DescribeDBClusterSnapshots", "rds:DescribeDBSnapshots", "rds:DescribeExportTasks")


class PlanExportsOperator(RefreshOperator[StatesHook]):
    """Decide which snapshots a run exports. Changes nothing.

    A scheduled run and a day of a backfill export what is due in their data interval; a scheduled one makes up for what events and
    earlier runs have missed, too. A run that was told a snapshot exports that one; one by hand without exports the newest that is
    due. What is due, done, or has failed too often is decided by ``core.exports.plan`` from all snapshots of each database, all
    export tasks of its account and region, and what is remembered (DynamoDB ``Query``).

    :param path: environment file.
    :return: ``{"exports", "reports", "dry_run"}``: what the tasks that export are given, none in a dry run, and what became of
        each database and snapshot: ``{"database", "what", "why", "snapshot"}``.
    :raises PermanentError: an unknown parameter, a wrong file, a snapshot that is none of the database, or a connection that
        leads elsewhere.
    """

    hook_class = StatesHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:Query",)
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _LOOKS, "target": _LOOKS}

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, look at every database, decide, tell."""
        dag_run = context["dag_run"]
        conf = run_conf(dag_run)
        settings, about = self._settings(conf)
        asked = _asked(context, conf, about, scheduled=run_type(dag_run) == "scheduled")
        listed: dict[tuple[str, str], list[Task]] = {}
        exports: list[dict[str, Any]] = []
        reports: list[dict[str, Any]] = []
        for database in about.databases:
            if conf.get("database") not in (None, database.name):
                continue
            place = place_of(settings, database)
            for decision in self._decide(settings, about, database, asked, listed):
                self.log.info("%s: %s: %s", database.name, decision.what, decision.why)
                reports.append(_report(database, decision))
                if decision.what == "export":
                    exports.append(_export(settings, database, place, decision))
                elif asked.snapshot_arn and decision.what == "none":
                    raise ConfigError("snapshot_arn", asked.snapshot_arn, decision.why)
        dry_run = bool(conf.get("dry_run", False))
        return {"exports": [] if dry_run else exports, "reports": reports, "dry_run": dry_run}

    def _settings(self, conf: Mapping[str, Any]) -> tuple[Environment, Exports]:
        problems = wrong_parameters(conf, _PARAMS)
        settings = environments.resolve(environments.read(Path(self.path))).settings
        if settings.exports is None:
            raise ConfigError("exports", None, "the environment's file must have this section")
        known = [one.name for one in settings.exports.databases]
        if conf.get("database") not in (None, *known):
            problems.append(ConfigError("database", conf["database"], f"databases that are exported are {known}"))
        if conf.get("snapshot_arn") is not None:
            if conf.get("database") is None:
                problems.append(ConfigError("database", None, "say of which database snapshot_arn is"))
            try:
                names.snapshot_of(str(conf["snapshot_arn"]))
            except ValueError:
                problems.append(
                    ConfigError(
                        "snapshot_arn", conf["snapshot_arn"], "write the ARN of a snapshot of a cluster or an instance"
                    )
                )
        report(problems)
        return settings, settings.exports

    def _decide(
        self,
        settings: Environment,
        about: Exports,
        database: ExportedDatabase,
        asked: Asked,
        listed: dict[tuple[str, str], list[Task]],
    ) -> list[Decision]:
        """Decide about one database; tasks that were listed for one of the same place are not listed again."""
        place = place_of(settings, database)
        rds = ExportsHook(place.aws_conn_id, place.region)
        rds.require_account(place.account_id)
        where = place.aws_conn_id, export_region(database, place)
        if where not in listed:
            listed[where] = ExportTasksHook(*where).list_tasks()
        known = self.hook.list_items(about.state_table, states.partition(database.name))
        return plan.decide(
            database,
            rds.list_snapshots(cluster=database.cluster, instance=database.instance),
            map(states.known, known),
            listed[where],
            asked,
            zone=ZoneInfo(settings.timezone),
            most_attempts=about.most_attempts,
        )


def place_of(settings: Environment, database: ExportedDatabase) -> Source | Target:
    """Give the section of the settings that says where a database is."""
    return settings.source if database.account == "source" else settings.target


def export_region(database: ExportedDatabase, place: Source | Target) -> str:
    """Name the region in which a database's snapshots are exported: that of the copy, where one is made elsewhere."""
    copy = database.copy_first
    return copy.region if copy and copy.region else place.region


def _asked(context: Context, conf: Mapping[str, Any], about: Exports, *, scheduled: bool) -> Asked:
    arn, again = conf.get("snapshot_arn"), bool(conf.get("again", False))
    if arn is not None:
        return Asked(snapshot_arn=arn, again=again)
    if run_type(context["dag_run"]) not in ("scheduled", "backfill"):
        return Asked(again=again)  # by hand: the newest that is due
    start, end, missed = plan.interval(
        context.get("data_interval_start"), context.get("data_interval_end"), scheduled, about.reconcile_days
    )
    return Asked(start, end, missed, again=again)


def _report(database: ExportedDatabase, decision: Decision) -> dict[str, Any]:
    return {
        "database": database.name,
        "what": decision.what,
        "why": decision.why,
        "snapshot": decision.snapshot.snapshot_id if decision.snapshot else None,
    }


def _export(
    settings: Environment, database: ExportedDatabase, place: Source | Target, decision: Decision
) -> dict[str, Any]:
    """Say what the tasks are given that export a snapshot."""
    one = decision.snapshot
    if one is None or one.created is None:
        raise AuroraOpsError(f"{decision} exports nothing")
    day = names.date(one.created, ZoneInfo(settings.timezone))
    task_id = names.task(one.arn, decision.attempt)
    return {
        "conn_id": place.aws_conn_id,
        "region": export_region(database, place),
        "account_id": place.account_id,
        "database": database.name,
        "snapshot_arn": one.arn,
        "snapshot_time": one.created.astimezone(UTC).isoformat(timespec="seconds"),
        "date": day,
        "bucket": database.bucket or names.setup(database.name, place.account_id),
        "prefix": names.prefix(database.prefix, database.name, day),
        "export_task": task_id,
    }
