"""Backing audit logs up: one batch of instances of one account and region."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.audit_logs import names, states
from aurora_ops.core.audit_logs.plan import ALARMING, Choice, Job, Rules, Saved, Status, judge
from aurora_ops.core.errors import AuroraOpsError, BusyError, MissingError, PermanentError, TransientError
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.hooks.log_objects import Keeping, LogObjectsHook
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.log_copying import Depot, FileCopy, MovedError, Whose, is_not_ready
from aurora_ops.operators.log_listing import list_files

REPORT_KEY = "report"
READS: tuple[str, ...] = (
    "rds:DescribeDBLogFiles",
    "rds:DownloadDBLogFilePortion",
    "rds:DownloadCompleteDBLogFile",
)
KEEPS: tuple[str, ...] = (
    "dynamodb:Query",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "s3:PutObject",
    "s3:GetObject",
    "s3:AbortMultipartUpload",
    "s3:PutObjectRetention",
    "kms:GenerateDataKey",
    "kms:Decrypt",
)
_ROUNDS = 3


@dataclass
class Tally:
    """What a batch has done; threads add to it."""

    files: int = 0
    objects: int = 0
    read_bytes: int = 0
    stored_bytes: int = 0
    deferred: int = 0
    failed: int = 0
    lag_s: float = 0.0
    alarms: list[dict[str, Any]] = field(default_factory=list)


class BackUpLogsOperator(RefreshOperator[LogFilesHook]):
    """Store what is new in the audit logs of a batch of instances, each byte once.

    Each instance is listed and compared with what is stored of it; files are read in threads. An object is put (``PutObject`` or
    a multipart upload, ``If-None-Match``) under a key made of the file and the range of bytes, and only then the position moves
    past it, together with the item of the object (``TransactWriteItems``). So a try that was killed leaves at most an object that
    the next one adopts. A file that fails keeps no other from being stored: what failed is raised at the end. An instance that is
    not ready is put off to the next run.

    :param account_id: account of the instances.
    :param instances: each with ``instance``, ``resource_id``, ``cluster`` and ``gone`` (it is not there any more).
    :param looked_at_ms: when the run before looked, in milliseconds since 1970: what is new was written since.
    :param share_percent: of the calls a second that are allowed, what this batch may make.
    :param settings: ``core.settings_audit_logs.AuditLogs`` as a dictionary.
    :param home_conn_id: connection of the account of bucket and table.
    :param home_region: their region.
    :return: ``{"files", "objects", "read_bytes", "stored_bytes", "deferred", "failed", "lag_s", "alarms"}``.
    :raises TransientError: some files could not be stored, and trying again may help; each is named.
    :raises PermanentError: some could not, and it cannot.
    """

    hook_class = LogFilesHook
    permissions: ClassVar[tuple[str, ...]] = READS
    # mapped: the plan says which account
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "orchestrator": KEEPS,
        "source": READS,
        "target": READS,
    }

    def __init__(
        self,
        *,
        account_id: str,
        instances: list[dict[str, Any]],
        looked_at_ms: int | None,
        share_percent: float,
        settings: dict[str, Any],
        home_conn_id: str,
        home_region: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.account_id = account_id
        self.instances = instances
        self.looked_at_ms = looked_at_ms
        self.share_percent = share_percent
        self.settings = settings
        self.home_conn_id = home_conn_id
        self.home_region = home_region

    def take_pass(self, context: Context) -> Result:
        """List, compare, read, store; again for what was rotated meanwhile."""
        self._now = datetime.now(UTC)
        self._tally, self._lock = Tally(), threading.Lock()
        self._failures: list[tuple[str, AuroraOpsError]] = []
        share = float(self.share_percent) / 100
        self._source = LogFilesHook(
            self.aws_conn_id,
            self.region_name,
            lists_per_s=self.settings["list_calls_per_s"] * share,
            downloads_per_s=self.settings["download_calls_per_s"] * share,
        )
        self._depot = self._make_depot()
        for hook in (self._source, self._depot.objects, self._depot.states):
            _ = hook.conn  # made before threads use it
        left = list(self.instances)
        for turn in range(1, _ROUNDS + 1):
            left = self._round(left, last=turn == _ROUNDS)
            if not left:
                break
        found = asdict(self._tally)
        self._push(context, REPORT_KEY, found)
        self._raise()
        return found

    @property
    def _choice(self) -> Choice:
        choice: Choice = self.settings["reader"]
        return choice

    def _make_depot(self) -> Depot:
        about, storage = self.settings, self.settings["storage"]
        days = storage["lock_days"]
        keeping = Keeping(
            kms_key_id=storage["kms_key_id"],
            storage_class=None if storage["storage_class"] == "STANDARD" else storage["storage_class"],
            locked_until=self._now + timedelta(days=days) if days else None,
            lock_mode=storage["lock_mode"],
        )
        return Depot(
            objects=LogObjectsHook(self.home_conn_id, self.home_region),
            states=LogStatesHook(self.home_conn_id, self.home_region),
            bucket=about["bucket"],
            prefix=about["prefix"],
            table=about["state_table"],
            compression=about["compression"],
            object_bytes=about["object_mib"] * 2**20,
            keeping=keeping,
            account_id=self.account_id,
            region=str(self.region_name),
        )

    def _round(self, instances: Sequence[dict[str, Any]], *, last: bool) -> list[dict[str, Any]]:
        """Take each instance once; gives those whose logs were rotated meanwhile."""
        again: dict[str, dict[str, Any]] = {}
        with ThreadPoolExecutor(int(self.settings["threads"]), thread_name_prefix="log") as pool:
            planned = list(pool.map(self._planned, instances))
            reads = {one["resource_id"]: threading.Semaphore(self.settings["reads_per_instance"]) for one in instances}
            # in turns, so that the files of one instance do not keep all threads waiting
            queue = sorted(
                ((number, instance, job) for instance, jobs in planned for number, job in enumerate(jobs)),
                key=lambda one: one[0],
            )
            taken = [
                (instance, pool.submit(self._copied, reads[instance["resource_id"]], instance, job, last=last))
                for _, instance, job in queue
            ]
            for instance, future in taken:
                if future.result():
                    again[instance["resource_id"]] = instance
        return list(again.values())

    def _planned(self, instance: dict[str, Any]) -> tuple[dict[str, Any], list[Job]]:
        """Look what there is to read of an instance, and write down what has gone, shrunk or ended."""
        what = str(instance["instance"])
        try:
            items = self._depot.states.list_items(
                self._depot.table, self._depot.partition(instance["resource_id"]), states.FILE
            )
            saved = {one.identity: one for one in map(states.saved_of, items)}
            try:
                gone = bool(instance["gone"])
                offered = {} if gone else list_files(self._source, what, saved.values(), self._choice)
            except MissingError:
                offered = {}  # deleted since it was listed
            rules = Rules(self._choice, int(self.settings["settled_min"] * 60_000), int(self._now.timestamp() * 1000))
            judged = judge(offered, saved, rules)
            for kept, status, why in judged.changes:
                self._changed(instance, kept, status, why)
            if instance["gone"]:
                self._deregistered(instance)
        except AuroraOpsError as exc:
            self._failed(what, exc)
            return instance, []
        return instance, judged.jobs

    def _changed(self, instance: dict[str, Any], kept: Saved, status: Status, why: str) -> None:
        if status == "lost" and kept.intent_end is not None:
            kept = self._adopted(instance, kept)
        key = (self._depot.partition(instance["resource_id"]), states.file_key(kept.identity))
        values = {"status": status, "error": why or None, "updated_at": datetime.now(UTC).isoformat()}
        self._depot.states.change(self._depot.table, key, values, kept.version)
        self._alarm(instance, kept.name, status, why)

    def _adopted(self, instance: dict[str, Any], kept: Saved) -> Saved:
        """Write down the object that a killed try has stored of a file that has gone since; nothing where it has not."""
        whose = Whose(instance["instance"], instance["resource_id"], instance["cluster"])
        depot = self._depot
        end = int(kept.intent_end or 0)
        key = depot.object_key(whose, kept, end)
        found = depot.objects.find_metadata(depot.bucket, key)
        if found is None:
            return kept
        about, stored = found
        partition = depot.partition(whose.resource_id)
        marks = json.loads(about["marks"]) if "marks" in about else None
        item = states.object_item(
            partition,
            kept.identity,
            (kept.position, end),
            key,
            about,
            stored_bytes=stored,
            marks=marks,
            now=datetime.now(UTC),
        )
        values = {"position": end, "chain": about["chain"], "intent_end": None, "marker": None}
        depot.states.commit(depot.table, item, (partition, states.file_key(kept.identity)), values, kept.version)
        return replace(kept, position=end, chain=about["chain"], intent_end=None, version=kept.version + 1)

    def _deregistered(self, instance: dict[str, Any]) -> None:
        key = (names.register(self.account_id, str(self.region_name)), f"{states.INSTANCE}{instance['resource_id']}")
        self._depot.states.put(
            self._depot.table,
            {
                "pk": key[0],
                "sk": key[1],
                "instance": instance["instance"],
                "cluster": instance["cluster"] or None,
                "gone_at": self._now.isoformat(),
            },
        )

    def _copied(self, reads: threading.Semaphore, instance: dict[str, Any], job: Job, *, last: bool) -> bool:
        """Copy what is new of a file; says whether its instance is to be looked at again."""
        whose = Whose(instance["instance"], instance["resource_id"], instance["cluster"])
        with reads:
            copy = FileCopy(self._source, self._depot, whose, job, self._choice, self._now)
            failure: AuroraOpsError | None = None
            try:
                copy.run()
            except AuroraOpsError as exc:
                failure = exc
        since = self._waiting_since(job)
        with self._lock:
            self._tally.files += 1
            self._tally.objects += copy.objects
            self._tally.read_bytes += copy.read_bytes
            self._tally.stored_bytes += copy.stored_bytes
            self._tally.lag_s = max(self._tally.lag_s, self._now.timestamp() - since / 1000)
        if isinstance(failure, MovedError | MissingError) and not last:
            return True
        if failure is not None:
            self._noted(copy, failure, since)
            self._failed(f"{whose.instance_id}/{job.offered.name}", failure)
        if copy.saved.status in ALARMING:
            why = (
                str(failure)
                if failure
                else f"chunks could not carry {copy.saved.holes} places, see marks of its objects"
            )
            self._alarm(instance, job.offered.name, copy.saved.status, why)
        return False

    def _waiting_since(self, job: Job) -> int:
        """Say since when, at most, bytes of a file have waited."""
        if job.saved and job.saved.behind_since_ms is not None:
            return job.saved.behind_since_ms
        return min(self.looked_at_ms or job.offered.last_written_ms, int(self._now.timestamp() * 1000))

    def _noted(self, copy: FileCopy, failure: AuroraOpsError, since: int) -> None:
        try:
            copy.note(failure, since)
        except AuroraOpsError as exc:
            self.log.warning("the failure was not written down: %s", exc)

    def _failed(self, what: str, failure: AuroraOpsError) -> None:
        with self._lock:
            if is_not_ready(failure):
                self._tally.deferred += 1
                self.log.warning("%s is put off: %s", what, failure)
            else:
                self._tally.failed += 1
                self._failures.append((what, failure))

    def _alarm(self, instance: dict[str, Any], name: str, status: Status, why: str) -> None:
        if status not in ALARMING:
            return
        self.log.warning("%s/%s is %s: %s", instance["instance"], name, status, why)
        with self._lock:
            self._tally.alarms.append({"instance": instance["instance"], "file": name, "status": status, "why": why})

    def _raise(self) -> None:
        if not self._failures:
            return
        lines = "\n".join(f"- {what}: {failure}" for what, failure in self._failures)
        passing = any(isinstance(failure, TransientError | BusyError) for _, failure in self._failures)
        kind = TransientError if passing else PermanentError
        raise kind(f"{len(self._failures)} were not stored to their end, the next try goes on where they are:\n{lines}")
