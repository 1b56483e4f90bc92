"""Operations on cluster members: create, describe, modify, delete, reboot."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.faults import TERMINAL
from localcloud.rds import catalog, lifecycle, network, rules, views
from localcloud.rds.clusters import promote, promotion_order
from localcloud.rds.core import new_id
from localcloud.rds.errors import (
    InstanceAlreadyExistsError,
    InstanceQuotaExceededError,
    InvalidClusterStateError,
    InvalidInstanceStateError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
)
from localcloud.rds.events import kinds
from localcloud.rds.model import Instance

if TYPE_CHECKING:
    from collections.abc import Container

    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params, Region

CREATE = {
    "AutoMinorVersionUpgrade",
    "AvailabilityZone",
    "CopyTagsToSnapshot",
    "DBClusterIdentifier",
    "DBInstanceClass",
    "DBInstanceIdentifier",
    "DBParameterGroupName",
    "DBSubnetGroupName",
    "EnablePerformanceInsights",
    "Engine",
    "EngineVersion",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PreferredMaintenanceWindow",
    "PromotionTier",
    "PubliclyAccessible",
    "Tags",
}
MODIFY = {
    "ApplyImmediately",
    "AutoMinorVersionUpgrade",
    "DBInstanceClass",
    "DBInstanceIdentifier",
    "DBParameterGroupName",
    "EnablePerformanceInsights",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "NewDBInstanceIdentifier",
    "PreferredMaintenanceWindow",
    "PromotionTier",
    "PubliclyAccessible",
}
# the cluster has these, so a member cannot; RDS names the cluster as the place to change them
OF_THE_CLUSTER = {
    "AllocatedStorage",
    "BackupRetentionPeriod",
    "DBPortNumber",
    "DBSubnetGroupName",
    "DeletionProtection",
    "EngineVersion",
    "KmsKeyId",
    "ManageMasterUserPassword",
    "MasterUserPassword",
    "MasterUsername",
    "PreferredBackupWindow",
    "RotateMasterUserPassword",
    "StorageEncrypted",
    "VpcSecurityGroupIds",
}
FILTERS = ("db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine")
INSTANCES_PER_CLUSTER = 16


class Instances:
    """Operations on cluster members."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def create(self, region: Region, params: Params, taken: Container[str]) -> dict[str, Any]:
        """CreateDBInstance with a DBClusterIdentifier: the first is the writer, others read.

        Only when an instance is available do its address and the cluster's endpoints lead to the server.

        :param taken: identifiers of instances that moto keeps.
        :raises InvalidClusterStateError: the cluster is not available (a restored cluster takes its time).
        :raises InstanceQuotaExceededError: too many instances.
        """
        self._refuse_cluster_parameters(params, {"EngineVersion", "DBSubnetGroupName"})
        rules.known_parameters(params, CREATE, "CreateDBInstance for a cluster member")
        core = self.core
        with core.lock:
            identifier = rules.identifier(params.get("DBInstanceIdentifier"), "DBInstanceIdentifier")
            if identifier in taken or _is_taken(region, identifier):
                raise InstanceAlreadyExistsError(f"DB instance already exists: {identifier}")
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            self._check_fits(cluster, params)
            if cluster.status != "backing-up":
                core.require_available(cluster, "create an instance")
            members = region.members(cluster)
            if len(members) >= INSTANCES_PER_CLUSTER:
                raise InvalidParameterCombinationError(f"A cluster has at most {INSTANCES_PER_CLUSTER} instances.")
            if len(region.instances) >= core.quotas.instances:
                raise InstanceQuotaExceededError(
                    f"You have reached your quota of {core.quotas.instances} DB instances in {region.name}; delete some."
                )
            instance = Instance(
                account=region.account,
                region=region.name,
                identifier=identifier,
                resource_id=new_id("db-"),
                cluster=cluster.resource_id,
                created=time.time(),
                instance_class=catalog.instance_class(params.get("DBInstanceClass")),
                zone=self._zone(cluster, members, params.get("AvailabilityZone")),
                promotion_tier=self._tier(params.get("PromotionTier", 1)),
                parameter_group=network.parameter_group(
                    region.account, region.name, params.get("DBParameterGroupName"), cluster.engine_version
                ),
                writer=not any(member.status != "deleting" for member in members),
                publicly_accessible=bool(params.get("PubliclyAccessible")),
                auto_minor_upgrade=params.get("AutoMinorVersionUpgrade", True),
                monitoring_interval=params.get("MonitoringInterval", 0),
                monitoring_role=params.get("MonitoringRoleArn"),
                performance_insights=bool(params.get("EnablePerformanceInsights")),
                maintenance_window=params.get("PreferredMaintenanceWindow", Instance.maintenance_window),
                tags=rules.tags(params.get("Tags")),
            )
            if instance.writer:
                promote(region, cluster, instance)
            region.instances[identifier] = instance
        core.lifecycle.run(
            f"create instance {identifier}",
            lifecycle.CREATE_INSTANCE,
            partial(core.boot, cluster),
            partial(self._created, cluster, instance),
            partial(core.fail, instance),
            instance,
        )
        return views.instance(region, instance)

    def describe(self, region: Region, params: Params) -> list[Instance]:
        """Select the members that DescribeDBInstances is asked for, not yet paged."""
        wanted = rules.filters(params, FILTERS)
        asked = params.get("DBInstanceIdentifier")
        candidates = [self.core.instance(region, asked)] if asked else list(region.instances.values())
        return [
            instance
            for instance in candidates
            if rules.matches(
                wanted,
                {
                    "db-cluster-id": region.cluster_of(instance).identifier,
                    "db-instance-id": instance.identifier,
                    "dbi-resource-id": instance.resource_id,
                    "engine": catalog.ENGINE,
                },
            )
        ]

    def modify(self, region: Region, params: Params, taken: Container[str]) -> dict[str, Any]:
        """ModifyDBInstance of a member; what belongs to the cluster is refused.

        :raises InvalidInstanceStateError: the instance is not available.
        """
        self._refuse_cluster_parameters(params, set())
        rules.known_parameters(params, MODIFY, "ModifyDBInstance for a cluster member")
        core = self.core
        with core.lock:
            instance = core.instance(region, params.get("DBInstanceIdentifier"))
            cluster = region.cluster_of(instance)
            self._require_available(instance, "modify the instance")
            new = params.get("NewDBInstanceIdentifier")
            if new:
                new = rules.identifier(new, "NewDBInstanceIdentifier")
                if new != instance.identifier and (new in taken or _is_taken(region, new)):
                    raise InstanceAlreadyExistsError(f"DB instance already exists: {new}")
            settings = self._settings(region, cluster, params)
            if (new or "instance_class" in settings) and not params.get("ApplyImmediately"):
                raise InvalidParameterCombinationError(
                    "localcloud has no maintenance windows: rename or change the class with ApplyImmediately."
                )
            for name, value in settings.items():
                setattr(instance, name, value)
            view = views.instance(region, instance)
            if new and new != instance.identifier:
                self._rename(region, cluster, instance, new)
            elif settings.keys() - {"promotion_tier"}:
                core.turn(instance, "modifying", lag=True)
                core.lifecycle.run(
                    f"modify instance {instance.identifier}",
                    lifecycle.MODIFY + lifecycle.LAG,
                    None,
                    partial(core.turn, instance, "available"),
                    partial(core.fail, instance),
                    instance,
                )
            return view

    def delete(self, region: Region, params: Params) -> dict[str, Any]:
        """DeleteDBInstance of a member: a reader becomes the writer; after the last one nothing listens."""
        if params.get("FinalDBSnapshotIdentifier"):
            raise InvalidParameterCombinationError(
                "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance: snapshot the cluster."
            )
        core = self.core
        with core.lock:
            instance = core.instance(region, params.get("DBInstanceIdentifier"))
            cluster = region.cluster_of(instance)
            if instance.status not in TERMINAL:
                self._require_available(instance, "delete the instance")
            if cluster.status not in {"available", *TERMINAL}:
                raise InvalidClusterStateError(
                    f"Cannot delete the instance: cluster {cluster.identifier} is {cluster.status}; wait for it."
                )
            core.turn(instance, "deleting")
            instance.listening = False
            self._ensure_writer(region, cluster)
            view = views.instance(region, instance)

        def work() -> None:
            core.expose(cluster)
            with core.working(cluster.resource_id):
                with core.lock:
                    last = all(member.status == "deleting" for member in region.members(cluster))
                if last:
                    core.engine.stop(cluster.resource_id)

        def done() -> None:
            with core.lock:
                region.instances.pop(instance.identifier, None)
                core.event(instance, kinds.INSTANCE_DELETED)

        core.lifecycle.run(
            f"delete instance {instance.identifier}",
            lifecycle.DELETE,
            work,
            done,
            partial(core.fail, instance),
            instance,
        )
        return view

    def reboot(self, region: Region, params: Params) -> dict[str, Any]:
        """RebootDBInstance: the writer's reboot restarts the server; parameter changes are in effect after it."""
        core = self.core
        with core.lock:
            instance = core.instance(region, params.get("DBInstanceIdentifier"))
            cluster = region.cluster_of(instance)
            self._require_available(instance, "reboot the instance")
            if params.get("ForceFailover"):
                raise InvalidParameterCombinationError(
                    "ForceFailover is not for cluster members: use FailoverDBCluster."
                )
            core.require_available(cluster, "reboot the instance")
            core.turn(instance, "rebooting")

        def work() -> None:
            if instance.writer:
                with core.working(cluster.resource_id):
                    core.engine.stop(cluster.resource_id)
                    core.boot(cluster)

        def done() -> None:
            with core.lock:
                instance.parameter_status = "in-sync"
                core.turn(instance, "available")
                core.event(instance, kinds.INSTANCE_RESTARTED)

        core.lifecycle.run(
            f"reboot {instance.identifier}", lifecycle.REBOOT, work, done, partial(core.fail, instance), instance
        )
        return views.instance(region, instance)

    def _ensure_writer(self, region: Region, cluster: Cluster) -> None:
        """Promote an available reader if the writer is on its way out."""
        members = region.members(cluster)
        able = [member for member in members if member.listening]
        if able and not any(member.writer and member.status not in {"deleting", "failed"} for member in members):
            promote(region, cluster, min(able, key=promotion_order))

    def _created(self, cluster: Cluster, instance: Instance) -> None:
        core = self.core
        with core.lock:
            instance.listening = True
            self._ensure_writer(core.region(cluster.account, cluster.region), cluster)
        core.expose(cluster)
        available = partial(core.turn, instance, "available")
        with core.lock:
            core.event(instance, kinds.INSTANCE_CREATED)
            if not instance.monitoring_interval:
                available()
                return
            core.turn(instance, "configuring-enhanced-monitoring")
        core.lifecycle.run(
            f"configure {instance.identifier}",
            lifecycle.CONFIGURE_INSTANCE,
            None,
            available,
            partial(core.fail, instance),
            instance,
        )

    def _rename(self, region: Region, cluster: Cluster, instance: Instance, new: str) -> None:
        """Rename; the instance keeps its old name until the end, and is rebooted: meanwhile its address leads nowhere."""
        core = self.core
        old = instance.identifier
        instance.pending_identifier = new
        instance.listening = False
        core.turn(instance, "renaming", lag=True)

        def done() -> None:
            with core.lock:
                if region.instances.get(old) is instance:
                    del region.instances[old]
                instance.identifier = new
                region.instances[new] = instance
                instance.pending_identifier = None
                instance.listening = True
            core.expose(cluster)
            with core.lock:
                core.turn(instance, "available")
                core.event(instance, kinds.INSTANCE_RENAMED, old=old, new=new)

        core.lifecycle.run(
            f"rename instance {old} to {new}",
            lifecycle.RENAME + lifecycle.LAG,
            partial(core.expose, cluster),
            done,
            partial(core.fail, instance),
            instance,
        )

    def _settings(self, region: Region, cluster: Cluster, params: Params) -> dict[str, Any]:
        """Check the values to set; return them by field, without those that are so already."""
        fields = {
            "AutoMinorVersionUpgrade": "auto_minor_upgrade",
            "EnablePerformanceInsights": "performance_insights",
            "MonitoringInterval": "monitoring_interval",
            "MonitoringRoleArn": "monitoring_role",
            "PreferredMaintenanceWindow": "maintenance_window",
            "PubliclyAccessible": "publicly_accessible",
        }
        result = {field: params[name] for name, field in fields.items() if params.get(name) is not None}
        if params.get("DBInstanceClass"):
            result["instance_class"] = catalog.instance_class(params["DBInstanceClass"])
            self._check_serverless(cluster, result["instance_class"])
        if params.get("PromotionTier") is not None:
            result["promotion_tier"] = self._tier(params["PromotionTier"])
        if params.get("DBParameterGroupName"):
            result["parameter_group"] = network.parameter_group(
                region.account, region.name, params["DBParameterGroupName"], cluster.engine_version
            )
        instance = self.core.instance(region, params["DBInstanceIdentifier"])
        return {field: value for field, value in result.items() if getattr(instance, field) != value}

    def _check_fits(self, cluster: Cluster, params: Params) -> None:
        if params.get("Engine") != cluster.engine:
            raise InvalidParameterCombinationError(
                f"The engine name requested for your DB instance ({params.get('Engine')}) doesn't match the engine "
                f"name of your DB cluster ({cluster.engine})."
            )
        if params.get("EngineVersion") not in {None, cluster.engine_version}:
            raise InvalidParameterCombinationError(
                f"The engine version requested for your DB instance ({params['EngineVersion']}) doesn't match the "
                f"engine version of your DB cluster ({cluster.engine_version})."
            )
        if params.get("DBSubnetGroupName") and params["DBSubnetGroupName"].lower() != cluster.subnet_group:
            raise InvalidParameterCombinationError(
                f"The DBSubnetGroup of the instance must be that of the cluster, {cluster.subnet_group}."
            )
        self._check_serverless(cluster, params.get("DBInstanceClass"))

    def _check_serverless(self, cluster: Cluster, instance_class: str | None) -> None:
        if instance_class == "db.serverless" and cluster.serverless is None:
            raise InvalidParameterCombinationError(
                "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 "
                "DB instance."
            )

    def _zone(self, cluster: Cluster, members: list[Instance], wanted: str | None) -> str:
        if wanted is None:
            return cluster.zones[len(members) % len(cluster.zones)]
        if wanted not in cluster.zones:
            raise InvalidParameterValueError(
                f"Invalid AvailabilityZone {wanted}: the cluster has {', '.join(cluster.zones)}."
            )
        return wanted

    def _tier(self, value: int) -> int:
        if not 0 <= value <= 15:
            raise InvalidParameterValueError(f"Invalid promotion tier: {value}. Must be between 0 and 15.")
        return value

    def _refuse_cluster_parameters(self, params: Params, but: set[str]) -> None:
        wrong = sorted(params.keys() & (OF_THE_CLUSTER - but))
        if wrong:
            raise InvalidParameterCombinationError(
                f"The requested DB instance is a member of a DB cluster: {', '.join(wrong)} belong to the cluster; use "
                "CreateDBCluster or ModifyDBCluster."
            )

    def _require_available(self, instance: Instance, doing: str) -> None:
        if instance.status != "available":
            raise InvalidInstanceStateError(
                f"Cannot {doing}: DB instance {instance.identifier} is not in the available state but "
                f"{instance.status}; wait for it."
            )


def _is_taken(region: Region, identifier: str) -> bool:
    """Tell whether a member has an identifier, or will have it when its rename is over."""
    return any(identifier in (member.identifier, member.pending_identifier) for member in region.instances.values())
