"""Cluster snapshots: taken, re-keyed, shared, copied, given back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import ConfigError, MissingError, SafetyError, StateError
from aurora_ops.core.ownership import OWNER, OWNER_TAG
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.rds import DEFAULT_KEY_ALIAS, RdsHook, Snapshot
from aurora_ops.links.console import SnapshotLink
from aurora_ops.operators.base import RefreshOperator, Result

_MOST_LISTED = 200


def _result(snapshot: Snapshot) -> Result:
    return {
        "snapshot_id": snapshot.snapshot_id,
        "snapshot_arn": snapshot.arn,
        "kms_key_arn": snapshot.kms_key_arn,
        "created_at": snapshot.created.isoformat() if snapshot.created else None,
    }


class _SnapshotOperator(RefreshOperator[RdsHook]):
    """What the operators of one snapshot share: waiting until it is available."""

    hook_class = RdsHook
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(),)

    def __init__(
        self,
        *,
        run_key: str | None = None,
        tags: dict[str, str] | None = None,
        expires_h: float | None = None,
        within_s: int = 4 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key
        self.tags = tags
        self.expires_h = expires_h
        self.within_s = within_s

    def _tags(self) -> dict[str, str]:
        return {**(self.tags or {}), **ownership.temporary(self.run_key, self.expires_h, datetime.now(UTC))}

    def _available(self, snapshot: Snapshot, context: Context) -> Result:
        if snapshot.status == "available":
            return _result(snapshot)
        if snapshot.status not in ("creating", "copying", "pending"):
            raise StateError(f"snapshot {snapshot.snapshot_id} is {snapshot.status}; delete it and run this task again")
        return self._wait_for(snapshot.snapshot_id, context)

    def _wait_for(self, snapshot_id: str, context: Context) -> Result:
        return self.wait_until(
            Wait(
                waiter="snapshot_available",
                args={"DBClusterSnapshotIdentifier": snapshot_id},
                show="DBClusterSnapshots[].[Status, PercentProgress]",
                within_s=self.within_s,
            ),
            context,
        )


class EnsureSnapshotOperator(_SnapshotOperator):
    """Make sure that a snapshot of a cluster exists and is available, taking it if need be.

    The AWS operation is ``CreateDBClusterSnapshot``; the cluster goes on serving. A snapshot that is there is adopted if it is
    one of this cluster.

    :param cluster_id: cluster to take it of (templated).
    :param snapshot_id: its identifier (templated).
    :param run_key: names the run, for the tags (templated).
    :param tags: further tags of a new snapshot (templated).
    :param expires_h: hours after which it may be removed if its run is dead; ``None`` is never (templated).
    :param within_s: seconds that it may take.
    :return: ``{"snapshot_id", "snapshot_arn", "kms_key_arn", "created_at"}``.
    :raises MissingError: there is no such cluster.
    :raises StateError: a snapshot of this name belongs to another cluster, or has failed.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusterSnapshots",
        "rds:CreateDBClusterSnapshot",
        "rds:AddTagsToResource",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "cluster_id",
        "snapshot_id",
        "run_key",
        "tags",
        "expires_h",
    )

    def __init__(self, *, cluster_id: str, snapshot_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cluster_id = cluster_id
        self.snapshot_id = snapshot_id

    def take_pass(self, context: Context) -> Result:
        """Adopt the snapshot, or ask for it and wait."""
        found = self.hook.find_snapshot(self.snapshot_id)
        if found is None:
            self.hook.create_snapshot(self.snapshot_id, self.cluster_id, self._tags())
            return self._wait_for(self.snapshot_id, context)
        if found.cluster_id != self.cluster_id:
            raise StateError(f"snapshot {self.snapshot_id} is one of {found.cluster_id}, not of {self.cluster_id}")
        return self._available(found, context)


class CopySnapshotOperator(_SnapshotOperator):
    """Copy a snapshot under a key of this account, and wait for the copy.

    The AWS operation is ``CopyDBClusterSnapshot``. The source is a snapshot of this account or the ARN of one that another
    account shares; AWS demands a key for the copy of a shared encrypted snapshot and refuses one for an unencrypted snapshot.
    With ``only_if_unshareable`` a manual snapshot under a customer key is given back as it is.

    :param source: identifier or ARN of the snapshot to copy; the ARN where it is in another region (templated).
    :param snapshot_id: identifier of the copy (templated).
    :param kms_key_id: key of the copy, of this account (templated).
    :param source_region: region of the source, where it is another one (templated).
    :param only_if_unshareable: copy only what cannot be shared: automated snapshots and those under ``aws/rds``.
    :param run_key: names the run, for the tags (templated).
    :param tags: further tags of the copy (templated).
    :param expires_h: hours after which it may be removed if its run is dead; ``None`` is never (templated).
    :param within_s: seconds that it may take.
    :return: ``{"snapshot_id", "snapshot_arn", "kms_key_arn", "created_at", "copied"}``.
    :raises MissingError: the source does not exist or is not shared with this account.
    :raises ConfigError: it must be re-keyed and no customer key is given.
    :raises StateError: a snapshot of the copy's name is a copy of another one, or has failed.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusterSnapshots",
        "rds:CopyDBClusterSnapshot",
        "rds:AddTagsToResource",
        "kms:DescribeKey",
        "kms:CreateGrant",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "source",
        "snapshot_id",
        "kms_key_id",
        "source_region",
        "run_key",
        "tags",
        "expires_h",
    )

    def __init__(
        self,
        *,
        source: str,
        snapshot_id: str,
        kms_key_id: str | None,
        source_region: str | None = None,
        only_if_unshareable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.snapshot_id = snapshot_id
        self.kms_key_id = kms_key_id
        self.source_region = source_region
        self.only_if_unshareable = only_if_unshareable

    def take_pass(self, context: Context) -> Result:
        """Adopt the copy, or ask for it and wait."""
        source = self._source_hook().find_snapshot(self.source)
        if self.only_if_unshareable and source is not None and self._shareable(source):
            return {**_result(source), "copied": False}  # the plan may not even have a name for a copy
        copy = self.hook.find_snapshot(self.snapshot_id)
        if copy is not None:
            if source is not None and copy.source_arn not in ("", source.arn):
                raise StateError(f"snapshot {copy.snapshot_id} is a copy of {copy.source_arn}, not of {source.arn}")
            return {**self._available(copy, context), "copied": True}
        if source is None:
            raise MissingError(
                f"no snapshot {self.source} behind {self.aws_conn_id}; if it is another account's, it must be shared first"
            )
        if source.encrypted and not self.kms_key_id:
            raise ConfigError("kms_key_id", None, f"name a customer key: {source.snapshot_id} is encrypted")
        self.hook.copy_snapshot(
            self.source,
            self.snapshot_id,
            kms_key_id=self.kms_key_id if source.encrypted else None,
            source_region=self._other_region(),
            tags=self._tags(),
        )
        return {**self._wait_for(self.snapshot_id, context), "copied": True}

    def _source_hook(self) -> RdsHook:
        """Give the API of the region that has the source: a region shows its own snapshots only."""
        other = self._other_region()
        return RdsHook(self.aws_conn_id, other) if other else self.hook

    def _other_region(self) -> str | None:
        """Name the source's region only where it is another one; boto3 then signs the request for both."""
        return self.source_region if self.source_region and self.source_region != self.hook.region_name else None

    def _shareable(self, source: Snapshot) -> bool:
        """Automated snapshots cannot be shared, nor any under the default key (Aurora User Guide, "Sharing")."""
        if source.type != "manual":
            return False
        if not source.encrypted:
            return True
        default = KmsHook(self.aws_conn_id, self.region_name).find_key(DEFAULT_KEY_ALIAS)
        return default is None or default["Arn"] != source.kms_key_arn


class ShareSnapshotOperator(RefreshOperator[RdsHook]):
    """Let another account copy a snapshot: the share list, and a grant on its key.

    The AWS operations are ``ModifyDBClusterSnapshotAttribute`` and, where it is encrypted, ``kms:CreateGrant``. A snapshot that
    this package did not make is tagged with the run and the share's expiry for as long as it is shared.

    :param snapshot_id: manual snapshot (templated).
    :param account_id: account to share it with (templated).
    :param grantee_arn: role of that account which will copy it (templated).
    :param run_key: names the run, for the tags (templated).
    :param expires_h: hours after which the share may be taken back if its run is dead; ``None`` is never (templated).
    :return: ``{"snapshot_arn", "kms_key_arn", "grant_id"}``.
    :raises MissingError: there is no such snapshot.
    """

    hook_class = RdsHook
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(),)
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBClusterSnapshotAttributes",
        "rds:ModifyDBClusterSnapshotAttribute",
        "rds:AddTagsToResource",
        "kms:ListGrants",
        "kms:CreateGrant",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "snapshot_id",
        "account_id",
        "grantee_arn",
        "run_key",
        "expires_h",
    )

    def __init__(
        self,
        *,
        snapshot_id: str,
        account_id: str,
        grantee_arn: str,
        run_key: str | None = None,
        expires_h: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_key = run_key
        self.expires_h = expires_h
        self.snapshot_id = snapshot_id
        self.account_id = account_id
        self.grantee_arn = grantee_arn

    def take_pass(self, context: Context) -> Result:
        """Grant the key first: whoever sees the snapshot can then use it."""
        snapshot = self.hook.find_snapshot(self.snapshot_id)
        if snapshot is None:
            raise MissingError(f"no snapshot {self.snapshot_id} behind {self.aws_conn_id}")
        grant_id = None
        if snapshot.encrypted:
            kms = KmsHook(self.aws_conn_id, self.region_name)
            name = naming.grant(snapshot.snapshot_id, self.account_id)
            present = kms.list_grants(snapshot.kms_key_arn, name)
            grant_id = present[0] if present else kms.create_grant(snapshot.kms_key_arn, self.grantee_arn, name)
        shared = self.account_id in self.hook.list_shared_with(self.snapshot_id)
        marked_by = snapshot.tags.get(ownership.share_tags(self.account_id)[0])
        if not shared or marked_by not in (None, self.run_key):
            self._mark(snapshot)
        if not shared:
            self.hook.change_sharing(self.snapshot_id, add=[self.account_id])
        return {"snapshot_arn": snapshot.arn, "kms_key_arn": snapshot.kms_key_arn, "grant_id": grant_id}

    def _mark(self, snapshot: Snapshot) -> None:
        """Say on somebody else's snapshot whose share it is; one of ours has its tags already."""
        if ownership.is_ours(snapshot.tags) or not self.run_key or self.expires_h is None:
            return
        run, expires = ownership.share_tags(self.account_id)
        moment = ownership.expiry(datetime.now(UTC), self.expires_h)
        self.hook.set_tags(snapshot.arn, {run: self.run_key, expires: moment})


def revoke_share(hook: RdsHook, snapshot: Snapshot, account_id: str, *, shared: bool = True) -> bool:
    """Take a share back with its grant and its tags; what is not there is left at that.

    :param hook: account of the snapshot.
    :param snapshot: manual snapshot.
    :param account_id: account it was shared with.
    :param shared: the share is this package's; else only its grant ends.
    :return: whether there was anything.
    """
    revoked = shared and account_id in hook.list_shared_with(snapshot.snapshot_id)
    if revoked:
        hook.change_sharing(snapshot.snapshot_id, remove=[account_id])
    if snapshot.encrypted:
        kms = KmsHook(hook.aws_conn_id or "", hook.region_name)
        for grant_id in kms.list_grants(snapshot.kms_key_arn, naming.grant(snapshot.snapshot_id, account_id)):
            kms.revoke_grant(snapshot.kms_key_arn, grant_id)
            revoked = True
    tags = [key for key in ownership.share_tags(account_id) if key in snapshot.tags]
    if tags and shared:
        hook.remove_tags(snapshot.arn, tags)
    return revoked


class RevokeShareOperator(RefreshOperator[RdsHook]):
    """Take a share back: the account leaves the share list, and the grants made for it end.

    A snapshot that is gone, was never shared, or was never chosen because the run ended first is left at that.

    :param snapshot_id: manual snapshot, or ``None`` (templated).
    :param account_id: account it was shared with (templated).
    :param was_shared: somebody had shared it before; then the share stays, and only this package's grant ends (templated).
    :return: ``{"revoked": bool}``.
    """

    hook_class = RdsHook
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(),)
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusterSnapshots",
        "rds:DescribeDBClusterSnapshotAttributes",
        "rds:ModifyDBClusterSnapshotAttribute",
        "rds:RemoveTagsFromResource",
        "kms:ListGrants",
        "kms:RevokeGrant",
    )
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "snapshot_id", "account_id", "was_shared")

    def __init__(
        self, *, snapshot_id: str | None, account_id: str, was_shared: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.snapshot_id = snapshot_id
        self.account_id = account_id
        self.was_shared = was_shared

    def take_pass(self, context: Context) -> Result:
        """Take away what is there."""
        snapshot = self.hook.find_snapshot(self.snapshot_id) if self.snapshot_id else None
        if snapshot is None or snapshot.type != "manual":
            return {"revoked": False}
        return {"revoked": revoke_share(self.hook, snapshot, self.account_id, shared=not self.was_shared)}


class DeleteSnapshotOperator(RefreshOperator[RdsHook]):
    """Delete a snapshot that this package made, and wait until it is gone.

    The AWS operation is ``DeleteDBClusterSnapshot``. An absent snapshot is the goal.

    :param snapshot_id: manual snapshot, or ``None`` for nothing to do (templated).
    :param within_s: seconds that it may take.
    :return: ``{"snapshot_id", "status": "absent"}``.
    :raises SafetyError: it does not carry this package's owner tag.
    """

    hook_class = RdsHook
    operator_extra_links: Collection[BaseOperatorLink] = (SnapshotLink(),)
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusterSnapshots", "rds:DeleteDBClusterSnapshot")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "snapshot_id")

    def __init__(self, *, snapshot_id: str | None, within_s: int = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot_id = snapshot_id
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look; delete what is there and is ours; wait."""
        snapshot = self.hook.find_snapshot(self.snapshot_id) if self.snapshot_id else None
        if snapshot is None:
            return {"snapshot_id": self.snapshot_id, "status": "absent"}
        if snapshot.tags.get(OWNER_TAG) != OWNER:
            raise SafetyError(
                f"snapshot {snapshot.snapshot_id} is not tagged {OWNER_TAG}={OWNER}; it is not ours to delete"
            )
        return self.wait_until(delete_step(self.hook, snapshot, self.within_s), context)


def delete_step(hook: RdsHook, snapshot: Snapshot, within_s: int) -> Wait:
    """Ask for the end of a snapshot, unless somebody has.

    :param hook: account of the snapshot.
    :param snapshot: one of ours.
    :param within_s: seconds that it may take.
    :return: what to wait for.
    """
    if snapshot.status != "deleting":
        hook.delete_snapshot(snapshot.snapshot_id)
    return Wait(
        waiter="snapshot_deleted",
        args={"DBClusterSnapshotIdentifier": snapshot.snapshot_id},
        show="DBClusterSnapshots[].Status",
        within_s=within_s,
        every_s=15,
    )


class ListSharedSnapshotsOperator(RefreshOperator[RdsHook]):
    """List the cluster snapshots that other accounts share with this one, newest first. Changes nothing.

    The AWS operation is ``DescribeDBClusterSnapshots`` with ``SnapshotType=shared``, all pages. The log names each; the result at
    most 200, since it is an XCom.

    :param source_account: account id that shares; ``None`` is every account (templated).
    :return: ``{"count", "snapshots": [{"snapshot_arn", "cluster_id", "created_at", "encrypted"}]}``.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusterSnapshots",)
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "source_account")

    def __init__(self, *, source_account: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_account = source_account

    def take_pass(self, context: Context) -> Result:
        """Read, filter, sort."""
        found = [
            snapshot
            for snapshot in self.hook.list_shared_snapshots()
            if self.source_account in (None, snapshot.arn.split(":")[4])
        ]
        found.sort(key=lambda snapshot: (snapshot.created is not None, snapshot.created), reverse=True)
        for snapshot in found:
            self.log.info("%s of %s, taken %s", snapshot.arn, snapshot.cluster_id, snapshot.created)
        return {
            "count": len(found),
            "snapshots": [
                {
                    "snapshot_arn": snapshot.arn,
                    "cluster_id": snapshot.cluster_id,
                    "created_at": snapshot.created.isoformat() if snapshot.created else None,
                    "encrypted": snapshot.encrypted,
                }
                for snapshot in found[:_MOST_LISTED]
            ],
        }
