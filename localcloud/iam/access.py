"""Whether a call is allowed by the identity policies of its caller, and AWS's answer if it is not."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

from localcloud import policy
from localcloud.iam.facts import Facts
from localcloud.iam.model import Call, Need
from localcloud.iam.needs import needs_of
from localcloud.policy import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moto.iam.models import ManagedPolicy, Role, User

    from localcloud.cloud import Caller, Cloud
    from localcloud.policy import Values

KEPT_DECISIONS = 200_000
BECAUSE = {
    Decision.NOT_ALLOWED: "because no identity-based policy allows the {action} action",
    Decision.DENIED: "with an explicit deny in an identity-based policy",
}
# (HTTP status, code) of a refusal, by the shape of a service's errors.
CODES = {
    "json": (400, "AccessDeniedException"),
    "query": (403, "AccessDenied"),
    "ec2": (403, "UnauthorizedOperation"),
    "s3": (403, "AccessDenied"),
    "sqs": (403, "AccessDenied"),
    "sns": (403, "AuthorizationError"),
}


@dataclass(frozen=True)
class Refusal:
    """AWS's answer to what is not allowed.

    :param status: HTTP status.
    """

    status: int
    code: str
    message: str


class Access:
    """Identity policies in force. Thread-safe.

    Off, everything is allowed that no resource policy forbids, and nothing is noted. Account roots are not judged.

    :param cloud: whose callers and resources.
    :param on: whether calls are judged.
    """

    def __init__(self, cloud: Cloud, *, on: bool) -> None:
        self.on = on
        self._facts = Facts(cloud)
        self._lock = threading.Lock()
        self._decisions: deque[dict[str, Any]] = deque(maxlen=KEPT_DECISIONS)

    def switch(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Turn judgement on or off (``iam-enforce``, ``{"on": bool}``); without ``on`` only tell."""
        wanted = parameters.get("on", self.on)
        if wanted not in (True, False):
            raise ValueError(f"on: {wanted!r} is not known; give true or false")
        self.on = bool(wanted)
        return {"on": self.on}

    def decisions(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """List what was asked of policies (``iam-decisions``, ``{"since": epoch seconds}``), in the order of calls."""
        since = float(parameters.get("since", 0))
        with self._lock:
            return {"decisions": [made for made in self._decisions if made["time"] >= since]}

    def check(
        self, caller: Caller, region: str, service: str, action: str, parameters: Mapping[str, Any], protocol: str
    ) -> Refusal | None:
        """Judge a call; None if it is allowed.

        :param protocol: shape of the service's errors, see :func:`localcloud.guard.protocol_of`.
        """
        if not self.on or caller.arn.endswith(":root"):
            return None
        call = Call(caller, region, service, action, parameters)
        return self._judge(call, needs_of(call, self._facts), "sns" if service == "sns" else protocol)

    def ask(self, call: Call, need: Need, protocol: str) -> Refusal | None:
        """Judge what a service does in the caller's name after it has answered the call; None if it is allowed."""
        if not self.on or call.caller.arn.endswith(":root"):
            return None
        return self._judge(call, [need], protocol)

    def _judge(self, call: Call, needs: Iterable[Need], protocol: str) -> Refusal | None:
        documents = attached(call.caller)
        for need in needs:
            decision = judge(documents, call.caller, call.region, need)
            self._note(call, need, decision)
            if decision is not Decision.ALLOWED:
                return _refusal(call, need, decision, protocol)
        return None

    def _note(self, call: Call, need: Need, decision: Decision) -> None:
        made = {
            "time": time.time(),
            "principal": call.caller.principal_arn,
            "region": call.region,
            "call": f"{call.service}:{call.action}",
            "action": need.action,
            "resource": need.resource,
            "context": dict(need.context),
            "by_resource": need.by_resource,
            "via": need.via,
            "decision": decision.value,
        }
        with self._lock:
            self._decisions.append(made)


def judge(documents: list[list[str]], caller: Caller, region: str, need: Need) -> Decision:
    """Decide one need by policies.

    :param documents: sets of policies that must each allow it: those attached, and a permissions boundary.
    """
    account = (need.resource.split(":") + [""] * 5)[4] or caller.account
    context: dict[str, Values] = {
        "aws:PrincipalArn": caller.principal_arn,
        "aws:PrincipalAccount": caller.account,
        "aws:RequestedRegion": region,
        "aws:ResourceAccount": account,
        **({"aws:CalledVia": caller.called_via} if caller.called_via else {}),
        **need.context,
    }
    request = policy.Request(need.action, caller.account, caller.principal_arn, context=context, resource=need.resource)
    for number, together in enumerate(documents):
        decision = policy.decide(together, request)
        if decision is Decision.NOT_ALLOWED and number == 0 and need.by_resource:
            continue
        if decision is not Decision.ALLOWED:
            return decision
    return Decision.ALLOWED


def attached(caller: Caller) -> list[list[str]]:
    """Identity policies of a caller: inline, attached, of its groups; then its permissions boundary, if it has one."""
    backend = iam_backends[caller.account]["aws"]
    holder: Role | User | None
    if ":role/" in caller.principal_arn:
        holder = next((role for role in list(backend.roles.values()) if role.arn == caller.principal_arn), None)
    else:
        holder = next((user for user in list(backend.users.values()) if user.arn == caller.principal_arn), None)
    if holder is None:
        return [[]]
    groups = [group for group in list(backend.groups.values()) if holder in group.users]
    documents = [
        text
        for owner in (holder, *groups)
        for text in (*owner.policies.values(), *map(_text, owner.managed_policies.values()))
    ]
    found = [documents]
    boundary = getattr(holder, "permissions_boundary_arn", None)
    if boundary:
        found.append([_text(backend.get_policy(boundary))])
    return found


def _text(managed: ManagedPolicy) -> str:
    """Text of a managed policy's version in force."""
    return next(str(one.document) for one in managed.versions if one.version_id == managed.default_version_id)


def _refusal(call: Call, need: Need, decision: Decision, protocol: str) -> Refusal:
    """AWS's words; a service that may not use a key in the caller's name has words of its own."""
    status, code = CODES[protocol]
    if need.action.startswith("kms:") and need.via and call.service == "rds":
        message = (
            f"The specified KMS key [{need.resource}] does not exist, is not enabled or you do not have permissions to"
            f" access it. User: {call.caller.arn} is not authorized to perform: {need.action} on resource:"
            f" {need.resource}"
        )
        return Refusal(400, "KMSKeyNotAccessibleFault", message)
    if need.action.startswith("kms:") and call.service == "secretsmanager":
        return Refusal(status, code, "Access to KMS is not allowed")
    if call.service == "s3" and call.action.startswith("Head"):
        return Refusal(status, code, "Forbidden")
    message = (
        f"User: {call.caller.arn} is not authorized to perform: {need.action} on resource: {need.resource}"
        f" {BECAUSE[decision].format(action=need.action)}"
    )
    return Refusal(status, code, message)
