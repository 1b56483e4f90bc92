"""The Kubernetes API of every EKS cluster on one HTTPS port: ``https://127.0.0.1:<port>/eks/<account>/<region>/<cluster>``."""

from __future__ import annotations

import base64
import json
import logging
import re
import ssl
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from moto.eks.models import eks_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from localcloud.eks.models import LocalCluster, LocalNodegroup
from localcloud.fault_effects import Asked, DroppedError, break_off, struck
from localcloud.kube import access, api
from localcloud.kube.containers import Machine
from localcloud.kube.controller import Controller
from localcloud.kube.errors import ApiError
from localcloud.kube.kinds import KINDS, REVIEW
from localcloud.kube.kubelet import NODE_LOST, Kubelet
from localcloud.kube.objects import Objects, now_text
from localcloud.kube.volumes import directory_of_handle
from localcloud.mariadb.tls import Authority
from localcloud.process import HOST
from localcloud.recorder import Call
from localcloud.request import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from localcloud.cloud import Caller, Cloud
    from localcloud.kube.api import Target
    from localcloud.kube.objects import Object

    Key = tuple[str, str, str]

log = logging.getLogger(__name__)

SERVICE = "kubernetes"
PATH = re.compile(r"^/eks/(\d{12})/([^/]+)/([^/]+)(/.*)$")
EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the recorder has every call."""


class KubeServer:
    """The API servers of all clusters, started when the first one is looked at."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.lock = cloud.lock(SERVICE)  # taken before that of eks, never after
        self._starting = threading.Lock()
        self._objects: dict[Key, tuple[Any, Objects]] = {}
        self._server: Any = None
        self._authority = ""
        home = cloud.config.home.resolve()
        self._home = home / "kube"
        self._controller = Controller(
            Kubelet(Machine(home, cloud.config.mariadb_prefix, self._mount)),
            self.lock,
            self._clusters,
            self.nodes,
            lambda: cloud.store.later(SERVICE),
        )
        self._api = api.Api(home, self._controller, self.nodes)

    def _mount(self, objects: Objects, handle: str) -> Path:
        assert self._cloud.efs is not None
        return directory_of_handle(self._cloud.efs, objects.account, objects.region, handle)

    # ---- life ------------------------------------------------------------------------------------------------------

    def endpoint(self, account: str, region: str, name: str) -> tuple[str, str]:
        """Address of a cluster's API, and its certificate authority in base64."""
        with self._starting:
            if self._server is None:
                self._start()
        return f"https://{HOST}:{self._server.port}/eks/{account}/{region}/{name}", self._authority

    def _start(self) -> None:
        authority = Authority(self._home / "tls")
        certificate = self._home / "tls" / "server.pem"
        authority.write_server_certificate(certificate, [HOST])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, authority.server_key_file)
        self._server = make_server(HOST, 0, self, threaded=True, request_handler=_QuietHandler, ssl_context=context)
        self._server.daemon_threads = True
        self._authority = base64.b64encode(authority.ca_file.read_bytes()).decode()
        threading.Thread(target=self._server.serve_forever, name="kube-http", daemon=True).start()
        self._controller.start()
        log.info("the Kubernetes API answers on port %s", self._server.port)

    def close(self) -> None:
        """End the server and every container."""
        if self._server is not None:
            self._server.shutdown()
        self._controller.close()

    def dump(self) -> dict[Key, tuple[Any, Objects]]:
        """Everything to come back to after a restart."""
        return dict(self._objects)

    def load(self, state: dict[Key, tuple[Any, Objects]]) -> None:
        """Go back to what :meth:`dump` gave; what was running is lost, as with a node that dies."""
        self._objects = state
        for _, objects in state.values():
            objects.know_kinds()
            for pod in objects.all("pods"):
                if pod["status"]["phase"] == "Running":
                    pod["status"] |= {"phase": "Failed", "reason": NODE_LOST}

    # ---- clusters --------------------------------------------------------------------------------------------------

    def objects(self, key: Key) -> Objects:
        """Objects of a cluster that is there; the caller holds the lock.

        :raises ApiError: 404.
        """
        cluster = self._cluster(key)
        made, objects = self._objects.get(key, (None, None))
        if objects is None or made != cluster.created_at:
            objects = Objects(*key)
            self._objects[key] = cluster.created_at, objects
        return objects

    def apply(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make objects that are not there yet, as somebody with all rights would.

        :param parameters: account, region, cluster; objects: manifests with ``kind``, and ``metadata.namespace`` where they are
            in one.
        :raises ValueError: the cluster or a kind is unknown, or an object is not legal.
        """
        kinds = {kind.name: kind for kind in KINDS.values()}
        try:
            with self.lock:
                objects = self.objects((parameters["account"], parameters["region"], parameters["cluster"]))
                for body in parameters["objects"]:
                    kind, meta = kinds[body["kind"]], body["metadata"]
                    if not objects.find(kind.plural, meta.get("namespace", ""), meta["name"]):
                        objects.create(kind, meta.get("namespace", ""), body)
                self._cloud.store.save(SERVICE)
        except ApiError as error:
            raise ValueError(str(error)) from error
        self._controller.wake()
        return {}

    def nodes(self, objects: Objects) -> list[Object]:
        """Give the nodes of a cluster: the machines of its node groups."""
        with self._cloud.lock("eks"):
            backend = eks_backends[objects.account][objects.region]
            backend.settle()  # type: ignore[attr-defined]  # LocalEksBackend
            cluster = backend.clusters.get(objects.name)
            groups = list(cluster.nodegroups.values()) if cluster else []
            return [node for group in groups if isinstance(group, LocalNodegroup) for node in _nodes(group)]

    def _cluster(self, key: Key) -> LocalCluster:
        account, region, name = key
        with self._cloud.lock("eks"):
            backend = eks_backends[account][region]
            backend.settle()  # type: ignore[attr-defined]  # LocalEksBackend
            cluster = backend.clusters.get(name)
        if not isinstance(cluster, LocalCluster) or cluster.status == "CREATING":
            raise ApiError(404, "NotFound", f"there is no cluster {name}")
        return cluster

    def _clusters(self) -> list[Objects]:
        for key, (made, _) in list(self._objects.items()):
            with self._cloud.lock("eks"):
                cluster = eks_backends[key[0]][key[1]].clusters.get(key[2])
            if cluster is None or cluster.created_at != made:
                del self._objects[key]
        return [objects for _, objects in self._objects.values()]

    # ---- requests --------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, and record it."""
        request = _Request(environ, start_response)
        began, ticks = time.time(), time.perf_counter()
        dropped: DroppedError | None = None
        strike = None
        try:
            request.read()
            request.caller = access.caller_of(environ.get("HTTP_AUTHORIZATION", ""), self._cloud.identities)
            strike = self._cloud.faults.strike(request.key[0], SERVICE, request.action, request.parameters)
            call = partial(self._answer, request)
            if strike is None:
                body = call()
            else:
                asked = Asked(request.key[0], request.key[1], SERVICE, request.action, request.parameters)
                body = struck(strike, asked, self._cloud, call, request.refuse)
        except ApiError as error:
            body = request.refused(error)
        except DroppedError as error:
            body, dropped = [], error
        self._cloud.recorder.add(
            Call(
                time=began,
                duration_s=round(time.perf_counter() - ticks, 6),
                account=request.key[0] or None,
                region=request.key[1],
                service=SERVICE,
                action=request.action,
                mutating=request.is_mutating,
                caller=request.caller.arn if request.caller else None,
                parameters=request.parameters,
                status=request.status,
                error="ConnectionClosed" if dropped else request.error,
                fault=strike.number if strike else None,
            )
        )
        if dropped:
            break_off(environ)
            raise dropped
        return body

    def _answer(self, request: _Request) -> Iterable[bytes]:
        target, caller = request.target, request.caller
        assert target is not None
        assert caller is not None
        try:
            with self.lock:
                cluster = self._cluster(request.key)
                objects = self.objects(request.key)
                entry = access.entry_of(cluster, caller)
                if target.kind.name == REVIEW and target.verb == "create":
                    return request.json(201, access.reviewed(objects, entry, request.body))
                resource = target.kind.plural + (f"/{target.part}" if target.part else "")
                wanted = access.Wanted(target.verb, target.kind.group, resource, target.namespace, target.name)
                access.require(objects, entry, wanted)
                if target.part == "log":
                    return request.text(self._api.log(objects, target, request.query))
                status, found = self._api.answer(objects, target, request.query, request.body, request.content_type)
                if request.is_mutating:
                    self._cloud.store.save(SERVICE)
                    self._controller.wake()
        except ApiError as error:
            return request.refused(error)
        return request.json(status, found)


class _Request:
    """A request and its answer."""

    def __init__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> None:
        self._environ, self._start_response = environ, start_response
        self.key: Key = ("", "", "")
        self.target: Target | None = None
        self.caller: Caller | None = None
        self.query: dict[str, str] = {}
        self.body: Any = None
        self.action = "Unknown"
        self.parameters: dict[str, Any] = {}
        self.status = 0
        self.error: str | None = None

    @property
    def is_mutating(self) -> bool:
        return self.target is None or self.target.is_mutating

    @property
    def content_type(self) -> str:
        return str(self._environ.get("CONTENT_TYPE", ""))

    def read(self) -> None:
        """Read path, query and body.

        :raises ApiError: they cannot be read.
        """
        environ = self._environ
        self.query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        found = PATH.match(unquote(environ["PATH_INFO"]))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        raw = environ["wsgi.input"].read(length) if length else b""
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        self.key = (found[1], found[2], found[3])
        self.target = target = api.target_of(environ["REQUEST_METHOD"], found[4])
        try:
            self.body = json.loads(raw) if raw else None
        except ValueError as error:
            raise ApiError(400, "BadRequest", f"the body is not JSON: {error}") from error
        self.action = target.action
        meta = self.body.get("metadata") if isinstance(self.body, dict) else None
        self.parameters = redact(
            {
                "cluster": found[3],
                "namespace": target.namespace,
                "name": target.name or str((meta or {}).get("name", "")),
                **{key: value for key, value in self.query.items() if key in {"labelSelector", "propagationPolicy"}},
            }
        )

    def json(self, status: int, found: dict[str, Any]) -> Iterable[bytes]:
        return self._send(status, "application/json", [json.dumps(found).encode()])

    def text(self, lines: Iterator[bytes]) -> Iterable[bytes]:
        return self._send(200, "text/plain", lines)

    def refused(self, error: ApiError) -> Iterable[bytes]:
        self.error = error.reason
        return self.json(error.status, error.body())

    def refuse(self, status: int, code: str, message: str) -> Iterable[bytes]:
        """Answer as a fault rule wants it."""
        return self.refused(ApiError(status, code, message))

    def _send(self, status: int, content_type: str, body: Iterable[bytes]) -> Iterable[bytes]:
        self.status = status
        self._start_response(f"{status} {'OK' if status < 400 else 'Error'}", [("Content-Type", content_type)])
        return body


def _nodes(group: LocalNodegroup) -> Iterator[Object]:
    now = time.time()
    taints = [
        {"key": taint["key"], "value": taint.get("value", ""), "effect": EFFECTS[taint["effect"]]}
        for taint in group.taints
    ]
    for node in group.nodes:
        if now < node.created:
            continue
        ready = now >= node.ready
        labels = {"eks.amazonaws.com/nodegroup": group.nodegroup_name, "kubernetes.io/hostname": node.name}
        yield {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": node.name,
                "uid": node.name,
                "creationTimestamp": now_text(node.created),
                "labels": {**group.labels, **labels},
            },
            "spec": {"taints": taints} if taints else {},
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True" if ready else "False",
                        "reason": "KubeletReady" if ready else "Starting",
                    }
                ]
            },
        }
