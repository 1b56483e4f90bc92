"""Snapshots of clusters and instances as RDS shows them: by pages, automated ones by name only where their type is said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

ACCOUNT, REGION = "111111111111", "eu-west-1"
PAGE = 2
MISSING = {True: "DBClusterSnapshotNotFoundFault", False: "DBSnapshotNotFound"}
TYPES = {
    True: {"automated", "manual", "shared", "public"},
    False: {"automated", "manual", "shared", "public", "awsbackup"},
}


def cluster_arn(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"


def instance_arn(name: str) -> str:
    return f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:{name}"


class FakeSnapshots:
    """Snapshots of one account and region."""

    def __init__(self) -> None:
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.refusal: str | None = None

    def add(
        self, arn: str, database: str, created: datetime, kind: str | None = None, status: str = "available"
    ) -> str:
        """A snapshot that is there."""
        name = arn.split(":", 6)[6]
        kind = kind or ("automated" if name.startswith("rds:") else "manual")
        self.snapshots[arn] = {
            "of": database,
            "id": name,
            "type": kind,
            "status": status,
            "created": created,
            "of_cluster": ":cluster-snapshot:" in arn,
        }
        return arn

    def call(self, model: ServiceModel, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        report = ParamValidator().validate(params, model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()
        self.calls.append(operation)
        if self.refusal:
            self._refuse(self.refusal)
        of_cluster = {"DescribeDBClusterSnapshots": True, "DescribeDBSnapshots": False}[operation]
        what, of = (
            ("DBClusterSnapshot", "DBClusterIdentifier") if of_cluster else ("DBSnapshot", "DBInstanceIdentifier")
        )
        name, kind = params.get(f"{what}Identifier"), params.get("SnapshotType")
        if kind is not None and kind not in TYPES[of_cluster]:
            self._refuse("InvalidParameterValue")
        shown = {kind} if kind else {"automated", "manual"} | ({"awsbackup"} if of_cluster else set())
        if name is not None and kind is None:
            shown.discard("automated")
        found = [
            (arn, one)
            for arn, one in self.snapshots.items()
            if one["of_cluster"] == of_cluster
            and one["type"] in shown
            and name in (None, one["id"])
            and params.get(of) in (None, one["of"])
        ]
        if name is not None and not found:
            self._refuse(MISSING[of_cluster])
        start = int(params.get("Marker") or 0)
        page = found[start : start + PAGE]
        more = {"Marker": str(start + PAGE)} if start + PAGE < len(found) else {}
        return {f"{what}s": [self._view(arn, one, what, of) for arn, one in page], **more}

    @staticmethod
    def _view(arn: str, one: dict[str, Any], what: str, of: str) -> dict[str, Any]:
        return {
            f"{what}Arn": arn,
            f"{what}Identifier": one["id"],
            of: one["of"],
            "SnapshotType": one["type"],
            "Status": one["status"],
            "SnapshotCreateTime": one["created"],
            "KmsKeyId": "arn:key",
        }

    @staticmethod
    def _refuse(code: str) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "refused"}}, "rds")
