"""The restore pipeline's own steps: its plan, the mark of what is verified, and what is left at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import naming, restore_plan, restores
from aurora_ops.core.errors import ConfigError, MissingError, Problems, SafetyError, StateError, report
from aurora_ops.core.estimate import Estimate, costs, estimate, read_prices, spent
from aurora_ops.core.ownership import ARCHIVED_TAG, EXPIRES_TAG, RUN_TAG, VERIFIED_TAG, is_ours
from aurora_ops.core.requests.base import Request
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.settings import Environment, Instances
from aurora_ops.core.verification import read_suite
from aurora_ops.hooks.rds import Cluster, RdsHook, Snapshot
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator
from aurora_ops.operators.restore_checks import Surroundings, find_rekey_arn, is_shared_by_others
from aurora_ops.operators.snapshots import DeleteSnapshotOperator
from aurora_ops.operators.workflows import CheckRequestOperator

PLAN_KEY = "plan"
_ENGINE = "aurora-mysql"
# Of a backup that is at hand: nothing is shared, nothing copied.
_AT_HAND: dict[str, Any] = {
    "mode": "local",
    "copy_source": None,
    "copy_snapshot_id": None,
    "rekey_key_arn": None,
    "rekeyed_snapshot_id": None,
    "shared_snapshot_id": None,
    "was_shared": False,
}


class CheckRestoreOperator(CheckRequestOperator):
    """Check what a restore asks for, as every workflow does, then everything it needs of AWS, and decide its plan.

    Changes nothing. The plan is logged as text and left as XCom ``plan``; a dry run ends with it.

    :param request: ``core.requests.aurora.Restore``, or one made from it.
    :param given: parameters that no form asks for: a drill's.
    :return: what ``CheckRequestOperator`` returns, and the plan: how the backup is obtained (``mode``: ``local``, ``copy`` or
        ``share``), names of snapshots, keys, groups, what the live cluster is, and what of an earlier run is cleared away.
    :raises PermanentError: anything is wrong; all of it in one error.
    """

    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "target": (
            "rds:DescribeDBClusters",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBSubnetGroups",
            "rds:DescribeDBClusterParameterGroups",
            "rds:DescribeOrderableDBInstanceOptions",
            "rds:DescribeAccountAttributes",
            "ec2:DescribeSecurityGroups",
            "kms:DescribeKey",
            "secretsmanager:DescribeSecret",
            "elasticfilesystem:DescribeFileSystems",
        ),
        "source": (
            "rds:DescribeDBClusters",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBClusterSnapshotAttributes",
            "kms:DescribeKey",
        ),
    }

    def look(self, asked: Request, settings: Environment, context: Context) -> Result:
        """Look at everything that a restore needs; say what will be done."""
        return self._planned(super().look(asked, settings, context), context)

    def _planned(self, asked: Result, context: Context) -> Result:
        target = RdsHook(asked["target_conn_id"], asked["target_region"])
        problems = Problems()
        origin = self._origin(asked, target, problems)
        plan = {**origin, **self._live(asked, target, problems), **self._surroundings(asked, origin, target, problems)}
        self._secrets(asked, problems)
        plan["suite_file"] = problems.attempt(lambda: self._suite(asked["suite"]))
        problems.attempt(lambda: _swappable(asked, plan))
        if plan.get("mode") in ("copy", "share"):
            problems.attempt(lambda: _quota(target, asked))
        report(problems)
        plan = {**asked, **plan}
        cost, plan["costs"] = self._costs(plan)
        text = restore_plan.text(plan, cost)
        self.log.info("the plan:\n%s", text)
        self._push(context, PLAN_KEY, text)
        if asked["dry_run"]:
            raise AirflowSkipException("dry run: this is the plan, and nothing is changed")
        return plan

    def _origin(self, asked: Result, target: RdsHook, problems: Problems) -> dict[str, Any]:
        """Decide which backup it is, and how it comes to the target."""
        place = asked["from_account"]
        hook = RdsHook(asked[f"{place}_conn_id"], asked[f"{place}_region"])
        if asked["restore_to"]:
            return problems.attempt(lambda: _moment(hook, asked)) or {}
        snapshot = problems.attempt(lambda: _snapshot(hook, asked))
        if snapshot is None:
            return {}
        found = {
            "restore_type": "snapshot",
            "snapshot_id": snapshot.snapshot_id,
            "data_from": snapshot.snapshot_id,
            "data_of": snapshot.cluster_id,
            "data_at": snapshot.created.isoformat() if snapshot.created else None,
            "engine_version": snapshot.engine_version,
            "size_gib": snapshot.size_gib,
        }
        return {**found, **(problems.attempt(lambda: self._way(asked, hook, target, snapshot)) or {})}

    @staticmethod
    def _way(asked: Result, hook: RdsHook, target: RdsHook, snapshot: Snapshot) -> dict[str, Any]:
        """Say how a snapshot comes to the target: it is there, is copied from another region, or shared and copied."""
        place, here = asked["from_account"], "target_account_id"
        same_account = asked[f"{place}_account_id"] == asked[here]
        if same_account and hook.region_name == target.region_name:
            return {**_AT_HAND, "restore_from": snapshot.snapshot_id}
        created = snapshot.created or datetime.now(UTC)
        rekeyed = naming.snapshot(snapshot.cluster_id, asked["environment"], created, "rekeyed")
        copied = naming.snapshot(snapshot.cluster_id, asked["environment"], created, "copy")
        found = {**_AT_HAND, "restore_from": copied, "copy_snapshot_id": copied}
        if same_account:
            return {**found, "mode": "copy", "copy_source": snapshot.arn}
        key = find_rekey_arn(hook, snapshot, snapshot.kms_key_arn, asked["source_kms_key_id"])
        shared = rekeyed if key else snapshot.snapshot_id
        return {
            **found,
            "mode": "share",
            "rekey_key_arn": key,
            "rekeyed_snapshot_id": rekeyed if key else None,
            "shared_snapshot_id": shared,
            "copy_source": snapshot.arn.removesuffix(snapshot.snapshot_id) + shared,
            "was_shared": is_shared_by_others(hook, snapshot, asked[here]),
        }

    @staticmethod
    def _live(asked: Result, target: RdsHook, problems: Problems) -> dict[str, Any]:
        """Look at what serves, and at what has the new cluster's name; what a dead run left of an earlier restore may go."""
        present, live = (target.find_cluster(asked[name]) for name in ("restored_cluster", "cluster"))
        clear = None
        if present is not None and present.tags.get(RUN_TAG) != asked["run_key"]:
            problems.attempt(lambda: require_refreshable(present.cluster_id, present.tags))
            spared = VERIFIED_TAG in present.tags and not asked["disposable"]
            if spared or RUN_TAG not in present.tags:
                problems.append(
                    StateError(
                        f"label: {present.cluster_id} exists already, of {present.tags.get(RUN_TAG, 'somebody else')}; give "
                        "another label, or clear the name with db_ensure_cluster_not_exists"
                    )
                )
            clear = present.cluster_id
        if asked["swap"] and live is not None and live.status not in ("available", "backing-up"):
            problems.append(
                StateError(f"cluster: {live.cluster_id} is {live.status}; it must be available to be swapped")
            )
        return {
            "clear_cluster": clear,
            "unverified_cluster": None if asked["keep_failed"] else asked["restored_cluster"],
            "tags": {**_own_tags(live), **asked["tags"]},
            "live_resource_id": live.resource_id if live else "",
            "live_instance_ids": live.instance_ids if live else [],
            "security_groups_after": live.security_groups if live else [],
            "serving_host": live.endpoint if live else "",
        }

    @staticmethod
    def _surroundings(asked: Result, origin: dict[str, Any], target: RdsHook, problems: Problems) -> dict[str, Any]:
        found = Surroundings(
            kms_key_id=asked["target_kms_key_id"],
            subnet_group=asked["subnet_group"],
            security_groups=asked["isolation_security_groups"],
            parameter_group=asked["target_parameter_group"],
            like_cluster=asked["cluster"],
            instance_class=asked["instance_class"],
        )
        after = asked["serving_security_groups"]
        ids = problems.attempt(lambda: found.groups(target, after, "target.security_groups")) if after else None
        return {
            **found.find(target, str(origin.get("engine_version", "")), problems),
            **({"security_groups_after": ids} if ids else {}),
        }

    def _suite(self, name: str) -> str:
        """Find the file of a suite, and see that it can be read."""
        folder = Path(self.config_folder).parent / "sql" / "validation"
        file = folder / f"{name}.yaml"
        if not file.is_file():
            known = sorted(path.stem for path in folder.glob("*.yaml"))
            raise ConfigError("suite", name, f"suites in include/sql/validation are {known}")
        read_suite(file)
        return str(file)

    @staticmethod
    def _secrets(asked: Result, problems: Problems) -> None:
        secrets = SecretsHook(asked["target_conn_id"], asked["target_region"])
        wanted = {name: asked[name] for name in ("app_secret", "master_secret") if asked[name]}
        if not asked["app_secret"]:
            wanted |= {f"database.users.{user['username']}": user["secret"] for user in asked["database_users"]}
        for field, secret_id in wanted.items():
            if not secrets.exists(secret_id):
                problems.append(
                    MissingError(f"{field}: no secret {secret_id} behind {asked['target_conn_id']}; create it")
                )

    def _costs(self, plan: Result) -> tuple[Estimate, dict[str, Any]]:
        """Estimate what it costs while it stands, and give what its cost follows from once its time is known."""
        prices, size = read_prices(Path(self.config_folder).parent / "prices.yaml"), plan["size_gib"] or 0
        instances = Instances.model_validate(
            {"class": plan["instance_class"], "readers": plan["readers"], "serverless": plan["serverless"]}
        )
        copied = size if plan["copy_snapshot_id"] else 0
        return (
            estimate(instances, size_gib=size, durations_s=[], prices=prices),
            costs(instances, size_gib=size, copied_gib=copied, prices=prices),
        )


