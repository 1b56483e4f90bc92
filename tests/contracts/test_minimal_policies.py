"""What is left out of policies because another statement says it already changes nothing of what they allow."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policygen.minimal import without_repetition

from devstack.settings import REPO
from localcloud.policy import Request, decide

ACTIONS, RESOURCES, VALUES = ("kms:DescribeKey", "kms:CreateGrant"), ("arn:a", "arn:b"), ("x", "y")
CONDITIONS = st.sampled_from([
    {},
    {"StringEquals": {"kms:ViaService": "x"}},
    {"StringEquals": {"kms:ViaService": ["x", "y"]}},
    {"StringNotEquals": {"kms:ViaService": ["x"]}},
    {"StringNotEquals": {"kms:ViaService": ["x", "y"]}},
    {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["x"]}},
    {"ForAllValues:StringEquals": {"kms:ResourceAliases": ["x", "y"]}},
    {"StringEquals": {"kms:ViaService": "x"}, "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["x", "y"]}},
])  # fmt: skip


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, unique=True)


STATEMENTS = st.lists(st.tuples(some(ACTIONS), some(RESOURCES), CONDITIONS), min_size=1, max_size=4).map(
    lambda drawn: [statement(f"S{number}", *one) for number, one in enumerate(drawn)]
)
REQUESTS = [
    Request(action, resource=resource, context={"kms:ViaService": service, "kms:ResourceAliases": aliases})
    for action, resource, service, aliases in itertools.product(
        ACTIONS, RESOURCES, (*VALUES, "z"), ((), ("x",), ("y",), ("x", "z"))
    )
]


def statement(sid: str, actions: list[str], resources: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources, "Condition": condition}


def allowed(statements: list[dict[str, Any]]) -> list[str]:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return [decide([text] if statements else [], request).value for request in REQUESTS]


def kept(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in statements if one["Action"]]


@given(statements=STATEMENTS)
def test_the_same_is_allowed(statements) -> None:
    assert allowed(kept(without_repetition(statements))) == allowed(statements)


@given(statements=STATEMENTS)
def test_what_is_left_is_left_as_it_is(statements) -> None:
    once = kept(without_repetition(statements))
    assert without_repetition(once) == once


NARROW = {"StringEquals": {"kms:ViaService": "efs"}, "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["a"]}}


@pytest.mark.parametrize(
    ("wide", "left"),
    [
        ({}, []),
        ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["a", "b"]}}, []),
        ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["b"]}}, ["kms:DescribeKey"]),
        ({"StringEquals": {"kms:ViaService": "rds"}}, ["kms:DescribeKey"]),
        ({"Bool": {"kms:GrantIsForAWSResource": "true"}}, ["kms:DescribeKey"]),
    ],
    ids=["no condition", "one of the aliases", "another alias", "another service", "one more condition"],
)
def test_a_further_condition_makes_a_statement_needless(wide, left) -> None:
    narrow = statement("Narrow", ["kms:DescribeKey", "kms:CreateGrant"], ["arn:a"], NARROW)
    found = without_repetition([narrow, statement("Wide", ["kms:DescribeKey"], ["arn:a", "arn:b"], wide)])
    assert found[0]["Action"] == [*left, "kms:CreateGrant"]
    assert found[1]["Action"] == ["kms:DescribeKey"]


def test_what_excludes_more_is_narrower() -> None:
    less, more = ({"StringNotEquals": {"kms:ViaService": names}} for names in (["x"], ["x", "y"]))
    both = [statement("Less", ["kms:DescribeKey"], ["*"], less), statement("More", ["kms:DescribeKey"], ["*"], more)]
    assert [one["Sid"] for one in kept(without_repetition(both))] == ["Less"]


def test_of_two_that_say_the_same_the_first_stays() -> None:
    found = without_repetition([statement(sid, ["ec2:DescribeVpcs"], ["*"], {}) for sid in ("First", "Second")])
    assert [one["Action"] for one in found] == [["ec2:DescribeVpcs"], []]


def test_what_may_be_missing_makes_nothing_needless() -> None:
    both = [statement(sid, ["ec2:DescribeVpcs"], ["*"], {}) for sid in ("Optional", "Always")]
    found = without_repetition(both, uncertain={"Optional"})
    assert [one["Action"] for one in found] == [[], ["ec2:DescribeVpcs"]]


@pytest.mark.parametrize("folder", sorted((REPO / "include" / "iam").iterdir()), ids=lambda folder: folder.name)
@pytest.mark.parametrize("role", ["orchestrator", "source", "destination"])
def test_no_role_is_allowed_anything_twice(folder, role) -> None:
    files = [folder / f"{role}.json", *sorted(folder.glob(f"{role}-*.json"))]
    statements = [one for file in files for one in json.loads(file.read_text())["Statement"]]
    assert without_repetition(statements) == statements
