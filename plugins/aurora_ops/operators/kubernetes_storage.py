"""Persistent storage on EFS for the applications of a cluster: class, volume and claim at a directory of a file system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import StateError
from aurora_ops.core.kubernetes import Kind, Object
from aurora_ops.operators.base import Result
from aurora_ops.operators.kubernetes_jobs import KubernetesOperator


class StorageOperator(KubernetesOperator):
    """Work on a claim and what is behind it.

    :param claim_name: claim (``PersistentVolumeClaim``) that the applications mount (templated).
    :param storage_class_name: class of its volumes (templated).
    :param within_s: seconds that each change may take.
    """

    permissions: ClassVar[tuple[str, ...]] = ("eks:DescribeCluster",)
    template_fields: Sequence[str] = (*KubernetesOperator.template_fields, "claim_name", "storage_class_name")

    def __init__(self, *, claim_name: str, storage_class_name: str = "efs", within_s: int = 600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.claim_name = claim_name
        self.storage_class_name = storage_class_name
        self.within_s = within_s

    def remove(self, kind: Kind, found: Object, context: Context) -> Result:
        """Delete an object of ours, unless that has begun, and wait until it is gone.

        :raises SafetyError: somebody else made it.
        :raises StateError: a claim is in use.
        """
        if not found["metadata"].get("deletionTimestamp"):
            k8s.require_ours(kind.plural, found)
            if kind is k8s.CLAIMS:
                self._require_unused()
            self.api.delete(kind, found)
        return self.wait_until_gone(kind, found, self.within_s, context)

    def delete_pass(self, context: Context) -> Result:
        """Delete the first of claim, volumes and class that is still there."""
        claim = self.find_claim()
        if claim is not None:
            return self.remove(k8s.CLAIMS, claim, context)
        for volume in self.own_volumes():
            return self.remove(k8s.VOLUMES, volume, context)
        result = {"claim": self.claim_name, "namespace": self.namespace}
        found = self.api.find(k8s.CLASSES, self.storage_class_name)
        if found is None:
            return {**result, "storage_class_deleted": True}
        others = [
            volume
            for volume in self.api.list(k8s.VOLUMES)
            if volume["spec"].get("storageClassName") == self.storage_class_name
        ]
        if k8s.is_ours(found) and not others:
            return self.remove(k8s.CLASSES, found, context)
        return {**result, "storage_class_deleted": False}

    def find_claim(self) -> Object | None:
        """Read the claim."""
        return self.api.find(k8s.CLAIMS, self.claim_name, self.namespace)

    def own_volumes(self) -> list[Object]:
        """List the volumes that were made for the claim."""
        return self.api.list(k8s.VOLUMES, labels=k8s.marks(None, claim=f"{self.namespace}.{self.claim_name}"))

    def _require_unused(self) -> None:
        pods = self.api.list(k8s.PODS, self.namespace)
        if users := [pod["metadata"]["name"] for pod in k8s.users_of(self.claim_name, pods)]:
            raise StateError(
                f"claim {self.claim_name} in {self.namespace} is used by {users}, and a claim cannot be pointed elsewhere under "
                f"running pods; scale what runs them to 0, or have it done: eks.workloads, and the task stop_workloads"
            )


class CreateStorageOperator(StorageOperator):
    """Have a claim bound to a volume at a directory of an EFS file system; Bound is waited for.

    Where a volume points cannot be changed, so another directory is another volume: it is made beside the former one, the claim is
    made anew for it, and former volumes of the claim are removed last; files stay (reclaim policy Retain). What is right already is
    left as it is. Only what carries the label ``app.kubernetes.io/managed-by=aurora-ops`` is ever replaced, and no claim under
    running pods.

    :param file_system_id: EFS file system (templated).
    :param path: directory in it, such as that of a restore; ``/`` is its root (templated).
    :param access_point_id: access point that it is mounted through; ``None`` for none (templated).
    :param capacity: size that volume and claim state, as Kubernetes writes it; EFS has no such bound (templated).
    :return: ``{"claim", "namespace", "volume", "volume_handle", "storage_class"}``.
    :raises SafetyError: claim or volume of that name are somebody else's.
    :raises StateError: the claim is in use and points elsewhere, or the storage class is another driver's.
    :raises WaitFailedError: the claim has lost its volume.
    """

    template_fields: Sequence[str] = (
        *StorageOperator.template_fields,
        "file_system_id",
        "path",
        "access_point_id",
        "capacity",
    )

    def __init__(
        self,
        *,
        file_system_id: str,
        path: str = "/",
        access_point_id: str | None = None,
        capacity: str = "20Gi",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.path = path
        self.access_point_id = access_point_id
        self.capacity = capacity

    def take_pass(self, context: Context) -> Result:
        """Have it show what it shall."""
        handle = k8s.handle(self.file_system_id, self.path, self.access_point_id)
        return self.show_pass(handle, k8s.volume_name(self.claim_name, self.namespace, handle), context)

    def show_pass(self, handle: str, name: str, context: Context) -> Result:
        """Look from class to claim; make or replace the first that is not right.

        :param handle: what the claim's volume points to, as the EFS CSI driver writes it.
        :param name: name of that volume.
        """
        self._have_class()
        volume, claim = self.api.find(k8s.VOLUMES, name), self.find_claim()
        if volume is not None and _is_used_up(volume):
            return self.remove(k8s.VOLUMES, volume, context)
        if volume is None:
            self.api.create(k8s.VOLUMES, self._volume(name, handle))
        elif volume["spec"].get("csi", {}).get("volumeHandle") != handle:
            raise StateError(f"volume {name} points to {volume['spec'].get('csi')}, not to {handle}; delete it")
        if claim is not None and (claim["spec"].get("volumeName") != name or _is_going(claim)):
            return self.remove(k8s.CLAIMS, claim, context)
        if claim is None:
            body = k8s.claim(
                name=self.claim_name,
                storage_class_name=self.storage_class_name,
                volume_name=name,
                capacity=self.capacity,
            )
            claim = self.api.create(k8s.CLAIMS, body, self.namespace)
        if (claim.get("status") or {}).get("phase") != "Bound":
            where = {"namespace": self.namespace, "name": self.claim_name}
            return self.wait_for_object("claim_bound", self.within_s, context, **where)
        for former in self.own_volumes():
            if former["metadata"]["name"] != name:
                return self.remove(k8s.VOLUMES, former, context)
        return {
            "claim": self.claim_name,
            "namespace": self.namespace,
            "volume": name,
            "volume_handle": handle,
            "storage_class": self.storage_class_name,
        }

    def _have_class(self) -> None:
        found = self.api.find(k8s.CLASSES, self.storage_class_name)
        if found is None:
            self.api.create(k8s.CLASSES, k8s.storage_class(self.storage_class_name))
        elif found["provisioner"] != k8s.EFS_DRIVER:
            raise StateError(
                f"storage class {self.storage_class_name} is of {found['provisioner']}, not of {k8s.EFS_DRIVER}; name another one"
            )

    def _volume(self, name: str, handle: str) -> Object:
        return k8s.volume(
            name=name,
            claim=self.claim_name,
            namespace=self.namespace,
            storage_class_name=self.storage_class_name,
            volume_handle=handle,
            capacity=self.capacity,
        )


class UndoStorageOperator(CreateStorageOperator):
    """Have a claim show what it showed before, where it could not be made to show something else.

    A claim that is bound is left alone, whatever it shows: it can be used. What it showed is read off the former volume, which is
    there until the claim is bound to another one; so another one is made of it, under another name, before it goes.

    :param tried: something that a task of this run has left right before it was tried; ``None``: nothing was (templated).
    :return: ``{"claim", "namespace", "shows"}``; ``shows`` is the handle of its volume, ``None`` where there is none.
    """

    template_fields: Sequence[str] = (*CreateStorageOperator.template_fields, "tried")

    def __init__(self, *, tried: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tried = tried

    def take_pass(self, context: Context) -> Result:
        """Look at the claim; where it is not bound, have it show what the former volume showed."""
        result = {"claim": self.claim_name, "namespace": self.namespace, "shows": None}
        if self.tried is None:
            return result
        claim, volumes = self.find_claim(), self.own_volumes()
        if claim is not None and not _is_going(claim) and (claim.get("status") or {}).get("phase") == "Bound":
            bound = self.api.find(k8s.VOLUMES, claim["spec"]["volumeName"])
            return {**result, "shows": _handle_of(bound) if bound else None}
        wanted = k8s.handle(self.file_system_id, self.path, self.access_point_id)
        volumes.sort(key=lambda volume: volume["metadata"]["creationTimestamp"])
        former = [handle for handle in map(_handle_of, volumes) if handle not in (None, wanted)]
        if not former:
            return result
        handle, used_up = str(former[-1]), {volume["metadata"]["name"] for volume in volumes if _is_used_up(volume)}
        self.log.info("claim %s: back to %s", self.claim_name, handle)
        names = [k8s.volume_name(self.claim_name, self.namespace, text) for text in (handle, f"{handle} again")]
        return self.show_pass(handle, next((name for name in names if name not in used_up), names[0]), context)


class DeleteStorageOperator(StorageOperator):
    """Delete a claim, its volumes, and the storage class where nothing else has it; gone is waited for. Files stay.

    :return: ``{"claim", "namespace", "storage_class_deleted"}``.
    :raises SafetyError: the claim is somebody else's.
    :raises StateError: pods use the claim.
    """

    def take_pass(self, context: Context) -> Result:
        """Look; delete the first that is still there."""
        return self.delete_pass(context)


class ManageStorageOperator(CreateStorageOperator):
    """Create or delete a claim and what is behind it, as asked for while the run goes on.

    :param action: ``create`` or ``delete`` (templated).
    :return: what :class:`CreateStorageOperator` or :class:`DeleteStorageOperator` return.
    """

    template_fields: Sequence[str] = (*CreateStorageOperator.template_fields, "action")

    def __init__(self, *, action: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.action = action

    def take_pass(self, context: Context) -> Result:
        """Take a pass of one or the other."""
        return self.delete_pass(context) if self.action == "delete" else super().take_pass(context)


def _is_used_up(volume: Object) -> bool:
    """Tell whether a volume was bound once to a claim that is gone: Kubernetes gives such a one to nobody."""
    return volume["status"]["phase"] in ("Released", "Failed") or _is_going(volume)


def _handle_of(volume: Object) -> str | None:
    handle: str | None = (volume["spec"].get("csi") or {}).get("volumeHandle")
    return handle


def _is_going(found: Object) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))
