"""EKS: clusters and managed node groups that take time, access entries, and a Kubernetes API behind every cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import moto.eks.models
from moto.eks import urls
from moto.eks.models import eks_backends

from localcloud.eks.backend import LocalEksBackend
from localcloud.eks.models import Clock, LocalCluster, LocalNodegroup
from localcloud.eks.response import ROUTES, Response
from localcloud.kube.server import SERVICE, KubeServer
from localcloud.state.store import Part

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer EKS calls with this package; before the first request, as moto builds its routes then."""
    Clock.wait_s = cloud.config.wait_s
    server = KubeServer(cloud)
    moto.eks.models.Cluster = LocalCluster  # type: ignore[assignment,misc]
    moto.eks.models.Nodegroup = LocalNodegroup  # type: ignore[assignment,misc]
    LocalEksBackend.cloud = cloud
    LocalEksBackend.endpoint_of = server.endpoint
    eks_backends.backend = LocalEksBackend
    for route in (*urls.url_paths, *ROUTES):
        urls.url_paths[route] = Response.dispatch
    cloud.on_terminal("eks", partial(_end, cloud))
    cloud.store.part(SERVICE, Part(server.dump, server.load, SERVICE))
    cloud.on_shutdown(server.close)
    cloud.on_admin("kube-apply", server.apply)


def _end(cloud: Cloud, account: str, region: str, parameters: dict[str, Any], status: str) -> None:
    """Put what a call names into a status of failure at once."""
    with cloud.lock("eks"):
        backend = eks_backends[account][region]
        assert isinstance(backend, LocalEksBackend)
        name = str(parameters.get("clusterName") or parameters.get("name") or "")
        backend.end(name, parameters.get("nodegroupName"), status)
