"""Roles that a cluster may assume, for LOAD DATA FROM S3 and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.rds import lifecycle, network
from localcloud.rds.errors import RoleAlreadyExistsError, RoleNotFoundError, RoleQuotaExceededError
from localcloud.rds.model import Role

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region

ROLES_PER_CLUSTER = 5


class Roles:
    """AddRoleToDBCluster and RemoveRoleFromDBCluster."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def add(self, region: Region, params: Params) -> None:
        """AddRoleToDBCluster."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            core.require_available(cluster, "add a role")
            role = Role(params["RoleArn"], params.get("FeatureName") or "")
            if any(known.arn == role.arn for known in cluster.roles):
                raise RoleAlreadyExistsError(f"Role ARN {role.arn} already exists for DB Cluster {cluster.identifier}.")
            if len(cluster.roles) >= ROLES_PER_CLUSTER:
                raise RoleQuotaExceededError(
                    f"DB cluster {cluster.identifier} has {ROLES_PER_CLUSTER} roles; remove one."
                )
            network.check_role(region.account, role.arn)
            cluster.roles.append(role)

        def done() -> None:
            with core.lock:
                role.status = "ACTIVE"

        core.lifecycle.run("add role", lifecycle.ROLE, None, done, done, None)

    def remove(self, region: Region, params: Params) -> None:
        """RemoveRoleFromDBCluster."""
        core = self.core
        with core.lock:
            cluster = core.cluster(region, params.get("DBClusterIdentifier"))
            core.require_available(cluster, "remove a role")
            role = next((known for known in cluster.roles if known.arn == params["RoleArn"]), None)
            if role is None:
                raise RoleNotFoundError(
                    f"Role ARN {params['RoleArn']} cannot be found for DB Cluster {cluster.identifier}."
                )
            cluster.roles.remove(role)
