"""Rights that settings ask for: what is read is what is written again, and nothing else gets through."""

from __future__ import annotations

import re

import pytest
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.grants import ALL, LEVELS, Grant, Place, Right, collect, parse
from hypothesis import example, given
from hypothesis import strategies as st

OF_COLUMNS = ["SELECT", "INSERT", "UPDATE", "REFERENCES"]
EVIL = [
    "'",
    '"',
    "`",
    ";",
    "--",
    "/*",
    "*/",
    "#",
    "\\",
    "\n",
    "\x00",
    "\u2019",
    "\u201c",
    "%",
    "_",
    ".",
    ",",
    "(",
    ")",
    "@",
]
SERVERS = {"mysql", "information_schema", "performance_schema", "sys"}
names = (
    st.lists(
        st.sampled_from(EVIL) | st.characters(max_codepoint=0xFFFF, exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
        max_size=20,
    )
    .map(lambda parts: re.sub(r"[\x00-\x1f\\/]", "", "".join(parts)).strip())
    .filter(lambda name: name and name.lower() not in SERVERS)
)
columns = names.map(lambda name: re.sub("[A-Z]", lambda found: found[0].lower(), name))


@st.composite
def grants(draw):
    kind = draw(st.sampled_from(sorted(LEVELS)))
    name = draw(columns if kind in ("procedure", "function") else names) if kind != "database" else ""
    wanted = draw(st.sets(st.sampled_from(sorted(LEVELS[kind])), min_size=1))
    some = st.sets(columns, max_size=3) if kind == "table" else st.just(set())
    return Grant(
        Place(kind, draw(names), name),
        tuple((word, tuple(sorted(draw(some))) if word in OF_COLUMNS else ()) for word in sorted(wanted)),
    )


@pytest.mark.parametrize(
    ("text", "written", "sql"),
    [
        ("SELECT, INSERT ON shop.*", "INSERT, SELECT ON shop.*", "INSERT, SELECT ON `shop`.*"),
        ("select on Shop.Orders", "SELECT ON Shop.Orders", "SELECT ON `Shop`.`Orders`"),
        ("  SELECT( id,Email ),UPDATE(email)  ON  shop.customers ", "SELECT (email, id), UPDATE (email) ON shop.customers",
         "SELECT (`email`, `id`), UPDATE (`email`) ON `shop`.`customers`"),
        ("EXECUTE ON PROCEDURE shop.Refund", "EXECUTE ON PROCEDURE shop.refund", "EXECUTE ON PROCEDURE `shop`.`refund`"),
        ("EXECUTE ON FUNCTION shop.tax", "EXECUTE ON FUNCTION shop.tax", "EXECUTE ON FUNCTION `shop`.`tax`"),
        ("SELECT ON procedure.function", "SELECT ON procedure.function", "SELECT ON `procedure`.`function`"),
        ("SELECT ON TABLE shop.on", "SELECT ON shop.on", "SELECT ON `shop`.`on`"),
        ("CREATE TEMPORARY  TABLES ON a_b.*", "CREATE TEMPORARY TABLES ON a_b.*", r"CREATE TEMPORARY TABLES ON `a\_b`.*"),
        ("SELECT ON `50%; drop`.*", "SELECT ON `50%; drop`.*", r"SELECT ON `50\%; drop`.*"),
        ("SELECT ON `a``b`.`c d`", "SELECT ON `a``b`.`c d`", "SELECT ON `a``b`.`c d`"),
        ("SELECT (a), SELECT (b), INSERT (a), INSERT ON a.b", "INSERT, SELECT (a, b) ON a.b",
         "INSERT, SELECT (`a`, `b`) ON `a`.`b`"),
    ],
)  # fmt: skip
def test_each_form(text, written, sql) -> None:
    grant = parse(text, "grants")
    assert str(grant) == written
    assert grant.sql() == sql
    assert parse(written, "grants") == grant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write such as"),
        ("SELECT", "write such as"),
        ("ON shop.*", "write such as"),
        ("SELECT ON", "write such as"),
        ("SELECT ON shop", "write such as"),
        ("SELECT, ON shop.*", "write such as"),
        ("SELECT () ON shop.a", "write such as"),
        ("SELECT (a ON shop.a", "write such as"),
        ("SELECT a ON shop.a", "SELECT A is not given on a table; allowed are ALTER, CREATE"),
        ("EXECUTE ON PROCEDURE shop.*", "write such as"),
        ("SELECT ON VIEW shop.a", "write such as"),
        ("SELECT ON shop.a.b", "nothing may stand behind shop.a"),
        ("SELECT ON shop.* WITH GRANT OPTION", "GRANT OPTION is never given"),
        ("GRANT OPTION ON shop.*", "GRANT OPTION is not given on a database"),
        ("SELECT ON *.*", "name the database"),
        ("SELECT ON *", "name the database"),
        ("ALL ON shop.*", "ALL is not given"),
        ("ALL PRIVILEGES ON shop.*", "each by its name"),
        ("SUPER ON shop.*", "SUPER is not given"),
        ("FILE ON shop.*", "FILE is not given"),
        ("PROCESS ON shop.*", "PROCESS is not given"),
        ("CREATE USER ON shop.*", "CREATE USER is not given"),
        ("EXECUTE ON shop.a", "EXECUTE is not given on a table"),
        ("SELECT ON PROCEDURE shop.a", "SELECT is not given on a procedure"),
        ("DELETE (id) ON shop.a", "columns stand only behind INSERT, REFERENCES, SELECT, UPDATE on a table"),
        ("SELECT (id) ON shop.*", "columns stand only behind"),
        ("SELECT ON mysql.user", "mysql is the server's own"),
        ("SELECT ON `Sys`.*", "Sys is the server's own"),
        ("SELECT ON shop.*;", "character 17 has no meaning"),
        ("SELECT ON shop.* -- x", "character 18 has no meaning"),
        ("SELECT ON shop.* /*", "character 18 has no meaning"),
        ("SELECT ON 'shop'.*", "character 11 has no meaning"),
        ('SELECT ON "shop".*', "character 11 has no meaning"),
        ("SELECT ON \u2018shop\u2019.*", "character 11 has no meaning"),
        ("SELECT\tON shop.*", "character 7 has no meaning"),
        ("SELECT\u00a0ON shop.*", "character 7 has no meaning"),
        ("SELECT ON `shop.*", "character 11 has no meaning"),
        ("SELECT ON `shop\x00`.*", "a name has at most 64 characters"),
        ("SELECT ON `shop\n`.*", "without control characters"),
        ("SELECT ON `a\\`.*", "slashes"),
        ("SELECT ON `a `.*", "a blank at its end"),
        ("SELECT ON `a\U0001f600`.*", "a name has"),
        ("SELECT ON " + "a" * 65 + ".*", "a name has at most 64"),
        ("SELECT ON shop.* " + "x" * 4000, "at most 4000 characters"),
    ],
)
def test_what_is_refused(text, why) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "database.users.0.grants")
    assert why in raised.value.allowed
    assert raised.value.field == "database.users.0.grants"
    assert len(str(raised.value)) < 1000


