"""Which instances have audit logs to be backed up, and how that is shared out over tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import environments
from aurora_ops.core.audit_logs import names, plan, states
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.audit_logs.plan import Rules
from aurora_ops.core.errors import AuroraOpsError, ConfigError, MissingError, report
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_audit_logs import AuditLogs, LogPlace
from aurora_ops.hooks.log_files import LogFilesHook, LogInstance
from aurora_ops.hooks.log_states import LogStatesHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.log_copying import is_not_ready
from aurora_ops.operators.runs import run_conf, wrong_parameters

_PARAMS: dict[str, tuple[type, ...]] = {"dry_run": (bool,), "instance": (str,)}
_LOOKS: tuple[str, ...] = ("rds:DescribeDBInstances", "rds:DescribeDBLogFiles")
_THREADS = 8


class PlanLogBackupOperator(RefreshOperator[LogStatesHook]):
    """Find the instances of an environment whose audit logs have changed, and share them out. Reads no log.

    Every instance of each account and region is listed, and its log files, as fast as the settings allow. One whose list is the
    same as when all of it was stored costs nothing more; of the others the saved positions are read (DynamoDB ``Query``). What has
    to be read goes into batches of about as many bytes each.

    :param path: environment file.
    :return: ``{"batches", "instances", "changed", "deferred", "bytes"}``: what the tasks that read are given; none in a dry run.
    :raises PermanentError: an unknown parameter, a wrong file, or a connection that leads elsewhere.
    :raises TransientError: a place could not be looked at; one instance that could not is left to the task that reads it.
    """

    hook_class = LogStatesHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:Query", "dynamodb:PutItem")
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _LOOKS, "target": _LOOKS}

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, look at every place, share out."""
        conf = run_conf(context["dag_run"])
        about = self._settings(conf)
        dry_run, only = bool(conf.get("dry_run", False)), conf.get("instance")
        wanted: list[dict[str, Any]] = []
        counts = {"instances": 0, "deferred": 0}
        looked: dict[int, int | None] = {}
        for number, place in enumerate(about.places):
            LogFilesHook(place.aws_conn_id, place.region).require_account(place.account_id)
            survey = _Survey(self, about, place, only=only, dry_run=dry_run)
            wanted += [{"place": number, **one} for one in survey.look()]
            looked[number] = survey.looked_before_ms
            counts["instances"] += survey.instances
            counts["deferred"] += survey.deferred
        for one in wanted:
            self.log.info("%(instance)s: %(bytes)d bytes to read, gone: %(gone)s", one)
        shared = plan.batches(wanted, about.most_batches)
        of_place = [sum(1 for batch in shared if batch[0]["place"] == number) for number in range(len(about.places))]
        return {
            "batches": []
            if dry_run
            else [
                self._batch(about.places[batch[0]["place"]], looked[batch[0]["place"]], batch, of_place)
                for batch in shared
            ],
            **counts,
            "changed": len(wanted),
            "bytes": sum(one["bytes"] for one in wanted),
        }

    def _settings(self, conf: Mapping[str, Any]) -> AuditLogs:
        """Read the file, and check the parameters of the run."""
        problems = wrong_parameters(conf, _PARAMS)
        settings: Environment = environments.resolve(environments.read(Path(self.path))).settings
        if settings.audit_logs is None:
            problems.append(
                ConfigError("audit_logs", None, "the file has no such section any more; switch the DAG off")
            )
        report(problems)
        return settings.audit_logs  # type: ignore[return-value]

    @staticmethod
    def _batch(
        place: LogPlace, looked_at_ms: int | None, batch: Sequence[Mapping[str, Any]], of_place: Sequence[int]
    ) -> dict[str, Any]:
        """Make what a task that reads is given."""
        kept = ("instance", "resource_id", "cluster", "gone")
        return {
            "aws_conn_id": place.aws_conn_id,
            "region_name": place.region,
            "account_id": place.account_id,
            "looked_at_ms": looked_at_ms,
            "share_percent": 100 / of_place[batch[0]["place"]],
            "instances": [{key: one[key] for key in kept} for one in batch],
        }


