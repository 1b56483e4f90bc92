"""What the Kubernetes API does: one operation on one path, without HTTP, callers and rights."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.kube import containers, garbage, kubelet, patches
from localcloud.kube.errors import ApiError, bad_request, conflict
from localcloud.kube.kinds import KINDS, REVIEW, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localcloud.kube.controller import Controller
    from localcloud.kube.objects import Object, Objects

PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/v1)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<part>log|status))?$"
)
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WORDS = {"get": "Get", "list": "List", "create": "Create", "update": "Replace", "patch": "Patch", "delete": "Delete"}
POLL_S = 0.1


@dataclass(frozen=True)
class Target:
    """What a request is about.

    :param verb: ``get``, ``list``, ``create``, ``update``, ``patch`` or ``delete``.
    :param part: ``log``, or empty.
    """

    kind: Kind
    verb: str
    namespace: str
    name: str
    part: str

    @property
    def is_mutating(self) -> bool:
        """Whether it may change something; asking what one may do is a request to make something, by its verb only."""
        return self.verb not in {"get", "list"} and self.kind.name != REVIEW

    @property
    def action(self) -> str:
        """Name for the record and for fault rules, such as ``CreateJob``, ``ListPods``, ``GetPodLog``."""
        several = "es" if self.kind.name.endswith("s") else "s"
        return (
            WORDS[self.verb]
            + self.kind.name
            + ("Log" if self.part == "log" else several if self.verb == "list" else "")
        )


def target_of(method: str, path: str) -> Target:
    """Read method and path.

    :raises ApiError: 404 for a path that there is not here, 405 for a method it has not.
    """
    found = PATH.match(path)
    kind = KINDS.get((found["group"] or "", found["plural"])) if found else None
    if found is None or kind is None:
        raise ApiError(404, "NotFound", f"the server could not find the requested resource: {method} {path}")
    namespace, name = found["namespace"] or "", found["name"] or ""
    if kind.name == "Namespace":
        namespace = ""
    verb = VERBS.get(method, "")
    if verb == "get" and not name:
        verb = "list"
    if not verb or (verb in {"list", "create"}) == bool(name):
        raise ApiError(405, "MethodNotAllowed", f"the server does not allow this method on {path}")
    return Target(kind, verb, namespace, name, found["part"] or "")


class Api:
    """Operations. The caller holds the lock, and does not while it reads a log.

    :param home: localcloud's folder.
    :param nodes: the nodes of a cluster.
    """

    def __init__(self, home: Path, controller: Controller, nodes: Callable[[Objects], list[Object]]) -> None:
        self._home, self._controller, self._nodes = home, controller, nodes

    def answer(
        self, where: Objects, target: Target, query: dict[str, str], body: Any, content_type: str
    ) -> tuple[int, dict[str, Any]]:
        """Do it.

        :return: HTTP status and object.
        :raises ApiError: it is refused.
        """
        if target.kind.readonly and target.verb in {"create", "update", "patch"}:
            raise ApiError(501, "NotImplemented", f"localcloud makes and changes {target.kind.plural} itself")
        if target.verb == "list":
            return 200, self._list(where, target, query)
        if target.verb == "create":
            if not isinstance(body, dict):
                raise bad_request("the body is not an object")
            return 201, copy.deepcopy(where.create(target.kind, target.namespace, body))
        found = self._find(where, target)
        if target.verb == "get":
            return 200, copy.deepcopy(found)
        if target.verb == "delete":
            return 200, self._delete(where, target, found, query, body if isinstance(body, dict) else {})
        if target.verb == "patch":
            how = content_type.partition(";")[0]
            if how not in patches.TYPES:
                raise ApiError(415, "UnsupportedMediaType", f"localcloud takes {', '.join(sorted(patches.TYPES))}")
            if not isinstance(body, dict):
                raise bad_request("the patch is not an object")
            body = patches.merged(found, body, strategic=how == patches.STRATEGIC)
        return 200, copy.deepcopy(where.change(target.kind, found, body))

    def log(self, where: Objects, target: Target, query: dict[str, str]) -> Iterator[bytes]:
        """Read the log of a pod's container, line by line.

        :raises ApiError: 404 without the pod, 400 as long as its container has not started.
        """
        pod = where.get(target.kind, target.namespace, target.name)
        path = containers.folder_of(self._home, pod) / "log"
        state = ((pod["status"].get("containerStatuses") or [{}])[0]).get("state") or {}
        if "waiting" in state or not state:
            container = pod["spec"]["containers"][0]["name"]
            reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
            raise bad_request(f'container "{container}" in pod "{target.name}" is waiting to start: {reason}')
        return self._lines(path, pod, query)

    def _lines(self, path: Path, pod: Object, query: dict[str, str]) -> Iterator[bytes]:
        stamped = _is_true(query.get("timestamps"))
        since = query.get("sinceTime", "")
        tail = int(query["tailLines"]) if query.get("tailLines") else None
        left = int(query["limitBytes"]) if query.get("limitBytes") else None
        for line in self._stored(path, pod, tail, follow=_is_true(query.get("follow"))):
            moment, _, text = line.partition(b" ")
            if since and moment.decode() < since:
                continue
            told = line if stamped else text
            if left is not None:
                told, left = told[:left], left - len(told)
            yield told
            if left is not None and left <= 0:
                return

    def _stored(self, path: Path, pod: Object, tail: int | None, *, follow: bool) -> Iterator[bytes]:
        if not path.exists():
            return
        with path.open("rb") as file:
            if tail is not None:
                yield from file.readlines()[-tail:] if tail else ()
            rest = b""
            while True:
                running = not kubelet.has_ended(pod)
                for line in file:
                    rest += line
                    if rest.endswith(b"\n"):
                        yield rest
                        rest = b""
                if not follow or not running:
                    return
                self._controller.pause(POLL_S)

    def _list(self, where: Objects, target: Target, query: dict[str, str]) -> dict[str, Any]:
        kind, namespace = target.kind, target.namespace or None
        items = self._nodes(where) if kind.name == "Node" else where.all(kind.plural, namespace)
        return where.page(
            items,
            target.kind,
            limit=int(query.get("limit") or 0),
            token=query.get("continue", ""),
            labels=query.get("labelSelector", ""),
            fields=query.get("fieldSelector", ""),
        )

    def _find(self, where: Objects, target: Target) -> Object:
        if target.kind.name == "Node":
            for node in self._nodes(where):
                if node["metadata"]["name"] == target.name:
                    return node
        return where.get(target.kind, target.namespace, target.name)

    def _delete(
        self, where: Objects, target: Target, found: Object, query: dict[str, str], options: dict[str, Any]
    ) -> dict[str, Any]:
        uid = (options.get("preconditions") or {}).get("uid")
        if uid and uid != found["metadata"]["uid"]:
            raise conflict(target.kind.plural, target.name, f"Precondition failed: UID in precondition: {uid}")
        if target.kind.name == "Pod":
            self._controller.kubelet.remove(where, found)
            return copy.deepcopy(found)
        # Without a policy the API of jobs leaves their pods behind, for the sake of old clients.
        usual = "Orphan" if target.kind.name == "Job" else "Background"
        if (options.get("propagationPolicy") or query.get("propagationPolicy") or usual) == "Orphan":
            garbage.orphan(where, found)
        if not where.delete(target.kind, found):
            return copy.deepcopy(found)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 200}


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in {"1", "t", "true"}
