"""Admin operations on log files: many idle instances, records that no server wrote, and where the files lie."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from localcloud.rds import catalog, rules
from localcloud.rds.clusters import build, check_free
from localcloud.rds.core import new_id
from localcloud.rds.errors import RdsError
from localcloud.rds.instances import INSTANCES_PER_CLUSTER
from localcloud.rds.logs.records import SLOTS
from localcloud.rds.model import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.rds.core import Core
    from localcloud.rds.logs.api import LogFiles
    from localcloud.rds.model import Cluster, Region

MOST_INSTANCES = 5000


class Operations:
    """The operations; each raises ValueError with what RDS would answer.

    :param core: state and logs.
    :param files: finds instances.
    """

    def __init__(self, core: Core, files: LogFiles) -> None:
        self.core = core
        self._files = files

    def make_idle(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make available instances with four log files each and no server, in clusters of 16.

        :param parameters: account; count; prefix of the names; records: in each file; tags, of clusters and instances.
        :return: identifiers of the instances.
        """
        region, count = self._region(parameters), parameters["count"]
        if not isinstance(count, int) or not 1 <= count <= MOST_INSTANCES:
            raise ValueError(f"count={count!r}: give 1 to {MOST_INSTANCES}")
        prefix, tags = str(parameters.get("prefix", "idle")), dict(parameters.get("tags") or {})
        made: list[Instance] = []
        try:
            with self.core.lock:
                for number in range(count):
                    if number % INSTANCES_PER_CLUSTER == 0:
                        cluster = self._idle_cluster(region, f"{prefix}-{number // INSTANCES_PER_CLUSTER}", tags)
                    made.append(_idle_instance(region, cluster, f"{prefix}-{number}-i", tags))
        except RdsError as error:
            raise ValueError(str(error)) from error
        for instance in made:
            self._write(instance, int(parameters.get("records", 1)))
        self.core.cloud.store.save("rds")
        return {"instances": [instance.identifier for instance in made]}

    def append(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Write into the audit files of Aurora instances, as if their servers had.

        :param parameters: account; instances: identifiers; records: made up ones in each of the four files, or
            data: Base64 of what is written; slot: of the file, 0.
        :return: names of the files that are written now, by instance.
        """
        region = self._region(parameters)
        names: dict[str, list[str]] = {}
        for identifier in parameters["instances"]:
            with self.core.lock:
                try:
                    instance = self.core.instance(region, identifier)
                except RdsError as error:
                    raise ValueError(str(error)) from error
            if "data" in parameters:
                data = base64.b64decode(parameters["data"], validate=True)
                self.core.logs.files(instance.resource_id).append(int(parameters.get("slot", 0)), [data])
            else:
                self._write(instance, int(parameters.get("records", 1)))
            files = self.core.logs.files(instance.resource_id)
            names[identifier] = files.names()
            files.close()
        return {"files": names}

    def folder(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Tell where an instance's log files lie, up to date.

        :param parameters: account; instance.
        """
        try:
            found = self._files.find(self._region(parameters), parameters["instance"])
        except RdsError as error:
            raise ValueError(str(error)) from error
        return {"folder": str(found.folder), "resource_id": found.resource_id}

    def _region(self, parameters: dict[str, Any]) -> Region:
        return self.core.region(parameters["account"], parameters.get("region", self.core.cloud.config.region))

    def _write(self, instance: Instance, records: int) -> None:
        files = self.core.logs.files(instance.resource_id)
        for slot in range(SLOTS):
            files.append(slot, _made_up(instance, slot, records))
        files.close()  # thousands of instances have more files than a process may have open

    def _idle_cluster(self, region: Region, identifier: str, tags: dict[str, str]) -> Cluster:
        identifier = rules.identifier(identifier, "prefix")
        check_free(region, identifier)
        params = {"DBClusterIdentifier": identifier, "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
        cluster = build(
            self.core, region, params, engine_version=catalog.DEFAULT_VERSION, master="admin", key=None, retention=1
        )
        cluster.idle, cluster.status = True, "available"
        region.clusters[identifier] = cluster
        return cluster


def _idle_instance(region: Region, cluster: Cluster, identifier: str, tags: dict[str, str]) -> Instance:
    identifier = rules.identifier(identifier, "prefix")
    instance = Instance(
        account=region.account,
        region=region.name,
        identifier=identifier,
        resource_id=new_id("db-"),
        cluster=cluster.resource_id,
        created=time.time(),
        instance_class=catalog.CLASSES[0],
        zone=cluster.zones[0],
        promotion_tier=1,
        parameter_group=catalog.default_parameter_group(cluster.engine_version),
        status="available",
        writer=not region.members(cluster),
        tags=dict(tags),
    )
    region.instances[identifier] = instance
    return instance


def _made_up(instance: Instance, slot: int, records: int) -> Iterator[bytes]:
    now = time.time_ns() // 1000
    for number in range(records):
        text = f"{now + number},{instance.identifier},app,10.0.0.1,{slot},{number},QUERY,shop,'SELECT {number}',0\n"
        yield text.encode()
