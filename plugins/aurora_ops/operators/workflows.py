"""The beginning and the end of every single workflow: its input checked and guarded, its run written down and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import environments, reaping, refresh_plan, safety, workflow_record
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, SafetyError, StateError, report
from aurora_ops.core.files import require_changeable
from aurora_ops.core.requests.base import Request, guards, live_name, parse
from aurora_ops.core.settings import Environment
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import ERROR_KEY, RefreshOperator, Result
from aurora_ops.operators.runs import run_by, run_moment, run_name


class CheckRequestOperator(RefreshOperator[RunsHook]):
    """Check what a run asks for, its environment, accounts and guards. Changes nothing.

    Refused are unknown, missing and wrong parameters; accounts that a connection does not lead to; clusters that are not on the
    allow-list, not tagged ``refresh=true``, in a protected account, or being refreshed. All that is wrong is said in one error.

    :param request: model of the parameters, from ``core.requests``.
    :param config_folder: ``include/config``.
    :return: the parameters, names that follow from them, and for ``source``, ``target`` and ``orchestrator`` each
        ``<place>_conn_id``, ``<place>_region`` and ``<place>_account_id``.
    :raises PermanentError: anything is wrong; a ``SafetyError`` where a guard refuses.
    """

    hook_class = RunsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:GetItem",)
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "target": ("rds:DescribeDBClusters", "elasticfilesystem:DescribeFileSystems")
    }

    def __init__(self, *, request: type[Request], config_folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request
        self.config_folder = config_folder

    def take_pass(self, context: Context) -> Result:
        """Check from the inside out: parameters, environment, accounts, guards, then resources."""
        dag_run = context["dag_run"]
        asked = parse(self.request, {**context["params"], **(dag_run.conf or {})})
        settings = self._settings(asked)
        report(guards(asked, settings))
        for name in dict.fromkeys((*asked.places, "orchestrator")):
            place = getattr(settings, name)
            RdsHook(place.aws_conn_id, place.region).require_account(place.account_id)
        report(self._refusals(asked, settings, run_name(dag_run)))
        changed = next(iter(asked.changed_clusters().values()), "")
        return {
            **asked.model_dump(mode="json"),
            **_places(settings),
            "run_key": refresh_plan.run_key(dag_run.dag_id, dag_run.run_id),
            "expires_h": settings.expires_h,
            "runs_table": settings.orchestrator.runs_table,
            "topic_arn": settings.orchestrator.topic_arn,
            "records_kept_days": settings.orchestrator.records_kept_days,
            "target_key": _target_key(settings, live_name(changed, settings)),
            **asked.inputs(settings, run_moment(dag_run)),
        }

    def _settings(self, asked: Request) -> Environment:
        folder = Path(self.config_folder)
        known = environments.names(folder)
        if asked.environment not in known:
            raise ConfigError("environment", asked.environment, f"environments with a file are {known}")
        return environments.resolve(environments.read(folder / f"{asked.environment}.yaml")).settings

    def _refusals(self, asked: Request, settings: Environment, run: str) -> list[PermanentError]:
        """Look at what would be changed: its tag, and whether a refresh is at work on it."""
        found: list[PermanentError] = []
        target, home = settings.target, settings.orchestrator
        rds, runs = RdsHook(target.aws_conn_id, target.region), RunsHook(home.aws_conn_id, home.region)
        required, free = asked.required_clusters(), asked.free_names()
        for field, cluster_id in {**asked.changed_clusters(), **required, **free}.items():
            cluster = rds.find_cluster(cluster_id)
            if cluster is None and field in required:
                found.append(
                    MissingError(f"{field}: no cluster {cluster_id} behind {target.aws_conn_id} in {target.region}")
                )
            if cluster is not None and field in free:
                found.append(
                    StateError(f"{field}: {cluster_id} is the name of cluster {cluster.resource_id}; free it first")
                )
            try:
                if cluster is not None:
                    safety.require_refreshable(cluster_id, cluster.tags)
            except SafetyError as refusal:
                found.append(refusal)
            lock = runs.find(home.runs_table, _target_key(settings, live_name(cluster_id, settings)), "lock")
            if lock is not None and reaping.live_holders([lock], datetime.now(UTC)) not in ([], [run]):
                found.append(
                    StateError(
                        f"{cluster_id} is being worked on by {lock['holder']}; wait for that run to end, or for its lock to end "
                        f"at epoch {lock['expires_at']}"
                    )
                )
        return [*found, *_refused_files(asked, settings)]


def _refused_files(asked: Request, settings: Environment) -> list[PermanentError]:
    """Look at the file systems that would be changed: their tags."""
    found: list[PermanentError] = []
    efs = EfsHook(settings.target.aws_conn_id, settings.target.region)
    for file_system_id in asked.changed_file_systems().values():
        system = efs.find_file_system(file_system_id)
        try:
            if system is not None:
                require_changeable(file_system_id, system.tags, settings.safety.allowed_file_systems)
        except SafetyError as refusal:
            found.append(refusal)
    return found


def _places(settings: Environment) -> dict[str, str]:
    places = {name: getattr(settings, name) for name in ("source", "target", "orchestrator")}
    return {
        f"{name}_{key}": value
        for name, place in places.items()
        for key, value in (
            ("conn_id", place.aws_conn_id),
            ("region", place.region),
            ("account_id", place.account_id),
        )
    }


def _target_key(settings: Environment, cluster_id: str | None) -> str:
    return refresh_plan.target_key(settings.target.account_id, cluster_id or settings.target.cluster)


class RecordWorkflowOperator(RefreshOperator[RunsHook]):
    """Write a workflow's run down, and announce it: always where it failed, on success where that is asked for.

    The item (DynamoDB ``PutItem``) and the announcement (SNS ``Publish``) name cause and duration. Where the check has refused
    the run nothing was changed, whoever asked sees why, and nothing is written.

    :param table: table of runs (templated).
    :param topic_arn: topic to announce to; ``None`` announces nothing (templated).
    :param keep_days: days until the item expires (templated).
    :param environment: environment of the run (templated).
    :param announce: announce a success too (templated).
    :param check_task: id of the task that checked the input.
    :param hidden: parameters of the run that may hold data, and are not written down.
    :return: ``{"outcome", "pk", "sk", "announced"}``.
    """

    hook_class = RunsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "sns:Publish")
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "table",
        "topic_arn",
        "keep_days",
        "environment",
        "announce",
    )

    def __init__(
        self,
        *,
        table: str,
        topic_arn: str | None,
        keep_days: int,
        environment: str,
        announce: bool = False,
        check_task: str = "check",
        hidden: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.topic_arn = topic_arn
        self.keep_days = keep_days
        self.environment = environment
        self.announce = announce
        self.check_task = check_task
        self.hidden = list(hidden)

    def take_pass(self, context: Context) -> Result:
        """Collect, write, announce."""
        ti, dag_run = context["ti"], context["dag_run"]
        states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
        states = {task_id: state for task_id, state in states.items() if task_id != self.task_id}
        if str(states.get(self.check_task)) != "success":
            raise AirflowSkipException("the check refused this run; nothing was changed, and nothing is recorded")
        failed = [task_id for task_id, state in states.items() if str(state) == "failed"]
        moment, now = run_moment(dag_run), datetime.now(UTC)
        record = workflow_record.build(
            dag_id=dag_run.dag_id,
            run_id=dag_run.run_id,
            environment=self.environment,
            moment=moment,
            started=dag_run.start_date or moment,
            ended=now,
            triggered_by=run_by(dag_run),
            conf=dict(dag_run.conf or {}),
            states=states,
            causes={
                task_id: str(ti.xcom_pull(task_ids=task_id, key=ERROR_KEY) or "see the task's log")
                for task_id in failed
            },
            keep_days=int(self.keep_days),
            hidden=self.hidden,
        )
        self.hook.put(self.table, record)
        announced = bool(self.topic_arn) and (self.announce or record["outcome"] == "failed")
        if self.topic_arn and announced:
            TopicsHook(self.aws_conn_id, self.region_name).publish(
                self.topic_arn,
                workflow_record.subject(record),
                workflow_record.text(record),
                workflow_record.attributes(record),
            )
        self.log.info("%s recorded: %s", run_name(dag_run), record["outcome"])
        return {key: record[key] for key in ("outcome", "pk", "sk")} | {"announced": announced}
