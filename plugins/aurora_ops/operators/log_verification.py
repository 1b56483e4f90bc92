"""Proving that stored audit logs are as they were stored: planned, read again, reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.audit_logs import compacted, verification
from aurora_ops.core.audit_logs.parquet import Origin
from aurora_ops.core.audit_logs.stored import DAY, MANIFESTS, StoredFile, StoredObject, days
from aurora_ops.core.audit_logs.unpacking import unpacked
from aurora_ops.core.audit_logs.verification import MOST_FINDINGS, Finding, Seen
from aurora_ops.core.errors import ConfigError, MissingError, StateError, VerificationError, report
from aurora_ops.core.report import as_json
from aurora_ops.core.run_record import file_name
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.hooks.log_archive import LogArchiveHook
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.log_states import list_instances, origin_of, read_files, settings_of, shared_out, touched
from aurora_ops.operators.runs import run_conf, run_moment, run_name, told_by, wrong_parameters

_PARAMS: dict[str, tuple[type, ...]] = {"first_day": (str,), "instance": (str,), "last_day": (str,)}
_THREADS = 4
_MOST_BATCHES = 10
_MOST_NAMED = 20


class PlanLogVerificationOperator(RefreshOperator[LogStatesHook]):
    """Find what was stored in a span of days, and share it out. Reads states only.

    :param path: environment file.
    :return: ``{"first_day", "last_day", "batches", "instances", "objects", "bytes"}``: what the tasks that verify are given.
    :raises PermanentError: an unknown or wrong parameter, or nothing was ever stored of the instance that it names.
    """

    hook_class = LogStatesHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:Query",)

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, look, share out."""
        about = settings_of(self.path)
        conf = run_conf(context["dag_run"])
        first, last = _span(conf, context)
        places = [place.model_dump(mode="json") for place in about.places]
        origins = list_instances(self.hook, about.state_table, places)
        if "instance" in conf:
            known = sorted(one.instance for one in origins)
            origins = [one for one in origins if one.instance == conf["instance"]]
            if not origins:
                raise ConfigError("instance", conf["instance"], f"logs are stored of {known}")
        found = []
        for origin in origins:
            files = read_files(self.hook, about.state_table, origin, touched(first))
            found.append((origin, [one for file in files for one in _within(file, first, last)]))
        return shared_out(found, _MOST_BATCHES, {"first_day": first.isoformat(), "last_day": last.isoformat()})


