"""RDS for Aurora MySQL clusters, their members and cluster snapshots; every cluster has a real server behind it.

moto's own clusters are not used: they overwrite, forget members and answer at once. Subnet groups, parameter groups and
the rest stay moto's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from moto.rds import urls

from localcloud.rds.core import Core
from localcloud.rds.errors import RdsError
from localcloud.rds.recovery import Recovery
from localcloud.rds.response import Response, Service
from localcloud.rds.rules import Quotas
from localcloud.state.store import Part

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer RDS calls with this package; before the first request, as moto builds its routes then."""
    core = cloud.rds = Core(cloud, Quotas.from_env())
    Response.service = Service(core)
    urls.url_paths["{0}/$"] = Response.dispatch
    cloud.on_admin("rds-automated-snapshot", partial(_automated_snapshot, Response.service))
    cloud.on_terminal("rds", partial(_end, Response.service))
    recovery = Recovery(core)
    anchors = {
        "cloud": cloud,
        "core": core,
        "engine": core.engine,
        "lifecycle": core.lifecycle,
        **vars(Response.service),
    }
    cloud.store.part("rds", Part(recovery.dump, recovery.load, "rds", anchors))
    cloud.on_admin("engine-kill", recovery.kill)
    cloud.on_admin("engines", recovery.servers)
    cloud.on_startup(recovery.start)
    cloud.on_shutdown(core.lifecycle.close)
    cloud.on_shutdown(recovery.close)


def _end(service: Service, account: str, name: str, parameters: dict[str, Any], status: str) -> None:
    """Put the resources that a call's parameters name into a status of failure; unknown ones are left to the call."""
    core = service.core
    with core.lock:
        region = core.region(account, name)
        for parameter, find in (
            ("DBClusterIdentifier", core.cluster),
            ("DBInstanceIdentifier", core.instance),
            ("DBClusterSnapshotIdentifier", core.own_snapshot),
        ):
            try:
                resource = find(region, parameters.get(parameter))
            except RdsError:
                continue
            core.lifecycle.end(resource, status)


def _automated_snapshot(service: Service, parameters: dict[str, Any]) -> dict[str, Any]:
    """Take the snapshot that AWS takes once a day.

    :param parameters: account, region, cluster; created: epoch seconds to pretend it was taken at, null is now.
    :raises ValueError: what RDS would answer.
    """
    region = service.core.region(parameters["account"], parameters["region"])
    try:
        snapshot = service.snapshots.create_automated(region, parameters["cluster"], parameters.get("created"))
    except RdsError as error:
        raise ValueError(str(error)) from error
    return {"DBClusterSnapshotIdentifier": snapshot.identifier}
