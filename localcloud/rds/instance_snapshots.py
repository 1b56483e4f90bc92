"""Snapshots of RDS for MariaDB and MySQL: what they are is kept by moto, with each goes a copy of the real server's data.

Snapshots of instances that have no server have no data, and cannot be exported.
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.rds.models import rds_backends

from localcloud.rds import lifecycle, standalone
from localcloud.rds.core import new_id
from localcloud.rds.events import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moto.rds.models import DBSnapshot

    from localcloud.rds.core import Core
    from localcloud.rds.events.kinds import Kind

KEY = "localcloud_key"  # attribute of moto's snapshot: of its data in the engine


class InstanceSnapshots:
    """What follows when moto has made, copied or deleted a snapshot.

    :param core: engine, operations under way, events.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    def taken(self, snapshot: DBSnapshot) -> None:
        """Give a new snapshot its data; it is ``creating`` meanwhile."""
        automated = snapshot.snapshot_type == "automated"
        self.note(snapshot, kinds.SNAPSHOT_CREATING[automated])
        place = snapshot.account_id, snapshot.region, snapshot.db_snapshot_identifier
        if not standalone.is_served(snapshot.database):
            self._complete(*place)
            return
        key = new_id("snapshot-")
        setattr(snapshot, KEY, key)
        snapshot.status = "creating"
        core = self.core
        core.lifecycle.run(
            f"snapshot {snapshot.db_snapshot_identifier}",
            lifecycle.SNAPSHOT,
            partial(core.once, key, partial(core.engine.snapshot, snapshot.dbi_resource_id, key)),
            partial(self._complete, *place),
            partial(self._fail, *place),
        )

    def taken_finally(self, snapshot: DBSnapshot) -> None:
        """Give the last snapshot of an instance its data at once, as the instance is about to go."""
        key = new_id("snapshot-")
        self.core.engine.snapshot(snapshot.dbi_resource_id, key)
        setattr(snapshot, KEY, key)

    def copied(self, source: DBSnapshot | None, copy: DBSnapshot, region: str) -> None:
        """Give a copy the data of its source.

        :param region: of the source.
        """
        here = region == copy.region
        words = {"name": source.db_snapshot_identifier if source else "", "where": region}
        self.note(copy, kinds.COPY_STARTED if here else kinds.COPY_FROM_REGION_STARTED, **words)
        if source is not None and (key := key_of(source)):
            own = new_id("snapshot-")
            self.core.engine.copy_snapshot(key, own)
            setattr(copy, KEY, own)
        self.note(copy, kinds.COPY_FINISHED if here else kinds.COPY_FROM_REGION_FINISHED, **words)

    def deleted(self, snapshot: DBSnapshot) -> None:
        """Remove the data of a snapshot that is gone."""
        if key := key_of(snapshot):
            self.core.engine.delete_snapshot(key)
        self.note(snapshot, kinds.SNAPSHOT_DELETED)

    def automated(self, parameters: dict[str, Any], *, backup: bool) -> dict[str, Any]:
        """Take the daily snapshot of an instance, or that of a job of AWS Backup.

        :param parameters: account, region, instance; created: epoch seconds to pretend it was taken at, null is now; job: id
            of the backup job.
        :raises ValueError: there is no such instance, or there is such a snapshot.
        """
        backend = rds_backends[parameters["account"]][parameters["region"]]
        instance, created = parameters["instance"], parameters.get("created")
        moment = datetime.fromtimestamp(time.time() if created is None else float(created), UTC)
        name = f"rds:{instance}-{moment:%Y-%m-%d-%H-%M}"
        if backup:
            name = f"awsbackup:job-{parameters.get('job') or uuid.uuid4()}"
        with self.core.lock:
            if instance not in backend.databases:
                raise ValueError(f"DBInstance {instance} not found.")
            if name in backend.database_snapshots:
                raise ValueError(
                    f"Cannot create the snapshot because a snapshot with the identifier {name} already exists."
                )
            kind = "awsbackup" if backup else "automated"
            snapshot = backend.create_db_snapshot(instance, name, snapshot_type=kind)
            snapshot.created = snapshot.original_snapshot_create_time = moment.replace(tzinfo=None)
            self.taken(snapshot)
            if backup:
                self.note(snapshot, kinds.COPY_FINISHED, name=name, where=parameters["region"])
        self.core.cloud.store.save("rds")
        return {"DBSnapshotIdentifier": name}

    def note(self, snapshot: DBSnapshot, kind: Kind, **words: str) -> None:
        """Note an event of a snapshot."""
        source = "db-snapshot", snapshot.db_snapshot_identifier, snapshot.db_snapshot_arn
        tags = {tag["Key"]: tag["Value"] for tag in snapshot.tags or ()}
        self.core.note(snapshot.account_id, snapshot.region, source, kind, tags, **words)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _complete(self, account: str, region: str, name: str) -> None:
        snapshot = find(account, region, name)
        if snapshot is not None:
            with self.core.lock:
                snapshot.status = "available"
                self.note(snapshot, kinds.SNAPSHOT_CREATED[snapshot.snapshot_type == "automated"])

    def _fail(self, account: str, region: str, name: str) -> None:
        snapshot = find(account, region, name)
        if snapshot is not None:
            snapshot.status = "failed"


def find(account: str, region: str, name: str) -> DBSnapshot | None:
    """Snapshot of an instance by identifier; None if there is none."""
    return rds_backends[account][region].database_snapshots.get(name)


def key_of(snapshot: DBSnapshot) -> str:
    """Key of a snapshot's data in the engine; empty if it has none."""
    key: str = getattr(snapshot, KEY, "")
    return key


def keys() -> Iterator[str]:
    """Yield the keys of the data of all snapshots of instances."""
    backends: Any = rds_backends
    for _, _, backend in list(backends.iter_backends()):
        yield from filter(None, map(key_of, list(backend.database_snapshots.values())))
