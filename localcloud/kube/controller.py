"""The controllers: jobs make pods, workloads keep so many of them, deadlines and lifetimes end, what nobody owns goes."""

from __future__ import annotations

import copy
import logging
import threading
import time
from typing import TYPE_CHECKING

from localcloud.eks.models import Clock
from localcloud.kube import garbage, kubelet, volumes, workloads
from localcloud.kube.kinds import KINDS
from localcloud.kube.objects import now_text, suffix
from localcloud.kube.workloads import make_pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.kube.kubelet import Kubelet
    from localcloud.kube.objects import Object, Objects

log = logging.getLogger(__name__)

POD, JOB = KINDS["", "pods"], KINDS["batch", "jobs"]
TICK_S = 0.05
IDLE_S = 2.0
BACKOFF = 1.0
LONGEST_STEM = 57
FINISHED = {"Complete", "Failed"}


class Controller:
    """Brings every cluster to where its objects say it shall be.

    :param kubelet: runs the containers.
    :param lock: held around the objects.
    :param clusters: objects of every cluster.
    :param nodes: the nodes of a cluster, as objects.
    :param changed: called after a step that may have changed something.
    """

    def __init__(
        self,
        kubelet: Kubelet,
        lock: threading.RLock,
        clusters: Callable[[], list[Objects]],
        nodes: Callable[[Objects], list[Object]],
        changed: Callable[[], None],
    ) -> None:
        self.kubelet, self._lock = kubelet, lock
        self._clusters, self._nodes, self._changed = clusters, nodes, changed
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
        self.kubelet.close()

    def pause(self, seconds: float) -> None:
        """Let a moment pass, or less if the server ends."""
        self._stop.wait(seconds)

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
                self.kubelet.kill_due()
            if changed:
                self._changed()
            pause = TICK_S if any(busy) or changed or self.kubelet.is_ending else IDLE_S

    def _settle(self, objects: Objects) -> bool:
        """Take one step with a cluster; whether there is more to do."""
        busy = volumes.settle(objects)
        nodes = {node["metadata"]["name"]: node for node in self._nodes(objects)}
        for pod in objects.all(POD.plural):
            if not kubelet.has_ended(pod) or "deletionTimestamp" in pod["metadata"]:
                busy = self.kubelet.settle(objects, pod, nodes) or busy
        for job in objects.all(JOB.plural):
            busy = self._settle_job(objects, job) or busy
        workloads.settle(objects, self.kubelet)
        garbage.collect(objects, self.kubelet)
        return busy

    def _settle_job(self, objects: Objects, job: Object) -> bool:
        spec, status = job["spec"], job["status"]
        if any(found["type"] in FINISHED for found in status.get("conditions") or ()):
            return self._forget(objects, job)
        pods, begin = objects.owned(POD.plural, job), f"start {job['metadata']['uid']}"
        if spec.get("suspend"):
            objects.born.pop(begin, None)
            self._suspend(objects, job, pods)
            return False
        counts = {
            phase: sum(pod["status"]["phase"] == phase for pod in pods)
            for phase in (*kubelet.ENDED, "Pending", "Running")
        }
        active = counts["Pending"] + counts["Running"]
        started = objects.born.setdefault(begin, time.time())
        before = copy.deepcopy(status)
        status.setdefault("startTime", now_text())
        status |= {"active": active, "succeeded": counts["Succeeded"], "failed": counts["Failed"]}
        _suspended(status, "False", "JobResumed", "Job resumed")
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and time.time() >= started + deadline:
            for pod in pods:
                if not kubelet.has_ended(pod):
                    self.kubelet.fail(objects, pod, 137, "DeadlineExceeded")
            self._finish(objects, job, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif counts["Succeeded"] >= spec["completions"]:
            self._finish(objects, job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        elif counts["Failed"] > spec["backoffLimit"]:
            message = "Job has reached the specified backoff limit"
            self._finish(objects, job, "Failed", "BackoffLimitExceeded", message)
        elif active < min(spec["parallelism"], spec["completions"] - counts["Succeeded"]):
            newest = max((objects.born[pod["metadata"]["uid"]] for pod in pods), default=0.0)
            if not pods or time.time() >= newest + BACKOFF * Clock.wait_s:
                make_pod(objects, JOB, job, f"{job['metadata']['name'][:LONGEST_STEM]}-{suffix()}")
        if status != before:
            objects.touch(JOB, job)
        return True

    def _suspend(self, objects: Objects, job: Object, pods: list[Object]) -> None:
        """End the pods of a job that shall not run, and say so."""
        status = job["status"]
        for pod in pods:
            if not kubelet.has_ended(pod):
                self.kubelet.remove(objects, pod)
        before = copy.deepcopy(status)
        status.pop("startTime", None)
        status["active"] = 0
        _suspended(status, "True", "JobSuspended", "Job suspended", new=True)
        if status != before:
            objects.touch(JOB, job)

    def _finish(self, objects: Objects, job: Object, kind: str, reason: str, message: str) -> None:
        status = job["status"]
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        condition |= {"lastProbeTime": now_text(), "lastTransitionTime": now_text()}
        status["conditions"] = [*(status.get("conditions") or ()), condition]
        status["active"] = 0
        status["failed"] = sum(pod["status"]["phase"] == "Failed" for pod in objects.owned(POD.plural, job))
        if kind == "Complete":
            status["completionTime"] = now_text()
        objects.born[f"end {job['metadata']['uid']}"] = time.time()

    @staticmethod
    def _forget(objects: Objects, job: Object) -> bool:
        """Remove a job that has ended when its time has come; whether it has a time."""
        lifetime = job["spec"].get("ttlSecondsAfterFinished")
        if lifetime is None:
            return False
        if time.time() >= objects.born.get(f"end {job['metadata']['uid']}", 0.0) + lifetime:
            objects.drop(JOB.plural, job)
        return bool(lifetime < IDLE_S)


def _suspended(status: Object, value: str, reason: str, message: str, *, new: bool = False) -> None:
    """Set the condition that tells whether a job is suspended, where there is one or it shall be ``new``."""
    found = [condition for condition in status.get("conditions") or () if condition["type"] == "Suspended"]
    if found or new:
        told = {"type": "Suspended", "status": value, "reason": reason, "message": message}
        status["conditions"] = [told]
