"""Clusters and managed node groups whose statuses take emulated time: what they are follows from the clock alone.

So nothing runs in the background, and a restart changes nothing.
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.eks.models import Cluster, Nodegroup

# Multiples of LOCALCLOUD_WAIT_S. AWS takes minutes; only the order matters here.
CREATE_CLUSTER = 2.0
CREATE_NODEGROUP = 2.0
UPDATE = 1.0
NODE_READY = 1.5
DELETE = 1.0

FAILURES = frozenset({"CREATE_FAILED", "DEGRADED", "FAILED"})
"""Statuses in which a fault rule may let a cluster or node group end."""


class Clock:
    """Emulated time of this server.

    :cvar wait_s: unit of emulated time, seconds.
    """

    wait_s = 2.0

    @classmethod
    def after(cls, factor: float) -> float:
        """Epoch seconds at which something that begins now is over."""
        return time.time() + factor * cls.wait_s


@dataclass
class Node:
    """A machine of a node group.

    :param created: epoch seconds when it appeared.
    :param ready: epoch seconds from which on it takes pods.
    :param gone: epoch seconds from which on there is no such node; None as long as it is wanted.
    """

    name: str
    created: float
    ready: float
    gone: float | None = None


@dataclass
class Update:
    """A change of a node group's configuration.

    :param until: epoch seconds at which it is over.
    :param fails: it ends in Failed.
    """

    params: list[dict[str, str]]
    created: float
    until: float
    fails: bool = False
    update_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def view(self) -> dict[str, Any]:
        """Return it as DescribeUpdate does."""
        status = "InProgress" if time.time() < self.until else "Failed" if self.fails else "Successful"
        problem = {"errorCode": "AsgInstanceLaunchFailures", "errorMessage": "Could not launch", "resourceIds": []}
        return {
            "id": self.update_id,
            "status": status,
            "type": "ConfigUpdate",
            "params": self.params,
            "createdAt": self.created,
            "errors": [problem] if status == "Failed" else [],
        }


@dataclass
class AccessEntry:
    """Who an IAM principal is in a cluster.

    :param groups: Kubernetes groups, for bindings of RBAC.
    :param policies: ARN of an access policy to its scope, ``{"type": "cluster"}`` or ``{"type": "namespace", "namespaces"}``.
    """

    principal_arn: str
    username: str
    groups: list[str]
    created: float
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)


class LocalCluster(Cluster):
    """A cluster with access entries. ``endpoint`` and ``certificate_authority`` are those of the Kubernetes API here."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.status = "CREATING"
        self.becomes = "ACTIVE"
        self.until = Clock.after(CREATE_CLUSTER)
        self.version = given.get("version") or "1.33"
        self.access_config = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True}
        self.entries: dict[str, AccessEntry] = {}
        self.account_id, self.region_name = given["account_id"], given["region_name"]

    def settle(self) -> bool:
        """Let the status be what the clock says.

        :return: whether the cluster still exists.
        """
        if self.status in {"CREATING", "UPDATING"} and time.time() >= self.until:
            self.status = self.becomes
        for name, nodegroup in list(self.nodegroups.items()):
            if isinstance(nodegroup, LocalNodegroup) and not nodegroup.settle():
                del self.nodegroups[name]
                self.nodegroup_count -= 1
        return not (self.status == "DELETING" and time.time() >= self.until)


class LocalNodegroup(Nodegroup):
    """A node group with its machines and its updates."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.status = "CREATING"
        self.becomes = "ACTIVE"
        self.until = Clock.after(CREATE_NODEGROUP)
        self.health = {"issues": []}
        self.updates: dict[str, Update] = {}
        self.nodes: list[Node] = []
        self.scale(first_after=CREATE_NODEGROUP)

    @property
    def asg_name(self) -> str:
        """Name of the Auto Scaling group behind it."""
        groups: Any = self.resources["autoScalingGroups"]
        return str(groups[0]["name"])

    def settle(self) -> bool:
        """Let the status be what the clock says; whether it still exists."""
        now = time.time()
        if self.status in {"CREATING", "UPDATING"} and now >= self.until:
            self.status = self.becomes
            if self.status in FAILURES:
                self.health = {"issues": [{"code": "AsgInstanceLaunchFailures", "message": "by a fault rule"}]}
        self.nodes = [node for node in self.nodes if node.gone is None or now < node.gone]
        return not (self.status == "DELETING" and now >= self.until)

    def scale(self, first_after: float = 0.0) -> None:
        """Have as many machines as are desired, from now on or a moment later."""
        wanted = self.scaling_config["desiredSize"]
        kept = [node for node in self.nodes if node.gone is None]
        for node in kept[wanted:]:
            node.gone = Clock.after(UPDATE)
        for _ in range(wanted - len(kept)):
            octets = [secrets.randbelow(254) + 1 for _ in range(2)]
            name = f"ip-10-2-{octets[0]}-{octets[1]}.{self.region}.compute.internal"
            self.nodes.append(Node(name, Clock.after(first_after), Clock.after(first_after + NODE_READY)))

    def change(self, update: Update, becomes: str) -> None:
        """Begin an update."""
        self.updates[update.update_id] = update
        self.status, self.becomes, self.until = "UPDATING", becomes, update.until
