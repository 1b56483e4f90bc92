"""Kubernetes objects this package makes, and what it reads out of others: plain dictionaries, no calls."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aurora_ops.core import naming
from aurora_ops.core.errors import SafetyError

Object = dict[str, Any]

MANAGER_LABEL, MANAGER = "app.kubernetes.io/managed-by", "aurora-ops"
RUN_LABEL = "aurora-ops/run"
CLAIM_LABEL = "aurora-ops/claim"
TRY_ANNOTATION = "aurora-ops/try"
EXPIRES_ANNOTATION = "aurora-ops/expires"
NODEGROUP_LABEL = "eks.amazonaws.com/nodegroup"
EFS_DRIVER = "efs.csi.aws.com"
SECRET_PATH = "/run/aurora-ops"  # noqa: S105 - a folder
LOGIN_FILE = "my.cnf"
LONGEST_LABEL = 63
_DIGEST = 8
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.-]+")
_CONTAINER = "job"
# What a container that waits for one of these will wait for until somebody changes something.
STUCK = (
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
)
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


class Kind(NamedTuple):
    """A kind of objects.

    :param group: API group; empty is the core group.
    """

    plural: str
    group: str = ""
    namespaced: bool = True


JOBS, PODS, SECRETS = Kind("jobs", "batch"), Kind("pods"), Kind("secrets")
CLAIMS, VOLUMES = Kind("persistentvolumeclaims"), Kind("persistentvolumes", namespaced=False)
CLASSES, NODES = Kind("storageclasses", "storage.k8s.io", namespaced=False), Kind("nodes", namespaced=False)
DEPLOYMENTS, STATEFUL_SETS = Kind("deployments", "apps"), Kind("statefulsets", "apps")
REPLICA_SETS = Kind("replicasets", "apps")
REVIEWS = Kind("selfsubjectaccessreviews", "authorization.k8s.io", namespaced=False)
KINDS = {kind.plural: kind for kind in (JOBS, PODS, SECRETS, CLAIMS, VOLUMES, CLASSES, NODES)}


def label(text: str) -> str:
    """Make a legal label value: at most 63 letters, digits, ``-``, ``_``, ``.``; a long one ends in digits of its hash."""
    clean = _NOT_IN_LABELS.sub("-", text).strip("-_.")
    if len(clean) <= LONGEST_LABEL and clean == text:
        return clean
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{clean[: LONGEST_LABEL - _DIGEST - 1].rstrip('-_.')}-{digest}".lstrip("-_.")


def marks(run_key: str | None, **more: str) -> dict[str, str]:
    """Make the labels of what a run makes."""
    own = {MANAGER_LABEL: MANAGER} | ({RUN_LABEL: label(run_key)} if run_key else {})
    return {**own, **{f"aurora-ops/{name}": label(value) for name, value in more.items()}}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Tell whether this package made an object."""
    return bool((found["metadata"].get("labels") or {}).get(MANAGER_LABEL) == MANAGER)


def require_ours(plural: str, found: Mapping[str, Any]) -> None:
    """Refuse to replace or delete what somebody else made.

    :raises SafetyError: the object is not labelled as this package's.
    """
    if not is_ours(found):
        name = found["metadata"]["name"]
        raise SafetyError(
            f"{plural} {name} is not labelled {MANAGER_LABEL}={MANAGER}; if it may be replaced and deleted, label it so: "
            f"kubectl label {plural} {name} {MANAGER_LABEL}={MANAGER}"
        )


# ---- placing ---------------------------------------------------------------------------------------------------------


def takes(
    labels: Mapping[str, str],
    taints: Iterable[Mapping[str, str]],
    node_selector: Mapping[str, str],
    tolerations: Iterable[Mapping[str, str]],
) -> bool:
    """Tell whether the nodes of a group take pods with this selector and these tolerations.

    :param labels: labels of the node group.
    :param taints: its taints as EKS writes them (``NO_SCHEDULE``).
    :param node_selector: labels that the pods ask for.
    :param tolerations: taints that they bear, as Kubernetes writes them.
    """
    if any(labels.get(key) != value for key, value in node_selector.items()):
        return False
    given = list(tolerations)
    return all(
        taint["effect"] == "PREFER_NO_SCHEDULE" or any(_tolerates(toleration, taint) for toleration in given)
        for taint in taints
    )


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", _EFFECTS.get(taint["effect"], taint["effect"])):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def is_ready(node: Mapping[str, Any]) -> bool:
    """Tell whether a node takes pods."""
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


