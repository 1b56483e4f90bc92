"""The objects of one cluster: kept, found, listed by pages, changed only in their latest version."""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import secrets
import string
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from localcloud.kube import kinds
from localcloud.kube.errors import ApiError, already_exists, bad_request, conflict, not_found
from localcloud.kube.kinds import Kind

Object = dict[str, Any]
SET = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
FINALIZERS = {
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
    "PersistentVolume": "kubernetes.io/pv-protection",
}
_ALPHABET = string.ascii_lowercase + string.digits


def now_text(epoch: float | None = None) -> str:
    """Write a moment as Kubernetes does: UTC, to the second."""
    return datetime.fromtimestamp(time.time() if epoch is None else epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def suffix(length: int = 5) -> str:
    """Random end of a generated name."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Objects:
    """Objects of one cluster. The caller holds the lock.

    :param account: account of the cluster.
    """

    def __init__(self, account: str, region: str, name: str) -> None:
        self.account, self.region, self.name = account, region, name
        self.version = 1
        self.born: dict[str, float] = {}  # epoch seconds by uid; the timestamps in objects have no fractions
        self.kept: dict[str, dict[tuple[str, str], Object]] = {}
        self.know_kinds()
        for namespace in ("default", "kube-system"):
            self.create(kinds.KINDS["", "namespaces"], "", {"metadata": {"name": namespace}})

    def know_kinds(self) -> None:
        """Have a place for every kind, also for those that there were not when this was written down."""
        for kind in kinds.KINDS.values():
            self.kept.setdefault(kind.plural, {})

    # ---- reading ---------------------------------------------------------------------------------------------------

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        """Return the object itself, not a copy; None if there is none."""
        return self.kept[plural].get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return an object.

        :raises ApiError: 404.
        """
        found = self.find(kind.plural, namespace, name)
        if found is None:
            raise not_found(_resource(kind), name)
        return found

    def all(self, plural: str, namespace: str | None = None) -> list[Object]:
        """Every object of a kind, of one namespace or all of them."""
        return [
            found for (where, _), found in sorted(self.kept[plural].items()) if namespace is None or where == namespace
        ]

    def owned(self, plural: str, owner: Object) -> list[Object]:
        """Every object of a kind that another one owns."""
        meta = owner["metadata"]
        return [
            found
            for found in self.all(plural, meta.get("namespace", ""))
            if any(one["uid"] == meta["uid"] for one in found["metadata"].get("ownerReferences") or ())
        ]

    def page(
        self, items: list[Object], kind: Kind, *, limit: int, token: str, labels: str, fields: str
    ) -> dict[str, Any]:
        """Return a page of a list, as the API does.

        :param items: objects in order.
        :param limit: most items of a page; 0 is all.
        :param token: ``continue`` of the page before.
        :raises ApiError: 400 for a selector or token that cannot be read.
        """
        chosen = [item for item in items if _by_labels(item, labels) and _by_fields(item, fields)]
        start = _start(token)
        end = start + limit if limit else len(chosen)
        meta: dict[str, Any] = {"resourceVersion": str(self.version)}
        if end < len(chosen):
            meta["continue"] = base64.urlsafe_b64encode(json.dumps({"start": end}).encode()).decode()
            meta["remainingItemCount"] = len(chosen) - end
        return {
            "kind": f"{kind.name}List",
            "apiVersion": kind.api_version,
            "metadata": meta,
            "items": copy.deepcopy(chosen[start:end]),
        }

    # ---- changing --------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Make an object.

        :raises ApiError: 404 without its namespace, 409 if it exists, 422 if it is not legal.
        """
        body = copy.deepcopy(body)
        meta = body.setdefault("metadata", {})
        if namespace and not self.find("namespaces", "", namespace):
            raise not_found("namespaces", namespace)
        if meta.get("namespace") not in (None, "", namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + suffix()
        kinds.check_new(kind, body)
        if self.find(kind.plural, namespace, meta["name"]):
            raise already_exists(_resource(kind), meta["name"])
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now_text(), "generation": 1}
        self.born[meta["uid"]] = time.time()
        if namespace:
            meta["namespace"] = namespace
        if kind.name in FINALIZERS:
            meta["finalizers"] = [*meta.get("finalizers", ()), FINALIZERS[kind.name]]
        _complete(kind, body)
        self._keep(kind, body)
        return body

    def change(self, kind: Kind, old: Object, new: Object) -> Object:
        """Replace an object by another version of it.

        :raises ApiError: 409 if ``new`` is of an older version, 422 if it changes what may not change.
        """
        meta, given = old["metadata"], new.setdefault("metadata", {})
        if given.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
            raise conflict(_resource(kind), meta["name"], "the object has been modified; please apply your changes to "
                           "the latest version and try again")  # fmt: skip
        kinds.check_change(kind, old, new)
        kept = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")
        given |= {key: meta[key] for key in kept if key in meta}
        if kind.name in kinds.WORKLOADS:
            new["spec"].setdefault("replicas", 1)
            given["generation"] = meta["generation"] + int(new["spec"] != old["spec"])
        old_status = old.get("status")
        old.clear()
        old.update(new)
        if old_status is not None:
            old["status"] = old_status
        self._keep(kind, old)
        return old

    def touch(self, kind: Kind, body: Object) -> None:
        """Give an object that was changed in place its new version."""
        self._keep(kind, body)

    def delete(self, kind: Kind, body: Object) -> bool:
        """Delete an object, or mark it for deletion while finalizers hold it.

        :return: whether it is gone.
        """
        meta = body["metadata"]
        if meta.get("finalizers"):
            meta.setdefault("deletionTimestamp", now_text())
            meta["deletionGracePeriodSeconds"] = 0
            self._keep(kind, body)
            return False
        self.drop(kind.plural, body)
        return True

    def drop(self, plural: str, body: Object) -> None:
        """Remove an object at once."""
        meta = body["metadata"]
        self.kept[plural].pop((meta.get("namespace", ""), meta["name"]), None)
        for moment in ("", "start ", "end "):
            self.born.pop(f"{moment}{meta['uid']}", None)
        self.version += 1

    def _keep(self, kind: Kind, body: Object) -> None:
        self.version += 1
        meta = body["metadata"]
        meta["resourceVersion"] = str(self.version)
        body |= {"kind": kind.name, "apiVersion": kind.api_version}
        self.kept[kind.plural][meta.get("namespace", ""), meta["name"]] = body


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _complete(kind: Kind, body: Object) -> None:
    """Fill in what the API server fills in."""
    if kind.name == "Namespace":
        body["status"] = {"phase": "Active"}
        body["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = body["metadata"]["name"]
    elif kind.name == "Secret":
        texts = body.pop("stringData", None) or {}
        coded = {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
        body["data"] = {**(body.get("data") or {}), **coded}
        body.setdefault("type", "Opaque")
    elif kind.name == "PersistentVolume":
        body["status"] = {"phase": "Available"}
        body["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
        body["spec"].setdefault("volumeMode", "Filesystem")
    elif kind.name == "PersistentVolumeClaim":
        body["status"] = {"phase": "Pending"}
        body["spec"].setdefault("volumeMode", "Filesystem")
    elif kind.name == "StorageClass":
        body.setdefault("reclaimPolicy", "Delete")
        body.setdefault("volumeBindingMode", "Immediate")
    elif kind.name == "Job":
        _complete_job(body)
    elif kind.name in kinds.WORKLOADS or kind.name == "ReplicaSet":
        _complete_workload(kind, body)


def _complete_workload(kind: Kind, body: Object) -> None:
    spec = body["spec"]
    spec.setdefault("replicas", 1)
    spec["template"].setdefault("metadata", {})
    spec["template"]["spec"].setdefault("restartPolicy", "Always")
    if kind.name == "StatefulSet":
        spec.setdefault("podManagementPolicy", "OrderedReady")
    body["status"] = {} if kind.name == "Deployment" else {"replicas": 0}


def _complete_job(body: Object) -> None:
    spec, meta = body["spec"], body["metadata"]
    for field, value in (("backoffLimit", 6), ("completions", 1), ("parallelism", 1), ("suspend", False)):
        spec.setdefault(field, value)
    own = {
        "batch.kubernetes.io/controller-uid": meta["uid"],
        "batch.kubernetes.io/job-name": meta["name"],
        "controller-uid": meta["uid"],
        "job-name": meta["name"],
    }
    template = spec["template"].setdefault("metadata", {})
    template["labels"] = {**(template.get("labels") or {}), **own}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    body["status"] = {}


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error


def _by_labels(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    return all(_matches(labels, part) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def _matches(labels: dict[str, str], part: str) -> bool:
    found = SET.match(part)
    if found:
        values = {value.strip() for value in found[3].split(",")}
        return (labels.get(found[1]) in values) == (found[2] == "in")
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        if sign in part:
            key, value = (text.strip() for text in part.split(sign, 1))
            return (labels.get(key) == value) == equal
    key = part.strip()
    if not re.fullmatch(r"!?[\w./-]+", key):
        raise ApiError(400, "BadRequest", f'unable to parse requirement: "{part}"')
    return (key.removeprefix("!") in labels) != key.startswith("!")


def _by_fields(item: Object, selector: str) -> bool:
    for part in filter(None, selector.split(",")):
        path, _, value = part.replace("==", "=").partition("=")
        found: Any = item
        for name in path.split("."):
            found = (found or {}).get(name)
        if str(found or "") != value:
            return False
    return True