def _own_tags(live: Cluster | None) -> dict[str, str]:
    """Take over what people have tagged the live cluster with, for costs among others."""
    tags = live.tags if live else {}
    return {key: value for key, value in tags.items() if not key.startswith(("aws:", "aurora-ops:"))}


def _moment(hook: RdsHook, asked: Result) -> dict[str, Any]:
    """Look whether a cluster's backups reach to a moment."""
    source = hook.require_cluster(asked["source_cluster"])
    if refusal := restores.moment_refusal(source, datetime.fromisoformat(asked["restore_to"])):
        raise refusal
    return {
        **_AT_HAND,
        "restore_type": "point_in_time",
        "snapshot_id": None,
        "restore_from": source.cluster_id,
        "data_from": f"{source.cluster_id} at {asked['restore_to']}",
        "data_of": source.cluster_id,
        "data_at": asked["restore_to"],
        "engine_version": source.engine_version,
        "size_gib": 0,
    }


def _snapshot(hook: RdsHook, asked: Result) -> Snapshot:
    """Choose the snapshot; one that is named may be of any cluster."""
    named = hook.find_snapshot(asked["snapshot"]) if asked["snapshot"] else None
    before = asked["newest_before"]
    found = restores.chosen_snapshot(
        [named] if named else hook.list_snapshots(asked["source_cluster"]),
        cluster_id=asked["source_cluster"],
        named=asked["snapshot"],
        before=datetime.fromisoformat(before) if before else None,
    )
    if found.engine not in ("", _ENGINE):
        raise StateError(f"snapshot: {found.snapshot_id} is one of {found.engine}; this restores {_ENGINE}")
    return found


