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
from localcloud.rds.response import Response, Service
from localcloud.rds.rules import Quotas

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer RDS calls with this package; before the first request, as moto builds its routes then."""
    core = cloud.rds = Core(cloud, Quotas.from_env())
    Response.service = Service(core)
    urls.url_paths["{0}/$"] = Response.dispatch
    cloud.on_admin("rds-automated-snapshot", partial(_automated_snapshot, Response.service))
    cloud.on_shutdown(core.lifecycle.close)


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
