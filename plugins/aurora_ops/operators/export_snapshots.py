"""Exporting a snapshot: adopted or started in its turn, and waited for to its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, Context

from aurora_ops.core.errors import (
    AuroraOpsError,
    FullError,
    MissingError,
    PermanentError,
    StateError,
    TransientError,
    report,
)
from aurora_ops.core.exports import names, tasks
from aurora_ops.core.exports.tasks import Task
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.export_tasks import TURN, TURN_EVERY_S, ExportQueue, ExportTasksHook
from aurora_ops.hooks.exports import ExportsHook
from aurora_ops.hooks.states import StatesHook
from aurora_ops.links.console import ExportLink
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.export_checks import LOOKS, ExportCheck

_EXPORTS: tuple[str, ...] = (
    "rds:StartExportTask",
    "rds:DescribeExportTasks",
    "rds:CancelExportTask",
    "iam:PassRole",
    "kms:CreateGrant",
    *LOOKS,
)
_EXISTS = "ExportTaskAlreadyExists"
_ENDED_EVERY_S = 30.0
_MOST_TOLD = 50


class ExportSnapshotOperator(RefreshOperator[ExportTasksHook]):
    """Export a snapshot to S3: adopt its task, or wait for the turn and start one; wait until it has ended.

    The AWS operations are ``StartExportTask``, ``DescribeExportTasks`` and ``CancelExportTask``. As many tasks run in an account
    and region as the settings allow, whoever started them; the line is in DynamoDB (``core.exports.queue``), and AWS's own limit
    is waited for, too. Whatever RDS would refuse, or would fail by after hours, is looked at before. Both waits are in the
    triggerer.

    The provider's ``RdsStartExportTaskOperator`` cannot be used: it waits 20 minutes in a worker's slot, does not see a task that
    failed, and on its second try meets ``ExportTaskAlreadyExists``; its sensor takes a cancelled task for a good one.

    :param account_id: account of the snapshot.
    :param database: name of the export.
    :param snapshot_arn: snapshot that the task is named after.
    :param source_arn: snapshot that is exported: the same one, or its copy.
    :param snapshot_time: moment of its data, ISO 8601.
    :param date: day that it stands for.
    :param bucket: where to.
    :param prefix: and where there, without a slash at the end.
    :param export_task: identifier of its task, as the plan has it; the next attempt has another one.
    :param settings: section ``exports`` of the settings, as JSON.
    :param home_conn_id: connection of the orchestrator's account, whose table has the line.
    :param home_region: its region.
    :param schema_secrets: name of an export to the secret of a user who sees its tables; others' are not looked for.
    :param tls_ca: certificate authorities for that login.
    :return: ``{"database", "snapshot_arn", "snapshot_time", "date", "task_id", "bucket", "prefix", "path", "gib", "skipped",
        "warnings", "started_at", "ended_at"}``; ``path`` is the beginning of the objects' keys.
    :raises ConfigError: bucket, role, key, snapshot or tables are not as RDS wants them; nothing was started.
    :raises PermanentError: the task failed, was cancelled, or ran longer than the settings allow.
    :raises WaitTimeoutError: its turn has not come in time.
    """

    hook_class = ExportTasksHook
    operator_extra_links: Collection[BaseOperatorLink] = (ExportLink(),)
    permissions: ClassVar[tuple[str, ...]] = _EXPORTS
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "orchestrator": ("dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"),
        "source": _EXPORTS,
        "target": _EXPORTS,
    }
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "account_id",
        "database",
        "snapshot_arn",
        "source_arn",
        "snapshot_time",
        "date",
        "bucket",
        "prefix",
        "export_task",
    )

    def __init__(
        self,
        *,
        account_id: str,
        database: str,
        snapshot_arn: str,
        source_arn: str,
        snapshot_time: str,
        date: str,
        bucket: str,
        prefix: str,
        export_task: str,
        settings: dict[str, Any],
        home_conn_id: str,
        home_region: str,
        schema_secrets: Mapping[str, str] | None = None,
        tls_ca: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.account_id = account_id
        self.database = database
        self.snapshot_arn = snapshot_arn
        self.source_arn = source_arn
        self.snapshot_time = snapshot_time
        self.date = date
        self.bucket = bucket
        self.prefix = prefix
        self.export_task = export_task
        self.settings = settings
        self.home_conn_id = home_conn_id
        self.home_region = home_region
        self.schema_secrets = dict(schema_secrets or {})
        self.tls_ca = tls_ca

    # A try that begins where the last task has failed is somebody's wish to try again; one that has waited for it is not.
    _waited = False
    _late = False

    def resume(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after a wait; one for the end of a task that took too long is decided by the pass."""
        self._waited = True
        if event["status"] == "timeout" and "export_ended" in event["message"]:
            event = {**event, "status": "success"}
            self._late = True
        return super().resume(context, event)

    def take_pass(self, context: Context) -> Result:
        """Look at the snapshot's tasks; adopt, wait, or start one."""
        about = Exports.model_validate(self.settings)
        attempt, task = self._last()
        if task is None:
            return self._start(context, about, attempt)
        if task.status == tasks.COMPLETE:
            self._line(about).leave(task.task_id)
            return self._done(task)
        if task.status in tasks.RUNNING:
            return self._await(context, about, task)
        told = f"{task.task_id} is {task.status}: {task.cause or 'it was cancelled'}"
        if not self._waited or (
            task.status == tasks.FAILED and tasks.may_pass(task.cause) and attempt < about.most_attempts
        ):
            self.log.warning("%s; attempt %d", told, attempt + 1)
            return self._start(context, about, attempt + 1)
        what = tasks.remedy(task.cause) if task.status == tasks.FAILED else "clear this task to export it again"
        raise PermanentError(f"{told} ({what}); what it has written is under s3://{task.bucket}/{task.path}")

    def _last(self) -> tuple[int, Task | None]:
        """Find the last task of the snapshot from the planned one on, and its number."""
        attempt = names.attempt_of(self.export_task, self.snapshot_arn)
        if attempt is None:
            raise PermanentError(f"{self.export_task} is not the name of a task of {self.snapshot_arn}")
        task = self.hook.find_task(self.export_task)
        while (
            task is not None and (later := self.hook.find_task(names.task(self.snapshot_arn, attempt + 1))) is not None
        ):
            attempt, task = attempt + 1, later
        return attempt, task

    def _await(self, context: Context, about: Exports, task: Task) -> Result:
        """Wait for the end of a task, at most as long as it may run."""
        most_s = about.deadline_h * 3600
        ran_s = (datetime.now(UTC) - task.started).total_seconds() if task.started else 0
        if self._late or ran_s >= most_s:
            return self._give_up(about, task)
        self.log.info("%s: %s %s", task.task_id, task.status, tasks.bar(task))
        self._push(context, "progress", f"{task.status} {tasks.bar(task)}")
        return self.wait_until(self._ended(task, most_s - ran_s), context)

    @staticmethod
    def _ended(task: Task, within_s: float) -> Wait:
        return Wait(
            waiter="export_ended",
            args={"ExportTaskIdentifier": task.task_id},
            within_s=max(1, int(within_s)),
            every_s=_ENDED_EVERY_S,
        )

    def _give_up(self, about: Exports, task: Task) -> Result:
        told = f"{task.task_id} is {task.status}, {tasks.bar(task)}, after more than exports.deadline_h ({about.deadline_h:g})"
        if about.on_deadline == "fail" or task.status == "CANCELING":
            raise PermanentError(f"{told}; it was left running, and the next run adopts it")
        self.hook.cancel(task.task_id)
        raise PermanentError(f"{told}; it was cancelled, as exports.on_deadline says")

    def _start(self, context: Context, about: Exports, attempt: int) -> Result:
        """Start a task, if nothing is in its way and it is its turn."""
        task_id = names.task(self.snapshot_arn, attempt)
        others = [
            task for task in self.hook.list_running() if task.source_arn == self.source_arn and task.task_id != task_id
        ]
        if others:
            self.log.info("%s exports the same snapshot; RDS has one task of it at a time", others[0].task_id)
            return self.wait_until(self._ended(others[0], about.deadline_h * 3600), context)
        line = self._line(about)
        try:
            if attempt == names.attempt_of(self.export_task, self.snapshot_arn):
                self._check(about)
            if not line.admits(task_id, self.database):
                return self._wait_for_turn(context, about, task_id)
            self._ask(about, task_id)
        except FullError as exc:
            self.log.info("%s", exc)
            return self._wait_for_turn(context, about, task_id, lags=True)
        except PermanentError:
            line.leave(task_id)
            raise
        line.leave(task_id)
        return self._await(context, about, self._found(task_id))

    def _found(self, task_id: str) -> Task:
        task = self.hook.find_task(task_id)
        if task is None:
            raise TransientError(f"{task_id} was started, and RDS does not show it yet")
        return task

    def _wait_for_turn(self, context: Context, about: Exports, task_id: str, *, lags: bool = False) -> Result:
        return self.wait_until(
            Wait(
                waiter=TURN,
                args={
                    "task_id": task_id,
                    "database": self.database,
                    "place": self._place,
                    "table": about.state_table,
                    "most_running": str(about.most_running),
                    "home_conn_id": self.home_conn_id,
                    "home_region": self.home_region,
                },
                within_s=int(about.wait_h * 3600),
                every_s=TURN_EVERY_S,
                lags=lags,
            ),
            context,
        )

    @property
    def _place(self) -> str:
        return f"{self.account_id}/{self.region_name}"

    def _line(self, about: Exports) -> ExportQueue:
        states = StatesHook(self.home_conn_id, self.home_region)
        return ExportQueue(self.hook, states, about.state_table, self._place, about.most_running)

    def _access(self, database: ExportedDatabase) -> tuple[str, str]:
        """Name role and key of the export: the settings', or those that the setup makes."""
        partition = self.snapshot_arn.split(":", 2)[1]
        role = database.role_arn or f"arn:{partition}:iam::{self.account_id}:role/{names.role(database.name)}"
        return role, database.kms_key_id or names.alias(database.name)

    def _check(self, about: Exports) -> None:
        database = about.database(self.database)
        role_arn, key_id = self._access(database)
        snapshot = ExportsHook(self.aws_conn_id, self.region_name).find_snapshot(self.source_arn)
        if snapshot is None:
            raise MissingError(f"snapshot {self.source_arn} is gone; what it held cannot be exported any more")
        if snapshot.status != "available":
            raise StateError(f"snapshot {self.source_arn} is {snapshot.status}; only one that is available is exported")
        check = ExportCheck(
            self.aws_conn_id,
            str(self.region_name),
            database,
            bucket=self.bucket,
            role_arn=role_arn,
            key_id=key_id,
            schema_secret=self.schema_secrets.get(database.name),
            tls_ca=self.tls_ca,
        )
        report(check.find(self.source_arn, snapshot.encrypted_by))

    def _ask(self, about: Exports, task_id: str) -> None:
        database = about.database(self.database)
        role_arn, key_id = self._access(database)
        try:
            self.hook.start(
                task_id,
                self.source_arn,
                S3BucketName=self.bucket,
                S3Prefix=self.prefix,
                IamRoleArn=role_arn,
                KmsKeyId=key_id,
                ExportOnly=database.export_only or None,
            )
        except AuroraOpsError as exc:
            if _EXISTS not in str(exc):
                raise
            self.log.info("%s was started meanwhile, and is adopted", task_id)

    def _done(self, task: Task) -> Result:
        skipped, warnings = tasks.warnings(task.warning)
        for told in [*(f"skipped: {name}" for name in skipped), *warnings]:
            self.log.warning("%s: %s", task.task_id, told)
        return {
            "database": self.database,
            "snapshot_arn": self.snapshot_arn,
            "snapshot_time": self.snapshot_time,
            "date": self.date,
            "task_id": task.task_id,
            "bucket": task.bucket,
            "prefix": task.prefix,
            "path": task.path,
            "gib": task.gib,
            "skipped": skipped[:_MOST_TOLD],
            "warnings": [text[:500] for text in warnings[:_MOST_TOLD]],
            "started_at": task.started.isoformat() if task.started else None,
            "ended_at": task.ended.isoformat() if task.ended else None,
        }
