"""Keeping snapshots by policy: the plan, the copies, the deletions, the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk import Context

from aurora_ops.core import environments, ownership, refresh_plan, report, retention_plan, run_record
from aurora_ops.core.errors import AuroraOpsError, ConfigError, PermanentError
from aurora_ops.core.errors import report as raise_all
from aurora_ops.core.reaping import Leftover, Verdict
from aurora_ops.core.retention import Copy, judge, missing_copies
from aurora_ops.core.retention_plan import Holding, Where
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_retention import Keep
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.hooks.rds import RdsHook, Snapshot
from aurora_ops.operators import snapshots
from aurora_ops.operators.base import ERROR_KEY, RefreshOperator, Result
from aurora_ops.operators.reaping import REPORT_KEY, ReapOperator, RecordReapOperator
from aurora_ops.operators.runs import run_conf, run_moment, run_name, run_type, wrong_parameters

_IN_THE_MAKING = ("copying", "creating", "pending")
_LOOKS: tuple[str, ...] = (
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBClusterSnapshotAttributes",
    "rds:DescribeExportTasks",
)


def why_busy(hook: RdsHook, snapshot: Snapshot, exporting: set[str]) -> str:
    """Say why a snapshot must stay for now; empty where nothing uses it.

    :param hook: account and region of the snapshot.
    :param snapshot: the snapshot.
    :param exporting: ARNs of what is being exported.
    """
    if snapshot.arn in exporting:
        return "it is being exported"
    shared = sorted(hook.list_shared_with(snapshot.snapshot_id))
    return f"it is shared with {', '.join(shared)}" if shared else ""


def _exporting(hook: RdsHook) -> set[str]:
    """Name what is being exported in the account and region of a hook, by ARN."""
    return {task.source_arn for task in ExportTasksHook(str(hook.aws_conn_id), hook.region_name).list_running()}


class PlanRetentionOperator(RefreshOperator[BucketsHook]):
    """Decide which snapshots of an environment's clusters are kept, which go, and which copies are missing. Changes nothing.

    Read are all snapshots of each cluster in its own region and in those of its copies; ``core.retention`` decides. What would be
    deleted is looked at once more: what is shared, copied or exported stays. The plan is logged as a table. Unless a person asked
    for a dry run it is also written to the report bucket, as a page and as JSON (S3 ``PutObject``); that is best effort.

    :param path: environment file.
    :return: ``{"dry_run", "silent", "run_key", "counts", "copies", "deletions", "page"}``: what the tasks that copy and delete
        are given, nothing in a dry run; ``silent`` where nothing is to be recorded; ``page`` is its S3 URL or ``None``.
    :raises PermanentError: an unknown parameter, a wrong file, or a cluster that two environments have a policy for.
    """

    hook_class = BucketsHook
    permissions: ClassVar[tuple[str, ...]] = ("s3:PutObject",)
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _LOOKS, "target": _LOOKS}

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, look, decide, tell."""
        dag_run = context["dag_run"]
        conf = run_conf(dag_run)
        settings = self._settings(conf)
        by_hand = run_type(dag_run) == "manual"
        scheduled = settings.retention.dry_run if settings.retention else True
        dry_run = bool(conf.get("dry_run", True if by_hand else scheduled))
        spared = retention_plan.spared(settings)
        holdings = self._survey(settings, spared)
        self._choose(settings, holdings, spared)
        self.log.info("the plan:\n%s", retention_plan.text(holdings, settings.timezone, dry_run=dry_run))
        self._push(context, REPORT_KEY, retention_plan.summary(holdings))
        return {
            "dry_run": dry_run,
            "silent": dry_run and by_hand,
            "run_key": refresh_plan.run_key(dag_run.dag_id, dag_run.run_id),
            "counts": retention_plan.totals(holdings),
            "copies": [] if dry_run else [self._copy(one.where, copy) for one in holdings for copy in one.copies],
            "deletions": []
            if dry_run
            else [batch for one in holdings for batch in retention_plan.batches(one, spared)],
            "page": None if dry_run and by_hand else self._written(settings, holdings, dag_run),
        }

    def _settings(self, conf: Mapping[str, Any]) -> Environment:
        """Read the file and those beside it, which must not rule over the same snapshots."""
        problems = wrong_parameters(conf, {"dry_run": (bool,)})
        path = Path(self.path)
        settings = environments.resolve(environments.read(path)).settings
        mine = retention_plan.claims(settings)
        for name in environments.names(path.parent):
            if name == path.stem:
                continue
            try:
                other = environments.resolve(environments.read(path.parent / f"{name}.yaml")).settings
            except PermanentError as exc:
                problems.append(
                    ConfigError(f"{name}.yaml", str(exc), "mend the file: it may have a policy for the same snapshots")
                )
                continue
            problems += [
                ConfigError(
                    "retention.clusters", " ".join(claim), f"{name}.yaml has a policy for it too; leave it out of one"
                )
                for claim in sorted(mine & retention_plan.claims(other))
            ]
        raise_all(problems)
        return settings

    def _survey(self, settings: Environment, spared: Mapping[str, str]) -> list[Holding]:
        """Look at every place, and decide."""
        zone, room = ZoneInfo(settings.timezone), dict[tuple[str, str], int]()
        holdings: list[Holding] = []
        for of_cluster in retention_plan.places(settings):
            for where in of_cluster:
                RdsHook(where.aws_conn_id, where.region).require_account(where.account_id)
            there = {
                where.region: RdsHook(where.aws_conn_id, where.region).list_all_snapshots(where.cluster)
                for where in of_cluster
            }
            for where in of_cluster:
                found = there[where.region]
                rules: dict[str, Any] = {"zone": zone, "prefixes": where.prefixes}
                verdicts = judge(found, where.keep, **rules, in_use=spared)
                missing: list[Copy[Snapshot]] = []
                if where.copies:
                    name = lambda moment, where=where: retention_plan.copy_name(settings, where, moment)  # noqa: E731
                    missing = missing_copies(
                        there[where.home], found, where.keep, **rules, source_prefixes=of_cluster[0].prefixes, name=name
                    )
                    self._require_key(where, missing)
                    busy = sum(snapshot.status in _IN_THE_MAKING for snapshot in found)
                    left = room.get((where.account_id, where.region), retention_plan.AT_ONCE) - busy
                    missing = missing[: max(left, 0)]
                    room[where.account_id, where.region] = left - len(missing)
                holdings.append(Holding(where, found, verdicts, missing))
        return holdings

    @staticmethod
    def _require_key(where: Where, missing: Sequence[Copy[Snapshot]]) -> None:
        if where.kms_key_id is None and any(copy.source.encrypted for copy in missing):
            raise ConfigError(
                "retention.clusters.copy_to.kms_key_id",
                None,
                f"name a key of {where.region}: snapshots of {where.cluster} are encrypted",
            )

    def _choose(self, settings: Environment, holdings: Sequence[Holding], spared: Mapping[str, str]) -> None:
        """Choose what this run deletes, and spare what is in use."""
        most = settings.retention.most_deletions if settings.retention else 0
        copying = {
            snapshot.tags.get(ownership.COPY_OF_TAG, "")
            for holding in holdings
            for snapshot in holding.snapshots
            if snapshot.status in _IN_THE_MAKING
        }
        exporting: dict[tuple[str, str], set[str]] = {}
        in_use: dict[int, dict[str, str]] = {}
        chosen = 0
        for holding, name in retention_plan.oldest_first(holdings):
            if chosen == most:
                break
            where, hook = holding.where, RdsHook(holding.where.aws_conn_id, holding.where.region)
            snapshot = next(one for one in holding.snapshots if one.snapshot_id == name)
            key = (where.account_id, where.region)
            if key not in exporting:
                exporting[key] = _exporting(hook)
            copied = "it is being copied to another region" if snapshot.arn in copying else ""
            reason = copied or why_busy(hook, snapshot, exporting[key])  # type: ignore[arg-type]
            if reason:
                in_use.setdefault(id(holding), {})[name] = reason
            else:
                holding.doomed.append(name)
                chosen += 1
        for holding in holdings:
            holding.verdicts = judge(
                holding.snapshots,
                holding.where.keep,
                zone=ZoneInfo(settings.timezone),
                prefixes=holding.where.prefixes,
                in_use={**spared, **in_use.get(id(holding), {})},
            )

    @staticmethod
    def _copy(where: Where, copy: Copy[Snapshot]) -> dict[str, Any]:
        """Make what a task that copies is given."""
        return {
            "aws_conn_id": where.aws_conn_id,
            "region_name": where.region,
            "source": copy.source.arn if where.region != where.home else copy.source.snapshot_id,
            "source_region": where.home,
            "snapshot_id": copy.snapshot_id,
            "kms_key_id": where.kms_key_id if copy.source.encrypted else None,
            "tags": ownership.kept_copy(copy.taken, copy.source.arn),
        }

    def _written(self, settings: Environment, holdings: Sequence[Holding], dag_run: Any) -> str | None:
        """Write the plan to the report bucket; where that fails the log has it."""
        bucket = settings.orchestrator.report_bucket
        if not bucket:
            return None
        told: dict[str, Any] = {"zone": settings.timezone, "run": run_name(dag_run), "now": datetime.now(UTC)}
        folder = run_record.folder(settings.environment, run_moment(dag_run), run_name(dag_run))
        page = retention_plan.page(settings.environment, holdings, **told)
        content = report.as_json(retention_plan.data(settings.environment, holdings, **told))
        try:
            self.hook.put(bucket, f"{folder}/retention.json", content, "application/json")
            self.hook.put(bucket, f"{folder}/retention.html", page, "text/html; charset=utf-8")
        except AuroraOpsError as exc:
            self.log.warning("the plan was not written to %s: %s", bucket, exc)
            return None
        return f"s3://{bucket}/{folder}/retention.html"