class VerifyLogsOperator(RefreshOperator[LogArchiveHook]):
    """Read every object again that was stored of some instances in a span of days, and compare it with what the states say.

    Looked at are length and SHA-256 of each object (S3 ``GetObject``), the chain of hashes of each file, gaps and duplicates, every
    version of the days' manifests (``ListObjectVersions``), and whether the bucket has objects that no state knows
    (``ListObjectsV2``). Changes nothing.

    :param settings: ``core.settings_audit_logs.AuditLogs`` as a dictionary.
    :param first_day: first day on which the objects were stored.
    :param last_day: last one.
    :param instances: ``account_id``, ``region``, ``instance`` of each.
    :return: ``{"seen", "findings", "left_out"}``: what was looked at and what is wrong; the report fails for it. Of more than 500
        findings the rest is counted.
    """

    hook_class = LogArchiveHook
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:Query",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "kms:Decrypt",
    )

    def __init__(
        self, *, settings: dict[str, Any], first_day: str, last_day: str, instances: list[dict[str, Any]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.first_day = first_day
        self.last_day = last_day
        self.instances = instances

    def take_pass(self, context: Context) -> Result:
        """Look at one instance after the other."""
        about = AuditLogs.model_validate(self.settings)
        seen: list[Seen] = []
        findings: list[Finding] = []
        for one in self.instances:
            told, found = self._verified(about, origin_of(one))
            seen.append(told)
            findings += found
        for finding in findings:
            self.log.warning("%s: %s: %s: %s", *finding[:4])
        findings.sort(key=lambda finding: finding.verdict)
        return {
            "seen": [list(one) for one in seen],
            "findings": [list(finding) for finding in findings[:MOST_FINDINGS]],
            "left_out": max(len(findings) - MOST_FINDINGS, 0),
        }

    def _verified(self, about: AuditLogs, origin: Origin) -> tuple[Seen, list[Finding]]:
        first, last = date.fromisoformat(self.first_day), date.fromisoformat(self.last_day)
        states = LogStatesHook(self.aws_conn_id, self.region_name)
        files = read_files(states, about.state_table, origin, touched(first))
        objects = [one for file in files for one in _within(file, first, last)]
        findings = verification.of_files(origin.instance, files)
        with ThreadPoolExecutor(_THREADS) as pool:
            for found in pool.map(lambda one: self._compared(about.bucket, origin, one), objects):
                findings += found
        findings += verification.stray(origin.instance, self._stray(about.bucket, files, first, last))
        findings += self._manifests(states, about, origin, files, days(first, last))
        size = sum(one.end - one.begin for one in objects)
        return Seen(origin.instance, len(files), len(objects), size), findings

    def _compared(self, bucket: str, origin: Origin, one: StoredObject) -> list[Finding]:
        """Read an object again."""
        digest, size = hashlib.sha256(), 0
        found: tuple[int, str] | str | None
        try:
            for piece in unpacked(one.key, self.hook.pieces(bucket, one.key)):
                digest.update(piece)
                size += len(piece)
            found = (size, digest.hexdigest())
        except MissingError:
            found = None
        except VerificationError as exc:
            found = str(exc)
        return verification.of_object(origin.instance, one.key, (one.end - one.begin, one.sha256), found)

    def _stray(self, bucket: str, files: Sequence[StoredFile], first: date, last: date) -> list[str]:
        """List objects in the folders of the span's days that no state knows of."""
        known = {one.key for file in files for one in file.objects}
        folders = {key.split("/date=")[0] for key in known}
        return [
            key
            for folder in sorted(folders)
            for day in days(first, last)
            for key in self.hook.list_keys(bucket, f"{folder}/date={day}/")
            if key not in known
        ]

    def _manifests(
        self, states: LogStatesHook, about: AuditLogs, origin: Origin, files: Sequence[StoredFile], span: Sequence[date]
    ) -> list[Finding]:
        if about.compaction is None:
            return []
        partition = f"{MANIFESTS}{origin.account_id}#{origin.region}#{origin.instance}"
        items = {
            str(item["sk"]).removeprefix(DAY): item for item in states.list_items(about.state_table, partition, DAY)
        }
        found: list[Finding] = []
        for day in span:
            key = compacted.manifest_key(about.compaction.prefix, origin, day)
            item, versions = items.get(day.isoformat()), self.hook.versions(about.bucket, key)
            found += verification.of_manifest(origin.instance, day, item, versions, files)
        return found


class ReportLogVerificationOperator(RefreshOperator[LogArchiveHook]):
    """Write the report of a verification, as a page and as JSON, and fail where something is wrong.

    The AWS operation is S3 ``PutObject``.

    :param environment: environment of the run.
    :param bucket: bucket of the logs, which the report is written to.
    :param prefix: ``audit_logs.compaction.prefix``.
    :param plan_task: task that has planned.
    :param verify_task: mapped task that has verified.
    :return: ``{"counts", "page"}``; ``page`` is the S3 URL of the report.
    :raises VerificationError: something stored is not as it was stored; each thing is named.
    :raises StateError: something was not looked at, because a task has failed.
    """

    hook_class = LogArchiveHook
    permissions: ClassVar[tuple[str, ...]] = ("s3:PutObject",)

    def __init__(
        self, *, environment: str, bucket: str, prefix: str, plan_task: str, verify_task: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.bucket = bucket
        self.prefix = prefix
        self.plan_task = plan_task
        self.verify_task = verify_task

    def take_pass(self, context: Context) -> Result:
        """Put together, write, judge."""
        planned = context["ti"].xcom_pull(task_ids=self.plan_task)
        if not planned:
            raise StateError(f"{self.plan_task} has not ended well, so nothing was looked at; mend that, and clear it")
        results = told_by(context, self.verify_task)
        seen = [Seen(*one) for told in results for one in told["seen"]]
        findings = [Finding(*one) for told in results for one in told["findings"]]
        first, last = (date.fromisoformat(planned[name]) for name in ("first_day", "last_day"))
        run = run_name(context["dag_run"])
        told = verification.data(self.environment, first, last, seen, findings, run=run, now=datetime.now(UTC))
        name = f"{self.environment}/{first}_{last}_{file_name(context['dag_run'].run_id)}"
        key = compacted.report_key(self.prefix, name, "html")
        self.hook.put(self.bucket, compacted.report_key(self.prefix, name, "json"), as_json(told), "application/json")
        self.hook.put(self.bucket, key, verification.page(told), "text/html; charset=utf-8")
        page = f"s3://{self.bucket}/{key}"
        self._judge(told, page, planned["instances"], sum(one["left_out"] for one in results))
        return {"counts": told["counts"], "page": page}

    def _judge(self, told: Mapping[str, Any], page: str, instances: int, left_out: int) -> None:
        wrong = [one for one in told["findings"] if one["verdict"] == "fail"]
        if wrong:
            lines = [f"- {one['subject']}: {one['found']}; {one['remedy']}" for one in wrong[:_MOST_NAMED]]
            more = len(wrong) - len(lines) + left_out
            raise VerificationError(
                f"{len(wrong) + left_out} things of the audit logs of {self.environment} are not as they were stored; "
                f"the report is {page}\n" + "\n".join([*lines, *([f"- and {more} more"] if more else [])])
            )
        if len(told["instances"]) < instances:
            raise StateError(
                f"only {len(told['instances'])} of {instances} instances were looked at; clear the tasks of {self.verify_task} "
                f"that have failed; the report is {page}"
            )


def _span(conf: Mapping[str, Any], context: Context) -> tuple[date, date]:
    """Read the days of a run: those that it names, or yesterday."""
    problems = wrong_parameters(conf, _PARAMS)
    yesterday = (run_moment(context["dag_run"]).astimezone(UTC) - timedelta(days=1)).date()
    read: dict[str, date] = {}
    for name in ("first_day", "last_day"):
        try:
            read[name] = date.fromisoformat(str(conf[name])) if name in conf else read.get("first_day", yesterday)
        except ValueError:
            problems.append(ConfigError(name, conf[name], "write a day, such as 2026-11-21"))
    if not problems and read["last_day"] < read["first_day"]:
        problems.append(
            ConfigError("last_day", str(read["last_day"]), f"it must be {read['first_day']}, first_day, or later")
        )
    report(problems)
    return read["first_day"], read["last_day"]


def _within(file: StoredFile, first: date, last: date) -> list[StoredObject]:
    return [one for one in file.objects if first <= one.day <= last]
