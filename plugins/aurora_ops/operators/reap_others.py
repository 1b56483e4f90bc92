"""What dead runs left beside databases: grants, dumped tables, versions of secrets, locks. These are known by their names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from aurora_ops.core import naming, ownership, reaping
from aurora_ops.core.reaping import Leftover
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.ram import RamHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.reaping import ReapOperator

_GRANTS = "aurora-ops-"


class ReapGrantsOperator(ReapOperator[KmsHook]):
    """End grants that runs gave on keys of the source and did not take back.

    Looked at are the keys named, those of the source clusters, and those of snapshots that runs made or shared. A grant has no
    tags: it counts as ours if its name is one that a run makes for one of the accounts.

    :param key_ids: keys, aliases or ARNs.
    :param clusters: source clusters, whose keys are looked at.
    :param account_ids: accounts that grants are given to.
    :param expires_h: hours that a grant is good for.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = KmsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBClusterSnapshots",
        "kms:DescribeKey",
        "kms:ListGrants",
        "kms:RevokeGrant",
    )

    def __init__(
        self, *, key_ids: list[str], clusters: list[str], account_ids: Sequence[str], expires_h: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.key_ids = key_ids
        self.clusters = clusters
        self.account_ids = list(account_ids)
        self.expires_h = expires_h

    def find(self) -> list[Leftover]:
        """Read the grants of each key."""
        return [item for key_arn in self._keys() for item in self._items(key_arn)]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look the grant up alone."""
        return next((fresh for fresh in self._items(*item.subject) if fresh.key == item.key), None)

    def remove(self, item: Leftover) -> None:
        """End it."""
        self.hook.revoke_grant(*item.subject)

    def _keys(self) -> list[str]:
        rds = RdsHook(self.aws_conn_id, self.region_name)
        found = {str(key["Arn"]) for name in self.key_ids if (key := self.hook.find_key(name))}
        found |= {cluster.kms_key_arn for name in self.clusters if (cluster := rds.find_cluster(name))}
        found |= {
            snapshot.kms_key_arn
            for snapshot in rds.list_manual_snapshots()
            if ownership.is_ours(snapshot.tags)
            or any(ownership.share_tags(account_id)[0] in snapshot.tags for account_id in self.account_ids)
        }
        return sorted(found - {""})

    def _items(self, key_arn: str, grant_id: str | None = None) -> list[Leftover]:
        found = []
        for grant in self.hook.list_grants_named(key_arn, _GRANTS, grant_id):
            made_for = naming.parse_grant(grant["Name"])
            if made_for and made_for[0] in self.account_ids:
                created = grant.get("CreationDate")
                found.append(
                    Leftover(
                        "grant",
                        f"{grant['Name']} {grant['GrantId']}",
                        expires=reaping.until(created, self.expires_h),
                        created=created,
                        needs_run=False,
                        subject=(key_arn, grant["GrantId"]),
                    )
                )
        return found


class ReapClusterSharesOperator(ReapOperator[RamHook]):
    """End shares by which runs let an account clone a cluster and which they did not end; what has been cloned stays.

    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = RamHook
    permissions: ClassVar[tuple[str, ...]] = ("ram:GetResourceShares", "ram:DeleteResourceShare")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def find(self) -> list[Leftover]:
        """Read all shares, and keep those that say a run of ours made them."""
        return [item for share in self.hook.list_shares() if (item := self._item(share))]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look it up by name; another share of that name is not it."""
        share = self.hook.find_share(item.name)
        fresh = self._item(share) if share else None
        return fresh if fresh and fresh.subject == item.subject else None

    def remove(self, item: Leftover) -> None:
        """End it."""
        self.hook.delete_share(item.subject)

    def _item(self, share: dict[str, Any]) -> Leftover | None:
        tags = {tag["key"]: tag["value"] for tag in share.get("tags") or []}
        if not ownership.is_ours(tags):
            return None
        return Leftover(
            "cluster share",
            share["name"],
            tags.get(ownership.RUN_TAG, ""),
            tags.get(ownership.EXPIRES_TAG, ""),
            share.get("creationTime"),
            subject=share["resourceShareArn"],
        )


class ReapKeptTablesOperator(ReapOperator[BucketsHook]):
    """Delete dumps of kept tables that runs put into buckets and did not delete.

    One leftover is the folder of one run, as old as its newest object.

    :param folders: ``bucket`` and ``prefix`` (with the slash) below which runs put their folders.
    :param expires_h: hours that a dump is good for.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = BucketsHook
    permissions: ClassVar[tuple[str, ...]] = ("s3:ListBucket", "s3:DeleteObject")

    def __init__(self, *, folders: list[dict[str, str]], expires_h: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folders = folders
        self.expires_h = expires_h

    def find(self) -> list[Leftover]:
        """Read every key, and keep the newest time of each run's folder."""
        return [item for place in self.folders for item in self._items(place["bucket"], place["prefix"])]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look at the folder alone."""
        bucket, folder = item.subject
        found = self._items(bucket, folder.rsplit("/", 1)[0] + "/", folder + "/")
        return found[0] if found else None

    def remove(self, item: Leftover) -> None:
        """Delete the objects of the folder."""
        bucket, folder = item.subject
        self.hook.delete_keys(bucket, self.hook.list_keys(bucket, folder + "/"))

    def _items(self, bucket: str, prefix: str, within: str | None = None) -> list[Leftover]:
        newest: dict[str, datetime] = {}
        for key, written in self.hook.list_ages(bucket, within or prefix):
            run, slash, _ = key.removeprefix(prefix).partition("/")
            if slash and run.startswith("copy-") and naming.is_snapshot_of_a_run(run):
                newest[run] = max(written, newest.get(run, written))
        return [
            Leftover(
                "kept tables",
                f"s3://{bucket}/{prefix}{run}/",
                expires=reaping.until(written, self.expires_h),
                created=written,
                needs_run=False,
                subject=(bucket, f"{prefix}{run}"),
            )
            for run, written in sorted(newest.items())
        ]


class ReapSecretVersionsOperator(ReapOperator[SecretsHook]):
    """Take ``AWSPENDING`` off versions of secrets that failed runs wrote and nobody reads; AWS then removes the version.

    A version counts as ours if its id is one by name, as runs make them; those of rotation functions are random.

    :param secret_ids: secrets of the environments' database users.
    :param expires_h: hours that a version is good for.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = SecretsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:UpdateSecretVersionStage",
    )

    def __init__(self, *, secret_ids: list[str], expires_h: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.secret_ids = secret_ids
        self.expires_h = expires_h

    def find(self) -> list[Leftover]:
        """Look at the pending version of each secret."""
        return [item for secret_id in self.secret_ids if (item := self._item(secret_id))]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look at the secret alone; another version that is pending now is not it."""
        fresh = self._item(item.subject[0])
        return fresh if fresh and fresh.key == item.key else None

    def remove(self, item: Leftover) -> None:
        """Take the stage off."""
        self.hook.drop_pending(*item.subject)

    def _item(self, secret_id: str) -> Leftover | None:
        pending = self.hook.find_pending(secret_id)
        if pending is None or not naming.is_secret_version_of_a_run(pending[0]):
            return None
        version_id, created = pending
        return Leftover(
            "secret version",
            f"{secret_id} {version_id}",
            expires=reaping.until(created, self.expires_h),
            created=created,
            needs_run=False,
            subject=(secret_id, version_id),
        )


class ReapLocksOperator(ReapOperator[RunsHook]):
    """Remove locks of targets whose lease is over; a run that takes the lock meanwhile keeps it.

    :param table: table of runs.
    :param lock_keys: partition keys of the targets.
    :return: ``{"mode", "counts", "removed", "failed", "expired", "to_look_at"}``.
    :raises StateError: something could not be removed; each is named.
    """

    hook_class = RunsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:GetItem", "dynamodb:DeleteItem")

    def __init__(self, *, table: str, lock_keys: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.lock_keys = lock_keys

    def find(self) -> list[Leftover]:
        """Look at the lock of each target."""
        return [item for key in self.lock_keys if (item := self._item(key))]

    def look_again(self, item: Leftover) -> Leftover | None:
        """Look at the lock again; another run's is not it."""
        fresh = self._item(item.name)
        return fresh if fresh and fresh.run == item.run else None

    def remove(self, item: Leftover) -> None:
        """Remove it, if it is still that run's and void."""
        self.hook.drop_void_lock(self.table, item.name, holder=item.run, now=datetime.now(UTC).timestamp())

    def _item(self, key: str) -> Leftover | None:
        lock = self.hook.find(self.table, key, "lock")
        if lock is None:
            return None
        ends, taken = (datetime.fromtimestamp(float(lock.get(name, 0)), UTC) for name in ("expires_at", "taken_at"))
        return Leftover("lock", key, str(lock.get("holder", "")), ends.isoformat(), taken)
