"""Operations on clusters: create, describe, delete, stop, start, failover, roles."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.faults import TERMINAL
from localcloud.rds import catalog, lifecycle, managed, network, retained, rules, views
from localcloud.rds.core import new_id
from localcloud.rds.errors import (
    ClusterAlreadyExistsError,
    ClusterQuotaExceededError,
    InvalidClusterStateError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
)
from localcloud.rds.events import kinds
from localcloud.rds.model import Cluster, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.rds.core import Core
    from localcloud.rds.model import Instance, Params, Region, Snapshot
    from localcloud.rds.snapshots import Snapshots

# parameters with the same meaning in create, restore from snapshot, and point in time
COMMON = {
    "AvailabilityZones",
    "AssociatedRoles",
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DBClusterIdentifier",
    "DBClusterParameterGroupName",
    "DBSubnetGroupName",
    "DatabaseName",
    "DeletionProtection",
    "EnableCloudwatchLogsExports",
    "EnableIAMDatabaseAuthentication",
    "EngineMode",
    "KmsKeyId",
    "Port",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "ServerlessV2ScalingConfiguration",
    "StorageType",
    "Tags",
    "VpcSecurityGroupIds",
}
CREATE = COMMON | {
    "Engine",
    "EngineVersion",
    "ManageMasterUserPassword",
    "MasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "MasterUsername",
    "StorageEncrypted",
}
FILTERS = ("clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine")
FREE_POLL_S = 0.1
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_new(core: Core, region: Region, params: Params) -> str:
    """Check the identifier of a cluster to be made, and the quota.

    :return: the identifier, in lower case.
    :raises ClusterAlreadyExistsError: it is taken, also by a rename on its way.
    :raises ClusterQuotaExceededError: too many clusters.
    """
    identifier = rules.identifier(params.get("DBClusterIdentifier"), "DBClusterIdentifier")
    check_free(region, identifier)
    if len(region.clusters) >= core.quotas.clusters:
        raise ClusterQuotaExceededError(
            f"You have reached your quota of {core.quotas.clusters} DB clusters in {region.name}; delete some."
        )
    if params.get("EngineMode", "provisioned") != "provisioned":
        raise InvalidParameterCombinationError("localcloud emulates EngineMode provisioned only.")
    if params.get("StorageType", "aurora") not in {"aurora", "aurora-iopt1"}:
        raise InvalidParameterValueError(f"Invalid storage type: {params['StorageType']}. Known: aurora, aurora-iopt1.")
    return identifier


def check_free(region: Region, identifier: str) -> None:
    """Check that no cluster has the identifier, and none is on its way to it.

    :raises ClusterAlreadyExistsError: it is taken.
    """
    if identifier in region.clusters or any(c.pending_identifier == identifier for c in region.clusters.values()):
        raise ClusterAlreadyExistsError(f"DB Cluster already exists: {identifier}")


def build(
    core: Core, region: Region, params: Params, *, engine_version: str, master: str, key: str | None, retention: int
) -> Cluster:
    """Build a cluster from the parameters that all ways of making one share; it is not yet in the region.

    What is not given has the default, not the source's value: security group, parameter group, protection off.

    :param engine_version: checked version.
    :param master: master user name.
    :param key: ARN of the key, None if not encrypted.
    :param retention: days of automated backups, where the parameters have none.
    """
    place = network.placement(
        region.account, region.name, params.get("DBSubnetGroupName"), params.get("VpcSecurityGroupIds")
    )
    database = params.get("DatabaseName")
    if database is not None and not _DATABASE.fullmatch(database):
        raise InvalidParameterValueError(
            f"DatabaseName {database!r} is not valid: 1 to 64 letters, digits, underscores."
        )
    roles = [Role(item["RoleArn"], item.get("FeatureName") or "") for item in params.get("AssociatedRoles") or ()]
    for role in roles:
        network.check_role(region.account, role.arn)
        role.status = "ACTIVE"
    return Cluster(
        account=region.account,
        region=region.name,
        identifier=rules.identifier(params["DBClusterIdentifier"], "DBClusterIdentifier"),
        resource_id=new_id("cluster-"),
        created=time.time(),
        engine=catalog.ENGINE,
        engine_version=engine_version,
        master_username=master,
        # every endpoint has an address of its own, so all listen on one port; the Port asked for cannot be had
        port=core.cloud.config.db_port,
        subnet_group=place.subnet_group,
        vpc_id=place.vpc_id,
        zones=place.zones,
        security_groups=place.security_groups,
        parameter_group=network.cluster_parameter_group(
            region.account, region.name, params.get("DBClusterParameterGroupName"), engine_version
        ),
        kms_key_id=key,
        database_name=database,
        backup_retention=rules.backup_retention(params.get("BackupRetentionPeriod", retention)),
        backup_window=params.get("PreferredBackupWindow", Cluster.backup_window),
        maintenance_window=params.get("PreferredMaintenanceWindow", Cluster.maintenance_window),
        deletion_protection=bool(params.get("DeletionProtection")),
        copy_tags=bool(params.get("CopyTagsToSnapshot")),
        iam_authentication=bool(params.get("EnableIAMDatabaseAuthentication")),
        log_exports=catalog.log_types(list(params.get("EnableCloudwatchLogsExports") or [])),
        serverless=scaling(params.get("ServerlessV2ScalingConfiguration")),
        roles=roles,
        tags=rules.tags(params.get("Tags")),
    )


def scaling(value: Params | None) -> dict[str, float] | None:
    """Check a ServerlessV2ScalingConfiguration."""
    if value is None:
        return None
    low, high = value.get("MinCapacity"), value.get("MaxCapacity")
    if low is None or high is None or not 0 <= low <= high <= 256 or high < 1:
        raise InvalidParameterValueError("Serverless v2 capacity: MinCapacity 0 to MaxCapacity, MaxCapacity 1 to 256.")
    return {"MinCapacity": float(low), "MaxCapacity": float(high)}


class Clusters:
    """Operations on clusters.

    :param snapshots: for the final snapshot.
    """

    def __init__(self, core: Core, snapshots: Snapshots) -> None:
        self.core = core
        self.snapshots = snapshots

    def create(self, region: Region, params: Params) -> dict[str, Any]:
        """CreateDBCluster: an empty cluster without instances; nothing listens."""
        rules.known_parameters(params, CREATE, "CreateDBCluster")
        core = self.core
        with core.lock:
            check_new(core, region, params)
            catalog.engine(params.get("Engine"))
            version = catalog.version(params.get("EngineVersion"))
            master = rules.username(params.get("MasterUsername"))
            managed.check_create(params)
            password = None
            if not params.get("ManageMasterUserPassword"):
                if not params.get("MasterUserPassword"):
                    raise InvalidParameterValueError(
                        "The parameter MasterUserPassword must be provided and must not be blank."
                    )
                password = rules.password(params["MasterUserPassword"])
            key = self._new_key(region, params)
            cluster = build(core, region, params, engine_version=version, master=master, key=key, retention=1)
            if password is None:
                password = managed.adopt(core, cluster, params.get("MasterUserSecretKmsKeyId"))
            cluster.pending_password = password
            cluster.pending_database = cluster.database_name
            region.clusters[cluster.identifier] = cluster
        core.lifecycle.run(
            f"create cluster {cluster.identifier}",
            lifecycle.CREATE_CLUSTER,
            partial(core.once, cluster.resource_id, partial(core.engine.create, cluster.resource_id)),
            partial(self._created, cluster),
            partial(core.fail, cluster),
            cluster,
        )
        return views.cluster(region, cluster)

    def _created(self, cluster: Cluster) -> None:
        with self.core.lock:
            if cluster.secret:
                cluster.secret.status = "active"
            self.core.turn(cluster, "available")
            self.core.event(cluster, kinds.CLUSTER_CREATED)

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeDBClusters."""
        with self.core.lock:
            if params.get("DBClusterIdentifier"):
                return {"DBClusters": [views.cluster(region, self.core.cluster(region, params["DBClusterIdentifier"]))]}
            wanted = rules.filters(params, FILTERS)
            found = [
                cluster
                for cluster in region.clusters.values()
                if rules.matches(
                    wanted,
                    {
                        "clone-group-id": cluster.clone_group,
                        "db-cluster-id": cluster.identifier,
                        "db-cluster-resource-id": cluster.resource_id,
                        "engine": cluster.engine,
                    },
                )
            ]
            page, marker = rules.page(found, params, lambda cluster: cluster.identifier)
            return {"DBClusters": [views.cluster(region, cluster) for cluster in page], "Marker": marker}

    def delete(self, region: Region, params: Params) -> dict[str, Any]:
        """DeleteDBCluster: refused while protected, not available, or with members that are not being deleted."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            final = self._final_snapshot(region, params)
            if cluster.deletion_protection:
                raise InvalidParameterCombinationError(
                    "Cannot delete protected Cluster, please disable deletion protection and try again."
                )
            if cluster.status not in TERMINAL:
                core.require_available(cluster, "delete the cluster")
            if any(member.status != "deleting" for member in region.members(cluster)):
                raise InvalidClusterStateError(
                    "Cluster cannot be deleted, it still contains DB instances in non-deleting state."
                )
            core.turn(cluster, "deleting")
            cluster.deletion_protection = False
            snapshot = self.snapshots.reserve(region, cluster, final, "manual", {}) if final else None
            remove = partial(self._remove, region, cluster, automated=bool(params.get("DeleteAutomatedBackups", True)))
            core.lifecycle.run(
                f"delete cluster {cluster.identifier}",
                lifecycle.DELETE,
                None,
                partial(self._when_free, region, cluster, snapshot, remove),
                partial(core.fail, cluster),
                cluster,
            )
            return views.cluster(region, cluster)

    def _when_free(self, region: Region, cluster: Cluster, final: Snapshot | None, remove: Callable[[], None]) -> None:
        """Take the final snapshot of a cluster once its members are gone, then remove it."""
        core = self.core
        with core.lock:
            waits = bool(region.members(cluster))
        if waits:
            core.lifecycle.later(FREE_POLL_S, partial(self._when_free, region, cluster, final, remove))
        elif final:
            self.snapshots.begin(cluster, final, remove, partial(core.fail, cluster))
        else:
            remove()

    def _remove(self, region: Region, cluster: Cluster, *, automated: bool) -> None:
        """Remove a cluster, its data and its secret.

        :param automated: its automated snapshots, and what it can be restored to a moment from, too.
        """
        core = self.core

        def remove() -> None:
            with core.working(cluster.resource_id):
                core.engine.expose(cluster.resource_id, set())
                if automated:
                    core.engine.delete(cluster.resource_id)
                else:
                    retained.keep(core, cluster)
            managed.drop(core, cluster)

        def removed() -> None:
            with core.lock:
                region.clusters.pop(cluster.identifier, None)
                core.event(cluster, kinds.CLUSTER_DELETED)
                for snapshot in list(region.snapshots.values()) if automated else ():
                    if snapshot.snapshot_type == "automated" and snapshot.cluster_resource_id == cluster.resource_id:
                        self.snapshots.remove(region, snapshot)
            core.forget(cluster.resource_id)

        core.lifecycle.run(
            f"delete cluster {cluster.identifier}", 0, remove, removed, partial(core.fail, cluster), cluster
        )

    def stop(self, region: Region, params: Params) -> dict[str, Any]:
        """StopDBCluster: the server ends, nothing listens; only start is possible then."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            core.require_available(cluster, "stop the cluster")
            members = region.members(cluster)
            if any(member.status != "available" for member in members):
                raise InvalidClusterStateError(
                    f"Cannot stop the cluster: not all instances of {cluster.identifier} are available; wait for them."
                )
            self._turn_all(cluster, members, "stopping", listening=False)

        def work() -> None:
            core.expose(cluster)
            with core.working(cluster.resource_id):
                core.engine.stop(cluster.resource_id)

        def done() -> None:
            with core.lock:
                self._turn_all(cluster, members, "stopped", listening=False)
                core.event(cluster, kinds.CLUSTER_STOPPED)

        core.lifecycle.run(
            f"stop {cluster.identifier}", lifecycle.STOP, work, done, partial(core.fail, cluster), cluster
        )
        return views.cluster(region, cluster)

    def start(self, region: Region, params: Params) -> dict[str, Any]:
        """StartDBCluster: only a stopped one."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            if cluster.status != "stopped":
                raise InvalidClusterStateError(
                    f"DbCluster {cluster.identifier} is in {cluster.status} state but expected in one of stopped,"
                    "inaccessible-encryption-credentials-recoverable."
                )
            members = region.members(cluster)
            self._turn_all(cluster, members, "starting", listening=False)

        def work() -> None:
            if members:
                core.boot(cluster)

        def done() -> None:
            with core.lock:
                for member in members:
                    member.listening = True
            core.expose(cluster)
            with core.lock:
                self._turn_all(cluster, members, "available", listening=True)
                core.event(cluster, kinds.CLUSTER_STARTED)

        core.lifecycle.run(
            f"start {cluster.identifier}", lifecycle.START, work, done, partial(core.fail, cluster), cluster
        )
        return views.cluster(region, cluster)

    def failover(self, region: Region, params: Params) -> dict[str, Any]:
        """FailoverDBCluster: an available reader becomes the writer."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            core.require_available(cluster, "fail over")
            target = params.get("TargetDBInstanceIdentifier")
            readers = [m for m in region.members(cluster) if not m.writer and m.status == "available"]
            if target:
                readers = [m for m in readers if m.identifier == core.instance(region, target).identifier]
            if not readers:
                raise InvalidClusterStateError(
                    f"Cannot fail over: cluster {cluster.identifier} has no available reader"
                    f"{' ' + target if target else ''}; create one."
                )
            core.turn(cluster, "failing-over")

        def done() -> None:
            with core.lock:
                promote(region, cluster, min(readers, key=promotion_order))
                core.turn(cluster, "available")
                core.event(cluster, kinds.FAILOVER_COMPLETED)

        core.lifecycle.run(
            f"fail over {cluster.identifier}", lifecycle.FAILOVER, None, done, partial(core.fail, cluster), cluster
        )
        return views.cluster(region, cluster)

    def _new_key(self, region: Region, params: Params) -> str | None:
        if not params.get("StorageEncrypted"):
            if params.get("KmsKeyId"):
                raise InvalidParameterCombinationError("KmsKeyId is only valid with StorageEncrypted=true.")
            return None
        if params.get("KmsKeyId"):
            return self.core.key_for(region, params["KmsKeyId"])
        return self.core.cloud.kms.default_key(region.account, region.name).arn

    def _final_snapshot(self, region: Region, params: Params) -> str | None:
        final = params.get("FinalDBSnapshotIdentifier")
        if params.get("SkipFinalSnapshot"):
            if final:
                raise InvalidParameterCombinationError(
                    "FinalDBSnapshotIdentifier cannot be specified when SkipFinalSnapshot is true."
                )
            return None
        if not final:
            raise InvalidParameterCombinationError(
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
            )
        return self.snapshots.check_new(region, final, "FinalDBSnapshotIdentifier")

    def _turn_all(self, cluster: Cluster, members: list[Instance], status: str, *, listening: bool) -> None:
        self.core.turn(cluster, status)
        for member in members:
            member.listening = listening
            self.core.turn(member, status)


def promotion_order(member: Instance) -> tuple[int, str]:
    """Order in which readers are promoted: lowest tier first."""
    return member.promotion_tier, member.identifier


def promote(region: Region, cluster: Cluster, writer: Instance) -> None:
    """Make one member the writer."""
    for member in region.members(cluster):
        member.writer = member is writer
