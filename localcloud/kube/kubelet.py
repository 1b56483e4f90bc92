"""What nodes do: a pod gets one, its container runs, is ready after a while, runs again if it shall, and ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from localcloud.eks.models import Clock
from localcloud.kube import containers, volumes
from localcloud.kube.kinds import KINDS
from localcloud.kube.objects import now_text

if TYPE_CHECKING:
    from localcloud.kube.containers import Container
    from localcloud.kube.objects import Object, Objects

POD = KINDS["", "pods"]
START = 0.3
READY = 0.3
RESTART = 1.0
ENDED = {"Succeeded", "Failed"}
NODE_LOST = "NodeLost"


def has_ended(pod: Object) -> bool:
    """Whether the container of a pod has ended for good."""
    return pod["status"]["phase"] in ENDED


def is_ready(pod: Object) -> bool:
    """Whether a pod's container runs and has told that it is ready."""
    found = pod["status"].get("containerStatuses") or [{}]
    return bool(found[0].get("ready")) and "deletionTimestamp" not in pod["metadata"]


class Kubelet:
    """Runs the containers of every cluster.

    :param machine: what containers find here.
    """

    def __init__(self, machine: containers.Machine) -> None:
        self._machine = machine
        self._containers: dict[str, Container] = {}
        self._ending: list[Container] = []
        self._restarts: dict[str, float] = {}  # monotonic seconds by uid of a pod whose container has ended

    @property
    def is_ending(self) -> bool:
        """Whether containers without a pod have not ended yet."""
        return bool(self._ending)

    def kill_due(self) -> None:
        """Kill what was asked to end, and has not in time."""
        for container in [*self._containers.values(), *self._ending]:
            container.kill_if_due()
        self._ending = [container for container in self._ending if container.exit_code() is None]

    def close(self) -> None:
        """Kill what runs."""
        for container in [*self._containers.values(), *self._ending]:
            container.kill()

    def remove(self, objects: Objects, pod: Object) -> None:
        """Ask a pod's container to end; the pod stays until it has."""
        uid = pod["metadata"]["uid"]
        container = self._containers.get(uid)
        if container is None or has_ended(pod):
            self._forget(objects, pod)
        elif "deletionTimestamp" not in pod["metadata"]:
            container.end()
            pod["metadata"] |= {"deletionTimestamp": now_text(), "deletionGracePeriodSeconds": int(container.grace_s)}
            objects.touch(POD, pod)

    def fail(self, objects: Objects, pod: Object, code: int, reason: str) -> None:
        """End a pod's container, and the pod with it; it stays."""
        container = self._containers.pop(pod["metadata"]["uid"], None)
        if container is not None:
            container.end()
            self._ending.append(container)
        self._end(objects, pod, code, reason)

    def settle(self, objects: Objects, pod: Object, nodes: dict[str, Object]) -> bool:
        """Take one step with a pod that has not ended; whether there is more to do.

        A container that shall run for ever, runs and is ready is looked at from time to time only.
        """
        uid, meta = pod["metadata"]["uid"], pod["metadata"]
        node, container = pod["spec"].get("nodeName"), self._containers.get(uid)
        code = container.exit_code() if container is not None else None
        if "deletionTimestamp" in meta and (container is None or code is not None):
            self._forget(objects, pod)
        elif node and node not in nodes:
            self.fail(objects, pod, 137, NODE_LOST)
        elif container is not None and code is not None:
            del self._containers[uid]
            self._ended(objects, pod, code)
        elif container is not None:
            self._look(objects, pod, container)
            return not (is_ready(pod) and _is_restarted(pod))
        elif not node:
            self._schedule(objects, pod, list(nodes.values()))
        elif time.time() >= objects.born[uid] + START * Clock.wait_s and time.monotonic() >= self._restarts.get(uid, 0):
            self._start(objects, pod)
        return True

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _forget(self, objects: Objects, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        self._containers.pop(uid, None)
        self._restarts.pop(uid, None)
        containers.remove_folder(self._machine.home, pod)
        if not has_ended(pod):
            pod["status"]["phase"] = "Failed"  # for those who follow its log
        objects.drop(POD.plural, pod)

    def _schedule(self, objects: Objects, pod: Object, nodes: list[Object]) -> None:
        reasons = [_unfit(pod["spec"], node) for node in nodes]
        fitting = [node for node, reason in zip(nodes, reasons, strict=True) if reason is None]
        if fitting:
            pod["spec"]["nodeName"] = fitting[0]["metadata"]["name"]
            _condition(pod, "PodScheduled", status="True", reason=None, message=None)
            objects.touch(POD, pod)
            return
        told = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted({str(reason) for reason in reasons}))
        message = f"0/{len(nodes)} nodes are available: {told}." if nodes else "no nodes available to schedule pods"
        if _condition(pod, "PodScheduled", status="False", reason="Unschedulable", message=message):
            objects.touch(POD, pod)

    def _start(self, objects: Objects, pod: Object) -> None:
        image = str(pod["spec"]["containers"][0]["image"])
        if image.split("/")[0].endswith(".invalid"):  # the top-level domain that never resolves (RFC 6761)
            self._wait(objects, pod, "ImagePullBackOff", f'Back-off pulling image "{image}"')
            return
        try:
            self._containers[pod["metadata"]["uid"]] = containers.start(self._machine, objects, pod)
        except volumes.MountError as error:
            self._wait(objects, pod, "ContainerCreating", f"MountVolume.SetUp failed: {error}")
            return
        except containers.ConfigError as error:
            self._wait(objects, pod, "CreateContainerConfigError", str(error))
            return
        except OSError as error:
            self._end(objects, pod, 127, "StartError", str(error))
            return
        pod["status"] |= {"phase": "Running", "startTime": now_text()}
        _container_status(pod, {"running": {"startedAt": now_text()}})
        objects.touch(POD, pod)

    @staticmethod
    def _look(objects: Objects, pod: Object, container: Container) -> None:
        """Tell whether a running container is ready."""
        ready = time.monotonic() >= container.started + READY * Clock.wait_s
        status = pod["status"]["containerStatuses"][0]
        if status["ready"] != ready:
            status["ready"] = ready
            _condition(pod, "Ready", status="True" if ready else "False")
            objects.touch(POD, pod)

    def _wait(self, objects: Objects, pod: Object, reason: str, message: str) -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        if (pod["status"].get("containerStatuses") or [{}])[0].get("state") != state:
            _container_status(pod, state)
            objects.touch(POD, pod)

    def _ended(self, objects: Objects, pod: Object, code: int) -> None:
        if not _is_restarted(pod):
            self._end(objects, pod, code, "Completed" if code == 0 else "Error")
            return
        self._restarts[pod["metadata"]["uid"]] = time.monotonic() + RESTART * Clock.wait_s
        message = f"back-off restarting failed container, exit code {code}"
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        _container_status(pod, state, restarts=1)
        _condition(pod, "Ready", status="False")
        objects.touch(POD, pod)

    @staticmethod
    def _end(objects: Objects, pod: Object, code: int, reason: str, message: str | None = None) -> None:
        pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
        if reason == NODE_LOST:
            pod["status"]["reason"] = reason
        ended = {
            "exitCode": code,
            "reason": reason,
            "finishedAt": now_text(),
            **({"message": message} if message else {}),
        }
        _container_status(pod, {"terminated": ended})
        objects.touch(POD, pod)


