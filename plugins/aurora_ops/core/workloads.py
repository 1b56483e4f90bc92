"""Deployments and StatefulSets that use claims: what stops and starts them, and what tells how many pods they had."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import StateError
from aurora_ops.core.kubernetes import Kind, Object

REPLICAS_ANNOTATION = "aurora-ops/replicas"
PATTERN = r"^(Deployment|StatefulSet)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
_KINDS = {"Deployment": k8s.DEPLOYMENTS, "StatefulSet": k8s.STATEFUL_SETS}


class Workload(NamedTuple):
    """A workload as the settings name it: ``Deployment/<name>`` or ``StatefulSet/<name>``."""

    kind_name: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Workload:
        """Read what the settings have checked."""
        return cls(*text.split("/", 1))

    @property
    def kind(self) -> Kind:
        """Kind of object that it is."""
        return _KINDS[self.kind_name]

    def __str__(self) -> str:
        return f"{self.kind_name}/{self.name}"


def replicas(found: Mapping[str, Any]) -> int:
    """Read how many pods a workload shall have."""
    return int(found["spec"].get("replicas", 1))


def former(found: Mapping[str, Any]) -> int | None:
    """Read how many pods it had before a run stopped it; ``None`` where none has.

    :raises StateError: somebody has changed the note of it.
    """
    noted = _annotations(found).get(REPLICAS_ANNOTATION)
    if noted is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,5}", noted):
        name = found["metadata"]["name"]
        raise StateError(
            f"annotation {REPLICAS_ANNOTATION} of {name} is {noted!r}, not a number of pods; "
            f"correct it, or scale {name} by hand and remove the annotation"
        )
    return int(noted)


def returns_to(found: Mapping[str, Any]) -> int:
    """Tell how many pods it will have again once it was stopped and started."""
    now = replicas(found)
    return now if now else former(found) or 0


def held_by(found: Mapping[str, Any]) -> str | None:
    """Name the run that has stopped it and has not seen it ready again; ``None`` where there is none."""
    return _annotations(found).get(k8s.RUN_LABEL)


def to_stop(found: Mapping[str, Any], run_key: str) -> Object | None:
    """Write the patch that scales a workload to 0 and notes what it had; ``None`` where nothing is to be done.

    The count and the note of it are one patch, so that nothing can come between them. What an earlier run has stopped and left is
    taken over, its note too; what somebody has scaled to 0 stays so.

    :param run_key: the run, as ``refresh_plan.run_key`` writes it.
    """
    now = replicas(found)
    if now:
        return _patch({REPLICAS_ANNOTATION: str(now), k8s.RUN_LABEL: run_key}, count=0)
    if former(found) is not None and held_by(found) != run_key:
        return _patch({k8s.RUN_LABEL: run_key})
    return None


def to_start(found: Mapping[str, Any]) -> Object | None:
    """Write the patch that gives a stopped workload its former count; ``None`` where it has been given it, or another.

    The run stays noted until its pods are ready, so that a killed task still waits for them.
    """
    before = former(found)
    if before is None:
        return None
    return _patch({REPLICAS_ANNOTATION: None}, count=None if replicas(found) else before)


def to_let_go() -> Object:
    """Write the patch that takes the note of the run off."""
    return _patch({k8s.RUN_LABEL: None})


def is_ready(found: Mapping[str, Any]) -> bool:
    """Tell whether all its pods are ready, and that is said of its latest change."""
    status = found.get("status") or {}
    return _is_observed(found) and int(status.get("readyReplicas", 0)) >= replicas(found)


def is_stopped(found: Mapping[str, Any]) -> bool:
    """Tell whether it has no pods and will make none, and that is said of its latest change."""
    status = found.get("status") or {}
    return not replicas(found) and _is_observed(found) and not status.get("replicas")


def mounts(found: Mapping[str, Any], claims: Iterable[str]) -> bool:
    """Tell whether the pods of a workload use one of these claims, its own (of ``volumeClaimTemplates``) included."""
    spec, name = found["spec"], found["metadata"]["name"]
    volumes = ((spec.get("template") or {}).get("spec") or {}).get("volumes") or []
    used = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
    own = [
        re.compile(rf"{re.escape(template['metadata']['name'])}-{re.escape(name)}-\d+")
        for template in spec.get("volumeClaimTemplates") or []
    ]
    return any(claim in used or any(pattern.fullmatch(claim) for pattern in own) for claim in claims)


def controller_of(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """Kind and name of what made an object and keeps it; ``None`` where nothing does."""
    for owner in found["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return str(owner["kind"]), str(owner["name"])
    return None


def _is_observed(found: Mapping[str, Any]) -> bool:
    """Tell whether its controller has seen its latest change."""
    seen = (found.get("status") or {}).get("observedGeneration", 0)
    return int(seen) >= int(found["metadata"].get("generation", 0))


def _annotations(found: Mapping[str, Any]) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def _patch(annotations: Mapping[str, str | None], count: int | None = None) -> Object:
    """Write a merge patch; ``None`` removes an annotation, and leaves the count as it is."""
    spec: Object = {} if count is None else {"spec": {"replicas": count}}
    return {"metadata": {"annotations": dict(annotations)}, **spec}
