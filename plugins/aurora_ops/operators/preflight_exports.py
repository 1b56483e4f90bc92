"""What the preflight looks at of snapshot exports; see ``preflight_rows``."""

from __future__ import annotations

from collections.abc import Callable

from aurora_ops.core import preflight, preflight_exports
from aurora_ops.core.errors import ConfigError, MissingError
from aurora_ops.core.exports import names
from aurora_ops.core.partitions import of_region
from aurora_ops.core.preflight import Finding
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.hooks.queries import QueriesHook
from aurora_ops.hooks.queues import QueuesHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators.export_checks import ExportCheck
from aurora_ops.operators.export_plan import export_region, place_of

Look = Callable[[], Finding]
LOOKS: tuple[str, ...] = (
    "s3:ListBucket",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "iam:GetRole",
    "kms:DescribeKey",
    "sqs:GetQueueUrl",
    "sqs:GetQueueAttributes",
    "glue:GetDatabase",
    "athena:GetWorkGroup",
    "rds:DescribeExportTasks",
)


class ExportRows:
    """Look at all that exports need. Changes nothing.

    :param settings: settings of the environment.
    :param about: their section of exports.
    :param row: makes a row: place, check, subject, look.
    """

    def __init__(self, settings: Environment, about: Exports, row: Callable[[str, str, str, Look], None]) -> None:
        self.settings = settings
        self.about = about
        self.row = row
        self.remedy = f"trigger snapshot_export_setup_{settings.environment}"
        self._begun: set[str] = set()

    def all(self) -> None:
        """Look at the table of states, at each database's part, at queues and running tasks."""
        self._table()
        for database in self.about.databases:
            self._database(database)
        for where in dict.fromkeys(one.account for one in self.about.databases):
            self._queue(where)
        for where, region in dict.fromkeys(
            (one.account, export_region(one, place_of(self.settings, one))) for one in self.about.databases
        ):
            self.row(where, "export tasks", region, self._tasks(where, region))

    def _table(self) -> None:
        here, name = self.settings.orchestrator, self.about.state_table
        runs = RunsHook(here.aws_conn_id, here.region)
        self.row("orchestrator", "table", name, lambda: preflight.table_keys(runs.describe(name)))
        self.row("orchestrator", "time to live", name, lambda: preflight.table_lifetime(runs.lifetime(name)))
        self.row("orchestrator", "point-in-time recovery", name, lambda: preflight.table_recovery(runs.recovery(name)))

    def _database(self, database: ExportedDatabase) -> None:
        place, where, name = place_of(self.settings, database), database.account, database.name
        region = export_region(database, place)
        bucket = database.bucket or names.setup(name, place.account_id)
        check = ExportCheck(
            place.aws_conn_id,
            region,
            database,
            bucket=bucket,
            role_arn=database.role_arn or f"arn:{of_region(region)}:iam::{place.account_id}:role/{names.role(name)}",
            key_id=database.kms_key_id or names.alias(name),
            schema_secret=None,
            tls_ca=None,
        )
        s3 = BucketsHook(place.aws_conn_id, region)

        def its_bucket() -> Finding:
            try:
                s3.require_bucket(bucket)
            except MissingError:
                check.require_bucket()  # says what to do
            self._begun.add(name)
            check.require_bucket()
            return Finding("pass", f"in {region}")

        looks: list[tuple[str, str, Look]] = [
            ("bucket", bucket, its_bucket),
            ("encryption", bucket, lambda: preflight.bucket_encryption(s3.encryption(bucket))),
            ("public access", bucket, lambda: preflight.public_access(s3.public_access_block(bucket))),
            ("role", check.role_arn, lambda: self._without_problem(check.require_role, "RDS may assume it")),
            ("key", check.key_id, lambda: self._without_problem(check.require_key, "enabled")),
            (
                "Glue database",
                database.glue_database,
                lambda: self._glue(CatalogueHook(place.aws_conn_id, region), database.glue_database),
            ),
        ]
        if database.catalogue.proof or database.catalogue.workgroup:
            group = database.catalogue.workgroup or names.workgroup(name)
            athena = QueriesHook(place.aws_conn_id, region)
            looks.append(
                ("work group", group, lambda: preflight_exports.workgroup(athena.find_workgroup(group), self.remedy))
            )
        for what, subject, look in looks:
            if what in ("encryption", "public access") and name not in self._begun:
                continue  # said by the bucket's own row
            self.row(where, f"{what} (export {name})", subject, self._as_far_as_set_up(database, look))

    def _as_far_as_set_up(self, database: ExportedDatabase, look: Look) -> Look:
        """Have nothing fail of a database that has not been set up yet: a refresh does not need it."""

        def looked() -> Finding:
            try:
                found = look()
            except (ConfigError, MissingError):
                if self._is_begun(database):
                    raise
                found = None
            if found is None or (found.status == "fail" and not self._is_begun(database)):
                return Finding("warn", "not set up yet", self.remedy)
            return found

        return looked

    def _is_begun(self, database: ExportedDatabase) -> bool:
        """Tell whether a database has been set up, were it only in part: the setup's bucket is there, or another one is named."""
        return database.name in self._begun or database.bucket is not None

    def _queue(self, where: str) -> None:
        heard = self.about.events
        if heard is None:
            return
        place = getattr(self.settings, where)
        name = heard.queue or names.queue(self.settings.environment)
        hook = QueuesHook(place.aws_conn_id, place.region)

        def its_queue() -> Finding:
            attributes = hook.find_attributes(name)
            begun = any(one.account == where and self._is_begun(one) for one in self.about.databases)
            if attributes is None and not begun and heard.queue is None:
                return Finding("warn", "not set up yet", self.remedy)
            return preflight_exports.queue(attributes, self.remedy)

        self.row(where, "queue of snapshots' events", name, its_queue)

    def _tasks(self, where: str, region: str) -> Look:
        tasks = ExportTasksHook(getattr(self.settings, where).aws_conn_id, region)
        return lambda: preflight_exports.tasks(len(tasks.list_running()), self.about.most_running, region)

    def _glue(self, hook: CatalogueHook, database: str) -> Finding:
        if not hook.has_database(database):
            return Finding("fail", "there is none", self.remedy)
        return Finding("pass", "it is there")

    @staticmethod
    def _without_problem(check: Callable[[], None], found: str) -> Finding:
        check()
        return Finding("pass", found)
