"""Garbage collection: what only objects that are gone owned, goes too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.kube.kinds import KINDS

if TYPE_CHECKING:
    from localcloud.kube.kubelet import Kubelet
    from localcloud.kube.objects import Object, Objects

OWNERS = {"Job", "Deployment", "ReplicaSet", "StatefulSet"}


def collect(objects: Objects, kubelet: Kubelet) -> None:
    """Delete what has owners, all of which are gone."""
    living = {found["metadata"]["uid"] for kept in objects.kept.values() for found in kept.values()}
    for kind in KINDS.values():
        for found in objects.all(kind.plural):
            owners = found["metadata"].get("ownerReferences")
            if not owners or "deletionTimestamp" in found["metadata"] or any(one["uid"] in living for one in owners):
                continue
            if kind.name == "Pod":
                kubelet.remove(objects, found)
            else:
                objects.delete(kind, found)


def orphan(objects: Objects, owner: Object) -> None:
    """Let what an object owns outlive it."""
    uid = owner["metadata"]["uid"]
    for kind in KINDS.values():
        for found in objects.owned(kind.plural, owner):
            owners = found["metadata"]["ownerReferences"]
            found["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] != uid]
            objects.touch(kind, found)
