"""Workloads: Deployments keep a ReplicaSet for each template, ReplicaSets and StatefulSets keep so many pods."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any

from localcloud.kube import kubelet
from localcloud.kube.kinds import KINDS
from localcloud.kube.objects import suffix

if TYPE_CHECKING:
    from localcloud.kube.kinds import Kind
    from localcloud.kube.kubelet import Kubelet
    from localcloud.kube.objects import Object, Objects

POD, CLAIM = KINDS["", "pods"], KINDS["", "persistentvolumeclaims"]
DEPLOYMENT, REPLICA_SET = KINDS["apps", "deployments"], KINDS["apps", "replicasets"]
STATEFUL_SET = KINDS["apps", "statefulsets"]
HASH_LABEL, REVISION_LABEL = "pod-template-hash", "controller-revision-hash"
HASH_LENGTH = 10


def settle(objects: Objects, nodes: Kubelet) -> None:
    """Take one step with the workloads of a cluster.

    :param nodes: ends the pods that are too many.
    """
    for deployment in objects.all(DEPLOYMENT.plural):
        _settle_deployment(objects, deployment)
    for replica_set in objects.all(REPLICA_SET.plural):
        _settle_replica_set(objects, replica_set, nodes)
    for stateful_set in objects.all(STATEFUL_SET.plural):
        _settle_stateful_set(objects, stateful_set, nodes)


def make_pod(
    objects: Objects,
    kind: Kind,
    owner: Object,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    volumes: list[dict[str, Any]] | None = None,
) -> None:
    """Make a pod of an object's template.

    :param labels: labels beside the template's.
    :param volumes: volumes beside the template's, which they replace by name.
    """
    meta, template = owner["metadata"], copy.deepcopy(owner["spec"]["template"])
    spec, own = template["spec"], {volume["name"] for volume in volumes or ()}
    if volumes:
        spec["volumes"] = [*(found for found in spec.get("volumes") or () if found["name"] not in own), *volumes]
    body = {
        "metadata": {
            "name": name,
            "labels": {**(template["metadata"].get("labels") or {}), **(labels or {})},
            "annotations": template["metadata"].get("annotations") or {},
            "ownerReferences": [_reference(kind, owner)],
        },
        "spec": spec,
        "status": {"phase": "Pending", "conditions": []},
    }
    objects.create(POD, meta["namespace"], body)


def _reference(kind: Kind, owner: Object) -> dict[str, Any]:
    meta = owner["metadata"]
    named = {"apiVersion": kind.api_version, "kind": kind.name, "name": meta["name"], "uid": meta["uid"]}
    return {**named, "controller": True}


def _settle_deployment(objects: Objects, deployment: Object) -> None:
    """Have the ReplicaSet of the template, with all replicas; those of former templates go when its pods are ready."""
    meta, spec = deployment["metadata"], deployment["spec"]
    sets = objects.owned(REPLICA_SET.plural, deployment)
    name = f"{meta['name']}-{_hash(spec['template'])}"
    current = next((found for found in sets if found["metadata"]["name"] == name), None)
    if current is None:
        current = _make_replica_set(objects, deployment, name)
        sets.append(current)
    former = [found for found in sets if found is not current]
    left = any(objects.owned(POD.plural, found) for found in former)
    waits = left and (spec.get("strategy") or {}).get("type") == "Recreate"
    _scale(objects, current, 0 if waits else spec["replicas"])
    if waits or current["status"].get("readyReplicas", 0) >= spec["replicas"]:
        for found in former:
            _scale(objects, found, 0)
    counts = {
        key: sum(found["status"].get(key, 0) for found in sets)
        for key in ("replicas", "readyReplicas", "availableReplicas")
    }
    counts["updatedReplicas"] = current["status"].get("replicas", 0)
    counts["unavailableReplicas"] = max(0, spec["replicas"] - counts["availableReplicas"])
    available = not counts["unavailableReplicas"]
    condition = {"type": "Available", "status": str(available)}
    _tell(objects, DEPLOYMENT, deployment, {**_given(counts), "conditions": [condition]})


def _make_replica_set(objects: Objects, deployment: Object, name: str) -> Object:
    template = copy.deepcopy(deployment["spec"]["template"])
    template["metadata"]["labels"] = {**template["metadata"]["labels"], HASH_LABEL: name.rpartition("-")[2]}
    body = {
        "metadata": {
            "name": name,
            "labels": template["metadata"]["labels"],
            "ownerReferences": [_reference(DEPLOYMENT, deployment)],
        },
        "spec": {"replicas": 0, "selector": deployment["spec"]["selector"], "template": template},
    }
    return objects.create(REPLICA_SET, deployment["metadata"]["namespace"], body)


def _scale(objects: Objects, found: Object, replicas: int) -> None:
    if found["spec"]["replicas"] != replicas:
        found["spec"]["replicas"] = replicas
        found["metadata"]["generation"] += 1
        objects.touch(REPLICA_SET, found)


def _settle_replica_set(objects: Objects, replica_set: Object, nodes: Kubelet) -> None:
    meta, wanted = replica_set["metadata"], replica_set["spec"]["replicas"]
    pods = _living(objects, replica_set, nodes)
    for _ in range(wanted - len(pods)):
        make_pod(objects, REPLICA_SET, replica_set, f"{meta['name']}-{suffix()}")
    # those that are not ready go first, then the youngest
    pods.sort(key=lambda pod: (kubelet.is_ready(pod), -objects.born[pod["metadata"]["uid"]]))
    for pod in pods[: max(0, len(pods) - wanted)]:
        nodes.remove(objects, pod)
    pods = _living(objects, replica_set, nodes)
    ready = sum(kubelet.is_ready(pod) for pod in pods)
    counts = {"readyReplicas": ready, "availableReplicas": ready}
    _tell(objects, REPLICA_SET, replica_set, {"replicas": len(pods), **_given(counts)})


def _settle_stateful_set(objects: Objects, stateful_set: Object, nodes: Kubelet) -> None:
    """Have pods of every number below the replicas, one after the other, and none of another template."""
    spec = stateful_set["spec"]
    revision = _hash(spec["template"])
    _living(objects, stateful_set, nodes)  # those that have ended make room for others of their name
    kept = {_ordinal(pod): pod for pod in objects.owned(POD.plural, stateful_set)}
    old = [number for number, pod in kept.items() if pod["metadata"]["labels"][REVISION_LABEL] != revision]
    settled = all(kubelet.is_ready(pod) for pod in kept.values())
    missing = [number for number in range(spec["replicas"]) if number not in kept]
    too_many = [number for number in kept if number >= spec["replicas"]]
    in_order = spec["podManagementPolicy"] == "OrderedReady"
    if too_many:
        going = any("deletionTimestamp" in pod["metadata"] for pod in kept.values())
        for number in [] if in_order and going else sorted(too_many, reverse=True)[: 1 if in_order else None]:
            nodes.remove(objects, kept[number])
    elif missing:
        for number in [] if in_order and not settled else missing[: 1 if in_order else None]:
            _make_numbered(objects, stateful_set, number, revision)
    elif old and settled:
        nodes.remove(objects, kept[max(old)])
    pods = _living(objects, stateful_set, nodes)
    ready = sum(kubelet.is_ready(pod) for pod in pods)
    counts = _given({"readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": len(pods) - len(old)})
    _tell(objects, STATEFUL_SET, stateful_set, {"replicas": len(pods), **counts, "updateRevision": revision})


def _make_numbered(objects: Objects, stateful_set: Object, number: int, revision: str) -> None:
    """Make a pod of a StatefulSet, and the claims it has of its own where they are not there."""
    meta = stateful_set["metadata"]
    name = f"{meta['name']}-{number}"
    volumes = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        volume = template["metadata"]["name"]
        claim = f"{volume}-{name}"
        if objects.find(CLAIM.plural, meta["namespace"], claim) is None:
            objects.create(CLAIM, meta["namespace"], {"metadata": {"name": claim}, "spec": template["spec"]})
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
    labels = {"statefulset.kubernetes.io/pod-name": name, REVISION_LABEL: revision}
    make_pod(objects, STATEFUL_SET, stateful_set, name, labels=labels, volumes=volumes)


def _living(objects: Objects, owner: Object, nodes: Kubelet) -> list[Object]:
    """Pods of a workload that are not on their way out; those that have ended are removed."""
    living = []
    for pod in objects.owned(POD.plural, owner):
        if kubelet.has_ended(pod):
            nodes.remove(objects, pod)
        elif "deletionTimestamp" not in pod["metadata"]:
            living.append(pod)
    return living


def _tell(objects: Objects, kind: Kind, found: Object, status: dict[str, Any]) -> None:
    status["observedGeneration"] = found["metadata"]["generation"]
    if found["status"] != status:
        found["status"] = status
        objects.touch(kind, found)


def _given(counts: dict[str, int]) -> dict[str, int]:
    """Leave out what is 0, as the API does."""
    return {key: value for key, value in counts.items() if value}


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _hash(template: Object) -> str:
    text = json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