# ---- jobs ------------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a job ended.

    :param succeeded: it did what it was for.
    :param cause: why it did not.
    """

    succeeded: bool
    cause: str = ""


def outcome(job: Mapping[str, Any]) -> Outcome | None:
    """Say how a job ended; ``None`` while it has not."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition["status"] != "True":
            continue
        if condition["type"] == "Complete":
            return Outcome(succeeded=True)
        if condition["type"] == "Failed":
            return Outcome(succeeded=False, cause=f"{condition.get('reason')}: {condition.get('message')}")
    return None


def stuck(pods: Iterable[Mapping[str, Any]]) -> str | None:
    """Say why a pod will never start as it is; ``None`` where none is in that state."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in STUCK:
                return f"pod {pod['metadata']['name']}: {waiting['reason']}: {waiting.get('message', '')}"
    return None


def waiting_for(pods: Iterable[Mapping[str, Any]]) -> str:
    """Say what pods wait for, for the log; empty where all run."""
    found = []
    for pod in pods:
        status = pod.get("status") or {}
        reasons = [
            f"{condition.get('reason')}: {condition.get('message')}"
            for condition in status.get("conditions") or []
            if condition["status"] == "False" and condition.get("reason") == "Unschedulable"
        ]
        for container in status.get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting")
            if waiting:
                reasons.append(f"{waiting.get('reason')}: {waiting.get('message', '')}")
        found += [f"{pod['metadata']['name']}: {reason}" for reason in reasons]
    return "; ".join(found)


def exit_codes(pods: Iterable[Mapping[str, Any]]) -> str:
    """Say how the containers of pods ended."""
    found = []
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                found.append(f"{pod['metadata']['name']}: {ended.get('reason')}, exit code {ended.get('exitCode')}")
    return "; ".join(found)


def job(
    *,
    name: str,
    image: str,
    command: list[str],
    run_key: str,
    created_in_try: int,
    expires: str,
    suspend: bool,
    environment: Mapping[str, str],
    secret_name: str | None,
    mounts: list[dict[str, str]],
    service_account: str | None,
    node_selector: Mapping[str, str],
    tolerations: list[dict[str, str]],
    cpu: str,
    memory: str,
    run_as: str,
    deadline_s: int,
    keep_s: int,
) -> Object:
    """Write the manifest of a job: one pod, one try, bounded in time, without rights it does not need.

    :param expires: moment from which it may be removed, should its run be dead.
    :param suspend: it has no pod until that is taken back.
    :param environment: values that may be seen by anybody who may read the job; never a secret.
    :param secret_name: secret whose keys the container finds as files below :data:`SECRET_PATH`.
    :param mounts: claims, each ``{"claim", "path", "sub_path"}``.
    :param run_as: user and group id of its process, ``uid:gid``, not 0; files on EFS are theirs.
    :param deadline_s: seconds after which Kubernetes ends it.
    :param keep_s: seconds that it is kept after its end.
    """
    labels = marks(run_key)
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {}}]
    inside: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - of the container
    if secret_name:
        volumes.append({"name": "secret", "secret": {"secretName": secret_name, "defaultMode": 0o440}})
        inside.append({"name": "secret", "mountPath": SECRET_PATH, "readOnly": True})
    for number, mount in enumerate(mounts):
        volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": mount["claim"]}})
        place = {"name": f"claim-{number}", "mountPath": mount["path"]}
        inside.append({**place, "subPath": mount["sub_path"]} if mount.get("sub_path") else place)
    resources = {"cpu": cpu, "memory": memory}
    container = {
        "name": _CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volumeMounts": inside,
        "resources": {"requests": resources, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    user, group = (int(number) for number in run_as.split(":"))
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": dict(node_selector),
        "tolerations": list(tolerations),
        "containers": [container],
        "volumes": volumes,
    }
    if service_account:
        pod["serviceAccountName"] = service_account
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {RUN_LABEL: run_key, TRY_ANNOTATION: str(created_in_try), EXPIRES_ANNOTATION: expires},
        },
        "spec": {
            "suspend": suspend,
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_s,
            "ttlSecondsAfterFinished": keep_s,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def secret(owner: Mapping[str, Any], run_key: str, content: Mapping[str, str]) -> Object:
    """Write the manifest of a job's secret, which goes by the job's name, and goes with it.

    :param owner: the job, as it was made.
    """
    name = owner["metadata"]["name"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": owner["metadata"]["uid"]}
    labels = {"labels": marks(run_key), "annotations": {RUN_LABEL: run_key}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **labels, "ownerReferences": [reference]},
        "immutable": True,
        "stringData": dict(content),
    }


def login_file(*, host: str, port: int, user: str, password: str, tls_ca: str | None) -> str:
    """Write an option file of MySQL's and MariaDB's clients.

    :param tls_ca: file in the image that the server's certificate is checked against; ``None`` checks nothing.
    """
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    lines = ["[client]", f"host={host}", f"port={port}", f"user={user}", f'password="{quoted}"']
    if tls_ca:
        lines += [f"ssl-ca={tls_ca}", "loose-ssl-mode=VERIFY_IDENTITY", "loose-ssl-verify-server-cert"]
    return "\n".join(lines) + "\n"


# ---- storage ---------------------------------------------------------------------------------------------------------


def handle(file_system_id: str, path: str = "/", access_point_id: str | None = None) -> str:
    """Write a directory of a file system as the EFS CSI driver's ``volumeHandle``: ``fs-id[:path][::access-point-id]``."""
    inside = path.strip("/")
    place = f":/{inside}" if inside else ""
    return f"{file_system_id}{place}" + (f"::{access_point_id}" if access_point_id else "")


