"""The Kubernetes API of an EKS cluster, reached with the role of an AWS connection.

Plain HTTPS with urllib3, which botocore has brought along: importing the official client takes a task 0.6 to 2.5 s of CPU, and
what is needed of it is six verbs on eleven kinds (``docs/adr/0021``).
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, urlencode

import urllib3

from aurora_ops.core import errors
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.kubernetes import Kind, Object
from aurora_ops.core.wait import Wait
from aurora_ops.core.workloads import Workload, is_ready, is_stopped, replicas
from aurora_ops.hooks import auditing
from aurora_ops.hooks.auditing import Change
from aurora_ops.hooks.base import AwsHook, Look
from aurora_ops.hooks.eks import EksHook

_TOKEN_GOOD_FOR_S = 600  # of the 900 that EKS accepts it
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_PAGE = 200
_PATCH_TYPE = "application/merge-patch+json"
_LATER = frozenset({429, 500, 502, 503, 504})
_ACCESS = "include/templates/kubernetes-access.yaml says what it needs, docs/how-to/eks.md how to give it"


class KubernetesApi:
    """Objects of one cluster.

    :param eks: hook of the account; gives endpoint and tokens.
    :param cluster: EKS cluster.
    """

    def __init__(self, eks: EksHook, cluster: str) -> None:
        self._eks, self.cluster = eks, cluster
        self._reached: tuple[urllib3.PoolManager, str] | None = None
        self._token, self._signed = "", float("-inf")

    def find(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Read an object; ``None`` where there is none."""
        try:
            return self._json("GET", kind, namespace, name)
        except errors.MissingError:
            return None

    def list(self, kind: Kind, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        """List objects, all pages.

        :param labels: only those that carry all of these.
        """
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        found: list[Object] = []
        token = ""
        while True:
            query = {"limit": str(_PAGE), "labelSelector": selector, "continue": token}
            page = self._json("GET", kind, namespace, query={key: value for key, value in query.items() if value})
            found += page["items"]
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return found

    def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        """Make an object.

        :raises BusyError: there is one of that name by now.
        """
        return self._json("POST", kind, namespace, body=body)

    def patch(self, kind: Kind, found: Object, changes: Object) -> Object:
        """Change an object that was looked at by a merge patch (RFC 7386): what is ``None`` is removed.

        :raises BusyError: it has been changed since it was looked at.
        """
        meta = found["metadata"]
        body = {**changes, "metadata": {**changes.get("metadata", {}), "resourceVersion": meta["resourceVersion"]}}
        return self._json("PATCH", kind, meta.get("namespace"), meta["name"], body=body)

    def may(self, verb: str, kind: Kind, namespace: str | None = None, name: str = "") -> bool:
        """Ask whether the connection's role may do something (``SelfSubjectAccessReview``); everybody may ask."""
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural}
        where = {"namespace": namespace or "", "name": name}
        review = {"spec": {"resourceAttributes": {**attributes, **where}}}
        return bool(self._json("POST", k8s.REVIEWS, None, body=review)["status"]["allowed"])

    def delete(self, kind: Kind, found: Object) -> None:
        """Delete an object and what it owns; exactly that one, not another of the same name. Gone already is fine."""
        meta = found["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": meta["uid"]}}
        try:
            self._json("DELETE", kind, meta.get("namespace"), meta["name"], body=options)
        except errors.MissingError:
            return

    def log(self, namespace: str, pod: str, *, lines: int, most_bytes: int) -> Iterator[str]:
        """Read the last lines of a pod's log; none where its container has not started.

        :param lines: how many at most.
        :param most_bytes: how much at most.
        """
        query = {"tailLines": str(lines), "limitBytes": str(most_bytes)}
        try:
            raw = self._request("GET", k8s.PODS, namespace, f"{quote(pod)}/log", query=query)
        except (errors.MissingError, errors.StateError):
            return
        yield from raw.decode("utf-8", "replace").splitlines()

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _json(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> Object:
        found: Object = json.loads(self._request(method, kind, namespace, quote(name), query=query, body=body))
        return found

    def _request(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        rest: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> bytes:
        """Ask, and once more with a new token where the first has just become too old."""
        path = f"/apis/{kind.group}/v1" if kind.group else "/api/v1"
        path += f"/namespaces/{quote(namespace)}" if namespace and kind.namespaced else ""
        path += f"/{kind.plural}" + (f"/{rest}" if rest else "") + (f"?{urlencode(query)}" if query else "")
        named = rest or ((body or {}).get("metadata") or {}).get("name", "")
        doing = f"kubernetes:{method.lower()} {kind.plural} {named} in {self.cluster}" + (
            f"/{namespace}" if namespace else ""
        )
        payload = json.dumps(body).encode() if body is not None else None
        if method == "GET" or kind is k8s.REVIEWS:
            return self._answered(method, path, payload, doing, kind)
        with auditing.change(lambda: self._change(method, kind, namespace, named)):
            return self._answered(method, path, payload, doing, kind)

    def _change(self, method: str, kind: Kind, namespace: str | None, name: str) -> Change:
        """Describe a changing request by the names in it."""
        return Change(
            service="kubernetes",
            operation=f"{method.lower()} {kind.plural}",
            region=self._eks.region_name or "",
            parameters={"cluster": self.cluster, "namespace": namespace, "name": name},
            through=str(self._eks.aws_conn_id),
            who=self._eks.caller,
        )

    def _answered(self, method: str, path: str, payload: bytes | None, doing: str, kind: Kind) -> bytes:
        answer = self._sent(method, path, payload, doing)
        if answer.status == 401:
            self._signed = float("-inf")
            answer = self._sent(method, path, payload, doing)
        if answer.status >= 400:
            raise _translated(answer.status, answer.data, doing, secret=kind is k8s.SECRETS)
        return bytes(answer.data)

    def _sent(self, method: str, path: str, payload: bytes | None, doing: str) -> urllib3.BaseHTTPResponse:
        pool, url = self._reached = self._reached or self._reach()  # others may lose it meanwhile: waits share this
        if time.monotonic() - self._signed > _TOKEN_GOOD_FOR_S:
            self._token, self._signed = self._eks.token(self.cluster), time.monotonic()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json, */*"}
        if payload is not None:
            headers["Content-Type"] = _PATCH_TYPE if method == "PATCH" else "application/json"
        try:
            # No repeats: a changing request whose answer was lost may have been done, so the next pass looks.
            return pool.request(method, url + path, body=payload, headers=headers, retries=False, timeout=_TIMEOUT)
        except urllib3.exceptions.HTTPError as exc:
            self._reached = None  # the cluster may have another endpoint by now
            raise errors.TransientError(
                f"{doing}: {type(exc).__name__}: {exc} (the cluster's endpoint must be reachable from here)"
            ) from exc

    def _reach(self) -> tuple[urllib3.PoolManager, str]:
        endpoint = self._eks.require_endpoint(self.cluster)
        context = ssl.create_default_context(cadata=endpoint.authority)
        return urllib3.PoolManager(ssl_context=context), endpoint.url.rstrip("/")


def _translated(status: int, raw: bytes, doing: str, *, secret: bool) -> errors.AuroraOpsError:
    """Turn a refusal into one of our errors; of a secret, only what kind of refusal it was is told."""
    try:
        told = json.loads(raw)
        reason, message = str(told.get("reason")), str(told.get("message"))
    except (ValueError, AttributeError):
        reason, message = f"HTTP {status}", ""
    text = f"{doing}: {reason}" + ("" if secret or not message else f": {message}")
    if status in _LATER:
        return errors.TransientError(f"{text} (the API asks to try again later)")
    if status == 401:
        return errors.PermanentError(f"{text} (the connection's role has no access entry in the cluster; {_ACCESS})")
    if status == 403:
        return errors.PermanentError(f"{text} (the connection's role lacks this right in the cluster; {_ACCESS})")
    if status == 404:
        return errors.MissingError(text)
    if status == 409:
        return errors.BusyError(f"{text} (retried, looking first)")
    if status == 400:
        return errors.StateError(text)
    return errors.PermanentError(text)


class KubernetesHook(AwsHook):
    """The Kubernetes APIs of the EKS clusters of one account and region; waits for conditions of their objects."""

    service = "kubernetes"

    def __init__(self, aws_conn_id: str, region_name: str | None = None, *, fresh: bool = False) -> None:
        super().__init__(aws_conn_id, region_name, fresh=fresh)
        self.eks = EksHook(aws_conn_id, region_name, fresh=fresh)
        self._apis: dict[str, KubernetesApi] = {}

    def api(self, cluster: str) -> KubernetesApi:
        """Reach a cluster; nothing is asked of it yet."""
        return self._apis.setdefault(cluster, KubernetesApi(self.eks, cluster))

    def look(self, until: Wait) -> Look:
        """Look once whether a condition holds.

        :param until: ``waiter`` names one of :data:`CONDITIONS`; ``args`` has ``cluster`` and what the condition takes.
        :raises WaitFailedError: it can no longer hold.
        """
        arguments = dict(until.args)
        try:
            reached, seen = CONDITIONS[until.waiter](self.api(arguments.pop("cluster")), **arguments)
        except errors.TransientError as exc:
            self.log.warning("%s; looking again", exc)
            return Look.PENDING
        if not reached:
            self.log.info("%s: %s", until.waiter, seen)
        return Look.REACHED if reached else Look.PENDING


Seen = tuple[bool, str]


def _job_ended(api: KubernetesApi, *, namespace: str, name: str) -> Seen:
    """Hold when a job has succeeded, has failed, or is gone: the next pass judges."""
    job = api.find(k8s.JOBS, name, namespace)
    if job is None or k8s.outcome(job) is not None:
        return True, "ended"
    pods = api.list(k8s.PODS, namespace, {"job-name": name})
    stuck = k8s.stuck(pods)
    if stuck:
        raise errors.WaitFailedError(f"job {name} cannot start: {stuck}")
    return False, k8s.waiting_for(pods) or "running"


def _claim_bound(api: KubernetesApi, *, namespace: str, name: str) -> Seen:
    """Hold when a claim has its volume."""
    claim = api.find(k8s.CLAIMS, name, namespace)
    phase = (claim or {}).get("status", {}).get("phase", "gone")
    if phase in ("Lost", "gone"):
        raise errors.WaitFailedError(f"claim {name} in {namespace} is {phase} instead of Bound; its volume was removed")
    return phase == "Bound", phase


def _object_gone(api: KubernetesApi, *, kind: str, name: str, uid: str, namespace: str | None = None) -> Seen:
    """Hold when an object is gone; another one of the same name is another."""
    found = api.find(k8s.KINDS[kind], name, namespace)
    if found is None or found["metadata"]["uid"] != uid:
        return True, "gone"
    return False, f"held by {', '.join(found['metadata'].get('finalizers') or []) or 'nothing'}"


def _nodes_ready(api: KubernetesApi, *, nodegroup: str, count: int) -> Seen:
    """Hold when a node group has so many nodes that take pods."""
    nodes = api.list(k8s.NODES, labels={k8s.NODEGROUP_LABEL: nodegroup})
    ready = sum(k8s.is_ready(node) for node in nodes)
    return ready >= count, f"{ready} of {count} nodes are ready"


def _workloads_stopped(api: KubernetesApi, *, namespace: str, workloads: list[str], claims: list[str]) -> Seen:
    """Hold when these workloads make no pods and none uses these claims; one on its way out uses them until it has ended."""
    pods = api.list(k8s.PODS, namespace)
    users = {pod["metadata"]["name"] for claim in claims for pod in k8s.users_of(claim, pods)}
    found = [(name, _find_workload(api, namespace, name)) for name in workloads]
    going = [name for name, workload in found if workload is not None and not is_stopped(workload)]
    return not users and not going, f"used by {sorted(users)}, to be stopped {going}"


def _workloads_ready(api: KubernetesApi, *, namespace: str, workloads: list[str]) -> Seen:
    """Hold when all pods of these workloads are ready; one that was deleted has none."""
    waiting = []
    for name in workloads:
        found = _find_workload(api, namespace, name)
        if found is not None and not is_ready(found):
            ready = (found.get("status") or {}).get("readyReplicas", 0)
            waiting.append(f"{name}: {ready} of {replicas(found)} pods are ready")
    return not waiting, "; ".join(waiting)


def _find_workload(api: KubernetesApi, namespace: str, name: str) -> Object | None:
    workload = Workload.parse(name)
    return api.find(workload.kind, workload.name, namespace)


CONDITIONS: dict[str, Callable[..., Seen]] = {
    "job_ended": _job_ended,
    "claim_bound": _claim_bound,
    "object_gone": _object_gone,
    "nodes_ready": _nodes_ready,
    "workloads_stopped": _workloads_stopped,
    "workloads_ready": _workloads_ready,
}
"""Conditions by name; each says whether it holds, and what was seen."""
