"""Clusters restored as a person asks: from a snapshot, to a moment, or as a clone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import refresh_plan, restores
from aurora_ops.core.errors import ConfigError, MissingError, Problems, StateError, report
from aurora_ops.core.ownership import RUN_TAG
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.rds import DEFAULT_KEY_ALIAS, Cluster, RdsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator, RestoreClusterOperator
from aurora_ops.operators.restore_checks import Surroundings


class PlanRestoreOperator(ClusterOperator):
    """Look at everything that a restore needs, and decide what it is made from. Changes nothing.

    Said in one error: a name that is taken, a snapshot that is missing or too old, a moment out of reach, whatever AWS does not
    clone across accounts, and keys, groups and classes that are not there.

    :param run_key: names the run; a cluster that it has restored itself is no obstacle (templated).
    :param restore_type: ``snapshot``, ``point_in_time``, ``clone`` or ``shared_clone`` (templated).
    :param source_cluster: whose snapshot, backups or storage (templated).
    :param snapshot: a snapshot, or ``None`` for the newest (templated).
    :param max_age_h: hours that the newest may be old (templated).
    :param restore_to: ISO 8601 moment, or ``None`` for the latest (templated).
    :param kms_key_id: key of the new cluster (templated).
    :param subnet_group: DB subnet group (templated).
    :param security_groups: names or ids of security groups (templated).
    :param parameter_group: cluster parameter group; ``None`` is that of ``like_cluster`` (templated).
    :param like_cluster: the live cluster (templated).
    :param instance_class: class of the instances (templated).
    :param source_conn_id: connection of the source's account (templated).
    :param source_region: its region (templated).
    :return: ``{"source", "kms_key_arn", "security_groups", "parameter_group", "shared_arn", "shared_key_arn"}``; the last two are
        ``None`` unless a cluster is to be shared for the clone.
    :raises PermanentError: the restore cannot be made as asked.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBSubnetGroups",
        "rds:DescribeDBClusterParameterGroups",
        "rds:DescribeOrderableDBInstanceOptions",
        "ec2:DescribeSecurityGroups",
        "kms:DescribeKey",
    )
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": ("rds:DescribeDBClusters", "kms:DescribeKey")
    }
    template_fields: Sequence[str] = (
        *ClusterOperator.template_fields,
        "run_key",
        "restore_type",
        "source_cluster",
        "snapshot",
        "max_age_h",
        "restore_to",
        "kms_key_id",
        "subnet_group",
        "security_groups",
        "parameter_group",
        "like_cluster",
        "instance_class",
        "source_conn_id",
        "source_region",
    )

    def __init__(
        self,
        *,
        run_key: str,
        restore_type: str,
        source_cluster: str,
        kms_key_id: str,
        subnet_group: str,
        security_groups: list[str],
        like_cluster: str,
        instance_class: str,
        source_conn_id: str,
        source_region: str,
        snapshot: str | None = None,
        max_age_h: float = 30,
        restore_to: str | None = None,
        parameter_group: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key
        self.restore_type = restore_type
        self.source_cluster = source_cluster
        self.snapshot = snapshot
        self.max_age_h = max_age_h
        self.restore_to = restore_to
        self.kms_key_id = kms_key_id
        self.subnet_group = subnet_group
        self.security_groups = security_groups
        self.parameter_group = parameter_group
        self.like_cluster = like_cluster
        self.instance_class = instance_class
        self.source_conn_id = source_conn_id
        self.source_region = source_region

    def take_pass(self, context: Context) -> Result:
        """Attempt every check, then give the plan or say all that is wrong."""
        problems = Problems()
        present = self.hook.find_cluster(self.cluster_id)
        restored = present is not None and present.tags.get(RUN_TAG) == self.run_key
        if present is not None and not restored:
            problems.append(
                StateError(
                    f"{self.cluster_id} exists already, of {present.tags.get(RUN_TAG, 'somebody else')}; nothing is restored "
                    "over it: clear the name with db_ensure_cluster_not_exists"
                )
            )
        chosen = problems.attempt(lambda: self._chosen(restored=restored)) or {}
        found = Surroundings(
            kms_key_id=self.kms_key_id,
            subnet_group=self.subnet_group,
            security_groups=self.security_groups,
            parameter_group=self.parameter_group,
            like_cluster=self.like_cluster,
            instance_class=self.instance_class,
        ).find(self.hook, str(chosen.get("engine_version", "")), problems)
        report(problems)
        return {
            "source": chosen["source"],
            "shared_arn": chosen.get("shared_arn"),
            "shared_key_arn": chosen.get("shared_key_arn"),
            **found,
        }

    def _chosen(self, *, restored: bool) -> dict[str, Any]:
        """Decide what the cluster is made from."""
        if self.restore_type == "snapshot":
            return self._chosen_snapshot()
        if self.restore_type == "shared_clone":
            return self._chosen_abroad(restored=restored)
        if self.restore_type not in restores.RESTORE_TYPES:
            raise ConfigError("restore_type", self.restore_type, f"known are {list(restores.RESTORE_TYPES)}")
        source = self.hook.require_cluster(self.source_cluster)
        if source.status != "available":
            raise StateError(f"source_cluster: {source.cluster_id} is {source.status}; it must be available")
        refusal = None
        if self.restore_type == "clone" and not restored:
            refusal = restores.clone_group_refusal(source, self.hook.list_all_clusters())
        elif self.restore_to:
            refusal = restores.moment_refusal(source, datetime.fromisoformat(self.restore_to))
        if refusal:
            raise refusal
        return {"source": source.cluster_id, "engine_version": source.engine_version}

    def _chosen_snapshot(self) -> dict[str, Any]:
        if self.snapshot:
            found = self.hook.find_snapshot(self.snapshot)
            if found is None:
                raise MissingError(
                    f"snapshot: no {self.snapshot} behind {self.aws_conn_id}; leave it empty for the newest"
                )
            if found.status != "available":
                raise StateError(f"snapshot: {self.snapshot} is {found.status}; it must be available")
        else:
            found = refresh_plan.choose_snapshot(
                "newest",
                self.hook.list_snapshots(self.source_cluster),
                now=datetime.now(UTC),
                max_age_h=float(self.max_age_h),
            )
        assert found is not None  # noqa: S101 - "newest" finds one or raises
        return {"source": found.snapshot_id, "engine_version": found.engine_version}

    def _chosen_abroad(self, *, restored: bool) -> dict[str, Any]:
        abroad = RdsHook(self.source_conn_id, self.source_region)
        source = abroad.require_cluster(self.source_cluster)
        default = KmsHook(self.source_conn_id, self.source_region).find_key(DEFAULT_KEY_ALIAS)
        here: list[Cluster] = [] if restored else self.hook.list_all_clusters()
        report(restores.clone_refusals(source, default_key_arn=str(default["Arn"]) if default else None, here=here))
        return {
            "source": source.arn,
            "shared_arn": source.arn,
            "shared_key_arn": source.kms_key_arn,
            "engine_version": source.engine_version,
        }


class RestoreAsAskedOperator(RestoreClusterOperator):
    """Restore a cluster from a snapshot, to a moment, or as a clone, beside whatever exists, and wait until it is available.

    The AWS operations are ``RestoreDBClusterFromSnapshot`` and ``RestoreDBClusterToPointInTime``, the latter as ``full-copy`` or
    ``copy-on-write``; a cluster of another account is named by its ARN.

    :param snapshot: what it is made from: a snapshot, or for the other types a cluster's identifier or ARN (templated).
    :param restore_type: ``snapshot``, ``point_in_time``, ``clone`` or ``shared_clone`` (templated).
    :param restore_to: ISO 8601 moment for ``point_in_time``; ``None`` is the latest (templated).
    :return: ``{"cluster_id", "cluster_arn", "resource_id", "endpoint"}``.
    :raises MissingError: what it is made from is not there, or not shared with this account.
    :raises StateError: a cluster of this name was not made by this run, or ended up under another key.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *RestoreClusterOperator.permissions,
        "rds:RestoreDBClusterToPointInTime",
    )
    template_fields: Sequence[str] = (*RestoreClusterOperator.template_fields, "restore_type", "restore_to")

    def __init__(self, *, restore_type: str, restore_to: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.restore_type = restore_type
        self.restore_to = restore_to

    def _ask(self) -> None:
        if self.restore_type == "snapshot":
            super()._ask()
            return
        moment = datetime.fromisoformat(self.restore_to) if self.restore_to else None
        origin = {
            "SourceDBClusterIdentifier": self.snapshot,
            "RestoreType": "full-copy" if self.restore_type == "point_in_time" else "copy-on-write",
            "UseLatestRestorableTime": True if moment is None else None,
            "RestoreToTime": moment,
        }
        self.hook.restore_cluster_to_point({**origin, **self._wanted()}, self._marks())
