"""Making audit logs useful: the day's objects read, sorted, written as Parquet, told in a manifest, found by Athena."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.audit_logs import compacted, manifest
from aurora_ops.core.audit_logs.parquet import Origin
from aurora_ops.core.audit_logs.stored import begins
from aurora_ops.core.errors import AuroraOpsError, ConfigError, PermanentError, TransientError, report
from aurora_ops.core.report import as_json
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.hooks.log_archive import LogArchiveHook
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.log_records import Compactor
from aurora_ops.operators.log_states import list_instances, origin_of, read_files, settings_of, shared_out, touched
from aurora_ops.operators.runs import run_conf, run_name, run_type, told_by, wrong_parameters

_MOST_TOLD = 50


class PlanLogCompactionOperator(RefreshOperator[LogStatesHook]):
    """Find the instances that have objects of a day, and share them out. Reads states only.

    The day is that of the run's data interval; of a run by hand the parameter ``day``, or yesterday.

    :param path: environment file.
    :return: ``{"day", "batches", "instances", "objects", "bytes"}``: what the tasks that compact are given.
    :raises ConfigError: an unknown or wrong parameter, or the day has not ended.
    """

    hook_class = LogStatesHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:Query",)

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, look, share out."""
        about = settings_of(self.path)
        day = self._day(context)
        places = [place.model_dump(mode="json") for place in about.places]
        found = []
        for origin in list_instances(self.hook, about.state_table, places):
            files = read_files(self.hook, about.state_table, origin, touched(day))
            of_day = [one for file in files for one in file.on(day)]
            if not files:
                continue
            size = sum(one.end - one.begin for one in of_day)
            self.log.info("%s: %d objects, %d bytes", origin.instance, len(of_day), size)
            found.append((origin, of_day))
        return shared_out(found, about.compacting.most_batches, {"day": day.isoformat()})

    @staticmethod
    def _day(context: Context) -> date:
        dag_run: Any = context["dag_run"]
        conf = run_conf(dag_run)
        problems = wrong_parameters(conf, {"day": (str,)})
        interval = getattr(dag_run, "data_interval_start", None)
        day: date
        if "day" not in conf and interval is not None and run_type(dag_run) != "manual":
            day = interval.astimezone(UTC).date()
        else:
            day = (dag_run.run_after.astimezone(UTC) - timedelta(days=1)).date()
        if "day" in conf:
            try:
                day = date.fromisoformat(str(conf["day"]))
            except ValueError:
                problems.append(ConfigError("day", conf["day"], "write a day, such as 2026-11-21"))
        if not problems and begins(day) + timedelta(days=1) > datetime.now(UTC):
            problems.append(ConfigError("day", day.isoformat(), "it must have ended, in UTC"))
        report(problems)
        return day