def _swappable(asked: Result, plan: dict[str, Any]) -> None:
    """See that what will serve is the live cluster's own data: copies of production lie in the target's account too."""
    own = (asked["cluster"], naming.old_cluster(asked["cluster"]))
    if asked["swap"] and not asked["allow_unmasked"] and plan.get("data_of") not in (None, *own):
        raise SafetyError(
            f"swap: the backup is one of {plan['data_of']}, not of {asked['cluster']}, and may not be masked; set "
            "restore.allow_unmasked where that is meant"
        )


def _quota(target: RdsHook, asked: Result) -> None:
    quota = target.find_quota("ManualClusterSnapshots")
    if quota and quota[0] >= quota[1]:
        raise StateError(
            f"account {asked['target_account_id']} has {quota[0]} of {quota[1]} manual cluster snapshots; delete some"
        )


class MarkVerifiedOperator(ClusterOperator):
    """Write on a restored cluster that it has been verified: from now on no later run clears it away.

    The AWS operation is ``AddTagsToResource``.

    :param run_key: names the run that verified it (templated).
    :return: ``{"cluster_id", "resource_id", "verified_at"}``.
    :raises SafetyError: it is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:AddTagsToResource")
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "run_key")

    def __init__(self, *, run_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key

    def take_pass(self, context: Context) -> Result:
        """Tag it."""
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if cluster.tags.get(VERIFIED_TAG) != self.run_key:
            self.hook.set_tags(cluster.arn, {VERIFIED_TAG: self.run_key})
        return {"cluster_id": cluster.cluster_id, "resource_id": cluster.resource_id, "verified_at": now}


class SettleCopyOperator(DeleteSnapshotOperator):
    """Do with the snapshot that was copied for a restore what was asked: delete it, leave it to its expiry, or keep it for good.

    To keep it for good its expiry is removed (``RemoveTagsFromResource``), and it is tagged for ``snapshot_retention``.

    :param policy: ``delete``, ``keep`` or ``archive`` (templated).
    :return: ``{"snapshot_id", "status": "absent" | "kept" | "archived"}``.
    :raises SafetyError: it does not carry this package's owner tag.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *DeleteSnapshotOperator.permissions,
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
    )
    template_fields: Sequence[str] = (*DeleteSnapshotOperator.template_fields, "policy")

    def __init__(self, *, policy: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.policy = policy

    def take_pass(self, context: Context) -> Result:
        """Look, then do it."""
        if self.policy == "delete":
            return super().take_pass(context)
        if self.policy not in ("keep", "archive"):
            raise ConfigError("policy", self.policy, "delete, keep or archive")
        snapshot = self.hook.find_snapshot(self.snapshot_id) if self.snapshot_id else None
        if snapshot is None:
            return {"snapshot_id": self.snapshot_id, "status": "absent"}
        if self.policy == "keep":
            return {"snapshot_id": snapshot.snapshot_id, "status": "kept"}
        if not is_ours(snapshot.tags):
            raise SafetyError(f"snapshot {snapshot.snapshot_id} is not ours to keep; its tags are left as they are")
        if ARCHIVED_TAG not in snapshot.tags:
            self.hook.set_tags(snapshot.arn, {ARCHIVED_TAG: "true"})
        if EXPIRES_TAG in snapshot.tags:
            self.hook.remove_tags(snapshot.arn, [EXPIRES_TAG])
        return {"snapshot_id": snapshot.snapshot_id, "status": "archived"}


class LookAtOutcomeOperator(ClusterOperator):
    """Say how a restore left the world: what serves, what was restored, what is still there of it. Changes nothing.

    :param live_id: the live cluster (templated).
    :param old_id: name that it has after a swap (templated).
    :param live_resource_id: what served before (templated).
    :param copy_id: copied snapshot, or ``None`` (templated).
    :param data_at: moment of the data, ISO 8601 (templated).
    :param verified: result of ``MarkVerifiedOperator``; ``None`` where it was not reached (templated).
    :param costs: from ``core.estimate.costs`` (templated).
    :return: ``{"serves", "swapped", "left": [texts], "rpo_s", "rto_s", "cost"}``; ``rto_s`` is ``None`` unless it was verified.
    """

    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusters", "rds:DescribeDBClusterSnapshots")
    template_fields: Sequence[str] = (
        *ClusterOperator.template_fields,
        "live_id",
        "old_id",
        "live_resource_id",
        "copy_id",
        "data_at",
        "verified",
        "costs",
    )

    def __init__(
        self,
        *,
        live_id: str,
        old_id: str,
        live_resource_id: str,
        copy_id: str | None,
        data_at: str | None,
        verified: dict[str, Any] | None = None,
        costs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.live_id = live_id
        self.old_id = old_id
        self.live_resource_id = live_resource_id
        self.copy_id = copy_id
        self.data_at = data_at
        self.verified = verified
        self.costs = costs

    def take_pass(self, context: Context) -> Result:
        """Look, unless there is nothing to look at because the check has refused the run."""
        if not self.cluster_id:
            raise AirflowSkipException("nothing was restored")
        live, old, restored = (self.hook.find_cluster(name) for name in (self.live_id, self.old_id, self.cluster_id))
        copy = self.hook.find_snapshot(self.copy_id) if self.copy_id else None
        left = [_said(cluster) for cluster in (restored, old) if cluster is not None]
        left += [f"snapshot {copy.snapshot_id} ({copy.status})"] if copy else []
        began = context["dag_run"].start_date or datetime.now(UTC)
        ended = datetime.fromisoformat(self.verified["verified_at"]) if self.verified else None
        return {
            "serves": _said(live) if live else None,
            "swapped": live is not None and live.resource_id != self.live_resource_id,
            "left": left,
            "rpo_s": round((began - datetime.fromisoformat(self.data_at)).total_seconds()) if self.data_at else None,
            "rto_s": round((ended - began).total_seconds()) if ended else None,
            "cost": spent(self.costs, (datetime.now(UTC) - began).total_seconds()) if self.costs else None,
        }


def _said(cluster: Cluster) -> str:
    expires = cluster.tags.get(EXPIRES_TAG)
    until = f", until {expires}" if expires else ""
    return f"cluster {cluster.cluster_id} ({cluster.resource_id}, {cluster.status}{until})"
