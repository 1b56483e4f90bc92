"""Tags of clusters, members and cluster snapshots, by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.rds import rules
from localcloud.rds.errors import AccessDeniedError, ClusterNotFoundError, InstanceNotFoundError, SnapshotNotFoundError

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Cluster, Instance, Params, Region, Snapshot


class Tagging:
    """ListTagsForResource, AddTagsToResource, RemoveTagsFromResource."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def find(self, region: Region, arn_text: str | None, other_instances: bool) -> Cluster | Instance | Snapshot | None:
        """Resource of an ARN; None if it is one of the kinds that moto keeps.

        :param other_instances: whether moto has an instance of this ARN.
        :raises AccessDeniedError: another account's, also a snapshot shared with this one.
        :raises RdsError: one of the not-found errors.
        """
        arn = rules.parse_arn(arn_text or "")
        if arn is None or arn.kind not in {"cluster", "db", "cluster-snapshot"} or other_instances:
            return None
        if arn.account != region.account:
            raise AccessDeniedError(f"Account {region.account} is not authorized to use the tags of {arn_text}.")
        found: Cluster | Instance | Snapshot | None = None
        if arn.region == region.name:
            found = {
                "cluster": region.clusters.get(arn.name),
                "db": region.instances.get(arn.name),
                "cluster-snapshot": region.snapshots.get(arn.name),
            }[arn.kind]
        if found is None:
            error = {
                "cluster": ClusterNotFoundError,
                "db": InstanceNotFoundError,
                "cluster-snapshot": SnapshotNotFoundError,
            }[arn.kind]
            raise error(f"{arn_text} not found.")
        return found

    def add(self, resource: Cluster | Instance | Snapshot, params: Params) -> None:
        """Set tags; other tags stay."""
        with self.core.lock:
            merged = {**resource.tags, **rules.tags(params.get("Tags"))}
            rules.tags([{"Key": key, "Value": value} for key, value in merged.items()])
            resource.tags = merged

    def remove(self, resource: Cluster | Instance | Snapshot, params: Params) -> None:
        """Remove tags; those that are not there are fine."""
        with self.core.lock:
            for key in params.get("TagKeys") or ():
                resource.tags.pop(key, None)
