"""A Kubernetes API in this process: objects, merge patches in their latest version, and controllers that take their time."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import BusyError, TransientError
from aurora_ops.core.kubernetes import Kind, Object

EFS = "efs.csi.aws.com"


class Killed(BaseException):
    """The process has died."""


class FakeKube:
    """Objects of one namespace; each look lets the controllers take one step.

    :ivar changes: what was changed, as verb and name.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Object] = {}
        self.changes: list[tuple[str, str]] = []
        self.versions = itertools.count(1)
        self.before: Callable[[str, str], None] = lambda verb, name: None
        self.after: Callable[[str, str], None] = lambda verb, name: None
        self.allowed: Callable[[str, str], bool] = lambda verb, plural: True

    # ---- as the hook's ---------------------------------------------------------------------------------------------

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        self.step()
        return copy.deepcopy(self.kept.get((kind.plural, name)))

    def list(self, kind: Kind, namespace: str | None = None, labels: Any = None) -> list[Object]:
        self.step()
        found = [one for (plural, _), one in sorted(self.kept.items()) if plural == kind.plural]
        wanted = (labels or {}).items()
        return [copy.deepcopy(one) for one in found if wanted <= one["metadata"].get("labels", {}).items()]

    def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        return self._do("create", kind, body["metadata"]["name"], lambda: self.put(kind, copy.deepcopy(body)))

    def delete(self, kind: Kind, found: Object) -> None:
        name = found["metadata"]["name"]
        self._do("delete", kind, name, lambda: self._drop(kind, name))

    def patch(self, kind: Kind, found: Object, changes: Object) -> Object:
        return self._do("patch", kind, found["metadata"]["name"], lambda: self._patched(kind, found, changes))

    def may(self, verb: str, kind: Kind, namespace: str | None = None, name: str = "") -> bool:
        return self.allowed(verb, kind.plural)

    # ---- as others' ------------------------------------------------------------------------------------------------

    def put(self, kind: Kind, body: Object) -> Object:
        version = next(self.versions)
        meta = body.setdefault("metadata", {})
        meta |= {
            "uid": meta.get("uid", f"u{version}"),
            "resourceVersion": str(version),
            "creationTimestamp": f"{version:09}",
        }
        status = {"persistentvolumes": "Available", "persistentvolumeclaims": "Pending"}.get(kind.plural)
        if status:
            body["status"] = {"phase": status}
        self.kept[kind.plural, meta["name"]] = body
        return body

    def workload(self, kind: Kind, name: str, replicas: int, claim: str) -> None:
        """Make a workload, with its pods."""
        volumes = [{"name": "files", "persistentVolumeClaim": {"claimName": claim}}]
        spec = {"replicas": replicas, "template": {"spec": {"volumes": volumes}}}
        self.put(kind, {"metadata": {"name": name, "generation": 1}, "spec": spec, "status": {}})
        for _ in range(replicas + 3):
            self.step()

    def pod(self, name: str, claim: str, *owner: str) -> None:
        owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
        volumes = [{"name": "files", "persistentVolumeClaim": {"claimName": claim}}]
        meta = {"name": name, "ownerReferences": owners}
        self.put(k8s.PODS, {"metadata": meta, "spec": {"volumes": volumes}, "status": {"phase": "Running"}})

    def annotations(self, kind: Kind, name: str) -> dict[str, str]:
        return dict(self.kept[kind.plural, name]["metadata"].get("annotations") or {})

    def replicas(self, kind: Kind, name: str) -> int:
        return int(self.kept[kind.plural, name]["spec"]["replicas"])

    def pods(self) -> list[str]:
        return sorted(name for plural, name in self.kept if plural == "pods")

    # ---- inside ----------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One pod comes or goes, one claim is bound."""
        for (plural, name), found in list(self.kept.items()):
            if plural in ("deployments", "statefulsets"):
                self._keep(plural, name, found)
            elif plural == "persistentvolumeclaims" and found["status"]["phase"] == "Pending":
                volume = self.kept.get(("persistentvolumes", found["spec"]["volumeName"]))
                if volume is not None and volume["status"]["phase"] == "Available":
                    volume["status"] = found["status"] = {"phase": "Bound"}

    def _keep(self, plural: str, name: str, found: Object) -> None:
        if plural == "deployments":
            owner = ("ReplicaSet", f"{name}-1")
            above = {"name": owner[1], "ownerReferences": [{"kind": "Deployment", "name": name, "controller": True}]}
            self.kept["replicasets", owner[1]] = {"metadata": above}
        else:
            owner = ("StatefulSet", name)
        pods = [key for key in self.kept if key[0] == "pods" and key[1].startswith(f"{name}-pod-")]
        if len(pods) < found["spec"]["replicas"]:
            claim = found["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
            self.pod(f"{name}-pod-{len(pods)}", claim, *owner)
        elif len(pods) > found["spec"]["replicas"]:
            del self.kept[max(pods)]
        else:
            counts = {"replicas": len(pods), "readyReplicas": len(pods)} if pods else {}
            found["status"] = {"observedGeneration": found["metadata"]["generation"], **counts}

    def _do(self, verb: str, kind: Kind, name: str, change: Callable[[], Any]) -> Any:
        self.before(verb, name)
        result = change()
        self.changes.append((verb, f"{kind.plural}/{name}"))
        self.after(verb, name)
        return copy.deepcopy(result)

    def _drop(self, kind: Kind, name: str) -> None:
        found = self.kept.pop((kind.plural, name), None)
        if found is not None and kind is k8s.CLAIMS:
            volume = self.kept.get(("persistentvolumes", found["spec"].get("volumeName", "")))
            if volume is not None:
                volume["status"] = {"phase": "Released"}

    def _patched(self, kind: Kind, found: Object, changes: Object) -> Object:
        kept = self.kept[kind.plural, found["metadata"]["name"]]
        if kept["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise BusyError("the object has been modified")
        spec = copy.deepcopy(kept["spec"])
        annotations = {**kept["metadata"].get("annotations", {}), **changes["metadata"].get("annotations", {})}
        kept["metadata"]["annotations"] = {key: value for key, value in annotations.items() if value is not None}
        kept["spec"] |= changes.get("spec", {})
        kept["metadata"]["generation"] += kept["spec"] != spec
        kept["metadata"]["resourceVersion"] = str(next(self.versions))
        return kept


class Dies:
    """Kills whoever makes the nth change, before it or after it; or only loses the answer.

    :param lost: the answer is lost instead.
    """

    def __init__(self, kube: FakeKube, nth: int, *, after: bool, lost: bool = False) -> None:
        self.left, self.lost = nth, lost
        setattr(kube, "after" if after else "before", self)

    def __call__(self, verb: str, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise TransientError("cut") if self.lost else Killed