def _is_restarted(pod: Object) -> bool:
    return bool(pod["spec"].get("restartPolicy") == "Always")


def _container_status(pod: Object, state: dict[str, Any], *, restarts: int = 0) -> None:
    container = pod["spec"]["containers"][0]
    before = (pod["status"].get("containerStatuses") or [{}])[0].get("restartCount", 0)
    pod["status"]["containerStatuses"] = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": before + restarts,
            "state": state,
        }
    ]


def _unfit(spec: dict[str, Any], node: Object) -> str | None:
    """Why a pod cannot be placed on a node; None if it can."""
    ready = any(found["type"] == "Ready" and found["status"] == "True" for found in node["status"]["conditions"])
    if not ready:
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    labels = node["metadata"]["labels"]
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(
            _tolerates(toleration, taint) for toleration in spec.get("tolerations") or ()
        ):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    return None


def _tolerates(toleration: dict[str, Any], taint: dict[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"] and (toleration.get("value") or "") == taint.get("value", ""))


def _condition(pod: Object, kind: str, **content: Any) -> bool:
    """Set a condition of a pod; whether it was another."""
    conditions = pod["status"]["conditions"]
    new = {"type": kind, **{key: value for key, value in content.items() if value is not None}}
    if new in conditions:
        return False
    pod["status"]["conditions"] = [*(found for found in conditions if found["type"] != kind), new]
    return True
