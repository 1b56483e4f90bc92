"""The state of RDS, and what all operations share: look-ups, locks, key rules, endpoints, events."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from localcloud.cloud import KeyNotAccessible
from localcloud.rds import rules
from localcloud.rds.endpoints import address
from localcloud.rds.errors import (
    ClusterNotFoundError,
    InstanceNotFoundError,
    InvalidClusterStateError,
    InvalidSnapshotStateError,
    KmsKeyNotAccessibleError,
    SnapshotNotFoundError,
)
from localcloud.rds.events.delivery import Delivery
from localcloud.rds.lifecycle import LAG, Lifecycle
from localcloud.rds.model import Cluster, Event, Instance, Region, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Cloud
    from localcloud.rds.events.kinds import Kind
    from localcloud.rds.logs.collector import Collector

KEPT_EVENTS = 1000
_ID_ALPHABET = string.ascii_uppercase + string.digits


def new_id(prefix: str) -> str:
    """Random resource id, such as ``cluster-`` and 26 letters and digits."""
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(26))


class Core:
    """State of all accounts and regions.

    Two kinds of locks, always taken in this order: one per cluster (:meth:`working`) around work with its server, which
    takes long; then ``lock`` around the state, which is held for moments only.

    :param cloud: engine, keys, secrets, settings.
    :param quotas: limits per account and region.
    """

    def __init__(self, cloud: Cloud, quotas: rules.Quotas) -> None:
        self.cloud = cloud
        self.engine = cloud.engine
        self.quotas = quotas
        self.lock = cloud.lock("rds")  # the guard holds it while a call is answered
        self.lifecycle = Lifecycle(
            cloud.config.wait_s, ends_in=lambda: cloud.ends_in, lock=self.lock, changed=self._changed
        )
        self.delivery = Delivery(self)
        self.logs: Collector  # RDS puts it here
        self.regions: dict[tuple[str, str], Region] = {}
        self.retained: dict[
            str, Cluster
        ] = {}  # clusters that are gone, but not their automated backups; by resource id
        self._working: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    # ---- look-ups (the caller holds the lock) ----------------------------------------------------------------------

    def region(self, account: str, name: str) -> Region:
        """State of one account in one region, made on first use."""
        with self.lock:
            return self.regions.setdefault((account, name), Region(account, name))

    def cluster(self, region: Region, identifier: str | None) -> Cluster:
        """Cluster by identifier or own ARN.

        :raises ClusterNotFoundError: also after a rename, by the old name, and for another account's ARN.
        """
        arn = rules.parse_arn(identifier or "")
        key = (identifier or "").lower()
        if arn and arn.kind == "cluster" and (arn.account, arn.region) == (region.account, region.name):
            key = arn.name
        found = region.clusters.get(key)
        if found is None:
            raise ClusterNotFoundError(f"DBCluster {identifier} not found.")
        return found

    def instance(self, region: Region, identifier: str | None) -> Instance:
        """Instance by identifier or own ARN.

        :raises InstanceNotFoundError: no such member.
        """
        arn = rules.parse_arn(identifier or "")
        key = (identifier or "").lower()
        if arn and arn.kind == "db" and (arn.account, arn.region) == (region.account, region.name):
            key = arn.name
        found = region.instances.get(key)
        if found is None:
            raise InstanceNotFoundError(f"DBInstance {identifier} not found.")
        return found

    def own_snapshot(self, region: Region, identifier: str | None) -> Snapshot:
        """Snapshot of this account and region by identifier or ARN.

        :raises SnapshotNotFoundError: no such snapshot.
        """
        arn = rules.parse_arn(identifier or "")
        key = (identifier or "").lower()
        if arn and arn.kind == "cluster-snapshot" and (arn.account, arn.region) == (region.account, region.name):
            key = arn.name
        found = region.snapshots.get(key)
        if found is None:
            raise SnapshotNotFoundError(f"DBClusterSnapshot {identifier} not found.")
        return found

    def readable_snapshot(self, region: Region, identifier: str | None) -> Snapshot:
        """Snapshot that the account may copy: its own, or by ARN one of another region, or one shared with it.

        :raises SnapshotNotFoundError: no such snapshot, or not shared (RDS does not tell which).
        """
        arn = rules.parse_arn(identifier or "")
        if arn is None or arn.kind != "cluster-snapshot":
            return self.own_snapshot(region, identifier)
        found = self.region(arn.account, arn.region).snapshots.get(arn.name)
        if found is None or (arn.account != region.account and not {region.account, "all"} & set(found.shared_with)):
            raise SnapshotNotFoundError(f"DBClusterSnapshot {identifier} not found.")
        return found

    def retained_in(self, region: Region) -> list[Cluster]:
        """Clusters of this account and region that are gone, but not their automated backups."""
        place = (region.account, region.name)
        return [cluster for cluster in self.retained.values() if (cluster.account, cluster.region) == place]

    def drop_retained(self, cluster: Cluster) -> None:
        """Delete the automated backups of a cluster that is gone."""
        with self.lock:
            self.retained.pop(cluster.resource_id, None)
        self.engine.delete(cluster.resource_id)

    # ---- statuses --------------------------------------------------------------------------------------------------

    def require_available(self, cluster: Cluster, doing: str) -> None:
        """Check that the cluster is available, whatever describe still shows.

        :raises InvalidClusterStateError: names the status.
        """
        if cluster.status != "available":
            hint = "start it first" if cluster.status == "stopped" else "wait until it is available"
            raise InvalidClusterStateError(
                f"Cannot {doing}: DB cluster {cluster.identifier} is not in the available state but {cluster.status}; "
                f"{hint}."
            )

    def require_complete(self, snapshot: Snapshot) -> None:
        """Check that the snapshot can be read.

        :raises InvalidSnapshotStateError: it is still made, failed, or being deleted.
        """
        if snapshot.status != "available":
            raise InvalidSnapshotStateError(
                f"Snapshot {snapshot.identifier} is {snapshot.status}; wait until it is available."
            )

    def turn(self, resource: Cluster | Instance, status: str, *, lag: bool = False) -> None:
        """Set a status; with ``lag`` describe shows the former one for a moment more, as after AWS's modify calls."""
        with self.lock:
            resource.lag_until = time.time() + self.lifecycle.seconds(LAG) if lag else 0.0
            resource.status = status

    def fail(self, resource: Cluster | Instance | Snapshot) -> None:
        """Work for the resource raised: it stays, as AWS leaves it, with status failed."""
        with self.lock:
            resource.status = "failed"
            if isinstance(resource, Snapshot):
                resource.copying = False

    def _changed(self) -> None:
        """Have saved what changes without a call."""
        self.cloud.store.later("rds", "secretsmanager")

    # ---- servers and endpoints -------------------------------------------------------------------------------------

    def working(self, resource_id: str) -> threading.RLock:
        """Lock of one cluster's server."""
        with self.lock:
            return self._working[resource_id]

    def once(self, key: str, make: Callable[[], None]) -> None:
        """Make the data of a cluster or snapshot, unless it was made before a restart of localcloud."""
        if not self.engine.has(key):
            make()

    def boot(self, cluster: Cluster) -> None:
        """Run the cluster's server, and apply what waited for one: database and master password."""
        with self.working(cluster.resource_id):
            self.engine.start(cluster.resource_id, self.logs.options(cluster))
            if cluster.pending_database:
                with self.engine.admin(cluster.resource_id) as connection, connection.cursor() as cursor:
                    name = cluster.pending_database.replace("`", "``")
                    cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name}`")
                cluster.pending_database = None
            if cluster.pending_password is not None:
                self.engine.set_master(cluster.resource_id, cluster.master_username, cluster.pending_password)
                cluster.pending_password = None
            if not cluster.booted:
                # what was set up just now is missing in its data of any moment before
                cluster.booted, cluster.restorable_from = True, time.time()

    def set_password(self, cluster: Cluster, password: str) -> None:
        """Change the master's password on the server, or as soon as one runs."""
        with self.working(cluster.resource_id):
            if self.engine.running(cluster.resource_id):
                self.engine.set_master(cluster.resource_id, cluster.master_username, password)
                cluster.pending_password = None
            else:
                cluster.pending_password = password

    def expose(self, cluster: Cluster) -> None:
        """Let exactly the endpoints that the state names lead to the cluster's server."""
        with self.working(cluster.resource_id):
            with self.lock:
                region = self.region(cluster.account, cluster.region)
                listening = [member for member in region.members(cluster) if member.listening]
                place = (cluster.account, cluster.region)
                addresses = {address(*place, "instance", member.identifier) for member in listening}
                if listening and not cluster.withdrawn:
                    addresses.add(address(*place, "cluster", cluster.identifier))
                    addresses.add(address(*place, "reader", cluster.identifier))
            self.engine.expose(cluster.resource_id, addresses)

    def forget(self, resource_id: str) -> None:
        """Drop the lock of a cluster that is gone."""
        with self.lock:
            self._working.pop(resource_id, None)

    # ---- keys ------------------------------------------------------------------------------------------------------

    def key_for(self, region: Region, key: str) -> str:
        """ARN of the key that something new in this account shall be encrypted with.

        :raises KmsKeyNotAccessibleError: unknown, disabled, or this account may not create grants on it.
        """
        refused = KmsKeyNotAccessibleError(
            f"Specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it."
        )
        try:
            info = self.cloud.kms.resolve(region.account, region.name, key)
        except KeyNotAccessible:
            raise refused from None
        if not info.enabled or (info.account != region.account and info.is_default_rds):
            raise refused
        if not info.is_default_rds and not self._may_use(region.account, info.arn):
            raise refused
        return info.arn

    def check_source_key(self, region: Region, snapshot: Snapshot | Cluster) -> None:
        """Check that the account may read the data of an encrypted snapshot or cluster.

        Cross-account it needs Decrypt, DescribeKey and CreateGrant on the owner's key, by key policy or grant
        (https://github.com/awslabs/aurora-snapshot-tool/issues/29 shows RDS's answer without CreateGrant).

        :raises KmsKeyNotAccessibleError: it may not, or the key is disabled.
        """
        if snapshot.kms_key_id is None:
            return
        refused = KmsKeyNotAccessibleError(
            f"The source snapshot KMS key [{snapshot.kms_key_id}] does not exist, is not enabled or you do not have "
            f"permissions to access it. Its policy must let account {region.account} use it, with kms:Decrypt, "
            "kms:DescribeKey and kms:CreateGrant."
        )
        try:
            info = self.cloud.kms.resolve(region.account, snapshot.region, snapshot.kms_key_id)
        except KeyNotAccessible:
            raise refused from None
        if not info.enabled:
            raise refused
        if snapshot.account != region.account and not self._may_use(region.account, info.arn):
            raise refused

    def _may_use(self, account: str, arn: str) -> bool:
        principal = self.cloud.caller.principal_arn
        return all(
            self.cloud.kms.allows(account, arn, operation, principal_arn=principal)
            for operation in ("kms:DescribeKey", "kms:Decrypt", "kms:CreateGrant")
        )

    # ---- events ----------------------------------------------------------------------------------------------------

    def event(self, resource: Cluster | Instance | Snapshot, kind: Kind, **words: str) -> None:
        """Note an event of a resource, and tell those who have subscribed to it.

        :param words: what the names in the kind's message stand for.
        """
        types = {Cluster: "db-cluster", Instance: "db-instance", Snapshot: "db-cluster-snapshot"}
        source = types[type(resource)], resource.identifier, resource.arn
        self.note(resource.account, resource.region, source, kind, resource.tags, **words)

    def note(
        self, account: str, region: str, source: tuple[str, str, str], kind: Kind, tags: dict[str, str], **words: str
    ) -> None:
        """Note an event of anything.

        :param source: its type, such as ``db-snapshot``, identifier and ARN.
        """
        event = Event(
            *source,
            kind.message.format(**words),
            [kind.category],
            time.time(),
            kind.id and f"RDS-EVENT-{kind.id}",
            dict(tags),
        )
        with self.lock:
            events = self.region(account, region).events
            events.append(event)
            del events[:-KEPT_EVENTS]
            self.delivery.tell(event, account, region)
