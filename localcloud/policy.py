"""Evaluation of policies: role trust and KMS key policies, and what is attached to users and roles.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. An explicit Deny wins,
then an Allow is needed. A condition that is not understood never matches an Allow and always matches a Deny, so that a
mistake here refuses too much and never too little.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Values: TypeAlias = "str | tuple[str, ...]"

# Condition keys that localcloud gives a value wherever AWS does. A negated operator matches where a key is absent, so a key
# that is merely not known here must not count as absent.
KNOWN_KEYS = re.compile(
    r"^(aws:(PrincipalArn|PrincipalAccount|PrincipalType|RequestedRegion|ResourceAccount|TagKeys|SourceArn|SourceAccount)"
    r"|aws:(ResourceTag|RequestTag)/.+"
    r"|rds:(cluster|cluster-snapshot|db|cluster-pg|subgrp|og|pg|req)-tag/.+"
    r"|kms:(ViaService|CallerAccount|GrantIsForAWSResource|GranteePrincipal|RetiringPrincipal|GrantOperations"
    r"|ResourceAliases)"
    r"|ram:(Principal|RequestedResourceType)|iam:PassedToService|secretsmanager:(SecretId|VersionStage|Name|ResourceTag/.+)"
    r"|sts:(ExternalId|RoleSessionName)|s3:prefix|cloudwatch:namespace|dynamodb:LeadingKeys)$",
    re.IGNORECASE,
)
_NUMERIC = {
    "NumericLessThan": lt,
    "NumericLessThanEquals": le,
    "NumericGreaterThan": gt,
    "NumericGreaterThanEquals": ge,
}
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
    :param context: condition keys, such as ``sts:ExternalId``; a tuple is a key with several values.
    :param resource: ARN that is acted on, or ``*``; asked of identity policies only.
    """

    action: str
    account: str = ""
    principal_arn: str | None = None
    service: str | None = None
    context: Mapping[str, Values] = field(default_factory=dict)
    resource: str = "*"


class Decision(Enum):
    """What identity policies say to a request."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "not allowed"
    DENIED = "denied"


def statements(document: str) -> list[dict[str, Any]]:
    """Statements of a resource policy.

    :raises MalformedPolicyError: no JSON object, no Statement, or one without a legal Effect, Action or Principal.
    """
    found = _parsed(document)
    if not all({"Action", "NotAction"} & one.keys() and {"Principal", "NotPrincipal"} & one.keys() for one in found):
        raise MalformedPolicyError("each statement of a resource policy needs an Action and a Principal")
    return found


def identity_statements(document: str) -> list[dict[str, Any]]:
    """Statements of an identity policy.

    :raises MalformedPolicyError: no JSON object, no Statement, or one without a legal Effect, Action or Resource.
    """
    found = _parsed(document)
    if not all({"Action", "NotAction"} & one.keys() and {"Resource", "NotResource"} & one.keys() for one in found):
        raise MalformedPolicyError("each statement of an identity policy needs an Action and a Resource")
    return found


@lru_cache(maxsize=256)
def _parsed(document: str) -> list[dict[str, Any]]:
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


def decide(documents: Iterable[str], request: Request) -> Decision:
    """Decide by identity policies; each document is one that is attached to the caller.

    :raises MalformedPolicyError: see :func:`identity_statements`.
    """
    decision = Decision.NOT_ALLOWED
    for document in documents:
        for statement in identity_statements(document):
            denies = statement["Effect"] == "Deny"
            if not (_action(statement, request) and _resource(statement, request, unknown=denies)):
                continue
            if not _conditions(statement.get("Condition") or {}, request, unknown=denies):
                continue
            if denies:
                return Decision.DENIED
            decision = Decision.ALLOWED
    return decision


def decide_by_resource(document: str, request: Request) -> Decision:
    """Decide by the policy of a resource with many parts, such as a bucket: its statements name resources too.

    :raises MalformedPolicyError: see :func:`statements`.
    """
    decision = Decision.NOT_ALLOWED
    for statement in statements(document):
        denies = statement["Effect"] == "Deny"
        if not (_action(statement, request) and _principal(statement, request)):
            continue
        if {"Resource", "NotResource"} & statement.keys() and not _resource(statement, request, unknown=denies):
            continue
        if not _conditions(statement.get("Condition") or {}, request, unknown=denies):
            continue
        if denies:
            return Decision.DENIED
        decision = Decision.ALLOWED
    return decision


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern of IAM, in which only ``*`` and ``?`` are special."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(char) or re.escape(char) for char in pattern), re.DOTALL)


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _action(statement: dict[str, Any], request: Request) -> bool:
    asked = request.action.lower()
    if "NotAction" in statement:
        return not any(matches(pattern.lower(), asked) for pattern in _list(statement["NotAction"]))
    return any(matches(pattern.lower(), asked) for pattern in _list(statement["Action"]))


def _resource(statement: dict[str, Any], request: Request, *, unknown: bool) -> bool:
    """Whether a statement is about the resource; ``unknown`` is the answer where it has a policy variable."""
    key = "NotResource" if "NotResource" in statement else "Resource"
    patterns = _list(statement[key])
    if any("${" in pattern for pattern in patterns):
        return unknown
    return any(matches(pattern, request.resource) for pattern in patterns) is (key == "Resource")


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
        return request.service in _list(principal.get("Service")) or "*" in _list(principal.get("AWS"))
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
    context = {name.lower(): value for name, value in request.context.items()}
    for operator, tests in conditions.items():
        for key, wanted in tests.items():
            if key.lower() not in context and not KNOWN_KEYS.match(key):
                if not unknown:
                    return False
                continue
            actual = context.get(key.lower())
            if not _holds(operator, actual, [str(value) for value in _list(wanted)], unknown=unknown):
                return False
    return True


def _holds(operator: str, actual: Values | None, wanted: list[str], *, unknown: bool) -> bool:
    """Whether one condition holds, operators on sets included."""
    quantifier, _, rest = operator.rpartition(":")
    if operator == "Null":
        return (actual is None) == (wanted[:1] == ["true"])
    if not quantifier:
        return unknown if isinstance(actual, tuple) else _compares(rest, actual, wanted, unknown=unknown)
    values = () if actual is None else actual if isinstance(actual, tuple) else (actual,)
    if quantifier == "ForAllValues":
        return all(_compares(rest, value, wanted, unknown=unknown) for value in values)
    if quantifier == "ForAnyValue":
        return any(_compares(rest, value, wanted, unknown=unknown) for value in values)
    return unknown


def _compares(operator: str, actual: str | None, wanted: list[str], *, unknown: bool) -> bool:
    if operator.endswith("IfExists"):
        if actual is None:
            return True
        operator = operator.removesuffix("IfExists")
    positive = operator.replace("Not", "")
    if positive == "StringEquals":
        matched = actual in wanted
    elif positive == "Bool":
        matched = actual is not None and actual.lower() in {value.lower() for value in wanted}
    elif positive in {"StringLike", "ArnLike", "ArnEquals"}:
        matched = actual is not None and any(matches(pattern, actual) for pattern in wanted)
    elif positive == "StringEqualsIgnoreCase":
        matched = actual is not None and actual.lower() in {value.lower() for value in wanted}
    elif positive in _NUMERIC:
        try:
            return actual is not None and any(_NUMERIC[positive](float(actual), float(value)) for value in wanted)
        except ValueError:
            return unknown
    else:
        return unknown
    return matched if positive == operator else not matched
