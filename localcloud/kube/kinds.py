"""Kinds of objects, and what the API server checks of each. Rules as in Kubernetes' own validation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.kube.errors import bad_request, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    Causes = list[tuple[str, str]]

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
QUANTITY = re.compile(r"\d+(\.\d+)?([eE]\d+|m|k|[KMGTPE]i?)?")
REVIEW = "SelfSubjectAccessReview"
WORKLOADS = {"Deployment", "StatefulSet"}
LARGEST_SECRET = 1024 * 1024
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of at most 63 alphanumeric characters, '-', '_' or '.'"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@dataclass(frozen=True)
class Kind:
    """A kind of objects.

    :param short: its names are labels of at most 63 characters instead of subdomains.
    :param readonly: only the cluster itself makes and changes them.
    """

    name: str
    plural: str
    group: str = ""
    namespaced: bool = True
    short: bool = False
    readonly: bool = False

    @property
    def api_version(self) -> str:
        """Such as ``batch/v1``."""
        return f"{self.group}/v1" if self.group else "v1"


KINDS = {
    (kind.group, kind.plural): kind
    for kind in (
        Kind("Namespace", "namespaces", namespaced=False, short=True),
        Kind("Node", "nodes", namespaced=False, readonly=True),
        Kind("Pod", "pods", readonly=True),
        Kind("Secret", "secrets"),
        Kind("ConfigMap", "configmaps"),
        Kind("ServiceAccount", "serviceaccounts"),
        Kind("PersistentVolume", "persistentvolumes", namespaced=False),
        Kind("PersistentVolumeClaim", "persistentvolumeclaims"),
        Kind("Job", "jobs", "batch", short=True),
        Kind("Deployment", "deployments", "apps"),
        Kind("ReplicaSet", "replicasets", "apps", readonly=True),
        Kind("StatefulSet", "statefulsets", "apps", short=True),
        Kind("StorageClass", "storageclasses", "storage.k8s.io", namespaced=False),
        Kind("Role", "roles", "rbac.authorization.k8s.io"),
        Kind("RoleBinding", "rolebindings", "rbac.authorization.k8s.io"),
        Kind("ClusterRole", "clusterroles", "rbac.authorization.k8s.io", namespaced=False),
        Kind("ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io", namespaced=False),
        Kind(REVIEW, "selfsubjectaccessreviews", "authorization.k8s.io", namespaced=False),
    )
}


def check_new(kind: Kind, body: dict[str, Any]) -> None:
    """Check an object that is to be made.

    :raises ApiError: 422, with every field that is wrong.
    """
    meta = body.get("metadata") or {}
    name = str(meta.get("name", ""))
    causes = _name(kind, name) + _labels(meta.get("labels") or {}, "metadata.labels")
    _annotations(meta)
    causes += CHECKS.get(kind.name, _nothing)(body)
    if causes:
        raise invalid(kind.name, name, causes)


def check_change(kind: Kind, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Check a change of an object: what may not change, has not.

    :raises ApiError: 422.
    """
    causes = _labels((new.get("metadata") or {}).get("labels") or {}, "metadata.labels")
    _annotations(new.get("metadata") or {})
    for path in FROZEN.get(kind.name, ()):
        if _at(old, path) not in (None, _at(new, path)):
            causes.append((path, "Forbidden: field is immutable after creation"))
    causes += CHECKS.get(kind.name, _nothing)(new)
    if causes:
        raise invalid(kind.name, str(new["metadata"]["name"]), causes)


FROZEN = {
    "Job": ("spec.template", "spec.selector", "spec.completions"),
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "PersistentVolume": ("spec.csi", "spec.nfs", "spec.volumeMode"),
    "PersistentVolumeClaim": ("spec.volumeName", "spec.storageClassName", "spec.accessModes"),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "Secret": ("type",),
}


def _at(body: dict[str, Any], path: str) -> Any:
    value: Any = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _name(kind: Kind, name: str) -> Causes:
    longest, pattern, rule = (
        (LABEL_LENGTH, LABEL, LABEL_RULE) if kind.short else (SUBDOMAIN_LENGTH, SUBDOMAIN, SUBDOMAIN_RULE)
    )
    if not name:
        return [("metadata.name", "Required value: name or generateName is required")]
    if len(name) > longest:
        return [("metadata.name", f'Invalid value: "{name}": must be no more than {longest} characters')]
    return [] if pattern.fullmatch(name) else [("metadata.name", f'Invalid value: "{name}": {rule}')]


