"""Amazon RDS: snapshots that may be exported, of clusters and of instances."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import MissingError
from aurora_ops.core.exports import names
from aurora_ops.core.exports.snapshots import Snapshot, kind_of
from aurora_ops.hooks.base import AwsHook


class ExportsHook(AwsHook):
    """Snapshots of one account and region."""

    service = "rds"

    def find_snapshot(self, arn: str) -> Snapshot | None:
        """Look for a snapshot of this account and region (``DescribeDBClusterSnapshots``, ``DescribeDBSnapshots``).

        It is asked for by its identifier: by ARN only shared ones are documented to be found. One that is automated, or AWS
        Backup's of an instance, is found only if its type is said, which its identifier tells.

        :param arn: the snapshot's.
        :raises ValueError: it is none of a snapshot.
        """
        snapshot_id = names.snapshot_of(arn)
        kind = "automated" if snapshot_id.startswith("rds:") else None
        try:
            if names.is_of_a_cluster(arn):
                found = self._of_clusters(DBClusterSnapshotIdentifier=snapshot_id, SnapshotType=kind)
            else:
                kind = "awsbackup" if snapshot_id.startswith("awsbackup:") else kind
                found = self._of_instances(DBSnapshotIdentifier=snapshot_id, SnapshotType=kind)
        except MissingError:
            return None
        return next((one for one in found if one.arn == arn), None)

    def list_snapshots(self, *, cluster: str | None = None, instance: str | None = None) -> list[Snapshot]:
        """List the snapshots of a cluster or an instance, of all kinds, all pages.

        Where no type is said RDS gives automated and manual ones. Those of AWS Backup are asked for too
        (``SnapshotType=awsbackup``), of instances only: RDS says that the type does not apply to Aurora, whose own are told by
        their names. What others share is in neither list.

        :param cluster: identifier of the cluster; or ``instance``.
        :param instance: identifier of the instance; or ``cluster``.
        """
        if cluster is not None:
            return self._of_clusters(DBClusterIdentifier=cluster)
        found = self._of_instances(DBInstanceIdentifier=instance)
        found += self._of_instances(DBInstanceIdentifier=instance, SnapshotType="awsbackup")
        return list({one.arn: one for one in found}.values())

    def _of_clusters(self, **asked: Any) -> list[Snapshot]:
        return [
            _snapshot(raw, "DBClusterSnapshot", "DBClusterIdentifier")
            for raw in self.pages("describe_db_cluster_snapshots", "DBClusterSnapshots", **asked)
        ]

    def _of_instances(self, **asked: Any) -> list[Snapshot]:
        return [
            _snapshot(raw, "DBSnapshot", "DBInstanceIdentifier")
            for raw in self.pages("describe_db_snapshots", "DBSnapshots", **asked)
        ]


def _snapshot(raw: dict[str, Any], what: str, of: str) -> Snapshot:
    return Snapshot(
        arn=raw[f"{what}Arn"],
        database_id=raw[of],
        kind=kind_of(raw[f"{what}Identifier"], raw.get("SnapshotType") or ""),
        status=raw.get("Status") or "",
        created=raw.get("SnapshotCreateTime"),
        encrypted_by=raw.get("KmsKeyId"),
    )
