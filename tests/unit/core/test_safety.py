"""Guards: what may be replaced, and that every refusal says which setting forbids it."""

from __future__ import annotations

import pytest
from aurora_ops.core import safety
from aurora_ops.core.errors import ConfigError, SafetyError

SOURCE, TARGET = ("111111111111", "eu-west-1", "prod"), ("222222222222", "eu-west-1", "staging")


def refusals(**changes):
    given = {
        "source": SOURCE,
        "target": TARGET,
        "protected_accounts": ["111111111111"],
        "allowed_clusters": ["staging"],
    }
    return safety.refusals(**{**given, **changes})


def test_consent_is_an_empty_list() -> None:
    assert refusals() == []


@pytest.mark.parametrize(
    "tags", [{}, {"refresh": "false"}, {"refresh": "True"}, {"refresh": ""}, {"Refresh": "true"}, {"x": "true"}]
)
def test_cluster_without_the_exact_tag_is_refused(tags) -> None:
    with pytest.raises(SafetyError, match=r"staging is not tagged refresh=true.*add-tags-to-resource"):
        safety.require_refreshable("staging", tags)


def test_tagged_cluster_is_accepted() -> None:
    safety.require_refreshable("staging", {"refresh": "true", "other": "x"})


def test_target_that_is_the_source_is_refused() -> None:
    (found,) = refusals(target=SOURCE, protected_accounts=[], allowed_clusters=["prod"])
    assert isinstance(found, ConfigError)
    assert (found.field, found.value) == ("target.cluster", "prod")


@pytest.mark.parametrize(
    "target",
    [
        ("222222222222", "eu-west-1", "prod"),
        ("111111111111", "us-east-1", "prod"),
        ("111111111111", "eu-west-1", "prod-copy"),
    ],
)
def test_target_that_differs_in_anything_is_not_the_source(target) -> None:
    assert refusals(target=target, protected_accounts=[], allowed_clusters=[target[2]]) == []


def test_protected_account_is_refused() -> None:
    (found,) = refusals(protected_accounts=iter(["222222222222"]))
    assert isinstance(found, SafetyError)
    assert "safety.protected_accounts" in str(found)
    assert "222222222222" in str(found)


def test_unlisted_cluster_is_refused_and_told_what_is_listed() -> None:
    (found,) = refusals(allowed_clusters=["b", "a"])
    assert isinstance(found, SafetyError)
    assert "'staging'" in str(found)
    assert "['a', 'b']" in str(found)


def test_all_refusals_are_said_at_once() -> None:
    found = refusals(target=SOURCE, allowed_clusters=[])
    assert len(found) == 3


def test_listed_name_must_match_whole() -> None:
    with pytest.raises(SafetyError):
        safety.require_listed("staging-2", ["staging"])
    safety.require_listed("staging", iter(["staging"]))
