"""The client of a cluster's API: tokens, pages, refusals, and what a look at a condition says; answers are scripted."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from aurora_ops.core import errors
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.wait import Wait
from aurora_ops.hooks import kubernetes as module
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.eks import EksHook, Endpoint
from aurora_ops.hooks.kubernetes import KubernetesApi, KubernetesHook


class Server:
    """Answers in order, and remembers what was asked."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), []

    def request(self, method, url, *, body, headers, retries, timeout):
        assert retries is False
        self.asked.append(SimpleNamespace(method=method, url=url, body=body and json.loads(body), headers=headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        return SimpleNamespace(status=status, data=json.dumps(content).encode())


class Eks:
    """Endpoint and numbered tokens."""

    def __init__(self) -> None:
        self.tokens = 0

    def require_endpoint(self, cluster):
        return Endpoint("https://api/", "")

    def token(self, cluster):
        self.tokens += 1
        return f"token-{self.tokens}"


@pytest.fixture
def reach(monkeypatch):
    """An API whose server answers as told."""
    monkeypatch.setattr(module.ssl, "create_default_context", lambda cadata: None)

    def make(*answers):
        server = Server(*answers)
        monkeypatch.setattr(module.urllib3, "PoolManager", lambda ssl_context: server)
        return KubernetesApi(Eks(), "apps"), server

    return make


def refusal(status, reason, message="why"):
    return status, {"kind": "Status", "reason": reason, "message": message}


def test_lists_are_read_to_the_last_page(reach) -> None:
    pages = [(200, {"items": [1, 2], "metadata": {"continue": "a b"}}), (200, {"items": [3], "metadata": {}})]
    api, server = reach(*pages)
    assert api.list(k8s.PODS, "ns", {"job-name": "x"}) == [1, 2, 3]
    queries = [parse_qs(urlsplit(asked.url).query) for asked in server.asked]
    assert [query.get("continue") for query in queries] == [None, ["a b"]]
    assert queries[1]["labelSelector"] == ["job-name=x"]
    assert urlsplit(server.asked[0].url).path == "/api/v1/namespaces/ns/pods"


def test_a_token_is_used_until_it_is_old_or_refused(reach, monkeypatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock.now)
    api, server = reach((200, {}), (200, {}), (200, {}), refusal(401, "Unauthorized"), (200, {}))
    api.find(k8s.JOBS, "j", "ns")
    api.find(k8s.JOBS, "j", "ns")
    clock.now = 601
    api.find(k8s.JOBS, "j", "ns")
    api.find(k8s.JOBS, "j", "ns")
    used = [asked.headers["Authorization"].removeprefix("Bearer token-") for asked in server.asked]
    assert used == ["1", "1", "2", "2", "3"]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refusal(403, "Forbidden"), errors.PermanentError, "kubernetes-access"),
        (refusal(404, "NotFound"), errors.MissingError, "why"),
        (refusal(409, "AlreadyExists"), errors.BusyError, "AlreadyExists"),
        (refusal(422, "Invalid"), errors.PermanentError, "why"),
        (refusal(429, "TooManyRequests"), errors.TransientError, "later"),
        (refusal(503, "ServiceUnavailable"), errors.TransientError, "later"),
        ((502, "no status"), errors.TransientError, "HTTP 502"),
        (urllib3.exceptions.ProtocolError("cut"), errors.TransientError, "reachable"),
    ],
)
def test_refusals_become_our_errors(reach, answer, error, words) -> None:
    api, _ = reach(answer)
    with pytest.raises(error, match=words) as caught:
        api.create(k8s.JOBS, {"metadata": {"name": "j"}}, "ns")
    assert "post jobs j in apps/ns" in str(caught.value)


def test_a_refused_token_names_the_access_entry(reach) -> None:
    api, _ = reach(refusal(401, "Unauthorized"), refusal(401, "Unauthorized"))
    with pytest.raises(errors.PermanentError, match="access entry"):
        api.list(k8s.PODS, "ns")


def test_a_refusal_about_a_secret_does_not_repeat_it(reach) -> None:
    api, _ = reach(refusal(422, "Invalid", "Invalid value: hunter2"))
    with pytest.raises(errors.PermanentError) as caught:
        api.create(k8s.SECRETS, {"metadata": {"name": "s"}}, "ns")
    assert "hunter2" not in str(caught.value)


def test_exactly_the_object_that_was_looked_at_is_deleted(reach) -> None:
    api, server = reach((200, {}), refusal(404, "NotFound"))
    for _ in range(2):
        api.delete(k8s.JOBS, {"metadata": {"name": "j", "namespace": "ns", "uid": "u"}})
    assert server.asked[0].body == {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}


def test_a_patch_is_a_merge_patch_of_what_was_looked_at(reach) -> None:
    api, server = reach((200, {}), refusal(409, "Conflict"))
    found = {"metadata": {"name": "web", "namespace": "ns", "resourceVersion": "7"}}
    changes = {"metadata": {"annotations": {"a": None}}, "spec": {"replicas": 0}}
    api.patch(k8s.DEPLOYMENTS, found, changes)
    [asked] = server.asked
    assert (asked.method, urlsplit(asked.url).path) == ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web")
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.body == {"metadata": {"annotations": {"a": None}, "resourceVersion": "7"}, "spec": {"replicas": 0}}
    with pytest.raises(errors.BusyError, match="patch deployments web in apps/ns"):
        api.patch(k8s.DEPLOYMENTS, found, {"spec": {"replicas": 0}})


