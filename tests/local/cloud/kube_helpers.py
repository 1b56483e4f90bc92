"""A cluster of localcloud and the official client for it."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.signers import RequestSigner
from kubernetes import client

from tests.local.cloud.rds_helpers import watch

STAGING = "222222222222"
ROLE = f"arn:aws:iam::{STAGING}:role/node"
TIMEOUT_S = 20


def token(credentials: Any, region: str, cluster: str, sts: Any) -> str:
    """A token as `aws eks get-token` makes it."""
    signer = RequestSigner(sts.meta.service_model.service_id, region, "sts", "v4", credentials, sts.meta.events)
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": f"{sts.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": cluster},
            "context": {},
        },
        region_name=region,
        expires_in=60,
        operation_name="",
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


class Kube:
    """The official client of one cluster, as one caller."""

    def __init__(
        self, cloud: Any, name: str, account: str = STAGING, kind: str = "admin", given: str | None = None
    ) -> None:
        eks = getattr(cloud, kind)(account, "eks")
        described = cloud.admin(account, "eks").describe_cluster(name=name)["cluster"]
        configuration = client.Configuration()
        configuration.host = described["endpoint"]
        with tempfile.NamedTemporaryFile(delete=False, suffix=".pem") as file:
            file.write(base64.b64decode(described["certificateAuthority"]["data"]))
        configuration.ssl_ca_cert = file.name
        sts = getattr(cloud, kind)(account, "sts")
        made = given if given is not None else token(eks._request_signer._credentials, cloud.config.region, name, sts)
        configuration.api_key = {"authorization": f"Bearer {made}"}
        configuration.retries = 0
        self.api = client.ApiClient(configuration)
        self.core = client.CoreV1Api(self.api)
        self.batch = client.BatchV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)
        self.authorization = client.AuthorizationV1Api(self.api)
        self.storage = client.StorageV1Api(self.api)
        self.rbac = client.RbacAuthorizationV1Api(self.api)


def make_cluster(cloud: Any, name: str, *, nodegroup: dict[str, Any] | None = None) -> None:
    """An ACTIVE cluster of staging, with a node group if one is given."""
    eks = cloud.admin(STAGING, "eks")
    eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig={"subnetIds": []})
    watch(lambda: eks.describe_cluster(name=name)["cluster"]["status"], "ACTIVE")
    if nodegroup is not None:
        make_nodegroup(cloud, name, **nodegroup)


def make_nodegroup(cloud: Any, cluster: str, name: str, desired: int, **more: Any) -> list[str]:
    """A node group; every status it had."""
    eks = cloud.admin(STAGING, "eks")
    subnets = cloud.admin(STAGING, "ec2").describe_subnets()["Subnets"]
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=name,
        subnets=[subnets[0]["SubnetId"]],
        nodeRole=ROLE,
        scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": desired},
        **more,
    )
    return nodegroup_statuses(cloud, cluster, name)


def nodegroup_statuses(cloud: Any, cluster: str, name: str) -> list[str]:
    """Every status of a node group until it settles."""
    eks = cloud.admin(STAGING, "eks")
    return watch(
        lambda: eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]["status"],
        "ACTIVE", "DEGRADED", "CREATE_FAILED",
    )  # fmt: skip


def until(what: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """The first true answer."""
    end, pause = time.monotonic() + timeout_s, threading.Event()
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        pause.wait(0.03)
    raise AssertionError(f"not within {timeout_s} s")


def job(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A job's manifest; ``pod`` and ``container`` change parts of it."""
    pod, container = spec.pop("pod", {}), spec.pop("container", {})
    return {
        "metadata": {"name": name, "labels": {"of": "test"}},
        "spec": {
            "backoffLimit": 0,
            **spec,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "tools:1", "command": list(command), **container}],
                    **pod,
                }
            },
        },
    }


def workload(name: str, *command: str, replicas: int = 1, claim: str | None = None, **more: Any) -> dict[str, Any]:
    """Manifest of a Deployment or StatefulSet whose pods use a claim, if one is given; ``pod`` and ``spec`` change parts of it."""
    pod, spec = more.pop("pod", {}), more.pop("spec", {})
    container: dict[str, Any] = {"name": "main", "image": "tools:1", "command": list(command) or ["sleep", "600"]}
    volumes = []
    if claim:
        volumes = [{"name": "files", "persistentVolumeClaim": {"claimName": claim}}]
        container["volumeMounts"] = [{"name": "files", "mountPath": "/files"}]
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "volumes": volumes, **pod},
            },
            **spec,
        },
    }


def pods_of(kube: Kube, name: str, namespace: str = "staging") -> list[Any]:
    """The pods of a workload, those on their way out too."""
    return list(kube.core.list_namespaced_pod(namespace, label_selector=f"app={name}").items)


def ended(kube: Kube, name: str, namespace: str = "staging") -> dict[str, Any]:
    """The condition a job ended in."""

    def condition() -> Any:
        conditions = kube.batch.read_namespaced_job(name, namespace).status.conditions
        return next((one for one in conditions or () if one.type in ("Complete", "Failed")), None)

    found = until(condition)
    return {"type": found.type, "reason": found.reason}


def pod_of(kube: Kube, name: str, namespace: str = "staging") -> Any:
    """The only pod of a job."""
    [pod] = until(lambda: kube.core.list_namespaced_pod(namespace, label_selector=f"job-name={name}").items)
    return pod


def output(kube: Kube, name: str, namespace: str = "staging", **query: Any) -> str:
    """Log of a job's pod."""
    pod = pod_of(kube, name, namespace).metadata.name
    answer = kube.core.read_namespaced_pod_log(pod, namespace, _preload_content=False, **query)
    return str(answer.data.decode())