def _labels(labels: dict[str, Any], field: str) -> Causes:
    causes = [
        (field, f'Invalid value: "{key}": name part must be 63 characters or less')
        for key in labels
        if not KEY.fullmatch(key)
    ]
    causes += [
        (field, f'Invalid value: "{value}": {LABEL_VALUE_RULE}')
        for value in labels.values()
        if not isinstance(value, str) or len(value) > LABEL_LENGTH or not LABEL_VALUE.fullmatch(value)
    ]
    return causes


def _annotations(meta: dict[str, Any]) -> None:
    """Refuse annotations that are no text.

    :raises ApiError: 400.
    """
    for key, value in (meta.get("annotations") or {}).items():
        if not isinstance(value, str):
            raise bad_request(f"json: cannot unmarshal {value!r} into metadata.annotations.{key} of type string")


def _nothing(_body: dict[str, Any]) -> Causes:
    return []


def _secret(body: dict[str, Any]) -> Causes:
    size = sum(len(str(value)) * 3 // 4 for value in (body.get("data") or {}).values())
    return [("data", "Too long: must have at most 1048576 bytes")] if size > LARGEST_SECRET else []


def _claim(body: dict[str, Any]) -> Causes:
    spec = body.get("spec") or {}
    return _access(spec) + _storage(((spec.get("resources") or {}).get("requests") or {}), "spec.resources.requests")


def _volume(body: dict[str, Any]) -> Causes:
    spec = body.get("spec") or {}
    causes = _access(spec) + _storage(spec.get("capacity") or {}, "spec.capacity")
    if not any(source in spec for source in ("csi", "nfs", "hostPath")):
        causes.append(("spec", "Required value: must specify a volume type"))
    csi = spec.get("csi") or {}
    causes += [(f"spec.csi.{key}", "Required value") for key in ("driver", "volumeHandle") if csi and not csi.get(key)]
    return causes


def _access(spec: dict[str, Any]) -> Causes:
    modes = spec.get("accessModes") or []
    known = {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"}
    if not modes:
        return [("spec.accessModes", "Required value: at least 1 access mode is required")]
    return [("spec.accessModes", f'Unsupported value: "{mode}"') for mode in modes if mode not in known]


def _storage(amounts: dict[str, Any], field: str) -> Causes:
    amount = str(amounts.get("storage", ""))
    if not amount:
        return [(f"{field}.storage", "Required value")]
    return [] if QUANTITY.fullmatch(amount) else [(f"{field}.storage", "quantities must match the regular expression")]


def _storage_class(body: dict[str, Any]) -> Causes:
    return [] if body.get("provisioner") else [("provisioner", "Required value")]


def _job(body: dict[str, Any]) -> Causes:
    spec = body.get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    causes = _template(template)
    if pod.get("restartPolicy") not in {"Never", "OnFailure"}:
        causes.append(("spec.template.spec.restartPolicy", 'Required value: valid values: "OnFailure", "Never"'))
    for field in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        if isinstance(spec.get(field), int) and spec[field] < 0:
            causes.append((f"spec.{field}", "Invalid value: must be greater than or equal to 0"))
    return causes


def _workload(body: dict[str, Any]) -> Causes:
    spec = body.get("spec") or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    causes = _template(template)
    if not wanted:
        causes.append(("spec.selector", "Required value"))
    elif any(labels.get(key) != value for key, value in wanted.items()):
        causes.append(("spec.template.metadata.labels", "Invalid value: `selector` does not match template `labels`"))
    if (template.get("spec") or {}).get("restartPolicy", "Always") != "Always":
        causes.append(("spec.template.spec.restartPolicy", 'Unsupported value: supported values: "Always"'))
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int):
        raise bad_request(f"json: cannot unmarshal {replicas!r} into spec.replicas of type int32")
    if replicas < 0:
        causes.append(("spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0"))
    return causes


def _template(template: dict[str, Any]) -> Causes:
    """Check a template of pods."""
    pod = template.get("spec") or {}
    causes = _labels((template.get("metadata") or {}).get("labels") or {}, "spec.template.metadata.labels")
    if not pod.get("containers"):
        causes.append(("spec.template.spec.containers", "Required value"))
    return causes + _volumes(pod)


def _volumes(pod: dict[str, Any]) -> Causes:
    names = {volume["name"] for volume in pod.get("volumes") or ()}
    field = "spec.template.spec.containers[0].volumeMounts"
    causes: Causes = []
    for container in pod.get("containers") or ():
        if not container.get("image"):
            causes.append(("spec.template.spec.containers[0].image", "Required value"))
        causes += [
            (f"{field}.name", f'Not found: "{mount["name"]}"')
            for mount in container.get("volumeMounts") or ()
            if mount["name"] not in names
        ]
    return causes


CHECKS: dict[str, Callable[[dict[str, Any]], Causes]] = {
    "Secret": _secret,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
    "Job": _job,
    "Deployment": _workload,
    "StatefulSet": _workload,
}
