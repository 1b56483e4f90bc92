"""Identity policies as localcloud reads them; nothing is started."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import policy
from localcloud.policy import Decision

ROLE = "arn:aws:iam::222222222222:role/r"
CLUSTER = "arn:aws:rds:eu-west-1:222222222222:cluster:staging-shop"
words = st.text(st.sampled_from("ab[*]?.-:"), max_size=8)


def decide(*statements: dict[str, Any], resource: str = CLUSTER, **context: Any) -> Decision:
    document = json.dumps({"Statement": [{"Effect": "Allow", **statement} for statement in statements]})
    request = policy.Request("rds:DeleteDBCluster", "222222222222", ROLE, context=context, resource=resource)
    return policy.decide([document], request)


ALLOW = {"Action": "rds:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (ALLOW, True),
        ({"Action": "RDS:deletedbcluster", "Resource": CLUSTER}, True),
        (
            {
                "Action": ["s3:*", "rds:Delete*"],
                "Resource": ["arn:aws:s3:::b", "arn:aws:rds:*:222222222222:cluster:staging-*"],
            },
            True,
        ),
        ({"Action": "rds:DeleteDBInstance", "Resource": "*"}, False),
        ({"Action": "rds:*", "Resource": CLUSTER + "-old"}, False),
        ({"Action": "rds:*", "Resource": CLUSTER[:-1] + "?"}, True),
        ({"Action": "rds:*", "Resource": CLUSTER.upper()}, False),
        ({"NotAction": "rds:*", "Resource": "*"}, False),
        ({"NotAction": "s3:*", "Resource": "*"}, True),
        ({"Action": "rds:*", "NotResource": CLUSTER}, False),
        ({"Action": "rds:*", "NotResource": CLUSTER + "-old"}, True),
        ({"Action": "rds:*", "Resource": "arn:aws:rds:*:*:cluster:${aws:username}*"}, False),
        ({"Action": "rds:*", "Resource": "arn:aws:rds:*:*:cluster:[s]taging-shop"}, False),
    ],
)
def test_action_and_resource(statement, allowed) -> None:
    assert decide(statement) is (Decision.ALLOWED if allowed else Decision.NOT_ALLOWED)


TAG = "aws:ResourceTag/refresh"


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringEquals": {TAG: "true"}}, {TAG: "true"}, True),
        ({"StringEquals": {TAG: "true"}}, {TAG: "TRUE"}, False),
        ({"StringEquals": {TAG: "true"}}, {}, False),
        ({"StringEquals": {"AWS:resourcetag/refresh": ["false", "true"]}}, {TAG: "true"}, True),
        ({"StringNotEquals": {TAG: "true"}}, {}, True),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, {}, False),
        ({"StringEqualsIfExists": {TAG: "true"}}, {}, True),
        ({"StringLike": {TAG: "t*"}}, {TAG: "true"}, True),
        ({"Null": {TAG: "true"}}, {}, True),
        ({"Null": {TAG: "false"}}, {}, False),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, {"kms:GrantIsForAWSResource": "true"}, True),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, {"kms:GrantIsForAWSResource": "false"}, False),
        ({"NumericLessThan": {TAG: "5"}}, {TAG: "1"}, True),
        ({"NumericLessThan": {TAG: "5"}}, {TAG: "5"}, False),
        ({"NumericLessThanEquals": {TAG: "5"}}, {TAG: "5"}, True),
        ({"NumericGreaterThan": {TAG: "5"}}, {TAG: "10"}, True),
        ({"NumericGreaterThanEquals": {TAG: "5"}}, {TAG: "4.5"}, False),
        ({"DateLessThan": {TAG: "2030-01-01T00:00:00Z"}}, {TAG: "2020-01-01T00:00:00Z"}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, {"aws:TagKeys": ("b", "a")}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, {}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:TagKeys": ("b", "a")}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:TagKeys": ("b", "a")}, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {}, True),
        ({"ForSomeValues:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:TagKeys": ("a",)}, False),
        ({"StringEquals": {"aws:TagKeys": "a"}}, {"aws:TagKeys": ("a",)}, False),
        ({"StringEquals": {TAG: "true", "aws:RequestedRegion": "x"}}, {TAG: "true"}, False),
    ],
)
def test_conditions(condition, context, allowed) -> None:
    assert decide({**ALLOW, "Condition": condition}, **context) is (
        Decision.ALLOWED if allowed else Decision.NOT_ALLOWED
    )


def test_a_deny_wins_whatever_its_place() -> None:
    deny = {"Effect": "Deny", "Action": "rds:Delete*", "Resource": CLUSTER}
    assert decide(ALLOW, deny) is decide(deny, ALLOW) is Decision.DENIED


@pytest.mark.parametrize(
    "condition", [{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"StringEquals": {"aws:SourceVpce": "vpce-1"}}]
)
def test_what_is_not_understood_denies(condition) -> None:
    assert decide(ALLOW, {**ALLOW, "Effect": "Deny", "Condition": condition}) is Decision.DENIED


def test_documents_add_up() -> None:
    request = policy.Request("rds:DeleteDBCluster", resource=CLUSTER)
    nothing = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
    allow = json.dumps({"Statement": [{"Effect": "Allow", **ALLOW}]})
    assert policy.decide([nothing, allow], request) is Decision.ALLOWED
    assert policy.decide([], request) is policy.decide([nothing], request) is Decision.NOT_ALLOWED


@pytest.mark.parametrize("statement", [{"Action": "rds:*"}, {"Resource": "*"}, {"Effect": "Maybe", **ALLOW}])
def test_a_statement_without_its_parts_is_malformed(statement) -> None:
    with pytest.raises(policy.MalformedPolicyError):
        decide(statement)


@given(words)
def test_a_text_matches_itself_and_star_matches_everything(text) -> None:
    assert policy.matches(text, text)
    assert policy.matches("*", text)
    assert policy.matches("?" * len(text), text)


@given(words, words, words)
def test_only_star_and_question_mark_are_special(before, text, after) -> None:
    assert policy.matches(f"{before}*{after}", before + text + after)
    if "*" not in before + text and "?" not in before + text:
        assert policy.matches(before, text) is (before == text)


@given(st.lists(st.sampled_from(["allow", "deny", "other"]), max_size=6))
def test_allowed_is_an_allow_and_no_deny(kinds) -> None:
    made = {
        "allow": ALLOW,
        "deny": {**ALLOW, "Effect": "Deny"},
        "other": {"Action": "s3:*", "Resource": "*"},
    }
    found = decide(*(made[kind] for kind in [*kinds, "other"]))
    assert (found is Decision.ALLOWED) == ("allow" in kinds and "deny" not in kinds)
    assert (found is Decision.DENIED) == ("deny" in kinds)
