"""What servers show of somebody's rights, and what must change."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import StateError
from aurora_ops.core.granted import Shown, changes, read_line, read_rights
from aurora_ops.core.grants import Place, Right, collect, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_grants import grants

DIGEST = "*B69027D44F6E5EDC07F1AEAD1477967B16F28227"
SHOP = Place("database", "shop")
ORDERS = Place("table", "shop", "orders")


@pytest.mark.parametrize(
    ("line", "rights"),
    [
        ("GRANT USAGE ON *.* TO `app`@`%`", set()),
        (f"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '{DIGEST}'", set()),
        (f"GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED VIA mysql_native_password USING '{DIGEST}' OR unix_socket", set()),
        ("GRANT SELECT, CREATE TEMPORARY TABLES ON `shop`.* TO `app`@`%` WITH GRANT OPTION",
         {(SHOP, "SELECT"), (SHOP, "CREATE TEMPORARY TABLES"), (SHOP, "GRANT OPTION")}),
        ("GRANT SELECT ON `shop`.* TO 'app'@'%' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 5", {(SHOP, "SELECT")}),
        ("GRANT PROCESS, REPLICATION CLIENT ON *.* TO `app`@`%`",
         {(Place("global"), "PROCESS"), (Place("global"), "REPLICATION CLIENT")}),
        ("GRANT APPLICATION_PASSWORD_ADMIN,ROLE_ADMIN ON *.* TO `app`@`%` WITH GRANT OPTION",
         {(Place("global"), name) for name in ("APPLICATION_PASSWORD_ADMIN", "ROLE_ADMIN", "GRANT OPTION")}),
        ("GRANT ALL PRIVILEGES ON `shop`.`orders` TO `app`@`%`", {(ORDERS, "ALL PRIVILEGES")}),
        ("GRANT SELECT (`id`, `eMail`), UPDATE (`e``,)`), DELETE ON `shop`.`orders` TO `app`@`%`",
         {(ORDERS, "SELECT", "id"), (ORDERS, "SELECT", "email"), (ORDERS, "UPDATE", "e`,)"), (ORDERS, "DELETE")}),
        ("GRANT SELECT (id, eMail) ON `shop`.`orders` TO `app`@`%`", {(ORDERS, "SELECT", "id"), (ORDERS, "SELECT", "email")}),
        ('GRANT SELECT ON "shop"."orders" TO "app"@"%"', {(ORDERS, "SELECT")}),
        ("GRANT EXECUTE ON PROCEDURE `shop`.`Refund` TO `app`@`%`", {(Place("procedure", "shop", "refund"), "EXECUTE")}),
        ("GRANT EXECUTE, ALTER ROUTINE ON FUNCTION `shop`.`tax` TO `app`@`%`",
         {(Place("function", "shop", "tax"), "EXECUTE"), (Place("function", "shop", "tax"), "ALTER ROUTINE")}),
        ("GRANT EXECUTE ON PACKAGE BODY `shop`.`p` TO `app`@`%`", {(Place("package body", "shop", "p"), "EXECUTE")}),
        (r"GRANT SELECT ON `a\_b`.* TO `app`@`%`", {(Place("database", "a_b"), "SELECT")}),
        ("GRANT SELECT ON `a_b`.* TO `app`@`%`", {(Place("pattern", "a_b"), "SELECT")}),
        ("GRANT SELECT ON `%`.* TO `app`@`%`", {(Place("pattern", "%"), "SELECT")}),
        (r"GRANT SELECT ON `a\b`.* TO `app`@`%`", {(Place("pattern", r"a\b"), "SELECT")}),
        ("GRANT `r1`@`%`,`r2`@`10.%` TO `app`@`%`", {(Place("role", "r1", "%"), "ROLE"), (Place("role", "r2", "10.%"), "ROLE")}),
        ("GRANT `r1` TO `app`@`%` WITH ADMIN OPTION", {(Place("role", "r1"), "ROLE")}),
        ("GRANT PROXY ON ''@'' TO 'app'@'%' WITH GRANT OPTION", {(Place("proxy"), "PROXY")}),
        ("GRANT PROXY ON `x`@`%` TO `app`@`%`", {(Place("proxy", "x", "%"), "PROXY")}),
        (r"GRANT SELECT ON `shop`.* TO 'app'@'%'", {(SHOP, "SELECT")}),
    ],
)  # fmt: skip
def test_each_line_of_both_servers(line, rights) -> None:
    assert read_line(line) == Shown("app", "%", frozenset(Right(*right) for right in rights))


@pytest.mark.parametrize(
    "line",
    [
        "SET DEFAULT ROLE `r1` FOR `app`@`%`",
        "REVOKE SELECT ON `mysql`.* FROM `app`@`%`",
    ],
)
def test_lines_that_give_nothing(line) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "CREATE USER `app`@`%`",
        f"GRANT SELECT ON `shop` TO `app`@`%` IDENTIFIED BY PASSWORD '{DIGEST}'",
        f"GRANT SELECT IDENTIFIED BY '{DIGEST}'",
        "GRANT SELECT (`id` ON `shop`.`orders` TO `app`@`%`",
        "GRANT SELECT ON `shop`.`orders`",
        "GRANT SELECT ON `shop`.*.* TO `app`@`%`",
        "GRANT SE;LECT ON `shop`.* TO `app`@`%`",
        "GRANT `r1`",
    ],
)
def test_what_is_not_understood_is_an_error_that_shows_nothing(line) -> None:
    with pytest.raises(StateError, match="a line of SHOW GRANTS is not understood from its part") as raised:
        read_line(line)
    assert "B690" not in str(raised.value)


def test_whose_rights_they_are() -> None:
    lines = [
        "GRANT SELECT ON `shop`.* TO `app`@`%`",
        "GRANT DELETE ON `shop`.* TO `r1`",
        "GRANT DROP ON `shop`.* TO PUBLIC",
    ]
    assert [read_line(line)[:2] for line in lines] == [("app", "%"), ("r1", ""), ("PUBLIC", "")]
    assert {right.privilege for right in read_rights(lines)} == {"SELECT", "DELETE", "DROP"}


@given(grants(), st.booleans())
def test_what_is_given_is_what_is_shown(grant, literal_names) -> None:
    line = f"GRANT {grant.sql(literal_names=literal_names)} TO `app`@`%`"
    assert read_line(line, literal_names=literal_names).rights == grant.rights


def test_names_are_taken_literally_where_the_server_does() -> None:
    [right] = read_line("GRANT SELECT ON `a_b`.* TO `app`@`%`", literal_names=True).rights
    assert right.place == Place("database", "a_b")


def rights(*texts: str) -> frozenset[Right]:
    return frozenset(right for text in texts for right in parse(text, "f").rights)


def said(changed) -> tuple[list[str], list[str]]:
    return [str(grant) for grant in collect(changed.revoke)], [str(grant) for grant in collect(changed.grant)]


@given(st.lists(grants(), max_size=4), st.lists(grants(), max_size=4))
def test_exact_changes_lead_there_and_then_there_are_none(before, after) -> None:
    have = frozenset(right for grant in before for right in grant.rights)
    want = frozenset(right for grant in after for right in grant.rights)
    revoke, give = changes(have, want, exact=True)
    taken = {right for right in have if right in revoke or right._replace(column="") in revoke}
    assert (have - taken) | give == want
    assert not changes(want, want, exact=True)
    assert not revoke & want


@given(st.lists(grants(), max_size=4), st.lists(grants(), max_size=4))
def test_otherwise_nothing_is_taken_away(before, after) -> None:
    have = frozenset(right for grant in before for right in grant.rights)
    want = frozenset(right for grant in after for right in grant.rights)
    revoke, give = changes(have, want, exact=False)
    assert not revoke
    assert have | give == have | want
    assert not give & have


def test_who_has_all() -> None:
    everything = frozenset({Right(SHOP, "ALL PRIVILEGES"), Right(SHOP, "GRANT OPTION")})
    assert said(changes(everything, rights("SELECT ON shop.*"), exact=True)) == (
        ["ALL PRIVILEGES ON shop.*", "GRANT OPTION ON shop.*"],
        ["SELECT ON shop.*"],
    )
    assert not changes(everything, rights("SELECT ON shop.*"), exact=False)
    each = rights("EXECUTE, ALTER ROUTINE ON PROCEDURE shop.p")
    shown = frozenset({Right(Place("procedure", "shop", "p"), "ALL PRIVILEGES")})
    assert not changes(shown, each, exact=True)
    limited = frozenset({Right(ORDERS, "ALL PRIVILEGES"), Right(ORDERS, "SELECT", "id")})
    assert said(changes(limited, frozenset(), exact=True)) == (["ALL PRIVILEGES ON shop.orders"], [])
    world = frozenset({Right(Place("global"), "ALL PRIVILEGES")})
    assert said(changes(world, frozenset(), exact=True)) == (["ALL PRIVILEGES ON *.*"], [])


def test_columns_of_a_privilege_that_is_taken_away_whole_are_given_again() -> None:
    have = rights("SELECT, UPDATE ON shop.orders", "SELECT (id, total), UPDATE (total) ON shop.orders")
    assert said(changes(have, rights("SELECT (id) ON shop.orders"), exact=True)) == (
        ["SELECT, UPDATE ON shop.orders"],
        ["SELECT (id) ON shop.orders"],
    )


def test_patterns_are_beside_what_is_asked_for() -> None:
    pattern = frozenset({Right(Place("pattern", "a_b"), "INSERT")})
    want = rights("SELECT, INSERT ON a_b.*")
    exact = changes(pattern, want, exact=True)
    assert [grant.sql() for grant in collect(exact.revoke)] == ["INSERT ON `a_b`.*"]
    assert [grant.sql() for grant in collect(exact.grant)] == [r"INSERT, SELECT ON `a\_b`.*"]
    beside = changes(pattern, want, exact=False)
    assert [grant.sql() for grant in collect(beside.grant)] == ["SELECT ON `a_b`.*"]