class CompactLogsOperator(RefreshOperator[LogArchiveHook]):
    """Write the records of some instances' day as Parquet, and its manifest.

    The objects that were stored that day are read (S3 ``GetObject``) and checked against their hashes; records are sorted over all
    files of an instance and written by the day on which they happened; what is no record goes into a file beside, with the reason.
    What is written must be as many records as were read, and those and the rejected lines as many bytes as the objects have. Keys
    follow from instance and day, so a further run writes the same, and takes away what an earlier one has written beyond it. Last
    comes the manifest (S3 ``PutObject``, DynamoDB ``PutItem``).

    :param settings: ``core.settings_audit_logs.AuditLogs`` as a dictionary.
    :param day: day on which the objects were stored.
    :param instances: ``account_id``, ``region``, ``instance`` of each.
    :return: ``{"instances", "objects", "records", "rejected", "days", "worries"}``: ``days`` of which there are records now.
    :raises PermanentError: of some instance something could not be read or written, or does not agree; each is named, the others
        were compacted.
    :raises TransientError: the same, where trying again may help.
    """

    hook_class = LogArchiveHook
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:Query",
        "dynamodb:PutItem",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucket",  # whoever lacks it is not told that an object is not there yet
        "kms:Decrypt",
    )

    def __init__(self, *, settings: dict[str, Any], day: str, instances: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.day = day
        self.instances = instances

    def take_pass(self, context: Context) -> Result:
        """Compact one instance after the other."""
        about = AuditLogs.model_validate(self.settings)
        day = date.fromisoformat(self.day)
        found: dict[str, Any] = {"instances": 0, "objects": 0, "records": 0, "rejected": 0, "days": [], "worries": []}
        failed: list[AuroraOpsError] = []
        for one in self.instances:
            origin = origin_of(one)
            try:
                told = self._compacted(about, origin, day)
            except AuroraOpsError as exc:
                self.log.error("%s of %s: %s", origin.instance, day, exc)  # noqa: TRY400 - what failed is raised below
                failed.append(exc)
                continue
            found["instances"] += 1
            found["objects"] += told["objects"]
            found["records"] += sum(told["records"].values())
            found["rejected"] += sum(told["rejected"].values())
            found["days"] += [file["day"] for file in told["parquet"]]
            found["worries"] += [f"{origin.instance}: {worry}" for worry in manifest.worries(told)]
        found["days"] = sorted(set(found["days"]))
        for worry in found["worries"]:
            self.log.warning("%s: %s", day, worry)
        if failed:
            kind = TransientError if any(isinstance(exc, TransientError) for exc in failed) else PermanentError
            raise kind("\n".join(f"- {exc}" for exc in failed))
        return {**found, "worries": found["worries"][:_MOST_TOLD]}

    def _compacted(self, about: AuditLogs, origin: Origin, day: date) -> dict[str, Any]:
        """Compact an instance's day; its manifest."""
        states = LogStatesHook(self.aws_conn_id, self.region_name)
        files = read_files(states, about.state_table, origin, touched(day))
        options = about.compacting
        key = compacted.manifest_key(options.prefix, origin, day)
        earlier = self.hook.find(about.bucket, key)
        with tempfile.TemporaryDirectory(prefix="aurora-ops-compact-") as folder:
            compactor = Compactor(self.hook, about.bucket, options, origin, day, Path(folder))
            counts, written, rejects = compactor.run(files)
        told = manifest.build(day, origin, files, counts, written=written, rejects_key=rejects, now=datetime.now(UTC))
        self.hook.delete_keys(about.bucket, manifest.superseded(earlier.content if earlier else None, told))
        content = as_json(told)
        self.hook.put(about.bucket, key, content, "application/json")
        states.put(about.state_table, manifest.item(told, content, key))
        self.log.info("%s of %s: %d records, %d files", origin.instance, day, counts.total, len(written))
        return told


class PublishLogTableOperator(RefreshOperator[CatalogueHook]):
    """Make sure that Athena finds the records: database, table, and the partitions of the days that a run has written.

    The AWS operations are ``CreateDatabase``, ``CreateTable``, ``UpdateTable``, ``BatchCreatePartition`` and ``UpdatePartition`` of
    AWS Glue. A table whose columns are not those of this version is changed; its partitions are as they were made.

    :param database: database of AWS Glue.
    :param table: table in it.
    :param bucket: bucket of the records.
    :param prefix: ``audit_logs.compaction.prefix``.
    :param compact_task: mapped task that has written them.
    :return: ``{"table", "partitions"}``: ``table`` was ``kept``, ``made`` or ``changed``; how many partitions were made.
    """

    hook_class = CatalogueHook
    permissions: ClassVar[tuple[str, ...]] = (
        "glue:GetDatabase",
        "glue:CreateDatabase",
        "glue:GetTable",
        "glue:CreateTable",
        "glue:UpdateTable",
        "glue:BatchCreatePartition",
        "glue:UpdatePartition",
    )

    def __init__(
        self, *, database: str, table: str, bucket: str, prefix: str, compact_task: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.table = table
        self.bucket = bucket
        self.prefix = prefix
        self.compact_task = compact_task

    def take_pass(self, context: Context) -> Result:
        """Look, make what is missing."""
        days = [day for told in told_by(context, self.compact_task) for day in told["days"]]
        self.hook.require_database(self.database)
        table = self.hook.require_table(self.database, compacted.table_input(self.table, self.bucket, self.prefix))
        partitions = compacted.partition_inputs(self.bucket, self.prefix, days)
        return {"table": table, "partitions": self.hook.put_partitions(self.database, self.table, partitions)}


class AnnounceLogCompactionOperator(RefreshOperator[TopicsHook]):
    """Announce what a person should know of a day's logs: gaps, duplicates, broken chains, lost files, rejected lines.

    The AWS operation is SNS ``Publish``; nothing is published where all is well.

    :param environment: environment of the run.
    :param topic_arn: topic; ``None`` announces nothing.
    :param compact_task: mapped task that has compacted.
    :return: ``{"worries", "announced"}``.
    """

    hook_class = TopicsHook
    permissions: ClassVar[tuple[str, ...]] = ("sns:Publish",)

    def __init__(self, *, environment: str, topic_arn: str | None, compact_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.topic_arn = topic_arn
        self.compact_task = compact_task

    def take_pass(self, context: Context) -> Result:
        """Collect, announce."""
        worries = [worry for told in told_by(context, self.compact_task) for worry in told["worries"]]
        announced = bool(worries and self.topic_arn)
        if announced:
            text = "\n".join([*worries[:_MOST_TOLD], "", f"Run: {run_name(context['dag_run'])}"]) + "\n"
            self.hook.publish(
                str(self.topic_arn),
                f"Audit logs of {self.environment}: {len(worries)} things to look at",
                text,
                {"environment": self.environment, "outcome": "warning"},
            )
        return {"worries": worries, "announced": announced}
