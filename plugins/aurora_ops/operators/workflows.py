"""The beginning and the end of every single workflow: its input checked and guarded, its run written down and announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import environments, reaping, refresh_plan, run_metrics, safety, workflow_record
from aurora_ops.core.errors import (
    ConfigError,
    MissingError,
    PermanentError,
    SafetyError,
    StateError,
    report,
)
from aurora_ops.core.files import require_changeable
from aurora_ops.core.operation import OPERATION_KEY, Operation
from aurora_ops.core.requests.base import Request, guards, parse
from aurora_ops.core.settings import Environment
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators import operations
from aurora_ops.operators.base import ERROR_KEY, RefreshOperator, Result
from aurora_ops.operators.operations import Closed
from aurora_ops.operators.runs import run_by, run_moment, run_name


class CheckRequestOperator(RefreshOperator[RunsHook]):
    """Check what a run asks for, its environment, accounts and guards. Changes nothing.

    Refused are unknown, missing and wrong parameters; accounts that a connection does not lead to; clusters that are not on the
    allow-list, not tagged ``refresh=true``, in a protected account, or being refreshed. All that is wrong is said in one error.

    :param request: model of the parameters, from ``core.requests``.
    :param config_folder: ``include/config``.
    :param given: parameters that the run's own cannot change.
    :param audits: begin an operation when everything is right: the first event of its audit trail, and its state.
    :return: the parameters, names that follow from them, and for ``source``, ``target`` and ``orchestrator`` each
        ``<place>_conn_id``, ``<place>_region`` and ``<place>_account_id``; ``operation`` where it is audited.
    :raises PermanentError: anything is wrong; a ``SafetyError`` where a guard refuses.
    """

    hook_class = RunsHook
    is_step = False
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    )
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "target": ("rds:DescribeDBClusters", "elasticfilesystem:DescribeFileSystems")
    }

    def __init__(
        self,
        *,
        request: type[Request],
        config_folder: str,
        given: Mapping[str, Any] | None = None,
        audits: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.given = dict(given or {})
        self.request = request
        self.config_folder = config_folder
        self.audits = audits

    def take_pass(self, context: Context) -> Result:
        """Check from the inside out: parameters, environment, accounts, guards, then resources; begin the operation last."""
        asked = parse(self.request, {**context["params"], **(context["dag_run"].conf or {}), **self.given})
        settings = self._settings(asked)
        report(guards(asked, settings))
        found = self.look(asked, settings, context)
        if not self.audits:
            return found
        given = asked.model_dump(mode="json")
        group = self.task_id.rpartition(".")[0]
        begun = operations.begin(context, settings, part=group, request=given, hidden=self.request.hidden)
        return {**found, OPERATION_KEY: begun}

    def look(self, asked: Request, settings: Environment, context: Context) -> Result:
        """Look at accounts and resources, and decide what the tasks need.

        :param asked: what was asked for, parsed and guarded.
        :param settings: settings of its environment.
        :param context: Airflow's context.
        :return: what the task returns.
        :raises PermanentError: anything is wrong.
        """
        dag_run = context["dag_run"]
        for name in dict.fromkeys((*asked.places, "orchestrator")):
            place = getattr(settings, name)
            RdsHook(place.aws_conn_id, place.region).require_account(place.account_id)
        report(self._refusals(asked, settings, run_name(dag_run)))
        return {
            **asked.model_dump(mode="json"),
            **_places(settings),
            "run_key": refresh_plan.run_key(dag_run.dag_id, dag_run.run_id),
            "expires_h": settings.expires_h,
            "runs_table": settings.orchestrator.runs_table,
            "topic_arn": settings.orchestrator.topic_arn,
            "records_kept_days": settings.orchestrator.records_kept_days,
            "target_key": refresh_plan.target_key(settings.target.account_id, asked.locked_cluster(settings)),
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
        target = settings.target
        rds = RdsHook(target.aws_conn_id, target.region)
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
        return [*found, *self._locked(asked, settings, run), *_refused_files(asked, settings)]

    @staticmethod
    def _locked(asked: Request, settings: Environment, run: str) -> list[PermanentError]:
        """Look whether another run is at work on the same cluster."""
        home, cluster_id = settings.orchestrator, asked.locked_cluster(settings)
        if not {**asked.changed_clusters(), **asked.required_clusters(), **asked.free_names()}:
            return []
        key = refresh_plan.target_key(settings.target.account_id, cluster_id)
        lock = RunsHook(home.aws_conn_id, home.region).find(home.runs_table, key, "lock")
        if lock is None or reaping.live_holders([lock], datetime.now(UTC)) in ([], [run]):
            return []
        return [
            StateError(
                f"{cluster_id} is being worked on by {lock['holder']}; wait for that run to end, or for its lock to end at epoch "
                f"{lock['expires_at']}"
            )
        ]


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


class RecordWorkflowOperator(RefreshOperator[RunsHook]):
    """Write a workflow's run down, and announce it: always where it failed, on success where that is asked for.

    The item (DynamoDB ``PutItem``) and the announcement (SNS ``Publish``) name cause and duration. Where the check has refused
    the run nothing was changed, whoever asked sees why, and nothing is written.

    An operation that is followed is ended first: the last event of its audit trail, the export of the trail (S3 ``PutObject``),
    the end of its state (``UpdateItem``). What of that fails is a warning in record and announcement, which are written all the
    same, and then fails the task: evidence is missing.

    :param table: table of runs (templated).
    :param topic_arn: topic to announce to; ``None`` announces nothing (templated).
    :param keep_days: days until the item expires (templated).
    :param environment: environment of the run (templated).
    :param announce: announce a success too (templated).
    :param check_task: id of the task that checked the input.
    :param facts_task: id of a task whose result belongs into the record.
    :param hidden: parameters of the run that may hold data, and are not written down.
    :param operation: operation that ends, as the check has left it; ``None``: the run is not followed (templated).
    :param metrics_namespace: CloudWatch namespace of a restore's metrics; ``None`` sends none (templated).
    :return: ``{"outcome", "pk", "sk", "announced"}``; ``trail`` where there is one.
    """

    hook_class = RunsHook
    is_step = False
    permissions: ClassVar[tuple[str, ...]] = (*operations.PERMISSIONS, "sns:Publish", "cloudwatch:PutMetricData")
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "table",
        "topic_arn",
        "keep_days",
        "environment",
        "announce",
        "operation",
        "metrics_namespace",
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
        facts_task: str | None = None,
        hidden: Sequence[str] = (),
        operation: dict[str, Any] | None = None,
        metrics_namespace: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.topic_arn = topic_arn
        self.keep_days = keep_days
        self.environment = environment
        self.announce = announce
        self.check_task = check_task
        self.facts_task = facts_task
        self.hidden = list(hidden)
        self.operation = operation
        self.metrics_namespace = metrics_namespace

    def take_pass(self, context: Context) -> Result:
        """Collect, end the operation, write, announce."""
        ti, dag_run = context["ti"], context["dag_run"]
        states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
        group = self.check_task.rpartition(".")[0]  # of several workflows in one DAG each has its own
        states = {
            task_id: state
            for task_id, state in states.items()
            if task_id != self.task_id and task_id.startswith(f"{group}." if group else "")
        }
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
            part=group,
            states=states,
            causes={
                task_id: str(ti.xcom_pull(task_ids=task_id, key=ERROR_KEY) or "see the task's log")
                for task_id in failed
            },
            keep_days=int(self.keep_days),
            facts=ti.xcom_pull(task_ids=self.facts_task) if self.facts_task else None,
            hidden=self.hidden,
        )
        closed = self._closed(context, record, states)
        warnings = [*closed.warnings, *self._count(record, now)]
        record |= {key: value for key, value in (("warnings", warnings), ("trail", closed.trail)) if value}
        self.hook.put(self.table, record)
        loud = self.announce or record["outcome"] == "failed" or bool(warnings)
        announced = bool(self.topic_arn) and loud and not closed.may_pass(context)
        if self.topic_arn and announced:
            TopicsHook(self.aws_conn_id, self.region_name).publish(
                self.topic_arn,
                workflow_record.subject(record),
                workflow_record.text(record),
                workflow_record.attributes(record),
            )
        self.log.info("%s recorded: %s", run_name(dag_run), record["outcome"])
        if closed.error is not None:
            raise closed.error
        kept: Result = {key: record[key] for key in ("outcome", "pk", "sk", "trail") if key in record}
        return {**kept, "announced": announced}

    def _count(self, record: Mapping[str, Any], moment: datetime) -> list[str]:
        """Send the metrics of a restore; what hinders that is a warning, and no reason to fail."""
        if not self.metrics_namespace:
            return []
        succeeded = record["outcome"] == "succeeded"
        data = run_metrics.of_restore(
            self.environment, moment, succeeded=succeeded, duration_s=float(record["duration_s"])
        )
        return MetricsHook(self.aws_conn_id, self.region_name).try_put(self.metrics_namespace, data)

    def _closed(self, context: Context, record: Mapping[str, Any], states: Mapping[str, Any]) -> Closed:
        """End the operation, where there is one."""
        if not self.operation:
            return Closed(None, [], None)
        return operations.close(
            context,
            Operation.of(self.operation),
            outcome=record["outcome"],
            failed_step=record["failed_step"],
            cause=record["cause"],
            states=states,
            steps=operations.followed_steps(self, self.check_task),
            keep_days=int(self.keep_days),
        )
