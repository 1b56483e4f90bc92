"""Who calls a cluster, and what they may do there: EKS tokens, access entries, access policies, roles bound to groups."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from localcloud.accounts import ExpiredCredentialsError, UnknownCredentialsError
from localcloud.kube.errors import ApiError, bad_request

if TYPE_CHECKING:
    from localcloud.accounts import Identities
    from localcloud.cloud import Caller
    from localcloud.eks.models import AccessEntry, LocalCluster
    from localcloud.kube.objects import Object, Objects

PREFIX = "k8s-aws-v1."
LONGEST_TOKEN_S = 900
POLICY_ARN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS"
READS = ("get", "list")
APPS = ("deployments", "replicasets", "statefulsets")
VIEWED = ("pods", "pods/log", "configmaps", "serviceaccounts", "persistentvolumeclaims", "jobs", *APPS, "namespaces")
EVERYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html, as far as there are such objects here.
EDIT = {
    "apiGroups": ["*"],
    "resources": ["pods", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims", "jobs", *APPS],
    "verbs": ["*"],
}
VIEW = {"apiGroups": ["*"], "resources": list(VIEWED), "verbs": list(READS)}
RULES = {"ClusterAdmin": [EVERYTHING], "Admin": [EDIT, VIEW], "Edit": [EDIT, VIEW], "View": [VIEW]}
BINDINGS = (("rolebindings", "roles"), ("clusterrolebindings", "clusterroles"))


@dataclass(frozen=True)
class Wanted:
    """What a request wants to do.

    :param resource: plural name, with its part after a slash (``pods/log``).
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""


def caller_of(authorization: str, identities: Identities) -> Caller:
    """Who signed the token of a request.

    :raises ApiError: 401.
    """
    unauthorized = ApiError(401, "Unauthorized", "Unauthorized")
    kind, _, token = authorization.partition(" ")
    if kind != "Bearer" or not token.startswith(PREFIX):
        raise unauthorized
    coded = token.removeprefix(PREFIX)
    try:
        url = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        key_id = query["X-Amz-Credential"].split("/")[0]
        headers = query["X-Amz-SignedHeaders"].split(";")
    except (binascii.Error, ValueError, KeyError) as error:
        raise unauthorized from error
    young = -60 <= time.time() - signed <= LONGEST_TOKEN_S
    if query.get("Action") != "GetCallerIdentity" or "x-k8s-aws-id" not in headers or not young:
        raise unauthorized
    try:
        return identities.caller(key_id, query.get("X-Amz-Security-Token"))
    except (UnknownCredentialsError, ExpiredCredentialsError) as error:
        raise unauthorized from error


def entry_of(cluster: LocalCluster, caller: Caller) -> AccessEntry:
    """Access entry of a caller.

    :raises ApiError: 401, as EKS answers to principals it does not know.
    """
    found = cluster.entries.get(caller.principal_arn)
    if found is None:
        raise ApiError(401, "Unauthorized", "Unauthorized")
    return found


def require(objects: Objects, entry: AccessEntry, wanted: Wanted) -> None:
    """Refuse what neither an access policy nor a role allows.

    :raises ApiError: 403, in the words of RBAC.
    """
    if _allowed(objects, entry, wanted):
        return
    where = f' in the namespace "{wanted.namespace}"' if wanted.namespace else " at the cluster scope"
    full = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f' "{wanted.name}"' if wanted.name else ""
    message = (
        f'{full}{named} is forbidden: User "{entry.username}" cannot {wanted.verb} resource "{wanted.resource}" in API '
        f'group "{wanted.group}"{where}'
    )
    raise ApiError(403, "Forbidden", message, {"name": wanted.name, "kind": wanted.resource})


def reviewed(objects: Objects, entry: AccessEntry, review: Any) -> Object:
    """Answer a ``SelfSubjectAccessReview``: whether its caller may do what it names. Everybody who is let in may ask.

    :raises ApiError: 400 for a review of anything but a resource.
    """
    spec = review.get("spec") if isinstance(review, dict) else None
    asked = (spec or {}).get("resourceAttributes")
    if not isinstance(asked, dict):
        raise bad_request("localcloud reviews resourceAttributes only")
    part = f"/{asked['subresource']}" if asked.get("subresource") else ""
    wanted = Wanted(
        str(asked.get("verb", "")),
        str(asked.get("group", "")),
        f"{asked.get('resource', '')}{part}",
        str(asked.get("namespace", "")),
        str(asked.get("name", "")),
    )
    return {**review, "metadata": {}, "status": {"allowed": _allowed(objects, entry, wanted)}}


def _allowed(objects: Objects, entry: AccessEntry, wanted: Wanted) -> bool:
    return _by_policy(entry, wanted) or _by_roles(objects, entry, wanted)


def _by_policy(entry: AccessEntry, wanted: Wanted) -> bool:
    for arn, scope in entry.policies.items():
        rules = RULES[arn.removeprefix(POLICY_ARN).removesuffix("Policy")]
        everywhere = scope.get("type") != "namespace"
        if (everywhere or wanted.namespace in scope.get("namespaces", ())) and _allow(rules, wanted):
            return True
    return False


def _by_roles(objects: Objects, entry: AccessEntry, wanted: Wanted) -> bool:
    for bindings, _ in BINDINGS:
        for binding in objects.all(bindings):
            namespace = binding["metadata"].get("namespace", "")
            if namespace and namespace != wanted.namespace:
                continue
            if not any(_is(subject, entry) for subject in binding.get("subjects") or ()):
                continue
            role = _role(objects, binding, namespace)
            if role is not None and _allow(role.get("rules") or [], wanted):
                return True
    return False


def _is(subject: dict[str, Any], entry: AccessEntry) -> bool:
    if subject["kind"] == "Group":
        return subject["name"] in entry.groups
    return bool(subject["kind"] == "User" and subject["name"] == entry.username)


def _role(objects: Objects, binding: Object, namespace: str) -> Object | None:
    reference = binding["roleRef"]
    if reference["kind"] == "ClusterRole":
        return objects.find("clusterroles", "", reference["name"])
    return objects.find("roles", namespace, reference["name"])


def _allow(rules: list[dict[str, Any]], wanted: Wanted) -> bool:
    return any(
        _has(rule["apiGroups"], wanted.group)
        and _has(rule["resources"], wanted.resource)
        and _has(rule["verbs"], wanted.verb)
        and (not rule.get("resourceNames") or wanted.name in rule["resourceNames"])
        for rule in rules
    )


def _has(allowed: list[str], value: str) -> bool:
    return "*" in allowed or value in allowed