def file_system_of(volume: Mapping[str, Any]) -> str | None:
    """Read which EFS file system a volume shows; ``None`` where it is another driver's."""
    csi = volume["spec"].get("csi") or {}
    return str(csi["volumeHandle"]).split(":", 1)[0] if csi.get("driver") == EFS_DRIVER else None


def volume_name(claim: str, namespace: str, volume_handle: str) -> str:
    """Name the volume of a claim: another directory is another volume, since where a volume points cannot be changed."""
    digest = hashlib.sha256(f"{namespace}/{claim} {volume_handle}".encode()).hexdigest()[:_DIGEST]
    return naming.fit(claim, f"-{digest}")


def storage_class(name: str) -> Object:
    """Write the manifest of a class for volumes that are made by hand."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "labels": marks(None)},
        "provisioner": EFS_DRIVER,
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    }


def volume(
    *, name: str, claim: str, namespace: str, storage_class_name: str, volume_handle: str, capacity: str
) -> Object:
    """Write the manifest of a volume that only one claim can take, and whose files outlast it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": marks(None, claim=f"{namespace}.{claim}")},
        "spec": {
            "capacity": {"storage": capacity},
            "volumeMode": "Filesystem",
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class_name,
            "claimRef": {"namespace": namespace, "name": claim},
            "csi": {"driver": EFS_DRIVER, "volumeHandle": volume_handle},
        },
    }


def claim(*, name: str, storage_class_name: str, volume_name: str, capacity: str) -> Object:
    """Write the manifest of a claim for one volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": marks(None)},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": storage_class_name,
            "volumeName": volume_name,
            "resources": {"requests": {"storage": capacity}},
        },
    }


def users_of(claim_name: str, pods: Iterable[Object]) -> list[Object]:
    """Find the pods that use a claim and have not ended; those on their way out use it too."""
    return [
        pod
        for pod in pods
        if (pod.get("status") or {}).get("phase") in ("Pending", "Running")
        and any(
            (found.get("persistentVolumeClaim") or {}).get("claimName") == claim_name
            for found in pod["spec"].get("volumes") or []
        )
    ]
