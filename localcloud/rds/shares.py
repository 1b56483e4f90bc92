"""Who may copy and restore a snapshot: its ``restore`` attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.cloud import KeyNotAccessible
from localcloud.rds import rules, views
from localcloud.rds.errors import (
    InvalidParameterValueError,
    InvalidSnapshotStateError,
    SharedSnapshotQuotaExceededError,
)

if TYPE_CHECKING:
    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region, Snapshot


class Shares:
    """DescribeDBClusterSnapshotAttributes and ModifyDBClusterSnapshotAttribute, for the owner only."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def describe(self, region: Region, params: Params) -> dict[str, Any]:
        """DescribeDBClusterSnapshotAttributes."""
        with self.core.lock:
            snapshot = self.core.own_snapshot(region, params.get("DBClusterSnapshotIdentifier"))
            return {"DBClusterSnapshotAttributesResult": views.attributes(snapshot)}

    def modify(self, region: Region, params: Params) -> dict[str, Any]:
        """ModifyDBClusterSnapshotAttribute: a set of at most 20 accounts, or ``all`` for an unencrypted snapshot.

        Taking away who is not in it is fine, so is adding who is.

        :raises InvalidSnapshotStateError: automated, unfinished, or encrypted with ``aws/rds``: copy it first.
        :raises SharedSnapshotQuotaExceededError: more than 20.
        """
        if params.get("AttributeName") != "restore":
            raise InvalidParameterValueError(f"Invalid attribute name: {params.get('AttributeName')}. Known: restore.")
        add = [rules.share_value(value) for value in params.get("ValuesToAdd") or ()]
        remove = [rules.share_value(value) for value in params.get("ValuesToRemove") or ()]
        both = set(add) & set(remove)
        if both or not add + remove:
            raise InvalidParameterValueError(f"Give ValuesToAdd or ValuesToRemove, none in both: {sorted(both)}")
        with self.core.lock:
            snapshot = self.core.own_snapshot(region, params.get("DBClusterSnapshotIdentifier"))
            if add:
                self._check_shareable(region, snapshot, add)
            shared = list(dict.fromkeys([value for value in snapshot.shared_with if value not in remove] + add))
            if len(shared) > rules.SHARES_PER_SNAPSHOT:
                raise SharedSnapshotQuotaExceededError(
                    f"Cannot share snapshot {snapshot.identifier} with more than {rules.SHARES_PER_SNAPSHOT} accounts."
                )
            snapshot.shared_with = shared
            return {"DBClusterSnapshotAttributesResult": views.attributes(snapshot)}

    def _check_shareable(self, region: Region, snapshot: Snapshot, add: list[str]) -> None:
        if snapshot.snapshot_type != "manual":
            raise InvalidSnapshotStateError(
                f"Automated snapshot {snapshot.identifier} cannot be shared: copy it to a manual one and share that."
            )
        self.core.require_complete(snapshot)
        if snapshot.kms_key_id is None:
            return
        if "all" in add:
            raise InvalidParameterValueError(f"Encrypted snapshot {snapshot.identifier} cannot be made public.")
        try:
            default = self.core.cloud.kms.resolve(region.account, region.name, snapshot.kms_key_id).is_default_rds
        except KeyNotAccessible:
            default = False  # a foreign key that this account has lost access to, so not aws/rds
        if default:
            raise InvalidSnapshotStateError(
                "Sharing snapshots encrypted with the default service key for RDS is currently not supported: copy "
                f"{snapshot.identifier} with a customer managed KmsKeyId and share the copy."
            )
