"""Evaluation of resource policies: role trust, KMS key policies.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. An explicit Deny wins,
then an Allow is needed. A condition that is not understood never matches an Allow and always matches a Deny, so that a
mistake here refuses too much and never too little.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACCOUNT_ROOT = re.compile(r"^(?:arn:aws[\w-]*:iam::)?(\d{12})(?::root)?$")


class MalformedPolicyError(ValueError):
    """The text is not a policy document; the message says where."""


@dataclass(frozen=True)
class Request:
    """What is asked of a policy.

    :param action: such as ``kms:Decrypt``.
    :param account: account of the asking principal.
    :param principal_arn: role or user ARN; None asks whether any principal of ``account`` would be allowed.
    :param service: such as ``rds.amazonaws.com``, when a service asks.
    :param context: condition keys, such as ``sts:ExternalId``.
    """

    action: str
    account: str = ""
    principal_arn: str | None = None
    service: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)


def statements(document: str) -> list[dict[str, Any]]:
    """Statements of a policy document.

    :raises MalformedPolicyError: no JSON object, no Statement, or one without a legal Effect, Action or Principal.
    """
    try:
        policy = json.loads(document)
    except ValueError as error:
        raise MalformedPolicyError(f"not JSON: {error}") from None
    found = policy.get("Statement") if isinstance(policy, dict) else None
    found = [found] if isinstance(found, dict) else found
    if not isinstance(found, list) or not found:
        raise MalformedPolicyError("a policy needs a Statement")
    for statement in found:
        if not isinstance(statement, dict) or statement.get("Effect") not in {"Allow", "Deny"}:
            raise MalformedPolicyError("each statement needs an Effect, Allow or Deny")
        if not ({"Action", "NotAction"} & statement.keys() and {"Principal", "NotPrincipal"} & statement.keys()):
            raise MalformedPolicyError("each statement of a resource policy needs an Action and a Principal")
    return found


def principals(document: str) -> Iterator[str]:
    """Every AWS principal that a policy names, wildcards left out."""
    for statement in statements(document):
        principal = statement.get("Principal")
        if isinstance(principal, dict):
            yield from (name for name in _list(principal.get("AWS")) if name != "*")


def allows(document: str, request: Request) -> bool:
    """Whether the policy allows the request and denies it nowhere.

    :raises MalformedPolicyError: see :func:`statements`.
    """
    allowed = False
    for statement in statements(document):
        denies = statement["Effect"] == "Deny"
        if not (_action(statement, request) and _principal(statement, request)):
            continue
        if not _conditions(statement.get("Condition") or {}, request, unknown=denies):
            continue
        if denies:
            return False
        allowed = True
    return allowed


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _action(statement: dict[str, Any], request: Request) -> bool:
    asked = request.action.lower()
    if "NotAction" in statement:
        return not any(fnmatchcase(asked, pattern.lower()) for pattern in _list(statement["NotAction"]))
    return any(fnmatchcase(asked, pattern.lower()) for pattern in _list(statement["Action"]))


def _principal(statement: dict[str, Any], request: Request) -> bool:
    if "NotPrincipal" in statement:
        return not _named(statement["NotPrincipal"], request)
    return _named(statement["Principal"], request)


def _named(principal: Any, request: Request) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, dict):
        return False
    if request.service is not None:
        return request.service in _list(principal.get("Service"))
    return any(_names(name, request) for name in _list(principal.get("AWS")))


def _names(name: str, request: Request) -> bool:
    if name == "*":
        return True
    root = ACCOUNT_ROOT.match(name)
    if root:
        # An account as principal stands for every principal in it.
        return root.group(1) == request.account
    if request.principal_arn is None:
        return name.split(":")[4:5] == [request.account]
    return name == request.principal_arn


def _conditions(conditions: dict[str, dict[str, Any]], request: Request, *, unknown: bool) -> bool:
    """Whether all conditions hold; ``unknown`` is the answer for an operator or key that is not understood."""
    for operator, tests in conditions.items():
        for key, wanted in tests.items():
            actual = next((value for name, value in request.context.items() if name.lower() == key.lower()), None)
            if not _holds(operator, actual, [str(value) for value in _list(wanted)], unknown=unknown):
                return False
    return True


def _holds(operator: str, actual: str | None, wanted: list[str], *, unknown: bool) -> bool:
    if operator.endswith("IfExists"):
        if actual is None:
            return True
        operator = operator.removesuffix("IfExists")
    if operator == "Null":
        return (actual is None) == (wanted[:1] == ["true"])
    positive = operator.replace("Not", "")
    if positive in {"StringEquals", "ArnEquals", "Bool"}:
        matched = actual in wanted
    elif positive in {"StringLike", "ArnLike"}:
        matched = actual is not None and any(fnmatchcase(actual, pattern) for pattern in wanted)
    elif positive == "StringEqualsIgnoreCase":
        matched = actual is not None and actual.lower() in {value.lower() for value in wanted}
    else:
        return unknown
    return matched if positive == operator else not matched
