"""Operators against a running localcloud, with the seeded EKS cluster: what the tests of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3

from localcloud.names import AIRFLOW_ACCESS_KEY_ID, AIRFLOW_SECRET_ACCESS_KEY
from localcloud.seed.apps import EKS_CLUSTER, LABELS, NAMESPACE, NODEGROUP, TAINT, seed_apps
from tests.local.cloud.kube_helpers import STAGING, Kube, until
from tests.unit.operators.driver import FakeTaskInstance

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1", "deferrable": False}
INSIDE = {**AT, "cluster_name": EKS_CLUSTER, "namespace": NAMESPACE}
SCALING = {**AT, "cluster_name": EKS_CLUSTER, "allowed_nodegroups": [NODEGROUP]}
TOLERATIONS = [{"key": TAINT["key"], "operator": "Equal", "value": TAINT["value"], "effect": "NoSchedule"}]
PLACING = {"node_selector": LABELS, "tolerations": TOLERATIONS}
RUN = "db_run_mysqldump_on_eks/manual__1"
IMAGE = "registry.example/tools:1.4"


def context(try_number: int = 1) -> Any:
    """Airflow's context, as far as operators use it."""
    ti = FakeTaskInstance()
    ti.try_number = try_number
    return {"ti": ti, "dag_run": SimpleNamespace(dag_id="d", run_id="r"), "params": {}}


def connect(monkeypatch: Any, cloud: Any) -> None:
    """Lead the connections of this process to a localcloud, through AssumeRole as in production."""
    from aurora_ops.hooks import base

    base._shared_session.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.config.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", AIRFLOW_ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AIRFLOW_SECRET_ACCESS_KEY)
    monkeypatch.setenv("AURORA_OPS_POLL_S", "0.1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@dataclass
class Apps:
    """The seeded cluster.

    :param kube: the official client, as the cluster's creator.
    """

    cloud: Any
    kube: Kube

    @property
    def eks(self) -> Any:
        """boto3 client with all rights."""
        return self.cloud.admin(STAGING, "eks")

    def nodegroup(self) -> dict[str, Any]:
        """The node group for jobs."""
        found: dict[str, Any] = self.eks.describe_nodegroup(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP)[
            "nodegroup"
        ]
        return found

    def mutations(self, since: float) -> list[str]:
        """Calls that may have changed something, those of AssumeRole aside."""
        calls = self.cloud.calls(since, mutating=True)
        return [f"{call['service']}:{call['action']}" for call in calls if call["error"] is None]

    def quiet(self, do: Callable[[], Any]) -> Any:
        """What is done must change nothing; its result."""
        since = self.cloud.now()
        result = do()
        assert self.mutations(since) == []
        return result

    def settled(self, desired: int) -> None:
        """Bring the node group to a size, without notes."""
        active = lambda: self.nodegroup()["status"] in ("ACTIVE", "DEGRADED")  # noqa: E731
        until(active)
        self.eks.update_nodegroup_config(
            clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP, scalingConfig={"minSize": 0, "desiredSize": desired}
        )
        until(active)
        tags = [key for key in self.nodegroup().get("tags", {}) if key.startswith("aurora-ops:")]
        if tags:
            self.eks.untag_resource(resourceArn=self.nodegroup()["nodegroupArn"], tagKeys=tags)


def make_apps(cloud: Any) -> Apps:
    """Seed the cluster."""
    subnets = [found["SubnetId"] for found in cloud.admin(STAGING, "ec2").describe_subnets()["Subnets"]]
    seed_apps(cloud.config, subnets[:1], lambda _: None)
    return Apps(cloud, Kube(cloud, EKS_CLUSTER))