@given(grants())
def test_what_is_read_is_what_was_written(grant) -> None:
    assert parse(str(grant), "f") == grant
    assert parse(grant.sql(literal_names=True), "f") == grant
    assert {right for each in collect(grant.rights) for right in each.rights} == grant.rights


@given(grants())
def test_all_names_are_quoted_whatever_is_in_them(grant) -> None:
    require_quoted(grant)


def require_quoted(grant: Grant) -> None:
    """Beside quoted names and lists of columns there are only words that we know."""
    sql = re.sub(r" \(`(, `)*\)", "", re.sub(r"`(?:[^`]|``)+`", "`", grant.sql()))
    words, place = sql.split(" ON ")
    assert set(words.split(", ")) <= LEVELS[grant.place.kind]
    assert place in {"database": ["`.*"], "table": ["`.`"]}.get(grant.place.kind, [f"{grant.place.kind.upper()} `.`"])


@given(
    st.lists(st.sampled_from([*EVIL, "SELECT ", " ON ", "shop", ".*", "a.b", "`", " ", "GRANT OPTION"])).map("".join)
    | st.text()
    | st.text().map(lambda text: f"SELECT ON `{text}`.*")
)
@example("SELECT ON `a`.`b` `c`")
@example("SELECT (`a`) ON `b`.`c`; DROP")
def test_any_text_is_refused_or_harmless(text) -> None:
    try:
        grant = parse(text, "f")
    except ConfigError:
        return
    require_quoted(grant)
    assert parse(str(grant), "f") == grant


def test_wildcards_in_names_of_databases_are_only_letters() -> None:
    place = Place("database", "a_b%c")
    assert place.sql() == r"`a\_b\%c`.*"
    assert place.sql(literal_names=True) == "`a_b%c`.*"
    assert Place("pattern", "a_b%").sql() == "`a_b%`.*"
    assert Place("table", "a_b", "c_d").sql() == "`a_b`.`c_d`"


def test_rights_are_put_together_by_place() -> None:
    table = Place("table", "shop", "a")
    rights = [
        Right(table, "UPDATE", "b"),
        Right(table, "SELECT"),
        Right(table, "SELECT", "a"),
        Right(table, ALL),
        Right(table, "GRANT OPTION"),
        Right(Place("role", "r", "%"), "ROLE"),
    ]
    assert [grant.sql() for grant in collect(rights)] == [
        "`r`@`%`",
        "ALL PRIVILEGES ON `shop`.`a`",
        "GRANT OPTION, SELECT ON `shop`.`a`",
        "SELECT (`a`), UPDATE (`b`) ON `shop`.`a`",
    ]
    assert [right.writes for right in rights] == [True, False, False, True, False, False]
