"""ModifyDBCluster: rename, master password, settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.rds import catalog, lifecycle, managed, network, rules, views
from localcloud.rds.clusters import check_free, scaling
from localcloud.rds.errors import InvalidClusterStateError, InvalidParameterCombinationError
from localcloud.rds.events import kinds

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params, Region

ALLOWED = {
    "AllowMajorVersionUpgrade",
    "ApplyImmediately",
    "BackupRetentionPeriod",
    "CloudwatchLogsExportConfiguration",
    "CopyTagsToSnapshot",
    "DBClusterIdentifier",
    "DBClusterParameterGroupName",
    "DeletionProtection",
    "EnableIAMDatabaseAuthentication",
    "EngineVersion",
    "ManageMasterUserPassword",
    "MasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "NewDBClusterIdentifier",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "RotateMasterUserPassword",
    "ServerlessV2ScalingConfiguration",
    "VpcSecurityGroupIds",
}
# these turn at once and without a status of their own
QUIET = {"CopyTagsToSnapshot", "DeletionProtection", "PreferredBackupWindow", "PreferredMaintenanceWindow"}


class ModifyCluster:
    """ModifyDBCluster. Everything is checked before anything changes."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def modify(self, region: Region, params: Params) -> dict[str, Any]:
        """Change a cluster; the answer and the first describe after it still say ``available``.

        A rename needs ApplyImmediately: without, it waits for a maintenance window, which localcloud has not.

        :raises InvalidClusterStateError: the cluster is not available.
        :raises ClusterAlreadyExistsError: the new identifier is taken; nothing is overwritten.
        """
        rules.known_parameters(params, ALLOWED, "ModifyDBCluster")
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            core.require_available(cluster, "modify the cluster")
            managed.check_modify(cluster, params)
            if params.get("MasterUserPassword"):
                rules.password(params["MasterUserPassword"])
            new = self._new_identifier(region, cluster, params)
            settings = self._settings(cluster, params)
            if "EngineVersion" in settings and not params.get("ApplyImmediately"):
                raise InvalidParameterCombinationError(
                    "localcloud has no maintenance windows: upgrade with ApplyImmediately."
                )
            if new and not params.get("ApplyImmediately"):
                cluster.pending_identifier, new = new, None
            password = self._password(cluster, params)
            for name, value in settings.items():
                setattr(cluster, _FIELDS[name], value)
            if "DBClusterParameterGroupName" in settings:
                for member in region.members(cluster):
                    member.parameter_status = "pending-reboot"
            view = views.cluster(region, cluster)
            if password is not None:
                self._reset_password(cluster, password, partial(self._rename, region, cluster, new) if new else None)
            elif new:
                self._rename(region, cluster, new)
            elif set(settings) - QUIET:
                self._settle(cluster, "upgrading" if "EngineVersion" in settings else "modifying")
            return view

    def _new_identifier(self, region: Region, cluster: Cluster, params: Params) -> str | None:
        new = params.get("NewDBClusterIdentifier")
        if not new:
            return cluster.pending_identifier if params.get("ApplyImmediately") else None
        new = rules.identifier(new, "NewDBClusterIdentifier")
        if new == cluster.identifier:
            return None
        if new != cluster.pending_identifier:
            check_free(region, new)
        ram = self.core.cloud.ram
        if ram and ram.is_shared(cluster.arn):
            raise InvalidClusterStateError(
                f"Cannot rename {cluster.identifier}: it is shared with other accounts; delete its resource shares."
            )
        if any(member.status != "available" for member in region.members(cluster)):
            raise InvalidClusterStateError(
                f"Cannot rename {cluster.identifier}: not all of its instances are available; wait for them."
            )
        return new

    def _settings(self, cluster: Cluster, params: Params) -> dict[str, Any]:
        """Check the plain settings; return those that change, by parameter name."""
        result: dict[str, Any] = {
            name: params[name]
            for name in (
                "CopyTagsToSnapshot",
                "DeletionProtection",
                "EnableIAMDatabaseAuthentication",
                "PreferredBackupWindow",
                "PreferredMaintenanceWindow",
            )
            if params.get(name) is not None
        }
        place = (cluster.account, cluster.region)
        if params.get("BackupRetentionPeriod") is not None:
            result["BackupRetentionPeriod"] = rules.backup_retention(params["BackupRetentionPeriod"])
        if params.get("EngineVersion"):
            version = catalog.not_older(catalog.version(params["EngineVersion"]), cluster.engine_version)
            if catalog.family(version) != catalog.family(cluster.engine_version):
                raise InvalidParameterCombinationError("localcloud does not emulate major version upgrades.")
            result["EngineVersion"] = version
        if params.get("DBClusterParameterGroupName"):
            result["DBClusterParameterGroupName"] = network.cluster_parameter_group(
                *place, params["DBClusterParameterGroupName"], cluster.engine_version
            )
        if params.get("VpcSecurityGroupIds"):
            result["VpcSecurityGroupIds"] = network.check_security_groups(
                *place, cluster.vpc_id, params["VpcSecurityGroupIds"]
            )
        if params.get("CloudwatchLogsExportConfiguration"):
            config = params["CloudwatchLogsExportConfiguration"]
            off = set(config.get("DisableLogTypes") or [])
            on = catalog.log_types(list(config.get("EnableLogTypes") or []))
            result["CloudwatchLogsExportConfiguration"] = sorted((set(cluster.log_exports) - off) | set(on))
        if params.get("ServerlessV2ScalingConfiguration"):
            result["ServerlessV2ScalingConfiguration"] = scaling(params["ServerlessV2ScalingConfiguration"])
        unchanged = [name for name, value in result.items() if getattr(cluster, _FIELDS[name]) == value]
        return {name: value for name, value in result.items() if name not in unchanged}

    def _password(self, cluster: Cluster, params: Params) -> str | None:
        """Return the new master password, if there shall be one, and make or drop the secret."""
        secrets = self.core.cloud.secrets
        if params.get("ManageMasterUserPassword") and not cluster.secret:
            return managed.adopt(self.core, cluster, params.get("MasterUserSecretKmsKeyId"))
        if params.get("ManageMasterUserPassword") is False and cluster.secret:
            managed.drop(self.core, cluster)
        if params.get("RotateMasterUserPassword") and cluster.secret:
            password = secrets.new_password()
            cluster.secret.status = "rotating"
            return password
        value: str | None = params.get("MasterUserPassword")
        return value

    def _reset_password(self, cluster: Cluster, password: str, then: partial[None] | None) -> None:
        core = self.core
        core.turn(cluster, "resetting-master-credentials", lag=True)
        rotating = cluster.secret is not None and cluster.secret.status == "rotating"

        def work() -> None:
            core.set_password(cluster, password)
            if rotating and cluster.secret:
                place = (cluster.account, cluster.region, cluster.secret.arn)
                if core.cloud.secrets.password(*place) != password:
                    core.cloud.secrets.rotate(*place, password)

        def done() -> None:
            with core.lock:
                if cluster.secret:
                    cluster.secret.status = "active"
                core.turn(cluster, "available")
                core.event(cluster, kinds.CREDENTIALS_RESET)
                if then:
                    then()

        core.lifecycle.run(
            f"reset master credentials of {cluster.identifier}",
            lifecycle.PASSWORD + lifecycle.LAG,
            work,
            done,
            partial(core.fail, cluster),
            cluster,
        )

    def _rename(self, region: Region, cluster: Cluster, new: str) -> None:
        """Rename; members, tags and resource id stay. Old endpoints lead nowhere at once, new ones come at the end."""
        core = self.core
        old = cluster.identifier
        cluster.pending_identifier = new
        cluster.withdrawn = True
        core.turn(cluster, "renaming", lag=True)

        def done() -> None:
            with core.lock:
                if region.clusters.get(old) is cluster:
                    del region.clusters[old]
                cluster.identifier = new
                region.clusters[new] = cluster
                cluster.pending_identifier = None
                cluster.withdrawn = False
            core.expose(cluster)
            with core.lock:
                core.turn(cluster, "available")
                core.event(cluster, kinds.CLUSTER_RENAMED, old=old, new=new)

        core.lifecycle.run(
            f"rename {old} to {new}",
            lifecycle.RENAME + lifecycle.LAG,
            partial(core.expose, cluster),
            done,
            partial(core.fail, cluster),
            cluster,
        )

    def _settle(self, cluster: Cluster, status: str) -> None:
        core = self.core
        core.turn(cluster, status, lag=True)
        core.lifecycle.run(
            f"modify {cluster.identifier}",
            lifecycle.MODIFY + lifecycle.LAG,
            None,
            partial(core.turn, cluster, "available"),
            partial(core.fail, cluster),
            cluster,
        )


_FIELDS = {
    "BackupRetentionPeriod": "backup_retention",
    "CloudwatchLogsExportConfiguration": "log_exports",
    "CopyTagsToSnapshot": "copy_tags",
    "DBClusterParameterGroupName": "parameter_group",
    "DeletionProtection": "deletion_protection",
    "EnableIAMDatabaseAuthentication": "iam_authentication",
    "EngineVersion": "engine_version",
    "PreferredBackupWindow": "backup_window",
    "PreferredMaintenanceWindow": "maintenance_window",
    "ServerlessV2ScalingConfiguration": "serverless",
    "VpcSecurityGroupIds": "security_groups",
}