@pytest.mark.parametrize("allowed", [True, False])
def test_rights_are_asked_for(reach, allowed) -> None:
    api, server = reach((201, {"status": {"allowed": allowed}}))
    assert api.may("patch", k8s.DEPLOYMENTS, "ns", "web") is allowed
    [asked] = server.asked
    assert urlsplit(asked.url).path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    where = {"namespace": "ns", "name": "web"}
    attributes = {"verb": "patch", "group": "apps", "resource": "deployments", **where}
    assert asked.body == {"spec": {"resourceAttributes": attributes}}


def test_a_container_that_has_not_started_has_no_log(reach) -> None:
    api, _ = reach(refusal(400, "BadRequest"))
    assert list(api.log("ns", "p", lines=1, most_bytes=1)) == []


# ---- conditions ------------------------------------------------------------------------------------------------------

JOB = ("job_ended", {"namespace": "ns", "name": "j"})
CLAIM = ("claim_bound", {"namespace": "ns", "name": "c"})
GONE = ("object_gone", {"kind": "persistentvolumes", "name": "v", "uid": "1"})
NODES = ("nodes_ready", {"nodegroup": "g", "count": 1})
STOPPED = ("workloads_stopped", {"namespace": "ns", "workloads": ["Deployment/w", "StatefulSet/s"], "claims": ["c"]})
UP = ("workloads_ready", {"namespace": "ns", "workloads": ["Deployment/w", "StatefulSet/s"]})
WAITING = {
    "metadata": {"name": "p"},
    "status": {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull"}}}]},
}
MISSING = refusal(404, "NotFound")


def status(kind, value="True"):
    return {"status": {"conditions": [{"type": kind, "status": value}]}}


def pods(*claims):
    volumes = [[{"persistentVolumeClaim": {"claimName": claim}}] for claim in claims]
    going = {"name": "p", "deletionTimestamp": "2026-07-01T02:00:00Z"}
    listed = [{"metadata": going, "spec": {"volumes": one}, "status": {"phase": "Running"}} for one in volumes]
    return 200, {"items": listed}


def workload(count, **status):
    return 200, {
        "metadata": {"generation": 2},
        "spec": {"replicas": count},
        "status": {"observedGeneration": 2, **status},
    }


@pytest.mark.parametrize(
    ("what", "answers", "seen"),
    [
        (JOB, [(200, status("Complete"))], Look.REACHED),
        (JOB, [(200, status("Failed"))], Look.REACHED),
        (JOB, [MISSING], Look.REACHED),
        (JOB, [(200, {}), (200, {"items": []})], Look.PENDING),
        (JOB, [refusal(500, "InternalError")], Look.PENDING),
        (JOB, [(200, {}), (200, {"items": [WAITING]})], errors.WaitFailedError),
        (JOB, [refusal(403, "Forbidden")], errors.PermanentError),
        (CLAIM, [(200, {"status": {"phase": "Bound"}})], Look.REACHED),
        (CLAIM, [(200, {"status": {"phase": "Pending"}})], Look.PENDING),
        (CLAIM, [(200, {"status": {"phase": "Lost"}})], errors.WaitFailedError),
        (CLAIM, [MISSING], errors.WaitFailedError),
        (GONE, [MISSING], Look.REACHED),
        (GONE, [(200, {"metadata": {"uid": "2"}})], Look.REACHED),
        (GONE, [(200, {"metadata": {"uid": "1", "finalizers": ["f"]}})], Look.PENDING),
        (NODES, [(200, {"items": [status("Ready")]})], Look.REACHED),
        (NODES, [(200, {"items": [status("Ready", "False")]})], Look.PENDING),
        (NODES, [(200, {"items": [{**status("Ready"), "spec": {"unschedulable": True}}]})], Look.PENDING),
        (STOPPED, [pods(), workload(0), workload(0)], Look.REACHED),
        (STOPPED, [pods("d"), workload(0), MISSING], Look.REACHED),
        (STOPPED, [pods("d", "c"), workload(0), workload(0)], Look.PENDING),
        (STOPPED, [pods(), workload(0), workload(0, replicas=1)], Look.PENDING),
        (STOPPED, [pods(), workload(0), workload(0, observedGeneration=1)], Look.PENDING),
        (UP, [workload(2, readyReplicas=2), workload(0)], Look.REACHED),
        (UP, [workload(2, readyReplicas=2), MISSING], Look.REACHED),
        (UP, [workload(2, readyReplicas=2), workload(1)], Look.PENDING),
        (UP, [workload(2, readyReplicas=2, observedGeneration=1), workload(0)], Look.PENDING),
        (UP, [refusal(503, "ServiceUnavailable")], Look.PENDING),
    ],
)
def test_what_a_look_says(reach, what, answers, seen) -> None:
    api, _ = reach(*answers)
    hook = KubernetesHook("aws_destination", "eu-west-1")
    hook._apis["apps"] = api
    name, arguments = what
    until = Wait(waiter=name, args={"cluster": "apps", **arguments})
    if isinstance(seen, Look):
        assert hook.look(until) is seen
    else:
        with pytest.raises(seen):
            hook.look(until)


def test_a_token_is_a_presigned_call_that_names_the_cluster(aws_session) -> None:
    token = EksHook("aws_destination", "eu-west-1").token("apps")
    coded = token.removeprefix("k8s-aws-v1.")
    query = parse_qs(urlsplit(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()).query)
    assert query["Action"] == ["GetCallerIdentity"]
    assert "x-k8s-aws-id" in query["X-Amz-SignedHeaders"][0].split(";")
    assert query["X-Amz-Expires"] == ["60"]
