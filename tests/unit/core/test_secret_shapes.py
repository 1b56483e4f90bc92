"""Secrets are told by their fields, what lacks is named, and no value is ever shown."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.secret_shapes import (
    FIELDS,
    Credentials,
    Seen,
    credentials,
    look,
    require,
    require_master_password,
    require_username,
)
from hypothesis import given
from hypothesis import strategies as st

MASTER = {"database": "shop", "username": "admin", "password": "hunter22"}
MANAGED = {"username": "admin", "password": "hunter22"}
USER = {"engine": "mysql", "host": "h", "port": 3306, "username": "app", "password": "hunter22"}
APP = {"app_username": "app", "app_password": "hunter22", "readonly_username": "ro", "readonly_password": "hunter33"}
KNOWN = sorted({name for names in FIELDS.values() for name in names} | {"host", "hunter22"})


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (MASTER, Seen("master")),
        (MANAGED, Seen("managed")),
        (USER, Seen("user")),
        (APP, Seen("app")),
        ({**APP, "username": "x"}, Seen("app")),
        ({}, Seen(None)),
        ({"user": "x"}, Seen(None)),
        ({"password": "x"}, Seen("managed", ("username",))),
        ({"database": "x", "username": ""}, Seen("master", ("username", "password"))),
        ({"app_password": 7}, Seen("app", tuple(APP))),
        ({**APP, "readonly_password": None}, Seen("app", ("readonly_password",))),
    ],
)
def test_shapes_are_told_by_fields(value, seen) -> None:
    assert look(value) == seen


@given(st.dictionaries(st.sampled_from(KNOWN), st.sampled_from(["hunter22", "", None, 7, "shop"])))
def test_whatever_is_in_it_no_value_is_shown(value) -> None:
    for role in (None, "app", "readonly"):
        assert "hunter22" not in shown(value, role)


def shown(value, role) -> str:
    """What can be seen of a secret, the name of its user aside."""
    try:
        return repr(credentials("s", value, role)).replace("username='hunter22'", "")
    except ConfigError as exc:
        return str(exc)


def test_each_user_is_read() -> None:
    assert credentials("s", APP, "app") == Credentials("app", "hunter22")
    assert credentials("s", APP, "readonly") == Credentials("ro", "hunter33")
    for value in (MASTER, MANAGED, USER):
        assert credentials("s", value) == Credentials(value["username"], "hunter22")
        assert "hunter22" not in repr(credentials("s", value))


@pytest.mark.parametrize(
    ("value", "role", "why"),
    [
        (APP, None, r"secret s: 'app' is not allowed; write \{database, username, password\} or \{username, password\} into it"),
        (USER, "app", r"'user' is not allowed; write \{app_username, app_password, readonly_username, readonly_password\}"),
        ({}, None, "None is not allowed; write"),
        ({**MASTER, "password": ""}, None, "'master' is not allowed; it lacks password"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_field(value, role, why) -> None:
    with pytest.raises(ConfigError, match=why):
        credentials("s", value, role)


@pytest.mark.parametrize("name", ["a b", "a'b", "x" * 33, "shop-app", "a\n"])
def test_users_that_are_made_have_plain_names(name) -> None:
    with pytest.raises(ConfigError, match="'app_username' is not allowed; a user has 1 to 32 letters") as raised:
        require_username("s", "app", name)
    assert name not in str(raised.value)
    require_username("s", "app", "shop_app")
    assert (
        credentials("s", {**MANAGED, "username": name}).username == name
    )  # one that is there already logs in as it is


def test_only_accepted_shapes_pass() -> None:
    assert require("s", MASTER, "managed", "master") == "master"
    with pytest.raises(ConfigError):
        require("s", USER, "managed", "master")


@pytest.mark.parametrize(
    "password", ["hunter2", "x" * 42, "hunter/22", 'hunter"22', "hunter@22", "hunter 22", "h\u00fcnter22"]
)
def test_master_passwords_that_rds_refuses(password) -> None:
    with pytest.raises(ConfigError, match="8 to 41 printable ASCII") as raised:
        require_master_password("s", password)
    assert password not in str(raised.value)


@pytest.mark.parametrize("password", ["hunter22", "x" * 41, "!#$%&'()*+,-.0:;<=>?A[\\]^_`{|}~"])
def test_master_passwords_that_rds_takes(password) -> None:
    require_master_password("s", password)
