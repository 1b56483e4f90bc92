"""The controllers: jobs make pods, pods get a node and run, deadlines and lifetimes end."""

from __future__ import annotations

import copy
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from localcloud.eks.models import Clock
from localcloud.kube import containers, volumes
from localcloud.kube.kinds import KINDS
from localcloud.kube.objects import now_text, suffix

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.kube.containers import Container
    from localcloud.kube.objects import Object, Objects

log = logging.getLogger(__name__)

POD, JOB = KINDS["", "pods"], KINDS["batch", "jobs"]
TICK_S = 0.05
IDLE_S = 2.0
START = 0.3
BACKOFF = 1.0
LONGEST_STEM = 57
ENDED = {"Succeeded", "Failed"}


class Controller:
    """Brings every cluster to where its objects say it shall be.

    :param machine: what containers find here.
    :param lock: held around the objects.
    :param clusters: objects of every cluster.
    :param nodes: the nodes of a cluster, as objects.
    :param changed: called after a step that may have changed something.
    """

    def __init__(
        self,
        machine: containers.Machine,
        lock: threading.RLock,
        clusters: Callable[[], list[Objects]],
        nodes: Callable[[Objects], list[Object]],
        changed: Callable[[], None],
    ) -> None:
        self._machine, self._lock = machine, lock
        self._clusters, self._nodes, self._changed = clusters, nodes, changed
        self._containers: dict[str, Container] = {}
        self._ending: list[Container] = []
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kube-controller", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something has changed."""
        self._wake.set()

    def close(self) -> None:
        """End, and kill what runs."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for container in [*self._containers.values(), *self._ending]:
            container.kill()

    def pause(self, seconds: float) -> None:
        """Let a moment pass, or less if the server ends."""
        self._stop.wait(seconds)

    def is_running(self, pod: Object) -> bool:
        """Whether the container of a pod has not ended."""
        return pod["status"]["phase"] not in ENDED

    def end_pod(self, objects: Objects, pod: Object, *, remove: bool = True) -> None:
        """End a pod's container, and remove the pod."""
        container = self._containers.pop(pod["metadata"]["uid"], None)
        if container is not None:
            container.end()
            self._ending.append(container)
        elif remove:
            containers.remove_folder(self._machine.home, pod)
        if remove:
            objects.drop(POD.plural, pod)

    def pods_of(self, objects: Objects, job: Object) -> list[Object]:
        """Pods that a job owns."""
        uid = job["metadata"]["uid"]
        return [
            pod
            for pod in objects.all(POD.plural, job["metadata"]["namespace"])
            if any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ())
        ]

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = IDLE_S
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            with self._lock:
                version = sum(objects.version for objects in self._clusters())
                busy = [self._settle(objects) for objects in self._clusters()]
                changed = version != sum(objects.version for objects in self._clusters())
            for container in self._ending:
                container.kill_if_due()
            self._ending = [container for container in self._ending if container.exit_code() is None]
            if changed:
                self._changed()
            pause = TICK_S if any(busy) or self._ending else IDLE_S

    def _settle(self, objects: Objects) -> bool:
        """Take one step with a cluster; whether there is more to do."""
        busy = volumes.settle(objects)
        nodes = {node["metadata"]["name"]: node for node in self._nodes(objects)}
        for pod in objects.all(POD.plural):
            if self.is_running(pod):
                busy = True
                self._settle_pod(objects, pod, nodes)
        for job in objects.all(JOB.plural):
            busy = self._settle_job(objects, job) or busy
        return busy

    def _settle_pod(self, objects: Objects, pod: Object, nodes: dict[str, Object]) -> None:
        uid = pod["metadata"]["uid"]
        node = pod["spec"].get("nodeName")
        if node and node not in nodes:
            self.end_pod(objects, pod, remove=False)
            self._end(objects, pod, 137, "NodeLost")
            return
        container = self._containers.get(uid)
        if container is not None:
            code = container.exit_code()
            if code is not None:
                del self._containers[uid]
                self._end(objects, pod, code, "Completed" if code == 0 else "Error")
            return
        if not node:
            self._schedule(objects, pod, list(nodes.values()))
        elif time.time() >= objects.born[uid] + START * Clock.wait_s:
            self._start(objects, pod)

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
        self._container_status(pod, {"running": {"startedAt": now_text()}})
        objects.touch(POD, pod)

    def _wait(self, objects: Objects, pod: Object, reason: str, message: str) -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        if (pod["status"].get("containerStatuses") or [{}])[0].get("state") != state:
            self._container_status(pod, state)
            objects.touch(POD, pod)

    def _end(self, objects: Objects, pod: Object, code: int, reason: str, message: str | None = None) -> None:
        pod["status"]["phase"] = "Succeeded" if code == 0 else "Failed"
        if reason == "NodeLost":
            pod["status"]["reason"] = reason
        ended = {
            "exitCode": code,
            "reason": reason,
            "finishedAt": now_text(),
            **({"message": message} if message else {}),
        }
        self._container_status(pod, {"terminated": ended})
        objects.touch(POD, pod)

    @staticmethod
    def _container_status(pod: Object, state: dict[str, Any]) -> None:
        container = pod["spec"]["containers"][0]
        pod["status"]["containerStatuses"] = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": "running" in state,
                "restartCount": 0,
                "state": state,
            }
        ]

    def _settle_job(self, objects: Objects, job: Object) -> bool:
        spec, status = job["spec"], job["status"]
        if status.get("conditions"):
            return self._forget(objects, job)
        if spec.get("suspend"):
            return False
        pods = self.pods_of(objects, job)
        counts = {
            phase: sum(pod["status"]["phase"] == phase for pod in pods) for phase in (*ENDED, "Pending", "Running")
        }
        active = counts["Pending"] + counts["Running"]
        started = objects.born[job["metadata"]["uid"]]
        before = copy.deepcopy(status)
        status.setdefault("startTime", now_text())
        status |= {"active": active, "succeeded": counts["Succeeded"], "failed": counts["Failed"]}
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and time.time() >= started + deadline:
            for pod in pods:
                if self.is_running(pod):
                    self.end_pod(objects, pod, remove=False)
                    self._end(objects, pod, 137, "DeadlineExceeded")
            self._finish(objects, job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif counts["Succeeded"] >= spec["completions"]:
            self._finish(objects, job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        elif counts["Failed"] > spec["backoffLimit"]:
            message = "Job has reached the specified backoff limit"
            self._finish(objects, job, "Failed", "BackoffLimitExceeded", message)
        elif active < min(spec["parallelism"], spec["completions"] - counts["Succeeded"]):
            newest = max((objects.born[pod["metadata"]["uid"]] for pod in pods), default=0.0)
            if not pods or time.time() >= newest + BACKOFF * Clock.wait_s:
                self._make_pod(objects, job)
        if status != before:
            objects.touch(JOB, job)
        return True

    def _finish(self, objects: Objects, job: Object, kind: str, reason: str, message: str) -> None:
        status = job["status"]
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        status["conditions"] = [condition | {"lastProbeTime": now_text(), "lastTransitionTime": now_text()}]
        status["active"] = 0
        status["failed"] = sum(pod["status"]["phase"] == "Failed" for pod in self.pods_of(objects, job))
        if kind == "Complete":
            status["completionTime"] = now_text()
        objects.born[f"end {job['metadata']['uid']}"] = time.time()

    def _forget(self, objects: Objects, job: Object) -> bool:
        """Remove a job that has ended when its time has come; whether it has a time."""
        lifetime = job["spec"].get("ttlSecondsAfterFinished")
        if lifetime is None:
            return False
        key = f"end {job['metadata']['uid']}"
        if time.time() >= objects.born.get(key, 0.0) + lifetime:
            for pod in self.pods_of(objects, job):
                self.end_pod(objects, pod)
            objects.drop(JOB.plural, job)
            objects.born.pop(key, None)
        return bool(lifetime < IDLE_S)

    def _make_pod(self, objects: Objects, job: Object) -> None:
        meta, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        body = {
            "metadata": {
                "name": f"{meta['name'][:LONGEST_STEM]}-{suffix()}",
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"].get("annotations") or {},
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "conditions": []},
        }
        objects.create(POD, meta["namespace"], body)


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
