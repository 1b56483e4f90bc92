"""Persistent volumes: which claim is bound to which volume, when either may go, and where its files really are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from localcloud.eks.models import Clock
from localcloud.kube.kinds import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.efs.core import Core
    from localcloud.kube.objects import Object, Objects

BIND = 0.5
EFS_DRIVER = "efs.csi.aws.com"
VOLUME, CLAIM = KINDS["", "persistentvolumes"], KINDS["", "persistentvolumeclaims"]
RUNNING = {"Pending", "Running"}


class MountError(Exception):
    """A volume cannot be mounted; the message is the kubelet's."""


def settle(objects: Objects) -> bool:
    """Bind what belongs together, and remove what was deleted and is no longer held.

    :return: whether something is still to happen.
    """
    waiting = False
    for claim in objects.all(CLAIM.plural):
        if claim["metadata"].get("deletionTimestamp"):
            waiting = not _let_claim_go(objects, claim) or waiting
        elif claim["status"]["phase"] == "Pending":
            waiting = _bind(objects, claim) or waiting
    for volume in objects.all(VOLUME.plural):
        if volume["metadata"].get("deletionTimestamp"):
            if volume["status"]["phase"] == "Bound":
                waiting = True
            else:
                objects.drop(VOLUME.plural, volume)
    return waiting


def _bind(objects: Objects, claim: Object) -> bool:
    """Bind a claim when its time has come; whether it can be bound and is not yet."""
    volume = _volume_for(objects, claim)
    if volume is None:
        return False
    meta = claim["metadata"]
    if time.time() < objects.born[meta["uid"]] + BIND * Clock.wait_s:
        return True
    reference = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        **{k: meta[k] for k in ("namespace", "name", "uid")},
    }
    volume["spec"]["claimRef"] = reference
    volume["status"] = {"phase": "Bound"}
    claim["spec"]["volumeName"] = volume["metadata"]["name"]
    claim["status"] = {
        "phase": "Bound",
        "accessModes": volume["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    }
    objects.touch(VOLUME, volume)
    objects.touch(CLAIM, claim)
    return False


def _volume_for(objects: Objects, claim: Object) -> Object | None:
    wanted = claim["spec"].get("volumeName")
    for volume in objects.all(VOLUME.plural):
        name, spec = volume["metadata"]["name"], volume["spec"]
        if (wanted and name != wanted) or volume["status"]["phase"] != "Available":
            continue
        if volume["metadata"].get("deletionTimestamp") or not _is_for(spec.get("claimRef"), claim):
            continue
        same_class = (spec.get("storageClassName") or "") == (claim["spec"].get("storageClassName") or "")
        if same_class and set(claim["spec"]["accessModes"]) <= set(spec["accessModes"]):
            return volume
    return None


def _is_for(reference: Object | None, claim: Object) -> bool:
    meta = claim["metadata"]
    if not reference:
        return True
    same = (reference.get("namespace"), reference.get("name")) == (meta["namespace"], meta["name"])
    return same and reference.get("uid") in (None, meta["uid"])


def users_of(objects: Objects, claim: Object) -> list[str]:
    """Names of pods that use a claim and have not ended."""
    meta = claim["metadata"]
    return [
        pod["metadata"]["name"]
        for pod in objects.all("pods", meta["namespace"])
        if pod["status"]["phase"] in RUNNING
        and any(
            (volume.get("persistentVolumeClaim") or {}).get("claimName") == meta["name"]
            for volume in pod["spec"].get("volumes") or ()
        )
    ]


def _let_claim_go(objects: Objects, claim: Object) -> bool:
    if users_of(objects, claim):
        return False
    objects.drop(CLAIM.plural, claim)
    volume = objects.find(VOLUME.plural, "", str(claim["spec"].get("volumeName")))
    if volume is not None and (volume["spec"].get("claimRef") or {}).get("uid") == claim["metadata"]["uid"]:
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            objects.drop(VOLUME.plural, volume)
        else:
            volume["status"] = {"phase": "Released"}
            objects.touch(VOLUME, volume)
    return True


def handle_of_claim(objects: Objects, namespace: str, claim_name: str) -> str:
    """Handle of the volume that a claim is bound to.

    :raises MountError: it is not bound, or its volume is of another driver.
    """
    claim = objects.find(CLAIM.plural, namespace, claim_name)
    if claim is None:
        raise MountError(f'persistentvolumeclaim "{claim_name}" not found')
    volume = objects.find(VOLUME.plural, "", str(claim["spec"].get("volumeName")))
    if claim["status"]["phase"] != "Bound" or volume is None:
        raise MountError(f'pod has unbound immediate PersistentVolumeClaims: "{claim_name}"')
    csi = volume["spec"].get("csi") or {}
    if csi.get("driver") != EFS_DRIVER:
        raise MountError(f"driver name {csi.get('driver')} not found in the list of registered CSI drivers")
    return str(csi["volumeHandle"])


def directory_of_handle(files: Core, account: str, region: str, handle: str) -> Path:
    """Real directory of ``fs-id[:path][::access-point-id]``, as mount.efs would find it.

    :raises MountError: no such file system, access point or directory.
    """
    place, _, point_id = handle.partition("::")
    file_system_id, _, path = place.partition(":")
    with files.lock:
        files.settle()
        here = files.region(account, region)
        if file_system_id not in here.file_systems:
            raise MountError(f'Failed to resolve "{file_system_id}.efs.{region}.amazonaws.com"')
        root = files.directory(file_system_id)
        if point_id:
            point = here.access_points.get(point_id)
            if point is None or point.file_system_id != file_system_id:
                raise MountError(f"mount.nfs4: access denied by server: no access point {point_id}")
            root /= str(point.root.get("Path", "/")).lstrip("/")
    found = root / path.strip("/")
    if not found.is_dir() or not found.resolve().is_relative_to(root.resolve()):
        reason = "No such file or directory"
        raise MountError(f"mount.nfs4: mounting {file_system_id}:{path} failed, reason given by server: {reason}")
    return found
