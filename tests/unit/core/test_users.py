"""Users in settings: who they are, what they may do, and what contradicts itself."""

from __future__ import annotations

import pytest
from aurora_ops.core import environments
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.grants import Place, Right
from aurora_ops.core.users import User
from pydantic import ValidationError

from tests.unit.core.samples import raw

APP = {"username": "app", "secret": "s"}
SHOP = Place("database", "shop")


def test_privileges_are_grants_on_a_whole_database() -> None:
    plain = User.model_validate({**APP, "writes": True, "privileges": {"shop": ["SELECT", "INSERT"]}})
    written = User.model_validate({**APP, "writes": True, "grants": ["SELECT, INSERT ON shop.*"]})
    assert plain.rights == written.rights == {Right(SHOP, "SELECT"), Right(SHOP, "INSERT")}
    both = {"privileges": {"shop": ["SELECT"]}, "grants": ["SELECT (id) ON shop.a", "SELECT ON other.*"]}
    assert len(User.model_validate({**APP, **both}).rights) == 3
    assert User.model_validate(APP).rights == frozenset()


@pytest.mark.parametrize("user", [{**APP, "grants": ["SELECT ON shop.*"]}, {"role": "app", "secret": "s"}])
def test_what_tasks_are_given_is_read_again(user) -> None:
    found = User.model_validate(user)
    assert User.model_validate(found.model_dump()) == found


@pytest.mark.parametrize(
    ("user", "writes", "as_written"),
    [
        (APP, False, False),
        ({**APP, "writes": True, "as_in_secret": True}, True, True),
        ({"role": "app", "secret": "s"}, True, True),
        ({"role": "readonly", "secret": "s"}, False, True),
    ],
)
def test_who_writes_and_whose_password_stays(user, writes, as_written) -> None:
    found = User.model_validate(user)
    assert (found.may_write, found.as_written) == (writes, as_written)


@pytest.mark.parametrize(
    ("user", "field", "why"),
    [
        ({"secret": "s"}, "username", "write either username, or role"),
        ({**APP, "role": "app"}, "username", "write either username, or role"),
        ({"secret": "s", "role": "readonly", "writes": True}, "writes", "only reads"),
        (
            {"secret": "s", "role": "readonly", "grants": ["INSERT ON shop.*"]},
            "writes",
            "readonly of s is given INSERT",
        ),
        (
            {**APP, "grants": ["DELETE, SELECT ON shop.a"]},
            "writes",
            "app is given DELETE: leave them out, or set writes",
        ),
        ({**APP, "privileges": {"shop": ["UPDATE"]}}, "writes", "app is given UPDATE"),
        ({**APP, "privileges": {"shop": ["SELECT"]}, "grants": ["EXECUTE ON shop.*"]}, "privileges", "say it once"),
    ],
)
def test_contradictions_are_named(user, field, why) -> None:
    content = raw({"database.users": [APP, user]})
    with pytest.raises(ConfigError) as raised:
        environments.resolve(content)
    assert raised.value.field == f"database.users.1.{field}"
    assert why in raised.value.allowed


@pytest.mark.parametrize("text", ["SELECT ON *.*", "SELECT ON shop.*; DROP", "GRANT OPTION ON shop.*", 7])
def test_what_is_no_grant_is_named_by_field(text) -> None:
    with pytest.raises(ConfigError) as raised:
        environments.resolve(raw({"database.users": [{**APP, "grants": ["SELECT ON shop.*", text]}]}))
    assert raised.value.field == "database.users.0.grants.1"
    assert raised.value.value == text


@pytest.mark.parametrize("name", ["a b", "a'b", "a`", "a;", "", "x" * 33, "caf\u00e9", "a\n", "%"])
def test_names_are_plain(name) -> None:
    with pytest.raises(ValidationError):
        User.model_validate({"username": name, "secret": "s"})
