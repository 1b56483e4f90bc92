"""Automated backups: those of every cluster, and those of clusters that were deleted without them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from localcloud.rds import rules, views
from localcloud.rds.backups import restorable
from localcloud.rds.errors import AutomatedBackupNotFoundError, InvalidAutomatedBackupStateError

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Params, Region

FILTERS = ("db-cluster-id", "db-cluster-resource-id", "status")


class Retained:
    """Operations on automated backups, each of which is named by its cluster's resource id."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeDBClusterAutomatedBackups: ``active`` ones of clusters, ``retained`` ones of clusters that are gone.

        :raises AutomatedBackupNotFoundError: a resource id was given and nothing is found.
        """
        with self.core.lock:
            wanted = rules.filters(params, FILTERS)
            resource, name = params.get("DbClusterResourceId"), params.get("DBClusterIdentifier")
            found = [
                (cluster, status)
                for cluster, status in self._all(region)
                if resource in {None, cluster.resource_id}
                and name in {None, cluster.identifier}
                and rules.matches(
                    wanted,
                    {
                        "db-cluster-id": cluster.identifier,
                        "db-cluster-resource-id": cluster.resource_id,
                        "status": status,
                    },
                )
            ]
            if resource and not found:
                raise AutomatedBackupNotFoundError(f"DBClusterAutomatedBackup {resource} not found.")
            page, marker = rules.page(found, params, lambda item: item[0].resource_id)
            return {"DBClusterAutomatedBackups": [views.automated_backup(*item) for item in page], "Marker": marker}

    def delete(self, region: Region, params: Params) -> dict[str, Any]:
        """DeleteDBClusterAutomatedBackup: of a cluster that is gone.

        :raises InvalidAutomatedBackupStateError: the cluster is still there.
        """
        with self.core.lock:
            resource = params.get("DbClusterResourceId")
            for cluster, status in self._all(region):
                if cluster.resource_id == resource:
                    if status != "retained":
                        raise InvalidAutomatedBackupStateError(
                            f"Backups of {cluster.identifier} are {status}: they go when the cluster is deleted."
                        )
                    self.core.drop_retained(cluster)
                    return {"DBClusterAutomatedBackup": views.automated_backup(cluster, "deleting")}
        raise AutomatedBackupNotFoundError(f"DBClusterAutomatedBackup {resource} not found.")

    def _all(self, region: Region) -> list[tuple[Cluster, str]]:
        active = [(cluster, "active") for cluster in region.clusters.values() if restorable(cluster)]
        return active + [(cluster, "retained") for cluster in self.core.retained_in(region)]


def keep(core: Core, cluster: Cluster) -> None:
    """Keep the automated backups of a cluster that is deleted, for its backup retention period from now."""
    core.engine.follow(cluster.resource_id)
    cluster.restorable_until = time.time()
    core.engine.delete(cluster.resource_id, keep_backups=True)
    with core.lock:
        core.retained[cluster.resource_id] = cluster