class _Survey:
    """A look at one account and region."""

    def __init__(
        self, operator: PlanLogBackupOperator, about: AuditLogs, place: LogPlace, *, only: str | None, dry_run: bool
    ) -> None:
        self._log = operator.log
        self._states = operator.hook
        self._about = about
        self._place = place
        self._only = only
        self._dry_run = dry_run
        self._source = LogFilesHook(place.aws_conn_id, place.region, lists_per_s=about.list_calls_per_s)
        self._register = names.register(place.account_id, place.region)
        self._now_ms = int(datetime.now(UTC).timestamp() * 1000)
        self.looked_before_ms: int | None = None
        self.instances = self.deferred = 0
        self._failed = False

    def look(self) -> list[dict[str, Any]]:
        """List what has changed."""
        known = {item["sk"]: item for item in self._states.list_items(self._about.state_table, self._register)}
        before = known.get(states.LOOK)
        self.looked_before_ms = int(before["looked_at"]) if before else None
        every = self._source.list_instances()
        there = [one for one in every if self._is_wanted(one)]
        self.instances = len(there)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="list") as pool:
            found = [
                one
                for one in pool.map(lambda one: self._changed(one, known.get(_register_key(one.resource_id))), there)
                if one
            ]
        found += self._gone(known, {one.resource_id for one in every})
        if not self._dry_run and self._only is None and not self._failed:
            self._put({"sk": states.LOOK, "looked_at": self._now_ms})
        return found

    def _is_wanted(self, one: LogInstance) -> bool:
        place = self._place
        return (
            one.engine in place.engines
            and (not place.clusters or one.cluster_id in place.clusters)
            and all(one.tags.get(key) == value for key, value in place.tags.items())
            and (self._only is None or one.instance_id == self._only)
        )

    def _changed(self, one: LogInstance, item: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Say what there is to read of an instance; ``None``: nothing."""
        try:
            offered = self._source.list_audit_logs(one.instance_id)
        except MissingError:
            return None  # deleted since it was listed; the next run sees that it has gone
        except AuroraOpsError as exc:
            self._log.warning("%s could not be looked at: %s", one.instance_id, exc)
            if is_not_ready(exc):
                self.deferred += 1
                return None
            self._failed = True
            return _wanted(one.instance_id, one.resource_id, one.cluster_id, 0, gone=False)  # its task says why
        digest = digest_of(offered)
        if item and item.get("listing") == digest:
            return None
        partition = names.partition(self._place.account_id, self._place.region, one.resource_id)
        items = self._states.list_items(self._about.state_table, partition, states.FILE)
        saved = [states.saved_of(found) for found in items]
        rules = Rules(self._about.reader, int(self._about.settled_min * 60_000), self._now_ms)
        left = plan.unsaved_bytes(offered, saved, rules)
        ended = all(kept.status in plan.ENDED for kept in saved)
        if left is None and not self._dry_run and (ended or item is None):
            # what is still growing is looked at again although nothing has changed: it may count as settled by then
            about = {"instance": one.instance_id, "cluster": one.cluster_id or None}
            self._put({"sk": _register_key(one.resource_id), **about, "listing": digest if ended else None})
        if left is None:
            return None
        if item is None and not self._dry_run:
            about = {"instance": one.instance_id, "cluster": one.cluster_id or None}
            self._put({"sk": _register_key(one.resource_id), **about})
        return _wanted(one.instance_id, one.resource_id, one.cluster_id, left, gone=False)

    def _gone(self, known: Mapping[str, Mapping[str, Any]], there: set[str]) -> list[dict[str, Any]]:
        """Find instances that were backed up and are not there any more."""
        if self._only is not None:
            return []
        return [
            _wanted(item["instance"], resource_id, item.get("cluster") or "", 0, gone=True)
            for sk, item in known.items()
            if sk.startswith(states.INSTANCE)
            and (resource_id := sk.removeprefix(states.INSTANCE)) not in there
            and "gone_at" not in item
        ]

    def _put(self, item: Mapping[str, Any]) -> None:
        self._states.put(self._about.state_table, {"pk": self._register, **item})


def digest_of(offered: Sequence[Offered]) -> str:
    """Give the hash of a list of files."""
    lines = sorted(f"{file.name} {file.size} {file.last_written_ms}" for file in offered)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _register_key(resource_id: str) -> str:
    return f"{states.INSTANCE}{resource_id}"


def _wanted(instance: str, resource_id: str, cluster: str, left: int, *, gone: bool) -> dict[str, Any]:
    return {"instance": instance, "resource_id": resource_id, "cluster": cluster, "bytes": left, "gone": gone}