class CopyRetainedOperator(snapshots.CopySnapshotOperator):
    """Make a copy that is kept by policy, in the region where it is kept, and wait for it.

    The AWS operation is ``CopyDBClusterSnapshot``, asked in the region of the copy. It carries this package's tags and no expiry.

    :return: ``{"snapshot_id", "snapshot_arn", "kms_key_arn", "created_at", "copied"}``.
    :raises MissingError: the snapshot to copy has gone meanwhile.
    """

    # mapped: the plan says which account
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": snapshots.CopySnapshotOperator.permissions,
        "target": snapshots.CopySnapshotOperator.permissions,
    }


class RetireSnapshotsOperator(ReapOperator[RdsHook]):
    """Delete snapshots that the policy does not keep, one batch of one cluster, account and region.

    All snapshots of the cluster there are read and decided on afresh, and each is looked up once more right before it goes: by
    then it must still be the same, complete, under the policy, not the newest good one, neither shared nor exported, and no run
    may hold the lock of a target that could be using it.

    :param cluster_id: cluster that the snapshots are of.
    :param snapshot_ids: what the plan would delete.
    :param keep: ``core.settings_retention.Keep`` as a dictionary.
    :param name_prefixes: names under the policy beside those of this package.
    :param spared: snapshot to the reason why the settings forbid it.
    :param timezone: whose days, weeks and months count.
    :param within_s: seconds that each deletion may take.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be deleted; each is named.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = (*_LOOKS, "rds:DeleteDBClusterSnapshot")
    # mapped: the plan says which account
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ReapOperator.permissions_elsewhere,
        "source": permissions,
        "target": permissions,
    }

    def __init__(
        self,
        *,
        cluster_id: str,
        snapshot_ids: list[str],
        keep: dict[str, int],
        name_prefixes: list[str],
        spared: dict[str, str],
        timezone: str,
        within_s: int = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.snapshot_ids = snapshot_ids
        self.keep = keep
        self.name_prefixes = name_prefixes
        self.spared = spared
        self.timezone = timezone
        self.within_s = within_s
        self._there: dict[str, Snapshot] = {}
        self._exporting: set[str] = set()

    def find(self) -> list[Leftover]:
        """Read all snapshots of the cluster, and keep those of the batch."""
        self._there = {snapshot.snapshot_id: snapshot for snapshot in self.hook.list_all_snapshots(self.cluster_id)}
        self._exporting = _exporting(self.hook)
        verdicts = self._judge({})
        return [
            Leftover("snapshot", name, subject=(self._there[name], verdicts[name]))
            for name in self.snapshot_ids
            if name in self._there
        ]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look it up alone, with those it is shared with; another snapshot of the same name is not it."""
        seen: Snapshot = item.subject[0]
        fresh = self.hook.find_snapshot(item.name)
        if fresh is None or (fresh.created, fresh.cluster_id) != (seen.created, seen.cluster_id):
            return None
        self._there[item.name] = fresh
        busy = why_busy(self.hook, fresh, self._exporting)
        return Leftover(
            "snapshot", item.name, subject=(fresh, self._judge({item.name: busy} if busy else {})[item.name])
        )

    def remove(self, item: Leftover) -> Wait:
        """Ask for its end."""
        return snapshots.delete_step(self.hook, item.subject[0], self.within_s)

    def _judge(self, in_use: Mapping[str, str]) -> dict[str, Verdict]:
        return judge(
            self._there.values(),
            Keep.model_validate(self.keep),
            zone=ZoneInfo(self.timezone),
            prefixes=self.name_prefixes,
            in_use={**self.spared, **in_use},
        )

    def _verdict(self, item: Leftover, holders: list[str]) -> Verdict:
        snapshot, verdict = item.subject
        if snapshot.status == "deleting" and item.key in self._asked:
            return Verdict("remove", "its end has been asked for")
        if verdict.action == "remove" and holders:
            return Verdict("keep", f"{', '.join(sorted(holders))} holds the lock, and may be using it")
        return Verdict(verdict.action, verdict.reason)


class RecordRetentionOperator(RecordReapOperator):
    """Write down what snapshot retention did, and announce what a person should know; see ``RecordReapOperator``.

    Announced is also a copy that could not be made.

    :param copies: task that makes copies.
    :return: ``{"recorded", "announced"}``.
    """

    about = "snapshot retention"
    words: ClassVar[Mapping[str, str]] = {"expired": "superseded"}

    def __init__(self, *, copies: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.copies = copies

    def _reports(self, context: Context, task_ids: list[str]) -> dict[str, Any]:
        return super()._reports(context, task_ids) | self._failed_copies(context)

    def _failed_copies(self, context: Context) -> dict[str, Any]:
        """Tell which copies failed, and why."""
        dag_run, ti = context["dag_run"], context["ti"]
        states = ti.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
        of_copies = {name: state for name, state in states.items() if name.startswith(self.copies)}
        failed = [name for name, state in of_copies.items() if str(state) == "failed"]
        if not failed:
            return {}
        why = ti.xcom_pull(task_ids=self.copies, key=ERROR_KEY) or []
        counts = {"removed": 0, "failed": len(failed), "expired": 0, "to_look_at": 0}
        return {self.copies: {"counts": counts, "failed": [why] if isinstance(why, str) else list(why)}}
