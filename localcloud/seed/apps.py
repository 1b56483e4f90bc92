"""Where the applications of staging run: an EKS cluster with a node group for jobs, a namespace, and what Airflow may do there."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.client import admin_client, admin_operation
from localcloud.names import STAGING, role_arn
from localcloud.seed.files import STAGING_FILES, STAGING_TOOLS, find_seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.config import CloudConfig

EKS_CLUSTER, NAMESPACE, NODEGROUP = "staging-apps", "staging", "jobs"
APPS_NODEGROUP = "apps"
GROUP = "aurora-ops"
LABELS = {"workload": "jobs"}
TAINT = {"key": "workload", "value": "jobs", "effect": "NO_SCHEDULE"}
RBAC, RBAC_V1 = "rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1"
MEDIA_CLAIM, DUMPS_CLAIM, STORAGE_CLASS = "media", "aurora-ops-dumps", "efs"
MEDIA_APP, MEDIA_REPLICAS = "media-web", 2
OURS = {"app.kubernetes.io/managed-by": "aurora-ops"}
ID_PARAMETER, SUBPATH_PARAMETER = "/staging/shop/files/id", "/staging/shop/files/subpath"
TIMEOUT_S, POLL_S = 60.0, 0.1
# The same as in include/templates/kubernetes-access.yaml, for the namespace above; a test compares them.
CLUSTER_RULES: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["get", "list", "create", "delete"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "create", "delete"]},
]
NAMESPACE_RULES: list[dict[str, Any]] = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "create", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "patch"]},
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]},
]


def seed_apps(config: CloudConfig, subnets: list[str], say: Callable[[str], None]) -> None:
    """Make the cluster; what is there already stays as it is."""
    eks = admin_client(STAGING, "eks", config)
    node_role = f"arn:aws:iam::{STAGING}:role/{EKS_CLUSTER}-node"
    if EKS_CLUSTER not in eks.list_clusters()["clusters"]:
        eks.create_cluster(name=EKS_CLUSTER, roleArn=node_role, resourcesVpcConfig={"subnetIds": subnets})
    _until(lambda: eks.describe_cluster(name=EKS_CLUSTER)["cluster"]["status"] == "ACTIVE")
    there = eks.list_nodegroups(clusterName=EKS_CLUSTER)["nodegroups"]
    for name, placing in ((NODEGROUP, {"labels": LABELS, "taints": [TAINT]}), (APPS_NODEGROUP, {})):
        if name not in there:
            eks.create_nodegroup(
                clusterName=EKS_CLUSTER,
                nodegroupName=name,
                subnets=subnets,
                nodeRole=node_role,
                scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 1},
                **placing,
            )
    principal = role_arn(STAGING)
    if principal not in eks.list_access_entries(clusterName=EKS_CLUSTER)["accessEntries"]:
        eks.create_access_entry(clusterName=EKS_CLUSTER, principalArn=principal, kubernetesGroups=[GROUP])
    admin_operation(
        "kube-apply", config, account=STAGING, region=config.region, cluster=EKS_CLUSTER, objects=access_of(NAMESPACE)
    )
    say(f"staging: EKS cluster {EKS_CLUSTER}, node groups {NODEGROUP} and {APPS_NODEGROUP}, namespace {NAMESPACE}")


def seed_claims(config: CloudConfig, say: Callable[[str], None]) -> None:
    """Make what the applications of staging see of its files before a refresh, and one that uses them day and night."""
    apply = partial(admin_operation, "kube-apply", config, account=STAGING, region=config.region, cluster=EKS_CLUSTER)
    apply(objects=[_media_app()])
    media, tools = (find_seeded(config, STAGING, name) for name in (STAGING_FILES, STAGING_TOOLS))
    ssm = admin_client(STAGING, "ssm", config)
    try:
        for name, value in ((ID_PARAMETER, media), (SUBPATH_PARAMETER, "/")):
            ssm.put_parameter(Name=name, Type="String", Value=value)
    except ssm.exceptions.ParameterAlreadyExists:
        return  # seeded before, and refreshed perhaps
    objects = [_storage_class(), *_claim_of(MEDIA_CLAIM, media), *_claim_of(DUMPS_CLAIM, tools)]
    apply(objects=objects)
    say(f"staging: claims {MEDIA_CLAIM} and {DUMPS_CLAIM}, application {MEDIA_APP}")


def _storage_class() -> dict[str, Any]:
    return {
        "kind": "StorageClass",
        "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": STORAGE_CLASS, "labels": OURS},
        "provisioner": "efs.csi.aws.com",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    }


def _claim_of(name: str, file_system: str) -> list[dict[str, Any]]:
    """Write a volume at the root of a file system, and the claim for it, as ``eks_manage_storage`` makes them."""
    volume, common = f"{name}-seeded", {"accessModes": ["ReadWriteMany"], "storageClassName": STORAGE_CLASS}
    return [
        {
            "kind": "PersistentVolume",
            "apiVersion": "v1",
            "metadata": {"name": volume, "labels": {**OURS, "aurora-ops/claim": f"{NAMESPACE}.{name}"}},
            "spec": {
                **common,
                "capacity": {"storage": "20Gi"},
                "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": NAMESPACE, "name": name},
                "csi": {"driver": "efs.csi.aws.com", "volumeHandle": file_system},
            },
        },
        {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": OURS},
            "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": "20Gi"}}},
        },
    ]


def _media_app() -> dict[str, Any]:
    """Write an application that has the files mounted as long as it runs, and tells in its log how many there are."""
    labels, folder = {"app": MEDIA_APP}, "/srv/media"
    script = f'echo "serving $(find {folder} -type f | wc -l) files"; exec sleep infinity'
    container = {
        "name": "web",
        "image": "registry.example.com/shop/media-web:4.2",
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "media", "mountPath": folder}],
    }
    volumes = [{"name": "media", "persistentVolumeClaim": {"claimName": MEDIA_CLAIM}}]
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": MEDIA_APP, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": MEDIA_REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}},
        },
    }


def access_of(namespace: str) -> list[dict[str, Any]]:
    """Write the manifests of a namespace and of roles that let the group in."""
    name = {"name": GROUP}
    subjects = [{"kind": "Group", "name": GROUP, "apiGroup": RBAC}]
    inside = {**name, "namespace": namespace}
    return [
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}},
        {"kind": "ClusterRole", "apiVersion": RBAC_V1, "metadata": name, "rules": CLUSTER_RULES},
        {
            "kind": "ClusterRoleBinding",
            "apiVersion": RBAC_V1,
            "metadata": name,
            "subjects": subjects,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", **name},
        },
        {"kind": "Role", "apiVersion": RBAC_V1, "metadata": inside, "rules": NAMESPACE_RULES},
        {
            "kind": "RoleBinding",
            "apiVersion": RBAC_V1,
            "metadata": inside,
            "subjects": subjects,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", **name},
        },
    ]


def _until(what: Callable[[], bool]) -> None:
    end, pause = time.monotonic() + TIMEOUT_S, threading.Event()
    while not what():
        if time.monotonic() >= end:
            raise TimeoutError(f"{EKS_CLUSTER} was not there within {TIMEOUT_S:g} s")
        pause.wait(POLL_S)
